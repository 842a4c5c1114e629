"""What a task prints, to scroll and to search in: any number of lines, of which only those that are seen are drawn."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from batchwasm.tui.marks import FAINT
from batchwasm.tui.printed import Piece, Rows

STREAMS: Sequence[tuple[str, str]] = (("stdout and stderr", "oen"), ("stdout", "o"), ("stderr", "e"))
"""What a key goes through, and the tags of its rows."""
GUTTER = {"o": ("  ", ""), "e": ("▌ ", "$warning"), "n": ("─ ", FAINT)}
GUTTER_CELLS = 2


class OutputView(ScrollView, can_focus=True):
    """Follows the end until one scrolls up, and again from the end on. Rows are harmless when they come here
    (printed.py), and become text, never markup."""

    DEFAULT_CSS = """
    OutputView { height: 1fr; scrollbar-size: 1 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
        Binding("n", "found(1)", "Next", show=False),
        Binding("N", "found(-1)", "Previous", show=False),
        Binding("v", "stream", "Stream"),
    ]

    class Changed(Message):
        """Other rows are shown, or another one was found."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.rows = Rows()
        self.stream = 0
        """Of STREAMS."""
        self._open: Sequence[str] = ()
        self._numbers: Sequence[int] = range(0)
        self._wide = 0
        self._pattern: re.Pattern[str] | None = None
        self._hits: array[int] = array("q")
        self._searched = 0
        """Rows before this number were searched."""
        self.hit: int | None = None
        """The number of the row that was found last."""
        self.follows = True
        """It shows the last row, and goes on with the next; until one scrolls up."""

    # ------------------------------------------------------------------------------------------------------ rows

    @property
    def is_empty(self) -> bool:
        return not len(self.rows) and not self._open

    def put(self, pieces: Sequence[Piece]) -> None:
        """Rows that came. What is seen stays where it is, unless it is the end, which goes on."""
        if not pieces:
            return
        above = self._first_seen()
        for piece in pieces:
            self.rows.extend(piece.rows)
            self._open = piece.open
            self._wide = max(self._wide, piece.width)
        self._search_on()
        self._lay_out()
        if self.follows:
            self._to_end()
        elif above is not None:
            self._keep(above)
        self.refresh()
        self.post_message(self.Changed())

    def _to_end(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)

    def on_resize(self) -> None:
        if self.follows:
            self._to_end()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        follows = round(new_value) >= self.max_scroll_y
        if follows != self.follows and self.size.height:
            self.follows = follows
            self.post_message(self.Changed())

    def forget(self) -> None:
        """All of it: it is told anew."""
        self.rows, self._open, self._wide, self._searched, self.hit = Rows(), (), 0, 0, None
        self._hits = array("q")
        self._lay_out()
        self.refresh()

    def _first_seen(self) -> int | None:
        """The number of the topmost row."""
        top = self.scroll_offset.y
        return self._numbers[top] if top < len(self._numbers) else None

    def _keep(self, number: int) -> None:
        """That row topmost; rows above it may have been dropped."""
        top = bisect_left(self._numbers, number)
        if top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True)

    def _lay_out(self) -> None:
        tags = STREAMS[self.stream][1]
        self._numbers = self.rows.numbers(tags)
        self.virtual_size = Size(self._wide + GUTTER_CELLS, len(self._numbers) + len(self._still_open))

    @property
    def _still_open(self) -> list[str]:
        """Lines that have not ended, of the streams that are shown."""
        return [row for row in self._open if row[0] in STREAMS[self.stream][1]]

    def action_stream(self) -> None:
        self.stream = (self.stream + 1) % len(STREAMS)
        self._lay_out()
        self.follows = True
        self._to_end()
        self.refresh()
        self.post_message(self.Changed())

    # ---------------------------------------------------------------------------------------------------- search

    def search(self, text: str) -> None:
        """Find `text`, whatever its case; the last of them that is above the end of what is seen comes first."""
        self._pattern = re.compile(re.escape(text), re.IGNORECASE) if text else None
        self._hits, self._searched, self.hit = array("q"), 0, None
        self._search_on()
        self.refresh()
        if self._shown_hits:
            self.action_found(-1)
        else:
            self.post_message(self.Changed())

    def _search_on(self) -> None:
        """In rows that came since, without those that were dropped."""
        if self._pattern is None:
            return
        del self._hits[: bisect_left(self._hits, self.rows.first)]
        self._hits.extend(self.rows.found(self._pattern, self._searched))
        self._searched = self.rows.end

    @property
    def _shown_hits(self) -> Sequence[int]:
        if self.stream == 0:
            return self._hits
        tag = STREAMS[self.stream][1]
        return [number for number in self._hits if self.rows[number][0] in tag]

    def action_found(self, step: int) -> None:
        """The next that was found, or the one before; after the last comes the first."""
        hits = self._shown_hits
        if not hits:
            return
        if self.hit is None:
            bottom = min(self.scroll_offset.y + self.scrollable_size.height, len(self._numbers)) - 1
            at = bisect_right(hits, self._numbers[bottom]) if bottom >= 0 else 0
            at = at - 1 if step < 0 else at
        elif step > 0:
            at = bisect_right(hits, self.hit)
        else:
            at = bisect_left(hits, self.hit) - 1
        self.hit = hits[at % len(hits)]
        y = bisect_left(self._numbers, self.hit)
        if not self.scroll_offset.y <= y < self.scroll_offset.y + self.scrollable_size.height:
            self.scroll_to(y=max(0, y - self.scrollable_size.height // 2), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Changed())

    @property
    def said(self) -> str:
        """`"seed", 3 of 17`, `"seed" is not there`; empty while nothing is looked for."""
        if self._pattern is None:
            return ""
        hits, text = self._shown_hits, re.sub(r"\\(.)", r"\1", self._pattern.pattern)
        if not hits:
            return f'"{text}" is not there'
        at = f"{bisect_left(hits, self.hit) + 1:,} of " if self.hit is not None else ""
        return f'"{text}": {at}{len(hits):,} lines'

    # ----------------------------------------------------------------------------------------------------- lines

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width, n = self.scrollable_size.width, top + y
        number = None
        if n < len(self._numbers):
            number = self._numbers[n]
            row = self.rows[number]
        else:
            still_open = self._still_open
            at = n - len(self._numbers)
            if at >= len(still_open):
                return Strip.blank(width, self.rich_style)
            row = still_open[at]
        strip = self._strip(self._content(row, is_hit=number is not None and number == self.hit))
        return strip.crop_extend(left, left + width, self.rich_style)

    def _content(self, row: str, *, is_hit: bool) -> Content:
        tag, text = row[0], row[1:]
        sign, style = GUTTER[tag]
        content = Content.styled(text, FAINT if tag == "n" else "")
        if self._pattern is not None:
            for match in self._pattern.finditer(text):
                if match.end() > match.start():
                    content = content.stylize(
                        "reverse" if is_hit else "bold underline $accent", match.start(), match.end()
                    )
        return Content.assemble((sign, style), content)

    def _strip(self, content: Content) -> Strip:
        width = max(content.cell_length, 1)
        strips = Visual.to_strips(self, content, width, 1, self.visual_style)
        return strips[0] if strips else Strip.blank(width, self.rich_style)
