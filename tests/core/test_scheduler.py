"""The scheduler over random lives: whatever hosts do, no task is lost, none ends twice, no capacity is exceeded."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batchwasm.core import snapshot
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    BatchPlaced,
    BatchRecalled,
    Event,
    HostJoined,
    HostLeft,
    JobAdded,
    JobPlan,
    Record,
    RunClosed,
    RunOpened,
    RunPlanned,
    TasksAdded,
    TasksFinished,
    TasksReturned,
    TasksWithdrawn,
    decode,
    encode,
    indexes,
    ranges_of,
)
from batchwasm.core.placement import impossible, is_short
from batchwasm.core.scheduler import RECALL_S, Scheduler
from batchwasm.core.state import CRASH_LIMIT, WAITING, State
from batchwasm.model import Outcome

GIB = 1024**3


def plan(
    tasks: int, *, cpus: int = 1, memory: int = GIB, name: str = "a", hosts: tuple[str, ...] | None = None
) -> JobPlan:
    return JobPlan(name=name, tasks=tasks, cpus=cpus, memory_bytes=memory, hosts=hosts)


def record(task: int, number: int = 1, *, outcome: int = Outcome.SUCCEEDED, wall_s: float = 0.001) -> Record:
    return Record(task, number, outcome, True, 0, 0.0, 0.0, wall_s, wall_s, 65536, b"", b"")


def joined(host: str, cpus: int = 2, memory: int = 8 * GIB) -> HostJoined:
    return HostJoined(host=host, supervisor="s", cpus=cpus, memory_bytes=memory, facts={})


def built(job: int) -> ArtifactBuilt:
    return ArtifactBuilt(job=job, digest="d", bytes=1, language="c", toolchain="zig", cached=False, wall_s=1.0)


def started(*jobs: JobPlan, hosts: tuple[str, ...] = ("h",), **settings: object) -> Scheduler:
    """A scheduler whose artifacts are there and whose hosts are not."""
    scheduler = Scheduler(State())
    planned = RunPlanned(
        run="r", name="run-1", jobs=jobs, hosts=tuple(HostPlan(name=name) for name in hosts), **settings
    )  # type: ignore[arg-type]
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
    scheduler.observe(joined("h", cpus=8), 0.0)
    told = "jobs.a: asks for 16 cpus, more than any host it may use has; nearest is h with 8 cpus"
    assert list(impossible(scheduler.state).values()) == [told]


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


class Lives(RuleBasedStateMachine):
    """Hosts come, go, answer late, twice or never; workers die; tasks are added and withdrawn; the journal is replayed
    beside it."""

    @initialize(
        jobs=st.lists(st.tuples(st.integers(1, 400), st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=4),
        hosts=st.integers(1, 4),
    )
    def begin(self, jobs: list[tuple[int, int, int]], hosts: int) -> None:
        self.hosts = tuple(f"h{n}" for n in range(hosts))
        plans = [plan(tasks, cpus=cpus, memory=gib * GIB, name=f"j{n}") for n, (tasks, cpus, gib) in enumerate(jobs)]
        self.now = 0.0
        self.log: list[tuple[float, Event]] = []
        self.scheduler = Scheduler(State())
        self.out: dict[int, BatchPlaced] = {}
        self.stale: list[BatchPlaced] = []
        self.results: dict[tuple[int, int], int] = {}
        self.sent_ahead = False  # once a job was short, more may be on a host than runs there at once
        self.observe(RunPlanned(run="r", name="r-1", jobs=tuple(plans), hosts=self.hosts, open=True))
        self.observe(RunOpened(incarnation=1, pid=1, machine="m", version="0"))
        for n in range(len(plans)):
            self.observe(built(n))

    def observe(self, event: Event) -> None:
        self.scheduler.observe(event, self.now)
        self.log.append((self.now, event))

    def decide(self) -> None:
        self.sent_ahead = self.sent_ahead or any(is_short(job) for job in self.scheduler.state.jobs)
        for event in self.scheduler.decide(self.now):
            self.log.append((self.now, event))
            if isinstance(event, BatchPlaced):
                self.out[event.batch] = event
            elif isinstance(event, BatchGivenUp):
                self.stale.append(self.out.pop(event.batch))

    def report(self, batch: BatchPlaced, tasks: list[int], outcome: int, wall_s: float) -> None:
        job = self.scheduler.state.jobs[batch.job]
        event = self.scheduler.admit(
            batch.host, batch.batch, [record(task, job.number(task), outcome=outcome, wall_s=wall_s) for task in tasks]
        )
        if event is None:
            return
        for ended in event.records:
            if ended.final:
                assert (batch.job, ended.task) not in self.results, "a task ended twice"
                self.results[batch.job, ended.task] = ended.outcome
        self.observe(event)
        assert isinstance(event, TasksFinished)

    @rule(host=st.integers(0, 3), cpus=st.integers(1, 8))
    def join(self, host: int, cpus: int) -> None:
        name = self.hosts[host % len(self.hosts)]
        if self.scheduler.state.hosts[name].capacity is None:
            self.observe(joined(name, cpus=cpus))
        self.decide()

    @rule(host=st.integers(0, 3))
    def leave(self, host: int) -> None:
        name = self.hosts[host % len(self.hosts)]
        if self.scheduler.state.hosts[name].capacity is not None:
            gone = [batch for batch in self.out.values() if batch.host == name]
            self.observe(HostLeft(host=name, code="lost", text="gone"))
            self.stale += gone
            for batch in gone:
                del self.out[batch.batch]
        self.decide()

    @precondition(lambda self: self.out)
    @rule(data=st.data(), wall_s=st.sampled_from([0.00005, 0.001, 0.1, 10.0]))
    def finish_some(self, data: st.DataObject, wall_s: float) -> None:
        batch = data.draw(st.sampled_from(list(self.out.values())))
        remaining = sorted(self.scheduler.state.batches[batch.batch].remaining)
        count = data.draw(st.integers(1, len(remaining)))
        outcomes = [Outcome.SUCCEEDED] * 5 + [Outcome.FAILED, Outcome.LOST]
        self.report(batch, remaining[:count], data.draw(st.sampled_from(outcomes)), wall_s)
        if batch.batch not in self.scheduler.state.batches:
            self.stale.append(self.out.pop(batch.batch))
        self.now += wall_s
        self.decide()

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(list(self.out.values())))
        remaining = sorted(self.scheduler.state.batches[batch.batch].remaining)
        self.observe(TasksReturned(batch=batch.batch, ranges=ranges_of(remaining[1:] or remaining)))
        if batch.batch not in self.scheduler.state.batches:
            self.stale.append(self.out.pop(batch.batch))
        self.decide()

    @precondition(lambda self: self.scheduler.state.open)
    @rule(job=st.integers(0, 4), count=st.integers(1, 50), size=st.sampled_from([0, 10, 10**6]))
    def add(self, job: int, count: int, size: int) -> None:
        if job >= len(self.scheduler.state.jobs):
            self.observe(JobAdded(plan=plan(0, name="added")))
            job = len(self.scheduler.state.jobs) - 1
            self.observe(built(job))
        first = self.scheduler.state.jobs[job].plan.tasks
        self.observe(TasksAdded(job=job, first=first, count=count, argument_bytes=size * count))
        self.decide()

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from([n for n, job in enumerate(self.scheduler.state.jobs) if job.plan.tasks]))
        tasks = st.integers(0, self.scheduler.state.jobs[job].plan.tasks - 1)
        event = TasksWithdrawn(job=job, tasks=tuple(data.draw(st.lists(tasks, max_size=5))))
        self.observe(event)
        self.decide()

    @rule()
    def close(self) -> None:
        self.observe(RunClosed())
        self.decide()

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def report_late(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.stale))
        assert self.scheduler.admit(batch.host, batch.batch, [record(task) for task in indexes(batch.ranges)]) is None

    @invariant()
    def holds(self) -> None:
        state = self.scheduler.state
        state.check_invariants()
        for host in state.hosts.values():
            if host.capacity is not None and not self.sent_ahead:
                sent = [(state.jobs[n].plan, len(ids)) for n, ids in host.batches.items()]
                assert sum(n * job.cpus for job, n in sent) <= host.capacity[0]
                assert sum(n * job.memory_bytes for job, n in sent) <= host.capacity[1]
        for (job, task), outcome in self.results.items():
            assert state.jobs[job].codes[task] == outcome

    @invariant()
    def nothing_waits_while_it_could_run(self) -> None:
        state = self.scheduler.state
        for host in state.hosts.values():
            if host.capacity is None or host.batches:
                continue
            for job in state.jobs:
                fits = job.plan.cpus <= host.capacity[0] and job.plan.memory_bytes <= host.capacity[1]
                assert not (fits and job.counts[WAITING]), f"{host.name} is idle and could run {job.plan.name}"

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        replayed = State()
        for at, event in self.log:
            records = event.records if isinstance(event, TasksFinished) else ()
            replayed.apply(decode(type(event).__name__, encode(event), records), at)
        assert snapshot.dump(replayed) == snapshot.dump(self.scheduler.state)
        assert snapshot.dump(snapshot.load(snapshot.dump(replayed))) == snapshot.dump(replayed)


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
