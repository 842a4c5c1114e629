"""What is true of a run: jobs, tasks, hosts, batches. `State.apply(event)` is the only place where it changes.

A task is one byte in its job's `codes`; only tasks in flight are held by objects (their batch), and those that have
conditions of their own (a retry). Indexes (counts, what may start, the queue of jobs, the room of hosts) change
together with them, and invariants.py computes them again for the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from batchwasm.core import policy
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    BatchPlaced,
    BatchRecalled,
    Event,
    FileShipped,
    HostAdded,
    HostBusy,
    HostDrained,
    HostFree,
    HostHeard,
    HostJoined,
    HostLeft,
    HostPlan,
    HostRefused,
    HostRemoved,
    HostReserved,
    HostSetAside,
    HostSilent,
    HostUndrained,
    JobAdded,
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
)
from batchwasm.core.hoststate import Batch, HostState
from batchwasm.core.jobs import Jobs
from batchwasm.core.jobstate import CODES, RUNNING, WAITING, JobState, Retry
from batchwasm.core.policy import CRASH_LIMIT
from batchwasm.core.room import Offer, Room, offer_of
from batchwasm.model import Outcome

__all__ = ["CODES", "CRASH_LIMIT", "RUNNING", "WAITING", "Batch", "HostState", "JobState", "State"]


class State(Jobs):
    """A run as its events made it."""

    def __init__(self) -> None:
        super().__init__()
        self.run = ""
        self.name = ""
        self.max_failures: int | None = None
        self.fail_fast = False
        self.open = False
        """Jobs and tasks may still be added."""
        self.working: set[int] = set()
        """Jobs that have batches on hosts."""
        self.hosts: dict[str, HostState] = {}
        self.batches: dict[int, Batch] = {}
        self.superseded: set[int] = set()
        """Batches that are to be stopped, since what they run has its result."""
        self.milli_cpus = 0
        """Of all hosts that are connected, in thousandths."""
        self.incarnation = 0
        self.opened: RunOpened | None = None
        self.opened_at = 0.0
        self.first_at = 0.0
        self.last_at = 0.0
        self.stopped: RunStopped | None = None
        self.finished = False

    # ------------------------------------------------------------------------------------------- reading

    @property
    def done(self) -> bool:
        return not self.batches and all(job.counts[WAITING] == 0 and job.counts[RUNNING] == 0 for job in self.jobs)

    def batches_on(self, host: str) -> Iterator[Batch]:
        for id_ in self.hosts[host].batches:
            yield self.batches[id_]

    def loses_for_good(self, batch: Batch, task: int) -> bool:
        """Whether one more loss of this task is its last."""
        return self.jobs[batch.job].losses.get(task, 0) + 1 >= CRASH_LIMIT

    def is_final(self, batch: Batch, record: Record) -> bool:
        """Whether the task has its result with this attempt of it."""
        job = self.jobs[batch.job]
        if record.outcome == Outcome.SUCCEEDED:
            return True
        if record.task in job.doubles:
            return False  # the other one may succeed yet
        if record.outcome == Outcome.LOST:
            return self.loses_for_good(batch, record.task)
        if not job.plan.retries:
            return True
        return not policy.is_retried(job, record, self.largest_bytes(job), batch.amount.memory_bytes)

    def largest_bytes(self, job: JobState) -> int:
        """Memory of the largest host that the job may use."""
        offers = (
            host.limits.memory_bytes for host in self.hosts.values() if host.limits and job.plan.allows(host.plan)
        )
        return max(offers, default=0)

    def is_unwanted(self, batch: Batch) -> bool:
        """Whether all that is left of the batch is withdrawn."""
        unwanted = self.jobs[batch.job].unwanted
        return bool(unwanted) and batch.remaining.keys() <= unwanted

    def restore(self, jobs: list[JobState], hosts: list[HostState], batches: list[Batch]) -> None:
        """Of a snapshot; what follows from these is made anew."""
        self.jobs = jobs
        self.hosts = {host.name: host for host in hosts}
        self.milli_cpus = sum(host.room.offer.milli_cpus for host in hosts if host.room)
        self._link()
        for n in range(len(jobs)):
            self._queue(n)
        for batch in batches:
            host = self.hosts[batch.host]
            self.batches[batch.id] = batch
            host.batches[batch.id] = None
            self.jobs[batch.job].batches += 1
            self.working.add(batch.job)
            if batch.superseded:
                self.superseded.add(batch.id)
            if host.room is not None:
                host.room.take_these(batch.amount, batch.gpus, firm=batch.firm)

    # ------------------------------------------------------------------------------------------ changing

    def apply(self, event: Event, at: float) -> None:
        """Make `event` true. `at` is unix time in seconds; the same events at the same times give the same state."""
        self.last_at = at
        match event:
            case TasksFinished():
                self._finish(event, at)
            case BatchPlaced():
                self._place(event, at)
            case TasksReturned():
                self._give_back(event, at)
            case BatchRecalled():
                if event.batch in self.batches:
                    self.batches[event.batch].recalled = True
            case BatchGivenUp():
                self._give_up(event)
            case ArtifactBuilt():
                job = self.jobs[event.job]
                job.digest, job.ready_at = event.digest, at
                self._queue(event.job)
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
            case JobAdded():
                self._add_job(event.plan)
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
            case _:
                self._apply_to_host(event, at)

    def _apply_to_host(self, event: Event, at: float) -> None:
        match event:
            case HostAdded():
                self._add_host(event.plan)
            case HostJoined():
                self._join(event, at)
            case HostRefused():
                host = self.hosts[event.host]
                host.code, host.reason, host.answered = event.code, event.text, True
                host.waiting_may_help = event.waiting_may_help
            case HostLeft():
                self._lose(event.host, at)
                host = self.hosts[event.host]
                self._set_room(host, None)
                host.code, host.reason, host.silent, host.busy = event.code, event.text, False, None
            case HostRemoved():
                self.hosts[event.host].removed = True
            case HostDrained():
                self.hosts[event.host].drained = event.text
            case HostUndrained():
                host = self.hosts[event.host]
                host.drained, host.aside_until, host.asides, host.streak = None, 0.0, 0, 0
            case HostBusy():
                self.hosts[event.host].busy = event.text
            case HostFree():
                self.hosts[event.host].busy = None
            case HostSilent():
                self.hosts[event.host].silent = True
            case HostHeard():
                self.hosts[event.host].silent = False
            case HostSetAside():
                host = self.hosts[event.host]
                host.aside_until, host.aside_text = event.until, event.text
                host.asides, host.streak = host.asides + 1 if event.until > at else 0, 0
            case HostReserved():
                self.hosts[event.host].reserved = event.job
            case _:
                raise AssertionError(f"no event of a run: {event}")

    # ------------------------------------------------------------------------------------ jobs and what they wait for

    def _plan(self, event: RunPlanned, at: float) -> None:
        self.run, self.name, self.first_at = event.run, event.name, at
        self.max_failures, self.fail_fast = event.max_failures, event.fail_fast
        self.open = event.open
        self.hosts = {plan.name: HostState(plan) for plan in event.hosts}
        for plan in event.jobs:
            self._add_job(plan)
        self._link()
        for n, job in enumerate(self.jobs):
            job.blockers = sum(not a.each and self.jobs[a.job].plan.tasks > 0 for a in job.plan.after)
            self._release(n)

    # --------------------------------------------------------------------------------------------- hosts

    def _open(self, event: RunOpened, at: float) -> None:
        self.opened, self.opened_at, self.incarnation = event, at, event.incarnation
        self.stopped, self.finished = None, False
        for name, host in self.hosts.items():
            self._take_back(name)
            self.hosts[name] = HostState(host.plan, done=host.done, drained=host.drained, removed=host.removed)
        self.milli_cpus = 0

    def _add_host(self, plan: HostPlan) -> None:
        there = self.hosts.get(plan.name)
        if there is None:
            self.hosts[plan.name] = HostState(plan)
        else:
            there.plan, there.removed = plan, False
            if there.room is None:
                there.answered, there.reason, there.limits = False, "connecting", None

    def _join(self, event: HostJoined, at: float) -> None:
        host = self.hosts[event.host]
        if host.room is not None:
            self._lose(event.host, at)  # it came back before we saw it go
        self._set_room(host, offer_of(event.cpus, event.memory_bytes, event.gpus, host.plan.resources))
        host.code, host.reason, host.answered, host.waiting_may_help = "", "", True, True
        host.silent, host.busy = False, None

    def _set_room(self, host: HostState, offer: Offer | None) -> None:
        self.milli_cpus += (offer.milli_cpus if offer else 0) - (host.room.offer.milli_cpus if host.room else 0)
        host.room = Room(offer) if offer else None
        host.limits = offer or host.limits
        host.reserved = None
        host.warm.clear()

    def _lose(self, host: str, at: float) -> None:
        """All that was sent to a host is lost with it: each task runs again, until its crash limit."""
        for batch in list(self.batches_on(host)):
            for task in sorted(batch.remaining):
                self._lost(batch, task, at)
            self._forget(batch)

    def _take_back(self, host: str) -> None:
        """All that was sent to a host waits again, and nobody is to blame."""
        for batch in list(self.batches_on(host)):
            for task in sorted(batch.remaining):
                self._drop(batch, task)
            self._forget(batch)

    # ------------------------------------------------------------------------------------------- batches

    def _place(self, event: BatchPlaced, at: float) -> None:
        job, host = self.jobs[event.job], self.hosts[event.host]
        amount = job.amount(event.need, event.memory_bytes)
        if event.double:
            remaining = self._double(event)
        elif not job.tries:
            remaining = dict.fromkeys(indexes(event.ranges), 1)
        else:
            remaining = {task: job.number(task) for task in indexes(event.ranges)}
        firm = not job.is_short or not amount.is_plain
        gpus = host.room.take(amount, firm=firm) if host.room else ()
        batch = Batch(
            event.batch, event.job, event.host, remaining, at, amount, at, event.need, event.memory_bytes, gpus, firm
        )
        batch.double = event.double
        self.batches[event.batch] = batch
        host.batches[event.batch] = None
        host.warm.add(event.job)
        if host.reserved == event.job:
            host.reserved = None
        if not event.double:
            self._take_from_ready(event)
        job.placed_at = at
        self._count_batch(job, host, 1)
        self.working.add(event.job)

    def _take_from_ready(self, event: BatchPlaced) -> None:
        job = self.jobs[event.job]
        for start, stop in event.ranges:
            job.ready.remove(start, stop)
            if job.retries:
                for task in range(start, stop):
                    job.retries.pop(task, None)
            job.codes[start:stop] = b"\x01" * (stop - start)
            job.counts[WAITING] -= stop - start
            job.counts[RUNNING] += stop - start
        if not job.startable:
            self._queue(event.job)

    def _double(self, event: BatchPlaced) -> dict[int, int]:
        """Second attempts of tasks that run; their batches, by task."""
        job = self.jobs[event.job]
        wanted = set(indexes(event.ranges))
        numbers = {}
        for batch in self.batches.values():
            if batch.job == event.job:
                for task in wanted & batch.remaining.keys():
                    job.doubles[task] = (batch.id, event.batch)
                    job.tries[task] = max(job.tries.get(task, 0), batch.remaining[task])
                    numbers[task] = job.number(task)
        return {task: numbers[task] for task in indexes(event.ranges)}

    @staticmethod
    def _count_batch(job: JobState, host: HostState, sign: int) -> None:
        job.batches += sign
        for label in job.plan.max_parallel_by_label:
            if label in host.plan.labels:
                job.by_label[label] = job.by_label.get(label, 0) + sign

    def _finish(self, event: TasksFinished, at: float) -> None:
        batch = self.batches.get(event.batch)
        if batch is None:
            return  # a batch that was given up meanwhile; `admit` lets no record of it through
        job, host = self.jobs[batch.job], self.hosts[batch.host]
        batch.since = at
        for record in event.records:
            if record.final:
                self._settle(batch, record)
            elif record.outcome == Outcome.LOST:
                self._lost(batch, record.task, at)
            else:
                self._failed(batch, record, at)
            batch.remaining.pop(record.task, None)
        host.judge(job, event.records)
        was_short = job.is_short
        job.learn(event.records)
        if job.is_short != was_short:
            self._firm_up(batch.job, firm=was_short)
        host.done += len(event.records)
        if not batch.remaining:
            self._forget(batch)

    def _settle(self, batch: Batch, record: Record) -> None:
        """A task has its result; another attempt of it is stopped."""
        job, task = self.jobs[batch.job], record.task
        if task in job.doubles:
            for id_ in job.doubles.pop(task):
                other = self.batches.get(id_)
                if other is not None and other is not batch and task in other.remaining:
                    if next(iter(other.remaining)) == task:  # else it is not even at it
                        other.superseded = True
                        self.superseded.add(id_)
                    del other.remaining[task]
        self._move(batch.job, task, record.outcome)

    def _failed(self, batch: Batch, record: Record, at: float) -> None:
        """An attempt failed and its task is tried again, unless another attempt of it goes on."""
        job, task = self.jobs[batch.job], record.task
        job.tries[task] = max(job.tries.get(task, 0), record.number)
        if job.doubles.pop(task, None):
            return
        failures = job.tries[task] - job.losses.get(task, 0)
        had = batch.amount.memory_bytes
        memory = policy.grown_bytes(job, record, self.largest_bytes(job), had)
        wait_s = policy.backoff_s(self.run, job.plan.name, task, failures)
        asked = job.amounts[batch.need].memory_bytes
        self._move(batch.job, task, WAITING)
        self._retry(batch.job, task, Retry(at + wait_s, batch.host, None if memory == asked else memory))

    def _firm_up(self, n: int, *, firm: bool) -> None:
        """A job is short no longer, or has become so: what it has on hosts counts otherwise."""
        for batch in self.batches.values():
            room = self.hosts[batch.host].room
            if batch.job == n and batch.firm != firm and batch.amount.is_plain and room is not None:
                room.firm_up(batch.amount, 1 if firm else -1)
                batch.firm = firm

    def _give_back(self, event: TasksReturned, at: float) -> None:
        batch = self.batches.get(event.batch)
        if batch is None:
            return  # given up meanwhile
        for task in indexes(event.ranges):
            if task in batch.remaining:
                self._drop(batch, task)
                del batch.remaining[task]
        if not batch.remaining:
            self._forget(batch)

    def _drop(self, batch: Batch, task: int) -> None:
        """The attempt is over before it began, or as if; the task waits again unless another attempt of it goes on."""
        if self.jobs[batch.job].doubles.pop(task, None) is None:
            self._move(batch.job, task, WAITING)
            if batch.memory_bytes is not None:
                self._retry(batch.job, task, Retry(0.0, "", batch.memory_bytes))

    def _lost(self, batch: Batch, task: int, at: float) -> None:
        job = self.jobs[batch.job]
        job.tries[task] = max(job.tries.get(task, 0), batch.remaining[task])
        if job.doubles.pop(task, None):
            return
        job.losses[task] = job.losses.get(task, 0) + 1
        if job.losses[task] >= CRASH_LIMIT:
            self._move(batch.job, task, Outcome.LOST)
        else:
            self._move(batch.job, task, WAITING)
            self._retry(batch.job, task, Retry(at, batch.host, batch.memory_bytes))

    def _give_up(self, event: BatchGivenUp) -> None:
        batch = self.batches.get(event.batch)
        if batch is not None:
            for task in list(batch.remaining):
                self._drop(batch, task)  # which those that were withdrawn do not
            self._forget(batch)

    def _forget(self, batch: Batch) -> None:
        del self.batches[batch.id]
        self.superseded.discard(batch.id)
        host, job = self.hosts[batch.host], self.jobs[batch.job]
        del host.batches[batch.id]
        if host.room is not None:
            host.room.give(batch.amount, batch.gpus, firm=batch.firm)
        self._count_batch(job, host, -1)
        if not job.batches:
            self.working.discard(batch.job)

    # --------------------------------------------------------------------------------------------- tasks

    def _cancel(self, event: TasksCancelled) -> None:
        self.cancelled = event
        for n, job in enumerate(self.jobs):
            job.turn_waiting(Outcome.CANCELLED)
            self._queue(n)
        if event.running:
            for batch in list(self.batches.values()):
                job = self.jobs[batch.job]
                for task in batch.remaining:
                    if job.doubles.pop(task, None) is None:
                        self._move(batch.job, task, Outcome.CANCELLED)
                self._forget(batch)

    def _add(self, event: TasksAdded, at: float) -> None:
        job = self.jobs[event.job]
        code = WAITING if self.cancelled is None else Outcome.CANCELLED
        if not job.waiting:
            job.ready_at = at
        first = job.plan.tasks
        job.plan = replace(job.plan, tasks=first + event.count)
        job.codes += bytes([code]) * event.count
        job.counts[code] += event.count
        job.argument_bytes += event.argument_bytes
        if code == WAITING:
            job.ready.add(first, first + event.count)
            self._queue(event.job)

    def _withdraw(self, event: TasksWithdrawn) -> None:
        job = self.jobs[event.job]
        for task in event.tasks:
            if job.codes[task] == WAITING:
                self._move(event.job, task, Outcome.CANCELLED)
            elif job.codes[task] == RUNNING:
                job.unwanted.add(task)
