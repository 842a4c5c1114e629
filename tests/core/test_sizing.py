"""What a job asked for against what it took, and what to ask for next time."""

from __future__ import annotations

from typing import Any

import pytest

from batchwasm.core import sizing
from batchwasm.core.events import HostJoined, JobPlan
from batchwasm.core.scheduler import Scheduler
from batchwasm.model import GIB, MIB, Outcome, Request
from tests.core.test_policy import on
from tests.core.test_scheduler import placed, record


def after(job: JobPlan, *, tasks: int = 3, cpus: int = 8, **fields: Any) -> Scheduler:
    """A scheduler of one host with 16 GiB after that many attempts with these fields."""
    scheduler = on({"h": {"cpus": cpus}}, job)
    scheduler.observe(HostJoined(host="h", supervisor="s", cpus=cpus, memory_bytes=16 * GIB, facts={}), 0.0)
    for now in range(tasks):
        for batch in placed(scheduler.decide(float(now))):
            records = [record(task)._replace(**fields) for task in range(batch.ranges[0][0], batch.ranges[0][1])]
            event = scheduler.admit("h", batch.batch, records)
            assert event is not None
            scheduler.observe(event, float(now))
            if scheduler.state.jobs[0].usage.count >= tasks:
                return scheduler
    return scheduler


def job(*, cpus: float = 1, memory: int = 512 * MIB, **more: Any) -> JobPlan:
    return JobPlan(name="sim", tasks=20, needs=(Request(cpus=cpus, memory_bytes=memory),), **more)


USED: dict[str, Any] = {"wall_s": 10.0, "cpu_s": 9.8, "peak_memory_bytes": 310 * MIB}


def test_nothing_is_known_before_anything_ended() -> None:
    assert sizing.sizing(on({"h": {}}, job()).state.jobs[0]) is None


def test_a_job_shows_what_it_asked_for_and_used_and_should_ask_for() -> None:
    found = sizing.sizing(after(job(memory=4 * GIB, cpus=2, time_s=60.0, disk_bytes=GIB), **USED).state.jobs[0])
    assert found is not None
    assert (found.attempts, found.mean_s) == (3, 10.0)
    assert found.cpus == sizing.Measure(asked=2, used=0.98, next=1)
    assert found.memory_bytes == sizing.Measure(asked=4 * GIB, used=310 * MIB, next=400 * MIB)
    assert found.time_s == sizing.Measure(asked=60.0, used=10.0, next=30.0)
    assert found.disk_bytes == sizing.Measure(asked=GIB, used=0, next=4 * MIB)


def test_memory_that_is_not_used_is_told_with_what_it_costs() -> None:
    assert sizing.advice(after(job(memory=4 * GIB), cpus=40, **USED).state) == [
        'sim: asks for 4 GiB of memory and used at most 310 MiB; memory = "400MiB" '
        "would let 10 times as many run at once"
    ]
    assert sizing.advice(after(job(memory=4 * GIB), cpus=4, **USED).state) == [
        'sim: asks for 4 GiB of memory and used at most 310 MiB; memory = "400MiB" is enough'
    ]


def test_the_default_memory_is_told_only_where_it_keeps_tasks_from_running() -> None:
    small = {**USED, "peak_memory_bytes": MIB}
    assert sizing.advice(after(job(), cpus=8, **small).state) == []
    [sentence] = sizing.advice(after(job(), cpus=64, **small).state)
    assert sentence.endswith('memory = "4MiB" would let 2 times as many run at once')


def test_cpus_that_no_module_can_use_are_told() -> None:
    [sentence] = sizing.advice(after(job(cpus=4), **USED).state)
    assert sentence == "sim: asks for 4 cpus and used 0.98; cpus = 1 would let 4 times as many run at once"
    [sentence] = sizing.advice(after(job(cpus=4, max_parallel=2), **USED).state)
    assert sentence == "sim: asks for 4 cpus and used 0.98; cpus = 1 is enough: a module has one thread"


def test_what_is_close_to_a_limit_or_beyond_it_is_told() -> None:
    close = after(job(memory=320 * MIB, time_s=10.5), **USED)
    assert sizing.advice(after(job(disk_bytes=100 * MIB), **USED, disk_bytes=95 * MIB).state) == [
        'sim: wrote 95 MiB of the 100 MiB that it may; disk = "120MiB" is safer'
    ]
    assert sizing.advice(close.state) == [
        'sim: used 310 MiB of the 320 MiB of memory that it asks for; memory = "400MiB" is safer',
        'sim: took 10 s of its time_limit of 10.5 s; time_limit = "30s" is safer',
    ]
    failed = {**USED, "outcome": Outcome.OUT_OF_MEMORY}
    [sentence] = sizing.advice(after(job(memory=320 * MIB), **failed).state)
    assert sentence == 'sim: 3 tasks ran out of 320 MiB of memory; try memory = "700MiB"'
    [sentence] = sizing.advice(after(job(time_s=10.0), **{**USED, "outcome": Outcome.TIMED_OUT}).state)
    assert sentence == 'sim: ran into its time_limit of 10 s; time_limit = "30s" is safer'


def test_two_tasks_say_nothing_of_the_others() -> None:
    assert sizing.advice(after(job(memory=4 * GIB), tasks=2, cpus=1, **USED).state) == []


@pytest.mark.parametrize(
    ("mib", "key"), [(0, "4MiB"), (387.5, "400MiB"), (80, "80MiB"), (1023, "1GiB"), (1331, "1.5GiB")]
)
def test_sizes_are_rounded_up_to_what_people_write(mib: float, key: str) -> None:
    assert sizing.size_key(sizing.readable_bytes(mib * MIB)) == key


@pytest.mark.parametrize(("seconds", "key"), [(0, "1s"), (61, "90s"), (100, "2m"), (5401, "2h"), (90000, "25h")])
def test_durations_are_rounded_up_to_what_people_write(seconds: float, key: str) -> None:
    assert sizing.duration_key(sizing.readable_s(seconds)) == key
