"""Which ready tasks go to which open host, and how many at once. Pure functions over State.

A job whose tasks are known to be short may have a little more sent to a host than it can run at once (`AHEAD`), so
that its workers never wait for the scheduler; the supervisor there keeps the rest in its queue, and it alone hands out
the slots. Everything else is sent only where it fits right now.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from batchwasm.core.events import BatchPlaced, Ranges, ranges_of
from batchwasm.core.hoststate import Batch, HostState
from batchwasm.core.jobstate import JobState
from batchwasm.core.policy import AVOID_S
from batchwasm.core.room import MILLI, Amount
from batchwasm.core.state import State

BATCH_S = 0.015  # of work in a batch: long against the 0.4 ms that a batch costs, short against a person's patience
AHEAD = 3  # batches a slot for short tasks: one runs, two wait in the host's queue
BATCH_LIMIT = 1000  # tasks in a batch: bounds what one lost worker or one frame can carry
BATCH_BYTES = 8 * 1024**2  # of arguments in a batch: they travel in one frame
LARGE_BYTES = 1024**2  # of files: to send less than that costs nothing that matters
RETRIES_LOOKED_AT = 256  # of those that wait for their time: a million failed tasks must not be gone through each time
JOBS_LOOKED_AT = 64  # of the queue and of those that run: their sizes repeat
LARGE_JOBS = 3  # for how many waiting large jobs room is kept free where there is a choice


def batch_size(state: State, job: JobState, need: int) -> int:
    """How many tasks make a batch: BATCH_S of work, one while the duration is unknown, a fair share at the end."""
    if job.mean_s is None or job.mean_s >= BATCH_S or job.plan.isolate:
        return 1
    wanted = int(BATCH_S / max(job.mean_s, BATCH_S / BATCH_LIMIT))
    slots = max(state.milli_cpus // job.amounts[need].cpus, 1)
    if job.plan.max_parallel is not None:
        slots = min(slots, job.plan.max_parallel)
    share = -(-job.startable // slots)
    carried = BATCH_BYTES * job.plan.tasks // job.argument_bytes if job.argument_bytes else BATCH_LIMIT
    return max(1, min(wanted, share, carried, BATCH_LIMIT))


def fits(host: HostState, job: JobState, amount: Amount) -> bool:
    """Whether one more batch of `job` that reserves `amount` may go to `host`, as far as its room goes."""
    room = host.room
    if room is None or not room.fits_firmly(amount):
        return False
    # One that is not short waits in the host's queue for a few ms of short ones at the most: `AHEAD` is theirs alone.
    if not job.is_short:
        return True
    ahead = AHEAD - 1 if amount.is_plain and not host.asides else 0
    return (
        amount.cpus <= room.all_cpus + ahead * room.offer.milli_cpus
        and amount.memory_bytes <= room.all_memory + ahead * room.offer.memory_bytes
    )


def may_place(host: HostState, job: JobState) -> bool:
    """Whether the job's own limits let one more batch of it go to this host."""
    plan = job.plan
    if plan.max_parallel is not None and job.batches >= plan.max_parallel:
        return False
    for label, most in plan.max_parallel_by_label.items():
        if label in host.plan.labels and job.by_label.get(label, 0) >= most:
            return False
    return plan.allows(host.plan)


def has_idle_slot(state: State, n: int, now: float) -> bool:
    """Whether there is a host where a task of job `n` would start at once, with nothing queued before it."""
    job = state.jobs[n]
    return any(
        host.room is not None and host.is_open(now) and job.plan.allows(host.plan) and host.room.fits_now(amount)
        for host in state.hosts.values()
        for amount in job.amounts
    )


class Pick(NamedTuple):
    """Tasks of a job that may go together, and how."""

    ranges: Ranges
    memory_bytes: int | None


def place(state: State, open_hosts: Iterable[str], batch_ids: Iterator[int], now: float) -> Iterator[BatchPlaced]:
    """Fill the open hosts: jobs by rank, smaller ones in the gaps.

    The caller applies each decision before it takes the next one: the state is read anew for every batch.
    """
    hosts = [host for host in map(state.hosts.__getitem__, open_hosts) if host.is_open(now) and _has_room(host)]
    for _, n in list(state.queue):
        if not hosts:
            return
        job = state.jobs[n]
        if job.plan.max_parallel is not None and job.batches >= job.plan.max_parallel:
            continue
        for need in range(len(job.amounts)):
            yield from _fill(state, n, need, hosts, batch_ids, now)
        hosts = [host for host in hosts if _has_room(host) and host.is_open(now)]


