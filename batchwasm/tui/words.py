"""Text with roles: what a cell or a line says, before it has colours. Foreign text gets in by `foreign` alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rich.cells import cell_len, set_cell_size

from batchwasm.escape import visible

Role = Literal["plain", "dim", "strong", "good", "running", "warning", "bad", "accent"]
ROLES: tuple[Role, ...] = ("plain", "dim", "strong", "good", "running", "warning", "bad", "accent")
"""`role--WORD` is its class in the style sheet."""

Words = tuple[tuple[str, Role], ...]


def words(text: str, role: Role = "plain") -> Words:
    """Text of ours."""
    return ((text, role),)


def foreign(text: str, role: Role = "plain") -> Words:
    """Text of others, for one line: control characters as escapes."""
    return ((visible(text), role),)


def width_of(line: Words) -> int:
    return sum(cell_len(text) for text, _ in line)


def joined(parts: Iterable[Words], between: str = "  ") -> Words:
    """What is not empty, with a gap between."""
    line: list[tuple[str, Role]] = []
    for part in parts:
        if part:
            line += [*((((between, "plain"),)) if line else ()), *part]
    return tuple(line)


def fitted(line: Words, width: int, *, right: bool = False) -> Words:
    """Exactly `width` cells: what is too long ends in an ellipsis."""
    long = width_of(line)
    if long <= width:
        gap: tuple[tuple[str, Role], ...] = ((" " * (width - long), "plain"),) if long < width else ()
        return (*gap, *line) if right else (*line, *gap)
    kept: list[tuple[str, Role]] = []
    left = width - 1
    for text, role in line:
        part = text if cell_len(text) <= left else set_cell_size(text, left)
        kept.append((part, role))
        left -= cell_len(part)
        if left <= 0:
            break
    return (*kept, ("…", "dim")) if width > 0 else ()


def plain(line: Words) -> str:
    return "".join(text for text, _ in line)
