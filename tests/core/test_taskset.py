"""Ranges of tasks behave as the set that they stand for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchwasm.core.taskset import TaskSet

RANGES = st.tuples(st.integers(0, 40), st.integers(0, 12)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(st.tuples(st.booleans(), RANGES), max_size=40), st.integers(0, 50))
def test_ranges_hold_what_a_set_would(changes: list[tuple[bool, tuple[int, int]]], count: int) -> None:
    found, wanted = TaskSet(), set[int]()
    for adds, (start, stop) in changes:
        if adds:
            found.add(start, stop)
            wanted |= set(range(start, stop))
        else:
            found.remove(start, stop)
            wanted -= set(range(start, stop))
        assert list(found) == sorted(wanted)
        assert found.count == len(wanted)
    assert [task for start, stop in found.first(count) for task in range(start, stop)] == sorted(wanted)[:count]
    for start, stop in ((0, 60), (10, 20), (20, 21)):
        inside = [task for low, high in found.within(start, stop) for task in range(low, high)]
        assert inside == [task for task in sorted(wanted) if start <= task < stop]
    assert all((task in found) == (task in wanted) for task in range(60))
    assert all(stop < start for (_, stop), (start, _) in zip(found.ranges, found.ranges[1:], strict=False))


def test_a_million_tasks_that_end_in_order_are_one_range() -> None:
    found = TaskSet(((0, 1_000_000),))
    for start in range(0, 10_000, 100):
        found.remove(start, start + 100)
    assert found.ranges == ((10_000, 1_000_000),)
