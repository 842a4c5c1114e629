"""Why a task waits, where it runs, why it never ran; and what limits a whole run: all causes, in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from batchwasm.core.bottleneck import limits
from batchwasm.core.events import (
    AfterJob,
    HostBusy,
    HostDrained,
    HostJoined,
    HostLeft,
    HostPlan,
    HostRefused,
    HostRemoved,
    HostReserved,
    HostSetAside,
    HostSilent,
    JobPlan,
    RunOpened,
    RunPlanned,
    RunStopped,
    TasksCancelled,
)
from batchwasm.core.explain import Ended, Running, Waiting, explain
from batchwasm.core.policy import AVOID_S, CRASH_LIMIT
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import State
from batchwasm.model import GIB, Outcome, Request
from tests.core.test_policy import on
from tests.core.test_scheduler import built, finish, joined, placed, plan, record, started
from tests.core.test_urgency import begun
from tests.core.test_urgency import job as of_urgency


def waiting(scheduler: Scheduler, n: int = 0, task: int = 0, now: float = 0.0) -> Waiting:
    found = explain(scheduler.state, n, task, now)
    assert isinstance(found, Waiting), found
    return found


def texts(scheduler: Scheduler, n: int = 0, task: int = 0, now: float = 0.0) -> list[str]:
    """Wherever it would run."""
    return [reason.text for reason in waiting(scheduler, n, task, now).reasons]


def by_host(scheduler: Scheduler, n: int = 0, task: int = 0, now: float = 0.0) -> dict[str, list[str]]:
    """What keeps the task from each host, groups of them joined by a space."""
    found = waiting(scheduler, n, task, now).hosts
    return {" ".join(group.names): [reason.text for reason in group.reasons] for group in found}


def said(scheduler: Scheduler, now: float = 0.0) -> list[str]:
    """What limits the whole run."""
    return [reason.text for reason in limits(scheduler.state, now)]


def test_each_host_says_what_keeps_a_task_from_it_once_and_for_all() -> None:
    job = JobPlan(
        name="a",
        tasks=1,
        needs=(Request(cpus=16, memory_bytes=GIB, resources={"licence": 1}),),
        hosts=("small", "far", "near", "open"),
        exclude=("far",),
        labels=("fast-disk", "!old"),
        mounts=("imagenet",),
    )
    good: dict[str, Any] = {"labels": ("fast-disk",), "mounts": ("imagenet",), "resources": {"licence": 1}}
    scheduler = on(
        {
            "small": {"cpus": 8, **good},
            "far": {"cpus": 16, "labels": ("old",), "resources": {"licence": 1}},
            "near": {"cpus": 16, **good, "resources": {}},
            "other": {"cpus": 16, **good},
            "open": {"cpus": 16, **good},
        },
        job,
    )
    assert by_host(scheduler) == {
        "small": ["asks for 16 cpus, it has 8 cpus"],
        "far": [
            "excluded",
            "label fast-disk missing",
            "has the label old, which it must not",
            "mount imagenet missing",
        ],
        "near": ["asks for 1 of licence, it has 0 of licence"],
        "other": ["not among its hosts"],
        "open": [],
    }


def test_hosts_that_are_full_say_by_whom_and_are_told_together() -> None:
    jobs = (
        JobPlan(name="sim", tasks=9, needs=(Request(cpus=2, memory_bytes=GIB),)),
        JobPlan(name="mean", tasks=9, needs=(Request(cpus=1, memory_bytes=GIB, resources={"licence": 1}),)),
        JobPlan(name="big", tasks=1, needs=(Request(cpus=3, memory_bytes=62 * GIB, resources={"licence": 1}),)),
    )
    scheduler = on(
        {"lab1": {"cpus": 5, "resources": {"licence": 1}}, "lab2": {"cpus": 5, "resources": {"licence": 1}}}, *jobs
    )
    assert len(placed(scheduler.decide(0.0))) == 6
    assert by_host(scheduler, 2) == {
        "lab1 lab2": [
            "cpus: 10 of 10 taken by sim (8), mean (2); asks for 3, at most 0 free on one",
            "memory: 6 GiB of 128 GiB taken by sim (4 GiB), mean (2 GiB); asks for 62 GiB, at most 61 GiB free on one",
            "licence: 2 of 2 taken by mean (2); asks for 1, at most 0 free on one",
        ]
    }
    assert texts(scheduler, 2) == ["behind sim (5 tasks, older), mean (7 tasks, older) in the queue"]
    assert texts(scheduler, 0, 8) == ["4 tasks of sim go first"]
    assert said(scheduler)[:2] == ["all 10 cpus are taken", "all 2 of licence are taken"]


def test_of_alternatives_each_says_what_it_lacks_and_gpus_count_whole_ones() -> None:
    job = JobPlan(name="a", tasks=3, needs=(Request(cpus=1, gpus=1), Request(cpus=4)))
    scheduler = on({"h": {"cpus": 6, "gpus": 1}, "none": {"cpus": 4}}, replace(job, tasks=4))
    assert len(placed(scheduler.decide(0.0))) == 3
    assert by_host(scheduler, 0, 3) == {
        "h": ["gpus: 1 of 1 taken by a (1); asks for 1", "cpus: 5 of 6 taken by a (5); asks for 4"],
        "none": ["cpus: 4 of 4 taken by a (4); asks for 4"],
    }


def test_every_way_in_which_a_host_is_closed_is_told() -> None:
    names = ("a", "b", "c", "d", "e", "f", "g", "h")
    scheduler = started(plan(1), hosts=names)
    for name in names[2:]:
        scheduler.observe(joined(name), 0.0)
    for event in (
        HostRefused(host="b", code="key", text="unknown key", waiting_may_help=True),
        HostLeft(host="c", code="lost", text="gone"),
        HostDrained(host="d", text="alice"),
        HostBusy(host="d", text="load 0.93 over 0.8"),
        HostSilent(host="e"),
        HostSetAside(host="f", until=90.0, text="5 tasks in a row failed there that succeed elsewhere"),
        HostRemoved(host="g"),
    ):
        scheduler.observe(event, 0.0)
    assert by_host(scheduler) == {
        "a": ["connecting"],
        "b": ["unknown key"],
        "c": ["gone"],
        "d": ["drained: alice", "left to others: load 0.93 over 0.8"],
        "e": ["silent; it may be gone"],
        "f": ["set aside: 5 tasks in a row failed there that succeed elsewhere"],
        "g": ["the inventory has it no longer"],
        "h": [],
    }
    [aside] = [group.reasons[0] for group in waiting(scheduler).hosts if group.names == ("f",)]
    assert (aside.code, aside.until) == ("aside", 90.0)
    assert by_host(scheduler, now=91.0)["f h"] == []
    found = said(scheduler)
    assert "1 of 7 hosts is set aside: f" in found
    assert "1 of 7 hosts is drained: d" in found


def test_a_task_says_which_jobs_it_waits_for_and_how_far_those_are() -> None:
    jobs = (
        plan(3, name="prep"),
        plan(3, name="sim", after=(AfterJob(job=0, each=True),)),
        plan(1, name="mean", after=(AfterJob(job=0), AfterJob(job=1))),
    )
    scheduler = started(*jobs)
    scheduler.observe(joined("h", cpus=1), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    assert texts(scheduler, 1, 0) == ["waits for prep/0, which runs"]
    assert texts(scheduler, 1, 1) == ["waits for prep/1, which waits"]
    assert texts(scheduler, 2) == [
        "waits for prep: 3 of 3 tasks left, 1 of them running",
        "waits for sim: 3 of 3 tasks left",
    ]
    finish(scheduler, batch, 1.0, wall_s=1.0)
    assert texts(scheduler, 1, 0) == ["behind prep (2 tasks, older) in the queue"]
    assert set(said(scheduler)) == {
        "2 tasks of sim wait for prep, task by task",
        "mean waits for prep: 2 of 3 tasks left",
        "mean waits for sim: 3 of 3 tasks left",
    }


def test_what_is_not_compiled_and_what_is_limited_says_so() -> None:
    scheduler = Scheduler(State())
    jobs = (
        plan(3, name="a", max_parallel=1),
        plan(1, name="b"),
        plan(4, name="c", max_parallel_by_label={"slow": 1}, priority=2),
    )
    hosts = (HostPlan(name="h", labels=("slow",)),)
    for event in (
        RunPlanned(run="r", name="r", jobs=jobs, hosts=hosts),
        RunOpened(incarnation=1, pid=1, machine="m", version="0"),
        *(built(0), built(2), joined("h", cpus=8)),
    ):
        scheduler.observe(event, 0.0)
    scheduler.decide(0.0)
    assert texts(scheduler, 1) == ["b is not compiled yet"]
    assert texts(scheduler, 0, 2) == [
        "max_parallel of a is reached: 1 at once",
        "behind c (3 tasks, priority 2) in the queue",
        "1 task of a goes first",
    ]
    by_label = "max_parallel of c is reached on hosts with the label slow: 1 at once"
    assert by_host(scheduler, 2, 2) == {"h": [by_label]}
    assert said(scheduler) == [by_label, "max_parallel of a is reached: 1 at once", "b is not compiled yet"]


def test_a_retry_says_when_it_is_due_and_which_host_it_avoids() -> None:
    scheduler = on({"a": {}, "b": {"labels": ("x",)}}, plan(1, retries=2, retry_on=("failed",), memory_growth=2.0))
    (batch,) = placed(scheduler.decide(0.0))
    finish(scheduler, batch, 1.0, outcome=Outcome.FAILED)
    [retry] = waiting(scheduler, now=1.0).reasons
    assert retry.text == "tried again after a while; it failed once"
    assert retry.until == scheduler.state.jobs[0].retries[0].at
    other = "b" if batch.host == "a" else "a"
    avoided = "the last attempt ended badly here, so another host is tried first"
    assert by_host(scheduler, now=1.0) == {batch.host: [avoided], other: []}
    assert by_host(scheduler, now=retry.until + AVOID_S) == {"a b": []}
    [resting] = limits(scheduler.state, 1.0)
    assert (resting.text, resting.until) == ("1 task of a waits to be tried again", retry.until)


def test_a_host_that_is_kept_for_a_large_task_says_for_which() -> None:
    scheduler = on({"lab3": {"cpus": 4}}, plan(9, name="small"), plan(1, name="large", cpus=4))
    scheduler.decide(0.0)
    scheduler.observe(HostReserved(host="lab3", job=1), 0.0)
    kept, full = by_host(scheduler, 0, 8)["lab3"]
    assert kept == "kept for a task of large, which waited too long"
    assert full == "cpus: 4 of 4 taken by small (4); asks for 1"
    assert "lab3 is kept for a large task of large" in said(scheduler)


def test_short_tasks_that_wait_on_a_host_are_told_apart_from_what_runs_there() -> None:
    scheduler = started(plan(10_000, name="tiny"))
    scheduler.observe(joined("h", cpus=1), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    finish(scheduler, batch, 0.01)
    scheduler.decide(0.01)
    assert by_host(scheduler, 0, 9_999) == {
        "h": ["short tasks of tiny run there, and as many wait as may be sent ahead"]
    }
    assert said(scheduler) == ["the only cpu is taken"]


def test_a_thousand_hosts_are_a_few_groups() -> None:
    hosts = {f"lab{n:04}": {"cpus": 2} for n in range(1000)}
    scheduler = on(hosts, plan(3000, name="sim"))
    scheduler.decide(0.0)
    scheduler.observe(HostDrained(host="lab0007"), 0.0)
    groups = waiting(scheduler, 0, 2999).hosts
    assert [len(group.names) for group in groups] == [999, 1]
    assert groups[0].reasons[0].text == "cpus: 1998 of 1998 taken by sim (1998); asks for 1, at most 0 free on one"


def test_a_running_task_says_where_since_when_and_whether_it_is_doubted_or_doubled() -> None:
    scheduler = on({"a": {}, "b": {}}, plan(1))
    (batch,) = placed(scheduler.decide(5.0))
    scheduler.observe(HostSilent(host=batch.host), 40.0)
    (double,) = placed(scheduler.decide(40.0))
    found = explain(scheduler.state, 0, 0, 41.0)
    assert isinstance(found, Running)
    first, second = found.places
    assert (first.host, first.number, first.since, first.double, first.doubted) == (batch.host, 1, 5.0, False, True)
    assert (second.host, second.number, second.since, second.double) == (double.host, 2, 40.0, True)
    assert said(scheduler) == [f"nothing waits any more: its last task runs (a on {batch.host}, a on {double.host})"]


def test_a_straggler_is_told() -> None:
    scheduler = on({"a": {"cpus": 4}}, plan(4))
    *others, last = placed(scheduler.decide(0.0))
    for batch in others:
        finish(scheduler, batch, 1.0, wall_s=1.0)
    found = explain(scheduler.state, 0, last.ranges[0][0], 9.0)
    assert isinstance(found, Running)
    assert found.places[0].late
    assert said(scheduler, 9.0)[0] == f"a/{last.ranges[0][0]} on a takes much longer than others of the same job"


def test_a_skipped_task_says_what_did_not_succeed_at_the_beginning() -> None:
    jobs = (
        plan(2, name="prep"),
        plan(2, name="sim", after=(AfterJob(job=0, each=True),)),
        plan(1, name="mean", after=(AfterJob(job=1),)),
    )
    scheduler = started(*jobs)
    scheduler.observe(joined("h", cpus=1), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    finish(scheduler, batch, 1.0, outcome=Outcome.TRAPPED)
    found = explain(scheduler.state, 2, 0, 1.0)
    assert isinstance(found, Ended)
    assert found.outcome == Outcome.SKIPPED
    [reason] = found.reasons
    assert reason.text == (
        "it comes after sim/0, which did not succeed (skipped), after prep/0, which did not succeed (trapped)"
    )


def test_what_was_cancelled_or_lost_says_why_and_an_attempt_speaks_for_itself() -> None:
    scheduler = started(plan(3))
    scheduler.observe(joined("h", cpus=1), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    finish(scheduler, batch, 1.0, outcome=Outcome.FAILED, wall_s=1.0)
    (batch,) = placed(scheduler.decide(1.0))
    for life in range(CRASH_LIMIT):
        scheduler.observe(HostLeft(host="h", code="lost", text="gone"), 2.0)
        scheduler.observe(joined("h", cpus=1), 2.0)
        if life < CRASH_LIMIT - 1:
            (batch,) = placed(scheduler.decide(200.0 * (life + 1)))
    scheduler.observe(TasksCancelled(code="cancelled", text="a person did", running=False), 3.0)
    ended = [explain(scheduler.state, 0, task, 3.0) for task in range(3)]
    assert [found.outcome.word for found in ended if isinstance(found, Ended)] == ["failed", "lost", "cancelled"]
    assert [[reason.code for reason in found.reasons] for found in ended if isinstance(found, Ended)] == [
        [],
        ["crash_limit"],
        ["cancelled"],
    ]


def test_a_run_that_is_over_or_was_left_says_so() -> None:
    scheduler = started(plan(2))
    assert said(scheduler) == ["1 of 1 host is connecting: h"]
    scheduler.observe(joined("h", cpus=1), 0.0)
    scheduler.observe(RunStopped(code="interrupted", text="interrupted"), 0.0)
    assert said(scheduler) == ["it does not go on: interrupted"]
    assert texts(scheduler)[0] == "the run does not go on: interrupted"
    other = started(plan(1))
    other.observe(joined("h", cpus=1), 0.0)
    (batch,) = placed(other.decide(0.0))
    finish(other, batch, 1.0)
    other.decide(1.0)
    assert said(other) == ["nothing: it is done"]


def test_memory_that_limits_a_run_is_told_with_what_was_used_of_it() -> None:
    scheduler = on({"h": {"cpus": 64}}, plan(40, name="sim", memory=4 * GIB))
    first, *_ = placed(scheduler.decide(0.0))
    event = scheduler.admit("h", first.batch, [record(0, wall_s=9.0)._replace(peak_memory_bytes=310 * 1024**2)])
    assert event is not None
    scheduler.observe(event, 9.0)
    scheduler.decide(9.0)
    assert said(scheduler, 9.0) == [
        "64 GiB of 64 GiB of memory are taken, and sim asks for 4 GiB a task, of which it used 310 MiB at most"
    ]


def test_a_host_that_fails_on_its_own_is_on_probation_after_a_while() -> None:
    scheduler = on({"good": {"cpus": 1}, "bad": {"cpus": 1}}, plan(60))
    now = 0.0
    batches = placed(scheduler.decide(now))
    while not scheduler.state.hosts["bad"].asides:
        now += 1.0
        for batch in batches:
            outcome = Outcome.FAILED if batch.host == "bad" else Outcome.SUCCEEDED
            finish(scheduler, batch, now, outcome=outcome, wall_s=1.0)
        batches = placed(scheduler.decide(now))
    until = scheduler.state.hosts["bad"].aside_until
    scheduler.decide(until + 1.0)
    found = by_host(scheduler, 0, 59, until + 1.0)
    assert found["bad"][0] == "on probation: one task after the other until one succeeds"
    assert any(text.startswith("1 of 2 hosts is on probation: bad") for text in said(scheduler, until + 1.0))


def test_an_unanswered_host_is_judged_by_what_the_inventory_says() -> None:
    planned = RunPlanned(
        run="r",
        name="r",
        jobs=(plan(1, cpus=4), JobPlan(name="g", tasks=1, needs=(Request(gpus=1),))),
        hosts=(HostPlan(name="said", cpus=2, gpus=0), HostPlan(name="unsaid")),
    )
    scheduler = Scheduler(State())
    scheduler.observe(planned, 0.0)
    assert by_host(scheduler) == {
        "said": ["connecting", "asks for 4 cpus, it has 2 cpus"],
        "unsaid": ["connecting"],
    }
    assert by_host(scheduler, 1) == {"said": ["connecting", "asks for 1 gpu, it has 0 gpus"], "unsaid": ["connecting"]}


def test_what_could_start_at_once_needs_no_explanation() -> None:
    scheduler = started(plan(1))
    scheduler.observe(HostJoined(host="h", supervisor="s", cpus=1, memory_bytes=8 * GIB, facts={}), 0.0)
    assert by_host(scheduler) == {"h": []}
    assert said(scheduler) == ["nothing: what can start is being started"]


def test_who_goes_first_though_it_is_younger_is_said_with_the_reason() -> None:
    """Two of its tasks fit on the one large host: with 12 cpus in all it takes about as long as everything."""
    scheduler = begun(of_urgency("sweep", 480), of_urgency("wide", 180, 4))
    assert texts(scheduler, 0, 400, 10.0)[0] == "behind wide (180 tasks, which decides when the run ends) in the queue"


def test_a_drained_host_that_still_connects_is_told_of_as_drained() -> None:
    scheduler = Scheduler(State())
    hosts = tuple(HostPlan(name=name) for name in ("lab-a", "lab-b"))
    scheduler.observe(RunPlanned(run="0a", name="r", jobs=(plan(2),), hosts=hosts), 0.0)
    scheduler.observe(HostDrained(host="lab-a", text="exam"), 0.0)
    assert "1 of 2 hosts is drained: lab-a" in said(scheduler)
    assert "1 of 2 hosts is connecting: lab-b" in said(scheduler)
