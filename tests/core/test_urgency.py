"""What decides when a run ends goes first among jobs of the same priority."""

from __future__ import annotations

from typing import Any

from batchwasm.core import reserving
from batchwasm.core.events import AfterJob, HostPlan, HostReserved, JobPlan, RunOpened, RunPlanned
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import State
from batchwasm.core.urgency import Urgency
from batchwasm.model import Request
from tests.core.test_scheduler import GIB, built, finish, joined, placed

HOSTS = {"large": 8, "small": 2, "tiny": 2}


def job(name: str, tasks: int, cpus: float = 1, **more: Any) -> JobPlan:
    return JobPlan(name=name, tasks=tasks, needs=(Request(cpus=cpus, memory_bytes=GIB // 8),), **more)


def begun(*jobs: JobPlan) -> Scheduler:
    """Some task has ended, after 10 s: so long are all, as far as is known."""
    scheduler = Scheduler(State())
    plans = tuple(HostPlan(name=name) for name in HOSTS)
    scheduler.observe(RunPlanned(run="r", name="r-1", jobs=jobs, hosts=plans), 0.0)
    scheduler.observe(RunOpened(incarnation=1, pid=1, machine="m", version="0"), 0.0)
    for name, cpus in HOSTS.items():
        scheduler.observe(joined(name, cpus), 0.0)
    for n in range(len(jobs)):
        scheduler.observe(built(n), 0.0)
    finish(scheduler, placed(scheduler.decide(0.0))[0], 10.0, wall_s=10.0)
    return scheduler


def urgent(scheduler: Scheduler) -> list[str]:
    urgency = Urgency()
    urgency.look(scheduler.state)
    return [scheduler.state.jobs[n].plan.name for n in urgency.wanted]


def test_a_job_that_few_hosts_can_run_is_urgent_when_it_takes_as_long_there_as_all_do_everywhere() -> None:
    # 1,200 cpu-tasks on 12 cpus take 100 rounds; 80 tasks of 4 cpus, two at a time on one host, take 40 or 100.
    assert urgent(begun(job("sweep", 1040), job("wide", 40, 4))) == []
    assert urgent(begun(job("sweep", 480), job("wide", 180, 4))) == ["wide"]


def test_jobs_that_share_the_few_hosts_are_weighed_together() -> None:
    alone = [job("sweep", 300), job("wide", 60, 4)]
    assert urgent(begun(*alone)) == []
    assert set(urgent(begun(*alone, job("wider", 60, 8)))) == {"wide", "wider"}


def test_what_leaves_gaps_that_others_must_fill_is_urgent_before_they_run_out() -> None:
    # Of tasks with 2 cpus six fit, which leaves nothing; with 1.5 cpus five and two times one, that leaves 1.5 cpus.
    assert urgent(begun(job("filler", 60), job("even", 300, 2))) == []
    assert urgent(begun(job("filler", 60), job("odd", 400, 1.5))) == ["odd"]


def test_what_a_long_chain_waits_for_is_urgent() -> None:
    chain = [job(f"step{n}", 1, after=(AfterJob(job=n),)) for n in range(1, 30)]
    assert urgent(begun(job("sweep", 100), job("first", 20))) == []
    found = urgent(begun(job("sweep", 100), job("first", 20), *chain))
    assert "first" in found
    assert "sweep" not in found


def test_max_parallel_makes_a_job_urgent() -> None:
    assert urgent(begun(job("sweep", 600), job("few", 60, max_parallel=1))) == ["few"]


def test_urgent_jobs_go_before_older_ones_but_not_before_higher_priority() -> None:
    scheduler = begun(job("a", 100), job("b", 100), job("c", 100, priority=1))
    urgency = Urgency()
    assert urgency.ranked(scheduler.state) == [2, 0, 1]
    urgency.wanted = {1: 3}
    assert urgency.ranked(scheduler.state) == [2, 1, 0]


def test_an_urgent_job_that_runs_as_many_as_it_takes_waits_for_its_turn() -> None:
    scheduler = begun(job("a", 100), job("b", 100))
    urgency = Urgency()
    running = scheduler.state.jobs[0].batches
    urgency.wanted = {0: running, 1: 1}
    assert urgency.ranked(scheduler.state) == [1, 0]
    urgency.wanted = {0: running + 1}
    assert urgency.ranked(scheduler.state) == [0, 1]


def test_hosts_are_kept_for_an_urgent_job_though_it_has_some() -> None:
    scheduler = begun(job("sweep", 480), job("wide", 180, 4))
    now = 20.0
    for batch in list(scheduler.state.batches.values()):
        assert batch.job == 0, "small tasks hold every host"
    scheduler.decide(now)
    assert scheduler.state.reserved == {"large"}


def test_an_urgent_job_may_use_what_is_kept_for_another_which_then_gives_it_back() -> None:
    """An old job that needs all of a host waits for it; one that decides when the run ends is let through, and while
    it goes on there keeping the rest free is in vain."""
    scheduler = begun(job("whole", 2, 8), job("sweep", 100), job("licensed", 60))
    state, large = scheduler.state, scheduler.state.hosts["large"]
    [there] = [batch for batch in placed(scheduler.decide(20.0)) if batch.host == "large"]
    assert there.job == 0
    amount, state.urgent = state.jobs[2].amounts[0], {2}
    scheduler.observe(HostReserved(host="large", job=0), 20.0)
    assert not reserving.may_pass(state, large, 1, amount, 20.0)
    assert reserving.may_pass(state, large, 2, amount, 20.0)
    assert not reserving.is_lost(state, large, 0, None)
    state.batches[there.batch].job = 2
    assert reserving.is_lost(state, large, 0, None)
    assert not reserving.is_lost(state, large, 2, None), "of those that are urgent none gives way"


def test_a_chain_of_a_thousand_jobs_can_be_weighed() -> None:
    chain = [job(f"step{n}", 1, after=(AfterJob(job=n - 1),)) for n in range(1, 1000)]
    assert "step0" in urgent(begun(job("step0", 20), *chain))
