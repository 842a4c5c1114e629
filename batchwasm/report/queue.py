"""The queue over time: how many tasks wait, run, are done.

What ended in an attempt is known to the moment. What was cancelled, skipped or given up without one is not: it counts
from the event that decided it, or from the first failure of a job before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from batchwasm.core.events import JobAdded, RunPlanned, TasksAdded, TasksCancelled, TasksRetried, TasksWithdrawn, count
from batchwasm.core.state import State
from batchwasm.journal import Journal
from batchwasm.model import Outcome
from batchwasm.report import reading
from batchwasm.report.load import Load
from batchwasm.report.tally import Tally

KINDS = (RunPlanned, JobAdded, TasksAdded, TasksRetried)
DECIDING = (TasksCancelled, TasksWithdrawn)


def queue(state: State, tally: Tally, journal: Journal, upto: int) -> tuple[list[float], list[float], list[float]]:
    """Running, waiting and done, the mean of each bin of the axis."""
    axis, end = tally.axis, float(tally.axis.bins)
    there, done = Load(axis.bins), tally.done
    for at, event in reading.events(journal, KINDS, upto):
        match event:
            case RunPlanned():
                there.add(axis.place(at), end, sum(plan.tasks for plan in event.jobs))
            case JobAdded():
                there.add(axis.place(at), end, event.plan.tasks)
            case TasksAdded():
                there.add(axis.place(at), end, event.count)
            case TasksRetried():
                done.add(axis.place(at), end, -count(event.ranges))
            case _:
                pass
    decided = max((axis.place(at) for at, _ in reading.events(journal, DECIDING, upto)), default=end)
    for outcome, tasks, _, at in untold(state, tally):
        done.add(decided if outcome == Outcome.CANCELLED else at, end, tasks)
    running, ended = tally.running.means(), done.means()
    waiting = [max(0.0, all_ - run - end) for all_, run, end in zip(there.means(), running, ended, strict=True)]
    return running, waiting, ended


def untold(state: State, tally: Tally) -> Iterator[tuple[int, int, str, float]]:
    """Outcomes that are no attempt's own word: which, of how many tasks, why, and from when on as far as is known, in
    bins."""
    end = float(tally.axis.bins)
    cancelled, skipped, lost = (state.counts[outcome] for outcome in (Outcome.CANCELLED, Outcome.SKIPPED, Outcome.LOST))
    cancelled -= tally.ended.get(Outcome.CANCELLED, 0)
    lost -= tally.ended.get(Outcome.LOST, 0)
    if cancelled > 0:
        text = state.cancelled.text if state.cancelled is not None else "they were not wanted any more"
        yield Outcome.CANCELLED, cancelled, text, end
    if skipped > 0:
        for n, job in enumerate(state.jobs):
            if job.counts[Outcome.SKIPPED]:
                text = f"{job.plan.name}: something before it did not succeed"
                yield Outcome.SKIPPED, job.counts[Outcome.SKIPPED], text, _failed_before(state, tally, n)
    if lost > 0:
        yield Outcome.LOST, lost, "the host or worker was lost under them again and again", end


def _failed_before(state: State, tally: Tally, n: int) -> float:
    """When a task first failed of all that the job comes after."""
    seen, at = {n}, float(tally.axis.bins)
    todo = [after.job for after in state.jobs[n].plan.after]
    while todo:
        before = todo.pop()
        if before not in seen:
            seen.add(before)
            at = min(at, tally.first_failed.get(before, at))
            todo.extend(after.job for after in state.jobs[before].plan.after)
    return at
