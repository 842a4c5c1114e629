"""Task indexes as sorted ranges: a million tasks in order are one pair, and taking or giving back one stays cheap."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from batchwasm.core.events import Ranges


class TaskSet:
    """A set of task indexes. Costs by the number of ranges, not of tasks."""

    __slots__ = ("_starts", "_stops", "count")

    def __init__(self, ranges: Ranges = ()) -> None:
        self._starts: list[int] = []
        self._stops: list[int] = []
        self.count = 0
        """How many tasks are in it."""
        for start, stop in ranges:
            self.add(start, stop)

    @property
    def ranges(self) -> Ranges:
        return tuple(zip(self._starts, self._stops, strict=True))

    def __bool__(self) -> bool:
        return self.count > 0

    def __iter__(self) -> Iterator[int]:
        for start, stop in zip(self._starts, self._stops, strict=True):
            yield from range(start, stop)

    def __contains__(self, task: int) -> bool:
        at = bisect_right(self._starts, task) - 1
        return at >= 0 and task < self._stops[at]

    def add(self, start: int, stop: int) -> None:
        """Tasks start to stop, stop excluded; those that are in it already stay so."""
        if start >= stop:
            return
        first = bisect_left(self._stops, start)  # the first range that ends at or behind our start
        last = bisect_right(self._starts, stop)  # the first one that begins behind our stop
        if first == last:
            self._starts.insert(first, start)
            self._stops.insert(first, stop)
            self.count += stop - start
            return
        low, high = min(start, self._starts[first]), max(stop, self._stops[last - 1])
        before = sum(self._stops[at] - self._starts[at] for at in range(first, last))
        self._starts[first:last] = [low]
        self._stops[first:last] = [high]
        self.count += high - low - before

    def remove(self, start: int, stop: int) -> None:
        """Tasks start to stop, stop excluded; those that are not in it stay so."""
        if start >= stop:
            return
        if self._starts and self._starts[0] == start and stop < self._stops[0]:
            self._starts[0] = stop  # as all tasks of a job leave it that are not tried twice
            self.count -= stop - start
            return
        first = bisect_right(self._stops, start)  # the first range that ends behind our start
        last = bisect_left(self._starts, stop)  # the first one that begins at or behind our stop
        if first == last:
            return
        low, high = self._starts[first], self._stops[last - 1]
        before = sum(self._stops[at] - self._starts[at] for at in range(first, last))
        left = [(low, start)] if low < start else []
        right = [(stop, high)] if stop < high else []
        kept = [*left, *right]
        self._starts[first:last] = [pair[0] for pair in kept]
        self._stops[first:last] = [pair[1] for pair in kept]
        self.count += sum(pair[1] - pair[0] for pair in kept) - before

    def within(self, start: int, stop: int) -> Ranges:
        """Those of tasks start to stop, stop excluded, that are in it."""
        first, last = bisect_right(self._stops, start), bisect_left(self._starts, stop)
        pairs = zip(self._starts[first:last], self._stops[first:last], strict=True)
        return tuple((max(start, low), min(stop, high)) for low, high in pairs)

    def clear(self) -> None:
        self._starts, self._stops, self.count = [], [], 0

    def first(self, count: int) -> Ranges:
        """The lowest `count` tasks, or all where there are less."""
        if self.count and count <= self._stops[0] - self._starts[0]:
            return ((self._starts[0], self._starts[0] + count),)
        ranges = []
        for start, stop in zip(self._starts, self._stops, strict=True):
            if count <= 0:
                break
            stop = min(stop, start + count)
            ranges.append((start, stop))
            count -= stop - start
        return tuple(ranges)
