"""The tasks of a job as a table of which only what is seen is ever asked for: a million rows cost what fifty do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.visual import Visual

from batchwasm.escape import visible
from batchwasm.tui.marks import FAILED, FAINT, marked
from batchwasm.units import duration_text, size_text
from batchwasm.views.model import TaskLine

AROUND = 50  # rows that are asked for above and below those that are seen
FILTERS: Sequence[tuple[str, tuple[str, ...]]] = (
    ("all", ()),
    ("running", ("running",)),
    ("waiting", ("waiting",)),
    ("succeeded", ("succeeded",)),
    ("failed", FAILED),
    ("cancelled or skipped", ("cancelled", "skipped")),
)
"""By state, in the order in which a key goes through them."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks, and how."""

    states: int = 0
    """Of FILTERS."""
    text: str = ""
    sort: str = "index"
    descending: bool = False

    def asked(self) -> str:
        """`failed tasks with "lab07" by time`."""
        which = f"{FILTERS[self.states][0]} tasks"
        if self.text:
            which += f' with "{visible(self.text)}"'
        return which if self.sort == "index" else f"{which} by {TITLES[self.sort]}"

    def said(self, total: int, of: int) -> str:
        """The same, and how many that are."""
        return f"{self.asked()}: {total:,}" if total == of else f"{self.asked()}: {total:,} of {of:,}"


@dataclass(frozen=True, slots=True)
class Page:
    """Rows from `offset` on."""

    wanted: Wanted
    offset: int
    rows: tuple[TaskLine, ...]
    total: int


@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    width: int
    text: Callable[[TaskLine], str | Content]
    sort: str | None = None
    right: bool = True
    least: int = 0
    """The width of the table from which on it is there."""


def _or_dash(number: float | None, text: Callable[[float], str]) -> str:
    return "-" if number is None else text(number)


TITLES = {
    "index": "number",
    "wall_s": "time",
    "peak_memory_bytes": "memory",
    "queued_s": "queue time",
    "cpu_s": "cpu time",
    "attempts": "tries",
}
"""What rows may be sorted by."""
SORTS = tuple(TITLES)
_COLUMNS = (
    _Column("task", 8, lambda row: f"{row.index:,}", "index"),
    _Column("state", 16, lambda row: marked(row.state), right=False),
    _Column("host", 12, lambda row: visible(row.host or "-"), right=False),
    _Column("tries", 5, lambda row: f"{row.attempts:,}", "attempts", least=84),
    _Column("queued", 11, lambda row: _or_dash(row.queued_s, duration_text), "queued_s", least=90),
    _Column("time", 11, lambda row: _or_dash(row.wall_s, duration_text), "wall_s"),
    _Column("cpu", 11, lambda row: _or_dash(row.cpu_s, duration_text), "cpu_s", least=110),
    _Column("memory", 9, lambda row: _or_dash(row.peak_memory_bytes, size_text), "peak_memory_bytes"),
)


def params_text(row: TaskLine) -> str:
    """`n=3 mode=fast`."""
    return visible(" ".join(f"{name}={value}" for name, value in row.params.items()))


