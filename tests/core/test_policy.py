"""Who goes first, where, how often and when again: each policy by what it decides."""

from __future__ import annotations

from typing import Any

from batchwasm.core import invariants, snapshot
from batchwasm.core.events import (
    BatchGivenUp,
    BatchPlaced,
    HostBusy,
    HostDrained,
    HostFree,
    HostHeard,
    HostJoined,
    HostLeft,
    HostPlan,
    HostRemoved,
    HostReserved,
    HostSetAside,
    HostSilent,
    HostUndrained,
    JobPlan,
    RunOpened,
    RunPlanned,
    TasksReturned,
)
from batchwasm.core.policy import ASIDE_S, RESERVE_S, SICK_STREAK, backoff_s
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import WAITING, State
from batchwasm.model import Outcome, Request
from tests.core.test_scheduler import GIB, built, finish, joined, placed, plan, record, started


def on(hosts: dict[str, dict[str, Any]], *jobs: JobPlan) -> Scheduler:
    """A scheduler whose hosts are there: cpus, gpus, and what the inventory says of them."""
    scheduler = Scheduler(State())
    offers = {
        name: {key: fields.pop(key) for key in ("cpus", "gpus") if key in fields} for name, fields in hosts.items()
    }
    plans = tuple(HostPlan(name=name, **fields) for name, fields in hosts.items())
    planned = RunPlanned(run="r", name="run-1", jobs=jobs, hosts=plans)
    for event in (planned, RunOpened(incarnation=1, pid=1, machine="m", version="0"), *map(built, range(len(jobs)))):
        scheduler.observe(event, 0.0)
    for name, offer in offers.items():
        facts = {"cpus": 1, "gpus": 0, **offer}
        scheduler.observe(HostJoined(host=name, supervisor="s", memory_bytes=64 * GIB, facts={}, **facts), 0.0)
    return scheduler


def where(batches: list[BatchPlaced]) -> list[str]:
    return [batch.host for batch in batches]


def test_a_higher_priority_goes_first_and_equals_by_age() -> None:
    scheduler = started(
        plan(1, name="a"), plan(1, name="b"), plan(1, name="c", priority=5), plan(1, name="d", priority=-1)
    )
    scheduler.observe(joined("h", cpus=1), 0.0)
    order = []
    while not scheduler.state.finished:
        (batch,) = placed(scheduler.decide(0.0))
        order.append(scheduler.state.jobs[batch.job].plan.name)
        finish(scheduler, batch, 0.0, wall_s=1.0)
        if len(order) == 4:
            break
    assert order == ["c", "a", "b", "d"]


def test_hosts_with_gpus_and_licences_are_kept_for_who_asks_for_them() -> None:
    scheduler = on(
        {"gpu": {"cpus": 8, "gpus": 1}, "licensed": {"cpus": 8, "resources": {"licence": 1}}, "plain": {"cpus": 2}},
        plan(2),
    )
    assert where(placed(scheduler.decide(0.0))) == ["plain", "plain"]


def test_a_gpu_task_goes_where_a_gpu_is_and_one_gpu_takes_one() -> None:
    job = JobPlan(name="a", tasks=3, needs=(Request(cpus=1, memory_bytes=1, gpus=1),))
    scheduler = on({"gpu": {"cpus": 8, "gpus": 2}, "plain": {"cpus": 8}}, job)
    assert where(placed(scheduler.decide(0.0))) == ["gpu", "gpu"]


def test_the_first_alternative_that_fits_is_taken() -> None:
    job = JobPlan(name="a", tasks=3, needs=(Request(cpus=1, gpus=1), Request(cpus=4)))
    scheduler = on({"gpu": {"cpus": 1, "gpus": 1}, "plain": {"cpus": 8}}, job)
    assert [(batch.host, batch.need) for batch in placed(scheduler.decide(0.0))] == [
        ("gpu", 0),
        ("plain", 1),
        ("plain", 1),
    ]


