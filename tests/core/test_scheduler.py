"""The scheduler over random lives: whatever hosts do, no task is lost, none ends twice, no capacity is exceeded."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from batchwasm.core import invariants
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    BatchPlaced,
    BatchRecalled,
    Event,
    HostJoined,
    HostLeft,
    HostPlan,
    JobAdded,
    JobPlan,
    Record,
    RunClosed,
    RunOpened,
    RunPlanned,
    TasksAdded,
    TasksReturned,
    TasksWithdrawn,
    indexes,
    ranges_of,
)
from batchwasm.core.impossible import impossible, unplaced
from batchwasm.core.scheduler import RECALL_S, Scheduler
from batchwasm.core.state import CRASH_LIMIT, WAITING, State
from batchwasm.model import Outcome, Request

GIB = 1024**3


def plan(
    tasks: int, *, cpus: int = 1, memory: int = GIB, name: str = "a", hosts: tuple[str, ...] | None = None, **more: Any
) -> JobPlan:
    return JobPlan(name=name, tasks=tasks, needs=(Request(cpus=cpus, memory_bytes=memory),), hosts=hosts, **more)


def record(task: int, number: int = 1, *, outcome: int = Outcome.SUCCEEDED, wall_s: float = 0.001) -> Record:
    return Record(task, number, outcome, True, 0, 0.0, 0.0, wall_s, wall_s, 65536, b"", b"")


def joined(host: str, cpus: int = 2, memory: int = 8 * GIB) -> HostJoined:
    return HostJoined(host=host, supervisor="s", cpus=cpus, memory_bytes=memory, facts={})


def built(job: int) -> ArtifactBuilt:
    return ArtifactBuilt(job=job, digest="d", bytes=1, language="c", toolchain="zig", cached=False, wall_s=1.0)


def started(*jobs: JobPlan, hosts: tuple[str, ...] = ("h",), **settings: Any) -> Scheduler:
    """A scheduler whose artifacts are there and whose hosts are not."""
    scheduler = Scheduler(State())
    planned = RunPlanned(
        run="r", name="run-1", jobs=jobs, hosts=tuple(HostPlan(name=name) for name in hosts), **settings
    )
    for event in (planned, RunOpened(incarnation=1, pid=1, machine="m", version="0"), *map(built, range(len(jobs)))):
        scheduler.observe(event, 0.0)
    return scheduler


def placed(events: list[Event]) -> list[BatchPlaced]:
    return [event for event in events if isinstance(event, BatchPlaced)]


def finish(scheduler: Scheduler, batch: BatchPlaced, now: float, **fields: float) -> None:
    job = scheduler.state.jobs[batch.job]
    records = [record(task, job.number(task), **fields) for task in indexes(batch.ranges)]  # type: ignore[arg-type]
    event = scheduler.admit(batch.host, batch.batch, records)
    assert event is not None
    scheduler.observe(event, now)


def test_tasks_of_unknown_duration_are_placed_one_a_slot() -> None:
    scheduler = started(plan(10))
    scheduler.observe(joined("h", cpus=2), 0.0)
    assert [batch.ranges for batch in placed(scheduler.decide(0.0))] == [((0, 1),), ((1, 2),)]


def test_short_tasks_travel_in_batches_with_two_ahead_a_slot() -> None:
    scheduler = started(plan(100_000))
    scheduler.observe(joined("h", cpus=2), 0.0)
    for batch in placed(scheduler.decide(0.0)):
        finish(scheduler, batch, 1.0, wall_s=0.0001)
    batches = placed(scheduler.decide(1.0))
    assert [sum(1 for _ in indexes(batch.ranges)) for batch in batches] == [150] * 6


def test_the_last_short_tasks_are_shared_out_between_all_slots() -> None:
    scheduler = started(plan(22), hosts=("g", "h"))
    for host in ("g", "h"):
        scheduler.observe(joined(host, cpus=1), 0.0)
    for batch in placed(scheduler.decide(0.0)):
        finish(scheduler, batch, 1.0, wall_s=0.0001)
    assert max(sum(1 for _ in indexes(batch.ranges)) for batch in placed(scheduler.decide(1.0))) == 10


def test_hosts_with_the_largest_free_share_are_filled_first() -> None:
    scheduler = started(plan(3), hosts=("large", "small"))
    scheduler.observe(joined("small", cpus=1), 0.0)
    scheduler.observe(joined("large", cpus=4), 0.0)
    assert sorted(batch.host for batch in placed(scheduler.decide(0.0))) == ["large", "large", "small"]


def test_a_job_only_goes_to_hosts_it_may_use() -> None:
    scheduler = started(plan(4, hosts=("g",)), hosts=("g", "h"))
    scheduler.observe(joined("h"), 0.0)
    assert placed(scheduler.decide(0.0)) == []
    scheduler.observe(joined("g", cpus=4), 0.0)
    assert {batch.host for batch in placed(scheduler.decide(0.0))} == {"g"}


def test_memory_is_reserved_as_cpus_are() -> None:
    scheduler = started(plan(8, memory=3 * GIB))
    scheduler.observe(joined("h", cpus=8, memory=8 * GIB), 0.0)
    assert len(placed(scheduler.decide(0.0))) == 2


def test_a_small_job_fills_the_gap_that_a_large_one_leaves() -> None:
    scheduler = started(plan(2, cpus=3, name="large"), plan(9, name="small"))
    scheduler.observe(joined("h", cpus=4), 0.0)
    assert [batch.job for batch in placed(scheduler.decide(0.0))] == [0, 1]


def test_a_request_that_fits_nowhere_is_told_with_the_nearest_host() -> None:
    scheduler = started(plan(1, cpus=16), hosts=("g", "h"))
    scheduler.observe(joined("g", cpus=2), 0.0)
    assert impossible(scheduler.state) == {}  # h has not answered yet
    told = "jobs.a: asks for 16 cpus, more than any host that answered has; nearest is g with 2 cpus"
    assert list(unplaced(scheduler.state).values()) == [told]
    scheduler.observe(joined("h", cpus=8), 0.0)
    told = "jobs.a: asks for 16 cpus, more than any host it may use has; nearest is h with 8 cpus"
    assert list(impossible(scheduler.state).values()) == [told]
    assert unplaced(scheduler.state) == {}


@pytest.mark.parametrize(
    ("cpus", "memory", "asks", "nearest"),
    [
        (1, 3000 * GIB, "3,000 GiB of memory, more than any host it may use has", "g with 16 GiB"),
        (1, 16 * GIB + 1, "16.01 GiB of memory, more than any host it may use has", "g with 16 GiB"),
        (9, 17 * GIB, "9 cpus and 17 GiB of memory, more than any host it may use has", "g with 1 cpu and 16 GiB"),
        (8, GIB, "8 cpus and 1 GiB of memory, and no host it may use has both", "h with 8 cpus and 512 MiB"),
    ],
)
def test_only_what_no_host_has_is_told(cpus: int, memory: int, asks: str, nearest: str) -> None:
    scheduler = started(plan(1, cpus=cpus, memory=memory), hosts=("g", "h"))
    scheduler.observe(joined("g", cpus=1, memory=16 * GIB), 0.0)
    scheduler.observe(joined("h", cpus=8, memory=GIB // 2), 0.0)
    assert list(impossible(scheduler.state).values()) == [f"jobs.a: asks for {asks}; nearest is {nearest}"]


def test_tasks_of_a_lost_host_are_ready_again_with_the_next_attempt() -> None:
    scheduler = started(plan(1), hosts=("g", "h"))
    scheduler.observe(joined("h"), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    scheduler.observe(HostLeft(host="h", code="lost", text="gone"), 1.0)
    scheduler.observe(joined("g"), 1.0)
    (again,) = placed(scheduler.decide(1.0))
    assert (again.host, scheduler.state.jobs[0].number(0)) == ("g", 2)
    assert scheduler.admit(batch.host, batch.batch, [record(0)]) is None  # the old attempt, reported late
    finish(scheduler, again, 2.0)
    scheduler.decide(2.0)
    assert scheduler.state.finished


def test_a_task_that_loses_its_host_five_times_is_lost() -> None:
    scheduler = started(plan(1))
    for n in range(CRASH_LIMIT):
        scheduler.observe(joined("h"), float(n))
        assert len(placed(scheduler.decide(float(n)))) == 1
        scheduler.observe(HostLeft(host="h", code="lost", text="gone"), n + 0.5)
    scheduler.decide(9.0)
    assert scheduler.state.finished
    assert scheduler.state.counts[Outcome.LOST] == 1


def test_a_worker_that_dies_under_a_task_costs_it_one_of_its_lives() -> None:
    scheduler = started(plan(1))
    scheduler.observe(joined("h"), 0.0)
    for n in range(CRASH_LIMIT):
        (batch,) = placed(scheduler.decide(float(n)))
        event = scheduler.admit(batch.host, batch.batch, [record(0, n + 1, outcome=Outcome.LOST)])
        assert event is not None
        assert event.records[0].final is (n == CRASH_LIMIT - 1)
        scheduler.observe(event, float(n))
    assert scheduler.state.counts[Outcome.LOST] == 1


def test_returned_tasks_are_placed_again_with_the_same_attempt() -> None:
    scheduler = started(plan(1))
    scheduler.observe(joined("h"), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    scheduler.observe(TasksReturned(batch=batch.batch, ranges=((0, 1),)), 0.1)
    assert len(placed(scheduler.decide(0.1))) == 1
    assert scheduler.state.jobs[0].number(0) == 1


def test_what_waits_behind_a_long_task_is_recalled_when_a_slot_is_idle() -> None:
    scheduler = started(plan(6))
    scheduler.observe(joined("h", cpus=2), 0.0)
    for batch in placed(scheduler.decide(0.0)):
        finish(scheduler, batch, 0.0, wall_s=0.0001)
    long, *others = placed(scheduler.decide(0.0))
    for batch in others:
        finish(scheduler, batch, 0.1, wall_s=0.0001)
    assert scheduler.decide(0.1) == []
    assert scheduler.wake_at == RECALL_S
    assert scheduler.decide(RECALL_S) == [BatchRecalled(batch=long.batch)]
    assert scheduler.decide(1.0) == []


def test_what_a_busy_host_gives_back_goes_to_an_idle_one() -> None:
    scheduler = started(plan(6), hosts=("g", "h"))
    for host in ("g", "h"):
        scheduler.observe(joined(host, cpus=1), 0.0)
    for batch in placed(scheduler.decide(0.0)):
        finish(scheduler, batch, 0.0, wall_s=0.0001)
    long, *others = placed(scheduler.decide(0.0))
    for batch in others:
        finish(scheduler, batch, 0.1, wall_s=0.0001)
    (recalled,) = scheduler.decide(RECALL_S)
    assert recalled == BatchRecalled(batch=long.batch)
    behind = ranges_of(list(indexes(long.ranges))[1:])
    assert behind
    scheduler.observe(TasksReturned(batch=long.batch, ranges=behind), 0.3)
    assert {batch.host for batch in placed(scheduler.decide(0.3))} == {"g", "h"} - {long.host}


def test_a_host_cannot_report_on_what_another_one_runs() -> None:
    scheduler = started(plan(2), hosts=("g", "h"))
    for host in ("g", "h"):
        scheduler.observe(joined(host, cpus=1), 0.0)
    first, second = placed(scheduler.decide(0.0))
    assert scheduler.admit(second.host, first.batch, [record(0)]) is None
    assert scheduler.admit(first.host, first.batch, [record(0)]) is not None


def test_the_rest_is_cancelled_after_max_failures() -> None:
    scheduler = started(plan(10), max_failures=2)
    scheduler.observe(joined("h", cpus=3), 0.0)
    first, second, third = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, outcome=Outcome.FAILED, wall_s=1.0)
    finish(scheduler, second, 1.0, outcome=Outcome.TRAPPED, wall_s=1.0)
    scheduler.decide(1.0)
    assert scheduler.state.counts[Outcome.CANCELLED] == 7
    finish(scheduler, third, 2.0, wall_s=1.0)  # what ran goes on to its end
    scheduler.decide(2.0)
    assert scheduler.state.finished
    assert scheduler.state.counts[Outcome.SUCCEEDED] == 1


def test_fail_fast_also_stops_what_runs() -> None:
    scheduler = started(plan(10), fail_fast=True)
    scheduler.observe(joined("h", cpus=3), 0.0)
    first, *_ = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, outcome=Outcome.FAILED, wall_s=1.0)
    scheduler.decide(1.0)
    assert scheduler.state.finished
    assert scheduler.state.counts[Outcome.CANCELLED] == 9


def test_an_open_run_takes_jobs_and_tasks_until_it_is_closed() -> None:
    scheduler = started(open=True)
    scheduler.observe(joined("h", cpus=1), 0.0)
    assert scheduler.decide(0.0) == []
    scheduler.observe(JobAdded(plan=plan(0)), 1.0)
    scheduler.observe(built(0), 1.0)
    for added in (1, 2):
        scheduler.observe(TasksAdded(job=0, first=added - 1, count=1, argument_bytes=9), 1.0)
        (batch,) = placed(scheduler.decide(1.0))
        finish(scheduler, batch, 2.0)
        scheduler.decide(2.0)
        assert (scheduler.state.counts[Outcome.SUCCEEDED], scheduler.state.finished) == (added, False)
    scheduler.observe(RunClosed(), 3.0)
    scheduler.decide(3.0)
    assert scheduler.state.finished


def test_withdrawn_tasks_do_not_run_and_a_long_one_makes_room() -> None:
    scheduler = started(plan(5), open=True)
    scheduler.observe(joined("h", cpus=1), 0.0)
    (first,) = placed(scheduler.decide(0.0))
    scheduler.observe(TasksWithdrawn(job=0, tasks=(0, 1, 3)), 1.0)
    decisions = scheduler.decide(1.0)
    assert BatchGivenUp(batch=first.batch, job=0, host="h") in decisions
    assert first.batch not in scheduler.state.batches
    (second,) = placed(decisions)
    assert second.ranges == ((2, 3),)
    finish(scheduler, second, 2.0)
    (third,) = placed(scheduler.decide(2.0))
    assert third.ranges == ((4, 5),)
    assert scheduler.state.counts[Outcome.CANCELLED] == 3


def one_batch(scheduler: Scheduler) -> BatchPlaced:
    """Tasks 1, 2 and more in a batch, on the only slot."""
    scheduler.observe(joined("h", cpus=1), 0.0)
    (first,) = placed(scheduler.decide(0.0))
    finish(scheduler, first, 0.0)
    return placed(scheduler.decide(0.0))[0]


def test_one_task_of_a_million_runs_as_the_attempt_that_it_was() -> None:
    job = plan(1_000_000, first_number=3)
    scheduler = started(job)
    scheduler.observe(TasksWithdrawn(job=0, tasks=(), ranges=((0, 777_777), (777_778, 1_000_000))), 0.0)
    scheduler.observe(joined("h"), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    assert batch.ranges == ((777_777, 777_778),)
    assert scheduler.state.batches[batch.batch].remaining == {777_777: 3}
    scheduler.observe(TasksReturned(batch=batch.batch, ranges=batch.ranges), 1.0)
    (batch,) = placed(scheduler.decide(1.0))
    assert scheduler.state.batches[batch.batch].remaining == {777_777: 3}
    invariants.check(scheduler.state)


def test_a_withdrawn_task_of_a_shared_batch_never_waits_again() -> None:
    scheduler = started(plan(4), open=True)
    batch = one_batch(scheduler)
    assert batch.ranges == ((1, 4),)
    scheduler.observe(TasksWithdrawn(job=0, tasks=(2,)), 0.1)
    assert scheduler.decide(0.1) == []
    scheduler.observe(TasksReturned(batch=batch.batch, ranges=((2, 4),)), 1.0)
    assert scheduler.state.counts[Outcome.CANCELLED] == 1
    assert scheduler.state.counts[WAITING] == 1


def test_a_withdrawn_task_that_holds_up_its_batch_is_stopped_and_the_others_wait_again() -> None:
    scheduler = started(plan(4), open=True)
    batch = one_batch(scheduler)
    scheduler.observe(TasksWithdrawn(job=0, tasks=(2,)), 0.1)
    assert scheduler.decide(10.0) == []  # 1 runs, which is wanted
    event = scheduler.admit("h", batch.batch, [record(1)])
    assert event is not None
    scheduler.observe(event, 10.0)
    given_up, *more = scheduler.decide(10.0)
    assert given_up == BatchGivenUp(batch=batch.batch, job=0, host="h")
    assert [again.ranges for again in placed(more)] == [((3, 4),)]
    assert scheduler.state.counts[Outcome.CANCELLED] == 1


def test_a_batch_is_stopped_when_all_that_is_left_of_it_is_withdrawn() -> None:
    scheduler = started(plan(4), open=True)
    batch = one_batch(scheduler)
    for task in (1, 2):
        scheduler.observe(TasksWithdrawn(job=0, tasks=(task,)), 0.1)
        assert scheduler.decide(0.1) == []
    event = scheduler.admit("h", batch.batch, [record(3)])
    assert event is not None
    scheduler.observe(event, 0.2)
    assert scheduler.decide(0.2) == [BatchGivenUp(batch=batch.batch, job=0, host="h")]
    assert scheduler.state.counts[Outcome.CANCELLED] == 2


def test_large_arguments_make_small_batches() -> None:
    scheduler = started(plan(0), open=True)
    scheduler.observe(joined("h", cpus=1), 0.0)
    scheduler.observe(TasksAdded(job=0, first=0, count=100, argument_bytes=100 * 4 * 1024**2), 0.0)
    (first,) = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, wall_s=0.0001)
    assert [batch.ranges for batch in placed(scheduler.decide(1.0))] == [((1, 3),), ((3, 5),), ((5, 7),)]


def test_no_object_stands_for_a_task_that_waits_or_has_ended() -> None:
    """A hundred thousand of them, long ones, so that each is a batch of its own: a few objects more or less in all."""
    scheduler = started(plan(100_000))
    scheduler.observe(joined("h", cpus=4), 0.0)
    running = placed(scheduler.decide(0.0))
    gc.collect()
    before = len(gc.get_objects())
    now = 0.0
    for _ in range(50_000):
        now += 1.0
        finish(scheduler, running.pop(0), now, wall_s=1.0)
        running += placed(scheduler.decide(now))
    gc.collect()
    assert scheduler.state.counts[Outcome.SUCCEEDED] == 50_000
    assert len(gc.get_objects()) - before < 200


def test_a_host_gives_back_only_what_it_has() -> None:
    """What it names beside that would be in the journal for ever, as often as it likes."""
    scheduler = started(plan(1))
    scheduler.observe(joined("h"), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    mine = next(iter(scheduler.state.batches[batch.batch].remaining))
    event = TasksReturned(batch=batch.batch, ranges=((-5, 0), (mine, mine + 1), (1000, 2000)))
    assert scheduler.admit_return("other", event) is None
    found = scheduler.admit_return("h", event)
    assert found is not None
    assert found.ranges == ((mine, mine + 1),)
    scheduler.observe(found, 1.0)
    assert scheduler.admit_return("h", event) is None
