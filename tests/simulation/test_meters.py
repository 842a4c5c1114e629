"""A line of what was in use stays short and adds up, however long the run."""

from __future__ import annotations

import pytest

from batchwasm.core.room import Amount, Offer
from batchwasm.model import GIB
from batchwasm.simulation.meters import POINTS, Line, Meters


def test_a_line_has_few_points_and_loses_nothing() -> None:
    line = Line()
    for n in range(1000):
        line.add(n * 7.3, (n + 1) * 7.3, n % 5)
    assert len(line.means(7300.0)) <= POINTS
    whole, rest = line.means(7300.0)[:-1], line.means(7300.0)[-1]
    last_s = 7300.0 - len(whole) * line.step_s
    assert sum(whole) * line.step_s + rest * last_s == pytest.approx(2 * 7300.0)


def test_what_is_held_is_counted_by_resource() -> None:
    meters = Meters([Offer(4000, 8 * GIB, 1, (("licence", 2000),))])
    held = Amount(1000, 2 * GIB, 500, (("licence", 1000),))
    meters.changed(0.0, held, 1)
    meters.changed(5.0, held, -1)
    meters.advance(10.0)
    assert meters.shares() == {"cpus": 0.125, "memory": 0.125, "gpus": 0.25, "licence": 0.25}
