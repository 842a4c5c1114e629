"""How durations are spread, from a bounded number of bins."""

from __future__ import annotations

import random
import statistics
from itertools import pairwise

import pytest

from batchwasm.report.durations import BARS, PER_OCTAVE, Spread


def spread_of(durations: list[float]) -> Spread:
    spread = Spread()
    for seconds in durations:
        spread.add(seconds)
    return spread


def test_quantiles_are_as_good_as_a_bin_is_narrow() -> None:
    dice = random.Random(1)
    durations = [dice.lognormvariate(1, 1) for _ in range(5000)]
    facts = spread_of(durations).facts("a")
    near = 2 ** (1 / PER_OCTAVE) - 1
    assert facts.median_s == pytest.approx(statistics.median(durations), rel=near)
    assert facts.p95_s == pytest.approx(statistics.quantiles(durations, n=20)[-1], rel=near)
    assert (facts.least_s, facts.most_s, facts.count) == (min(durations), max(durations), 5000)
    assert facts.mean_s == pytest.approx(statistics.mean(durations))


def test_few_durations_are_told_exactly() -> None:
    facts = spread_of([1.0, 2.0, 4.0]).facts("a")
    assert (facts.median_s, facts.p95_s) == (2.0, 4.0)


def test_bars_hold_every_task_and_are_few() -> None:
    for durations in ([0.0, 1e-9], [0.001, 3600.0 * 24 * 30], [5.0] * 10, [1.0, 1.1, 1.2, 4.0]):
        bars = spread_of(durations).facts("a").bars
        assert sum(count for _, _, count in bars) == len(durations)
        assert len(bars) <= BARS
        assert all(high == pytest.approx(low) for (_, high, _), (low, _, _) in pairwise(bars))
