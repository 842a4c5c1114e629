"""Jobs that wait for others: all of them, element by element, and what becomes of them when something fails."""

from __future__ import annotations

from batchwasm.core.events import AfterJob, JobPlan, TasksWithdrawn, indexes
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import WAITING
from batchwasm.model import Outcome
from tests.core.test_scheduler import finish, joined, placed, plan, started


def after(*jobs: int, each: bool = False) -> tuple[AfterJob, ...]:
    return tuple(AfterJob(job=job, each=each) for job in jobs)


def names(scheduler: Scheduler, now: float) -> list[str]:
    """`job/task` of all that is placed now; one cpu, so one at a time unless there are more hosts."""
    return [
        f"{scheduler.state.jobs[b.job].plan.name}/{t}" for b in placed(scheduler.decide(now)) for t in indexes(b.ranges)
    ]


def run_all(scheduler: Scheduler, failing: frozenset[str] = frozenset()) -> list[str]:
    """Runs everything, one task after the other; the order in which tasks ran."""
    order: list[str] = []
    now = 0.0
    while not scheduler.state.finished:
        batches = placed(scheduler.decide(now))
        if not batches:
            break
        for batch in batches:
            (task,) = indexes(batch.ranges)
            name = f"{scheduler.state.jobs[batch.job].plan.name}/{task}"
            order.append(name)
            finish(scheduler, batch, now, wall_s=1.0, outcome=Outcome.FAILED if name in failing else Outcome.SUCCEEDED)
        now += 1.0
    return order


def begin(*jobs: JobPlan, cpus: int = 1) -> Scheduler:
    scheduler = started(*jobs)
    scheduler.observe(joined("h", cpus=cpus), 0.0)
    return scheduler


def test_a_diamond_runs_from_top_to_bottom() -> None:
    scheduler = begin(
        plan(1, name="d", after=after(1, 2)),
        plan(1, name="b", after=after(3)),
        plan(1, name="c", after=after(3)),
        plan(2, name="a"),
    )
    assert run_all(scheduler) == ["a/0", "a/1", "b/0", "c/0", "d/0"]
    assert scheduler.state.finished


def test_a_job_waits_for_every_task_of_a_sweep() -> None:
    scheduler = begin(plan(3, name="prep"), plan(1, name="mean", after=after(0)), cpus=8)
    first = placed(scheduler.decide(0.0))
    assert [batch.job for batch in first] == [0, 0, 0]
    for batch in first[:2]:
        finish(scheduler, batch, 1.0, wall_s=1.0)
        assert names(scheduler, 1.0) == []
    finish(scheduler, first[2], 2.0, wall_s=1.0)
    assert names(scheduler, 2.0) == ["mean/0"]


def test_element_by_element_task_i_starts_when_task_i_has_succeeded() -> None:
    scheduler = begin(plan(3, name="prep"), plan(3, name="sim", after=after(0, each=True)), cpus=3)
    first = placed(scheduler.decide(0.0))
    finish(scheduler, first[1], 1.0, wall_s=1.0)
    assert names(scheduler, 1.0) == ["sim/1"]


def test_what_depends_on_a_failure_is_skipped_and_so_is_what_depends_on_that() -> None:
    scheduler = begin(
        plan(2, name="prep"),
        plan(5, name="sim", after=after(0)),
        plan(1, name="plot", after=after(1)),
        plan(1, name="other"),
    )
    assert run_all(scheduler, frozenset({"prep/0"})) == ["prep/0", "prep/1", "other/0"]
    assert scheduler.state.finished
    assert scheduler.state.counts[Outcome.SKIPPED] == 6
    assert scheduler.state.skipped_because(1, 3) == (0, 0)
    assert scheduler.state.skipped_because(2, 0) == (1, 0)


def test_element_by_element_only_what_depends_on_the_failed_one_is_skipped() -> None:
    scheduler = begin(
        plan(3, name="prep"),
        plan(3, name="sim", after=after(0, each=True)),
        plan(3, name="fit", after=after(1, each=True)),
        plan(1, name="all", after=after(2)),
    )
    order = run_all(scheduler, frozenset({"prep/1"}))
    assert sorted(order) == ["fit/0", "fit/2", "prep/0", "prep/1", "prep/2", "sim/0", "sim/2"]
    assert [scheduler.state.jobs[n].codes[1 if n < 3 else 0] for n in (1, 2, 3)] == [Outcome.SKIPPED] * 3
    assert scheduler.state.skipped_because(2, 1) == (1, 1)
    assert scheduler.state.finished


def test_a_retry_that_succeeds_skips_nothing() -> None:
    scheduler = begin(plan(1, name="prep", retries=1, retry_on=("failed",)), plan(1, name="sim", after=after(0)))
    (first,) = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, outcome=Outcome.FAILED, wall_s=1.0)
    assert scheduler.state.counts[WAITING] == 2
    (again,) = placed(scheduler.decide(60.0))
    finish(scheduler, again, 61.0, wall_s=1.0)
    assert names(scheduler, 61.0) == ["sim/0"]


def test_nothing_waits_for_a_job_without_tasks() -> None:
    scheduler = begin(plan(0, name="prep"), plan(1, name="sim", after=after(0)))
    assert names(scheduler, 0.0) == ["sim/0"]


def test_what_was_withdrawn_while_it_waited_does_not_start_when_its_time_has_come() -> None:
    scheduler = begin(plan(1, name="prep"), plan(3, name="sim", after=after(0)), cpus=4)
    (first,) = placed(scheduler.decide(0.0))
    scheduler.observe(TasksWithdrawn(job=1, tasks=(1,)), 0.5)
    finish(scheduler, first, 1.0, wall_s=1.0)
    assert names(scheduler, 1.0) == ["sim/0", "sim/2"]


def test_a_chain_of_a_million_is_two_ranges_and_no_objects() -> None:
    scheduler = begin(plan(1_000_000, name="prep"), plan(1_000_000, name="sim", after=after(0, each=True)), cpus=4)
    for batch in placed(scheduler.decide(0.0)):
        finish(scheduler, batch, 1.0, wall_s=0.0001)
    for n in range(20):
        for batch in placed(scheduler.decide(2.0 + n)):
            finish(scheduler, batch, 2.0 + n, wall_s=0.0001)
    prep, sim = scheduler.state.jobs
    assert sum(prep.counts[2:]) + sum(sim.counts[2:]) > 2000
    assert len(prep.ready.ranges) == 1
    assert len(sim.ready.ranges) <= 4


def test_a_chain_of_thousands_is_skipped_to_its_end() -> None:
    jobs = [plan(1, name=f"j{n}", after=after(n - 1) if n else ()) for n in range(3000)]
    scheduler = begin(*jobs)
    (first,) = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, outcome=Outcome.FAILED, wall_s=1.0)
    scheduler.decide(1.0)
    assert scheduler.state.finished
    assert scheduler.state.counts[Outcome.SKIPPED] == 2999