def _has_room(host: HostState) -> bool:
    room = host.room
    return room is not None and room.firm_cpus > 0 and room.all_cpus > -(AHEAD - 1) * room.offer.milli_cpus


def _fill(
    state: State, n: int, need: int, hosts: list[HostState], batch_ids: Iterator[int], now: float
) -> Iterator[BatchPlaced]:
    """As much of one job as fits, the best host first."""
    job, amount = state.jobs[n], state.jobs[n].amounts[need]
    large = [] if len(hosts) == 1 else _large_ones(state, n, amount)

    def able(host: HostState) -> bool:
        return fits(host, job, amount) and may_place(host, job) and may_pass(state, host, n, now)

    heap = [(preference(host, n, job, amount, large), host.name) for host in hosts if able(host)]
    heapq.heapify(heap)
    while heap and job.startable:
        _, name = heapq.heappop(heap)
        host = state.hosts[name]
        if not able(host) or not host.is_open(now):
            continue
        pick = next_tasks(state, job, need, host, now)
        if pick is None:
            continue  # what is left of it waits for another host, or for its time
        yield BatchPlaced(
            batch=next(batch_ids), job=n, host=name, ranges=pick.ranges, need=need, memory_bytes=pick.memory_bytes
        )
        if able(host):
            heapq.heappush(heap, (preference(host, n, job, amount, large), name))


def next_tasks(state: State, job: JobState, need: int, host: HostState, now: float) -> Pick | None:
    """What of a job goes to this host next: retries that are due and may run there, else those that never ran."""
    size = batch_size(state, job, need)
    if job.retries:
        pick = _retries(state, job, need, host, now, size)
        if pick is not None:
            return pick
    if not job.ready:
        return None
    return Pick(job.ready.first(size), None)


def _retries(state: State, job: JobState, need: int, host: HostState, now: float, size: int) -> Pick | None:
    """Retries that go together: those with the same memory."""
    chosen: list[int] = []
    memory: int | None = None
    elsewhere: bool | None = None
    for looked_at, (task, retry) in enumerate(job.retries.items()):
        if looked_at >= RETRIES_LOOKED_AT or len(chosen) >= size:
            break
        if now < retry.at or (chosen and retry.memory_bytes != memory):
            continue
        if retry.avoid == host.name and now < retry.at + AVOID_S:
            if elsewhere is None:
                elsewhere = has_another(state, job, host, now)
            if elsewhere:
                continue
        if retry.memory_bytes is not None and not fits(host, job, job.amount(need, retry.memory_bytes)):
            continue
        chosen.append(task)
        memory = retry.memory_bytes
    return Pick(ranges_of(chosen), memory) if chosen else None


def has_another(state: State, job: JobState, host: HostState, now: float) -> bool:
    """Whether there is another host that could take a task of the job, now or later."""
    return any(
        other is not host and other.room is not None and other.drained is None and not other.removed
        and other.busy is None and now >= other.aside_until and may_take(other, job)
        for other in state.hosts.values()
    )  # fmt: skip


# ------------------------------------------------------------------------------------------ which host is better


def preference(host: HostState, n: int, job: JobState, amount: Amount, large: list[Amount]) -> tuple[float, ...]:
    """Less is better: scarce things are kept free, then files need not be sent, then the largest free share wins."""
    room = host.room
    assert room is not None
    scarce = sum(name not in dict(amount.resources) for name, _ in room.offer.resources)
    if room.offer.gpus and not amount.gpus:
        scarce += 1
    spoilt = sum(room.fits_now(other) and not _fits_beside(host, other, amount) for other in large)
    cold = job.plan.input_bytes if job.plan.input_bytes >= LARGE_BYTES and n not in host.warm else 0
    return scarce, spoilt, cold, -room.all_cpus / room.offer.milli_cpus


