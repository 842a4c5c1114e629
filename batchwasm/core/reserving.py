"""Hosts that are kept for large tasks which smaller ones passed for too long; who may use such a host all the same."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import NamedTuple

from batchwasm.core.hoststate import HostState
from batchwasm.core.jobstate import JobState
from batchwasm.core.policy import RESERVE_S
from batchwasm.core.room import Amount, Room
from batchwasm.core.state import State

JOBS_LOOKED_AT = 64  # of the queue and of those that run: their sizes repeat
RETRIES_LOOKED_AT = 256  # of a job, for those that need more memory than its other tasks
SURE = 1.5  # times its usual duration: what is over by then will not be in the way


class Wanted(NamedTuple):
    """What a job needs a host for."""

    amounts: tuple[Amount, ...]
    """Alternatives."""
    memory_bytes: int | None
    """Of a retry that got more than its job asked for."""
    tasks: int


class Then(NamedTuple):
    """A host when something is likely to fit on it."""

    at: float
    room: Room
    amount: Amount


def wanted(state: State, n: int, now: float) -> Wanted | None:
    """What of job `n` has waited long enough for a host of its own; None where nothing has."""
    job = state.jobs[n]
    for task, retry in islice(job.retries.items(), RETRIES_LOOKED_AT):
        if retry.memory_bytes is not None and retry.at + RESERVE_S <= now and task not in job.unwanted:
            amounts = tuple(job.amount(need, retry.memory_bytes) for need in range(len(job.amounts)))
            return Wanted(amounts, retry.memory_bytes, 1)
    if now < max(job.placed_at, job.ready_at) + RESERVE_S:
        return None
    return Wanted(job.amounts, None, job.startable)


def is_passed(state: State, n: int, amounts: tuple[Amount, ...]) -> bool:
    """Whether others, or other tasks of job `n`, take gaps that are too small for these."""
    others = {other for _, other in state.queue[:JOBS_LOOKED_AT]}
    others.update(islice(state.working, JOBS_LOOKED_AT))
    return any(
        amount.cpus < mine.cpus or amount.memory_bytes < mine.memory_bytes
        for other in others
        for amount in state.jobs[other].amounts
        for mine in amounts
    )


def best(state: State, n: int, want: Wanted, count: int, now: float) -> list[HostState]:
    """Hosts where that is likely to fit soonest, of those that are kept for nobody: so many at most.

    Not those where only gpus or custom resources are missing: keeping cpus free does not bring them.
    """
    job = state.jobs[n]
    if count <= 0 or len(state.reserved) == len(state.hosts):
        return []
    ends = Ends(state, now)
    able = []
    for host in state.hosts.values():
        room = host.room
        if room is None or host.reserved is not None or not host.is_open(now) or not job.may_take_more(host.plan):
            continue
        fitting = [amount for amount in want.amounts if room.offer.fits(amount)]
        if not fitting or any(_has_cpus_and_memory(room, amount) for amount in fitting):
            continue
        if is_lost(state, host, n, want.memory_bytes) or not job.has_use_of(host.name):
            continue
        at = min(ends.of(host, amount).at for amount in fitting)
        able.append((at, -room.all_cpus / room.offer.milli_cpus, host.name))
    return [state.hosts[name] for _, _, name in heapq.nsmallest(count, able)]


def is_lost(state: State, host: HostState, n: int, memory_bytes: int | None) -> bool:
    """Whether urgent jobs hold so much of a host that job `n` does not fit beside them: as long as they are urgent what
    ends there is theirs again, and to keep the rest free would be in vain."""
    if not state.urgent or n in state.urgent or host.room is None:
        return False
    room = Room(host.room.offer)
    held = [batch.amount for batch in state.batches_on(host.name) if batch.job in state.urgent]
    for amount in held:
        room.take_these(amount._replace(gpus=0), (), firm=True)
    job = state.jobs[n]
    return bool(held) and not any(room.fits_now(job.amount(need, memory_bytes)) for need in range(len(job.amounts)))


def _has_cpus_and_memory(room: Room, amount: Amount) -> bool:
    return amount.cpus <= room.all_cpus and amount.memory_bytes <= room.all_memory


def may_pass(state: State, host: HostState, n: int, amount: Amount, now: float) -> bool:
    """Whether job `n` may use a host that is kept for another: where it goes first anyway, is over in time, or leaves
    room enough beside it."""
    if host.reserved is None or host.reserved == n or host.room is None:
        return True
    job, kept_for = state.jobs[n], state.jobs[host.reserved]
    if job.plan.priority > kept_for.plan.priority:
        return True
    if n in state.urgent and host.reserved not in state.urgent and job.plan.priority == kept_for.plan.priority:
        return True
    ends = Ends(state, now)
    amounts = [_kept(kept_for, need, host) for need in range(len(kept_for.amounts))]
    fitting = [ends.of(host, kept) for kept in amounts if host.room.offer.fits(kept)]
    if not fitting:
        return True  # it shrank
    then = min(fitting, key=lambda then: then.at)
    if then.at == float("inf"):
        return False
    if job.mean_s is not None and now + SURE * job.mean_s <= then.at:
        return True
    then.room.take(amount, firm=True)
    return then.room.fits_now(then.amount)


def _kept(job: JobState, need: int, host: HostState) -> Amount:
    return job.amount(need, host.reserved_bytes)


class Ends:
    """When batches are likely to end, by what tasks usually take: looked up once for each host at one moment."""

    def __init__(self, state: State, now: float) -> None:
        self._state, self._now = state, now
        self._known: dict[str, list[tuple[float, int]]] = {}

    def of(self, host: HostState, amount: Amount) -> Then:
        """The host when that is likely to fit on it; infinitely late where nobody knows."""
        assert host.room is not None
        room = host.room.copy()
        if room.fits_now(amount):
            return Then(self._now, room, amount)
        if host.name not in self._known:
            self._known[host.name] = sorted((self._end_of(id_), id_) for id_ in host.batches)
        for end, id_ in self._known[host.name]:
            batch = self._state.batches[id_]
            room.give(batch.amount, batch.gpus, firm=batch.firm)
            if room.fits_now(amount):
                return Then(end, room, amount)
        return Then(float("inf"), room, amount)

    def _end_of(self, id_: int) -> float:
        batch = self._state.batches[id_]
        mean_s = self._state.jobs[batch.job].mean_s
        return float("inf") if mean_s is None else max(self._now, batch.since + mean_s * len(batch.remaining))
