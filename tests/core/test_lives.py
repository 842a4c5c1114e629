"""The scheduler over random lives: whatever hosts do, no task is lost, none ends twice, no capacity is exceeded."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batchwasm.core import invariants, snapshot
from batchwasm.core.eventcodec import decode, encode
from batchwasm.core.events import (
    AfterJob,
    BatchGivenUp,
    BatchPlaced,
    Event,
    HostAdded,
    HostAway,
    HostBusy,
    HostDrained,
    HostFree,
    HostHeard,
    HostJoined,
    HostLeft,
    HostPlan,
    HostRefused,
    HostRemoved,
    HostSilent,
    HostUndrained,
    JobAdded,
    JobPlan,
    RunClosed,
    RunOpened,
    RunPaused,
    RunPlanned,
    RunStopped,
    RunUnpaused,
    TasksAdded,
    TasksCancelled,
    TasksFinished,
    TasksRetried,
    TasksReturned,
    TasksWithdrawn,
    indexes,
    ranges_of,
)
from batchwasm.core.placement import able, is_open, next_tasks
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import RUNNING, WAITING, State
from batchwasm.model import Outcome, Request
from tests.core.test_scheduler import GIB, built, record

LABELS = ("fast", "old")
NEEDS = st.builds(
    Request,
    cpus=st.sampled_from([0.25, 1, 1, 1, 2, 3]),
    memory_bytes=st.sampled_from([GIB // 4, GIB, 4 * GIB]),
    gpus=st.sampled_from([0, 0, 0, 0.5, 1, 2]),
    resources=st.sampled_from([{}, {}, {"licence": 1}]),
)
JOBS = st.fixed_dictionaries(
    {
        "tasks": st.integers(0, 60),
        "needs": st.lists(NEEDS, min_size=1, max_size=2).map(tuple),
        "labels": st.sampled_from([(), (), ("fast",), ("!old",)]),
        "priority": st.integers(-1, 1),
        "max_parallel": st.sampled_from([None, None, 1, 3]),
        "max_parallel_by_label": st.sampled_from([{}, {}, {"old": 1}]),
        "retries": st.integers(0, 2),
        "memory_growth": st.sampled_from([1.0, 2.0]),
        "isolate": st.booleans(),
        "verify": st.sampled_from([1, 1, 2, 3]),
    }
)
AFTER = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=2)
OUTCOMES = [Outcome.SUCCEEDED] * 6 + [Outcome.FAILED, Outcome.OUT_OF_MEMORY, Outcome.LOST]


def host_plan(n: int) -> HostPlan:
    return HostPlan(name=f"h{n}", labels=LABELS[: n % 3], resources={"licence": 1} if n % 2 else {})


def joined(
    name: str, cpus: int, gpus: int, *, supervisor: str = "s", batches: tuple[int, ...] | None = ()
) -> HostJoined:
    return HostJoined(
        host=name, supervisor=supervisor, cpus=cpus, memory_bytes=8 * GIB, facts={}, gpus=gpus, batches=batches
    )


class Lives(RuleBasedStateMachine):
    """Hosts come, go, get busy, silent, drained; they answer late, twice or never; workers die; tasks fail, wait for
    others, are added and withdrawn; the scheduler dies and another one goes on; the journal is replayed beside it."""

    @initialize(
        jobs=st.lists(st.tuples(JOBS, AFTER), min_size=1, max_size=4),
        hosts=st.integers(1, 4),
        ending=st.sampled_from(["", "", "open", "max_failures", "fail_fast"]),
    )
    def begin(self, jobs: list[tuple[dict[str, Any], list[tuple[int, bool]]]], hosts: int, ending: str) -> None:
        plans: list[JobPlan] = []
        for n, (fields, afters) in enumerate(jobs):
            after = {job: each for job, each in afters if job < n}
            for job, each in after.items():  # element by element only where both have as many tasks
                if each:
                    fields = {**fields, "tasks": plans[job].tasks}
            after = {job: each and plans[job].tasks == fields["tasks"] for job, each in after.items()}
            chosen = tuple(AfterJob(job=job, each=each) for job, each in after.items())
            plans.append(JobPlan(name=f"j{n}", after=chosen, retry_on=("failed", "out_of_memory"), **fields))
        self.now = 0.0
        self.log: list[tuple[float, Event]] = []
        self.scheduler = Scheduler(State())
        self.out: dict[int, BatchPlaced] = {}
        self.stale: list[BatchPlaced] = []
        self.results: dict[tuple[int, int], int] = {}
        self.sent_ahead = False  # once a job was short, more may be on a host than runs there at once
        self.hosts = [f"h{n}" for n in range(hosts)]
        self.supervisors = 0
        offered = tuple(map(host_plan, range(hosts)))
        self.observe(
            RunPlanned(
                run="r",
                name="r-1",
                jobs=tuple(plans),
                hosts=offered,
                open=ending == "open",
                max_failures=5 if ending == "max_failures" else None,
                fail_fast=ending == "fail_fast",
            )
        )
        self.observe(RunOpened(incarnation=1, pid=1, machine="m", version="0"))
        for n in range(len(plans)):
            self.observe(built(n))
        self.decide()

    @property
    def state(self) -> State:
        return self.scheduler.state

    def observe(self, event: Event) -> None:
        self.scheduler.observe(event, self.now)
        self.log.append((self.now, event))

    def decide(self) -> None:
        self.sent_ahead = self.sent_ahead or any(job.is_short for job in self.state.jobs)
        for event in self.scheduler.decide(self.now):
            self.log.append((self.now, event))
            if isinstance(event, BatchPlaced):
                assert self.state.paused is None
                self.check_order(event)
                self.out[event.batch] = event
            elif isinstance(event, BatchGivenUp):
                self.stale.append(self.out.pop(event.batch))

    def check_order(self, event: BatchPlaced) -> None:
        """What it waits for has succeeded before a task starts."""
        for after in self.state.jobs[event.job].plan.after:
            before = self.state.jobs[after.job]
            if after.each:
                assert all(before.codes[task] == Outcome.SUCCEEDED for task in indexes(event.ranges))
            else:
                assert before.succeeded

    def report(self, batch: BatchPlaced, tasks: list[int], outcome: int, wall_s: float, digest: str = "a-b-c") -> None:
        numbers = self.state.batches[batch.batch].remaining
        found = [record(task, numbers[task], outcome=outcome, wall_s=wall_s) for task in tasks]
        records = [each._replace(digest=digest) for each in found]
        event = self.scheduler.admit(batch.host, batch.batch, records)
        if event is None:
            return
        verify = self.state.jobs[batch.job].plan.verify
        for ended in event.records:
            gave = self.state.jobs[batch.job].gave.get(ended.task, ())
            if ended.outcome == Outcome.SUCCEEDED:
                assert ended.final == (len(gave) == verify - 1)
                assert all(host != batch.host and other == digest for host, other in gave)
            if ended.outcome == Outcome.MISMATCH:
                assert ended.final
                assert gave[0][1] != digest
            if ended.final:
                assert (batch.job, ended.task) not in self.results, "a task ended twice"
                self.results[batch.job, ended.task] = ended.outcome
        self.observe(event)

    def host(self, n: int) -> str:
        return self.hosts[n % len(self.hosts)]

    @rule(host=st.integers(0, 3), cpus=st.integers(1, 8), gpus=st.integers(0, 2), again=st.booleans(), data=st.data())
    def join(self, host: int, cpus: int, gpus: int, again: bool, data: st.DataObject) -> None:
        """With another supervisor, or `again`, with some of what it was sent."""
        name = self.host(host)
        there = self.state.hosts[name]
        if not there.connected:
            mine = sorted(there.batches)
            kept = [batch for batch in mine if again and data.draw(st.booleans())]
            self.supervisors += 1
            supervisor = there.supervisor if again else f"s{self.supervisors}"
            self.sent_ahead = self.sent_ahead or bool(kept)  # it may have come back with less than it had
            self.observe(joined(name, cpus, gpus, supervisor=supervisor, batches=tuple(kept)))
            for batch in set(mine).difference(kept):
                self.stale.append(self.out.pop(batch))
        self.decide()

    @rule(host=st.integers(0, 3))
    def go_away(self, host: int) -> None:
        name = self.host(host)
        if self.state.hosts[name].connected:
            self.observe(HostAway(host=name, code="lost", text="its connection broke"))
        self.decide()

    @rule(host=st.integers(0, 3))
    def stay_away(self, host: int) -> None:
        name = self.host(host)
        if not self.state.hosts[name].connected:
            self.observe(HostRefused(host=name, code="unreachable", text="no route", waiting_may_help=True))
        self.decide()

    @rule(word=st.sampled_from(["", "", "stopped", "left"]))
    def open_again(self, word: str) -> None:
        """The scheduler is killed, or stops in order, with or without its guests; another one takes over."""
        if self.state.finished:
            return
        if word:
            stopped = RunStopped(code="interrupted", text="by a person", guests_stopped=word == "stopped")
            self.observe(stopped)
            for batch in [batch for batch in self.out if batch not in self.state.batches]:
                self.stale.append(self.out.pop(batch))
        self.check_replay()
        self.scheduler = Scheduler(snapshot.load(snapshot.dump(self.state)))
        incarnation = self.state.incarnation + 1
        self.observe(RunOpened(incarnation=incarnation, pid=1, machine="m", version="0"))
        self.decide()

    @rule(host=st.integers(0, 3))
    def leave(self, host: int) -> None:
        name = self.host(host)
        if self.state.hosts[name].connected or self.state.hosts[name].batches:
            gone = [batch for batch in self.out.values() if batch.host == name]
            self.observe(HostLeft(host=name, code="lost", text="gone"))
            self.stale += gone
            for batch in gone:
                del self.out[batch.batch]
        self.decide()

    @rule(host=st.integers(0, 3), kind=st.sampled_from([HostBusy, HostFree, HostDrained, HostUndrained]))
    def owner(self, host: int, kind: Any) -> None:
        more = {"text": "why"} if kind in (HostBusy, HostDrained) else {}
        self.observe(kind(host=self.host(host), **more))
        self.decide()

    @rule(host=st.integers(0, 3), kind=st.sampled_from([HostSilent, HostHeard]))
    def silence(self, host: int, kind: Any) -> None:
        if self.state.hosts[self.host(host)].connected:
            self.observe(kind(host=self.host(host)))
        self.decide()

    @rule(host=st.integers(0, 4))
    def add_or_remove_host(self, host: int) -> None:
        name = f"h{host}"
        there = self.state.hosts.get(name)
        if there is None or there.removed:
            self.observe(HostAdded(plan=host_plan(host)))
            self.hosts = sorted({*self.hosts, name})
        elif host == 4:
            self.observe(HostRemoved(host=name))
        self.decide()

    @precondition(lambda self: self.out)
    @rule(data=st.data(), wall_s=st.sampled_from([0.00005, 0.001, 0.1, 10.0]))
    def finish_some(self, data: st.DataObject, wall_s: float) -> None:
        batch = data.draw(st.sampled_from(list(self.out.values())))
        remaining = list(self.state.batches[batch.batch].remaining)
        count = data.draw(st.integers(1, len(remaining)))
        digest = data.draw(st.sampled_from(["a-b-c"] * 5 + ["a-b-d"]))
        self.report(batch, remaining[:count], data.draw(st.sampled_from(OUTCOMES)), wall_s, digest)
        self.put_away(batch)
        self.now += wall_s
        self.decide()

    def put_away(self, batch: BatchPlaced) -> None:
        if batch.batch not in self.state.batches:
            self.stale.append(self.out.pop(batch.batch))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(list(self.out.values())))
        remaining = list(self.state.batches[batch.batch].remaining)
        self.observe(TasksReturned(batch=batch.batch, ranges=ranges_of(remaining[1:] or remaining)))
        self.put_away(batch)
        self.decide()

    @rule(seconds=st.sampled_from([0.3, 3.0, 30.0, 300.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.decide()

    @precondition(lambda self: self.state.open)
    @rule(job=st.integers(0, 4), count=st.integers(1, 50), size=st.sampled_from([0, 10, 10**6]))
    def add(self, job: int, count: int, size: int) -> None:
        jobs = self.state.jobs
        if job >= len(jobs) or jobs[job].plan.after or self.state.dependents[job]:
            self.observe(JobAdded(plan=JobPlan(name="added", tasks=0, needs=(Request(memory_bytes=GIB),))))
            job = len(jobs) - 1
            self.observe(built(job))
        first = jobs[job].plan.tasks
        self.observe(TasksAdded(job=job, first=first, count=count, argument_bytes=size * count))
        self.decide()

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        jobs = [n for n, job in enumerate(self.state.jobs) if job.plan.tasks]
        if jobs:
            job = data.draw(st.sampled_from(jobs))
            tasks = st.integers(0, self.state.jobs[job].plan.tasks - 1)
            chosen = tuple(data.draw(st.lists(tasks, max_size=5)))
            by = data.draw(st.sampled_from(["", "alice"]))
            self.observe(TasksWithdrawn(job=job, tasks=chosen, ranges=self.some_ranges(data, job), by=by))
        self.decide()

    def some_ranges(self, data: st.DataObject, job: int) -> tuple[tuple[int, int], ...]:
        ends = st.integers(0, self.state.jobs[job].plan.tasks)
        found = data.draw(st.lists(st.tuples(ends, ends), max_size=2))
        return tuple((start, stop) for start, stop in found if start < stop)

    @rule(paused=st.booleans())
    def pause(self, paused: bool) -> None:
        self.observe(RunPaused(text="by alice") if paused else RunUnpaused())
        self.decide()

    @precondition(lambda self: not self.state.finished)
    @rule(data=st.data(), cancelled=st.sampled_from([False, False, True]))
    def retry(self, data: st.DataObject, cancelled: bool) -> None:
        """What did not succeed waits again: also when all was cancelled just before."""
        if cancelled:
            self.observe(TasksCancelled(code="person", text="cancelled by alice", running=True))
        jobs = [n for n, job in enumerate(self.state.jobs) if job.plan.tasks]
        for n in data.draw(st.lists(st.sampled_from(jobs), max_size=3)) if jobs else ():
            ranges = self.some_ranges(data, n)
            before = [bytes(job.codes) for job in self.state.jobs]
            self.observe(TasksRetried(job=n, ranges=ranges, by="alice"))
            codes = self.state.jobs[n].codes
            again = (WAITING, RUNNING, Outcome.SUCCEEDED, Outcome.SKIPPED)
            assert all(codes[task] in again for task in indexes(ranges))
            for other, job in enumerate(self.state.jobs):
                for task, code in enumerate(job.codes):
                    if code != before[other][task]:
                        assert code in (WAITING, Outcome.SKIPPED)
                        self.results.pop((other, task), None)
        self.check_replay()
        self.decide()

    @precondition(lambda self: not self.state.finished)
    @rule(often=st.integers(0, 9))
    def cancel_all(self, often: int) -> None:
        if not often:  # it ends the run, after which little is left to see
            self.observe(TasksCancelled(code="person", text="cancelled by alice", running=True))
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
        state = self.state
        invariants.check(state)
        assert set(self.out) == set(state.batches)
        for host in state.hosts.values():
            if host.room is not None and not self.sent_ahead:
                assert min(host.room.all_cpus, host.room.all_memory) >= 0, "more was sent than it can run"
        for job in state.jobs:
            assert job.plan.max_parallel is None or job.batches <= job.plan.max_parallel
            assert all(job.by_label.get(label, 0) <= most for label, most in job.plan.max_parallel_by_label.items())
        for (job_n, task), outcome in self.results.items():
            assert state.jobs[job_n].codes[task] == outcome

    @invariant()
    def nothing_waits_while_it_could_run(self) -> None:
        state, now = self.state, self.now
        for host in state.hosts.values():
            if not is_open(host, now) or state.paused is not None:
                continue
            for _, n in state.queue:
                job = state.jobs[n]
                for need, amount in enumerate(job.amounts):
                    if able(state, host, n, amount, now):
                        pick = next_tasks(state, job, need, host, now)
                        assert pick is None, f"{host.name} has room and could run {job.plan.name}"

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        self.check_replay()
        self.end_well()
        self.check_replay()

    def check_replay(self) -> None:
        replayed = State()
        for at, event in self.log:
            records = event.records if isinstance(event, TasksFinished) else ()
            replayed.apply(decode(type(event).__name__, encode(event), records), at)
        assert snapshot.dump(replayed) == snapshot.dump(self.state)
        restored = snapshot.load(snapshot.dump(replayed))
        invariants.check(restored)
        assert snapshot.dump(restored) == snapshot.dump(replayed)

    def end_well(self) -> None:
        """When hosts that can take everything come and stay, everything ends: nothing hangs."""
        self.observe(RunClosed())
        self.observe(RunUnpaused())
        for host in self.state.hosts.values():
            if host.room is None and host.batches:
                self.observe(HostLeft(host=host.name, code="gone", text="for too long"))
                self.out = {id_: batch for id_, batch in self.out.items() if id_ in self.state.batches}
        for n in (3, 4, 5):  # with the licence, not old, and as many as any job is verified on
            self.observe(HostAdded(plan=HostPlan(name=f"big{n}", labels=("fast",), resources={"licence": 4})))
            self.observe(joined(f"big{n}", 16, 4))
        for _ in range(3000):
            self.decide()
            if self.state.finished:
                break
            for batch in list(self.out.values()):
                if batch.batch in self.state.batches:
                    self.report(batch, list(self.state.batches[batch.batch].remaining), Outcome.SUCCEEDED, 0.5)
                    self.put_away(batch)
            self.now += 1.0
        invariants.check(self.state)
        assert self.state.finished, "something waits for ever"
        for job in self.state.jobs:
            assert job.counts[WAITING] == job.counts[RUNNING] == 0


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