def test_labels_decide_where_a_job_may_run() -> None:
    hosts: dict[str, dict[str, Any]] = {"a": {"labels": ("fast",)}, "b": {"labels": ("fast", "old")}, "c": {}}
    assert where(placed(on(hosts, plan(3, labels=("fast", "!old"))).decide(0.0))) == ["a"]


def test_max_parallel_holds_over_all_hosts_and_by_label() -> None:
    hosts: dict[str, dict[str, Any]] = {"a": {"cpus": 4}, "b": {"cpus": 4, "labels": ("old",)}}
    scheduler = on(hosts, plan(20, max_parallel=5, max_parallel_by_label={"old": 1}))
    batches = placed(scheduler.decide(0.0))
    assert sorted(where(batches)) == ["a", "a", "a", "a", "b"]
    finish(scheduler, batches[0], 1.0, wall_s=1.0)
    assert len(placed(scheduler.decide(1.0))) == 1


def test_a_large_task_gets_a_host_kept_for_it_after_a_bounded_wait() -> None:
    scheduler = started(plan(1000, name="small"), plan(1, cpus=4, name="large"))
    scheduler.observe(joined("h", cpus=4), 0.0)
    now, running = 0.0, placed(scheduler.decide(0.0))
    while not any(batch.job == 1 for batch in running):  # one after the other ends, never all at once
        now += 2.0
        assert now < RESERVE_S + 20.0, "it starves"
        finish(scheduler, running.pop(0), now, wall_s=8.0)
        running += placed(scheduler.decide(now))
    assert now > RESERVE_S


def test_what_is_over_in_time_may_use_a_host_that_is_kept() -> None:
    scheduler = on({"h": {"cpus": 4}}, plan(3, name="long"), plan(1, name="large", cpus=4), plan(50, name="quick"))
    batches = placed(scheduler.decide(0.0))
    assert [batch.job for batch in batches] == [0, 0, 0, 2]
    finish(scheduler, batches[0], 5.0, wall_s=100.0)  # the two others will take that long, too
    more = placed(scheduler.decide(5.0))
    finish(scheduler, batches[3], 6.0, wall_s=1.0)
    more += placed(scheduler.decide(6.0))
    assert {batch.job for batch in more} == {2}
    scheduler.decide(20.0)
    assert scheduler.state.hosts["h"].reserved == 1
    finish(scheduler, more[0], 20.0, wall_s=1.0)
    assert [batch.job for batch in placed(scheduler.decide(20.0))] == [2], "a second is nothing against a hundred"


def test_a_failed_task_is_tried_again_after_a_while_and_elsewhere_first() -> None:
    scheduler = on({"a": {}, "b": {}}, plan(1, retries=1, retry_on=("failed",)))
    (first,) = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, outcome=Outcome.FAILED, wall_s=1.0)
    assert placed(scheduler.decide(1.0)) == []
    assert scheduler.wake_at is not None
    assert 1.5 <= scheduler.wake_at <= 2.5
    (again,) = placed(scheduler.decide(scheduler.wake_at))
    assert {first.host, again.host} == {"a", "b"}
    finish(scheduler, again, 9.0, outcome=Outcome.FAILED, wall_s=1.0)
    scheduler.decide(9.0)
    assert scheduler.state.finished
    assert scheduler.state.counts[Outcome.FAILED] == 1


def test_where_there_is_no_other_host_a_retry_takes_the_same() -> None:
    scheduler = on({"a": {}}, plan(1, retries=1, retry_on=("failed",)))
    (first,) = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, outcome=Outcome.FAILED, wall_s=1.0)
    assert where(placed(scheduler.decide(3.0))) == ["a"]


def test_back_off_doubles_and_differs_between_tasks_and_is_the_same_each_time() -> None:
    assert backoff_s("r", "a", 1, 1) == backoff_s("r", "a", 1, 1)
    assert len({backoff_s("r", "a", task, 1) for task in range(50)}) > 40
    assert all(0.5 * 2 ** (n - 1) <= backoff_s("r", "a", 7, n) <= 1.5 * 2 ** (n - 1) for n in range(1, 6))
    assert backoff_s("r", "a", 7, 50) <= 90.0


