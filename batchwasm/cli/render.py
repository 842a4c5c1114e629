"""Rows -> a table, plain columns, or JSON lines on stdout.

A terminal gets an aligned table with colours; a pipe gets the same columns separated by tabs, whole and uncoloured.
JSON is RFC 8259: floats that are not finite are the strings "NaN", "Infinity", "-Infinity". Texts come from users,
guests and hosts: control characters in them are shown as escapes in either form.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TextIO

from batchwasm.escape import visible

SIZED_BY_ROWS = 200  # the widths of a table are those of its first rows: a million are shown as they come
PIPE_WIDTH = 80  # of sentences, where nobody can tell how wide the reader is
_WIDE = re.compile("[^\x00-\u02ff]")
_COLOURS = {
    **dict.fromkeys(("succeeded", "ready", "good", "finished", "found", "trusted", "cleaned"), "32"),
    **dict.fromkeys(("failed", "trapped", "timed_out", "out_of_memory", "limit_exceeded", "invalid"), "31"),
    **dict.fromkeys(("mismatch", "lost", "down", "bad", "unknown", "changed", "unchecked", "unreadable"), "31"),
    **dict.fromkeys(
        ("cancelled", "skipped", "waiting", "stopped", "warning", "missing", "connecting", "looking", "measuring"), "33"
    ),
    **dict.fromkeys(("drained", "busy", "aside", "silent", "removed"), "33"),
    **dict.fromkeys(("running", "shipping"), "36"),
}
"""Words that stand for a state -> the colour that says the same at a glance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    title: str
    right: bool = False
    """Numbers are easier to compare when their ends align."""
    words: bool = False
    """Its cells are words of a state, which have colours."""


def jsonable(value: Any) -> Any:
    """`value` with floats that JSON has not as strings; keys become strings, tuples lists."""
    match value:
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        case Mapping():
            return {str(key): jsonable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [jsonable(inner) for inner in value]
        case _:
            return value


def json_line(value: Any) -> str:
    """One line, pure ASCII, so that no terminal, locale or old tool can spoil it."""
    return json.dumps(jsonable(value), allow_nan=False)


def print_json(values: Iterable[Mapping[str, Any]], stream: TextIO | None = None) -> None:
    """A JSON object a line."""
    stream = stream or sys.stdout
    for value in values:
        stream.write(json_line(value) + "\n")


def print_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    stream: TextIO | None = None,
    *,
    sample: Sequence[Sequence[str]] | None = None,
) -> None:
    """All rows under the columns' titles, as they come: an endless iterable is printed endlessly.

    Where they come slowly, a `sample` says how wide they may be, else the first SIZED_BY_ROWS of them do.
    """
    stream = stream or sys.stdout
    if stream.isatty():
        lines = table_lines(columns, rows, width=terminal_width(), coloured=use_colour(), sample=sample)
    else:
        lines = _tabbed(columns, rows)
    for line in lines:
        stream.write(line + "\n")


def _tabbed(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    rows = iter(rows)
    first = list(islice(rows, 1))  # before the titles, which alone would look like an answer where it can't be had
    for row in chain([[column.title for column in columns]], first, rows):
        yield "\t".join(map(visible, row))


def table_lines(
    columns: Sequence[Column],
    rows: Iterable[Sequence[str]],
    *,
    width: int,
    coloured: bool,
    sample: Sequence[Sequence[str]] | None = None,
) -> Iterator[str]:
    """Aligned lines of at most `width` cells; the last column has what the others leave, and is cut where it must."""
    rows = iter(rows)
    first = [] if sample is not None else [[visible(cell) for cell in row] for row in islice(rows, SIZED_BY_ROWS)]
    titles = [column.title for column in columns]
    widths = [max(map(cells, column)) for column in zip(titles, *(sample or first), strict=True)]
    if sample is not None:
        widths[-1] = max(widths[-1], width - sum(widths[:-1]) - 2 * (len(widths) - 1))
    shrink(widths, width)
    title = "  ".join(_fitted(columns, titles, widths)).rstrip()
    yield f"\x1b[1m{title}\x1b[0m" if coloured else title
    for row in chain(first, ([visible(cell) for cell in row] for row in rows)):
        parts = _fitted(columns, row, widths)
        if coloured:
            parts = [_coloured(part) if column.words else part for column, part in zip(columns, parts, strict=True)]
        yield "  ".join(parts).rstrip()


def shrink(widths: list[int], room: int) -> None:
    """Take from the widest column, again and again, until all fit into `room` with two spaces between them."""
    while sum(widths) + 2 * (len(widths) - 1) > room and max(widths) > 8:
        widths[widths.index(max(widths))] -= 1


def cells(text: str) -> int:
    """How many cells of a terminal `text` takes."""
    if not _WIDE.search(text):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def fit(text: str, width: int) -> str:
    """`text` in exactly `width` cells, its end cut to "…" where it is longer."""
    size = cells(text)
    if size <= width:
        return text + " " * (width - size)
    if _WIDE.search(text):
        from rich.cells import set_cell_size

        return set_cell_size(text, width - 1) + "…"
    return text[: width - 1] + "…"


def wrapped(text: str, first: str) -> Iterator[str]:
    """`text` behind `first`, in lines that fit, those after the first indented as far; its own lines are kept."""
    width = terminal_width() if sys.stdout.isatty() else PIPE_WIDTH
    for line in text.splitlines() or [""]:
        yield from textwrap.wrap(
            visible(line),
            max(width, 2 * len(first), 40),
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_on_hyphens=False,
        )
        first = " " * len(first)


def terminal_width() -> int:
    return shutil.get_terminal_size().columns


def use_colour() -> bool:
    """False where the user or the terminal does not want it (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _fitted(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        " " * (width - cells(text)) + text if column.right and cells(text) <= width else fit(text, width)
        for column, text, width in zip(columns, row, widths, strict=True)
    ]


def _coloured(part: str) -> str:
    code = _COLOURS.get(part.strip())
    return f"\x1b[{code}m{part}\x1b[0m" if code else part
