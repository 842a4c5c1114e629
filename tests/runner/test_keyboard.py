"""When somebody last used the machine: utmp and logind's notes as they are written, and a loginctl that answers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from batchwasm.runner import keyboard
from batchwasm.runner.keyboard import NOBODY, Keyboard
from tests.runner.supervised import eventually

USER, DEAD, BOOT = 7, 8, 2


class Logins:
    """A machine's notes of who is logged in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.utmp, self.dev, self.sessions = root / "utmp", root / "dev", root / "sessions"
        self.utmp.write_bytes(b"")

    def of_utmp(self, kind: int, line: str, host: str = "") -> None:
        head = keyboard._HEAD.pack(kind, 42, line.encode(), b"id", b"alice", host.encode())
        with self.utmp.open("ab") as file:
            file.write(head.ljust(keyboard._RECORD_BYTES, b"\0"))

    def typed(self, line: str, s_ago: float) -> None:
        path = self.dev / line
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (time.time() - s_ago, time.time()))

    def of_logind(self, name: str, **fields: str) -> None:
        self.sessions.mkdir(exist_ok=True)
        lines = {"CLASS": "user", "STATE": "active", "TYPE": "tty", **fields}
        (self.sessions / name).write_text("# not to be parsed\n" + "".join(f"{k}={v}\n" for k, v in lines.items()))
        if not (self.sessions / f"{name}.ref").exists():
            os.mkfifo(self.sessions / f"{name}.ref")

    def keyboard(self) -> Keyboard:
        return Keyboard((str(self.utmp),), str(self.sessions), str(self.dev))


@pytest.fixture
def logins(tmp_path: Path) -> Logins:
    return Logins(tmp_path)


@pytest.fixture
def loginctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets what logind answers."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setattr(keyboard, "ASK_S", 0.0)

    def answer(script: str) -> None:
        (tmp_path / "bin/loginctl").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bin/loginctl").chmod(0o755)

    return answer


def test_nobody_is_logged_in_where_nobody_is(logins: Logins) -> None:
    assert logins.keyboard().used_s_ago() == NOBODY
    logins.of_utmp(BOOT, "~")
    logins.of_utmp(DEAD, "pts/3")
    logins.typed("pts/3", 5)
    assert logins.keyboard().used_s_ago() == NOBODY
    assert logins.keyboard().known


def test_the_terminal_that_was_used_last_counts(logins: Logins) -> None:
    for line, s_ago in (("pts/0", 300), ("tty1", 60)):
        logins.of_utmp(USER, line)
        logins.typed(line, s_ago)
    logins.of_utmp(USER, "pts/9")  # its terminal is gone
    logins.typed("pts/5", 1)  # nobody is logged in there
    assert 59 <= logins.keyboard().used_s_ago() <= 65


def test_without_utmp_logind_knows_the_terminals(logins: Logins) -> None:
    logins.utmp.unlink()
    assert not logins.keyboard().known
    logins.of_logind("3", TTY="pts/1")
    logins.of_logind("4", TTY="")  # a login over ssh that runs a command, as ours does
    logins.of_logind("5", TTY="pts/2", CLASS="greeter")
    logins.typed("pts/1", 100)
    logins.typed("pts/2", 1)
    assert logins.keyboard().known
    assert 99 <= logins.keyboard().used_s_ago() <= 105


def test_a_desktop_is_used_until_logind_says_for_how_long_it_was_not(
    logins: Logins, loginctl: Callable[[str], None]
) -> None:
    logins.of_utmp(USER, "tty2", ":0")
    logins.typed("tty2", 9999)  # a desktop's terminal does not know when it is used
    logins.of_logind("c2", TYPE="wayland", TTY="tty2", DISPLAY=":0")
    since = int((time.time() - 700) * 1e6)
    asked = "show-session c2 -p IdleHint -p IdleSinceHint"
    loginctl(f"test \"$*\" = '{asked}' && printf 'IdleHint=yes\\nIdleSinceHint={since}\\n'")
    keys = logins.keyboard()
    assert keys.used_s_ago() < 5
    eventually(lambda: 699 <= keys.used_s_ago() < 720, "logind's answer")
    loginctl("printf 'IdleHint=yes\\nIdleSinceHint=1\\n\\nIdleHint=no\\nIdleSinceHint=0\\n'")
    eventually(lambda: keys.used_s_ago() < 5, "the desktop is used again")
    keys.close()


def test_a_desktop_of_which_nobody_tells_is_taken_for_used(logins: Logins, loginctl: Callable[[str], None]) -> None:
    logins.of_utmp(USER, ":0", ":0")
    assert logins.keyboard().used_s_ago() < 5
    logins.of_logind("c2", TYPE="x11")
    loginctl("exit 1")
    keys = logins.keyboard()
    for _ in range(20):
        assert keys.used_s_ago() < 5
    loginctl("exec sleep 60")
    for _ in range(5):
        assert keys.used_s_ago() < 5
    keys.close()
