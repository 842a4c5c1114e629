"""Which file new hosts go into, which tables they get, and that nothing else in it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm.errors import SpecError
from batchwasm.spec.adding import place, plan, revised, wanted, with_tables


def added(path: Path, *targets: str, names: str | None = None, **keys: str | int) -> str:
    return with_tables(plan(path.parent, path, wanted(targets, names, keys)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inventory.toml"


def test_the_file_is_the_one_that_is_found_else_the_users_own(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = home / ".config/batchwasm/inventory.toml"
    assert place(tmp_path, None) == (own, str(own))
    (tmp_path / "inventory.toml").touch()
    assert place(tmp_path, None)[0] == tmp_path / "inventory.toml"
    monkeypatch.setenv("BATCHWASM_INVENTORY", "~/pool.toml")
    assert place(tmp_path, None)[0] == home / "pool.toml"
    assert place(tmp_path, Path("mine.toml")) == (Path("mine.toml"), "mine.toml")


def test_hosts_that_say_the_same_share_a_table(path: Path) -> None:
    assert added(path, "a@lab[01-03]", "b@x.y", "a@lab07") == (
        '[hosts."lab[01-03,07]"]\nuser = "a"\n\n[hosts."x.y"]\nuser = "b"\n'
    )


def test_names_may_be_others_than_the_addresses(path: Path) -> None:
    assert added(path, "10.0.0.[1-2]", names="n[1-2]", port=23) == (
        '[hosts.n1]\naddress = "10.0.0.1"\nport = 23\n\n[hosts.n2]\naddress = "10.0.0.2"\nport = 23\n'
    )
    assert added(path, "al@fe80::1", names="six") == '[hosts.six]\naddress = "fe80::1"\nuser = "al"\n'


def test_what_the_defaults_say_is_not_said_again_and_what_they_say_otherwise_is(path: Path) -> None:
    path.write_text('[defaults]\nuser = "a"\ntransport = "paramiko"\n')
    assert added(path, "a@x", "b@y", transport="ssh").removeprefix(path.read_text()) == (
        '\n[hosts.x]\ntransport = "ssh"\n\n[hosts.y]\nuser = "b"\ntransport = "ssh"\n'
    )
    (x, _) = plan(path.parent, path, wanted(["a@x", "b@y"], None, {})).hosts
    assert (x.user, x.transport) == ("a", "paramiko")


@pytest.mark.parametrize(
    "text",
    [
        "# only words",
        "[hosts]\na = { port = 1 }\n",
        "hosts.a.port = 1\n[defaults]\n",
        "\ufeff[hosts.a]\r\nport = 1\r\n",
        "[hosts.a]\n\n\n",
        "[hosts.a]\n[hosts.a.mounts]\nm = '''\n/x'''",
    ],
)
def test_what_is_there_stays_in_front_whatever_its_form(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    new = added(path, "b")
    assert new.startswith(text)
    path.write_bytes(new.encode())
    assert [host.name for host in plan(path.parent, path, wanted(["b"], None, {})).there] == ["b"]
    assert new.count("\r\n") in (0, new.count("\n"))


def test_hosts_in_one_line_are_refused_with_what_would_do(path: Path) -> None:
    path.write_text("hosts = { a = {} }\n")
    with pytest.raises(SpecError, match=r"hosts: has all its hosts in one line.*write \[hosts.NAME\] tables"):
        added(path, "b")


def test_what_was_written_meanwhile_is_kept(path: Path) -> None:
    before = plan(path.parent, path, wanted(["b", "c"], None, {}))
    path.write_text("[hosts.a]\n")
    assert with_tables(revised(before, {"b": "ssh", "c": "openssh"})) == (
        '[hosts.a]\n\n[hosts.b]\n\n[hosts.c]\ntransport = "openssh"\n'
    )
    path.write_text("[hosts.b]\n")
    with pytest.raises(SpecError, match=r"hosts\.b: was written there meanwhile"):
        revised(before, {"b": "ssh"})


def test_a_host_that_is_there_is_left_alone_unless_it_is_meant_otherwise(path: Path) -> None:
    path.write_text('[hosts."lab[1-9]"]\nlabels = ["x"]\nuser = "a"\n')
    found = plan(path.parent, path, wanted(["a@lab3", "b@new"], None, {}))
    assert ([host.name for host in found.there], list(found.keys)) == (["lab3"], ["new"])
    with pytest.raises(SpecError, match=r"hosts\.lab3: is there already, with another user, port; change it there"):
        added(path, "b@lab3", port=23)
