"""Amounts that hold from one time to another, as means of equal bins of time: memory by the bin, not by the amount."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate


class Load:
    """The sum of many such amounts."""

    __slots__ = ("_bins", "_inside", "_steps")

    def __init__(self, bins: int) -> None:
        self._bins = bins
        self._inside = array("d", bytes(8 * (bins + 1)))
        """What holds in a part of a bin, times that part."""
        self._steps = array("d", bytes(8 * (bins + 2)))
        """What begins (or, below zero, ends) to hold in the whole of each bin."""

    def add(self, start: float, stop: float, amount: float) -> None:
        """`amount` holds from `start` to `stop`, in bins from the first, neither outside."""
        first, last = int(start), int(stop)
        inside = self._inside
        if first == last:
            inside[first] += (stop - start) * amount
        else:
            inside[first] += (first + 1 - start) * amount
            inside[last] += (stop - last) * amount
            steps = self._steps
            steps[first + 1] += amount
            steps[last] -= amount

    def means(self) -> list[float]:
        """Of each bin."""
        whole = accumulate(self._steps[: self._bins])
        return [max(0.0, part + full) for part, full in zip(self._inside, whole, strict=False)]


def total(rows: Iterable[Sequence[float]], bins: int) -> list[float]:
    """Bin by bin."""
    sums = [0.0] * bins
    for row in rows:
        for n, value in enumerate(row):
            sums[n] += value
    return sums


def merged(means: Sequence[float], factor: int) -> list[float]:
    """In bins that are `factor` times as wide."""
    return [sum(means[n : n + factor]) / factor for n in range(0, len(means), factor)]
