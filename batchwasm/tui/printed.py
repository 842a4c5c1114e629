"""What a task prints, as rows of a screen: bytes in, harmless text out, bounded in memory. Pure.

Control characters are shown as escapes (batchwasm.escape), CR starts a line anew as progress bars want it, and lines
that are very long go on in the next row.
"""

from __future__ import annotations

import codecs
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Literal

from rich.cells import cell_len

from batchwasm.escape import visible_text

KEEP_CHARS = 8 * 2**20
"""Of all that was printed: the last of it, which is more than anybody reads; the rest is in a file."""
ROW_CHARS = 2000  # a row is drawn as a whole: a longer line goes on in the next one
OPEN_CHARS = 64 * 1024  # of a line that has not ended: as much is kept to be drawn anew at its CR
_BLOCK = 512
TAB = 8

Tag = Literal["o", "e", "n"]
"""Of a row: of stdout, of stderr, a note of ours."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows that came, and how the lines that have not ended look now."""

    rows: Sequence[str]
    """Each behind its tag."""
    open: Sequence[str]
    width: int
    """Of the widest of them."""


@dataclass(slots=True)
class _Stream:
    tag: Tag
    decoder: codecs.IncrementalDecoder = field(default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"))
    open: str = ""
    """The line that has not ended."""


class Reader:
    """Bytes of both streams -> rows. Used by one thread."""

    def __init__(self) -> None:
        self._streams: dict[str, _Stream] = {"stdout": _Stream("o"), "stderr": _Stream("e")}

    def note(self, text: str) -> Piece:
        """A row of ours between them; lines that were open end."""
        rows = [row for stream in self._streams.values() for row in self._closed(stream)]
        rows.append("n" + visible_text(text).replace("\n", " "))
        return self._piece(rows)

    def feed(self, stream: Literal["stdout", "stderr"], data: bytes) -> Piece:
        found = self._streams[stream]
        text = found.open + found.decoder.decode(data)
        whole, newline, found.open = text.replace("\r\n", "\n").rpartition("\n")
        rows = _all_rows(found.tag, whole) if newline else []
        if len(found.open) > OPEN_CHARS:
            *long, last = _rows(found.tag, found.open)
            rows += long
            found.open = last[1:]
        return self._piece(rows)

    def _closed(self, stream: _Stream) -> Iterator[str]:
        text = stream.open + stream.decoder.decode(b"", final=True)
        stream.open = ""
        stream.decoder.reset()
        if text:
            yield from _rows(stream.tag, text)

    def _piece(self, rows: list[str]) -> Piece:
        left = [row for s in self._streams.values() if s.open for row in _rows(s.tag, s.open)]
        return Piece(rows, left, max(_widest(rows), _widest(left)))


def _all_rows(tag: str, text: str) -> list[str]:
    """Of many lines at once, which most often need no care of their own."""
    if "\r" not in text and "\t" not in text:
        lines = visible_text(text).split("\n")
        if max(map(len, lines)) <= ROW_CHARS:
            return [tag + line for line in lines]
    return [row for line in text.split("\n") for row in _rows(tag, line)]


def _rows(tag: str, line: str) -> Iterator[str]:
    """Of one line: what its last CR left of it, as a terminal shows a progress bar."""
    if "\r" in line:
        line = line.rstrip("\r")
        line = line[line.rfind("\r") + 1 :]
    shown = visible_text(line)
    if "\t" in shown:
        shown = shown.expandtabs(TAB)
    if len(shown) <= ROW_CHARS:
        yield tag + shown
        return
    for at in range(0, len(shown), ROW_CHARS):
        yield tag + shown[at : at + ROW_CHARS]


def _widest(rows: Sequence[str]) -> int:
    """Cells of the widest, without their tags."""
    most = max(map(len, rows), default=1) - 1
    wide = [row for row in rows if not row.isascii()]
    return max(most, max(map(cell_len, wide), default=1) - 1)


class Rows:
    """Rows, the last `keep_chars` of them, as blocks of text: a million cost little more than their characters."""

    def __init__(self, keep_chars: int = KEEP_CHARS) -> None:
        self._keep = keep_chars
        self._blocks: list[str] = []
        self._last: list[str] = []
        self._chars = 0
        self._cached: tuple[int, list[str]] = (-1, [])
        self._by_tag: dict[str, array[int]] = {"o": array("q"), "e": array("q"), "n": array("q")}
        self._next = 0
        """The number of the next row, counted from the first that ever came."""
        self.first = 0
        """The number of the first that is kept."""

    def __len__(self) -> int:
        return self._next - self.first

    @property
    def dropped(self) -> int:
        return self.first

    def extend(self, rows: Sequence[str]) -> None:
        for tag, same in groupby(rows, key=itemgetter(0)):
            count = sum(1 for _ in same)
            self._by_tag[tag].extend(range(self._next, self._next + count))
            self._next += count
        self._last.extend(rows)
        full = len(self._last) - len(self._last) % _BLOCK
        for at in range(0, full, _BLOCK):
            block = "\n".join(self._last[at : at + _BLOCK])
            self._blocks.append(block)
            self._chars += len(block)
        del self._last[:full]
        drop = 0
        while self._chars > self._keep and drop < len(self._blocks):
            self._chars -= len(self._blocks[drop])
            drop += 1
        if drop:
            del self._blocks[:drop]
            self.first += drop * _BLOCK
            self._cached = (-1, [])

    def numbers(self, tags: str) -> Sequence[int]:
        """Of the rows of these tags that are kept, in order."""
        if len(tags) == len(self._by_tag):
            return range(self.first, self._next)
        kept = [found[bisect_left(found, self.first) :] for found in (self._by_tag[tag] for tag in tags)]
        return sorted(n for found in kept for n in found) if len(kept) > 1 else kept[0]

    def __getitem__(self, number: int) -> str:
        """A row behind its tag; `number` counts from the first that ever came."""
        at = number - self.first
        block, inside = divmod(at, _BLOCK)
        if block >= len(self._blocks):
            return self._last[at - _BLOCK * len(self._blocks)]
        if self._cached[0] != block:
            self._cached = (block, self._blocks[block].split("\n"))
        return self._cached[1][inside]

    @property
    def end(self) -> int:
        """The number that the next row will have."""
        return self._next

    def found(self, pattern: re.Pattern[str], since: int = 0) -> Iterator[int]:
        """Numbers of rows, from `since` on, in which it is."""
        since = max(since, self.first)
        for n in range((since - self.first) // _BLOCK, len(self._blocks) + 1):
            whole = n < len(self._blocks)
            if whole and not pattern.search(self._blocks[n]):
                continue
            base = self.first + n * _BLOCK
            for number, row in enumerate(self._blocks[n].split("\n") if whole else self._last, start=base):
                if number >= since and pattern.search(row, 1):
                    yield number
