"""A real terminal (a pty) that commands write to, and what it got."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def on_a_terminal(
    *command: str,
    cwd: Path,
    columns: int = 100,
    env: Mapping[str, str] | None = None,
    streams: str = "out err",
    typed: str | None = None,
    answers: Sequence[tuple[str, str]] = (),
    controlling: bool = False,
    program: Sequence[str] = (sys.executable,),
) -> tuple[int, str]:
    """Run `*program *command`, Python by default, with stdout and/or stderr on a terminal; its exit code and all that
    was written there.

    What is `typed` waits there as its stdin, and is shown too; without it stdin is empty. Each of `answers` is typed
    once its question was written: for what throws away what was typed too early, as who asks for a password does.
    Where it is `controlling`, a Ctrl-C that is typed interrupts, and it can be opened as /dev/tty.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **(env or {})}
    process = subprocess.Popen(
        [*program, *command],
        cwd=cwd,
        stdin=subprocess.DEVNULL if typed is None and not answers else follower,
        stdout=follower if "out" in streams else subprocess.DEVNULL,
        stderr=follower if "err" in streams else subprocess.DEVNULL,
        env=environment,
        start_new_session=controlling,
        preexec_fn=(lambda: fcntl.ioctl(follower, termios.TIOCSCTTY, 0)) if controlling else None,
    )
    os.close(follower)
    if typed is not None:
        os.write(leader, typed.encode())
    written = b"".join(_answered(leader, question, answer) for question, answer in answers) + read_all(leader)
    return process.wait(60), written.decode().replace("\r\n", "\n")


def _answered(leader: int, question: str, answer: str) -> bytes:
    written = b""
    while question.encode() not in written and (chunk := _read(leader)):
        written += chunk
    os.write(leader, answer.encode())
    return written


def read_all(leader: int) -> bytes:
    """All that is written to a terminal until the last writer closes it; closes this end."""
    written = b""
    while chunk := _read(leader):
        written += chunk
    os.close(leader)
    return written


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux says EIO when the last writer has closed a terminal
        return b""