class TaskTable(ScrollView, can_focus=True):
    """One line a task; its titles stay where they are, and a click on one sorts by it."""

    DEFAULT_CSS = """
    TaskTable { height: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }
    TaskTable > .table--title { text-style: bold; color: $accent; }
    TaskTable > .table--cursor { background: $panel; text-style: bold; }
    TaskTable:focus > .table--cursor { background: $cursor; text-style: bold; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--title", "table--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "jump(0)", "First", show=False),
        Binding("end,G", "jump(-1)", "Last", show=False),
        Binding("enter", "open", "Open"),
    ]

    class Picked(Message):
        """A task was opened."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    class Moved(Message):
        """The cursor is on another row."""

    class Needed(Message):
        """Rows are seen that are not there yet, or others are wanted."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.wanted = Wanted()
        self.total = 0
        self.cursor = 0
        self.empty = ""
        """Said where there are no rows."""
        self._offset = 0
        self._rows: tuple[TaskLine, ...] = ()

    # --------------------------------------------------------------------------------------------- what is shown

    @property
    def window(self) -> tuple[int, int]:
        """Offset and number of the rows that are wanted now."""
        top = max(0, round(self.scroll_y) - AROUND)
        return top, self._seen + 2 * AROUND

    @property
    def _seen(self) -> int:
        return max(1, self.scrollable_size.height - 1)

    @property
    def current(self) -> TaskLine | None:
        return self._row(self.cursor)

    def _row(self, n: int) -> TaskLine | None:
        at = n - self._offset
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def put(self, page: Page) -> None:
        """Show these, if they are still what is wanted; the cursor stays on its task where that is still seen."""
        if page.wanted != self.wanted:
            return
        under = self.current
        old = {self._offset + n: row for n, row in enumerate(self._rows)}
        self._offset, self._rows = page.offset, page.rows
        if page.total != self.total:
            self.total = page.total
            self.virtual_size = Size(self.scrollable_size.width, page.total + 1)
            self.refresh()
        if under is not None:
            self._keep(under)
        self.cursor = min(self.cursor, max(0, self.total - 1))
        top = round(self.scroll_y)
        for n in range(top, top + self._seen):
            if old.get(n) != self._row(n):
                self._refresh_row(n)

    def _keep(self, under: TaskLine) -> None:
        """The cursor on its task where that has moved, and both on their line of the screen; at the top, which people
        watch for what comes, the rows move and not the screen."""
        now = self.current
        if now is not None and now.index == under.index:
            return
        found = next((n for n, row in enumerate(self._rows, start=self._offset) if row.index == under.index), None)
        top = round(self.scroll_y)
        if found is None or (top == 0 and found >= self._seen):
            return
        before, self.cursor = self.cursor, found
        if top == 0:
            self._refresh_row(before)
            self._refresh_row(found)
        else:
            self.scroll_to(y=max(0, top + found - before), animate=False, immediate=True)

    def want(self, wanted: Wanted) -> None:
        """Others, or in another order; from the first on."""
        if wanted == self.wanted:
            return
        self.wanted = wanted
        self.cursor = 0
        self._rows = ()
        self.scroll_to(y=0, animate=False)
        self.refresh()
        self.post_message(self.Needed())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        top = round(new_value)
        if self._row(top) is None or self._row(min(top + self._seen, self.total) - 1) is None:
            self.post_message(self.Needed())

    def on_resize(self) -> None:
        self.virtual_size = Size(self.scrollable_size.width, self.total + 1)
        self.post_message(self.Needed())

    def _refresh_row(self, n: int) -> None:
        y = n - round(self.scroll_y) + 1
        if 1 <= y <= self._seen:
            self.refresh_line(round(self.scroll_y) + y)

    # ---------------------------------------------------------------------------------------------------- cursor

    def action_move(self, by: int) -> None:
        self._go(self.cursor + by)

    def action_page(self, by: int) -> None:
        self._go(self.cursor + by * max(1, self._seen - 1))

    def action_jump(self, to: int) -> None:
        self._go(self.total - 1 if to < 0 else to)

    def _go(self, to: int) -> None:
        before, self.cursor = self.cursor, min(max(to, 0), max(0, self.total - 1))
        top = round(self.scroll_y)
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + self._seen:
            self.scroll_to(y=self.cursor - self._seen + 1, animate=False, immediate=True)
        self._refresh_row(before)
        self._refresh_row(self.cursor)
        self.post_message(self.Moved())

    def action_open(self) -> None:
        if self.current is not None:
            self.post_message(self.Picked(self.current.index))

    def sort_next(self) -> None:
        """By the next of SORTS: numbers from the most down, tasks in their order."""
        following = SORTS[(SORTS.index(self.wanted.sort) + 1) % len(SORTS)]
        self.want(replace(self.wanted, sort=following, descending=following != "index"))

    def sort_by(self, sort: str) -> None:
        """By this, or by it the other way round."""
        turned = not self.wanted.descending if sort == self.wanted.sort else sort != "index"
        self.want(replace(self.wanted, sort=sort, descending=turned))

    def on_click(self, event: events.Click) -> None:
        if event.y == 0:
            sort = self._sort_at(event.x)
            if sort is not None:
                self.sort_by(sort)
            return
        n = round(self.scroll_y) + event.y - 1
        if n < self.total:
            self._go(n)
            if event.chain == 2:
                self.action_open()

    # ----------------------------------------------------------------------------------------------------- lines

    @property
    def _columns(self) -> tuple[_Column, ...]:
        return tuple(column for column in _COLUMNS if self.scrollable_size.width >= column.least)

    def _sort_at(self, x: int) -> str | None:
        left = 0
        for column in self._columns:
            if left <= x < left + column.width:
                return column.sort
            left += column.width + 1
        return None

    def render_line(self, y: int) -> Strip:
        if y == 0:
            title = self.get_component_rich_style("table--title")
            return self._strip(self._titles()).apply_style(title)
        n = round(self.scroll_y) + y - 1
        if n >= self.total:
            said = Content.styled(self.empty, FAINT) if y == 2 and not self.total else Content("")
            return self._strip(said)
        row = self._row(n)
        if row is None:
            return self._strip(Content.styled("…".rjust(_COLUMNS[0].width), FAINT))
        cells = self._cells(row)
        if n != self.cursor:
            return self._strip(cells)
        under = self.get_component_rich_style("table--cursor", partial=True)
        return self._strip(cells).apply_style(Style(bgcolor=under.bgcolor, bold=True))

    def _titles(self) -> Content:
        parts = []
        for column in self._columns:
            arrow = ("▼" if self.wanted.descending else "▲") if column.sort == self.wanted.sort else ""
            parts.append(_fitted(Content(arrow + column.title), column.width, right=column.right))
        return Content(" ").join([*parts, Content("reason or parameters")])

    def _cells(self, row: TaskLine) -> Content:
        parts = []
        for column in self._columns:
            found = column.text(row)
            content = found if isinstance(found, Content) else Content(found)
            parts.append(_fitted(content, column.width, right=column.right))
        last = visible(row.reason) if row.reason and row.state not in ("running", "succeeded") else params_text(row)
        return Content(" ").join([*parts, Content(last)])

    def _strip(self, content: Content) -> Strip:
        width = max(self.scrollable_size.width, 1)
        fitted = content.truncate(width, ellipsis=True, pad=True)
        strips = Visual.to_strips(self, fitted, width, 1, self.visual_style)
        return strips[0] if strips else Strip.blank(width, self.rich_style)


def _fitted(content: Content, width: int, *, right: bool) -> Content:
    """In exactly `width` cells, its end cut to "…" where it is longer."""
    cut = content.truncate(width, ellipsis=True) if content.cell_length > width else content
    blank = " " * (width - cut.cell_length)
    return Content.assemble(blank, cut) if right else Content.assemble(cut, blank)
