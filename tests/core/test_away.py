"""Hosts whose connection breaks, and schedulers that end: what was sent stays where it is until more is known."""

from __future__ import annotations

import pytest

from batchwasm.core import invariants, snapshot
from batchwasm.core.events import (
    BatchGivenUp,
    BatchPlaced,
    Event,
    HostAway,
    HostJoined,
    HostRefused,
    JobPlan,
    RunOpened,
    RunStopped,
)
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import RUNNING, WAITING
from batchwasm.model import Outcome, Request
from tests.core.test_scheduler import GIB, finish, placed, plan, record, started

AWAY = HostAway(host="g", code="lost", text="its connection broke")
IN_VAIN = HostRefused(host="g", code="unreachable", text="no route", waiting_may_help=True)


def joined(host: str, *batches: int, supervisor: str = "s", cpus: int = 1, gpus: int = 0) -> HostJoined:
    return HostJoined(
        host=host, supervisor=supervisor, cpus=cpus, memory_bytes=8 * GIB, facts={}, gpus=gpus, batches=batches
    )


def with_one_task_on_g(tasks: int = 1) -> tuple[Scheduler, BatchPlaced]:
    scheduler = started(plan(tasks), hosts=("g", "h"))
    scheduler.observe(joined("g"), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    return scheduler, batch


def observe(scheduler: Scheduler, now: float, *events: Event) -> list[Event]:
    for event in events:
        scheduler.observe(event, now)
    found = scheduler.decide(now)
    invariants.check(scheduler.state)
    return found


def test_what_runs_on_a_host_that_is_away_is_its_own_until_it_is_back() -> None:
    scheduler, batch = with_one_task_on_g()
    assert observe(scheduler, 1.0, AWAY, joined("h")) == []
    assert scheduler.state.jobs[0].counts[RUNNING] == 1
    assert observe(scheduler, 2.0, joined("g", batch.batch)) == []
    finish(scheduler, batch, 3.0)
    assert scheduler.state.jobs[0].counts[Outcome.SUCCEEDED] == 1


def test_after_a_vain_attempt_to_reach_it_a_second_one_starts_elsewhere_and_the_first_result_counts() -> None:
    scheduler, batch = with_one_task_on_g()
    (double,) = placed(observe(scheduler, 1.0, AWAY, joined("h"), IN_VAIN))
    assert (double.host, double.double) == ("h", True)
    assert scheduler.state.batches[double.batch].remaining == {0: 2}
    observe(scheduler, 2.0, joined("g", batch.batch))
    ended = scheduler.admit("g", batch.batch, [record(0, 1)])
    assert ended is not None
    scheduler.observe(ended, 3.0)
    assert BatchGivenUp(batch=double.batch, job=0, host="h") in scheduler.decide(3.0)


def test_an_order_that_never_arrived_is_given_again_as_the_same_attempt() -> None:
    scheduler, _ = with_one_task_on_g()
    (again,) = placed(observe(scheduler, 1.0, AWAY, joined("g")))
    assert scheduler.state.batches[again.batch].remaining == {0: 1}


def test_another_supervisor_has_lost_all() -> None:
    scheduler, batch = with_one_task_on_g()
    observe(scheduler, 1.0, AWAY, joined("g", batch.batch, supervisor="another"))
    (again,) = scheduler.state.batches.values()
    assert again.id != batch.batch
    assert again.remaining == {0: 2}
    assert scheduler.state.jobs[0].losses == {0: 1}


@pytest.mark.parametrize("guests_stopped", [True, False])
def test_a_run_that_stopped_keeps_what_it_left_on_its_hosts(guests_stopped: bool) -> None:
    scheduler, batch = with_one_task_on_g(tasks=3)
    scheduler.observe(RunStopped(code="world", text="no space", guests_stopped=guests_stopped), 1.0)
    kept = set() if guests_stopped else {batch.batch}
    assert scheduler.state.batches.keys() == kept
    restored = snapshot.load(snapshot.dump(scheduler.state))
    another = Scheduler(restored)
    another.observe(RunOpened(incarnation=2, pid=1, machine="m", version="0"), 2.0)
    assert placed(another.decide(2.0)) == [], "no host is there yet"
    assert restored.batches.keys() == kept
    orders = placed(observe(another, 3.0, joined("g", *kept)))
    assert len(orders) == (1 if guests_stopped else 0)
    assert all(order.batch >> 40 == 2 for order in orders)
    assert restored.jobs[0].counts[WAITING] == 2


def test_a_host_that_was_away_when_the_run_stopped_still_has_what_it_had() -> None:
    scheduler, batch = with_one_task_on_g()
    observe(scheduler, 1.0, AWAY)
    scheduler.observe(RunStopped(code="interrupted", text="by a person"), 2.0)
    assert scheduler.state.batches.keys() == {batch.batch}


def test_a_host_may_come_back_with_fewer_gpus_than_what_runs_there_holds() -> None:
    job = JobPlan(name="a", tasks=2, needs=(Request(cpus=1, memory_bytes=GIB, gpus=1),))
    scheduler = started(job, hosts=("g", "h"))
    batches = placed(observe(scheduler, 0.0, joined("g", cpus=2, gpus=2)))
    observe(scheduler, 1.0, AWAY, joined("g", *(batch.batch for batch in batches), cpus=2, gpus=1))
    for batch in batches:
        finish(scheduler, batch, 2.0)
        invariants.check(scheduler.state)


def test_what_an_earlier_life_sent_to_a_host_that_was_started_anew_counts_for_no_loss() -> None:
    scheduler, _ = with_one_task_on_g()
    for incarnation in range(2, 9):
        scheduler.observe(RunOpened(incarnation=incarnation, pid=1, machine="m", version="0"), 1.0)
        (again,) = placed(observe(scheduler, 1.0, joined("g", supervisor=f"s{incarnation}")))
        assert scheduler.state.batches[again.batch].remaining == {0: 1}
    assert scheduler.state.jobs[0].losses == {}
