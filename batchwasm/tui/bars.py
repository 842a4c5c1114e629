"""Numbers as bars and small charts of characters: pure, and each with its number beside it where it is shown."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from batchwasm.tui.marks import FAINT

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEIGHTS = " ▁▂▃▄▅▆▇█"
TRACK = "─"


def bar(share: float, width: int, style: str = "$text-accent") -> Content:
    """A bar of `width` cells of which `share` (0 to 1) is full; what is more than nothing shows."""
    eighths = min(max(round(share * width * 8), 1 if share > 0 else 0), width * 8)
    full = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
    return Content.assemble((full, style), (TRACK * (width - len(full)), FAINT))


def stacked(parts: Sequence[tuple[float, str, str]], width: int) -> Content:
    """Parts (amount, character, style) of a whole beside each other; each that is more than nothing has a cell."""
    total = sum(amount for amount, _, _ in parts)
    present = [part for part in parts if part[0] > 0]
    if not present or total <= 0:
        return Content(" " * width)
    cells = [max(1, int(amount / total * width)) for amount, _, _ in present]
    while sum(cells) < width:
        at = max(range(len(present)), key=lambda n: present[n][0] / total * width - cells[n])
        cells[at] += 1
    while sum(cells) > width and max(cells) > 1:
        cells[cells.index(max(cells))] -= 1
    return Content.assemble(*((char * n, style) for n, (_, char, style) in zip(cells, present, strict=True)))


def spark(values: Sequence[float], width: int, most: float | None = None) -> str:
    """One character a value, as high as it is against `most` (else the highest of them); the last `width` of them, or
    each the mean of several where there are more."""
    shown = squeezed(values, width)
    top = max(most if most is not None else max(shown, default=0.0), 1e-12)
    return "".join(_HEIGHTS[min(8, max(1 if value > 0 else 0, round(value / top * 8)))] for value in shown)


def chart(values: Sequence[float], width: int, height: int, most: float) -> list[str]:
    """Rows of columns that are as high as the values against `most`, from the top down."""
    shown = squeezed(values, width)
    top = max(most, 1e-12)
    heights = [min(8 * height, max(1 if value > 0 else 0, round(value / top * 8 * height))) for value in shown]
    return [
        "".join(_HEIGHTS[min(8, max(0, eighths - 8 * row))] for eighths in heights).ljust(width)
        for row in reversed(range(height))
    ]


def squeezed(values: Sequence[float], width: int) -> list[float]:
    """`values` as exactly `width` of them where there are at least as many: each the mean of those it stands for; where
    there are fewer, each as often as it goes."""
    if not values or width <= 0:
        return []
    count = len(values)
    found = []
    for n in range(width):
        first = n * count // width
        span = values[first : max(first + 1, (n + 1) * count // width)]
        found.append(sum(span) / len(span))
    return found
