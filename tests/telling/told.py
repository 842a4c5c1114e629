"""What there is to tell: every kind of event, records of attempts, and a state that events made."""

from __future__ import annotations

from collections.abc import Sequence

from batchwasm.core.events import (
    BatchPlaced,
    Event,
    HostAway,
    HostJoined,
    HostPlan,
    JobPlan,
    Record,
    RunOpened,
    RunPaused,
    RunPlanned,
    RunUnpaused,
    TasksFinished,
    TasksKnown,
    TasksRetried,
)
from batchwasm.core.state import State
from batchwasm.model import Outcome, Request
from tests.test_journal import CALLED, CALLS, LARGE, LIVE, RECORDS
from tests.test_journal import EVENTS as FIRST

OK = Record(0, 1, Outcome.SUCCEEDED, True, 0, 1.5, 0.1, 0.2, 0.3, 65536, b"out\n", b"")
OUTPUTS = '[{"path":"a","bytes":5,"sha256":"00"},{"path":"b","bytes":7,"sha256":"11"}]'
GOLDEN: list[Event] = [*FIRST, *LIVE, *CALLS]
EVENTS: Sequence[Event] = [
    *(event for event in GOLDEN if not isinstance(event, TasksFinished)),
    TasksFinished(batch=1, job=0, host="h", records=[RECORDS[1]._replace(outputs=OUTPUTS), OK, CALLED, LARGE]),
    HostAway(host="h", code="lost", text="gone"),
    TasksKnown(job=0, records=[OK._replace(number=0, cached="old-1 a/0")]),
    TasksRetried(job=0, ranges=((0, 1),), by="alice"),
    RunPaused(text="lunch"),
    RunUnpaused(),
]
"""At least one of each kind."""


def state_of(*events: Event) -> State:
    state = State()
    for n, event in enumerate(events):
        state.apply(event, float(n + 1))
    return state


def begun(jobs: Sequence[str] = ("a",), hosts: Sequence[str] = ("h",), tasks: int = 5) -> list[Event]:
    """The first events of a run whose hosts have two slots each."""
    needs = (Request(cpus=1, memory_bytes=1),)
    return [
        RunPlanned(
            run="0123",
            name="run-1",
            jobs=tuple(JobPlan(name=name, tasks=tasks, needs=needs) for name in jobs),
            hosts=tuple(HostPlan(name=name) for name in hosts),
        ),
        RunOpened(incarnation=1, pid=7, machine="m", version="0"),
        *(HostJoined(host=name, supervisor="s", cpus=2, memory_bytes=9, facts={}) for name in hosts),
    ]


def placed(batch: int, *tasks: int, host: str = "h") -> BatchPlaced:
    return BatchPlaced(batch=batch, job=0, host=host, ranges=tuple((task, task + 1) for task in tasks))
