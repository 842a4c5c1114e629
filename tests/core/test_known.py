"""Tasks whose results are known from earlier runs: held back while somebody looks, then done without an attempt."""

from __future__ import annotations

from batchwasm.core import invariants, snapshot
from batchwasm.core.events import Record, TasksCancelled, TasksKnown
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import WAITING
from batchwasm.model import Outcome
from tests.core.test_graph import after, begin
from tests.core.test_scheduler import placed, plan, started


def known(*tasks: int, job: int = 0, run: str = "r-1") -> TasksKnown:
    records = [
        Record(t, 0, int(Outcome.SUCCEEDED), True, 0, 1.0, 0.0, 2.0, 1.0, 0, b"", b"", cached=f"{run} j/{t}")
        for t in tasks
    ]
    return TasksKnown(job=job, records=records)


def looking(scheduler: Scheduler, *jobs: int) -> Scheduler:
    scheduler.state.look_up(frozenset(jobs))
    return scheduler


def test_tasks_are_held_back_until_they_were_looked_up() -> None:
    scheduler = looking(begin(plan(4), cpus=8), 0)
    assert placed(scheduler.decide(1.0)) == []
    scheduler.state.seen(0, ((0, 2),))
    scheduler.observe(known(0), 2.0)
    invariants.check(scheduler.state)
    assert [batch.ranges for batch in placed(scheduler.decide(2.0))] == [((1, 2),)]
    scheduler.state.seen(0, ((2, 4),))
    assert [batch.ranges for batch in placed(scheduler.decide(3.0))] == [((2, 3),), ((3, 4),)]
    invariants.check(scheduler.state)


def test_a_run_whose_tasks_are_all_known_ends_without_a_host() -> None:
    scheduler = looking(started(plan(2, name="a"), plan(2, name="b", after=after(0))), 0, 1)
    assert not scheduler.state.jobs[1].unseen  # what it waits for may fail
    scheduler.state.seen(0, ((0, 2),))
    scheduler.observe(known(0, 1), 1.0)
    assert scheduler.state.jobs[1].unseen.ranges == ((0, 2),)
    scheduler.state.seen(1, ((0, 2),))
    scheduler.observe(known(0, 1, job=1, run="r-2"), 2.0)
    scheduler.decide(2.0)
    assert scheduler.state.finished
    assert [job.taken for job in scheduler.state.jobs] == [{"r-1": 2}, {"r-2": 2}]
    invariants.check(scheduler.state)


def test_element_by_element_each_is_held_back_when_its_own_has_succeeded() -> None:
    scheduler = looking(started(plan(3, name="a"), plan(3, name="b", after=after(0, each=True))), 0, 1)
    scheduler.state.seen(0, ((0, 3),))
    scheduler.observe(known(1), 1.0)
    assert scheduler.state.jobs[1].unseen.ranges == ((1, 2),)
    invariants.check(scheduler.state)


def test_a_task_that_has_its_result_keeps_it() -> None:
    scheduler = looking(begin(plan(2)), 0)
    scheduler.observe(TasksCancelled(code="cancelled", text="", running=False), 1.0)
    scheduler.observe(known(0), 2.0)
    scheduler.state.seen(0, ((0, 2),))
    assert scheduler.state.counts[Outcome.CANCELLED] == 2
    assert scheduler.state.jobs[0].taken == {}
    invariants.check(scheduler.state)


def test_who_reads_a_checkpoint_sees_what_is_held_back_as_ready() -> None:
    scheduler = looking(begin(plan(3)), 0)
    scheduler.state.seen(0, ((0, 1),))
    scheduler.observe(known(0), 1.0)
    read = snapshot.load(snapshot.dump(scheduler.state))
    assert (read.jobs[0].ready.ranges, read.jobs[0].unseen.ranges) == (((1, 3),), ())
    assert (read.jobs[0].taken, read.counts[WAITING]) == ({"r-1": 1}, 2)
    invariants.check(read)
    assert placed(Scheduler(read).decide(2.0))


def test_another_life_holds_back_what_still_waits() -> None:
    scheduler = begin(plan(3))
    looking(scheduler, 0)
    assert scheduler.state.jobs[0].unseen.ranges == ((0, 3),)
    assert scheduler.state.queue == []
    invariants.check(scheduler.state)
