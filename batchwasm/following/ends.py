"""Tasks of a run as they end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from batchwasm.core.events import Event, TasksRetried
from batchwasm.core.state import RUNNING, WAITING, State
from batchwasm.following.run import Following
from batchwasm.journal import Attempt
from batchwasm.model import JobName, Outcome
from batchwasm.reading import Kept, row_of
from batchwasm.rows import ResultRow

_UNTRIED = (Outcome.CANCELLED, Outcome.SKIPPED)
"""Outcomes without an attempt; a record of one that failed before says otherwise."""


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
