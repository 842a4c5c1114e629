"""What a run can't be faster than on a pool, and why: lower bounds of its makespan, from its tasks' durations alone."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import add

from batchwasm.core.events import HostPlan, JobPlan
from batchwasm.core.room import MILLI, Offer, amount_of, least, offer_of

SAME = 1.02  # of two bounds that say nearly the same, the simpler one is enough


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """The run takes at least `seconds`, because of ..."""

    kind: str
    """`resource`: all that is asked of one, over what there is. `fit`: how many tasks of one job fit on the pool at
    once. `max_parallel`: of one job. `task`: the longest one. `chain`: tasks that wait for each other. `stages`: jobs
    that wait for whole jobs."""
    seconds: float
    jobs: tuple[str, ...] = ()
    """Whose; of a chain, in their order."""
    resource: str = ""
    """cpus, memory, gpus or the name of a custom one; of `fit`, what most hosts have too little of."""
    amount: float = 0.0
    """How much of it there is; of `fit` and `max_parallel` tasks at once."""
    hosts: tuple[str, ...] = ()
    """Where these jobs may use no others; of `fit`, those that have too little."""
    usable_cpus: float = 0.0
    """Of `fit`: how many cpus of these hosts its tasks can have at once, ..."""
    cpus: float = 0.0
    """... and how many there are."""


def bounds(jobs: Sequence[JobPlan], hosts: Sequence[HostPlan], times: Sequence[array[float]]) -> list[Bound]:
    """All that says something, the largest first. `times` are the durations of each job's tasks."""
    pool = _Pool(jobs, hosts, times)
    found = [*pool.of_resources(), *pool.of_fits(), *pool.of_max_parallel(), *pool.of_longest()]
    alone: dict[str, float] = {}
    for bound in found:
        if len(bound.jobs) == 1:
            alone[bound.jobs[0]] = max(alone.get(bound.jobs[0], 0.0), bound.seconds)
    chains = _Chains(pool, alone)
    found += chains.bounds(max((bound.seconds for bound in found), default=0.0))
    return sorted(found, key=lambda bound: -bound.seconds)


def offer(host: HostPlan) -> Offer:
    """What it has, as the inventory says."""
    return offer_of(host.cpus or 0, host.memory_bytes or 0, host.gpus or 0, host.resources)


