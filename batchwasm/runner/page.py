"""What a supervisor and one of its workers share: the page of memory between them, and the worker's settings.

The page says at any moment, without a message, what the worker is at: so the supervisor can judge a worker that
hangs or has died. One side writes a field, the other only reads it; each field is one aligned 8-byte word.
"""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass
from typing import NamedTuple

IDLE, STAGING, GUEST, COLLECTING, COMPILING = range(5)
"""Phases of a worker. A worker that dies in any but IDLE takes its current task down with it."""

GAVE_UP = 75
"""Exit code of a worker that reported its guest, which sleeps in the host and can't be ended, and went: nothing of it
is lost; tasks that it had not started are to be given back."""

_BATCH, _POSITION, _PHASE, _STARTED_NS, _REPORTED, _RECALL, _PAUSED_NS = range(7)
_SIZE_BYTES = 4096


@dataclass(frozen=True)
class WorkerSettings:
    """Where a worker finds things on its host; all paths are absolute."""

    cache: str
    """Folder with `wasm/DIGEST`, `files/DIGEST` (0444) and `native/`, perhaps on NFS and shared by many hosts."""
    scratch: str
    """Folder of this worker alone, on local disk; made when missing. Whoever forked the worker removes it."""
    locks: str
    """Folder on local disk that all workers of this host share: locks, so that only one compiles a module."""
    nice: int = 10
    """Added to the niceness: a guest must not slow down whoever sits at the machine."""


class PageView(NamedTuple):
    """What the page said, read once."""

    batch: int
    """The batch in hand; 0 is none yet. Stays after the batch's end, with phase IDLE."""
    position: int
    """Which of the batch's tasks is current, from 0: those before it are over (all of them perhaps not reported)."""
    phase: int
    started_ns: int
    """`now_ns` at the guest's start, or at that of COMPILING; 0 in other phases."""
    reported: int
    """How many tasks of the batch, from its first on, went out in Finished frames."""


class Page:
    """A shared page, made before the fork."""

    def __init__(self, fd: int = -1) -> None:
        """Anonymous; or of a file of at least a page, for two processes neither of which forked the other."""
        self._map = mmap.mmap(fd, _SIZE_BYTES)
        # A memoryview's item is stored and read with one 8-byte move, so neither side sees half a number.
        self._words = memoryview(self._map).cast("Q")

    def close(self) -> None:
        """Unmaps it on this side."""
        self._words.release()
        self._map.close()

    def now_ns(self) -> int:
        """The monotonic clock less all the time for which the worker was suspended: by this one guests are timed."""
        words = self._words
        while True:
            paused_ns = words[_PAUSED_NS]
            now_ns = time.monotonic_ns()
            if words[_PAUSED_NS] == paused_ns:  # else this worker was stopped between the two
                return now_ns - paused_ns

    def now(self) -> float:
        """The same in seconds."""
        return self.now_ns() / 1e9

    # ------------------------------------------------------------------------------------- the worker's side

    def begin(self, batch: int) -> None:
        """A batch was taken in hand."""
        words = self._words
        words[_PHASE] = IDLE
        words[_STARTED_NS] = words[_POSITION] = words[_REPORTED] = 0
        words[_BATCH] = batch

    def compile(self, now_ns: int) -> None:
        """The batch's module is being loaded, which may mean to compile it, or to wait for another who does."""
        self._words[_POSITION] = 0
        self._words[_STARTED_NS] = now_ns
        self._words[_PHASE] = COMPILING

    def stage(self, position: int) -> None:
        """The task at `position` is being prepared."""
        self._words[_STARTED_NS] = 0
        self._words[_POSITION] = position
        self._words[_PHASE] = STAGING

    def start(self, now_ns: int) -> None:
        """The guest of the current task starts now."""
        self._words[_STARTED_NS] = now_ns
        self._words[_PHASE] = GUEST

    def collect(self) -> None:
        """The guest is over, its outputs are being looked at."""
        self._words[_STARTED_NS] = 0
        self._words[_PHASE] = COLLECTING

    def rest(self) -> None:
        """Nothing of the current batch is under way any more."""
        self._words[_STARTED_NS] = 0
        self._words[_PHASE] = IDLE

    def report(self, count: int) -> None:
        """Rows of the batch's first `count` tasks are on the channel."""
        self._words[_REPORTED] = count

    def recalled(self, batch: int) -> bool:
        """True where the supervisor wants back what `batch` has not started."""
        return self._words[_RECALL] == batch

    # --------------------------------------------------------------------------------- the supervisor's side

    def recall(self, batch: int) -> None:
        """Ask the worker to give back what it has not started of `batch`."""
        self._words[_RECALL] = batch

    def pause(self, ns: int) -> None:
        """The worker was stopped for that long; said before it goes on."""
        self._words[_PAUSED_NS] += ns

    def read(self) -> PageView:
        """What the worker is at."""
        words = self._words
        return PageView(words[_BATCH], words[_POSITION], words[_PHASE], words[_STARTED_NS], words[_REPORTED])
