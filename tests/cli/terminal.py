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
) -> tuple[int, str]:
    """Run `python *command` with stdout and/or stderr on a terminal; its exit code and all that was written there.

    What is `typed` waits there as its stdin, and is shown too; without it stdin is empty.
    """
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **(env or {})}
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        stdin=subprocess.DEVNULL if typed is None else follower,
        stdout=follower if "out" in streams else subprocess.DEVNULL,
        stderr=follower if "err" in streams else subprocess.DEVNULL,
        env=environment,
    )
    os.close(follower)
    if typed is not None:
        os.write(leader, typed.encode())
    written = read_all(leader)
    return process.wait(60), written.decode().replace("\r\n", "\n")


def asked_on_a_terminal(command: Sequence[str], *, cwd: Path, question: str, answer: str) -> tuple[int, str]:
    """Run it with a terminal of its own, which it may also open as /dev/tty; the question is answered when it comes."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(follower)
    written, answered = b"", False
    while chunk := _read(leader):
        written += chunk
        if not answered and question.encode() in written:
            os.write(leader, f"{answer}\n".encode())
            answered = True
    os.close(leader)
    return process.wait(60), written.decode().replace("\r\n", "\n")


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