def test_only_outcomes_and_exit_codes_that_are_named_are_tried_again() -> None:
    scheduler = on({"a": {"cpus": 3}}, plan(3, retries=1, retry_on=("trapped", "exit:75")))
    batches = placed(scheduler.decide(0.0))
    for batch, outcome, code in zip(
        batches, (Outcome.TRAPPED, Outcome.FAILED, Outcome.FAILED), (None, 75, 1), strict=True
    ):
        (task,) = (start for start, _ in batch.ranges)
        event = scheduler.admit(batch.host, batch.batch, [record(task, outcome=outcome)._replace(exit_code=code)])
        assert event is not None
        scheduler.observe(event, 1.0)
    assert scheduler.state.counts[WAITING] == 2
    assert scheduler.state.counts[Outcome.FAILED] == 1


def test_memory_grows_after_out_of_memory_up_to_what_the_largest_host_has() -> None:
    job = JobPlan(
        name="a",
        tasks=1,
        needs=(Request(memory_bytes=20 * GIB),),
        retries=9,
        retry_on=("out_of_memory",),
        memory_growth=2,
    )
    scheduler = on({"a": {}}, job)
    had, now = [], 0.0
    while not scheduler.state.finished:
        now += 100.0
        for batch in placed(scheduler.decide(now)):
            had.append(batch.memory_bytes)
            finish(scheduler, batch, now, outcome=Outcome.OUT_OF_MEMORY, wall_s=1.0)
    assert had == [None, 40 * GIB, 64 * GIB]
    assert scheduler.state.counts[Outcome.OUT_OF_MEMORY] == 1


def test_a_lost_attempt_costs_no_retry() -> None:
    scheduler = on({"a": {}, "b": {}}, plan(1, retries=1, retry_on=("failed",)))
    (first,) = placed(scheduler.decide(0.0))
    scheduler.observe(HostLeft(host=first.host, code="lost", text="gone"), 1.0)
    (second,) = placed(scheduler.decide(1.0))
    finish(scheduler, second, 2.0, outcome=Outcome.FAILED, wall_s=1.0)
    (third,) = placed(scheduler.decide(9.0))
    finish(scheduler, third, 10.0, wall_s=1.0)
    scheduler.decide(10.0)
    assert scheduler.state.counts[Outcome.SUCCEEDED] == 1


def failing_on(scheduler: Scheduler, sick: str, now: float, rounds: int) -> list[HostSetAside]:
    """Everything fails on one host and succeeds on the others."""
    found: list[HostSetAside] = []
    for _ in range(rounds):
        decisions = scheduler.decide(now)
        found += [event for event in decisions if isinstance(event, HostSetAside)]
        for batch in [*scheduler.state.batches.values()]:
            tasks = [record(task, number, wall_s=1.0) for task, number in batch.remaining.items()]
            if batch.host == sick:
                tasks = [task._replace(outcome=Outcome.TRAPPED) for task in tasks]
            event = scheduler.admit(batch.host, batch.id, tasks)
            assert event is not None
            scheduler.observe(event, now)
        now += 1.0
    return found


def test_a_host_where_fails_what_succeeds_elsewhere_is_set_aside_and_has_to_prove_itself() -> None:
    scheduler = on({"good": {"cpus": 2}, "sick": {"cpus": 2}}, plan(10_000))
    (aside,) = failing_on(scheduler, "sick", 0.0, 10)
    assert aside.host == "sick"
    assert f"{SICK_STREAK + 1} tasks in a row" in aside.text
    assert aside.until > 0.0 + ASIDE_S - 1
    back = [batch.host for batch in placed(scheduler.decide(aside.until + 1))]
    assert back.count("sick") == 1, "on probation: one after the other"
    (again,) = failing_on(scheduler, "sick", aside.until + 2, 3)
    assert again.until - aside.until > 1.9 * ASIDE_S
    failing_on(scheduler, "", again.until + 1, 3)
    assert scheduler.state.hosts["sick"].asides == 0
    assert scheduler.state.hosts["sick"].is_open(again.until + 9)


