"""What holds for a time, as means of bins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.report.load import Load, merged, total

BINS = 8
PLACES = st.floats(0, BINS)
AMOUNTS = st.lists(st.tuples(PLACES, PLACES, st.floats(0.1, 9)), max_size=20)


@given(AMOUNTS)
def test_the_mean_of_a_bin_is_what_held_in_it_times_how_long(amounts: list[tuple[float, float, float]]) -> None:
    load = Load(BINS)
    expected = [0.0] * BINS
    for one, other, amount in amounts:
        start, stop = min(one, other), max(one, other)
        load.add(start, stop, amount)
        for n in range(BINS):
            expected[n] += amount * max(0.0, min(stop, n + 1) - max(start, n))
    assert load.means() == pytest.approx(expected, abs=1e-9)


def test_bins_are_joined_and_rows_added() -> None:
    assert merged([1, 3, 5, 7], 2) == [2, 6]
    assert total([[1, 2], [3, 4]], 2) == [4, 6]
