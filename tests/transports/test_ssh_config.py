"""What we take out of ~/.ssh/config ourselves."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from batchwasm.errors import HostError
from batchwasm.transports.ssh_config import Endpoint, settings
from tests.homes import lose


def config(home: Path, text: str) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/config").write_text(text)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("gw", Endpoint(name="gw")),
        ("alice@gw", Endpoint(name="gw", user="alice")),
        ("a@b@gw:2222", Endpoint(name="gw", user="a@b", port=2222)),
        ("ssh://alice@gw:22", Endpoint(name="gw", user="alice", port=22)),
        ("[::1]:2222", Endpoint(name="::1", port=2222)),
        ("[fe80::1]", Endpoint(name="fe80::1")),
        ("::1", Endpoint(name="::1")),
    ],
)
def test_a_jump_is_read_as_openssh_reads_it(text: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(text) == endpoint


def test_who_has_no_home_is_told_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch)
    with pytest.raises(HostError) as caught:
        settings(Endpoint(name="lab1"))
    assert caught.value.code == "config"
    assert "set the variable HOME" in caught.value.cure


def test_without_a_config_all_is_openssh_default(home: Path) -> None:
    found = settings(Endpoint(name="lab1"))
    assert (found.host, found.port, found.user) == ("lab1", 22, getpass.getuser())
    assert (found.strict, found.hash_known_hosts, found.jumps) == ("ask", False, ())
    assert found.user_known_hosts == home / ".ssh/known_hosts"
    assert found.known_name == "lab1"


def test_the_inventory_beats_the_config(home: Path) -> None:
    config(home, "Host lab1\n  HostName 10.0.0.1\n  User bob\n  Port 2222\n")
    found = settings(Endpoint(name="lab1", port=22, user="alice"))
    assert (found.host, found.port, found.user) == ("10.0.0.1", 22, "alice")
    assert settings(Endpoint(name="lab1")).known_name == "[10.0.0.1]:2222"


def test_match_final_sees_what_the_first_pass_found(home: Path) -> None:
    config(home, "Host lab1\n  HostName lab1.example.edu\nMatch final host *.example.edu\n  User carol\n")
    assert settings(Endpoint(name="lab1")).user == "carol"


def test_tokens_and_home_in_paths_are_expanded(home: Path) -> None:
    config(home, "Host *\n  UserKnownHostsFile ~/.ssh/known_%h\n  HashKnownHosts yes\n")
    found = settings(Endpoint(name="lab1"))
    assert found.user_known_hosts == home / ".ssh/known_lab1"
    assert found.hash_known_hosts


def test_no_jump_for_one_host_undoes_that_of_all(home: Path) -> None:
    config(home, "Host gw\n  ProxyJump none\nHost *\n  ProxyJump gw\n")
    assert settings(Endpoint(name="gw")).jumps == ()
    assert settings(Endpoint(name="lab1")).jumps == (Endpoint(name="gw"),)


@pytest.mark.parametrize("text", ["Match nonsense x\n", "Host 'open\n", "Port many\n"])
def test_what_can_not_be_read_is_an_error_with_file_and_line(home: Path, text: str) -> None:
    config(home, text)
    with pytest.raises(HostError, match=r"\.ssh/config line 1") as caught:
        settings(Endpoint(name="lab1"))
    assert caught.value.code == "config"


def test_a_user_without_a_name_is_told_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> object:
        raise KeyError(uid)

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", nobody)
    with pytest.raises(HostError, match=r"has no name on this machine; set the variable USER"):
        settings(Endpoint.parse("lab01"))