def test_where_everything_fails_no_host_is_set_aside() -> None:
    scheduler = on({"a": {"cpus": 2}, "b": {"cpus": 2}}, plan(100))
    for now in range(10):
        for batch in placed(scheduler.decide(float(now))):
            finish(scheduler, batch, float(now), outcome=Outcome.FAILED, wall_s=1.0)
    assert all(host.asides == 0 for host in scheduler.state.hosts.values())
    assert scheduler.state.counts[Outcome.FAILED] == 40


def late(scheduler: Scheduler) -> tuple[BatchPlaced, float]:
    """Four tasks of a second each, of which one does not end; the time when it counts as late."""
    batches = placed(scheduler.decide(0.0))
    assert len(batches) == 4
    for batch in batches[1:]:
        finish(scheduler, batch, 1.0, wall_s=1.0)
    assert placed(scheduler.decide(1.0)) == []
    assert scheduler.wake_at is not None
    return batches[0], scheduler.wake_at


def test_a_straggler_is_started_twice_and_the_first_result_wins() -> None:
    scheduler = on({"a": {"cpus": 2}, "b": {"cpus": 2}}, plan(4))
    straggler, at = late(scheduler)
    (double,) = placed(scheduler.decide(at))
    assert double.double
    assert double.host != straggler.host
    assert double.ranges == straggler.ranges
    finish_double(scheduler, double, at + 1)
    decisions = scheduler.decide(at + 1)
    assert BatchGivenUp(batch=straggler.batch, job=0, host=straggler.host) in decisions
    assert scheduler.state.finished
    assert scheduler.state.counts[Outcome.SUCCEEDED] == 4
    (task,) = (start for start, _ in straggler.ranges)
    assert scheduler.admit(straggler.host, straggler.batch, [record(task)]) is None


def finish_double(scheduler: Scheduler, batch: BatchPlaced, now: float, outcome: int = Outcome.SUCCEEDED) -> None:
    (task,) = (start for start, _ in batch.ranges)
    number = scheduler.state.batches[batch.batch].remaining[task]
    event = scheduler.admit(batch.host, batch.batch, [record(task, number, outcome=outcome)])
    assert event is not None
    scheduler.observe(event, now)


def test_the_straggler_itself_may_win() -> None:
    scheduler = on({"a": {"cpus": 2}, "b": {"cpus": 2}}, plan(4))
    straggler, at = late(scheduler)
    (double,) = placed(scheduler.decide(at))
    finish_double(scheduler, straggler, at + 1)
    assert BatchGivenUp(batch=double.batch, job=0, host=double.host) in scheduler.decide(at + 1)
    assert scheduler.state.finished


def test_a_failure_of_one_of_two_attempts_waits_for_the_other() -> None:
    scheduler = on({"a": {"cpus": 2}, "b": {"cpus": 2}}, plan(4))
    straggler, at = late(scheduler)
    (double,) = placed(scheduler.decide(at))
    finish_double(scheduler, double, at + 1, Outcome.TRAPPED)
    assert scheduler.state.counts[Outcome.TRAPPED] == 0
    finish_double(scheduler, straggler, at + 2)
    scheduler.decide(at + 2)
    assert scheduler.state.counts[Outcome.SUCCEEDED] == 4


