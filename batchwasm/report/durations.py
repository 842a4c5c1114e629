"""How durations are spread, kept in bins that grow with them: bounded however many there are."""

from __future__ import annotations

import math
from collections.abc import Iterator

from batchwasm.report.facts import Durations

PER_OCTAVE = 32  # bins: each is 2.2 % wider than the one before, so no quantile is off by more
LEAST_S = 1e-6
BARS = 40  # of the histogram, at most


class Spread:
    """Durations of one job."""

    __slots__ = ("_bins", "_count", "_least", "_most", "_total")

    def __init__(self) -> None:
        self._bins: dict[int, list[float]] = {}
        """Of each bin how many, and their sum."""
        self._count, self._total = 0, 0.0
        self._least, self._most = math.inf, 0.0

    def add(self, seconds: float) -> None:
        n = int(math.log2(seconds if seconds > LEAST_S else LEAST_S) * PER_OCTAVE // 1)
        found = self._bins.get(n)
        if found is None:
            self._bins[n] = [1, seconds]
        else:
            found[0] += 1
            found[1] += seconds
        self._count += 1
        self._total += seconds
        if seconds < self._least:
            self._least = seconds
        if seconds > self._most:
            self._most = seconds

    @property
    def total_s(self) -> float:
        return self._total

    def facts(self, job: str) -> Durations:
        return Durations(
            job=job,
            count=self._count,
            least_s=self._least,
            median_s=self._quantile(0.5),
            p95_s=self._quantile(0.95),
            most_s=self._most,
            mean_s=self._total / self._count,
            total_s=self._total,
            bars=tuple(self._bars()),
        )

    def _quantile(self, part: float) -> float:
        """The mean of the bin that it is in: exact where that has one value, else as good as a bin is narrow."""
        rank, seen = max(1, math.ceil(part * self._count)), 0.0
        for n in sorted(self._bins):
            count, total = self._bins[n]
            seen += count
            if seen >= rank:
                return total / count
        return self._most

    def _bars(self) -> Iterator[tuple[float, float, int]]:
        """Wider than the bins where these are many, without holes."""
        first, last = min(self._bins), max(self._bins)
        width = -(-(last - first + 1) // BARS)
        for start in range(first, last + 1, width):
            count = sum(int(self._bins[n][0]) for n in range(start, start + width) if n in self._bins)
            yield 2 ** (start / PER_OCTAVE), 2 ** ((start + width) / PER_OCTAVE), count
