"""When somebody last used this machine: the terminals of who is logged in, and what desktops tell logind.

A login without a terminal, such as the one over which we came ourselves, is nobody at the keyboard.
"""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

NOBODY = float("inf")
ASK_S = 5.0
"""Between two questions to logind, which start a process, and for how long an answer is waited for."""
_HEAD = struct.Struct("=hxxi32s4s32s256s")  # type, process, line, id, user, host: the beginning of an utmp record
_USER_PROCESS = 7
_TIME64 = {"aarch64": 400, "riscv64": 400, "s390x": 400, "loongarch64": 400}  # where a record's time has 64 bits
_RECORD_BYTES = _TIME64.get(os.uname().machine, 384)
_DESKTOPS = ("x11", "wayland", "mir")


class _Login(NamedTuple):
    line: str
    """Its terminal below /dev; '' where it has none."""
    desktop: bool


class Keyboard:
    """Ask it every second or so."""

    def __init__(
        self,
        utmp: Sequence[str] = ("/run/utmp", "/var/run/utmp"),
        sessions: str = "/run/systemd/sessions",
        dev: str = "/dev",
    ) -> None:
        self._utmp, self._sessions, self._dev = utmp, sessions, dev
        self._asked: subprocess.Popen[bytes] | None = None
        self._asked_at = float("-inf")
        self._desktop_s: float = 0.0
        """What desktops said last, as unix time of the last use; 0 until they did."""
        self._told = False

    @property
    def known(self) -> bool:
        """False where this system tells nothing of who is logged in."""
        return os.path.isdir(self._sessions) or any(map(os.path.exists, self._utmp))

    def used_s_ago(self) -> float:
        """NOBODY where nobody is logged in."""
        now = time.time()
        desktops = self._desktops()
        logins = list(self._logins())
        times = [self._touched(login.line) for login in logins if not login.desktop]
        if desktops:
            self._ask(desktops, now)
            times.append(self._desktop_s if self._told else now)
        elif any(login.desktop for login in logins):
            times.append(now)  # there is one, and nobody to tell whether it is used
        newest = max(times, default=0.0)
        return max(0.0, now - newest) if newest else NOBODY

    def close(self) -> None:
        """Ends a question that is under way."""
        if self._asked is not None:
            self._asked.kill()
            self._asked.communicate()
            self._asked = None

    # ------------------------------------------------------------------------------------------- terminals

    def _logins(self) -> Iterator[_Login]:
        for path in self._utmp:
            try:
                with open(path, "rb") as file:
                    records = file.read()
            except OSError:
                continue
            for at in range(0, len(records) - _RECORD_BYTES + 1, _RECORD_BYTES):
                kind, _, line, _, _, host = _HEAD.unpack_from(records, at)
                if kind == _USER_PROCESS:
                    where, display = _text(line), _text(host)
                    yield _Login(where, where.startswith(":") or display.startswith(":"))
            break
        for session in self._files():
            if session.get("TTY") and session.get("TYPE") not in _DESKTOPS:
                yield _Login(session["TTY"], False)

    def _touched(self, line: str) -> float:
        """Unix time of what was last typed at a terminal; 0 where it is gone."""
        if not line or ".." in line.split("/"):
            return 0.0
        try:
            return os.stat(os.path.join(self._dev, line)).st_atime
        except OSError:
            return 0.0

    # -------------------------------------------------------------------------------------------- desktops

    def _files(self) -> Iterator[dict[str, str]]:
        """logind's own notes on its sessions."""
        try:
            names = sorted(os.listdir(self._sessions))
        except OSError:
            return
        for name in names:
            fields = dict(line.partition("=")[::2] for line in _regular_file(f"{self._sessions}/{name}").splitlines())
            if fields.get("CLASS") == "user" and fields.get("STATE") != "closing":
                yield {**fields, "": name}

    def _desktops(self) -> list[str]:
        return [session[""] for session in self._files() if session.get("TYPE") in _DESKTOPS]

    def _ask(self, sessions: Sequence[str], now: float) -> None:
        """Starts a question to logind, or takes its answer; waits for neither."""
        asked, since = self._asked, time.monotonic()
        if asked is None:
            if since - self._asked_at >= ASK_S:
                self._asked_at = since
                command = ["loginctl", "show-session", *sessions, "-p", "IdleHint", "-p", "IdleSinceHint"]
                try:
                    self._asked = subprocess.Popen(
                        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                    )
                except OSError:
                    self._told = False
        elif asked.poll() is not None:
            self._told, self._desktop_s = _last_use(asked.communicate()[0].decode(errors="replace"), now)
            self._asked = None
        elif since - self._asked_at >= ASK_S:
            self._told = False
            self.close()


def _last_use(answer: str, now: float) -> tuple[bool, float]:
    """Whether it is an answer, and the unix time of the last use of any session in it."""
    times = []
    for block in answer.split("\n\n"):
        fields = dict(line.partition("=")[::2] for line in block.splitlines())
        since = fields.get("IdleSinceHint", "")
        if "IdleHint" in fields:
            times.append(int(since) / 1e6 if fields["IdleHint"] == "yes" and since.isdigit() else now)
    return bool(times), max(times, default=0.0)


def _regular_file(path: str) -> str:
    """'' for what is none: logind has pipes there, too, on which an open would wait."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with open(fd, encoding="utf-8", errors="replace") as file:
        return file.read() if stat.S_ISREG(os.fstat(fd).st_mode) else ""


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")