def _fits_beside(host: HostState, other: Amount, amount: Amount) -> bool:
    room = host.room
    assert room is not None
    return (
        other.cpus <= room.all_cpus - amount.cpus and other.memory_bytes <= room.all_memory - amount.memory_bytes
    )  # fmt: skip


def _large_ones(state: State, n: int, amount: Amount) -> list[Amount]:
    """Of jobs that wait: those that ask for more than `amount`."""
    found = []
    for _, other in state.queue[: 4 * LARGE_JOBS]:
        asked = state.jobs[other].amounts[0]
        if other != n and (asked.cpus > amount.cpus or asked.memory_bytes > amount.memory_bytes):
            found.append(asked)
    return found[:LARGE_JOBS]


# ------------------------------------------------------------------------------------ room for large tasks


def may_pass(state: State, host: HostState, n: int, now: float) -> bool:
    """Whether job `n` may use a host that is kept for another: where it goes first anyway, or is over in time."""
    if host.reserved is None or host.reserved == n:
        return True
    job, kept_for = state.jobs[n], state.jobs[host.reserved]
    if job.plan.priority > kept_for.plan.priority:
        return True
    return job.mean_s is not None and now + 1.5 * job.mean_s <= free_at(state, host, kept_for, now)


def free_at(state: State, host: HostState, job: JobState, now: float) -> float:
    """When a task of the job is likely to fit on the host, by what tasks usually take; infinite where nobody knows."""
    room = host.room
    if room is None:
        return float("inf")
    amount = job.amounts[0]
    cpus, memory = room.all_cpus, room.all_memory
    ends = sorted((_end_of(state, id_, now), id_) for id_ in host.batches)
    for end, id_ in [(now, None), *ends]:
        if id_ is not None:
            batch = state.batches[id_]
            cpus, memory = cpus + batch.amount.cpus, memory + batch.amount.memory_bytes
        if amount.cpus <= cpus and amount.memory_bytes <= memory:
            return end
    return float("inf")


def _end_of(state: State, id_: int, now: float) -> float:
    batch = state.batches[id_]
    mean_s = state.jobs[batch.job].mean_s
    return float("inf") if mean_s is None else max(now, batch.since + mean_s * len(batch.remaining))


def is_passed(state: State, n: int) -> bool:
    """Whether others may take gaps that are too small for job `n`, so that it has to wait for a larger one."""
    mine = state.jobs[n].amounts[0]
    others = {other for _, other in state.queue[:JOBS_LOOKED_AT]}
    others.update(islice(state.working, JOBS_LOOKED_AT))
    return any(
        amount.cpus < mine.cpus or amount.memory_bytes < mine.memory_bytes
        for other in others
        for amount in state.jobs[other].amounts
    )


def best_to_reserve(state: State, n: int, now: float) -> HostState | None:
    """The host where a task of job `n` is likely to fit soonest, of those that are kept for nobody."""
    job = state.jobs[n]
    able = [
        host
        for host in state.hosts.values()
        if host.reserved is None and host.is_open(now) and may_place(host, job) and may_take(host, job)
    ]
    return min(able, key=lambda host: (free_at(state, host, job, now), -_free_share(host), host.name), default=None)


def best_for_a_double(state: State, batch: Batch, now: float) -> HostState | None:
    """Another host where a second attempt of what the batch runs would start at once."""
    job = state.jobs[batch.job]
    able = [
        host
        for host in state.hosts.values()
        if host.name != batch.host
        and host.reserved is None
        and host.is_open(now)
        and host.room is not None
        and host.room.fits_now(batch.amount)
        and may_place(host, job)
    ]
    return min(able, key=lambda host: (preference(host, batch.job, job, batch.amount, []), host.name), default=None)


def _free_share(host: HostState) -> float:
    return host.room.all_cpus / host.room.offer.milli_cpus if host.room else -1.0


def may_take(host: HostState, job: JobState) -> bool:
    """Whether `job` may use the host, and has room there when nothing else runs, as far as is known of it."""
    if host.removed or not job.plan.allows(host.plan):
        return False
    limits = host.limits
    return limits is None or any(map(limits.fits, job.amounts))


def cpus_text(milli_cpus: int) -> str:
    """`1 cpu`, `0.25 cpus`."""
    return "1 cpu" if milli_cpus == MILLI else f"{milli_cpus / MILLI:g} cpus"
