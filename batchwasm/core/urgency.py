"""Which jobs decide when a run ends: what few hosts can do, or much waits for, must not be left for last.

A job is urgent where it alone, with all that can run nowhere else, will keep its hosts busy about as long as all jobs
together will keep the whole pool. Among jobs of the same priority urgent ones go first. Times are those that tasks of
a job took so far; where none has ended yet, those of tasks in general. Pure functions over State.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil

from batchwasm.core.jobstate import RUNNING, WAITING
from batchwasm.core.placement import may_take
from batchwasm.core.room import Amount, Offer, least
from batchwasm.core.state import State

BEGINS = 0.9  # of the time that the pool needs: what is left is for times that come out longer than they were so far
ENDS = 0.6  # below that it is urgent no longer; hosts that were cleared for it must not be given up at each estimate
TIGHT = 0.95  # of all cpus: a job that can use so many leaves no gaps that it takes others to fill
COMMON = ("cpus", "memory")  # of these every host has some; other resources are few hosts' alone

Vector = dict[str, float]
"""Amounts by the name of a resource."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Hosts that some jobs can't leave."""

    capacity: Vector
    jobs: tuple[int, ...]
    """All that may use no others."""
    whole: bool
    """It is the whole pool."""


class Urgency:
    """What is urgent, and how many tasks at once get it done in time. It remembers what depends on hosts alone."""

    def __init__(self) -> None:
        self.wanted: dict[int, int] = {}
        """Of urgent jobs: how many tasks at once it takes to end with the others."""
        self._groups: list[_Group] = []
        self._slots: list[int] = []
        """How many tasks of each job fit on the pool at once; 0 where they leave next to nothing over."""
        self._order: list[int] = []
        self._known: object = None

    def look(self, state: State) -> None:
        """Find out anew."""
        known = (state.pool_changes, len(state.jobs))
        if known != self._known:
            self._known, self._order = known, _from_the_end(state)
            self._groups, self._slots = _groups(state), _slots(state)
        means = _means(state)
        left = {n: (job.counts[WAITING] + job.counts[RUNNING]) * means[n] for n, job in enumerate(state.jobs)}
        pool_s, alone_s = self._times(state, left)
        tails = _tails(state, self._order, means, alone_s)
        before, self.wanted = self.wanted, {}
        for n, job in enumerate(state.jobs):
            if job.waiting and pool_s:
                needs_s = max(alone_s.get(n, 0.0), tails.get(n, 0.0))
                if needs_s >= pool_s * (ENDS if n in before else BEGINS):
                    begun_s = max(pool_s - means[n], means[n])  # until then the last one has to start
                    self.wanted[n] = max(1, ceil(left[n] / begun_s))
        state.urgent = self.wanted.keys()

    def clear(self, state: State) -> None:
        """Nothing is: there is nothing to choose."""
        if self.wanted:
            self.wanted = {}
            state.urgent = self.wanted.keys()

    def ranked(self, state: State) -> list[int]:
        """Jobs that have tasks to start: by priority, then urgent ones that need more at once, then older ones."""
        if not self.wanted:
            return [n for _, n in state.queue]
        return [n for *_, n in sorted((priority, not self.lacking(state, n), n) for priority, n in state.queue)]

    def lacking(self, state: State, n: int) -> int:
        """How many more tasks of an urgent job should run now; 0 of others."""
        job = state.jobs[n]
        return max(0, min(job.ready.count, self.wanted.get(n, 0) - job.batches))

    def _times(self, state: State, left: Mapping[int, float]) -> tuple[float, dict[int, float]]:
        """How long all jobs will keep the pool busy; of each job that is bound to something scarce, how long that."""
        pool_s, alone_s = 0.0, dict[int, float]()
        for group in self._groups:
            asked: Vector = {}
            for n in group.jobs:
                for name, amount in least(state.jobs[n].amounts).items():
                    asked[name] = asked.get(name, 0.0) + amount * left[n]
            times = {name: amount / group.capacity[name] for name, amount in asked.items() if group.capacity.get(name)}
            if group.whole:
                pool_s = max((times.get(name, 0.0) for name in COMMON), default=0.0)
            for n in group.jobs:
                names = [name for name in least(state.jobs[n].amounts) if not group.whole or name not in COMMON]
                needs_s = max((times.get(name, 0.0) for name in names), default=0.0)
                alone_s[n] = max(alone_s.get(n, 0.0), needs_s)
        for n, job in enumerate(state.jobs):
            for most in (self._slots[n], job.plan.max_parallel):
                if most:
                    alone_s[n] = max(alone_s.get(n, 0.0), left[n] / most)
        return pool_s, alone_s


def _groups(state: State) -> list[_Group]:
    """By the sets of hosts that jobs may use."""
    hosts = [host for host in state.hosts.values() if host.room is not None and not host.removed]
    kinds: dict[object, frozenset[str]] = {}
    allowed: list[frozenset[str]] = []
    for job in state.jobs:
        if job.kind not in kinds:
            kinds[job.kind] = frozenset(host.name for host in hosts if may_take(host, job))
        allowed.append(kinds[job.kind])
    whole = frozenset(host.name for host in hosts)
    groups = []
    for among in dict.fromkeys([whole, *allowed]):
        jobs = tuple(n for n, names in enumerate(allowed) if names and names <= among)
        capacity: Vector = {}
        for name in among:
            room = state.hosts[name].room
            assert room is not None
            for resource, amount in room.offer.counts.items():
                capacity[resource] = capacity.get(resource, 0.0) + amount
        groups.append(_Group(capacity, jobs, among == whole))
    return groups


def _slots(state: State) -> list[int]:
    offers = [host.room.offer for host in state.hosts.values() if host.room is not None and not host.removed]
    known: dict[tuple[Amount, ...], int] = {}
    for job in state.jobs:
        if job.amounts not in known:
            slots = sum(max(_times_in(offer, amount) for amount in job.amounts) for offer in offers)
            used = slots * min(amount.cpus for amount in job.amounts)
            known[job.amounts] = slots if used < TIGHT * state.milli_cpus else 0
    return [known[job.amounts] for job in state.jobs]


def _times_in(offer: Offer, amount: Amount) -> int:
    has = offer.counts
    return min(has.get(name, 0) // asked for name, asked in amount.counts.items() if asked)


def _means(state: State) -> list[float]:
    """Seconds that a task of each job takes."""
    count = sum(job.usage.count for job in state.jobs)
    general = sum(job.usage.wall_s for job in state.jobs) / count if count else 0.0
    return [job.usage.mean_s or general for job in state.jobs]


def _from_the_end(state: State) -> list[int]:
    """All jobs, each behind those that wait for it."""
    waited_for = [len(job.plan.after) for job in state.jobs]
    order = [n for n, count in enumerate(waited_for) if not count]
    for n in order:
        for other, _ in state.dependents[n]:
            waited_for[other] -= 1
            if not waited_for[other]:
                order.append(other)
    return order[::-1]


def _tails(
    state: State, order: Sequence[int], means: Sequence[float], alone_s: Mapping[int, float]
) -> dict[int, float]:
    """Of each job that others wait for: how long it takes at least from its start until all that is over."""
    tails: dict[int, float] = {}
    for n in order:
        alone = alone_s.get(n, 0.0)
        tails[n] = max(alone, means[n])
        for other, each in state.dependents[n]:
            tails[n] = max(tails[n], (means[n] if each else max(alone, means[n])) + tails[other])
    return {n: tail for n, tail in tails.items() if state.dependents[n]}
