"""Which ready tasks go to which open host, and how many at once. Pure functions over State.

A job whose tasks are known to be short may have a little more sent to a host than it can run at once (`AHEAD`), so
that its workers never wait for the scheduler; the supervisor there keeps the rest in its queue, and it alone hands out
the slots. Everything else is sent only where it fits right now.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import chain, islice
from typing import NamedTuple

from batchwasm.core.events import BatchPlaced, Ranges, ranges_of
from batchwasm.core.hoststate import Batch, HostState
from batchwasm.core.jobstate import JobState
from batchwasm.core.policy import AVOID_S
from batchwasm.core.reserving import may_pass
from batchwasm.core.room import AHEAD, MILLI, Amount
from batchwasm.core.state import State

BATCH_S = 0.015  # of work in a batch: long against the 0.4 ms that a batch costs, short against a person's patience
BATCH_LIMIT = 1000  # tasks in a batch: bounds what one lost worker or one frame can carry
BATCH_BYTES = 8 * 1024**2  # of arguments in a batch: they travel in one frame
LARGE_BYTES = 1024**2  # of files: to send less than that costs nothing that matters
RETRIES_LOOKED_AT = 256  # of those that wait for their time: a million failed tasks must not be gone through each time
CHOICE = 8  # hosts from which the one for a task is chosen: the best of so many is nearly the best of all
LOOKED_AT = 3  # hosts for each of those, where most have no room for the job
STRIDE = 61  # from one choice to the next, so that all hosts have their turn
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


def has_idle_slot(state: State, n: int, now: float) -> bool:
    """Whether there is a host where a task of job `n` would start at once, with nothing queued before it."""
    job = state.jobs[n]
    return any(
        host.room is not None and host.room.fits_now(amount) and host.is_open(now) and job.allows(host.plan)
        for amount in job.amounts
        for host in _with_room(state, amount)
    )


class Pick(NamedTuple):
    """Tasks of a job that may go together, and how."""

    ranges: Ranges
    memory_bytes: int | None


def place(
    state: State, order: Iterable[int], opened: Iterable[str], fresh: Set[int], batch_ids: Iterator[int], now: float
) -> Iterator[BatchPlaced]:
    """Fill the opened hosts with any job, and any host with the fresh ones: in that order, smaller ones in the gaps.

    The caller applies each decision before it takes the next one: the state is read anew for every batch.
    """
    hosts = [host for host in map(state.hosts.__getitem__, opened) if is_open(host, now)]
    for n in order:
        if not hosts and n not in fresh:
            continue
        job = state.jobs[n]
        if job.plan.max_parallel is not None and job.batches >= job.plan.max_parallel:
            continue
        before = state.placed
        for need in range(len(job.amounts)):
            if n not in fresh:
                yield from _fill(state, n, need, hosts, batch_ids, now)
                continue
            for some in _able_ones(state, n, need, hosts, now):
                yield from _fill(state, n, need, some, batch_ids, now)
                if _may_start(job) <= 0:
                    break
        if state.placed != before:
            hosts = [host for host in hosts if is_open(host, now)]


def is_open(host: HostState, now: float) -> bool:
    """Whether anything may be sent there."""
    return host.room is not None and host.room.has_any and host.is_open(now)


def _able_ones(state: State, n: int, need: int, first: list[HostState], now: float) -> Iterator[list[HostState]]:
    """Hosts that could take a job, in parts of which each has enough for all its tasks, and a choice. Not all are
    looked at where a few do."""
    job, amount = state.jobs[n], state.jobs[n].amounts[need]
    part, looked_at = [host for host in first if able(state, host, n, amount, now)], len(first)
    seen, wanted = set(first), CHOICE + 2 * _may_start(job)
    for host in _with_room(state, amount):
        if host in seen:
            continue
        looked_at += 1
        if able(state, host, n, amount, now) and host.is_open(now):
            part.append(host)
        if len(part) >= wanted or (part and looked_at >= LOOKED_AT * wanted):
            yield part
            part, looked_at, wanted = [], 0, CHOICE + 2 * _may_start(job)
    yield part


def _may_start(job: JobState) -> int:
    """How many tasks at most, whatever room there is."""
    most = job.plan.max_parallel
    return job.startable if most is None else min(job.startable, most - job.batches)


def _with_room(state: State, amount: Amount) -> Iterator[HostState]:
    """Hosts where anything fits: those that have the least of what is rare and not asked for come first, and among
    equals each time others."""
    hosts = state.hosts
    for rare in sorted(state.roomy, key=lambda rare: _spared(rare, amount)):
        names = list(state.roomy[rare])
        at = state.placed * STRIDE % len(names) if names else 0
        for name in chain(islice(names, at, None), islice(names, at)):
            yield hosts[name]


def able(state: State, host: HostState, n: int, amount: Amount, now: float) -> bool:
    """Whether one more batch of job `n` may go to the host, but for what makes it closed to all."""
    job = state.jobs[n]
    if not fits(host, job, amount) or not job.may_take_more(host.plan):
        return False
    return host.reserved is None or may_pass(state, host, n, amount, now)


def _fill(
    state: State, n: int, need: int, hosts: list[HostState], batch_ids: Iterator[int], now: float
) -> Iterator[BatchPlaced]:
    """As much of one job as fits, the best host first."""
    job, amount = state.jobs[n], state.jobs[n].amounts[need]
    hosts = [host for host in hosts if able(state, host, n, amount, now)]
    if not hosts:
        return
    large = [] if len(hosts) == 1 else _large_ones(state, n, amount)
    heap = [(preference(host, n, job, amount, large) if len(hosts) > 1 else (), host.name) for host in hosts]
    heapq.heapify(heap)
    sure = True
    while heap and _may_start(job) > 0:
        host = state.hosts[heap[0][1]]
        pick = None
        if sure or (able(state, host, n, amount, now) and host.is_open(now)):
            pick = next_tasks(state, job, need, host, now)
        sure = False
        if pick is None:
            heapq.heappop(heap)  # full, or what is left of the job waits for another host, or for its time
            continue
        yield BatchPlaced(
            batch=next(batch_ids), job=n, host=host.name, ranges=pick.ranges, need=need, memory_bytes=pick.memory_bytes
        )
        if len(heap) > 1:
            heapq.heapreplace(heap, (preference(host, n, job, amount, large), host.name))


def next_tasks(state: State, job: JobState, need: int, host: HostState, now: float) -> Pick | None:
    """What of a job goes to this host next: retries that are due and may run there, else those that never ran."""
    size = batch_size(state, job, need)
    if host.reserved_bytes is not None and host.reserved is not None and state.jobs[host.reserved] is job:
        return _retries(state, job, need, host, now, size, least=host.reserved_bytes)
    if job.retries:
        pick = _retries(state, job, need, host, now, size)
        if pick is not None:
            return pick
    if not job.ready:
        return None
    return Pick(job.ready.first(size), None)


def _retries(
    state: State, job: JobState, need: int, host: HostState, now: float, size: int, least: int = 0
) -> Pick | None:
    """Retries that go together: those with the same memory, which is `least` or more."""
    chosen: list[int] = []
    memory: int | None = None
    elsewhere: bool | None = None
    largest: int | None = None
    for looked_at, (task, retry) in enumerate(job.retries.items()):
        if looked_at >= RETRIES_LOOKED_AT or len(chosen) >= size:
            break
        if (
            now < retry.at
            or (least and (retry.memory_bytes or 0) < least)
            or (chosen and (retry.memory_bytes is None) != (memory is None))
            or job.has_run(task, host.name)
        ):
            continue
        if retry.avoid == host.name and now < retry.at + AVOID_S:
            if task in job.gave:
                if has_another(state, job, host, now, task):
                    continue
            elif elsewhere is None:
                elsewhere = has_another(state, job, host, now)
            if elsewhere and task not in job.gave:
                continue
        wanted = retry.memory_bytes
        if wanted is not None:
            # The host that had so much may be gone: then it gets what there is.
            largest = state.largest_bytes(job) if largest is None else largest
            wanted = max(min(wanted, largest), job.amounts[need].memory_bytes)
            if (chosen and wanted != memory) or not fits(host, job, job.amount(need, wanted)):
                continue
        chosen.append(task)
        memory = wanted
    return Pick(ranges_of(chosen), memory) if chosen else None


def has_another(state: State, job: JobState, host: HostState, now: float, task: int = -1) -> bool:
    """Whether there is another host that could take a task of the job (or this one of it), now or later."""
    return any(
        other is not host and other.room is not None and other.drained is None and not other.removed
        and other.busy is None and now >= other.aside_until and may_take(other, job)
        and not job.has_run(task, other.name)
        for other in state.hosts.values()
    )  # fmt: skip


# ------------------------------------------------------------------------------------------ which host is better


def preference(host: HostState, n: int, job: JobState, amount: Amount, large: list[Amount]) -> tuple[float, ...]:
    """Less is better: scarce things are kept free, then files need not be sent, then the largest free share wins."""
    room = host.room
    assert room is not None
    spoilt = sum(room.fits_now(other) and not _fits_beside(host, other, amount) for other in large)
    cold = job.plan.input_bytes if job.plan.input_bytes >= LARGE_BYTES and n not in host.warm else 0
    return _spared(room.rare, amount), spoilt, cold, -room.all_cpus / room.offer.milli_cpus


def _spared(rare: tuple[str, ...], amount: Amount) -> int:
    """How many of these are not asked for."""
    if not rare:
        return 0
    asked = dict(amount.resources)
    return sum(not amount.gpus if name == "gpus" else name not in asked for name in rare)


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


def best_for_a_double(state: State, batch: Batch, tasks: Sequence[int], now: float) -> HostState | None:
    """Another host where a second attempt of these tasks, which the batch runs, would start at once."""
    job = state.jobs[batch.job]
    able = (
        host
        for host in _with_room(state, batch.amount)
        if host.name != batch.host
        and host.reserved is None
        and host.room is not None
        and host.room.fits_now(batch.amount)
        and host.is_open(now)
        and job.may_take_more(host.plan)
        and not (job.gave and any(job.has_run(task, host.name) for task in tasks))
    )
    return min(
        islice(able, CHOICE),
        key=lambda host: (preference(host, batch.job, job, batch.amount, []), host.name),
        default=None,
    )


def may_take(host: HostState, job: JobState) -> bool:
    """Whether `job` may use the host, and has room there when nothing else runs, as far as is known of it."""
    if host.removed or not job.allows(host.plan):
        return False
    limits = host.limits
    return limits is None or any(map(limits.fits, job.amounts))


def cpus_text(milli_cpus: int) -> str:
    """`1 cpu`, `0.25 cpus`."""
    return "1 cpu" if milli_cpus == MILLI else f"{milli_cpus / MILLI:g} cpus"