def test_tasks_of_a_silent_host_start_again_where_there_is_room_and_count_once() -> None:
    scheduler = on({"a": {"cpus": 2}, "b": {"cpus": 4}}, plan(4))
    batches = placed(scheduler.decide(0.0))
    on_a = [batch for batch in batches if batch.host == "a"]
    assert on_a
    scheduler.observe(HostSilent(host="a"), 10.0)
    doubles = placed(scheduler.decide(10.0))
    assert where(doubles) == ["b"] * len(on_a)
    scheduler.observe(HostHeard(host="a"), 11.0)
    finish_double(scheduler, on_a[0], 12.0)
    assert any(isinstance(event, BatchGivenUp) for event in scheduler.decide(12.0))
    scheduler.observe(HostLeft(host="a", code="lost", text="gone"), 13.0)
    assert scheduler.state.counts[WAITING] == 0, "what runs a second time is not lost with its first host"


def test_busy_and_drained_hosts_get_nothing_new_and_keep_what_they_run() -> None:
    scheduler = on({"a": {"cpus": 1}, "b": {"cpus": 1}}, plan(10))
    first, second = placed(scheduler.decide(0.0))
    for event, end in (
        (HostBusy(host="a", text="load"), HostFree(host="a")),
        (HostDrained(host="a"), HostUndrained(host="a")),
    ):
        scheduler.observe(event, 1.0)
        batch = first if first.host == "a" else second
        finish(scheduler, batch, 2.0, wall_s=1.0)
        assert placed(scheduler.decide(2.0)) == []
        scheduler.observe(end, 3.0)
        (batch,) = placed(scheduler.decide(3.0))
        assert batch.host == "a"
        first = batch


def test_what_a_busy_host_gives_back_runs_elsewhere() -> None:
    scheduler = on({"a": {"cpus": 1}, "b": {"cpus": 2}}, plan(3))
    batches = placed(scheduler.decide(0.0))
    (on_a,) = (batch for batch in batches if batch.host == "a")
    finish(scheduler, next(batch for batch in batches if batch.host == "b"), 1.0, wall_s=1.0)
    scheduler.observe(HostBusy(host="a", text="someone is there"), 1.0)
    scheduler.observe(TasksReturned(batch=on_a.batch, ranges=on_a.ranges), 1.0)
    assert where(placed(scheduler.decide(1.0))) == ["b"]


def test_an_isolated_task_is_a_batch_of_its_own_however_short() -> None:
    scheduler = on({"a": {"cpus": 1}}, plan(100, isolate=True))
    for now in range(5):
        (batch, *_) = placed(scheduler.decide(float(now)))
        assert len(batch.ranges) == 1
        assert batch.ranges[0][1] - batch.ranges[0][0] == 1
        for each in [*scheduler.state.batches.values()]:
            event = scheduler.admit("a", each.id, [record(t, n, wall_s=0.0001) for t, n in each.remaining.items()])
            assert event is not None
            scheduler.observe(event, float(now))


def test_reservations_end_with_the_job_that_they_were_for() -> None:
    scheduler = on({"h": {"cpus": 2}}, plan(50, name="small"), plan(1, name="large", cpus=2))
    running = placed(scheduler.decide(0.0))
    decisions = scheduler.decide(RESERVE_S + 1)
    assert HostReserved(host="h", job=1) in decisions
    finish(scheduler, running[0], 12.0, wall_s=100.0)
    assert placed(scheduler.decide(12.0)) == []
    finish(scheduler, running[1], 13.0, wall_s=100.0)
    (large,) = placed(scheduler.decide(13.0))
    assert large.job == 1
    assert scheduler.state.hosts["h"].reserved is None


def test_what_already_ran_on_a_host_that_is_set_aside_does_not_count_again() -> None:
    scheduler = on({"good": {"cpus": 1}, "sick": {"cpus": 12}}, plan(100))
    batches = placed(scheduler.decide(0.0))
    finish(scheduler, next(batch for batch in batches if batch.host == "good"), 1.0, wall_s=1.0)
    asides = []
    for batch in batches:
        if batch.host == "sick":
            finish(scheduler, batch, 1.0, outcome=Outcome.TRAPPED, wall_s=1.0)
            asides += [event for event in scheduler.decide(1.0) if isinstance(event, HostSetAside)]
    assert len(asides) == 1
    assert scheduler.state.hosts["sick"].asides == 1


