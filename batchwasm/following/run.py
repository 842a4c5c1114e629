"""A run's journal, read again and again while its scheduler writes it; when the run is over.

A look costs 0.1 ms and what there is to read; nothing is asked of the scheduler.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType

from batchwasm.asking import is_alive
from batchwasm.core.events import Event
from batchwasm.core.state import State
from batchwasm.journal import Journal, Known
from batchwasm.results import RunFolder

LOOK_S = 0.25  # between two looks: a person sees no delay
LIFE_S = 1.0  # between two looks whether its scheduler lives
BIRTH_S = 10.0  # so long a journal may be empty before its scheduler counts as dead
PATIENCE_S = 60.0  # for a scheduler that died: long enough for a person or a program that takes its run in hand again
_LAST_WORDS = ("RunFinished", "RunStopped")


class Following:
    """A run's journal, open for as long as one looks on. Raises RunError, WorldError where it can't be read."""

    def __init__(self, folder: RunFolder, *, may_jump: bool = False) -> None:
        """With `may_jump` a look at which nobody hears the events costs little however much happened since the last:
        the state may be another object then."""
        self.folder = folder
        self._may_jump = may_jump
        self.journal = Journal.open(folder.journal, read_only=True)
        self._known: Known | None = None
        self._look_at = 0.0
        self._gone_since: float | None = None

    def __enter__(self) -> Following:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.journal.close()

    def look(self, hear: Callable[[Event], None] | None = None) -> Known:
        """What is known now; `hear` is told each event since the last look, after which the state is as it was then."""
        self._known = self.journal.caught_up(self._known, hear, may_jump=self._may_jump and hear is None)
        return self._known

    def is_over(self, patience_s: float = 0.0) -> bool:
        """Whether it came to its end, or its scheduler died without a word, `patience_s` ago: another may take over.

        All that a `look` after it sees is all there is.
        """
        if self.journal.last() in _LAST_WORDS:
            return True
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + LIFE_S
        if self._lives():
            self._gone_since = None
            return False
        if self.journal.last() in _LAST_WORDS:  # they were its last ones
            return True
        self._gone_since = now if self._gone_since is None else self._gone_since
        return now >= self._gone_since + patience_s

    def until_over(self, pause: Callable[[], None]) -> Iterator[None]:
        """Each time that a look may be worth it, with a `pause` before the next; for the last time when it is over."""
        while not self.is_over(PATIENCE_S):
            yield
            pause()
        yield

    @property
    def state(self) -> State | None:
        """As of the last look; None before the first."""
        return None if self._known is None else self._known.state

    @property
    def known(self) -> Known | None:
        """The same with its place in the journal."""
        return self._known

    @property
    def is_gone(self) -> bool:
        """Whether its scheduler was dead when that was last looked at."""
        return self._gone_since is not None

    def _lives(self) -> bool:
        held = self.folder.is_held()
        if held:
            return True
        state = self.journal.state()
        if state.opened is None:
            with suppress(OSError):
                return time.time() - self.folder.journal.stat().st_mtime < BIRTH_S
        return is_alive(held, state)


def wait(folder: RunFolder, *, timeout_s: float | None = None, watch: Callable[[State], None] | None = None) -> bool:
    """Until the run is over; False where it still goes on after `timeout_s`. `watch` is shown the state now and then.

    Without it the journal is hardly read: a run of a million tasks goes on as fast.
    """
    give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
    with Following(folder) as run:
        while not run.is_over():
            if watch is not None:
                watch(run.look().state)
            left_s = LOOK_S if give_up_at is None else min(LOOK_S, give_up_at - time.monotonic())
            if left_s <= 0:
                return False
            time.sleep(left_s)
    return True
