"""Who may start next: what a host has, what each run holds of it, whose turn it is. Pure: no I/O, no clock.

All runs on a host draw on one sum of cpus, of memory, of each custom resource, and on one set of gpus. The run that
holds the smallest share goes first; a batch that does not fit lets others pass for a while only, then what it needs is
kept for it as it becomes free, so that large ones are not starved by small ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

PATIENCE_S = 2.0
"""How long others may pass a batch that waits for room: long against the batches of a sweep, short for a person."""
WHOLE = 1000
"""Amounts are whole thousandths, so that sums of them are exact: 0.1 cpus taken ten times are one."""


class Room(NamedTuple):
    """An amount of what a host offers; all but memory in thousandths."""

    cpus: int
    memory_bytes: int
    gpus: int = 0
    resources: tuple[tuple[str, int], ...] = ()
    """Custom ones by name, sorted, without those of which there is none."""

    @classmethod
    def of(cls, cpus: float, memory_bytes: int, gpus: float = 0, resources: Mapping[str, float] | None = None) -> Room:
        """From amounts as people and messages have them."""
        amounts = {name: round(amount * WHOLE) for name, amount in (resources or {}).items()}
        return cls(round(cpus * WHOLE), memory_bytes, round(gpus * WHOLE), _sorted(amounts))

    def fits(self, other: Room) -> bool:
        """True where `other` finds room in it; what it does not need may be short."""
        there = dict(self.resources)
        return (
            (other.cpus <= self.cpus or not other.cpus)
            and (other.memory_bytes <= self.memory_bytes or not other.memory_bytes)
            and (other.gpus <= self.gpus or not other.gpus)
            and all(amount <= there.get(name, 0) for name, amount in other.resources)
        )

    def plus(self, other: Room) -> Room:
        return self._with(other, 1)

    def minus(self, other: Room) -> Room:
        return self._with(other, -1)

    def _with(self, other: Room, sign: int) -> Room:
        resources = self.resources
        if other.resources:
            amounts = dict(resources)
            for name, amount in other.resources:
                amounts[name] = amounts.get(name, 0) + sign * amount
            resources = _sorted(amounts)
        return Room(
            self.cpus + sign * other.cpus,
            self.memory_bytes + sign * other.memory_bytes,
            self.gpus + sign * other.gpus,
            resources,
        )

    def most(self, other: Room) -> Room:
        """The larger of each."""
        amounts = dict(self.resources)
        for name, amount in other.resources:
            amounts[name] = max(amount, amounts.get(name, 0))
        return Room(
            max(self.cpus, other.cpus),
            max(self.memory_bytes, other.memory_bytes),
            max(self.gpus, other.gpus),
            _sorted(amounts),
        )

    def share_of(self, cap: Room) -> float:
        """The largest of its shares of `cap`."""
        there = dict(cap.resources)
        return max(
            self.cpus / max(1, cap.cpus),
            self.memory_bytes / max(1, cap.memory_bytes),
            self.gpus / max(1, cap.gpus),
            *(amount / max(1, there.get(name, 0)) for name, amount in self.resources),
        )

    def __str__(self) -> str:
        """`2 cpus, 512 MiB of memory and 1 gpus`: for sentences."""
        parts = [f"{self.cpus / WHOLE:g} cpus", f"{self.memory_bytes / 2**20:,.0f} MiB of memory"]
        parts += [f"{self.gpus / WHOLE:g} gpus"] if self.gpus else []
        parts += [f"{amount / WHOLE:g} {name}" for name, amount in self.resources]
        return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _sorted(amounts: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(item for item in amounts.items() if item[1]))


NOTHING = Room(0, 0)


class Want(NamedTuple):
    """Something that waits at the head of its line."""

    needs: Room
    since: float
    """Monotonic time since when it is the next of its line."""


class Claim(Protocol):
    """A run as this module sees it."""

    @property
    def cap(self) -> Room:
        """What it may hold at most."""
        ...

    @property
    def used(self) -> Room: ...

    @property
    def held_gpus(self) -> Mapping[int, int]:
        """Thousandths of gpus that it holds, by index."""
        ...

    @property
    def served(self) -> int:
        """A count that grows with every start on this host: its value at this run's last start."""
        ...

    @property
    def wants(self) -> Sequence[Want]:
        """What its next batches need, the oldest first, each need once; empty where nothing may start now."""
        ...


ClaimT = TypeVar("ClaimT", bound=Claim)


@dataclass(frozen=True)
class Turn(Generic[ClaimT]):
    """A run, which of its needs starts now, and on which gpus."""

    run: ClaimT
    needs: Room
    gpus: tuple[int, ...]


def pick(free: Mapping[int, int], asked: int) -> tuple[int, ...] | None:
    """Indexes of gpus with room for `asked` thousandths: the lowest that are wholly free, or for a share of one the
    fullest that still has room; None where there are none."""
    if asked >= WHOLE:
        count = -(-asked // WHOLE)
        whole = sorted(index for index, left in free.items() if left >= WHOLE)[:count]
        return tuple(whole) if len(whole) == count else None
    if not asked:
        return ()
    fitting = [(left, index) for index, left in free.items() if left >= asked]
    return (min(fitting)[1],) if fitting else None


def per_gpu(asked: int) -> int:
    """Thousandths of each gpu that a batch gets."""
    return min(asked, WHOLE)


@dataclass(frozen=True)
class Host(Generic[ClaimT]):
    """What the machine has by itself; runs whose inventory says more raise it while they are here."""

    room: Room

    def next(self, runs: Iterable[ClaimT], now: float) -> Turn[ClaimT] | None:
        """What starts now; None where nothing fits."""
        runs = list(runs)
        if not any(run.wants for run in runs):
            return None
        free, gpus = self.free(runs), self.free_gpus(runs)
        for run in sorted(runs, key=_turn):
            left = run.cap.minus(run.used)
            for needs, since in run.wants:
                if not left.fits(needs):
                    continue
                # A run that may have n gpus has the first n: the others are not touched by it at any time.
                indexes = pick({i: gpus[i] for i in gpus if i * WHOLE < run.cap.gpus}, needs.gpus)
                if indexes is not None and free.fits(needs):
                    return Turn(run, needs, indexes)
                if now - since > PATIENCE_S:
                    free = free.minus(needs)
                    gpus = gpus if not needs.gpus else _without(gpus, indexes, needs.gpus)
        return None

    def free(self, runs: Iterable[ClaimT]) -> Room:
        """What nobody holds."""
        runs = list(runs)
        total = self.room if not runs else NOTHING
        for run in runs:
            total = total.most(run.cap)
        for run in runs:
            total = total.minus(run.used)
        return total

    def free_gpus(self, runs: Iterable[ClaimT]) -> dict[int, int]:
        """Thousandths of each gpu that nobody holds."""
        runs = list(runs)
        count = max([run.cap.gpus for run in runs], default=self.room.gpus) // WHOLE
        free = dict.fromkeys(range(count), WHOLE)
        for run in runs:
            for index, amount in run.held_gpus.items():
                free[index] = free.get(index, WHOLE) - amount
        return free


def _without(free: Mapping[int, int], kept: tuple[int, ...] | None, asked: int) -> dict[int, int]:
    """What others may take while gpus are kept for one who waits; all are kept where there are not enough for it."""
    if kept is None:
        return {}
    return {index: left - (per_gpu(asked) if index in kept else 0) for index, left in free.items()}


def _turn(run: Claim) -> tuple[float, int]:
    """Smallest share of its own cap first, then who was served longest ago."""
    return run.used.share_of(run.cap), run.served
