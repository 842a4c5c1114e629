"""Right-sizing: what a job asked for, what its attempts took, and what to ask for next time. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from batchwasm.core.jobstate import JobState
from batchwasm.core.placement import may_take
from batchwasm.core.reasons import counted, memory_text
from batchwasm.core.room import MILLI, Amount, Offer
from batchwasm.core.state import State
from batchwasm.model import GIB, MIB, Outcome, Request

MARGIN = 1.25  # of memory and disk above the most that was used: the next inputs are a little larger
TIME_FACTOR = 3.0  # of the longest: a limit is to end what hangs, not what meets a slow machine
LEAST_BYTES = 4 * MIB  # a Go module needs that to start, and no other needs more
KNOWN = 3  # attempts before anything is said: what one or two took says little of the others
WASTED = 2.0  # more than that many times of what was used is worth a sentence
CLOSE = 0.9  # of a limit: the next task may pass it
WORTH = 1.2  # times as many at once: less is no reason to change anything

_STEPS_S = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1200, 1800, 2700, 3600, 5400)
"""Durations as people write them; above those, whole hours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """One thing that is asked for."""

    asked: float | None
    """None where there is no limit."""
    used: float
    """The most that an attempt took; of cpus the mean."""
    next: float
    """What to ask for next time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizing:
    """Of one job, over all its attempts that ended by themselves."""

    attempts: int
    cpus: Measure
    memory_bytes: Measure
    time_s: Measure
    mean_s: float
    disk_bytes: Measure


def sizing(job: JobState) -> Sizing | None:
    """None before anything ended."""
    usage, plan = job.usage, job.plan
    if not usage.count:
        return None
    cpus = usage.cpu_s / usage.wall_s if usage.wall_s else 0.0
    memory = plan.memory_bytes * 2 if job.counts[Outcome.OUT_OF_MEMORY] else usage.memory_most_bytes * MARGIN
    return Sizing(
        attempts=usage.count,
        # A module has one thread: a second cpu is never used.
        cpus=Measure(asked=plan.cpus, used=round(cpus, 3), next=min(plan.cpus, 1)),
        memory_bytes=Measure(asked=plan.memory_bytes, used=usage.memory_most_bytes, next=readable_bytes(memory)),
        time_s=Measure(asked=plan.time_s, used=usage.wall_most_s, next=readable_s(usage.wall_most_s * TIME_FACTOR)),
        mean_s=usage.mean_s,
        disk_bytes=Measure(
            asked=plan.disk_bytes,
            used=usage.disk_most_bytes,
            next=readable_bytes(usage.disk_most_bytes * MARGIN),
        ),
    )


def readable_bytes(size_bytes: float) -> int:
    """Rounded up, by a quarter at the most, to what people write: 400 MiB, 1.5 GiB."""
    size_bytes = max(size_bytes, LEAST_BYTES)
    for unit, least in ((MIB, 1.0), (GIB, 0.5)):
        value = size_bytes / unit
        step = least
        for factor in (2, 2.5, 2) * 6:  # 1, 2, 5, 10, 20, ...
            if step * factor > value / 4:
                break
            step *= factor
        rounded = -int(-value // step) * step
        if rounded < GIB / MIB:
            break
    return int(rounded * unit)


def readable_s(seconds: float) -> float:
    """Rounded up to what people write."""
    at = bisect_left(_STEPS_S, seconds)
    return float(_STEPS_S[at]) if at < len(_STEPS_S) else 3600.0 * -int(-seconds // 3600)


def size_key(size_bytes: float) -> str:
    """As jobs.toml takes it: `400MiB`, `1.5GiB`."""
    unit, name = (GIB, "GiB") if size_bytes >= GIB else (MIB, "MiB")
    return f"{size_bytes / unit:g}{name}"


def duration_key(seconds: float) -> str:
    """As jobs.toml takes it: `90s`, `15m`, `2h`."""
    whole = int(seconds)
    for unit, size in (("h", 3600), ("m", 60)):
        if whole >= size and whole % size == 0:
            return f"{whole // size}{unit}"
    return f"{whole}s"


# --------------------------------------------------------------------------------------------------- in words


def advice(state: State) -> list[str]:
    """A sentence for each job that asks for far more than it uses, or is close to a limit; often none."""
    return [f"{job.plan.name}: {text}" for job in state.jobs for text in _of_job(state, job)]


def _of_job(state: State, job: JobState) -> Iterator[str]:
    found = sizing(job)
    if found is None or found.attempts < KNOWN:
        return
    yield from _of_memory(state, job, found.memory_bytes)
    if len(job.amounts) == 1 and job.plan.cpus > max(1.0, WASTED * found.cpus.used):
        more = _more(state, job, job.amounts[0]._replace(cpus=MILLI)) or "is enough: a module has one thread"
        yield f"asks for {job.plan.cpus:g} cpus and used {found.cpus.used:.2g}; cpus = 1 {more}"
    time = found.time_s
    if time.asked is not None and time.used >= CLOSE * time.asked:
        took = "ran into" if time.used >= time.asked else f"took {_seconds(time.used)} of"
        yield f'{took} its time_limit of {_seconds(time.asked)}; time_limit = "{duration_key(time.next)}" is safer'
    disk = found.disk_bytes
    if disk.asked and disk.used >= CLOSE * disk.asked:
        wrote = f"wrote {memory_text(disk.used)} of the {memory_text(disk.asked)} that it may"
        yield f'{wrote}; disk = "{size_key(disk.next)}" is safer'


def _of_memory(state: State, job: JobState, memory: Measure) -> Iterator[str]:
    asked, used = memory.asked, memory.used
    assert asked is not None
    if not used:
        return  # nothing of it ever started
    failed = job.counts[Outcome.OUT_OF_MEMORY]
    if failed:
        ran_out = f"{counted(failed, 'task')} ran out of {memory_text(asked)} of memory"
        yield f'{ran_out}; try memory = "{size_key(memory.next)}"'
    elif used >= CLOSE * asked:
        text = f"used {memory_text(used)} of the {memory_text(asked)} of memory that it asks for"
        yield f'{text}; memory = "{size_key(memory.next)}" is safer'
    elif asked > WASTED * used and memory.next < asked:
        more = _more(state, job, job.amounts[0]._replace(memory_bytes=int(memory.next)))
        if more or asked != Request().memory_bytes:  # what nobody asked for is worth a word only where it hurts
            text = f"asks for {memory_text(asked)} of memory and used at most {memory_text(used)}"
            yield f'{text}; memory = "{size_key(memory.next)}" {more or "is enough"}'


def _more(state: State, job: JobState, amount: Amount) -> str | None:
    """How many more tasks would run at once if each asked for `amount`; None where that is not worth a word."""
    offers = [host.limits for host in state.hosts.values() if host.limits is not None and may_take(host, job)]
    now, then = (sum(_slots(offer, each) for offer in offers) for each in (job.amounts[0], amount))
    most = job.plan.max_parallel
    if most is not None:
        now, then = min(now, most), min(then, most)
    if not now or then < WORTH * now:
        return None
    return f"would let {then / now:.2g} times as many run at once"


def _slots(offer: Offer, amount: Amount) -> int:
    """How many such tasks the host can run at once."""
    has = dict(offer.resources)
    counts = [offer.milli_cpus // amount.cpus, offer.memory_bytes // max(1, amount.memory_bytes)]
    if amount.gpus:
        counts.append(offer.gpus * (MILLI // amount.gpus) if amount.gpus < MILLI else offer.gpus * MILLI // amount.gpus)
    counts += [has.get(name, 0) // count for name, count in amount.resources]
    return min(counts)


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:,.0f} s"
