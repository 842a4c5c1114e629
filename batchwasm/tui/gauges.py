"""Numbers as bars of a style, beside which their numbers stand. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from batchwasm.tui.marks import FAINT
from batchwasm.tui.shapes import shares

_EIGHTHS = " ▏▎▍▌▋▊▉█"
TRACK = "─"


def gauge(share: float, width: int, style: str = "$primary") -> Content:
    """A bar of `width` cells of which `share` (0 to 1) is full; what is more than nothing shows."""
    eighths = min(max(round(share * width * 8), 1 if share > 0 else 0), width * 8)
    full = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return Content.assemble((full, style), (TRACK * (width - len(full)), FAINT))


def stacked(parts: Sequence[tuple[float, str, str]], width: int) -> Content:
    """Parts (amount, character, style) of a whole beside each other; each that is more than nothing has a cell."""
    there = [part for part in parts if part[0] > 0]
    cells = shares([max(1, round(amount * 1000)) for amount, _, _ in there], width)
    return Content.assemble(*((char * n, style) for n, (_, char, style) in zip(cells, there, strict=True)))


def stretched(values: Sequence[float], width: int) -> list[float]:
    """`values` as exactly `width` of them: each the mean of those it stands for, or one of them several times."""
    if not values or width <= 0:
        return []
    found = []
    for n in range(width):
        first = n * len(values) // width
        span = values[first : max(first + 1, (n + 1) * len(values) // width)]
        found.append(sum(span) / len(span))
    return found
