"""The queue over time: how many tasks wait, run, are done.

What ended in an attempt is known to the moment. What was cancelled, skipped or given up without one is not: it counts
from the event that decided it, or from the first failure of a job before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from batchwasm.core.events import JobAdded, RunPlanned, TasksAdded, TasksCancelled, TasksWithdrawn
from batchwasm.core.state import State
from batchwasm.journal import Journal
from batchwasm.model import Outcome
from batchwasm.report import reading
from batchwasm.report.load import Load
from batchwasm.report.tally import Tally

KINDS = (RunPlanned, JobAdded, TasksAdded)
DECIDING = (TasksCancelled, TasksWithdrawn)


class Without(NamedTuple):
    """Tasks that ended without an attempt's own word."""

    outcome: Outcome
    tasks: int
    text: str
    at: float
    """From when on as far as is known, in bins."""


def queue(
    tally: Tally, journal: Journal, upto: int, without: Iterable[Without]
) -> tuple[list[float], list[float], list[float]]:
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
            case _:
                pass
    decided = max((axis.place(at) for at, _ in reading.events(journal, DECIDING, upto)), default=end)
    for each in without:
        done.add(decided if each.outcome == Outcome.CANCELLED else each.at, end, each.tasks)
    running, ended = tally.running.means(), done.means()
    waiting = [max(0.0, all_ - run - end) for all_, run, end in zip(there.means(), running, ended, strict=True)]
    return running, waiting, ended


def untold(state: State, tally: Tally) -> Iterator[Without]:
    """What did: a few words for what was cancelled or lost, then one for each job of which tasks were skipped."""
    end = float(tally.axis.bins)
    cancelled = state.counts[Outcome.CANCELLED] - tally.ended.get(Outcome.CANCELLED, 0)
    lost = state.counts[Outcome.LOST] - tally.ended.get(Outcome.LOST, 0)
    if cancelled > 0:
        text = state.cancelled.text if state.cancelled is not None else "they were not wanted any more"
        yield Without(Outcome.CANCELLED, cancelled, text, end)
    if lost > 0:
        yield Without(Outcome.LOST, lost, "the host or worker was lost under them again and again", end)
    if state.counts[Outcome.SKIPPED]:
        failed_at = _failed_before(state, tally)
        for n, job in enumerate(state.jobs):
            if job.counts[Outcome.SKIPPED]:
                text = f"{job.plan.name}: something before it did not succeed"
                yield Without(Outcome.SKIPPED, job.counts[Outcome.SKIPPED], text, failed_at.get(n, end))


def _failed_before(state: State, tally: Tally) -> dict[int, float]:
    """When a task first failed of all that a job comes after, by job. Earlier failures go first, so that each job is
    reached once."""
    found: dict[int, float] = {}
    for first, at in sorted(tally.first_failed.items(), key=lambda item: item[1]):
        todo = [first]
        while todo:
            for n, _ in state.dependents[todo.pop()]:
                if n not in found:
                    found[n] = at
                    todo.append(n)
    return found
