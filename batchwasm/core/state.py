"""What is true of a run: jobs, tasks, hosts, batches. `State.apply(event)` is the only place where it changes.

A task is one byte in its job's `codes`; only tasks in flight are held by objects (their batch). Indexes over the
tasks (counts, the next one never placed, those that came back) change in `_move` and `_place` alone, and
`check_invariants` computes them again for the tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    BatchPlaced,
    BatchRecalled,
    Event,
    FileShipped,
    HostJoined,
    HostLeft,
    HostPlan,
    HostRefused,
    JobAdded,
    JobPlan,
    Ranges,
    Record,
    RunClosed,
    RunFinished,
    RunOpened,
    RunPlanned,
    RunStopped,
    TasksAdded,
    TasksCancelled,
    TasksFinished,
    TasksReturned,
    TasksWithdrawn,
    indexes,
    ranges_of,
)
from batchwasm.model import Outcome

WAITING, RUNNING = 0, 1
CODES = max(Outcome) + 1
CRASH_LIMIT = 5  # a task that took its host or worker down so often is more likely the cause than the victim
SMOOTHING = 0.3  # weight of the newest batch in a job's mean duration: follows a drift within a few batches


@dataclass(slots=True)
class JobState:
    """A job's tasks and what was learned of them."""

    plan: JobPlan
    codes: bytearray
    counts: list[int]
    digest: str | None = None
    """Of its artifact; None until it is built, and then nothing of it starts."""
    ready_at: float = 0.0
    next: int = 0
    """Tasks from here on were never placed."""
    returned: dict[int, None] = field(default_factory=dict)
    """Tasks before `next` that wait again, oldest first (a dict for its order)."""
    tries: dict[int, int] = field(default_factory=dict)
    """Attempts so far of the tasks that were tried and wait or run again."""
    losses: dict[int, int] = field(default_factory=dict)
    mean_s: float | None = None
    """Smoothed duration of its tasks; None while unknown."""
    argument_bytes: int = 0
    """Of all tasks that were added to it, together."""
    unwanted: set[int] = field(default_factory=set)
    """Tasks that are on a host and were withdrawn: they do not wait again."""

    @classmethod
    def new(cls, plan: JobPlan) -> JobState:
        counts = [0] * CODES
        counts[WAITING] = plan.tasks
        return cls(plan, bytearray(plan.tasks), counts)

    @property
    def waiting(self) -> int:
        return self.counts[WAITING]

    @property
    def running(self) -> int:
        return self.counts[RUNNING]

    def number(self, task: int) -> int:
        """The number of the attempt that runs, or would run next."""
        return self.tries.get(task, 0) + 1

    def peek(self, count: int) -> Ranges:
        """The next up to `count` tasks to start, those that came back first."""
        ranges = ranges_of(list(islice(self.returned, count)))
        left = min(count - min(len(self.returned), count), self.plan.tasks - self.next)
        return (*ranges, (self.next, self.next + left)) if left > 0 else ranges


@dataclass(slots=True)
class HostState:
    """A host of the inventory. `capacity` is None while it is not connected."""

    plan: HostPlan
    capacity: tuple[int, int] | None = None
    """cpus, memory in bytes."""
    reason: str = "connecting"
    code: str = ""
    answered: bool = False
    waiting_may_help: bool = True
    done: int = 0
    batches: dict[int, set[int]] = field(default_factory=dict)
    """Batches sent there, by job."""
    limits: tuple[int, int] | None = None
    """What it offered when it last joined, for requests that fit nowhere."""

    @property
    def name(self) -> str:
        return self.plan.name


@dataclass(slots=True)
class Batch:
    """Tasks of one job that were sent to a host together."""

    id: int
    job: int
    host: str
    remaining: dict[int, None]
    """Tasks without a result, in the order in which they run (a dict for its order)."""
    placed_at: float
    recalled: bool = False