class _Pool:
    """Jobs and where they may run."""

    def __init__(self, jobs: Sequence[JobPlan], hosts: Sequence[HostPlan], times: Sequence[array[float]]) -> None:
        self.jobs, self.times = jobs, times
        self.walls = [math.fsum(each) for each in times]
        self.longest = [max(each, default=0.0) for each in times]
        self.least = [_units(least([amount_of(need) for need in job.needs])) for job in jobs]
        self.offers = {host.name: offer(host) for host in hosts}
        self.allowed = [
            tuple(
                host.name
                for host in hosts
                if job.allows(host) and any(self.offers[host.name].fits(amount_of(need)) for need in job.needs)
            )
            for job in jobs
        ]

    def of_resources(self) -> Iterator[Bound]:
        """All work over all capacity; also of the jobs that may use some hosts alone."""
        whole = tuple(self.offers)
        for hosts in dict.fromkeys([whole, *self.allowed]):
            among = set(hosts)
            inside = [n for n, allowed in enumerate(self.allowed) if self.walls[n] and among.issuperset(allowed)]
            has = _sum([_units(self.offers[name].counts) for name in hosts])
            asked = _sum([_scaled(self.least[n], self.walls[n]) for n in inside])
            for name, amount in asked.items():
                if amount and has.get(name):
                    yield Bound(
                        kind="resource",
                        seconds=amount / has[name],
                        resource=name,
                        amount=has[name],
                        jobs=tuple(self.jobs[n].name for n in inside if self.least[n].get(name)),
                        hosts=() if hosts == whole else hosts,
                    )

    def of_fits(self) -> Iterator[Bound]:
        """Whole tasks on whole hosts: what is left over on each is of no use to a job."""
        for n, job in enumerate(self.jobs):
            if len(job.needs) != 1 or not self.walls[n] or not self.allowed[n]:
                continue
            asked = _units(amount_of(job.needs[0]).counts)
            scarce: dict[str, list[str]] = {}
            slots = {}
            for name in self.allowed[n]:
                has = _units(self.offers[name].counts)
                tightest = min((int(has.get(each, 0.0) // amount), each) for each, amount in asked.items() if amount)
                slots[name] = tightest[0]
                if tightest[0] < has["cpus"] // asked["cpus"]:
                    scarce.setdefault(tightest[1], []).append(name)
            resource = max(scarce, key=lambda name: len(scarce[name]), default="cpus")
            hosts = scarce.get(resource, self.allowed[n])
            yield Bound(
                kind="fit",
                seconds=self.walls[n] / sum(slots.values()),
                jobs=(job.name,),
                resource=resource,
                amount=sum(slots.values()),
                hosts=tuple(hosts),
                usable_cpus=sum(slots[name] for name in hosts) * asked["cpus"],
                cpus=sum(self.offers[name].milli_cpus for name in hosts) / MILLI,
            )

    def of_max_parallel(self) -> Iterator[Bound]:
        for n, job in enumerate(self.jobs):
            if job.max_parallel is not None and self.walls[n]:
                most = job.max_parallel
                seconds = max(self.walls[n] / most, self.longest[n])
                yield Bound(kind="max_parallel", seconds=seconds, jobs=(job.name,), amount=most)

    def of_longest(self) -> Iterator[Bound]:
        for n, job in enumerate(self.jobs):
            if self.walls[n]:
                yield Bound(kind="task", seconds=self.longest[n], jobs=(job.name,))


class _Chains:
    """What waits for each other: element by element, task after task; else all of a job after all of another."""

    def __init__(self, pool: _Pool, alone: Mapping[str, float]) -> None:
        """`alone` is what each job takes at least by itself."""
        self._jobs, self._times = pool.jobs, pool.times
        self._alone = [alone.get(job.name, 0.0) for job in pool.jobs]
        self._single = {after.job for job in pool.jobs for after in job.after if after.each}
        """Jobs of which it matters when each single task ends."""
        self._ends: dict[int, float] = {}
        """When all of a job could have ended at the earliest, ..."""
        self._singly: dict[int, array[float]] = {}
        """... and, where that matters, each of its tasks."""
        self._stages: dict[int, float] = {}
        """When a job could be over, if each before it takes what it takes at least by itself."""
        for n in _in_order(pool.jobs):
            self._add(n, pool.longest[n])

    def _add(self, n: int, longest: float) -> None:
        """A job; all that it waits for was added before."""
        job, times = self._jobs[n], self._times[n]
        whole = max((self._ends[after.job] for after in job.after if not after.each), default=0.0)
        each = [self._singly[after.job] for after in job.after if after.each]
        self._ends[n] = whole + longest
        if each or n in self._single:
            before: Sequence[float] = [whole] * len(times)
            for ends in each:
                before = list(map(max, before, ends))
            self._singly[n] = array("d", map(add, before, times))
            self._ends[n] = max(self._singly[n], default=whole)
        start = max((self._stages[after.job] for after in job.after if not after.each), default=0.0)
        self._stages[n] = max(start + self._alone[n], self._ends[n])

    def bounds(self, others: float) -> Iterator[Bound]:
        waiting = [n for n, job in enumerate(self._jobs) if job.after and self._times[n]]
        if not waiting:
            return
        last = max(waiting, key=self._ends.__getitem__)
        yield Bound(kind="chain", seconds=self._ends[last], jobs=self._path(last, self._ends))
        final = max(waiting, key=self._stages.__getitem__)
        if self._stages[final] > SAME * max(others, self._ends[last]):
            yield Bound(kind="stages", seconds=self._stages[final], jobs=self._path(final, self._stages))

    def _path(self, n: int, ends: Mapping[int, float]) -> tuple[str, ...]:
        """The jobs that make it so late, the first of them first."""
        path = [n]
        while self._jobs[path[-1]].after:
            path.append(max((after.job for after in self._jobs[path[-1]].after), key=ends.__getitem__))
        return tuple(self._jobs[each].name for each in reversed(path))


def _in_order(jobs: Sequence[JobPlan]) -> list[int]:
    """Each job behind those that it waits for."""
    found: dict[int, None] = {}
    while len(found) < len(jobs):
        found.update(
            dict.fromkeys(
                n for n, job in enumerate(jobs) if n not in found and all(after.job in found for after in job.after)
            )
        )
    return list(found)


# ------------------------------------------------------------------------------------------------- vectors


def _units(counts: Mapping[str, int]) -> dict[str, float]:
    """Cpus, gpus and custom resources as they are written, memory in bytes."""
    return {name: float(count) if name == "memory" else count / MILLI for name, count in counts.items()}


def _scaled(vector: Mapping[str, float], factor: float) -> dict[str, float]:
    return {name: amount * factor for name, amount in vector.items()}


def _sum(vectors: Sequence[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for vector in vectors:
        for name, amount in vector.items():
            total[name] = total.get(name, 0.0) + amount
    return total
