"""What comes of it when tasks that did not succeed shall run again. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from batchwasm.core import snapshot
from batchwasm.core.acts import RUN_AGAIN
from batchwasm.core.events import Ranges, TasksRetried
from batchwasm.core.state import RUNNING, WAITING, JobState, State
from batchwasm.model import Outcome


class Hit(NamedTuple):
    """What became of the tasks of one job."""

    job: str
    again: int
    """Those that wait again, also of what was skipped because of them."""
    skipped: int
    """Those that were asked for and stay as they are, since they come after others that did not succeed."""
    unfinished: int
    """Those that were asked for and wait or run anyway."""
    succeeded: int
    """Those that were asked for and did."""


class Again(NamedTuple):
    events: Sequence[TasksRetried]
    hits: Sequence[Hit]
    """Of each job that has to do with it."""


def have_again(state: State, chosen: Mapping[int, Ranges] | None, by: str) -> Again:
    """Of a run that is as `state` says, which stays so; `chosen` are tasks by the number of their job, or None for all
    that did not succeed."""
    asked = all_of(state) if chosen is None else chosen
    events = [
        TasksRetried(job=n, ranges=ranges, by=by) for n, ranges in asked.items() if _is_hit(state.jobs[n], ranges)
    ]
    after = snapshot.load(snapshot.dump(state)) if events else state
    for event in events:
        after.apply(event, state.last_at)
    named = {} if chosen is None else chosen
    hits = [_hit(job, after.jobs[n], named.get(n, ())) for n, job in enumerate(state.jobs)]
    return Again(events, [hit for hit in hits if any(hit[1:])])


def all_of(state: State) -> dict[int, Ranges]:
    """All tasks, by the number of their job."""
    return {n: ((0, job.plan.tasks),) for n, job in enumerate(state.jobs) if job.plan.tasks}


def _is_hit(job: JobState, ranges: Ranges) -> bool:
    return any(job.codes.count(code, *run) for code in RUN_AGAIN for run in ranges) or any(
        start <= task < stop for task in job.unwanted for start, stop in ranges
    )


def _hit(job: JobState, after: JobState, asked: Ranges) -> Hit:
    return Hit(
        job=job.plan.name,
        again=after.waiting - job.waiting + len(job.unwanted) - len(after.unwanted),
        skipped=sum(after.codes.count(Outcome.SKIPPED, *run) for run in asked),
        unfinished=sum(job.codes.count(code, *run) for run in asked for code in (WAITING, RUNNING)),
        succeeded=sum(job.codes.count(Outcome.SUCCEEDED, *run) for run in asked),
    )
