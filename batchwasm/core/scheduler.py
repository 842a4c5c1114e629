"""The scheduler: events in, decisions out (events too), told the time. No I/O, no clock, no chance.

    scheduler.observe(event, now)       for each event, in order
    decisions = scheduler.decide(now)   once, when there is no more news

Decisions are applied already when they are returned; the caller journals events and decisions, then acts on them.
`wake_at` says when to call again with no event at all.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import replace

from batchwasm.core import placement, policy, reserving
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    BatchPlaced,
    BatchRecalled,
    Event,
    HostJoined,
    HostLeft,
    HostReserved,
    HostSetAside,
    JobAdded,
    Record,
    RunFinished,
    TasksAdded,
    TasksCancelled,
    TasksFinished,
    TasksKnown,
    TasksReturned,
    TasksWithdrawn,
    batch_id,
    indexes,
    ranges_of,
)
from batchwasm.core.hoststate import Batch, HostState
from batchwasm.core.policy import RECALL_S
from batchwasm.core.room import Amount
from batchwasm.core.state import State
from batchwasm.core.urgency import Urgency
from batchwasm.model import Outcome

BEHIND_LOOK_S = 0.05  # between two looks for what waits behind others, however much happens: it costs by their number
LATE_LOOK_S = 0.5  # the same for what is late; that is so after STRAGGLER_S at the earliest
RESERVE_LOOK_S = 1.0  # between two looks for large tasks that wait too long
EVERY_JOB = -1
RESERVED_JOBS = 16  # that such a look goes through: what waits behind them has its turn when they are served


class Scheduler:
    """One life of a scheduler over a run's state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.wake_at: float | None = None
        self._batch = 0
        self._open: set[str] = set()
        """Hosts that may have room: all others were tried since they last changed."""
        self._behind_at = self._late_at = self._reserved_at = float("-inf")
        self._doubtful: set[int] = set()
        """Batches with tasks in them that were withdrawn."""
        self._at_once: set[int] = set()
        """Those of them which a person withdrew, who wants to see that they end."""
        self._wide: dict[int, set[int]] = {}
        """Batches of more than one task, by job; some are over already."""
        self._urgency = Urgency()
        self._short: set[int] = set()
        """Jobs that are."""
        self._due: list[tuple[float, int]] = []
        """A heap: when retries of a job may start; EVERY_JOB where hosts that were set aside come back."""
        self._suspects: set[str] = set()
        """Hosts where something failed since the last look."""
        self._may_give_up = True
        """Some task may have failed for good since the last look."""
        self._take_over()

    def _take_over(self) -> None:
        """What another life of a scheduler knew of the state."""
        state = self.state
        self._open_all()
        state.fresh.update(n for _, n in state.queue)
        self._short.update(n for n, job in enumerate(state.jobs) if job.is_short)
        for batch in state.batches.values():
            if len(batch.remaining) > 1:
                self._wide.setdefault(batch.job, set()).add(batch.id)
        for n, job in enumerate(state.jobs):
            if job.unwanted:
                self._doubtful |= job.on_hosts.keys()
                self._at_once |= job.on_hosts.keys()
            for retry in job.retries.values():
                self._due += [(retry.at, n), (retry.at + policy.AVOID_S, n)]
        self._due += [(host.aside_until, EVERY_JOB) for host in state.hosts.values() if host.asides]
        heapq.heapify(self._due)

    def observe(self, event: Event, now: float) -> None:
        """Make `event` true. `now` is unix time in seconds."""
        self._note_before(event)
        self.state.apply(event, now)
        self._note_after(event)

    def decide(self, now: float) -> list[Event]:
        """What follows from all that was observed."""
        decisions: list[Event] = []
        self.wake_at = None
        for name in ("_behind_at", "_late_at", "_reserved_at"):  # a clock that was put back must not stop the looks
            setattr(self, name, min(getattr(self, name), now))
        self._give_up(decisions, now)
        self._stop_unwanted(decisions, now)
        self._set_aside(decisions, now)
        self._wait_for_due(now)
        if self.state.paused is None:
            self._place(decisions, now)
            self._reserve(decisions, now)
            self._place(decisions, now)
            self._look_at_late_ones(decisions, now)
        else:
            self._call_back(decisions, now)
        if self.state.run and self.state.done and not self.state.open and not self.state.finished:
            self._decide(RunFinished(), decisions, now)
        return decisions

    def batch_of(self, host: str, batch_id: int) -> Batch | None:
        """The batch, where `host` has it: not one that was given up, nor another host's."""
        batch = self.state.batches.get(batch_id)
        return batch if batch is not None and batch.host == host else None

    def awaits(self, batch: Batch, task: int, number: int) -> bool:
        """Whether this attempt is still waited for."""
        return batch.remaining.get(task) == number

    def admit(self, host: str, batch_id: int, records: Sequence[Record]) -> TasksFinished | None:
        """What of a host's report is news: attempts that are still waited for, each with its final word on `final`.

        Late, repeated and forged ones are dropped here, before they reach the journal.
        """
        batch = self.batch_of(host, batch_id)
        if batch is None:
            return None
        state = self.state
        queued_s = max(0.0, batch.placed_at - state.jobs[batch.job].ready_at)
        once = state.jobs[batch.job].plan.verify == 1
        fresh: dict[int, Record] = {}
        for record in records:
            if batch.remaining.get(record.task) == record.number and record.task not in fresh:
                if not once:
                    record = state.compared(batch, record)
                final = (once and record.outcome == Outcome.SUCCEEDED) or state.is_final(batch, record)
                # Not by _replace, which takes three times as long and is done for every task.
                fresh[record.task] = Record._make((*record[:3], final, *record[4:6], queued_s, *record[7:]))
        if not fresh:
            return None
        return TasksFinished(batch=batch_id, job=batch.job, host=batch.host, records=list(fresh.values()))

    def admit_return(self, host: str, event: TasksReturned) -> TasksReturned | None:
        """The same of tasks that a host gives back: those that it still has, whatever else it names."""
        batch = self.batch_of(host, event.batch)
        tasks = [] if batch is None else [task for task in indexes(event.ranges) if task in batch.remaining]
        return replace(event, ranges=ranges_of(tasks)) if tasks else None

    # ------------------------------------------------------------------------------------- what may have room

    def _note_before(self, event: Event) -> None:
        """What an event changes that can be told only while it is not yet true."""
        match event:
            case TasksFinished() | TasksReturned() | BatchGivenUp():
                batch = self.state.batches.get(event.batch)
                if batch is not None:
                    self._open.add(batch.host)
            case BatchPlaced():
                if self.state.hosts[event.host].reserved == event.job:
                    self._open.add(event.host)  # it is kept for nobody now
            case TasksWithdrawn():
                self._doubtful |= self.state.jobs[event.job].on_hosts.keys()
                if event.by:
                    self._at_once |= self.state.jobs[event.job].on_hosts.keys()
            case _:
                pass

    def _note_after(self, event: Event) -> None:
        match event:
            case TasksFinished():
                self._note_failures(event)
                self._note_length(event.job)
                if event.batch not in self.state.batches and event.job in self._wide:
                    self._wide[event.job].discard(event.batch)
            case BatchPlaced():
                if len(self.state.batches[event.batch].remaining) > 1:
                    self._wide.setdefault(event.job, set()).add(event.batch)
            case HostJoined():
                self._open.add(event.host)
                self._note_losses()
                for batch in self.state.batches_on(event.host):
                    if len(batch.remaining) > 1:  # what it was told to give back may not have reached it
                        self._wide.setdefault(batch.job, set()).add(batch.id)
            case HostReserved():
                if event.job is None:
                    self._open.add(event.host)
            case TasksReturned() | BatchGivenUp() | BatchRecalled():
                pass
            case ArtifactBuilt() | JobAdded() | TasksAdded() | TasksKnown() | TasksWithdrawn():
                pass  # what is ready by it is fresh
            case _:
                if isinstance(event, HostLeft):
                    self._note_losses()
                self._open_all()

    def _open_all(self) -> None:
        self._open.update(name for names in self.state.roomy.values() for name in names)

    def _note_losses(self) -> None:
        """What was lost with a host avoids it for a while, and may have been lost once too often."""
        heapq.heappush(self._due, (self.state.last_at + policy.AVOID_S, EVERY_JOB))
        self._may_give_up = True

    def _note_failures(self, event: TasksFinished) -> None:
        failed = [record for record in event.records if record.outcome != Outcome.SUCCEEDED]
        if not failed:
            return
        self._suspects.add(event.host)
        self._may_give_up = True
        retries = self.state.jobs[event.job].retries
        for record in failed:
            if record.task in retries:
                at = retries[record.task].at
                for due in (at, at + policy.AVOID_S):  # elsewhere, and then anywhere
                    heapq.heappush(self._due, (due, event.job))

    def _note_length(self, n: int) -> None:
        """A job that has become short may be sent ahead, and what it has on hosts leaves room for others."""
        if self.state.jobs[n].is_short != (n in self._short):
            self._short ^= {n}
            self._open_all()

    def _wait_for_due(self, now: float) -> None:
        """Retries whose time has come, and hosts that come back, are looked at; the next ones wake us."""
        while self._due and self._due[0][0] <= now:
            _, job = heapq.heappop(self._due)
            if job == EVERY_JOB:
                self._open_all()
            else:
                self.state.fresh.add(job)
        if self._due:
            self._wake(self._due[0][0])

    # ------------------------------------------------------------------------------------------- decisions

    def _decide(self, event: Event, decisions: list[Event], now: float) -> None:
        self._note_before(event)
        self.state.apply(event, now)
        self._note_after(event)
        decisions.append(event)

    def _give_up(self, decisions: list[Event], now: float) -> None:
        state = self.state
        limit = 1 if state.fail_fast else state.max_failures
        if limit is None or state.cancelled is not None or not self._may_give_up:
            return
        self._may_give_up = False
        if state.failures < limit:
            return
        if state.fail_fast:
            cancelled = TasksCancelled(
                code="fail_fast", text="another task failed, and --fail-fast was given", running=True
            )
        else:
            text = f"{state.failures} tasks failed, and max_failures is {limit}"
            cancelled = TasksCancelled(code="max_failures", text=text, running=False)
        self._decide(cancelled, decisions, now)

    def _place(self, decisions: list[Event], now: float) -> None:
        fresh, self.state.fresh = self.state.fresh, set()
        if self._open or fresh:
            hosts, self._open = self._open, set()
            order = self._urgency.ranked(self.state)
            for placed in placement.place(self.state, order, hosts, fresh, iter(self._next_batch, None), now):
                self._decide(placed, decisions, now)

    def _call_back(self, decisions: list[Event], now: float) -> None:
        """While the run is paused: what hosts have not started shall come back."""
        for batch in list(self.state.batches.values()):
            if not batch.recalled:
                self._decide(BatchRecalled(batch=batch.id), decisions, now)

    def _next_batch(self) -> int:
        self._batch += 1
        return batch_id(self.state.incarnation, self._batch)

    def _stop_unwanted(self, decisions: list[Event], now: float) -> None:
        """Stop batches of which nothing is wanted any more, and those that are held up by a task that is not.

        What was wanted in them waits again. A worker gives back the rest of a batch only between two tasks: the one
        that runs is the first without a result.
        """
        for id_ in sorted(self.state.superseded):
            batch = self.state.batches[id_]
            self._decide(BatchGivenUp(batch=id_, job=batch.job, host=batch.host), decisions, now)
        for id_ in sorted(self._doubtful):
            found = self.state.batches.get(id_)
            unwanted = self.state.jobs[found.job].unwanted if found is not None else set[int]()
            if found is None or not found.remaining.keys() & unwanted:
                self._forget_doubts(id_)
            elif self.state.is_unwanted(found) or self._holds_up(found, unwanted, now):
                self._forget_doubts(id_)
                self._decide(BatchGivenUp(batch=id_, job=found.job, host=found.host), decisions, now)
            elif id_ in self._at_once and not found.recalled:
                self._decide(BatchRecalled(batch=id_), decisions, now)  # before it comes to them

    def _forget_doubts(self, batch: int) -> None:
        self._doubtful.discard(batch)
        self._at_once.discard(batch)

    def _holds_up(self, batch: Batch, unwanted: set[int], now: float) -> bool:
        """Whether the batch should be over by now, and is at a task that was withdrawn."""
        if next(iter(batch.remaining)) not in unwanted:
            return False
        if batch.id in self._at_once:
            return True
        if now < batch.placed_at + RECALL_S:
            self._wake(batch.placed_at + RECALL_S)
            return False
        return True

    def _wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    # ------------------------------------------------------------------------------------------ sick hosts

    def _set_aside(self, decisions: list[Event], now: float) -> None:
        """Hosts where too much fails get nothing for a while, unless it is everywhere so."""
        for name in sorted(self._suspects):
            host = self.state.hosts[name]
            if now < host.aside_until or not policy.is_sick(host):
                continue  # what it had before it was set aside does not count twice
            if not self._has_healthy_other(host, now):
                if host.asides:  # there is nothing to prove where all are the same
                    self._decide(HostSetAside(host=name, until=0.0, text=""), decisions, now)
                continue
            until = now + policy.aside_s(host.asides)
            what = "a task failed" if host.streak == 1 else f"{host.streak} tasks in a row failed"
            text = f"{what} there that succeed{'s' if host.streak == 1 else ''} elsewhere"
            self._decide(HostSetAside(host=name, until=until, text=text), decisions, now)
            heapq.heappush(self._due, (until, EVERY_JOB))
        self._suspects.clear()

    def _has_healthy_other(self, host: HostState, now: float) -> bool:
        return any(
            other is not host and other.is_open(now) and not other.streak and other.done
            for other in self.state.hosts.values()
        )

    # ---------------------------------------------------------------------------------------- large tasks

    def _reserve(self, decisions: list[Event], now: float) -> None:
        """Keep hosts for tasks that were passed by smaller ones for too long; give back those that need it no more."""
        state = self.state
        if not state.reserved and len(state.queue) < 2 and not any(state.jobs[n].retries for _, n in state.queue):
            self._urgency.clear(state)
            return
        if now < self._reserved_at + RESERVE_LOOK_S:
            self._wake(self._reserved_at + RESERVE_LOOK_S)
            return
        self._reserved_at = now
        self._wake(now + RESERVE_LOOK_S)
        held: dict[int, int] = {}
        for host in map(state.hosts.__getitem__, sorted(state.reserved)):
            assert host.reserved is not None
            job = state.jobs[host.reserved]
            needless = not job.retries if host.reserved_bytes is not None else not job.startable
            needless = needless or reserving.is_lost(state, host, host.reserved, host.reserved_bytes)
            if needless or job.digest is None or not host.is_open(now):
                self._decide(HostReserved(host=host.name, job=None), decisions, now)
            else:
                held[host.reserved] = held.get(host.reserved, 0) + 1
        self._urgency.look(state)
        for rank, n in enumerate(self._urgency.ranked(state)[:RESERVED_JOBS]):
            urgent = self._urgency.lacking(state, n)
            want = reserving.Wanted(state.jobs[n].amounts, None, urgent) if urgent else reserving.wanted(state, n, now)
            if want is None or not reserving.is_passed(state, n, want.amounts):
                continue
            # Who goes first anyway must not lose host after host to who comes behind; others get one at a time.
            most = want.tasks if rank == 0 or urgent else 1
            for host in reserving.best(state, n, want, most - held.get(n, 0), now):
                self._decide(HostReserved(host=host.name, job=n, memory_bytes=want.memory_bytes), decisions, now)

    # ------------------------------------------------------------------------------------ what takes too long

    def _look_at_late_ones(self, decisions: list[Event], now: float) -> None:
        """At the end of a job: take back what waits behind a long task, and start late ones a second time.

        Both only where a slot is idle. What a silent host runs is started a second time at any time.
        """
        state = self.state
        ending = [n for n in state.working if not state.jobs[n].startable]
        if not ending and not state.silent:
            return  # the usual case, and it must not cost a look at every batch
        if now < self._behind_at + BEHIND_LOOK_S:
            self._wake(self._behind_at + BEHIND_LOOK_S)
        else:
            behind = [batch for n in ending for batch in self._behind(n)]
            self._recall(behind, decisions, now)
            self._behind_at = now
        if now < self._late_at + LATE_LOOK_S:
            self._wake(self._late_at + LATE_LOOK_S)
        else:
            late = [batch for name in sorted(state.silent) for batch in state.batches_on(name)]
            late += [batch for n in ending for batch in self._late(n, now)]
            self._double(late, decisions, now)
            self._late_at = now

    def _behind(self, n: int) -> list[Batch]:
        """Batches of job `n` with tasks that wait in them for others."""
        found: list[Batch] = []
        wide = self._wide.get(n, set())
        for id_ in sorted(wide):
            batch = self.state.batches.get(id_)
            if batch is None or len(batch.remaining) < 2 or batch.recalled:
                wide.discard(id_)
            elif not batch.double and not batch.superseded:
                found.append(batch)
        return found

    def _late(self, n: int, now: float) -> Iterator[Batch]:
        """Batches of job `n` whose first task should have ended long ago; wakes us when there will be more."""
        job = self.state.jobs[n]
        usual_s = policy.usual_s(job)
        if usual_s is None:
            return
        for batch in map(self.state.batches.__getitem__, job.on_hosts):
            if now < batch.since + usual_s:
                self._wake(batch.since + usual_s)
                return  # what follows began later
            if not batch.double and not batch.superseded and next(iter(batch.remaining)) not in job.doubles:
                yield batch

    def _recall(self, behind: Sequence[Batch], decisions: list[Event], now: float) -> None:
        idle = {n for n in {b.job for b in behind} if placement.has_idle_slot(self.state, n, now)}
        for batch in behind:
            if now - batch.placed_at < RECALL_S:
                self._wake(batch.placed_at + RECALL_S)
            elif batch.job in idle:
                self._decide(BatchRecalled(batch=batch.id), decisions, now)

    def _double(self, late: Sequence[Batch], decisions: list[Event], now: float) -> None:
        """Second attempts, where there is room that nobody waits for."""
        in_vain: dict[tuple[int, Amount], set[str]] = {}
        for batch in late:
            job = self.state.jobs[batch.job]
            host = self.state.hosts[batch.host]
            tasks = [task for task in batch.remaining if task not in job.doubles and task not in job.unwanted]
            tasks = tasks if host.silent else tasks[:1]
            full = in_vain.setdefault((batch.job, batch.amount), set())
            if not tasks or len(full) > 1 or batch.host in full:
                continue
            best = placement.best_for_a_double(self.state, batch, tasks, now)
            if best is None and job.gave:
                continue  # it may be its own hosts that it must not use again
            if best is None:
                full.add(batch.host)  # no other host has room; where two have said so, none has
                continue
            placed = BatchPlaced(
                batch=self._next_batch(),
                job=batch.job,
                host=best.name,
                ranges=ranges_of(tasks),
                need=batch.need,
                memory_bytes=batch.memory_bytes,
                double=True,
            )
            self._decide(placed, decisions, now)
