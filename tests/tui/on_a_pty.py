"""A command with a terminal of its own, kept open: what it writes is counted, keys are typed."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path

from tests.command import ROOT

PATIENCE_S = 60.0
QUIET_S = 1.5  # longer than between two looks, and two ticks of a clock


class Screen:
    """`python -m batchwasm ARGS` on a terminal of 100 x 30."""

    def __init__(self, *args: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "batchwasm", *args],
            cwd=cwd,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            start_new_session=True,
            env={**inherited, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **(env or {})},
        )
        os.close(follower)
        self.written = b""

    @property
    def said(self) -> str:
        """All that it wrote, without escape sequences."""
        return re.sub(
            r"\x1b(\[[0-9;?<>=$u]*[a-zA-Z]|\][^\x07]*\x07|[P_][^\x1b]*\x1b\\)", "", self.written.decode(errors="ignore")
        )

    def read(self, wait_s: float) -> bytes:
        """What comes within `wait_s`, at once when something does."""
        ready, _, _ = select.select([self._leader], [], [], wait_s)
        if not ready:
            return b""
        try:
            found = os.read(self._leader, 65536)
        except OSError:  # nobody has it open any more
            found = b""
        self.written += found
        return found

    def until(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.said:
            assert time.monotonic() < deadline, f"{text!r} does not come:\n{self.said[-3000:]}"
            assert self.read(1.0) or self.process.poll() is None, f"it ended:\n{self.said[-3000:]}"

    def until_quiet(self) -> None:
        """Until it has written nothing for QUIET_S."""
        deadline = time.monotonic() + PATIENCE_S
        while self.read(QUIET_S):
            assert time.monotonic() < deadline

    def within(self, seconds: float) -> bytes:
        """What it writes in that time."""
        before, deadline = len(self.written), time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            self.read(left_s)
        return self.written[before:]

    def type(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    def end(self) -> int:
        """Its exit code, once it has ended by itself."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            self.read(0.1)
            assert time.monotonic() < deadline, self.said[-3000:]
        while self.read(0.1):
            pass
        self.close()
        return self.process.returncode

    def close(self) -> None:
        """As a terminal that is closed: who is on it is sent a SIGHUP."""
        if self._leader >= 0:
            os.close(self._leader)
            self._leader = -1

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
