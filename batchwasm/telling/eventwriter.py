"""Events on their way to who reads them: a file, a pipe or stdout. A run never waits for it, nor ends because of it.

The loop puts events into a queue of bounded size; a thread makes lines of them and writes them, as many at once as
there are. Where the reader is slower than the run, what does not fit into the queue is dropped, and a line says so.
Where it is gone, that is said once, and nothing more is written.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from batchwasm.core.events import Event, TasksFinished, TasksKnown, TasksWithdrawn
from batchwasm.engine.plan import Watcher
from batchwasm.errors import Problem, SpecError, WorldError
from batchwasm.model import MIB
from batchwasm.telling import eventlines
from batchwasm.telling.eventlines import dropped, lines, written

STDOUT = "-"
QUEUE_BYTES = 32 * MIB  # some 50,000 attempts of tasks that print little: minutes of a large run
TOGETHER = 256  # events that are written at once
LAST_WORDS_S = 5.0  # after the run, for a reader that takes nothing
LAST_WORDS_MOST_S = 60.0  # for one that is behind, and reads
PIECE_BYTES = 64 * 1024  # what a pipe holds: whether its reader goes on is seen as often
FULL_S = 1.0  # between two looks whether a full disk has room again
_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
_BAD_PATH = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO})


class _Item(NamedTuple):
    event: Event | None
    """None for some that were dropped: from row `first` to row `seq`, so many."""
    seq: int
    at: float
    weight: int
    first: int = 0
    dropped: int = 0


class _Gone(Exception):
    """Nothing can be written any more."""


class EventWriter(Watcher):
    """Raises SpecError or WorldError where `target`, a path or STDOUT, can't be opened.

    A file is appended to; a named pipe may have its reader later.
    """

    def __init__(self, target: str) -> None:
        self._target = "stdout" if target == STDOUT else target
        self._path = target
        self.run = ""
        self.jobs: Sequence[str] = ()
        """Names of the run and of its jobs, before its first event."""
        self._descriptor = _open(target)
        self._queue: deque[_Item] = deque()
        self._held = 0
        """Weight of what is queued or being written."""
        self._sent = 0
        """Bytes that were taken."""
        self._left_out: _Item | None = None
        """The last of those that were dropped and not told yet."""
        self._wake = threading.Condition()
        self._closing = threading.Event()
        self._broken = False
        self._warnings: deque[str] = deque()
        self._thread = threading.Thread(target=self._write_all, name="events", daemon=True)

    # ----------------------------------------------------------------------------------------- from the loop

    def opened(self) -> None:
        self._thread.start()

    def journaled(self, events: Sequence[Event], seq: int, at: float) -> None:
        with self._wake:
            if self._broken:
                return
            for number, event in enumerate(events, seq - len(events) + 1):
                self._put(_Item(event, number, at, _weight(event)))
            self._wake.notify()

    def warnings(self) -> list[str]:
        """What went wrong since this was asked last."""
        found = []
        with suppress(IndexError):
            while True:
                found.append(self._warnings.popleft())
        return found

    def close(self) -> None:
        """After the run's last event: waits a little for what is still to be written."""
        if self._closing.is_set():
            return
        self._closing.set()
        if self._thread.ident is None:  # the run never began
            if self._descriptor is not None:
                os.close(self._descriptor)
            return
        with self._wake:
            self._tell_dropped()
            self._wake.notify()
        self._await_reader()
        if self._thread.is_alive():
            with self._wake:
                self._broken = True
            self._warn("nobody reads it, or too slowly: the last events are left out")

    def _await_reader(self) -> None:
        until, before = time.monotonic() + LAST_WORDS_MOST_S, -1
        while self._thread.is_alive() and self._sent > before and time.monotonic() < until:
            before = self._sent
            self._thread.join(LAST_WORDS_S)

    def _put(self, item: _Item) -> None:
        room = QUEUE_BYTES if self._left_out is None else QUEUE_BYTES // 2  # not one line about each that is dropped
        if self._held and self._held + item.weight > room:
            before = self._left_out or item._replace(event=None, first=item.seq)
            self._left_out = before._replace(seq=item.seq, at=item.at, weight=0, dropped=before.dropped + 1)
            return
        self._tell_dropped()
        self._queue.append(item)
        self._held += item.weight

    def _tell_dropped(self) -> None:
        if self._left_out is not None:
            self._queue.append(self._left_out)
            self._left_out = None

    # ------------------------------------------------------------------------------------------- in its thread

    def _write_all(self) -> None:
        try:
            descriptor = self._opened()
            while items := self._next():
                self._write(descriptor, b"".join(map(self._text, items)))
                with self._wake:
                    self._held -= sum(item.weight for item in items)
        except _Gone as gone:
            with self._wake:
                self._broken = True
                self._queue.clear()
            self._warn(str(gone))
        finally:
            if self._descriptor is not None:
                os.close(self._descriptor)

    def _next(self) -> list[_Item]:
        """Waits for some; none where the run is over and all is written."""
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._closing.is_set())
            return [self._queue.popleft() for _ in range(min(TOGETHER, len(self._queue)))]

    def _text(self, item: _Item) -> bytes:
        if item.event is None:
            return written(dropped(self.run, item.first, item.seq, item.dropped, item.at))
        return b"".join(map(written, lines(item.event, item.seq, item.at, self.run, self.jobs)))

    def _write(self, descriptor: int, data: bytes) -> None:
        if os.isatty(descriptor):
            data = eventlines.for_terminal(data)
        rest, is_told = memoryview(data), False
        while rest:
            try:
                sent = os.write(descriptor, rest[:PIECE_BYTES])
                rest, self._sent = rest[sent:], self._sent + sent
            except BlockingIOError:
                select.select([], [descriptor], [], FULL_S)
            except OSError as error:
                full = error.errno in _ROOM
                if not full or self._closing.is_set():
                    self._cut(descriptor, data, len(data) - len(rest))
                    raise _Gone(_told(error)) from error
                if not is_told:
                    self._warn(f"{_told(error)}; it goes on when there is room")
                is_told = True
                self._closing.wait(FULL_S)

    def _opened(self) -> int:
        """Of a named pipe once it has a reader, which may take as long as the run."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC)
            except OSError as error:
                raise _Gone(_told(error)) from error
        return self._descriptor

    def _cut(self, descriptor: int, data: bytes, count: int) -> None:
        """Take back what was written of a line that will never be whole, where that can be."""
        torn = count - (data.rfind(b"\n", 0, count) + 1)
        with suppress(OSError):
            about = os.fstat(descriptor)
            if torn and stat.S_ISREG(about.st_mode):
                os.ftruncate(descriptor, about.st_size - torn)

    def _warn(self, text: str) -> None:
        self._warnings.append(f"warning: --events {self._target}: {text}; the run is not affected")


def _open(target: str) -> int | None:
    """None for a named pipe, where to open it is to wait for its reader."""
    if target == STDOUT:
        return os.dup(1)
    try:
        with suppress(FileNotFoundError):
            if stat.S_ISFIFO(os.stat(target).st_mode):
                if not os.access(target, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
                return None
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
    except OSError as error:
        text = f"{target}: {_told(error)}"
        if error.errno in _BAD_PATH:
            raise SpecError([Problem(file="", line=None, key="--events", text=text)]) from error
        raise WorldError(f"--events {text}") from error
    _end_line(target, descriptor)
    return descriptor


def _end_line(path: str, descriptor: int) -> None:
    """Behind a line that somebody's crash has cut, begin a new one."""
    about = os.fstat(descriptor)
    if stat.S_ISREG(about.st_mode) and about.st_size:
        with suppress(OSError), open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                os.write(descriptor, b"\n")


def _weight(event: Event) -> int:
    """About how many bytes of memory it holds."""
    match event:
        case TasksFinished() | TasksKnown():
            return sum(
                600
                + sum(map(len, (record.stdout or b"", record.stderr or b"", record.outputs or "", record.value or b"")))
                for record in event.records
            )
        case TasksWithdrawn():
            return 300 + 40 * len(event.tasks)
        case _:
            return 500


def _told(error: OSError) -> str:
    if error.errno == errno.EPIPE:
        return "who read it is gone; nothing more is written"
    return error.strerror or str(error)
