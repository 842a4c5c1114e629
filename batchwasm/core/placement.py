"""Which ready tasks go to which free host, and how many at once. Pure functions over State.

A job whose tasks are known to be short may have a little more sent to a host than it can run at once (`AHEAD`), so
that its workers never wait for the scheduler; the supervisor there keeps the rest in its queue, and it alone hands out
the slots. Everything else is sent only where it fits right now, by the sums of cpus and memory.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from batchwasm.core.events import BatchPlaced
from batchwasm.core.state import HostState, JobState, State
from batchwasm.model import GIB, MIB

BATCH_S = 0.015  # of work in a batch: long against the 0.4 ms that a batch costs, short against a person's patience
SHORT_S = 0.025  # tasks below this are sent ahead
AHEAD = 3  # batches a slot for short tasks: one runs, two wait in the host's queue
BATCH_LIMIT = 1000  # tasks in a batch: bounds what one lost worker or one frame can carry
BATCH_BYTES = 8 * 1024**2  # of arguments in a batch: they travel in one frame


def batch_size(job: JobState, slots: int) -> int:
    """How many tasks make a batch: BATCH_S of work, one while the duration is unknown, a fair share at the end."""
    if job.mean_s is None or job.mean_s >= BATCH_S:
        return 1
    wanted = int(BATCH_S / max(job.mean_s, BATCH_S / BATCH_LIMIT))
    share = -(-job.waiting // max(slots, 1))
    carried = BATCH_BYTES * job.plan.tasks // job.argument_bytes if job.argument_bytes else BATCH_LIMIT
    return max(1, min(wanted, share, carried, BATCH_LIMIT))


def is_short(job: JobState) -> bool:
    return job.mean_s is not None and job.mean_s <= SHORT_S


def fits(state: State, host: HostState, job: JobState) -> bool:
    """Whether one more batch of `job` may go to `host` now."""
    if host.capacity is None or not job.plan.allows(host.plan):
        return False
    cpus, memory = host.capacity
    need_cpus, need_memory = job.plan.cpus, job.plan.memory_bytes
    if need_cpus > cpus or need_memory > memory:
        return False
    long_cpus, long_memory, all_cpus, all_memory = need_cpus, need_memory, need_cpus, need_memory
    for n, batches in host.batches.items():
        other = state.jobs[n]
        used_cpus, used_memory = len(batches) * other.plan.cpus, len(batches) * other.plan.memory_bytes
        all_cpus, all_memory = all_cpus + used_cpus, all_memory + used_memory
        if not is_short(other):
            long_cpus, long_memory = long_cpus + used_cpus, long_memory + used_memory
    if long_cpus > cpus or long_memory > memory:
        return False
    # One that is not short waits in the host's queue for a few ms of short ones at the most: `AHEAD` is theirs alone.
    return not is_short(job) or (all_cpus <= AHEAD * cpus and all_memory <= AHEAD * memory)


def has_idle_slot(state: State, n: int) -> bool:
    """Whether there is a host where a task of job `n` would start at once, with nothing queued before it."""
    return any(_is_idle_for(state, host, state.jobs[n]) for host in state.hosts.values())


def _is_idle_for(state: State, host: HostState, job: JobState) -> bool:
    if host.capacity is None or not job.plan.allows(host.plan):
        return False
    cpus, memory = job.plan.cpus, job.plan.memory_bytes
    for n, batches in host.batches.items():
        cpus += len(batches) * state.jobs[n].plan.cpus
        memory += len(batches) * state.jobs[n].plan.memory_bytes
    return cpus <= host.capacity[0] and memory <= host.capacity[1]


def place(state: State, open_hosts: Iterable[str], batch_ids: Iterator[int]) -> Iterator[BatchPlaced]:
    """Fill the open hosts: jobs first come, first served, smaller ones in the gaps; hosts with most free cpus first.

    The caller applies each decision before it takes the next one: the state is read anew for every batch.
    """
    heap = [(-_free_share(state, state.hosts[name]), name) for name in open_hosts]
    heapq.heapify(heap)
    while heap:
        _, name = heapq.heappop(heap)
        host = state.hosts[name]
        for n, job in enumerate(state.jobs):
            if job.waiting and job.digest is not None and fits(state, host, job):
                ranges = job.peek(batch_size(job, state.slots))
                yield BatchPlaced(batch=next(batch_ids), job=n, host=name, ranges=ranges)
                heapq.heappush(heap, (-_free_share(state, host), name))
                break


def _free_share(state: State, host: HostState) -> float:
    """Free share of a host's cpus; below zero where more was sent than it can run at once."""
    if host.capacity is None:
        return -1.0
    used: float = sum(len(batches) * state.jobs[n].plan.cpus for n, batches in host.batches.items())
    return 1 - used / host.capacity[0]


def may_take(host: HostState, job: JobState) -> bool:
    """Whether `job` may use the host, and has room there when nothing else runs, as far as is known of it."""
    if not job.plan.allows(host.plan):
        return False
    return host.limits is None or (job.plan.cpus <= host.limits[0] and job.plan.memory_bytes <= host.limits[1])


def impossible(state: State) -> dict[int, str]:
    """Of each job that fits on no host that it may use: a sentence with the numbers and the nearest host.

    Hosts that have not answered yet count as able to take anything.
    """
    sentences = {}
    for n, job in enumerate(state.jobs):
        if not job.waiting:
            continue
        allowed = [host for host in state.hosts.values() if job.plan.allows(host.plan)]
        offers = [(host.limits, host.name) for host in allowed if host.limits is not None]
        if any(not host.answered or (host.limits is None and host.waiting_may_help) for host in allowed) or not offers:
            continue
        sentence = _too_much(job, offers)
        if sentence is not None:
            sentences[n] = f"jobs.{job.plan.name}: {sentence}"
    return sentences


def _too_much(job: JobState, offers: Sequence[tuple[tuple[int, int], str]]) -> str | None:
    """What the job asks for and no host has, or none has together; None where one has it all."""
    cpus, memory = job.plan.cpus, job.plan.memory_bytes
    if any(cpus <= limits[0] and memory <= limits[1] for limits, _ in offers):
        return None
    rare = cpus > max(limits[0] for limits, _ in offers)
    large = memory > max(limits[1] for limits, _ in offers)
    limits, nearest = max(offers, key=lambda offer: _nearness(job, offer[0]))
    # Rounded away from each other: what does not fit must not look as if it did.
    asked, has = (_cpus(cpus), _size(memory, math.ceil)), (_cpus(limits[0]), _size(limits[1], math.floor))
    if rare == large:
        why = "more than any host it may use has" if rare else "and no host it may use has both"
        return f"asks for {asked[0]} and {asked[1]} of memory, {why}; nearest is {nearest} with {has[0]} and {has[1]}"
    what, there = (asked[0], has[0]) if rare else (f"{asked[1]} of memory", has[1])
    return f"asks for {what}, more than any host it may use has; nearest is {nearest} with {there}"


def _nearness(job: JobState, limits: tuple[int, int]) -> float:
    cpus, memory = limits
    return min(1.0, cpus / job.plan.cpus) + min(1.0, memory / job.plan.memory_bytes)


def _cpus(count: float) -> str:
    return "1 cpu" if count == 1 else f"{count} cpus"


def _size(size_bytes: int, rounded: Callable[[float], int]) -> str:
    unit, name = (GIB, "GiB") if size_bytes >= GIB else (MIB, "MiB")
    return f"{rounded(size_bytes * 100 / unit) / 100:,.2f}".rstrip("0").rstrip(".") + f" {name}"
