"""What commands with --follow share: the pauses between two looks at a run, and what is said meanwhile."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Iterator

from batchwasm.escape import say
from batchwasm.following import LOOK_S, PATIENCE_S, Following


class Looks:
    """Iterates as long as a run may have news. What was printed is out before each pause.

    Raises BrokenPipeError when nobody reads stdout any more, at once and not at the next line.
    """

    def __init__(self, run: Following) -> None:
        self._run = run
        self._told_gone = False

    def __iter__(self) -> Iterator[None]:
        yield from self._run.until_over(self._pause)

    def _pause(self) -> None:
        sys.stdout.flush()
        if self._run.is_gone != self._told_gone:
            self._told_gone = self._run.is_gone
            self._tell()
        _nap(LOOK_S)

    def _tell(self) -> None:
        name = self._run.folder.name
        if self._told_gone:
            say(
                f"the scheduler of {name} ended without a word; 'batchwasm resume' takes the run in hand again, "
                f"which is waited for {PATIENCE_S:.0f} s"
            )
        else:
            say(f"{name} goes on")


def _nap(seconds: float) -> None:
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):  # a test's own
        time.sleep(seconds)
        return
    poll = select.poll()
    poll.register(descriptor, 0)  # asked for nothing, it still tells of an end without a reader
    if any(what & (select.POLLERR | select.POLLHUP) for _, what in poll.poll(seconds * 1000)):
        raise BrokenPipeError(os.strerror(32))
