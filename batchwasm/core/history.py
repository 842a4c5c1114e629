"""Attempts of a task that left no report: where they ran and why nobody heard of their end. Pure.

What ended by itself has its record. A host that went away took its attempts with it, and an attempt whose task had its
result from another one was stopped: of these only the events tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from batchwasm.core.events import (
    BatchGivenUp,
    BatchPlaced,
    Event,
    HostAway,
    HostJoined,
    HostLeft,
    Ranges,
    RunOpened,
    RunStopped,
    TasksCancelled,
    TasksRetried,
    TasksReturned,
    TasksWithdrawn,
    incarnation_of,
)

_OF_BATCHES = (BatchPlaced, TasksReturned, BatchGivenUp, HostAway, HostLeft, HostJoined, RunOpened, RunStopped)
KINDS = (*_OF_BATCHES, TasksCancelled, TasksWithdrawn, TasksRetried)
"""Events that it wants; of BatchPlaced those of the task's job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unheard:
    """An attempt without a report."""

    number: int
    host: str
    placed_at: float
    ended_at: float
    lost: bool
    """Else it was stopped."""
    text: str


@dataclass(slots=True)
class _Open:
    """An attempt that may still run."""

    number: int
    host: str
    placed_at: float

    def closed(self, at: float, lost: bool, text: str) -> Unheard:
        return Unheard(number=self.number, host=self.host, placed_at=self.placed_at, ended_at=at, lost=lost, text=text)


def unheard(events: Iterable[tuple[float, Event]], job: int, task: int, recorded: Mapping[int, int]) -> list[Unheard]:
    """Of one task. `events` are those of KINDS, in order, each with its time; `recorded` has the number of the attempt
    by the batch of each that has a record."""
    found: list[Unheard] = []
    there: dict[int, _Open] = {}
    connected: set[str] = set()
    supervisors: dict[str, str] = {}
    incarnation: int | None = None
    last, cancelled = 0, ""
    for at, event in events:
        gone: list[int] = []
        lost, text = True, ""
        cancelled = _cancelled(event, job, task, cancelled)
        match event:
            case BatchPlaced() if event.job == job and _has(event.ranges, task):
                number = recorded.get(event.batch) or max([last, *(each.number for each in there.values())]) + 1
                there[event.batch] = _Open(number, event.host, at)
                if event.batch in recorded:
                    last = max(last, number)
            case TasksReturned() if event.batch in there and _has(event.ranges, task):
                del there[event.batch]  # it was never started
            case BatchGivenUp() if event.batch in there:
                gone, lost = [event.batch], False
                text = cancelled or "another attempt had the result first, or it was not wanted"
            case HostAway():
                connected.discard(event.host)
            case HostLeft():
                connected.discard(event.host)
                gone, text = _on(there, event.host), f"its host was lost: {event.text}"
            case HostJoined():
                connected.add(event.host)
                mine = _on(there, event.host)
                if event.batches is None or supervisors.get(event.host) != event.supervisor:
                    gone, text = mine, "its host came back without it"
                else:
                    for batch in set(mine).difference(event.batches):
                        del there[batch]  # it never arrived
                supervisors[event.host] = event.supervisor
            case RunOpened():
                connected.clear()
                incarnation = event.incarnation
            case RunStopped() if event.guests_stopped:
                for batch in [batch for batch, each in there.items() if each.host in connected]:
                    del there[batch]  # taken back: nobody is to blame
            case _:
                pass
        for batch in gone:
            ended = there.pop(batch)
            may_be_old = incarnation not in (None, incarnation_of(batch))  # then it may never have arrived
            if batch not in recorded and not may_be_old:
                last = max(last, ended.number)
                found.append(ended.closed(at, lost, text))
    return found


def _cancelled(event: Event, job: int, task: int, before: str) -> str:
    """Who stopped what runs of the task, in words; `before` where the event says nothing of it."""
    match event:
        case TasksCancelled() if event.running:
            return event.text
        case TasksWithdrawn() if event.by and event.job == job and (task in event.tasks or _has(event.ranges, task)):
            return f"cancelled by {event.by}"
        case TasksRetried() if event.job == job and _has(event.ranges, task):
            return ""
        case _:
            return before


def _has(ranges: Ranges, task: int) -> bool:
    return any(start <= task < stop for start, stop in ranges)


def _on(there: Mapping[int, _Open], host: str) -> list[int]:
    return [batch for batch, each in there.items() if each.host == host]
