"""A run that goes on, read by another process as it goes: what is new since the last look, and when it is over.

A look costs 0.1 ms and what there is to read; nothing is asked of the scheduler.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from types import TracebackType

from batchwasm.asking import is_alive
from batchwasm.core.events import Event, TasksRetried
from batchwasm.core.state import RUNNING, WAITING, State
from batchwasm.journal import Attempt, Journal, Known
from batchwasm.model import JobName, Outcome
from batchwasm.reading import Kept, row_of
from batchwasm.results import RunFolder
from batchwasm.rows import ResultRow

LOOK_S = 0.25  # between two looks: a person sees no delay
LIFE_S = 1.0  # between two looks whether its scheduler lives
BIRTH_S = 10.0  # so long a journal may be empty before its scheduler counts as dead
PATIENCE_S = 60.0  # for a scheduler that died: long enough for a person or a program that takes its run in hand again
_LAST_WORDS = ("RunFinished", "RunStopped")
_UNTRIED = (Outcome.CANCELLED, Outcome.SKIPPED)
"""Outcomes without an attempt; a record of one that failed before says otherwise."""


class Following:
    """A run's journal, open for as long as one looks on. Raises RunError, WorldError where it can't be read."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
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
        self._known = self.journal.caught_up(self._known, hear)
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


class Ends:
    """Tasks of a run as they end: each once for each time that it did, since a person may have it tried again."""

    def __init__(self, run: Following) -> None:
        self._run = run
        self._row = 0
        """Of the journal's attempts: all up to it were looked at."""
        self._told: list[bytearray] = []
        """Of each job a byte a task: 1 where its end was told."""

    def look(self) -> Iterator[tuple[State, int, int, Attempt | None]]:
        """(state, job, task, attempt) of those that ended since the last look, in their order; None where it ended
        without one. The first time that is all that have ended."""
        state, _, upto = self._run.look(self._hear)
        self._make_room(state)
        for attempt in self._run.journal.ended(self._row, upto):
            n, task = attempt.job, attempt.record.task
            code = state.jobs[n].codes[task]
            if code not in (WAITING, RUNNING) and (code not in _UNTRIED or code == attempt.record.outcome):
                self._told[n][task] = 1
                yield state, n, task, attempt
        self._row = upto
        for n, job in enumerate(state.jobs):
            told = self._told[n]
            if told.count(1) < job.plan.tasks - job.waiting - job.running:
                for task, code in enumerate(job.codes):
                    if not told[task] and code not in (WAITING, RUNNING):
                        told[task] = 1
                        yield state, n, task, None

    def _hear(self, event: Event) -> None:
        state = self._run.state
        if isinstance(event, TasksRetried) and state is not None:  # else nothing was told yet
            self._make_room(state)
            for told, job in zip(self._told, state.jobs, strict=True):
                for task, code in enumerate(job.codes):
                    if code in (WAITING, RUNNING):
                        told[task] = 0

    def _make_room(self, state: State) -> None:
        """Jobs and tasks may be added while a run goes on."""
        self._told += [bytearray() for _ in state.jobs[len(self._told) :]]
        for told, job in zip(self._told, state.jobs, strict=True):
            told += bytes(job.plan.tasks - len(told))


def results(
    run: Following,
    looks: Iterable[None],
    *,
    job: JobName | None = None,
    index: int | None = None,
    outcome: Sequence[str] = (),
) -> Iterator[ResultRow]:
    """Rows of tasks as they end, at each of `looks`; those that have ended first. With `index` until that one ended."""
    ends, kept = Ends(run), None
    for _ in looks:
        for state, n, task, attempt in ends.look():
            if job not in (None, state.jobs[n].plan.name) or index not in (None, task):
                continue
            kept = kept or Kept(run.folder)
            row = row_of(run.folder, kept, state, n, task, attempt)
            if not outcome or row.outcome in outcome:
                yield row
            if index is not None:
                return


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
