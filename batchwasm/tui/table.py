"""A table of any number of rows, of which only those in sight are ever made; one cell that changes is one cell drawn.

Textual's own DataTable keeps and measures a text for every cell, and draws all of itself for each that changes: with
500 hosts and 1,000 jobs twice a second that is most of a core, and of a slow line. This one is given rows as they are
and formats what is seen. Rows stay in their order while they change: they are sorted when a person asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from batchwasm.tui.drawn import COMPONENTS, strip_of
from batchwasm.tui.words import Words, fitted, foreign, joined, words
from batchwasm.units import count_text

Row = TypeVar("Row")
GAP = 2  # between columns
FAIR = 16  # cells of a name where there is no room for all of it
GUTTER = 2  # before the first: where the cursor is


@dataclass(frozen=True, kw_only=True)
class Column(Generic[Row]):
    """`cell` is called with the row, the time and the width that there is."""

    title: str
    cell: Callable[[Row, float, int], Words]
    width: int
    """At least, and exactly unless it `grows` or is `measured`."""
    right: bool = False
    measured: Callable[[Row], int] | None = None
    """Cells that a row wants here; as many as the widest does, up to `most`."""
    most: int = 1000
    grows: bool = False
    """It gets what others leave."""
    rank: int = 0
    """Where there is no room the highest go first; those of rank 0 stay."""
    order: Callable[[Row], Any] | None = None
    """What it is sorted by; None where that makes no sense."""
    largest_first: bool = False


class Table(ScrollView, Generic[Row], can_focus=True):
    """Rows under a title line. Posts `Chosen` for Enter or a double click, `Moved` when the cursor is on another."""

    COMPONENT_CLASSES = COMPONENTS | {"table--head", "table--cursor", "table--sorted"}
    ALLOW_SELECT = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Open"),
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "edge(0)", "First", show=False),
        Binding("end,G", "edge(1)", "Last", show=False),
        Binding("s", "sort(1)", "Sort", show=False),
        Binding("S", "turn", "Sort the other way", show=False),
    ]
    cursor: reactive[int] = reactive(0, repaint=False)

    class Chosen(Message):
        def __init__(self, table: Table[Any], row: Any) -> None:
            super().__init__()
            self.table, self.row = table, row

        @property
        def control(self) -> Table[Any]:
            return self.table

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        *,
        key: Callable[[Row], Hashable],
        text: Callable[[Row], str],
        noun: tuple[str, str],
        empty: str,
        follows: bool = False,
        id: str,
    ) -> None:
        """`text` is what a filter looks into. One that `follows` stays at its end while the cursor is there."""
        super().__init__(id=id)
        self._columns, self._key_of, self._text_of = columns, key, text
        self._noun, self._empty, self._follows = noun, empty, follows
        self._all: Sequence[Row] = ()
        self._order: list[Hashable] = []
        """Keys of all, as they are sorted."""
        self._rows: list[Row] = []
        """Those that are shown."""
        self._now = 0.0
        self._sorted: tuple[int, bool] | None = None
        self._filter = ""
        self._shown: list[tuple[int, int, Column[Row]]] = []
        """Number, width and column of those that there is room for."""
        self._drawn: dict[int, tuple[Words, ...]] = {}
        """What each line in sight showed last."""

    # --------------------------------------------------------------------------------------------------- its rows

    def put(self, rows: Sequence[Row], now: float) -> None:
        """These rows, as they are at `now`."""
        at_end = self._follows and self.cursor >= len(self._rows) - 1
        before, cursor, looks_on = self.row, self.cursor, self._sees_cursor
        self._all, self._now = rows, now
        keys = list(map(self._key_of, rows))
        if set(keys) != set(self._order):
            self._sort(keys)
        self._pick(keys)
        if at_end:
            cursor = len(self._rows) - 1
        elif before is not None:
            cursor = self._place_of(self._key_of(before))
        if cursor != self.cursor or cursor >= len(self._rows):
            self._place(cursor, follow=looks_on)  # who has scrolled elsewhere is left there
        self._redraw()

    @property
    def row(self) -> Row | None:
        """Where the cursor is; None where there is none."""
        return self._rows[self.cursor] if 0 <= self.cursor < len(self._rows) else None

    @property
    def _width(self) -> int:
        """Without the scroll bar, for which there is always room: columns do not move when it comes."""
        return self.scrollable_content_region.width

    @property
    def rows(self) -> Sequence[Row]:
        """Those that are shown, in their order."""
        return self._rows

    @property
    def filtered(self) -> str:
        """What rows must have in them to be shown."""
        return self._filter

    def filter(self, text: str) -> None:
        """Only rows with `text`, in any case of letters."""
        before = self.row
        self._filter = text.lower()
        self._pick(list(map(self._key_of, self._all)))
        self._place(0 if before is None else self._place_of(self._key_of(before)))
        self.refresh()

    def _sort(self, keys: Sequence[Hashable]) -> None:
        if self._sorted is None:
            self._order = list(keys)
            return
        number, backwards = self._sorted
        order = self._columns[number].order
        assert order is not None
        found = sorted(
            zip(keys, self._all, strict=True), key=lambda pair: _with_none(order(pair[1])), reverse=backwards
        )
        self._order = [key for key, _ in found]

    def _pick(self, keys: Sequence[Hashable]) -> None:
        by_key = dict(zip(keys, self._all, strict=True))
        picked = [by_key[key] for key in self._order if key in by_key]
        if self._filter:
            picked = [row for row in picked if self._filter in self._text_of(row).lower()]
        resized = len(picked) != len(self._rows)
        self._rows = picked
        if resized or not self._shown:
            self.virtual_size = Size(self._width, len(picked) + 1)
            self.refresh()
        self._lay_out()

    def _place_of(self, key: Hashable) -> int:
        return next((i for i, row in enumerate(self._rows) if self._key_of(row) == key), self.cursor)

    def _place(self, cursor: int, *, follow: bool = True) -> None:
        self.cursor = max(0, min(cursor, len(self._rows) - 1))
        if follow:
            self._see_cursor()
            self.call_after_refresh(self._see_cursor)  # new rows make it longer only then

    @property
    def _sees_cursor(self) -> bool:
        return 0 <= self.cursor - self.scroll_offset.y < max(1, self.size.height - 1)

    # ------------------------------------------------------------------------------------------------ its columns

    def _lay_out(self) -> None:
        """Which columns there is room for, and how wide each is. A column never gets narrower by what it shows."""
        room = self._width - GUTTER
        before = {number: width for number, width, _ in self._shown}
        widths = [self._wanted(column, before.get(n, 0)) for n, column in enumerate(self._columns)]
        if sum(widths) + GAP * (len(widths) - 1) > room:  # names give way before numbers go
            widths = [
                min(width, max(column.width, FAIR, len(self._title())))
                if column.measured is not None and not column.right
                else width
                for width, column in zip(widths, self._columns, strict=True)
            ]
        kept = list(range(len(self._columns)))
        while len(kept) > 1 and sum(widths[n] + GAP for n in kept) - GAP > room:
            last = max(kept, key=lambda n: (self._columns[n].rank, n))
            if self._columns[last].rank == 0:
                break
            kept.remove(last)
        left = max(0, room - sum(widths[n] + GAP for n in kept) + GAP)
        growing = [n for n in kept if self._columns[n].grows]
        for i, n in enumerate(growing):
            widths[n] += left // len(growing) + (i < left % len(growing))
        shown = [(n, widths[n], self._columns[n]) for n in kept]
        if [part[:2] for part in shown] != [part[:2] for part in self._shown]:
            self._shown = shown
            self.refresh()

    def _wanted(self, column: Column[Row], before: int) -> int:
        if column.measured is None:
            return column.width
        least = max(
            column.width, 0 if column.grows else before, len(self._title()) if column is self._columns[0] else 0
        )
        return min(column.most, max(least, max(map(column.measured, self._all), default=0)))

    # ------------------------------------------------------------------------------------------------- its lines

    def _cells(self, row: Row) -> tuple[Words, ...]:
        return tuple(
            fitted(column.cell(row, self._now, width), width, right=column.right) for _, width, column in self._shown
        )

    def _redraw(self) -> None:
        """Have those cells in sight drawn again that say something else now."""
        top = self.scroll_offset.y
        for y in range(1, self.size.height):
            index = top + y - 1
            now = self._cells(self._rows[index]) if index < len(self._rows) else ()
            was = self._drawn.get(y, ())
            if not now and not was:
                continue
            if len(now) != len(was):
                self.refresh(Region(0, y, self._width, 1))
                continue
            x = GUTTER
            for (_, width, _), before, after in zip(self._shown, was, now, strict=True):
                if before != after:
                    self.refresh(Region(x, y, width, 1))
                x += width + GAP

    def render_line(self, y: int) -> Strip:
        if y == 0:
            return self._head()
        index = self.scroll_offset.y + y - 1
        if index >= len(self._rows):
            self._drawn[y] = ()
            says_empty = not self._rows and y == 1
            line = (("  ", "plain"), *self._why_empty()) if says_empty else ()
            return strip_of(self, fitted(line, self._width), self.rich_style)
        cells = self._drawn[y] = self._cells(self._rows[index])
        under, mark = self.rich_style, "  "
        if index == self.cursor:
            if self.has_focus:
                under, mark = self._over("table--cursor"), "▌ "
            else:
                mark = "│ "
        line = (*words(mark, "accent"), *joined(cells, " " * GAP))
        return strip_of(self, fitted(line, self._width), under)

    def _over(self, component: str) -> Style:
        return self.rich_style + self.get_component_rich_style(component)

    def _why_empty(self) -> Words:
        if self._filter and self._all:
            return foreign(f"none of {count_text(len(self._all))} has {self._filter!r}; Esc shows all", "dim")
        return words(self._empty, "dim")

    def _head(self) -> Strip:
        titles = []
        for place, (number, width, column) in enumerate(self._shown):
            title = self._title() if place == 0 else column.title
            if self._sorted is not None and self._sorted[0] == number:
                title = f"{title[: width - 1]}{'▼' if self._sorted[1] else '▲'}"
            titles.append(fitted(words(title), width, right=column.right))
        line = (*words("  "), *joined(titles, " " * GAP))
        return strip_of(self, fitted(line, self._width), self._over("table--head"))

    def _title(self) -> str:
        many = self._noun[len(self._all) != 1]
        if self._filter:
            return f"{count_text(len(self._rows))} of {count_text(len(self._all))} {many}"
        return f"{count_text(len(self._all))} {many}" if self._all else many

    # ---------------------------------------------------------------------------------------------- what one does

    def watch_cursor(self, before: int, now: int) -> None:
        for index in (before, now):
            self.refresh(Region(0, index - self.scroll_offset.y + 1, self._width, 1))

    def _see_cursor(self) -> None:
        height, top = max(1, self.size.height - 1), self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True, force=True)
        elif self.cursor >= top + height:
            self.scroll_to(y=self.cursor - height + 1, animate=False, immediate=True, force=True)
        if self.show_vertical_scrollbar:  # one that appeared after the scroll was not told of it
            self.vertical_scrollbar.position = self.scroll_y

    def on_resize(self) -> None:
        self._shown = []
        self.virtual_size = Size(self._width, len(self._rows) + 1)
        self._lay_out()
        self._see_cursor()
        self.call_after_refresh(self._see_cursor)  # how far it can be scrolled is known only then

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            self._sort_at(event.x)
            return
        index = self.scroll_offset.y + event.y - 1
        if index < len(self._rows):
            self._place(index)
            if event.chain == 2:
                self.action_choose()

    def _sort_at(self, x: int) -> None:
        left = GUTTER
        for number, width, column in self._shown:
            if left <= x < left + width + GAP and column.order is not None:
                if self._sorted is not None and self._sorted[0] == number:
                    self.action_turn()
                else:
                    self._sort_by(number, column.largest_first)
                return
            left += width + GAP

    def action_choose(self) -> None:
        if self.row is not None:
            self.post_message(self.Chosen(self, self.row))

    def action_move(self, by: int) -> None:
        self._place(self.cursor + by)

    def action_page(self, by: int) -> None:
        self._place(self.cursor + by * max(1, self.size.height - 2))

    def action_edge(self, end: int) -> None:
        self._place(end * (len(self._rows) - 1))

    def action_sort(self, by: int) -> None:
        """By the next column that can be sorted by; after the last as they came."""
        can = [number for number, _, column in self._shown if column.order is not None]
        now = can.index(self._sorted[0]) if self._sorted is not None and self._sorted[0] in can else -1
        if now + by >= len(can):
            self._sort_by(None, False)
        else:
            self._sort_by(can[now + by], self._columns[can[now + by]].largest_first)

    def action_turn(self) -> None:
        if self._sorted is not None:
            self._sort_by(self._sorted[0], not self._sorted[1])

    def _sort_by(self, number: int | None, backwards: bool) -> None:
        before = self.row
        self._sorted = None if number is None else (number, backwards)
        keys = list(map(self._key_of, self._all))
        self._sort(keys)
        self._pick(keys)
        if before is not None:
            self._place(self._place_of(self._key_of(before)))
        self.refresh()


def _with_none(value: Any) -> tuple[bool, Any]:
    """What is not known comes last."""
    return (value is not None, value if value is not None else 0)
