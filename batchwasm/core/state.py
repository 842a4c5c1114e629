"""What is true of a run: jobs, tasks, hosts, batches. `State.apply(event)` is the only place where it changes.

A task is one byte in its job's `codes`; only tasks in flight are held by objects (their batch), and those that have
conditions of their own (a retry). Indexes (counts, what may start, the queue of jobs, the room of hosts) change
together with them, and invariants.py computes them again for the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from batchwasm.core.acts import Acts
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    BatchPlaced,
    BatchRecalled,
    Event,
    FileShipped,
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
    HostReserved,
    HostSetAside,
    HostSilent,
    HostUndrained,
    JobAdded,
    RunClosed,
    RunFinished,
    RunOpened,
    RunPaused,
    RunPlanned,
    RunStopped,
    RunUnpaused,
    TasksAdded,
    TasksCancelled,
    TasksFinished,
    TasksKnown,
    TasksRetried,
    TasksReturned,
    TasksWithdrawn,
    incarnation_of,
)
from batchwasm.core.hoststate import Batch, HostState
from batchwasm.core.jobstate import CODES, RUNNING, WAITING, JobState
from batchwasm.core.policy import CRASH_LIMIT
from batchwasm.core.room import Offer, Room, offer_of
from batchwasm.model import Outcome

__all__ = ["CODES", "CRASH_LIMIT", "RUNNING", "WAITING", "Batch", "HostState", "JobState", "State"]


class State(Acts):
    """A run as its events made it."""

    def __init__(self) -> None:
        super().__init__()
        self.name = ""
        self.max_failures: int | None = None
        self.fail_fast = False
        self.open = False
        """Jobs and tasks may still be added."""
        self.silent: set[str] = set()
        """Hosts that are."""
        self.milli_cpus = 0
        """Of all hosts that are connected, in thousandths."""
        self.pool_changes = 0
        """Grows with every change of what hosts there are and what they offer; no snapshot has it."""
        self.incarnation = 0
        self.opened: RunOpened | None = None
        self.opened_at = 0.0
        self.first_at = 0.0
        self.last_at = 0.0
        self.idle_s = 0.0
        """Between its lives: from the last event of each to when the next one opened it."""
        self.stopped: RunStopped | None = None
        self.finished = False

    # ------------------------------------------------------------------------------------------- reading

    @property
    def done(self) -> bool:
        return not self.batches and all(job.counts[WAITING] == 0 and job.counts[RUNNING] == 0 for job in self.jobs)

    def restore(self, jobs: list[JobState], hosts: list[HostState], batches: list[Batch]) -> None:
        """Of a snapshot; what follows from these is made anew."""
        self.jobs = jobs
        self.hosts = {host.name: host for host in hosts}
        self.milli_cpus = sum(host.room.offer.milli_cpus for host in hosts if host.room)
        self.silent = {host.name for host in hosts if host.silent}
        self.reserved = {host.name for host in hosts if host.reserved is not None}
        self._link()
        for n in range(len(jobs)):
            self._queue(n)
        for batch in batches:
            host = self.hosts[batch.host]
            self.batches[batch.id] = batch
            host.batches[batch.id] = None
            self.working.add(batch.job)
            if batch.superseded:
                self.superseded.add(batch.id)
            if host.room is not None:
                host.room.take_these(batch.amount, batch.gpus, firm=batch.firm)
        for host in hosts:
            self._note_room(host)
        for batch in sorted(batches, key=lambda batch: batch.since):
            self.jobs[batch.job].on_hosts[batch.id] = None

    # ------------------------------------------------------------------------------------------ changing

    def apply(self, event: Event, at: float) -> None:
        """Make `event` true. `at` is unix time in seconds; the same events at the same times give the same state."""
        before, self.last_at = self.last_at, at
        match event:
            case TasksFinished():
                self._finish(event, at)
            case BatchPlaced():
                self._place(event, at)
            case TasksKnown():
                self._know(event)
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
                self._open(event, at, before)
            case TasksAdded():
                self._add(event, at)
            case TasksWithdrawn():
                self._withdraw(event)
            case TasksRetried():
                self._have_again(event)
            case RunPaused():
                self.paused = event.text
            case RunUnpaused():
                self.paused = None
            case JobAdded():
                self._add_job(event.plan)
            case RunClosed():
                self.open = False
            case RunStopped():
                self.stopped = event
                for host in self.hosts.values():
                    if event.guests_stopped and host.room is not None:  # others can't be told, and go on
                        self._take_back(host.name)
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
                if host.batches:
                    self._set_silent(host, True)  # what it runs goes on, or is gone: a second attempt may start
            case HostAway():
                host = self.hosts[event.host]
                self._set_room(host, None)
                host.code, host.reason, host.busy = event.code, event.text, None
            case HostLeft():
                self._lose(event.host, at)
                host = self.hosts[event.host]
                self._set_room(host, None)
                host.code, host.reason, host.busy = event.code, event.text, None
                self._set_silent(host, False)
            case HostRemoved():
                self.hosts[event.host].removed = True
                self.pool_changes += 1
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
                self._set_silent(self.hosts[event.host], True)
            case HostHeard():
                self._set_silent(self.hosts[event.host], False)
            case HostSetAside():
                host = self.hosts[event.host]
                host.aside_until, host.aside_text = event.until, event.text
                host.asides, host.streak = host.asides + 1 if event.until > at else 0, 0
            case HostReserved():
                self._keep(self.hosts[event.host], event.job, event.memory_bytes)
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

    def _open(self, event: RunOpened, at: float, before: float) -> None:
        if self.opened is not None:
            self.idle_s += max(0.0, at - before)
        self.opened, self.opened_at, self.incarnation = event, at, event.incarnation
        self.stopped, self.finished = None, False
        self.paused = None
        for name, host in self.hosts.items():
            self.hosts[name] = HostState(
                host.plan,
                done=host.done,
                drained=host.drained,
                removed=host.removed,
                supervisor=host.supervisor,
                limits=host.limits,
                batches=host.batches,
            )
        self.milli_cpus = 0
        self.pool_changes += 1
        self.roomy.clear()
        self.silent.clear()
        self.reserved.clear()

    def _set_silent(self, host: HostState, silent: bool) -> None:
        host.silent = silent
        (self.silent.add if silent else self.silent.discard)(host.name)

    def _add_host(self, plan: HostPlan) -> None:
        there = self.hosts.get(plan.name)
        if there is None:
            self.hosts[plan.name] = HostState(plan)
        else:
            there.plan, there.removed = plan, False
            self.pool_changes += 1
            for job in self.jobs:
                job.forget_host(plan.name)
            if there.room is None:
                there.answered, there.reason, there.limits = False, "connecting", None

    def _join(self, event: HostJoined, at: float) -> None:
        host = self.hosts[event.host]
        if event.batches is None or event.supervisor != host.supervisor:
            self._lose(event.host, at)  # it was started anew
        else:
            self._keep_these(host, event.batches, at)
        host.supervisor = event.supervisor
        self._set_room(host, offer_of(event.cpus, event.memory_bytes, event.gpus, host.plan.resources))
        assert host.room is not None
        for batch in self.batches_on(event.host):
            host.room.take_these(batch.amount, batch.gpus, firm=batch.firm)
        self._note_room(host)
        host.code, host.reason, host.answered, host.waiting_may_help = "", "", True, True
        host.busy = None
        self._set_silent(host, False)

    def _set_room(self, host: HostState, offer: Offer | None) -> None:
        self.milli_cpus += (offer.milli_cpus if offer else 0) - (host.room.offer.milli_cpus if host.room else 0)
        if host.room is not None:
            self.roomy[host.room.rare].pop(host.name, None)
        host.room = Room(offer) if offer else None
        self._note_room(host)
        host.limits = offer or host.limits
        self.pool_changes += 1
        self._keep(host, None)
        host.warm.clear()

    def _keep_these(self, host: HostState, kept: Sequence[int], at: float) -> None:
        """A host is there again, with these batches; what else it was sent never arrived, and waits again."""
        for batch in list(self.batches_on(host.name)):
            if batch.id in kept:
                on_hosts = self.jobs[batch.job].on_hosts
                on_hosts[batch.id] = on_hosts.pop(batch.id)
                batch.since, batch.recalled = at, False
            else:
                for task in sorted(batch.remaining):
                    self._drop(batch, task)
                self._forget(batch)

    def _lose(self, host: str, at: float) -> None:
        """All that was sent to a host is lost with it: each task runs again, until its crash limit.

        What an earlier life of the scheduler sent may never have arrived: nobody is to blame for that.
        """
        for batch in list(self.batches_on(host)):
            blamed = incarnation_of(batch.id) == self.incarnation
            for task in sorted(batch.remaining):
                if blamed:
                    self._lost(batch, task, at)
                else:
                    self._drop(batch, task)
            self._forget(batch)

    def _take_back(self, host: str) -> None:
        """All that was sent to a host waits again, and nobody is to blame."""
        for batch in list(self.batches_on(host)):
            for task in sorted(batch.remaining):
                self._drop(batch, task)
            self._forget(batch)

    # --------------------------------------------------------------------------------------------- tasks

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
            self._make_ready(event.job, first, first + event.count)
            self._queue(event.job)
