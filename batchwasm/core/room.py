"""What a host offers and what is left of it: cpus, memory, gpus by index, custom resources. Sums are exact.

Fractions are counted in whole thousandths (`MILLI`), gpus each for itself: three tasks of 0.6 do not fit on two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from batchwasm.model import Request

MILLI = 1000
AHEAD = 3  # batches a slot for short tasks: one runs, two wait in the host's queue


class Amount(NamedTuple):
    """A Request, counted."""

    cpus: int
    """Thousandths, as those of gpus and resources."""
    memory_bytes: int
    gpus: int = 0
    """A multiple of MILLI, or less than it: a share of one."""
    resources: tuple[tuple[str, int], ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """All that is asked for by name: cpus, memory, and gpus and custom resources where there are any."""
        return _counts(self.cpus, self.memory_bytes, self.gpus, self.resources)

    @property
    def is_plain(self) -> bool:
        """It asks for cpus and memory alone."""
        return not self.gpus and not self.resources


class Offer(NamedTuple):
    """What a host has."""

    milli_cpus: int
    memory_bytes: int
    gpus: int = 0
    """How many there are."""
    resources: tuple[tuple[str, int], ...] = ()
    """Thousandths by name."""

    @property
    def rare(self) -> tuple[str, ...]:
        """Names of what few hosts have, so that it is kept for those who ask for it."""
        return (*(("gpus",) if self.gpus else ()), *(name for name, _ in self.resources))

    @property
    def counts(self) -> dict[str, int]:
        """The same of what there is, gpus too in thousandths."""
        return _counts(self.milli_cpus, self.memory_bytes, self.gpus * MILLI, self.resources)

    @property
    def cpus(self) -> float:
        return whole(self.milli_cpus / MILLI)

    def fits(self, amount: Amount) -> bool:
        """Whether an empty host of this kind could take it."""
        return (
            amount.cpus <= self.milli_cpus
            and amount.memory_bytes <= self.memory_bytes
            and -(-amount.gpus // MILLI) <= self.gpus
            and all(count <= dict(self.resources).get(name, 0) for name, count in amount.resources)
        )


def _counts(cpus: int, memory_bytes: int, gpus: int, resources: tuple[tuple[str, int], ...]) -> dict[str, int]:
    return {"cpus": cpus, "memory": memory_bytes, **({"gpus": gpus} if gpus else {}), **dict(resources)}


def least(amounts: Sequence[Amount]) -> dict[str, int]:
    """Of alternatives the least of each: whatever is taken, it is no less. What one does without is not in it."""
    first, *others = (amount.counts for amount in amounts)
    for other in others:
        first = {name: min(count, other[name]) for name, count in first.items() if name in other}
    return first


def whole(number: float) -> float:
    """An int where it is one: 4, not 4.0."""
    return int(number) if number == int(number) else number


def milli(number: float) -> int:
    return round(number * MILLI)


def amount_of(need: Request, memory_bytes: int | None = None) -> Amount:
    return Amount(
        milli(need.cpus),
        need.memory_bytes if memory_bytes is None else memory_bytes,
        milli(need.gpus),
        tuple(sorted((name, milli(count)) for name, count in need.resources.items() if count)),
    )


def offer_of(cpus: float, memory_bytes: int, gpus: int, resources: Mapping[str, float]) -> Offer:
    return Offer(milli(cpus), memory_bytes, gpus, tuple(sorted((name, milli(n)) for name, n in resources.items())))


class Room:
    """What is left of an offer.

    Tasks that are known to be short may be sent ahead, more than can run at once: they count for `all_` alone, the
    others for `firm_` too. Gpus and custom resources are never promised twice.
    """

    __slots__ = ("all_cpus", "all_memory", "firm_cpus", "firm_memory", "gpus", "offer", "rare", "resources")

    def __init__(self, offer: Offer) -> None:
        self.offer, self.rare = offer, offer.rare
        self.all_cpus = self.firm_cpus = offer.milli_cpus
        self.all_memory = self.firm_memory = offer.memory_bytes
        self.gpus = [MILLI] * offer.gpus
        """Free thousandths of each."""
        self.resources = dict(offer.resources)

    def copy(self) -> Room:
        """For trying what would be."""
        found = Room(self.offer)
        found.all_cpus, found.all_memory = self.all_cpus, self.all_memory
        found.firm_cpus, found.firm_memory = self.firm_cpus, self.firm_memory
        found.gpus, found.resources = list(self.gpus), dict(self.resources)
        return found

    @property
    def has_any(self) -> bool:
        """Whether anything at all may be sent there."""
        return self.firm_cpus > 0 and self.all_cpus > -(AHEAD - 1) * self.offer.milli_cpus

    @property
    def taken_cpus(self) -> int:
        """Thousandths in use: what was sent ahead of a free slot takes none yet."""
        return min(self.offer.milli_cpus, self.offer.milli_cpus - self.all_cpus)

    def fits_firmly(self, amount: Amount) -> bool:
        """Whether it could start when nothing but short tasks is before it."""
        return (
            amount.cpus <= self.firm_cpus
            and amount.memory_bytes <= self.firm_memory
            and (amount.is_plain or self._fits_rare(amount))
        )

    def fits_now(self, amount: Amount) -> bool:
        """Whether it would start at once."""
        return amount.cpus <= self.all_cpus and amount.memory_bytes <= self.all_memory and self.fits_firmly(amount)

    def _fits_rare(self, amount: Amount) -> bool:
        return not any(True for _ in self.lacks_rare(amount))

    def lacks_rare(self, amount: Amount) -> Iterator[str]:
        """Names of what is asked for beside cpus and memory, and is not free."""
        if amount.gpus >= MILLI:
            if self.gpus.count(MILLI) * MILLI < amount.gpus:
                yield "gpus"
        elif amount.gpus and not any(free >= amount.gpus for free in self.gpus):
            yield "gpus"
        for name, count in amount.resources:
            if count > self.resources.get(name, 0):
                yield name

    def take(self, amount: Amount, *, firm: bool) -> tuple[int, ...]:
        """Reserve it; returns the indexes of gpus that it has now."""
        indexes = self._choose(amount.gpus) if amount.gpus else ()
        self.take_these(amount, indexes, firm=firm)
        return indexes

    def take_these(self, amount: Amount, indexes: tuple[int, ...], *, firm: bool) -> None:
        """Reserve it, with these gpus."""
        self._charge(amount, 1, firm=firm)
        for at in self._there(indexes):
            self.gpus[at] -= min(amount.gpus, MILLI)

    def give(self, amount: Amount, indexes: tuple[int, ...], *, firm: bool) -> None:
        """The opposite of `take`."""
        self._charge(amount, -1, firm=firm)
        for at in self._there(indexes):
            self.gpus[at] += min(amount.gpus, MILLI)

    def _there(self, indexes: tuple[int, ...]) -> Iterator[int]:
        """A host may come back with fewer than it had."""
        return (at for at in indexes if at < len(self.gpus))

    def firm_up(self, amount: Amount, sign: int) -> None:
        """What was sent ahead is not short after all (1), or the other way round (-1)."""
        self.firm_cpus -= sign * amount.cpus
        self.firm_memory -= sign * amount.memory_bytes

    def _charge(self, amount: Amount, sign: int, *, firm: bool) -> None:
        self.all_cpus -= sign * amount.cpus
        self.all_memory -= sign * amount.memory_bytes
        if firm:
            self.firm_cpus -= sign * amount.cpus
            self.firm_memory -= sign * amount.memory_bytes
        for name, count in amount.resources:
            self.resources[name] = self.resources.get(name, 0) - sign * count

    def _choose(self, gpus: int) -> tuple[int, ...]:
        """Whole free ones; for a share the fullest that still has room. Where nothing fits, as few as are wrong least:
        a journal of another time is not to be argued with."""
        if gpus >= MILLI:
            free = [at for at, left in enumerate(self.gpus) if left == MILLI]
            return tuple(free[: gpus // MILLI])
        fitting = [(left, at) for at, left in enumerate(self.gpus) if left >= gpus]
        return (min(fitting)[1],) if fitting else ()