def test_what_we_refuse_ourselves_speaks_against_no_host_and_tells_no_duration() -> None:
    scheduler = on({"good": {"cpus": 1}, "other": {"cpus": 8}}, plan(100))
    batches = placed(scheduler.decide(0.0))
    finish(scheduler, next(batch for batch in batches if batch.host == "good"), 1.0, wall_s=100.0)
    for batch in batches:
        if batch.host == "other":
            finish(scheduler, batch, 1.0, outcome=Outcome.INVALID, wall_s=0.0)
    assert not [event for event in scheduler.decide(1.0) if isinstance(event, HostSetAside)]
    assert scheduler.state.jobs[0].mean_s == 100.0
    assert scheduler.state.jobs[0].usage.count == 1


def test_a_task_that_may_be_tried_again_has_failed_for_good_once_the_rest_is_cancelled() -> None:
    scheduler = started(plan(3, retries=5, retry_on=("failed",)), plan(1, name="b", priority=1), max_failures=1)
    scheduler.observe(joined("h", cpus=4), 0.0)
    other, first, *_ = placed(scheduler.decide(0.0))
    finish(scheduler, other, 1.0, outcome=Outcome.TRAPPED, wall_s=1.0)
    scheduler.decide(1.0)
    finish(scheduler, first, 2.0, outcome=Outcome.FAILED, wall_s=1.0)
    assert scheduler.state.counts[Outcome.FAILED] == 1
    invariants.check(scheduler.state)


def test_a_cancelled_retry_leaves_nothing_behind() -> None:
    scheduler = started(plan(1, retries=1, retry_on=("failed",)), plan(1, name="b"), max_failures=1)
    scheduler.observe(joined("h", cpus=2), 0.0)
    first, other = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, outcome=Outcome.FAILED, wall_s=1.0)
    finish(scheduler, other, 1.0, outcome=Outcome.TRAPPED, wall_s=1.0)
    scheduler.decide(1.0)
    assert scheduler.state.finished
    invariants.check(scheduler.state)


def test_a_scheduler_that_takes_over_wakes_for_the_retries_that_it_finds() -> None:
    scheduler = on({"a": {}}, plan(1, retries=1, retry_on=("failed",)))
    (first,) = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, outcome=Outcome.FAILED, wall_s=1.0)
    heir = Scheduler(snapshot.load(snapshot.dump(scheduler.state)))
    assert placed(heir.decide(1.0)) == []
    assert heir.wake_at is not None
    assert len(placed(heir.decide(heir.wake_at))) == 1


def test_a_loss_counts_though_a_second_attempt_goes_on() -> None:
    scheduler = on({"a": {"cpus": 2}, "b": {"cpus": 2}}, plan(4))
    straggler, at = late(scheduler)
    placed(scheduler.decide(at))
    scheduler.observe(HostLeft(host=straggler.host, code="lost", text="gone"), at + 1)
    ((task, losses),) = scheduler.state.jobs[0].losses.items()
    assert (((task, task + 1),), losses) == (straggler.ranges, 1)


def test_a_clock_that_is_put_back_stops_no_look() -> None:
    scheduler = on({"a": {"cpus": 2}, "b": {"cpus": 2}}, plan(4))
    straggler, at = late(scheduler)
    assert scheduler.decide(at - 0.001) == []  # looked at, and not yet late
    scheduler.state.batches[straggler.batch].since -= 2.0
    scheduler.decide(at - 2.5)
    assert placed(scheduler.decide(at - 1.9)), "put back by seconds or hours, it is looked at all the same"


