"""All batches of a run: what is on hosts, what becomes of its tasks, and what of the hosts they hold.

Indexes over the batches (of hosts, of jobs, the room of hosts) change here alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from batchwasm.core import comparing, policy
from batchwasm.core.events import BatchGivenUp, BatchPlaced, Record, TasksFinished, TasksKnown, TasksReturned, indexes
from batchwasm.core.hoststate import Batch, HostState
from batchwasm.core.jobs import Jobs
from batchwasm.core.jobstate import RUNNING, WAITING, JobState, Retry
from batchwasm.core.policy import CRASH_LIMIT
from batchwasm.model import Outcome


class Batches(Jobs):
    """The part of a State that knows what hosts hold, and not why they come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.run = ""
        self.working: set[int] = set()
        """Jobs that have batches on hosts."""
        self.hosts: dict[str, HostState] = {}
        self.batches: dict[int, Batch] = {}
        self.roomy: dict[tuple[str, ...], dict[str, None]] = {}
        """Hosts to which something may be sent, by what they have that is rare."""
        self.reserved: set[str] = set()
        """Hosts that are kept for a job."""
        self.placed = 0
        """Batches, as far as this process knows: no snapshot has it."""
        self.superseded: set[int] = set()
        """Batches that are to be stopped, since what they run has its result."""

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
            return len(job.gave.get(record.task, ())) + 1 >= job.plan.verify
        if record.outcome == Outcome.MISMATCH:
            return True
        if record.task in job.doubles:
            return False  # the other one may succeed yet
        if record.outcome == Outcome.LOST:
            return self.loses_for_good(batch, record.task)
        if not job.plan.retries or self.cancelled is not None:
            return True
        if not policy.is_retried(job, record):
            return True
        return policy.grows(job, record) and batch.amount.memory_bytes >= self.largest_bytes(job)

    def compared(self, batch: Batch, record: Record) -> Record:
        """An attempt that succeeded, beside those on other hosts: a mismatch where they did not all give the same."""
        gave = self.jobs[batch.job].gave.get(record.task)
        if not gave or record.outcome != Outcome.SUCCEEDED or gave[0][1] == record.digest:
            return record
        host, digest = gave[0]
        text = comparing.mismatch_text(host, batch.host, comparing.differing(digest, record.digest))
        return record._replace(outcome=int(Outcome.MISMATCH), reason_code="mismatch", reason_text=text)

    def largest_bytes(self, job: JobState) -> int:
        """Memory of the largest host that the job may use, now or when it comes back."""
        offers = (
            host.limits.memory_bytes
            for host in self.hosts.values()
            if host.limits
            and not host.removed
            and (host.connected or host.waiting_may_help)
            and job.plan.allows(host.plan)
        )
        return max(offers, default=0)

    def is_unwanted(self, batch: Batch) -> bool:
        """Whether all that is left of the batch is withdrawn."""
        unwanted = self.jobs[batch.job].unwanted
        return bool(unwanted) and batch.remaining.keys() <= unwanted

    def _note_room(self, host: HostState) -> None:
        """A host may have got room, or lost it."""
        if host.room is not None:
            among = self.roomy.setdefault(host.room.rare, {})
            if host.room.has_any:
                among[host.name] = None
            else:
                among.pop(host.name, None)

    def _keep(self, host: HostState, job: int | None, memory_bytes: int | None = None) -> None:
        """Keep a host for a job, or for nobody."""
        host.reserved, host.reserved_bytes = job, memory_bytes
        (self.reserved.discard if job is None else self.reserved.add)(host.name)

    # ----------------------------------------------------------------------------- what happens to batches

    def _place(self, event: BatchPlaced, at: float) -> None:
        job, host = self.jobs[event.job], self.hosts[event.host]
        amount = job.amount(event.need, event.memory_bytes)
        if event.double:
            remaining = self._double(event)
        elif not job.tries:
            remaining = dict.fromkeys(indexes(event.ranges), job.plan.first_number)
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
            self._keep(host, None)
        if not event.double:
            self._take_from_ready(event)
        job.placed_at = at
        self._note_room(host)
        self.placed += 1
        job.on_hosts[event.batch] = None
        self._count_by_label(event.job, host, 1)
        self.working.add(event.job)

    def _take_from_ready(self, event: BatchPlaced) -> None:
        job = self.jobs[event.job]
        for start, stop in event.ranges:
            job.ready.remove(start, stop)
            job.unseen.remove(start, stop)
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
        numbers: dict[int, int] = {}
        for batch in map(self.batches.__getitem__, job.on_hosts):  # late ones come first
            if len(numbers) == len(wanted):
                break
            for task in wanted & batch.remaining.keys():
                job.doubles[task] = (batch.id, event.batch)
                job.tries[task] = max(job.tries.get(task, 0), batch.remaining[task])
                numbers[task] = job.number(task)
        return {task: numbers[task] for task in indexes(event.ranges)}

    def _count_by_label(self, n: int, host: HostState, sign: int) -> None:
        job = self.jobs[n]
        for label in job.plan.max_parallel_by_label:
            if label in host.plan.labels:
                job.by_label[label] = job.by_label.get(label, 0) + sign
                self.fresh.add(n)

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
            elif record.outcome == Outcome.SUCCEEDED:
                self._gave(batch, record)
            else:
                self._failed(batch, record, at)
            batch.remaining.pop(record.task, None)
        host.judge(job, event.records)
        was_short = job.is_short
        job.learn(event.records)
        if job.is_short != was_short:
            self._firm_up(batch.job, firm=was_short)
        host.done += len(event.records)
        if batch.remaining:
            job.on_hosts[batch.id] = job.on_hosts.pop(batch.id)
        else:
            self._forget(batch)

    def _know(self, event: TasksKnown) -> None:
        """Tasks have their results without an attempt; one that has its own by now keeps that."""
        job = self.jobs[event.job]
        for record in event.records:
            if job.codes[record.task] == WAITING:
                run = (record.cached or "").split(" ")[0]
                job.taken[run] = job.taken.get(run, 0) + 1
                self._move(event.job, record.task, record.outcome)

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
        if record.outcome != Outcome.SUCCEEDED and record.number > 1:
            job.note_try(task, record.number)  # a person may have it again
        self._move(batch.job, task, record.outcome)

    def _gave(self, batch: Batch, record: Record) -> None:
        """An attempt succeeded, and the task runs on another host, too, unless an attempt there goes on already."""
        job, task = self.jobs[batch.job], record.task
        job.note_try(task, record.number)
        job.gave[task] = (*job.gave.get(task, ()), (batch.host, record.digest))
        job.spared[task] = job.spared.get(task, 0) + 1
        if job.doubles.pop(task, None) is None:
            self._move(batch.job, task, WAITING)
            self._retry(batch.job, task, Retry(0.0, "", batch.memory_bytes))
            self.fresh.add(batch.job)

    def _failed(self, batch: Batch, record: Record, at: float) -> None:
        """An attempt failed and its task is tried again, unless another attempt of it goes on."""
        job, task = self.jobs[batch.job], record.task
        job.note_try(task, record.number)
        if job.doubles.pop(task, None):
            return
        failures = job.failures(task)
        memory = batch.amount.memory_bytes
        if policy.grows(job, record):
            memory = policy.grown_bytes(job, memory, self.largest_bytes(job))
        wait_s = policy.backoff_s(self.run, job.plan.name, task, failures)
        asked = job.amounts[batch.need].memory_bytes
        self._move(batch.job, task, WAITING)
        self._retry(batch.job, task, Retry(at + wait_s, batch.host, None if memory == asked else memory))

    def _firm_up(self, n: int, *, firm: bool) -> None:
        """A job is short no longer, or has become so: what it has on hosts counts otherwise."""
        for batch in map(self.batches.__getitem__, self.jobs[n].on_hosts):
            room = self.hosts[batch.host].room
            if batch.firm != firm and batch.amount.is_plain and room is not None:
                room.firm_up(batch.amount, 1 if firm else -1)
                batch.firm = firm
                self._note_room(self.hosts[batch.host])

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
            if batch.memory_bytes is not None or task in self.jobs[batch.job].gave:
                self._retry(batch.job, task, Retry(0.0, "", batch.memory_bytes))
                self.fresh.add(batch.job)

    def _lost(self, batch: Batch, task: int, at: float) -> None:
        job = self.jobs[batch.job]
        job.note_try(task, batch.remaining[task])
        job.losses[task] = job.losses.get(task, 0) + 1
        job.lost += 1
        if job.doubles.pop(task, None):
            return
        if job.losses[task] >= CRASH_LIMIT:
            self._move(batch.job, task, Outcome.LOST)
        else:
            self._move(batch.job, task, WAITING)
            self._retry(batch.job, task, Retry(at, batch.host, batch.memory_bytes))
            self.fresh.add(batch.job)

    def _give_up(self, event: BatchGivenUp) -> None:
        batch = self.batches.get(event.batch)
        if batch is not None:
            first = next(iter(batch.remaining), None)
            if first is not None and first in self.jobs[batch.job].unwanted:
                self.jobs[batch.job].note_try(first, batch.remaining[first])  # it runs, or did
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
            self._note_room(host)
        del job.on_hosts[batch.id]
        self._count_by_label(batch.job, host, -1)
        if job.plan.max_parallel == job.batches + 1:
            self.fresh.add(batch.job)
        if not job.on_hosts:
            self.working.discard(batch.job)
