"""The scheduler: events in, decisions out (events too), told the time. No I/O, no clock, no chance.

    scheduler.observe(event, now)       for each event, in order
    decisions = scheduler.decide(now)   once, when there is no more news

Decisions are applied already when they are returned; the caller journals events and decisions, then acts on them.
`wake_at` says when to call again with no event at all.
"""

from __future__ import annotations

from collections.abc import Sequence

from batchwasm.core import placement
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    BatchRecalled,
    Event,
    HostJoined,
    HostLeft,
    JobAdded,
    Record,
    RunFinished,
    RunOpened,
    TasksAdded,
    TasksCancelled,
    TasksFinished,
    TasksReturned,
    TasksWithdrawn,
    batch_id,
)
from batchwasm.core.state import Batch, State
from batchwasm.model import Outcome

RECALL_S = 0.25  # a batch holds about 15 ms of work: one that is still here after this was misjudged
LOOK_S = 0.05  # between two looks at all batches, however much happens: the look costs by the number of batches


class Scheduler:
    """One life of a scheduler over a run's state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.wake_at: float | None = None
        self._batch = 0
        self._open: set[str] = set()
        """Hosts that may have room: all others were tried since they last changed."""
        self._looked_at = float("-inf")
        self._doubtful: set[int] = set()
        """Batches with tasks in them that were withdrawn."""

    def observe(self, event: Event, now: float) -> None:
        """Make `event` true. `now` is unix time in seconds."""
        self._note_room(event)
        self.state.apply(event, now)

    def decide(self, now: float) -> list[Event]:
        """What follows from all that was observed."""
        decisions: list[Event] = []
        self._give_up(decisions, now)
        self._stop_unwanted(decisions, now)
        self._place(decisions, now)
        self._recall(decisions, now)
        if self.state.run and self.state.done and not self.state.open and not self.state.finished:
            self._decide(RunFinished(), decisions, now)
        return decisions

    def batch_of(self, host: str, batch_id: int) -> Batch | None:
        """The batch, where `host` has it: not one that was given up, nor another host's."""
        batch = self.state.batches.get(batch_id)
        return batch if batch is not None and batch.host == host else None

    def awaits(self, batch: Batch, task: int, number: int) -> bool:
        """Whether this attempt is still waited for."""
        return task in batch.remaining and number == self.state.jobs[batch.job].number(task)

    def admit(self, host: str, batch_id: int, records: Sequence[Record]) -> TasksFinished | None:
        """What of a host's report is news: attempts that are still waited for, each with its final word on `final`.

        Late, repeated and forged ones are dropped here, before they reach the journal.
        """
        batch = self.batch_of(host, batch_id)
        if batch is None:
            return None
        queued_s = max(0.0, batch.placed_at - self.state.jobs[batch.job].ready_at)
        fresh: dict[int, Record] = {}
        for record in records:
            if self.awaits(batch, record.task, record.number) and record.task not in fresh:
                final = record.outcome != Outcome.LOST or self.state.loses_for_good(batch, record.task)
                # Not by _replace, which takes three times as long and is done for every task.
                fresh[record.task] = Record._make((*record[:3], final, *record[4:6], queued_s, *record[7:]))
        if not fresh:
            return None
        return TasksFinished(batch=batch_id, job=batch.job, host=batch.host, records=list(fresh.values()))

    def _note_room(self, event: Event) -> None:
        match event:
            case TasksFinished():
                if event.batch in self.state.batches:
                    self._open.add(self.state.batches[event.batch].host)
            case HostJoined():
                self._open.add(event.host)
            case TasksReturned() | HostLeft() | ArtifactBuilt() | RunOpened() | TasksAdded() | JobAdded():
                self._open.update(self.state.hosts)  # tasks are ready that were not
            case TasksWithdrawn():
                self._doubtful |= {b.id for b in self.state.batches.values() if b.job == event.job}
            case _:
                pass

    def _decide(self, event: Event, decisions: list[Event], now: float) -> None:
        self.state.apply(event, now)
        decisions.append(event)

    def _give_up(self, decisions: list[Event], now: float) -> None:
        state = self.state
        limit = 1 if state.fail_fast else state.max_failures
        if limit is None or state.cancelled is not None or state.failures < limit:
            return
        if state.fail_fast:
            cancelled = TasksCancelled(
                code="fail_fast", text="another task failed, and --fail-fast was given", running=True
            )
        else:
            text = f"{state.failures} tasks failed, and max_failures is {limit}"
            cancelled = TasksCancelled(code="max_failures", text=text, running=False)
        self._decide(cancelled, decisions, now)

    def _place(self, decisions: list[Event], now: float) -> None:
        if self._open:
            for placed in placement.place(self.state, self._open, iter(self._next_batch, None)):
                self._decide(placed, decisions, now)
            self._open.clear()

    def _next_batch(self) -> int:
        self._batch += 1
        return batch_id(self.state.incarnation, self._batch)

    def _stop_unwanted(self, decisions: list[Event], now: float) -> None:
        """Stop batches of which nothing is wanted any more, and those that are held up by a task that is not.

        What was wanted in them waits again. A worker gives back the rest of a batch only between two tasks: the one
        that runs is the first without a result.
        """
        self.wake_at = None
        for id_ in sorted(self._doubtful):
            batch = self.state.batches.get(id_)
            unwanted = self.state.jobs[batch.job].unwanted if batch is not None else set[int]()
            if batch is None or not batch.remaining.keys() & unwanted:
                self._doubtful.discard(id_)
            elif self.state.is_unwanted(batch) or self._holds_up(batch, unwanted, now):
                self._doubtful.discard(id_)
                self._open.update(self.state.hosts)
                self._decide(BatchGivenUp(batch=id_, job=batch.job, host=batch.host), decisions, now)

    def _holds_up(self, batch: Batch, unwanted: set[int], now: float) -> bool:
        """Whether the batch should be over by now, and is at a task that was withdrawn."""
        if next(iter(batch.remaining)) not in unwanted:
            return False
        if now < batch.placed_at + RECALL_S:
            self._wake(batch.placed_at + RECALL_S)
            return False
        return True

    def _wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def _recall(self, decisions: list[Event], now: float) -> None:
        """Take back what waits behind a long task of its own batch while a slot is idle."""
        ending = {n for n, job in enumerate(self.state.jobs) if job.running and not job.waiting}
        if not ending:
            return  # the usual case, and it must not cost a look at every batch
        if now < self._looked_at + LOOK_S:
            self._wake(self._looked_at + LOOK_S)
            return
        behind = [b for b in self.state.batches.values() if b.job in ending and len(b.remaining) > 1 and not b.recalled]
        if not behind:
            return
        self._looked_at = now
        idle = {n for n in {batch.job for batch in behind} if placement.has_idle_slot(self.state, n)}
        for batch in behind:
            if now - batch.placed_at < RECALL_S:
                self._wake(batch.placed_at + RECALL_S)
            elif batch.job in idle:
                self._decide(BatchRecalled(batch=batch.id), decisions, now)