def test_grown_memory_that_no_host_has_any_more_is_cut_to_what_there_is() -> None:
    need = Request(memory_bytes=20 * GIB)
    job = JobPlan(name="a", tasks=1, needs=(need,), retries=2, retry_on=("out_of_memory",), memory_growth=2)
    scheduler = on({"a": {}, "b": {}}, job)
    (first,) = placed(scheduler.decide(0.0))
    finish(scheduler, first, 1.0, outcome=Outcome.OUT_OF_MEMORY, wall_s=1.0)
    small = next(name for name in ("a", "b") if name != first.host)
    scheduler.observe(HostRemoved(host=first.host), 1.0)
    scheduler.observe(HostLeft(host=small, code="lost", text="gone"), 1.0)
    smaller = HostJoined(host=small, supervisor="s", cpus=1, memory_bytes=30 * GIB, facts={})
    scheduler.observe(smaller, 2.0)
    (again,) = placed(scheduler.decide(10.0))
    assert again.memory_bytes == 30 * GIB


def lived(scheduler: Scheduler, durations: tuple[float, ...], until: float, step: float) -> dict[str, float]:
    """Runs it in steps of virtual time; cpu seconds that were idle, by host."""
    now, idle = 0.0, dict.fromkeys(scheduler.state.hosts, 0.0)
    ends: list[tuple[float, BatchPlaced]] = []
    while now < until:
        for end, batch in [pair for pair in ends if pair[0] <= now]:
            ends.remove((end, batch))
            finish(scheduler, batch, now, wall_s=durations[batch.job])
        ends += [(now + durations[batch.job], batch) for batch in placed(scheduler.decide(now))]
        for name, host in scheduler.state.hosts.items():
            idle[name] += host.room.all_cpus / 1000 * step if host.room else 0.0
        now += step
    return idle


def test_cpus_are_not_kept_idle_for_who_waits_for_a_gpu() -> None:
    rare = JobPlan(name="rare", tasks=100, needs=(Request(cpus=4, memory_bytes=1, gpus=1),))
    scheduler = on({"h": {"cpus": 32, "gpus": 1}}, rare, plan(10_000, name="small"))
    assert lived(scheduler, (3600.0, 1000.0), 40_000.0, 20.0)["h"] < 0.1 * 32 * 40_000.0


def test_what_leaves_room_enough_beside_it_may_use_a_host_that_is_kept() -> None:
    scheduler = on({"h": {"cpus": 6}}, plan(100, name="large", cpus=4), plan(1_000, name="small"))
    assert lived(scheduler, (3600.0, 5000.0), 100_000.0, 20.0)["h"] < 0.01 * 6 * 100_000.0


def test_a_host_is_kept_for_the_alternative_that_fits_there() -> None:
    large = JobPlan(name="large", tasks=1, needs=(Request(cpus=8, gpus=1), Request(cpus=4)))
    scheduler = on({"h": {"cpus": 4}}, plan(10_000, name="small"), large)
    lived(scheduler, (5.0, 5.0), 60.0, 0.7)
    assert not scheduler.state.jobs[1].waiting


def test_a_host_is_kept_for_a_retry_that_needs_more_than_its_jobs_other_tasks() -> None:
    need = Request(memory_bytes=8 * GIB)
    job = JobPlan(name="a", tasks=9_999, needs=(need,), retries=3, retry_on=("out_of_memory",), memory_growth=7)
    scheduler = on({"h": {"cpus": 8}}, job)
    first, *others = placed(scheduler.decide(0.0))
    finish(scheduler, first, 0.5, outcome=Outcome.OUT_OF_MEMORY, wall_s=0.5)
    now, ran = 0.0, [batch.batch for batch in others]
    while scheduler.state.jobs[0].retries:
        now += 0.6
        assert now < 60.0, "it starves"
        batch = scheduler.state.batches[ran.pop(0)]
        ((task, number),) = batch.remaining.items()
        event = scheduler.admit("h", batch.id, [record(task, number, wall_s=5.0)])
        assert event is not None
        scheduler.observe(event, now)
        ran += [each.batch for each in placed(scheduler.decide(now))]
    assert any(batch.memory_bytes == 56 * GIB for batch in scheduler.state.batches.values())
