"""`--detach`: a command goes on in the background, in a process and a session of its own. There is no daemon.

The command that is typed starts itself again and waits until that one has its run in hand; all errors before that are
said by it in this terminal, and end this command with their exit code. From then on it speaks to `scheduler.log` in the
run folder, and nothing of the caller's is open in it: no terminal, no pipe.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from batchwasm.cli.progress import Plain
from batchwasm.escape import say, visible_text

if TYPE_CHECKING:
    from batchwasm.results import RunFolder

SCHEMA = "detach/1"
LOG_LIMIT_BYTES = 1024 * 1024  # a week of a line a minute; beyond it the older half goes
LOG_INTERVAL_S = 60.0  # between two lines about the tasks
_VARIABLE = "_BATCHWASM_DETACHED"
"""Tells the process in the background that it is the one: the descriptor where its caller waits for word."""


class Started(NamedTuple):
    """A run that goes on in the background."""

    folder: Path
    pid: int


def start(argv: Sequence[str], *, as_json: bool) -> int:
    """Have `batchwasm ARGV` go on in the background; the exit code of this command, which says what to do next."""
    started = _start(argv)
    if isinstance(started, int):
        return started
    from batchwasm.cli.render import print_json
    from batchwasm.results import RunFolder, reference

    folder, pid = started
    if as_json:
        print_json([{"schema": SCHEMA, "run": folder.name, "folder": str(folder), "pid": pid}])
    else:
        run = reference(RunFolder(path=folder), Path.cwd())
        say(f"run {folder.name} in {folder}")
        say(f"it goes on in the background, as process {pid}; from any terminal:")
        for command in ("status", "logs -f TASK", "results -f", "wait"):
            say(f"  batchwasm {command} -r {run}")
    return 0


def _start(argv: Sequence[str]) -> Started | int:
    """The exit code where it ended before it had a run in hand."""
    here, there = os.pipe()
    with open(here, "rb") as word:
        try:
            process = subprocess.Popen(  # cwd, umask and environment are kept, as are stdout and stderr until it starts
                [*program(), *argv],
                stdin=subprocess.DEVNULL,
                env={**os.environ, _VARIABLE: str(there)},
                pass_fds=(there,),
                start_new_session=True,
            )
        finally:
            os.close(there)
        try:
            said = word.read()
        except KeyboardInterrupt:  # its own session does not get it; it stops in order
            process.terminate()
            process.wait()
            raise
    if said:
        process.returncode = 0  # it is not ours to wait for
        return Started(Path(os.fsdecode(said)), process.pid)
    code = process.wait()
    return code if code >= 0 else 128 - code


def program() -> list[str]:
    """This program as it was started, without its arguments: another way may find another installation."""
    before = len(sys.orig_argv) - len(sys.argv) + 1
    return [sys.executable, *sys.orig_argv[1:before]]


def enter(*, as_json: bool, shown: Callable[[Path], int] | None = None) -> Background:
    """For a command that is to be detached: in the process in the background how it speaks to its caller; here it ends
    the command (click.exceptions.Exit) once that process has its run in hand, or has failed. `shown` shows the run
    first, and gives the exit code."""
    background = Background.here()
    if background is not None:
        return background
    if shown is None:
        raise click.exceptions.Exit(start(sys.argv[1:], as_json=as_json))
    started = _start(sys.argv[1:])
    raise click.exceptions.Exit(started if isinstance(started, int) else shown(started.folder))


def is_background() -> bool:
    """Whether this process was detached, before that is asked by `enter`."""
    return _VARIABLE in os.environ


class Background:
    """In the process in the background: the way back to who waits for word."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def here(cls) -> Background | None:
        """None in a process that nobody detached. Asked once."""
        descriptor = os.environ.pop(_VARIABLE, None)  # what we start is not meant
        if descriptor is None:
            return None
        os.set_inheritable(int(descriptor), False)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return cls(int(descriptor))

    def take_over(self, folder: RunFolder) -> None:
        """The run is in hand: let go of the terminal, and of the caller. Raises OSError where there can be no log."""
        log = os.open(folder.scheduler_log, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number in (1, 2):
            os.dup2(log, number)
        os.close(log)
        with suppress(BrokenPipeError):  # who waited was killed; the run has begun
            os.write(self._descriptor, os.fsencode(folder.path))
        os.close(self._descriptor)


class Log(Plain):
    """What happens in a run as lines of a bounded file, each with its time: stderr, once that is the log."""

    def __init__(self) -> None:
        super().__init__(sys.stderr, interval_s=LOG_INTERVAL_S)
        self.is_ours = False
        """stderr is the log by now, and no file of the caller's."""

    def note(self, text: str) -> None:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        text = visible_text(text)  # it is a file, and read on terminals
        super().note("\n".join(f"{stamp} {line}" for line in text.splitlines() or [""]))
        descriptor = self._stream.fileno()
        if self.is_ours and os.fstat(descriptor).st_size > LOG_LIMIT_BYTES:
            _halve(descriptor)


def _halve(descriptor: int) -> None:
    """Drop the older half of a log, at the end of a line."""
    size = os.fstat(descriptor).st_size
    kept = os.pread(descriptor, size - size // 2, size // 2)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, b"... what was before is dropped\n" + kept.partition(b"\n")[2])
