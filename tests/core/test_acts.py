"""What a person wants of tasks: that they don't run, that they run again, that nothing new is started."""

from __future__ import annotations

import time

from batchwasm.core.again import have_again
from batchwasm.core.events import (
    AfterJob,
    BatchGivenUp,
    BatchRecalled,
    Event,
    HostAway,
    RunFinished,
    RunOpened,
    RunPaused,
    RunUnpaused,
    TasksCancelled,
    TasksRetried,
    TasksReturned,
    TasksWithdrawn,
    indexes,
)
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import RUNNING, WAITING
from batchwasm.model import Outcome
from tests.core.test_scheduler import finish, joined, placed, plan, record, started

PERSON = TasksCancelled(code="person", text="cancelled by alice", running=True)


def withdrawn(*ranges: tuple[int, int], job: int = 0) -> TasksWithdrawn:
    return TasksWithdrawn(job=job, tasks=(), ranges=ranges, by="alice")


def codes(scheduler: Scheduler, job: int = 0) -> list[int]:
    return list(scheduler.state.jobs[job].codes)


def of(kind: type[Event], events: list[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def run(scheduler: Scheduler, now: float, **fields: float) -> None:
    """Place all that can be, and end it so."""
    for batch in placed(scheduler.decide(now)):
        finish(scheduler, batch, now, **fields)


def test_a_million_tasks_are_cancelled_and_had_again_as_one_range() -> None:
    scheduler = started(plan(1_000_000), plan(1, name="b", after=(AfterJob(job=0),)))
    since = time.perf_counter()
    scheduler.observe(withdrawn((10, 1_000_000)), 0.0)
    job = scheduler.state.jobs[0]
    assert job.counts[Outcome.CANCELLED] == 999_990
    assert job.ready.ranges == ((0, 10),)
    assert codes(scheduler, 1) == [Outcome.SKIPPED]
    assert scheduler.state.why_cancelled(0, 999_999) == ("cancelled", "cancelled by alice")
    assert len(have_again(scheduler.state, None, "bob").events) == 1
    scheduler.observe(TasksRetried(job=0, ranges=((0, 1_000_000),)), 0.0)
    assert (job.waiting, job.ready.ranges, job.because) == (1_000_000, ((0, 1_000_000),), {})
    assert codes(scheduler, 1) == [WAITING]
    assert time.perf_counter() - since < 60  # by the number of ranges, not of tasks


def test_a_cancelled_task_is_stopped_at_once_and_others_of_its_batch_wait_again_at_no_cost() -> None:
    scheduler = started(plan(50))
    scheduler.observe(joined("h", cpus=1), 0.0)
    run(scheduler, 0.0, wall_s=0.001)
    (batch,) = placed(scheduler.decide(0.0))[:1]
    first, *others = indexes(batch.ranges)
    assert others
    scheduler.observe(withdrawn((first, first + 1)), 0.0)
    decided = scheduler.decide(0.0)
    assert BatchGivenUp(batch=batch.batch, job=0, host="h") in decided
    job = scheduler.state.jobs[0]
    assert job.codes[first] == Outcome.CANCELLED
    assert all(job.codes[task] in (WAITING, RUNNING) for task in others)
    assert all(job.number(task) == 1 for task in others)


def test_one_that_its_batch_has_not_come_to_is_called_back_and_what_runs_goes_on() -> None:
    scheduler = started(plan(50))
    scheduler.observe(joined("h", cpus=1), 0.0)
    run(scheduler, 0.0, wall_s=0.001)
    batch = placed(scheduler.decide(0.0))[0]
    first, second, *_ = indexes(batch.ranges)
    scheduler.observe(withdrawn((second, second + 1)), 0.0)
    decided = scheduler.decide(0.0)
    assert BatchRecalled(batch=batch.batch) in decided
    assert not of(BatchGivenUp, decided)
    left = tuple((task, task + 1) for task in list(indexes(batch.ranges))[1:])
    scheduler.observe(TasksReturned(batch=batch.batch, ranges=left), 0.0)
    assert codes(scheduler)[first] == RUNNING
    assert codes(scheduler)[second] == Outcome.CANCELLED
    assert codes(scheduler)[second + 1] == WAITING


def test_all_that_a_person_cancels_is_stopped_and_the_run_ends() -> None:
    scheduler = started(plan(5), plan(1, name="b", after=(AfterJob(job=0),)), hosts=("g", "h"))
    for name in ("g", "h"):
        scheduler.observe(joined(name, cpus=1), 0.0)
    scheduler.decide(0.0)
    scheduler.observe(HostAway(host="h", code="lost", text="gone"), 0.0)
    scheduler.observe(PERSON, 1.0)
    decided = scheduler.decide(1.0)
    assert len(of(BatchGivenUp, decided)) == 2
    assert of(RunFinished, decided)
    assert scheduler.state.a_person_cancelled
    assert scheduler.state.why_cancelled(0, 0) == scheduler.state.why_cancelled(1, 0) == ("cancelled", PERSON.text)


def test_a_paused_run_starts_nothing_and_gets_back_what_hosts_have_not_started() -> None:
    scheduler = started(plan(50))
    scheduler.observe(joined("h", cpus=1), 0.0)
    run(scheduler, 0.0, wall_s=0.001)
    batches = placed(scheduler.decide(0.0))
    scheduler.observe(RunPaused(text="by alice"), 0.0)
    assert len(of(BatchRecalled, scheduler.decide(0.0))) == len(batches)
    for batch in batches:
        finish(scheduler, batch, 0.0)
    assert scheduler.decide(100.0) == []
    scheduler.observe(RunUnpaused(), 100.0)
    assert placed(scheduler.decide(100.0))


def test_a_run_that_another_scheduler_opens_is_not_paused() -> None:
    scheduler = started(plan(1))
    scheduler.observe(RunPaused(text="by alice"), 0.0)
    scheduler.observe(RunOpened(incarnation=2, pid=1, machine="m", version="0"), 1.0)
    assert scheduler.state.paused is None


def test_a_retry_counts_attempts_on_and_failures_anew() -> None:
    scheduler = started(plan(3, retries=1, retry_on=("failed",)), max_failures=2)
    scheduler.observe(joined("h", cpus=4), 0.0)
    for now in (0.0, 100.0):
        run(scheduler, now, outcome=Outcome.FAILED)
    scheduler.decide(200.0)
    assert codes(scheduler) == [Outcome.FAILED] * 3
    said = have_again(scheduler.state, {0: ((0, 1),)}, "alice")
    assert [(hit.job, hit.again) for hit in said.hits] == [("a", 1)]
    scheduler.state.finished = False
    scheduler.observe(said.events[0], 300.0)
    assert scheduler.state.failures == 0
    (batch,) = placed(scheduler.decide(300.0))
    assert scheduler.state.batches[batch.batch].remaining == {0: 3}
    event = scheduler.admit("h", batch.batch, [record(0, 3, outcome=Outcome.FAILED)])
    assert event is not None
    assert not event.records[0].final, "it may fail as often as it might at first"
    assert scheduler.state.cancelled is None


def test_what_was_skipped_waits_again_only_where_nothing_else_before_it_failed() -> None:
    each = (AfterJob(job=0, each=True), AfterJob(job=1, each=True))
    scheduler = started(
        plan(2), plan(2, name="b"), plan(2, name="c", after=each), plan(1, name="d", after=(AfterJob(job=2),))
    )
    scheduler.observe(joined("h", cpus=4), 0.0)
    run(scheduler, 0.0, outcome=Outcome.FAILED)
    assert codes(scheduler, 2) == [Outcome.SKIPPED] * 2
    scheduler.observe(TasksRetried(job=0, ranges=((0, 2),)), 1.0)
    assert codes(scheduler, 2) == [Outcome.SKIPPED] * 2, "those of b are still failed"
    scheduler.observe(TasksRetried(job=1, ranges=((1, 2),)), 1.0)
    assert codes(scheduler, 2) == [Outcome.SKIPPED, WAITING]
    assert codes(scheduler, 3) == [Outcome.SKIPPED]
    scheduler.observe(TasksRetried(job=1, ranges=((0, 1),)), 1.0)
    assert codes(scheduler, 2) == [WAITING] * 2
    assert codes(scheduler, 3) == [WAITING]


def test_a_retry_lifts_what_cancelled_the_rest_and_the_others_stay_so_for_that_reason() -> None:
    scheduler = started(plan(4), plan(1, name="b", after=(AfterJob(job=0),)))
    scheduler.observe(TasksCancelled(code="max_failures", text="too many", running=False), 0.0)
    scheduler.observe(TasksRetried(job=0, ranges=((1, 2),)), 0.0)
    assert codes(scheduler) == [Outcome.CANCELLED, WAITING, Outcome.CANCELLED, Outcome.CANCELLED]
    assert scheduler.state.cancelled is None
    assert scheduler.state.why_cancelled(0, 0) == ("max_failures", "too many")
    assert not scheduler.state.a_person_cancelled
    scheduler.observe(TasksRetried(job=1, ranges=((0, 1),)), 0.0)
    assert codes(scheduler, 1) == [Outcome.SKIPPED], "what it comes after is cancelled"


def test_asking_what_a_retry_would_hit_changes_nothing() -> None:
    scheduler = started(plan(2), plan(2, name="b", after=(AfterJob(job=0, each=True),)))
    scheduler.observe(joined("h", cpus=1), 0.0)
    run(scheduler, 0.0, outcome=Outcome.FAILED)
    before = [codes(scheduler, n) for n in (0, 1)]
    said = have_again(scheduler.state, {0: ((0, 2),), 1: ((0, 2),)}, "alice")
    assert [tuple(hit) for hit in said.hits] == [("a", 1, 0, 1, 0), ("b", 1, 0, 1, 0)]
    assert [codes(scheduler, n) for n in (0, 1)] == before
