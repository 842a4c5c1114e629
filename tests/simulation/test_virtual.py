"""Runs in virtual time: small ones by hand, larger ones against what they can't be faster than."""

from __future__ import annotations

from typing import Any

import pytest

from batchwasm.core.events import AfterJob, HostPlan, JobPlan
from batchwasm.errors import SpecError
from batchwasm.model import GIB, Request
from batchwasm.simulation import Distribution, Simulation, parse, simulate


def host(name: str, cpus: int = 1, **fields: Any) -> HostPlan:
    return HostPlan(name=name, cpus=cpus, memory_bytes=4 * cpus * GIB, **fields)


def job(name: str, tasks: int, cpus: float = 1, gpus: float = 0, **fields: Any) -> JobPlan:
    return JobPlan(name=name, tasks=tasks, needs=(Request(cpus=cpus, memory_bytes=GIB, gpus=gpus),), **fields)


def run(jobs: list[JobPlan], hosts: list[HostPlan], *durations: str) -> Simulation:
    found = parse(durations, [job.name for job in jobs])
    models = [found.of(job.name) for job in jobs]
    return simulate(jobs, hosts, [model for model in models if isinstance(model, Distribution)])


def kinds(made: Simulation) -> list[str]:
    return [bound.kind for bound in made.bounds if bound.seconds > 0.99 * made.makespan_s]


def test_five_tasks_of_ten_seconds_on_two_cpus_take_thirty() -> None:
    made = run([job("a", 5)], [host("h", 2)], "10s")
    assert made.makespan_s == pytest.approx(30.0, abs=0.1)
    assert made.bound_s == pytest.approx(25.0)
    assert made.hosts[0].tasks == 5
    assert made.hosts[0].busy == pytest.approx(5 / 6, abs=0.01)
    assert made.shares["cpus"] == pytest.approx(5 / 6, abs=0.01)


def test_element_by_element_a_chain_takes_what_its_longest_takes() -> None:
    chain = [job("a", 3), job("b", 3, after=(AfterJob(job=0, each=True),)), job("c", 1, after=(AfterJob(job=1),))]
    made = run(chain, [host("h", 8)], "a=10s,b=20s,c=5s")
    assert made.makespan_s == pytest.approx(35.0, abs=0.1)
    assert kinds(made) == ["chain"]
    assert made.bounds[0].jobs == ("a", "b", "c")


def test_one_gpu_is_what_limits_who_asks_for_it() -> None:
    made = run([job("a", 10, gpus=1), job("b", 10)], [host("h", 8, gpus=1)], "10s")
    assert made.makespan_s == pytest.approx(100.0, abs=0.5)
    assert made.bounds[0].resource == "gpus"


def test_max_parallel_is_a_limit_as_well() -> None:
    made = run([job("a", 10, max_parallel=2)], [host("h", 8)], "10s")
    assert made.makespan_s == pytest.approx(50.0, abs=0.5)
    assert "max_parallel" in kinds(made)


def test_the_same_question_has_the_same_answer() -> None:
    asked = ([job("a", 500), job("b", 100, cpus=2)], [host("g", 4), host("h", 8)], "lognormal(mean=30s)")
    first, again = run(*asked), run(*asked)
    assert (first.makespan_s, first.busy_cpus, first.hosts) == (again.makespan_s, again.busy_cpus, again.hosts)


def test_what_fits_on_no_host_is_said_as_in_a_run() -> None:
    with pytest.raises(
        SpecError, match="asks for 16 cpus, more than any host it may use has; nearest is h with 8 cpus"
    ):
        run([job("a", 1, cpus=16)], [host("h", 8)], "10s")


SIZES = (4, 8, 4, 16, 8, 4, 32, 8, 4, 16, 8, 4, 32, 8, 16, 4, 8, 16, 32, 64)
USUAL = "lognormal(mean=60s, sigma=0.3)"
MIXES = {
    "large ones last": [job("small", 8000), job("large", 80, cpus=16)],
    "fractions": [job("half", 4000, cpus=0.5), job("three", 600, cpus=3), job("one", 4000)],
    "gpus last": [job("small", 8000), job("gpu", 300, cpus=2, gpus=1)],
    "a chain": [job("prep", 4000), job("sim", 4000, after=(AfterJob(job=0, each=True),))],
}


@pytest.mark.parametrize("mix", MIXES)
def test_a_mix_takes_little_longer_than_it_must(mix: str) -> None:
    """Twenty hosts of 4 to 64 cpus, half an hour or so: the tail of the last tasks is within it."""
    hosts = [host(f"lab{n:02}", cpus, gpus={18: 4, 12: 2}.get(n, 0)) for n, cpus in enumerate(SIZES)]
    made = run(MIXES[mix], hosts, USUAL)
    assert made.makespan_s <= 1.10 * made.bound_s
