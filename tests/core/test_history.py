"""Attempts that left no report, out of the events of a run."""

from __future__ import annotations

from batchwasm.core.events import (
    BatchGivenUp,
    BatchPlaced,
    Event,
    HostLeft,
    HostSilent,
    RunOpened,
    RunStopped,
    TasksReturned,
    TasksWithdrawn,
)
from batchwasm.core.history import KINDS, unheard
from batchwasm.core.scheduler import Scheduler
from tests.core.test_policy import on
from tests.core.test_scheduler import finish, placed, plan


class Told:
    """A scheduler, and all that its journal would have."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.events: list[tuple[float, Event]] = []

    def observe(self, event: Event, now: float) -> None:
        self.scheduler.observe(event, now)
        self.events.append((now, event))

    def decide(self, now: float) -> list[BatchPlaced]:
        decisions = self.scheduler.decide(now)
        self.events += [(now, event) for event in decisions]
        return placed(decisions)

    def life(self) -> list[tuple[float, Event]]:
        return [(at, event) for at, event in self.events if isinstance(event, KINDS)]


def test_an_attempt_that_went_with_its_host_is_told_with_host_and_times() -> None:
    told = Told(on({"a": {}, "b": {}}, plan(1)))
    (first,) = told.decide(1.0)
    told.observe(HostLeft(host=first.host, code="lost", text="connection reset"), 5.0)
    (second,) = told.decide(100.0)
    finish(told.scheduler, second, 101.0)
    (lost,) = unheard(told.life(), 0, 0, {second.batch: 2})
    assert (lost.number, lost.host, lost.placed_at, lost.ended_at, lost.lost) == (1, first.host, 1.0, 5.0, True)
    assert lost.text == "its host was lost: connection reset"


def test_an_attempt_that_was_overtaken_is_told_as_stopped() -> None:
    told = Told(on({"a": {}, "b": {}}, plan(1)))
    (first,) = told.decide(1.0)
    told.observe(HostSilent(host=first.host), 40.0)
    (double,) = told.decide(40.0)
    finish(told.scheduler, double, 50.0)
    told.decide(50.0)
    (stopped,) = unheard(told.life(), 0, 0, {double.batch: 2})
    assert (stopped.number, stopped.host, stopped.lost) == (1, first.host, False)


def test_an_attempt_that_a_person_stopped_says_who() -> None:
    told = Told(on({"a": {}}, plan(1)))
    (batch,) = told.decide(1.0)
    told.observe(TasksWithdrawn(job=0, tasks=(), ranges=((0, 1),), by="alice"), 2.0)
    told.decide(2.0)
    told.events.append((2.0, BatchGivenUp(batch=batch.batch, job=0, host=batch.host)))
    (stopped,) = unheard(told.life(), 0, 0, {})
    assert (stopped.lost, stopped.text) == (False, "cancelled by alice")


def test_what_was_given_back_or_let_go_is_no_attempt() -> None:
    told = Told(on({"a": {}}, plan(2)))
    (batch,) = told.decide(1.0)
    told.observe(TasksReturned(batch=batch.batch, ranges=((0, 1),)), 2.0)
    (batch,) = told.decide(2.0)
    told.observe(RunStopped(code="interrupted", text=""), 3.0)
    told.observe(RunOpened(incarnation=2, pid=1, machine="m", version="0"), 4.0)
    assert unheard(told.life(), 0, 0, {}) == []


def test_of_other_jobs_nothing_is_told() -> None:
    told = Told(on({"a": {"cpus": 2}}, plan(1, name="a"), plan(1, name="b")))
    told.decide(1.0)
    told.observe(HostLeft(host="a", code="lost", text="gone"), 5.0)
    assert [found.number for found in unheard(told.life(), 1, 0, {})] == [1]
    assert unheard(told.life(), 1, 1, {}) == []