class State:
    """A run as its events made it."""

    def __init__(self) -> None:
        self.run = ""
        self.name = ""
        self.max_failures: int | None = None
        self.fail_fast = False
        self.open = False
        """Jobs and tasks may still be added."""
        self.jobs: list[JobState] = []
        self.hosts: dict[str, HostState] = {}
        self.batches: dict[int, Batch] = {}
        self.slots = 0
        """cpus of all hosts that are connected."""
        self.incarnation = 0
        self.opened: RunOpened | None = None
        self.opened_at = 0.0
        self.first_at = 0.0
        self.last_at = 0.0
        self.cancelled: TasksCancelled | None = None
        self.stopped: RunStopped | None = None
        self.finished = False

    # ------------------------------------------------------------------------------------------- reading

    @property
    def counts(self) -> list[int]:
        """Tasks by code, over all jobs."""
        totals = [0] * CODES
        for job in self.jobs:
            for code, n in enumerate(job.counts):
                totals[code] += n
        return totals

    @property
    def tasks(self) -> int:
        return sum(job.plan.tasks for job in self.jobs)

    @property
    def done(self) -> bool:
        return all(job.counts[WAITING] == 0 and job.counts[RUNNING] == 0 for job in self.jobs)

    @property
    def failures(self) -> int:
        """Tasks that ended and did not succeed, but for those that never had their chance."""
        not_failed = (WAITING, RUNNING, Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.SKIPPED)
        return sum(n for code, n in enumerate(self.counts) if code not in not_failed)

    def batches_on(self, host: str) -> Iterator[Batch]:
        for ids in self.hosts[host].batches.values():
            for batch in ids:
                yield self.batches[batch]

    def loses_for_good(self, batch: Batch, task: int) -> bool:
        """Whether one more loss of this task is its last."""
        return self.jobs[batch.job].losses.get(task, 0) + 1 >= CRASH_LIMIT

    # ------------------------------------------------------------------------------------------ changing

    def apply(self, event: Event, at: float) -> None:
        """Make `event` true. `at` is unix time in seconds; the same events at the same times give the same state."""
        self.last_at = at
        match event:
            case TasksFinished():
                self._finish(event)
            case BatchPlaced():
                self._place(event, at)
            case TasksReturned():
                self._give_back(event)
            case BatchRecalled():
                if event.batch in self.batches:
                    self.batches[event.batch].recalled = True
            case HostJoined():
                self._join(event)
            case HostRefused():
                host = self.hosts[event.host]
                host.code, host.reason, host.answered = event.code, event.text, True
                host.waiting_may_help = event.waiting_may_help
            case HostLeft():
                self._lose(event.host)
                host = self.hosts[event.host]
                self._set_capacity(host, None)
                host.code, host.reason = event.code, event.text
            case ArtifactBuilt():
                job = self.jobs[event.job]
                job.digest, job.ready_at = event.digest, at
            case TasksCancelled():
                self._cancel(event)
            case RunPlanned():
                self._plan(event, at)
            case RunOpened():
                self._open(event, at)
            case TasksAdded():
                self._add(event, at)
            case TasksWithdrawn():
                self._withdraw(event)
            case BatchGivenUp():
                self._give_up(event)
            case JobAdded():
                self.jobs.append(JobState.new(event.plan))
            case RunClosed():
                self.open = False
            case RunStopped():
                self.stopped = event
                for name in self.hosts:
                    self._take_back(name)
            case RunFinished():
                self.finished = True
            case FileShipped():
                pass  # for people and tests; nothing is decided by it

    def _plan(self, event: RunPlanned, at: float) -> None:
        self.run, self.name, self.first_at = event.run, event.name, at
        self.max_failures, self.fail_fast = event.max_failures, event.fail_fast
        self.open = event.open
        self.jobs = [JobState.new(plan) for plan in event.jobs]
        self.hosts = {plan.name: HostState(plan) for plan in event.hosts}

    def _open(self, event: RunOpened, at: float) -> None:
        self.opened, self.opened_at, self.incarnation = event, at, event.incarnation
        self.stopped, self.finished = None, False
        for name in self.hosts:
            self._take_back(name)
            self.hosts[name] = HostState(self.hosts[name].plan, done=self.hosts[name].done)
        self.slots = 0

    def _join(self, event: HostJoined) -> None:
        host = self.hosts[event.host]
        if host.capacity is not None:
            self._lose(event.host)  # it came back before we saw it go
        self._set_capacity(host, (event.cpus, event.memory_bytes))
        host.limits = host.capacity
        host.code, host.reason, host.answered, host.waiting_may_help = "", "", True, True

    def _set_capacity(self, host: HostState, capacity: tuple[int, int] | None) -> None:
        self.slots += (capacity[0] if capacity else 0) - (host.capacity[0] if host.capacity else 0)
        host.capacity = capacity

    def _place(self, event: BatchPlaced, at: float) -> None:
        job = self.jobs[event.job]
        for start, stop in event.ranges:
            if start == job.next:
                job.next = stop
            else:
                for task in range(start, stop):
                    del job.returned[task]
            job.codes[start:stop] = b"\x01" * (stop - start)
            job.counts[WAITING] -= stop - start
            job.counts[RUNNING] += stop - start
        batch = Batch(event.batch, event.job, event.host, dict.fromkeys(indexes(event.ranges)), at)
        self.batches[event.batch] = batch
        self.hosts[event.host].batches.setdefault(event.job, set()).add(event.batch)

    def _finish(self, event: TasksFinished) -> None:
        batch = self.batches.get(event.batch)
        if batch is None:
            return  # a batch that was given up meanwhile; `admit` lets no record of it through
        job = self.jobs[batch.job]
        for record in event.records:
            batch.remaining.pop(record.task, None)
            if record.final:
                self._move(job, record.task, record.outcome)
            else:
                self._lost(job, record.task)
        self._learn(job, event.records)
        self.hosts[batch.host].done += len(event.records)
        if not batch.remaining:
            self._forget(batch)

    @staticmethod
    def _learn(job: JobState, records: Iterable[Record]) -> None:
        walls = [record.wall_s for record in records if record.outcome != Outcome.LOST]
        if walls:
            mean = sum(walls) / len(walls)
            job.mean_s = mean if job.mean_s is None else job.mean_s + SMOOTHING * (mean - job.mean_s)

    def _give_back(self, event: TasksReturned) -> None:
        batch = self.batches.get(event.batch)
        if batch is None:
            return  # given up meanwhile
        job = self.jobs[batch.job]
        for task in indexes(event.ranges):
            if task in batch.remaining:
                del batch.remaining[task]
                self._move(job, task, WAITING)
        if not batch.remaining:
            self._forget(batch)

    def _lose(self, host: str) -> None:
        """All that was sent to a host is lost with it: each task runs again, until its crash limit."""
        for batch in list(self.batches_on(host)):
            for task in sorted(batch.remaining):
                self._lost(self.jobs[batch.job], task)
            self._forget(batch)

    def _take_back(self, host: str) -> None:
        """All that was sent to a host waits again, and nobody is to blame."""
        for batch in list(self.batches_on(host)):
            for task in sorted(batch.remaining):
                self._move(self.jobs[batch.job], task, WAITING)
            self._forget(batch)

    def _lost(self, job: JobState, task: int) -> None:
        job.losses[task] = job.losses.get(task, 0) + 1
        job.tries[task] = job.tries.get(task, 0) + 1
        self._move(job, task, Outcome.LOST if job.losses[task] >= CRASH_LIMIT else WAITING)

    def _cancel(self, event: TasksCancelled) -> None:
        self.cancelled = event
        for job in self.jobs:
            fresh = job.plan.tasks - job.next
            job.codes[job.next :] = bytes([Outcome.CANCELLED]) * fresh
            job.counts[WAITING] -= fresh
            job.counts[Outcome.CANCELLED] += fresh
            job.next = job.plan.tasks
            for task in list(job.returned):
                self._move(job, task, Outcome.CANCELLED)
        if event.running:
            for batch in list(self.batches.values()):
                for task in batch.remaining:
                    self._move(self.jobs[batch.job], task, Outcome.CANCELLED)
                self._forget(batch)

    def _add(self, event: TasksAdded, at: float) -> None:
        job = self.jobs[event.job]
        code = WAITING if self.cancelled is None else Outcome.CANCELLED
        if not job.waiting:
            job.ready_at = at
        job.plan = replace(job.plan, tasks=job.plan.tasks + event.count)
        job.codes += bytes([code]) * event.count
        job.counts[code] += event.count
        job.argument_bytes += event.argument_bytes
        if code != WAITING:
            job.next = job.plan.tasks

    def _withdraw(self, event: TasksWithdrawn) -> None:
        job = self.jobs[event.job]
        for task in event.tasks:
            for skipped in range(job.next, task + 1):  # it is placed by ranges no longer, but one by one
                job.returned[skipped] = None
            job.next = max(job.next, task + 1)
            if job.codes[task] == WAITING:
                self._move(job, task, Outcome.CANCELLED)
            elif job.codes[task] == RUNNING:
                job.unwanted.add(task)

    def is_unwanted(self, batch: Batch) -> bool:
        """Whether all that is left of the batch is withdrawn."""
        unwanted = self.jobs[batch.job].unwanted
        return bool(unwanted) and batch.remaining.keys() <= unwanted

    def _give_up(self, event: BatchGivenUp) -> None:
        batch = self.batches.get(event.batch)
        if batch is not None:
            for task in list(batch.remaining):
                self._move(self.jobs[batch.job], task, WAITING)  # which those that were withdrawn do not
            self._forget(batch)

    def _move(self, job: JobState, task: int, code: int) -> None:
        """The only way a single task changes."""
        before = job.codes[task]
        if before == WAITING:
            job.returned.pop(task, None)
        job.codes[task] = code
        job.counts[before] -= 1
        if code == WAITING and (self.cancelled is not None or task in job.unwanted):
            job.codes[task] = code = Outcome.CANCELLED  # it, or all the rest, was cancelled while this one was out
        job.counts[code] += 1
        if code == WAITING:
            job.returned[task] = None
        elif code != RUNNING:
            job.tries.pop(task, None)
            job.losses.pop(task, None)
            job.unwanted.discard(task)

    def _forget(self, batch: Batch) -> None:
        del self.batches[batch.id]
        by_job = self.hosts[batch.host].batches
        by_job[batch.job].discard(batch.id)
        if not by_job[batch.job]:
            del by_job[batch.job]

    # ------------------------------------------------------------------------------------------ checking

    def check_invariants(self) -> None:
        """Raises AssertionError where an index does not agree with the tasks themselves. For tests: it is slow."""
        assert self.slots == sum(host.capacity[0] for host in self.hosts.values() if host.capacity)
        running: dict[int, set[int]] = {n: set() for n in range(len(self.jobs))}
        for batch in self.batches.values():
            assert batch.remaining, batch
            assert not running[batch.job] & batch.remaining.keys(), "a task runs twice"
            running[batch.job] |= batch.remaining.keys()
            assert batch.id in self.hosts[batch.host].batches[batch.job]
        for n, job in enumerate(self.jobs):
            assert len(job.codes) == job.plan.tasks == sum(job.counts)
            assert job.counts == [job.codes.count(code) for code in range(CODES)]
            assert {t for t, code in enumerate(job.codes) if code == RUNNING} == running[n]
            waiting = {t for t, code in enumerate(job.codes) if code == WAITING}
            assert waiting == set(job.returned) | set(range(job.next, job.plan.tasks))
            assert all(job.codes[t] in (WAITING, RUNNING) for t in (*job.tries, *job.losses))
            assert job.unwanted <= running[n]
