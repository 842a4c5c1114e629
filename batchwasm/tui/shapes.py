"""Numbers as shapes: a bar by state, a sparkline, a chart. States differ by shape; colour comes on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from batchwasm.rows import TaskCounts
from batchwasm.tui.words import Role, Words

SHAPES: Mapping[str, tuple[str, Role]] = {
    "succeeded": ("█", "good"),
    "running": ("▓", "running"),
    "waiting": ("░", "dim"),
    "failed": ("▚", "bad"),
    "cancelled": ("╳", "warning"),
    "skipped": ("─", "dim"),
}
"""Of a task in each state, the most wanted first."""

_ORDER = ("succeeded", "failed", "cancelled", "skipped", "running", "waiting")
"""Along a bar: what is over, what is not."""

_LEVELS = " ▁▂▃▄▅▆▇█"


def bar(counts: TaskCounts, width: int) -> Words:
    """As many cells of each state as its share; what there is one of is seen among a million."""
    there = [(state, getattr(counts, state)) for state in _ORDER if getattr(counts, state)]
    cells = shares([number for _, number in there], width)
    return tuple((SHAPES[state][0] * n, SHAPES[state][1]) for (state, _), n in zip(there, cells, strict=True) if n)


def shares(numbers: Sequence[int], cells: int) -> list[int]:
    """`cells` given out by size, at least one to each while there are enough."""
    total = sum(numbers)
    if not total or cells <= 0:
        return [0] * len(numbers)
    if len(numbers) > cells:
        return [1 if i < cells else 0 for i in range(len(numbers))]
    given = [max(1, int(number * cells / total)) for number in numbers]
    left = cells - sum(given)
    by_rest = sorted(range(len(numbers)), key=lambda i: given[i] - numbers[i] * cells / total)
    while left > 0:
        for i in by_rest[:left]:
            given[i] += 1
        left = cells - sum(given)
    while left < 0:
        given[max(range(len(given)), key=given.__getitem__)] -= 1
        left += 1
    return given


def sparkline(values: Sequence[float], width: int, most: float | None = None) -> str:
    """The last `width` values as eighths of a line, of `most` or of the largest."""
    shown = list(values)[-width:]
    top = most if most is not None else max(shown, default=0.0)
    return "".join(_LEVELS[_level(value, top, 1, 0)] for value in shown).rjust(width)


def chart(values: Sequence[float], height: int, most: float) -> list[str]:
    """Lines, top first, of columns that are as high as their values."""
    return ["".join(_LEVELS[_level(value, most, height, row)] for value in values) for row in reversed(range(height))]


def _level(value: float, most: float, height: int, row: int) -> int:
    """Eighths that a column fills of the line `row` from below; what is not nothing is seen."""
    eighths = round(value / most * height * 8) if most > 0 else 0
    return max(0, min(8, max(eighths, 1 if value > 0 else 0) - row * 8))


def squeezed(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values: means of neighbours."""
    if len(values) <= width or width <= 0:
        return list(values)[: max(width, 0)]
    edges = [round(i * len(values) / width) for i in range(width + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]
