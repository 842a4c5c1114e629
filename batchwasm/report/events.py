"""Events in words: what a person would want to hear of a run afterwards."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

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
)
from batchwasm.report.facts import Said
from batchwasm.views.model import Tone
from batchwasm.views.words import Jobs, said

SHOWN = 200
CHARS = 300  # of each
WEIGHTS: dict[Tone, int] = {"bad": 2, "warning": 1, "plain": 0, "good": 0}
KINDS: tuple[type[Event], ...] = (
    *(HostAdded, HostAway, HostBusy, HostDrained, HostFree, HostHeard, HostJoined, HostLeft, HostRefused, HostRemoved),
    *(HostSetAside, HostSilent, HostUndrained, ArtifactBuilt, RunFinished, RunOpened, RunPaused, RunStopped),
    *(RunUnpaused, TasksCancelled, TasksRetried, TasksWithdrawn),
)


def weightiest(events: Iterable[tuple[float, Event]], jobs: Jobs) -> tuple[tuple[Said, ...], int]:
    """The weightiest in the order in which they happened, and how many more there are.

    Of a weight the first ones are taken: they say best how trouble began.
    """
    seen = 0

    def counted() -> Iterator[tuple[int, Said]]:
        nonlocal seen
        for at, event in events:
            sentence = said(event, at, jobs)
            if sentence is not None:
                seen += 1
                yield seen, Said(at=at, weight=WEIGHTS[sentence.tone], text=cut(sentence.text, CHARS))

    kept = heapq.nlargest(SHOWN, counted(), key=lambda item: (item[1].weight, -item[0]))
    return tuple(each for _, each in sorted(kept, key=lambda item: item[0])), seen - len(kept)


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} ..."
