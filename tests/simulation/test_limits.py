"""What a run can't be faster than, worked out by hand."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from batchwasm.core.events import AfterJob, HostPlan, JobPlan
from batchwasm.model import GIB, Request
from batchwasm.simulation.limits import Bound, bounds

POOL = [
    HostPlan(name="small", cpus=4, memory_bytes=4 * GIB, labels=("old",)),
    HostPlan(name="large", cpus=8, memory_bytes=64 * GIB),
]


def job(name: str, tasks: int, cpus: float = 1, gib: float = 1, **more: Any) -> JobPlan:
    return JobPlan(name=name, tasks=tasks, needs=(Request(cpus=cpus, memory_bytes=int(gib * GIB)),), **more)


def found(*jobs: JobPlan) -> list[Bound]:
    """All tasks take 10 s."""
    return bounds(jobs, POOL, [array("d", [10.0] * each.tasks) for each in jobs])


def of(bounds: list[Bound], kind: str, **fields: object) -> Bound:
    [bound] = [b for b in bounds if b.kind == kind and all(getattr(b, name) == v for name, v in fields.items())]
    return bound


def test_all_work_over_all_capacity() -> None:
    cpus = of(found(job("a", 60), job("b", 30, cpus=2)), "resource", resource="cpus")
    assert (cpus.seconds, cpus.amount, cpus.jobs, cpus.hosts) == (100.0, 12.0, ("a", "b"), ())


def test_jobs_that_can_not_leave_some_hosts_are_a_limit_of_their_own() -> None:
    old = of(found(job("a", 60), job("b", 60, labels=("old",))), "resource", resource="cpus", hosts=("small",))
    assert (old.seconds, old.jobs) == (150.0, ("b",))


def test_whole_tasks_on_whole_hosts_leave_something_over() -> None:
    three = of(found(job("a", 30, cpus=3)), "fit")
    assert (three.seconds, three.amount, three.resource, three.usable_cpus, three.cpus) == (100.0, 3, "cpus", 9, 12)


def test_where_memory_is_short_cpus_are_of_no_use() -> None:
    hungry = of(found(job("a", 90, gib=4)), "fit")
    assert (hungry.amount, hungry.resource, hungry.hosts) == (9, "memory", ("small",))
    assert (hungry.usable_cpus, hungry.cpus) == (1, 4)


def test_of_alternatives_the_least_counts() -> None:
    needs = (Request(cpus=4, memory_bytes=GIB), Request(cpus=1, memory_bytes=8 * GIB))
    any_of = found(JobPlan(name="a", tasks=12, needs=needs))
    assert of(any_of, "resource", resource="cpus").seconds == 10.0


def test_chains_go_task_by_task_or_job_by_job() -> None:
    chain = of(found(job("a", 20), job("b", 20, after=(AfterJob(job=0, each=True),))), "chain")
    assert (chain.seconds, chain.jobs) == (20.0, ("a", "b"))
    stages = of(found(job("a", 24, max_parallel=1), job("b", 24, after=(AfterJob(job=0),), max_parallel=1)), "stages")
    assert (stages.seconds, stages.jobs) == (480.0, ("a", "b"))


def test_a_job_may_stand_before_what_it_waits_for_and_chains_may_be_long() -> None:
    chain = [job(f"j{n}", 1, after=(AfterJob(job=n + 1),) if n < 999 else ()) for n in range(1000)]
    assert of(found(*chain), "chain").seconds == pytest.approx(10_000)
