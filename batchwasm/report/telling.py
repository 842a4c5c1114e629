"""Events in words: what a person would want to hear of a run afterwards."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator

from batchwasm.core.events import (
    ArtifactBuilt,
    Event,
    HostAdded,
    HostAway,
    HostBusy,
    HostDrained,
    HostFree,
    HostHeard,
    HostJoined,
    HostLeft,
    HostRefused,
    HostRemoved,
    HostSetAside,
    HostSilent,
    HostUndrained,
    RunFinished,
    RunOpened,
    RunPaused,
    RunStopped,
    RunUnpaused,
    TasksCancelled,
    TasksRetried,
    TasksWithdrawn,
    count,
)
from batchwasm.report.facts import Told
from batchwasm.units import tasks_text

NEWS, LOOK, TROUBLE = 0, 1, 2
SHOWN = 200
CHARS = 300  # of each

KINDS: tuple[type[Event], ...] = (
    *(HostAdded, HostAway, HostBusy, HostDrained, HostFree, HostHeard, HostJoined, HostLeft, HostRefused, HostRemoved),
    *(HostSetAside, HostSilent, HostUndrained, ArtifactBuilt, RunFinished, RunOpened, RunPaused, RunStopped),
    *(RunUnpaused, TasksCancelled, TasksRetried, TasksWithdrawn),
)


def told(events: Iterable[tuple[float, Event]], job: Callable[[int], str]) -> tuple[tuple[Told, ...], int]:
    """The weightiest in the order in which they happened, and how many more there are. `job` names one.

    Of a weight the first ones are taken: they say best how trouble began.
    """
    seen = 0

    def counted() -> Iterator[tuple[int, Told]]:
        nonlocal seen
        for at, event in events:
            seen += 1
            weight, text = words(event, job)
            yield seen, Told(at=at, weight=weight, text=cut(text, CHARS))

    kept = heapq.nlargest(SHOWN, counted(), key=lambda item: (item[1].weight, -item[0]))
    return tuple(each for _, each in sorted(kept, key=lambda item: item[0])), seen - len(kept)


def words(event: Event, job: Callable[[int], str]) -> tuple[int, str]:
    """Its weight, and what it says."""
    match event:
        case RunOpened(incarnation=1):
            return NEWS, f"the run began, on {event.machine}"
        case RunOpened():
            return LOOK, f"the run was taken up again, on {event.machine}"
        case RunPaused():
            return LOOK, _why("paused", event.text)
        case RunUnpaused():
            return NEWS, "it went on after the pause"
        case RunStopped():
            return TROUBLE, f"the scheduler stopped: {event.text}"
        case RunFinished():
            return NEWS, "every task had its result"
        case ArtifactBuilt():
            return NEWS, f"{job(event.job)} was {'in the cache' if event.cached else 'compiled'}, {event.toolchain}"
        case TasksCancelled():
            return TROUBLE, f"tasks that waited{' or ran' if event.running else ''} were cancelled: {event.text}"
        case TasksWithdrawn():
            tasks = tasks_text(len(event.tasks) + count(event.ranges), "", "").strip()
            why = f"cancelled by {event.by}" if event.by else _why("withdrawn", event.why)
            return LOOK, f"{tasks} of {job(event.job)}: {why}"
        case TasksRetried():
            again = tasks_text(count(event.ranges), "runs", "run")
            return LOOK, f"{again} again in {job(event.job)}{f', by {event.by}' if event.by else ''}"
        case _:
            return _of_host(event)


def _of_host(event: Event) -> tuple[int, str]:
    match event:
        case HostJoined():
            return NEWS, f"{event.host} joined with {event.cpus} {'cpu' if event.cpus == 1 else 'cpus'}"
        case HostRefused():
            return TROUBLE, f"{event.host} can't be used: {event.text}"
        case HostAway():
            return TROUBLE, _why(f"the connection to {event.host} is gone", event.text)
        case HostLeft():
            return TROUBLE, _why(f"{event.host} was lost, and what ran there", event.text)
        case HostAdded():
            return NEWS, f"{event.plan.name} was added to the inventory"
        case HostRemoved():
            return LOOK, f"{event.host} was taken out of the inventory"
        case HostDrained():
            return LOOK, _why(f"{event.host} was drained", event.text)
        case HostUndrained():
            return NEWS, f"{event.host} was given free again"
        case HostBusy():
            return NEWS, _why(f"{event.host} was left to others", event.text)
        case HostFree():
            return NEWS, f"{event.host} was at our disposal again"
        case HostSilent():
            return LOOK, f"{event.host} said nothing for a while"
        case HostHeard():
            return NEWS, f"{event.host} spoke again"
        case HostSetAside():
            return TROUBLE, _why(f"{event.host} was set aside", event.text)
        case _:
            return NEWS, type(event).__name__


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."


def _why(what: str, text: str) -> str:
    return f"{what}: {text}" if text else what
