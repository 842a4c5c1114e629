"""Who may start next: what a host has, what each run holds of it, whose turn it is. Pure: no I/O, no clock.

All runs on a host draw on one sum of cpus and one of memory. The run that holds the smallest share goes first; a batch
that does not fit lets others pass for a while only, so that large ones are not starved by small ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

PATIENCE_S = 2.0
"""How long others may pass a batch that waits for room: long against the batches of a sweep, short for a person."""


@dataclass(frozen=True)
class Room:
    """An amount of what a host offers."""

    cpus: int
    memory_bytes: int

    def fits(self, other: Room) -> bool:
        """True where `other` finds room in it."""
        return other.cpus <= self.cpus and other.memory_bytes <= self.memory_bytes

    def plus(self, other: Room) -> Room:
        return Room(self.cpus + other.cpus, self.memory_bytes + other.memory_bytes)

    def minus(self, other: Room) -> Room:
        return Room(self.cpus - other.cpus, self.memory_bytes - other.memory_bytes)


NOTHING = Room(0, 0)


class Claim(Protocol):
    """A run as this module sees it."""

    @property
    def cap(self) -> Room:
        """What it may hold at most."""
        ...

    @property
    def used(self) -> Room: ...

    @property
    def served(self) -> int:
        """A count that grows with every start on this host: its value at this run's last start."""
        ...

    @property
    def wants(self) -> Room | None:
        """What its next batch needs; None where nothing waits or it may not start now."""
        ...

    @property
    def waits_since(self) -> float:
        """Monotonic time since when its next batch is the next."""
        ...


ClaimT = TypeVar("ClaimT", bound=Claim)


@dataclass(frozen=True)
class Host(Generic[ClaimT]):
    """What the machine has by itself; runs whose inventory says more raise it while they are here."""

    room: Room

    def next(self, runs: Iterable[ClaimT], now: float) -> ClaimT | None:
        """The run whose next batch starts now; None where nothing fits."""
        runs = list(runs)
        free = self.free(runs)
        for run in sorted(runs, key=_turn):
            wanted = run.wants
            if wanted is None or not run.cap.minus(run.used).fits(wanted):
                continue
            if free.fits(wanted):
                return run
            if now - run.waits_since > PATIENCE_S:
                return None
        return None

    def free(self, runs: list[ClaimT]) -> Room:
        """What nobody holds."""
        total = Room(
            max([run.cap.cpus for run in runs], default=self.room.cpus),
            max([run.cap.memory_bytes for run in runs], default=self.room.memory_bytes),
        )
        for run in runs:
            total = total.minus(run.used)
        return total


def _turn(run: Claim) -> tuple[float, int]:
    """Smallest share of its own cap first, then who was served longest ago."""
    return max(run.used.cpus / run.cap.cpus, run.used.memory_bytes / max(1, run.cap.memory_bytes)), run.served
