"""What systemd-logind would do with what outlives a login, from configuration as people write it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.runner import logind
from tests.runner.supervised import HELLO, SupervisedHost, supervised_host

SCOPE = ["systemd-run", "--user", "--scope", "--quiet"]


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's configuration; we are alice there."""
    alice = pwd.struct_passwd(("alice", "x", 1234, 1234, "", "/home/alice", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: alice)
    monkeypatch.setattr(logind, "FOLDERS", tuple(f"{tmp_path}/{name}" for name in ("etc", "run", "usr/lib")))
    monkeypatch.setattr(logind, "LINGER", str(tmp_path / "linger"))
    (tmp_path / "linger").mkdir()
    return tmp_path


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """All that is found by name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    logind._has_scopes.cache_clear()
    yield folder
    logind._has_scopes.cache_clear()


def systemd_run(folder: Path, text: str) -> None:
    path = folder / "systemd-run"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("conf", "kills"),
    [
        ("", False),
        ("[Login]\n#KillUserProcesses=yes\n", False),
        ("[Login]\nKillUserProcesses=yes\n", True),
        ("[Login]\n  KillUserProcesses = On \n", True),
        ("[Login]\nKillUserProcesses=yes\nKillUserProcesses=no\n", False),
        ("[Login]\nKillUserProcesses=yes\nKillUserProcesses=perhaps\n", True),
        ("KillUserProcesses=yes\n", False),
        ("[Other]\nKillUserProcesses=yes\n", False),
        ("[Login]\nKillUserProcesses=1\nKillExcludeUsers=bob alice\n", False),
        ("[Login]\nKillUserProcesses=1\nKillExcludeUsers=alice\nKillExcludeUsers=\n", True),
        ("[Login]\nKillUserProcesses=1\nKillOnlyUsers=bob\n", False),
        ("[Login]\nKillUserProcesses=1\nKillOnlyUsers=bob \\\n  alice\n", True),
        ("[Login]\nKillUserProcesses=1\nKillOnlyUsers=alice\nKillExcludeUsers=alice\n", False),
        ("[Login]\nKillOnlyUsers=alice\n", False),
    ],
)
def test_a_configuration_is_read_as_logind_does(etc: Path, conf: str, kills: bool) -> None:
    write(etc / "etc/systemd/logind.conf", conf)
    assert logind.kills("alice") is kills


def test_root_is_exempt_unless_the_list_is_emptied(etc: Path) -> None:
    conf = etc / "etc/systemd/logind.conf"
    write(conf, "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=bob\n")
    assert not logind.kills("root")
    write(conf, "[Login]\nKillUserProcesses=yes\nKillExcludeUsers=\nKillExcludeUsers=bob\n")
    assert logind.kills("root")


def test_the_drop_in_that_sorts_last_wins_whichever_folder_it_is_in(etc: Path) -> None:
    write(etc / "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=no\n")
    write(etc / "usr/lib/systemd/logind.conf.d/50-a.conf", "[Login]\nKillUserProcesses=yes\n")
    write(etc / "etc/systemd/logind.conf.d/10-b.conf", "[Login]\nKillUserProcesses=no\n")
    assert logind.kills("alice")
    write(etc / "run/systemd/logind.conf.d/90-c.conf", "[Login]\nKillUserProcesses=no\n")
    write(etc / "run/systemd/logind.conf.d/99-d.conf.bak", "[Login]\nKillUserProcesses=yes\n")
    assert not logind.kills("alice")


def test_a_file_in_etc_hides_the_vendors_of_the_same_name(etc: Path) -> None:
    write(etc / "usr/lib/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    write(etc / "usr/lib/systemd/logind.conf.d/a.conf", "[Login]\nKillUserProcesses=yes\n")
    assert logind.kills("alice")
    (etc / "etc/systemd/logind.conf.d").mkdir(parents=True)
    (etc / "etc/systemd/logind.conf.d/a.conf").symlink_to(os.devnull)
    assert logind.kills("alice")
    write(etc / "etc/systemd/logind.conf", "")
    assert not logind.kills("alice")


def test_a_machine_without_systemd_ends_nothing(etc: Path) -> None:
    assert not logind.kills("alice")
    assert logind.warning(outlives=False) == ""
    assert logind.outlive() == []


def test_who_does_not_linger_is_told_how_to(etc: Path, programs: Path) -> None:
    write(etc / "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    systemd_run(programs, "exit 0")
    assert logind.outlive() == []
    assert "'loginctl enable-linger alice' there prevents that" in logind.warning(outlives=False)
    assert logind.warning(outlives=True) == logind.warning(outlives=False)


def test_who_lingers_gets_a_scope_that_outlives_the_login(etc: Path, programs: Path) -> None:
    write(etc / "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    (etc / "linger/alice").touch()
    systemd_run(programs, "exit 0")
    assert logind.outlive() == SCOPE
    assert logind.warning(outlives=True) == ""


def test_lingering_without_a_service_manager_is_not_enough(etc: Path, programs: Path) -> None:
    write(etc / "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    (etc / "linger/alice").touch()
    systemd_run(programs, "echo Failed to connect to bus >&2; exit 1")
    assert logind.outlive() == []
    assert "fails here, so ask who runs it to add alice to KillExcludeUsers" in logind.warning(outlives=False)


@pytest.mark.parametrize(
    ("cgroup", "left"),
    [
        ("0::/user.slice/user-1234.slice/session-7.scope\n", False),
        ("1:name=systemd:/user.slice/user-1234.slice/session-c2.scope\n0::/\n", False),
        ("0::/user.slice/user-1234.slice/user@1234.service/app.slice/run-r12.scope\n", True),
        ("0::/system.slice/ssh.service\n", True),
        ("", True),
    ],
)
def test_a_logins_scope_is_told_from_others(monkeypatch: pytest.MonkeyPatch, cgroup: str, left: bool) -> None:
    monkeypatch.setattr(logind, "_text", {"/proc/self/cgroup": cgroup}.get)
    assert logind.has_left_its_login() is left


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SupervisedHost]:
    yield from supervised_host(tmp_path)


def test_a_supervisor_is_started_in_a_scope_where_its_login_would_take_it_along(
    host: SupervisedHost, tmp_path: Path
) -> None:
    user = pwd.getpwuid(os.getuid()).pw_name
    write(tmp_path / "etc/systemd/logind.conf", f"[Login]\nKillUserProcesses=yes\nKillExcludeUsers=\n#{user}\n")
    write(tmp_path / "linger" / user, "")
    module = host.library / "batchwasm_runner" / "logind.py"
    text = module.read_text().replace('"/etc", ', f'"{tmp_path}/etc", ')
    module.write_text(text.replace("/var/lib/systemd/linger", f"{tmp_path}/linger"))
    (tmp_path / "bin").mkdir()
    systemd_run(tmp_path / "bin", f'shift 3; echo "$@" >> "{tmp_path}/scopes"; exec "$@"')
    host.path = str(tmp_path / "bin")
    scheduler = host.attach()
    scheduler.start(1, HELLO)
    assert scheduler.collect(1)[0]
    probe, supervisor = (tmp_path / "scopes").read_text().splitlines()
    assert probe == "true"
    assert "batchwasm_runner supervise" in supervisor
    assert scheduler.attached.warnings == []
