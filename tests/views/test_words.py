"""Events in words, whoever reads them."""

from __future__ import annotations

import typing

import pytest

from batchwasm.core.events import (
    Event,
    HostAway,
    HostDrained,
    HostLeft,
    HostPlan,
    HostReserved,
    HostSetAside,
    HostSilent,
    JobPlan,
    RunOpened,
    RunPlanned,
    RunStopped,
    TasksCancelled,
    TasksRetried,
    TasksWithdrawn,
)
from batchwasm.journalfile import RARE
from batchwasm.model import Outcome
from batchwasm.views.words import Jobs, ended, said
from tests.test_journal import CALLS, EVENTS, LIVE, RESUMED

JOBS = Jobs([("sim", 20), ("fit", 1)])
TOLD: list[tuple[Event, str]] = [
    (RunOpened(incarnation=2, pid=1, machine="desk", version="0"), "taken in hand again on desk"),
    (
        RunPlanned(run="r", name="run-1", jobs=(JobPlan(name="a", tasks=1),), hosts=(HostPlan(name="h"),)),
        "run-1 has 1 task and 1 host",
    ),
    (HostAway(host="h", code="lost", text="no route"), "host h: lost: no route; what it was sent goes on there"),
    (HostLeft(host="h", code="removed", text=""), "host h: left; the inventory has it no longer"),
    (HostDrained(host="h", text="exam, by alice"), "host h: drained (exam, by alice); it takes no new tasks"),
    (HostSilent(host="h"), "host h: says nothing; what it runs is doubted"),
    (TasksCancelled(code="person", text="cancelled by alice", running=True), "cancelled by alice: the run ends"),
    (TasksCancelled(code="max_failures", text="10 failed", running=False), "the rest is cancelled: 10 failed"),
    (TasksWithdrawn(job=0, tasks=(3,), by="alice"), "cancelled by alice: sim/3"),
    (
        TasksWithdrawn(job=0, tasks=(), ranges=((0, 20),), by="alice"),
        "cancelled by alice: what waits or runs of sim",
    ),
    (
        TasksRetried(job=0, ranges=((0, 2),), by="bob"),
        "to be run again, by bob: what did not succeed of 2 tasks of sim",
    ),
    (TasksRetried(job=1, ranges=((0, 1),), by="bob"), "to be run again, by bob: fit"),
    (
        TasksRetried(job=7, ranges=((0, 2),), by="bob"),
        "to be run again, by bob: what did not succeed of 2 tasks of job 7",
    ),
    (RunStopped(code="interrupted", text="by a person"), "it does not go on: by a person"),
]


@pytest.mark.parametrize(("event", "text"), TOLD, ids=[type(event).__name__ for event, _ in TOLD])
def test_an_event_in_words(event: Event, text: str) -> None:
    told = said(event, 5.0, JOBS)
    assert told is not None
    assert (told.at, told.text) == (5.0, text)


def test_a_host_that_is_set_aside_is_told_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    told = said(HostSetAside(host="h", until=65.0, text="5 tasks failed"), 5.0, JOBS)
    assert told is not None
    assert told.host == "h"
    assert told.tone == "warning"
    assert "set aside until" in told.text
    assert told.text.endswith(": 5 tasks failed")


def test_a_host_that_is_set_aside_no_longer_has_no_time() -> None:
    told = said(HostSetAside(host="h", until=0.0, text=""), 5.0, JOBS)
    assert told is not None
    assert told.text == "host h: not set aside any more: tasks fail on the other hosts, too"


def test_what_a_compiler_said_is_one_line() -> None:
    told = said(RunStopped(code="compile", text="a.c does not compile:\na.c:1: error\n    1 | x"), 5.0, JOBS)
    assert told is not None
    assert told.text == "it does not go on: a.c does not compile: a.c:1: error 1 | x"


def test_foreign_text_stays_as_it_came() -> None:
    told = said(HostAway(host="h", code="lost", text="\x1b[31mred"), 5.0, JOBS)
    assert told is not None
    assert "\x1b[31mred" in told.text


def test_an_attempt_in_words() -> None:
    def text(outcome: Outcome, *, final: bool, job: int = 0, reason: str | None = None) -> tuple[str, str]:
        told = ended(
            at=1.0, jobs=JOBS, job=job, task=0, outcome=outcome, final=final, host="h", wall_s=2.0, reason=reason
        )
        return told.tone, told.text

    assert text(Outcome.OUT_OF_MEMORY, final=True) == ("bad", "sim/0 out of memory on h in 2 s")
    assert text(Outcome.FAILED, final=False, reason="exited with code 3") == (
        "warning",
        "sim/0 failed on h in 2 s: exited with code 3; it is tried again",
    )
    assert text(Outcome.SUCCEEDED, final=False, job=1) == (
        "good",
        "fit succeeded on h in 2 s; it runs on another host, too, to be compared",
    )


def test_all_kinds_of_events_can_be_told_or_are_routine() -> None:
    """A kind that is new needs words, or to be left out of what is looked for."""
    quiet = {HostReserved}
    seen = {type(event) for event in (*EVENTS, *CALLS, *LIVE, *RESUMED)}
    for event in (*EVENTS, *CALLS, *LIVE, *RESUMED, HostReserved(host="h", job=0)):
        routine = f"'{type(event).__name__}'" in RARE
        wordless = isinstance(event, TasksWithdrawn) and not event.by and not event.why
        assert routine or wordless or type(event) in quiet or said(event, 0.0, JOBS) is not None, event
    assert seen >= set(typing.get_args(Event)) - quiet
