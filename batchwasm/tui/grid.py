"""The tasks of a job as cells, one a task or one for several, that a cursor moves over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.style import Style as VisualStyle
from textual.widget import Widget

from batchwasm.tui.marks import Mark, of_cell, tally
from batchwasm.views.model import Cell

FEWEST_ROWS = 3
_ROUND = (1, 2, 5)


@dataclass(frozen=True, slots=True)
class Range:
    """Tasks `first` to `stop`, which is excluded."""

    first: int
    stop: int

    @property
    def count(self) -> int:
        return self.stop - self.first


def bucket(tasks: int, room: int) -> int:
    """How many tasks a cell stands for where `room` cells are there: 1, 2, 5, 10, 20, ... as few as fit."""
    size = 1
    while True:
        for step in _ROUND:
            if -(-tasks // (size * step)) <= max(room, 1):
                return size * step
        size *= 10


class TaskGrid(Widget, can_focus=True):
    """Shows `cells`; Enter on a cell opens its task, or its tasks as cells of their own; Backspace goes out again."""

    DEFAULT_CSS = """
    TaskGrid { height: auto; width: 1fr; }
    TaskGrid > .grid--label { color: $secondary; }
    TaskGrid > .grid--cursor { color: $foreground; background: $primary 50%; text-style: bold; }
    TaskGrid:focus > .grid--cursor { color: $background; background: $foreground; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--label", "grid--cursor"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1, 0)", "Left", show=False),
        Binding("right,l", "move(1, 0)", "Right", show=False),
        Binding("up,k", "move(0, -1)", "Up", show=False),
        Binding("down,j", "move(0, 1)", "Down", show=False),
        Binding("home,g", "jump(0)", "First task", show=False),
        Binding("end,G", "jump(-1)", "Last task", show=False),
        Binding("enter", "open", "Open"),
        Binding("backspace", "out", "Zoom out", show=False),
    ]
    cursor: reactive[int] = reactive(0, repaint=False)
    """Of `cells`."""

    class Moved(Message):
        """The cursor is on another cell, or the cell under it has changed."""

    class Picked(Message):
        """A cell of one task was opened."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    class Zoomed(Message):
        """Other tasks are shown: they have to be asked for."""

    def __init__(self, tasks: int = 0, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.tasks = tasks
        self.most_rows = FEWEST_ROWS
        self.cells: tuple[Cell, ...] = ()
        self._marks: list[Mark] = []
        self._zooms: list[Range] = []
        self._styles: dict[str, Style] = {}

    # --------------------------------------------------------------------------------------------- what is shown

    @property
    def shown(self) -> Range:
        """The tasks that are shown: all, or those of a cell that was opened."""
        return self._zooms[-1] if self._zooms else Range(0, self.tasks)

    @property
    def is_zoomed(self) -> bool:
        """Whether not all tasks are shown."""
        return bool(self._zooms)

    @property
    def room(self) -> int:
        """How many cells there may be."""
        return self.columns * max(self.most_rows, FEWEST_ROWS)

    @property
    def step(self) -> int:
        """How many tasks a cell stands for."""
        return bucket(self.shown.count, self.room)

    @property
    def columns(self) -> int:
        """Cells in a row: tens where there is room for ten, so that a row begins with a round number."""
        fit = max(1, (self.size.width or 80) - self._gutter)
        return fit - fit % 10 if fit >= 10 else fit

    @property
    def _gutter(self) -> int:
        return len(f"{max(self.tasks - 1, 0):,}") + 1

    def put(self, cells: Sequence[Cell]) -> None:
        """Show these; only rows in which something has changed are drawn."""
        new = tuple(cells)
        if new == self.cells:
            return
        marks = [of_cell(cell.counts) for cell in new]
        rows = self._rows(len(new))
        resized = rows != self._rows(len(self.cells))
        changed = {n // self.columns for n, mark in enumerate(marks) if n >= len(self._marks) or mark != self._marks[n]}
        self.cells, self._marks = new, marks
        if self.cursor >= len(new):
            self.cursor = max(0, len(new) - 1)
        if resized:
            self.refresh(layout=True)
        else:
            self.refresh(*(Region(0, row, self.size.width, 1) for row in sorted(changed)))
        self.post_message(self.Moved())

    def _rows(self, cells: int) -> int:
        return max(1, -(-cells // self.columns))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        fit = max(1, width - self._gutter)
        columns = fit - fit % 10 if fit >= 10 else fit
        return max(1, -(-len(self.cells) // columns))

    # ---------------------------------------------------------------------------------------------------- cursor

    @property
    def current(self) -> Cell | None:
        return self.cells[self.cursor] if self.cursor < len(self.cells) else None

    def said(self, cell: Cell | None) -> str:
        """`tasks 1,200-1,299: 98 succeeded, 2 failed`."""
        if cell is None:
            return ""
        if cell.stop - cell.first == 1:
            return f"task {cell.first:,}: {', '.join(state.replace('_', ' ') for state in cell.counts)}"
        return f"tasks {cell.first:,}-{cell.stop - 1:,}: {tally(cell.counts)}"

    def validate_cursor(self, cursor: int) -> int:
        return min(max(cursor, 0), max(len(self.cells) - 1, 0))

    def watch_cursor(self, old: int, new: int) -> None:
        columns = self.columns
        self.refresh(*(Region(0, row, self.size.width, 1) for row in {old // columns, new // columns}))
        self.post_message(self.Moved())

    def action_move(self, right: int, down: int) -> None:
        target = self.cursor + right + down * self.columns
        if 0 <= target < len(self.cells):
            self.cursor = target
        elif down and not 0 <= target < len(self.cells):
            self.cursor = target  # to the first or last cell

    def action_jump(self, to: int) -> None:
        self.cursor = to % max(len(self.cells), 1)

    def action_open(self) -> None:
        cell = self.current
        if cell is None:
            return
        if cell.stop - cell.first == 1:
            self.post_message(self.Picked(cell.first))
        else:
            self._zoom(Range(cell.first, cell.stop))

    def _zoom(self, into: Range) -> None:
        self._zooms.append(into)
        self.cursor = 0
        self.post_message(self.Zoomed())

    def action_out(self) -> bool:
        """To what was shown before; False where nothing was."""
        if not self._zooms:
            return False
        left = self._zooms.pop()
        self.cursor = (left.first - self.shown.first) // max(self.step, 1)
        self.post_message(self.Zoomed())
        return True

    # ----------------------------------------------------------------------------------------------------- mouse

    def at(self, x: int, y: int) -> int | None:
        """The cell at a place of the widget."""
        column = x - self._gutter
        n = y * self.columns + column
        return n if 0 <= column < self.columns and 0 <= n < len(self.cells) else None

    def on_mouse_move(self, event: events.MouseMove) -> None:
        n = self.at(event.x, event.y)
        self.tooltip = None if n is None else Content(self.said(self.cells[n]))

    def on_click(self, event: events.Click) -> None:
        n = self.at(event.x, event.y)
        if n is not None:
            self.cursor = n
            if event.chain == 2:
                self.action_open()

    # ----------------------------------------------------------------------------------------------------- lines

    def notify_style_update(self) -> None:
        self._styles.clear()
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        columns, width = self.columns, self.size.width
        first = y * columns
        row = self._marks[first : first + columns]
        if not row:
            return Strip.blank(width, self.rich_style)
        label = f"{self.cells[first].first:,}".rjust(self._gutter - 1) + " "
        segments = [Segment(label, self.get_component_rich_style("grid--label"))]
        keyed = ((mark, first + n == self.cursor) for n, mark in enumerate(row))
        for (mark, under), same in groupby(keyed):
            segments.append(Segment(mark.glyph * len(list(same)), self._style(mark, under=under)))
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _style(self, mark: Mark, *, under: bool) -> Style:
        """Of a mark, or of the cursor over it."""
        if under:
            return self.get_component_rich_style("grid--cursor")
        if mark.style not in self._styles:
            self._styles[mark.style] = (self.visual_style + VisualStyle.parse(mark.style)).rich_style
        return self._styles[mark.style]
