"""The screen of a job: its tasks as cells and as a table, what failed and why, how long they take, what they need."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style

from batchwasm.escape import visible
from batchwasm.tui.grid import Range, TaskGrid
from batchwasm.tui.jobtext import durations_text, group_text, heading, no_failure, no_tasks, slow_text, usage_text
from batchwasm.tui.marks import FAINT, legend
from batchwasm.tui.panes import Asking, Choices, DrillScreen, Pane, Prose, Selection, faint
from batchwasm.tui.screen import Asked, Opened
from batchwasm.tui.source import Source
from batchwasm.tui.tasklist import FILTERS, Page, TaskTable, Wanted, params_text
from batchwasm.views.model import Cell, FailureGroup, JobView, Overview

GRID_SHARE = 3  # of the screen's lines, one in so many is for cells


@dataclass(frozen=True, slots=True)
class _Asks:
    """What is seen, so that only that is asked for."""

    cells: int = 80
    zoom: Range | None = None
    step: int = 1
    wanted: Wanted = field(default_factory=Wanted)
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class _Answer:
    asks: _Asks
    job: JobView
    cells: tuple[Cell, ...]
    page: Page


class JobScreen(DrillScreen):
    """A job. Enter on a cell, a row, a group of failures, opens a task."""

    DEFAULT_CSS = """
    JobScreen #tasks { height: 1fr; }
    JobScreen #cell { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    JobScreen #legend { height: auto; max-height: 3; }
    JobScreen #which { height: 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis; }
    JobScreen.-wide #left { width: 3fr; }
    JobScreen.-wide #right { width: 2fr; }
    JobScreen.-wide #right Pane { height: auto; }
    JobScreen #row { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    JobScreen #slowest { text-wrap: nowrap; text-overflow: ellipsis; }
    JobScreen #groups { max-height: 14; }
    JobScreen.-narrow #groups { max-height: 100%; }
    """
    PANES = (("tasks", "tasks"), ("failures", "failures"), ("times", "times"), ("needs", "needs"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter"),
        Binding("t", "states", "State"),
        Binding("s", "sort", "Sort"),
        Binding("S", "turn", "Turn round", show=False),
        Binding("f", "failures", "Failed"),
        Binding("o", "output", "Output", show=False),
        Binding("e", "explain", "Explain", show=False),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.job = name
        self._asks = _Asks()
        self._groups: dict[str, FailureGroup] = {}
        self._seen: _Answer | None = None

    @property
    def selected(self) -> Selection:
        """The task under the cursor of the table, of a cell of one task, or of a list; else the job."""
        tasks = 0 if self._seen is None else self._seen.job.line.row.tasks.total
        return Selection(job=self.job, task=self._meant(), tasks=tasks)

    def _meant(self) -> int | None:
        focused = self.focused
        if isinstance(focused, TaskGrid):
            cell = focused.current
            return cell.first if cell is not None and cell.stop - cell.first == 1 else None
        if isinstance(focused, TaskTable):
            return None if focused.current is None else focused.current.index
        if isinstance(focused, Choices) and focused.id == "slowest" and focused.chosen is not None:
            return int(focused.chosen)
        return None

    def columns(self) -> ComposeResult:
        with Vertical(classes="column", id="left"):
            yield Pane(
                "tasks",
                TaskGrid(id="grid"),
                Prose(id="cell"),
                Prose(id="legend"),
                Prose(id="which"),
                Asking(placeholder="text in parameters, host or reason", id="filter"),
                TaskTable(id="table"),
                Prose(id="row"),
                id="tasks",
            )
        with VerticalScroll(classes="column", id="right", can_focus=False):
            yield Pane("failures", Choices(id="groups"), Prose(id="no-failures"), id="failures")
            yield Pane("times", Prose(id="durations"), Choices(id="slowest"), id="times")
            yield Pane("what it asks and takes", Prose(id="usage"), id="needs")

    # ---------------------------------------------------------------------------------------- asked for and shown

    def ask(self, source: Source) -> Any:
        asks = self._asks
        self.folder = source.folder
        rows, total = source.tasks(
            self.job,
            states=FILTERS[asks.wanted.states][1],
            text=asks.wanted.text,
            sort=asks.wanted.sort,
            descending=asks.wanted.descending,
            offset=asks.offset,
            limit=asks.limit,
        )
        some = () if asks.zoom is None else (asks.zoom.first, asks.zoom.stop)
        cells = source.cells(self.job, asks.cells, *some)
        return _Answer(asks, source.job(self.job), cells, Page(asks.wanted, asks.offset, rows, total))

    def put(self, overview: Overview, answer: Any) -> None:
        found: _Answer = answer
        self._seen = found
        tasks = found.job.line.row.tasks.total
        grid = self.query_one(TaskGrid)
        if grid.tasks != tasks:
            grid.tasks = tasks
        self._fit()
        if found.asks.zoom == (None if grid.shown.count == tasks else grid.shown):
            grid.put(found.cells)
        table = self.query_one(TaskTable)
        table.empty = no_tasks(table.wanted)
        table.put(found.page)
        self.query_one("#which", Prose).say(table.wanted.said(table.total, tasks))
        self.query_one("#heading", Prose).say(heading(found.job.line, max(self.size.width - 2, 20)))
        self._show_cell()
        self._show_row()
        self._show_sides(found.job)
        self._ask_anew()

    def _show_cell(self) -> None:
        grid = self.query_one(TaskGrid)
        counts: Counter[str] = Counter()
        for cell in grid.cells:
            counts.update(cell.counts)
        inside = f"   (of {grid.shown.first:,}-{grid.shown.stop - 1:,}; Backspace: all)" if grid.is_zoomed else ""
        self.query_one("#cell", Prose).say(Content.assemble((grid.said(grid.current), "bold"), (inside, FAINT)))
        width = max(20, grid.size.width)
        self.query_one("#legend", Prose).say(legend(counts, width, mixed=grid.step > 1))

    def _show_row(self) -> None:
        """All that the row under the cursor has no room for."""
        row = self.query_one(TaskTable).current
        said: list[str | Content | tuple[str, str | Style]] = (
            []
            if row is None
            else [
                (f"task {row.index:,}: ", "bold"),
                visible(row.reason or ""),
                " " if row.reason else "",
                (params_text(row), FAINT),
            ]
        )
        self.query_one("#row", Prose).say(Content.assemble(*said))

    def _show_sides(self, job: JobView) -> None:
        width = self.room("times")
        self._groups = {f"{group.outcome} {group.code} {group.text}": group for group in job.failures}
        groups = self.query_one("#groups", Choices)
        groups.put((key, group_text(group)) for key, group in self._groups.items())
        groups.display = bool(job.failures)
        tasks = job.line.row.tasks
        self.query_one("#no-failures", Prose).say(
            faint("Enter opens an example") if job.failures else faint(no_failure(tasks.done, tasks.total))
        )
        self.query_one("#durations", Prose).say(durations_text(job, width))
        slowest = self.query_one("#slowest", Choices)
        slowest.put((str(row.index), slow_text(row)) for row in job.slowest)
        slowest.display = bool(job.slowest)
        self.query_one("#usage", Prose).say(usage_text(job, width))

    def _fit(self) -> None:
        self.query_one(TaskGrid).most_rows = max(3, self.size.height // GRID_SHARE)

    def on_resize(self, event: events.Resize) -> None:
        self._fit()
        self.call_after_refresh(self._ask_anew)
        if self._seen is not None:
            self.query_one("#heading", Prose).say(heading(self._seen.job.line, max(event.size.width - 2, 20)))

    def _ask_anew(self) -> None:
        """Where what is seen has changed, ask for it now."""
        grid, table = self.query_one(TaskGrid), self.query_one(TaskTable)
        step = grid.step
        offset, limit = table.window
        asks = _Asks(
            cells=-(-max(grid.shown.count, 1) // step),
            zoom=grid.shown if grid.is_zoomed else None,
            step=step,
            wanted=table.wanted,
            offset=offset,
            limit=limit,
        )
        if asks != self._asks:
            self._asks = asks
            self.post_message(Asked())

    # --------------------------------------------------------------------------------------------- what is pressed

    @on(TaskGrid.Zoomed)
    @on(TaskTable.Needed)
    def _other_rows(self) -> None:
        self._ask_anew()

    @on(TaskGrid.Moved)
    def _other_cell(self) -> None:
        self._show_cell()

    @on(TaskTable.Moved)
    def _other_row(self) -> None:
        self._show_row()

    @on(TaskGrid.Picked)
    @on(TaskTable.Picked)
    def _picked(self, message: TaskGrid.Picked | TaskTable.Picked) -> None:
        self.post_message(Opened("task", self.job, message.index))

    @on(Choices.OptionSelected, "#slowest")
    def _slow_picked(self) -> None:
        chosen = self.query_one("#slowest", Choices).chosen
        if chosen is not None:
            self.post_message(Opened("task", self.job, int(chosen)))

    @on(Choices.OptionSelected, "#groups")
    def _group_picked(self) -> None:
        group = self._groups.get(self.query_one("#groups", Choices).chosen or "")
        if group is not None and group.examples:
            self.post_message(Opened("task", self.job, group.examples[0]))

    def action_filter(self) -> None:
        self.turn_to("tasks", focus=False)
        self.query_one("#filter", Asking).open(self.query_one(TaskTable).wanted.text)

    @on(Asking.Submitted, "#filter")
    def _filtered(self, message: Asking.Submitted) -> None:
        table = self.query_one(TaskTable)
        self.query_one("#filter", Asking).shut()
        table.focus()
        self._want(replace(table.wanted, text=message.value.strip()))

    @on(Asking.Left, "#filter")
    def _not_filtered(self) -> None:
        self.query_one(TaskTable).focus()

    def action_states(self) -> None:
        wanted = self.query_one(TaskTable).wanted
        self._want(replace(wanted, states=(wanted.states + 1) % len(FILTERS)))

    def action_sort(self) -> None:
        self.turn_to("tasks", focus=False)
        self.query_one(TaskTable).sort_next()
        self._told()

    def action_turn(self) -> None:
        table = self.query_one(TaskTable)
        table.sort_by(table.wanted.sort)
        self._told()

    def _want(self, wanted: Wanted) -> None:
        self.turn_to("tasks", focus=False)
        self.query_one(TaskTable).want(wanted)
        self._told()

    def _told(self) -> None:
        self.query_one("#which", Prose).say(f"{self.query_one(TaskTable).wanted.asked()} ...")

    def action_replay(self) -> None:
        """Of the task that is meant, else of one that failed: of the group under the cursor, where there is one."""
        task = self._meant()
        if task is None and self._seen is not None:
            groups = self.query_one("#groups", Choices)
            group = self._groups.get(groups.chosen or "") if groups.has_focus else None
            failed = (found.examples[0] for found in (group, *self._seen.job.failures) if found and found.examples)
            task = next(failed, 0)
        self.copy_replay(self.job, task)

    def action_failures(self) -> None:
        self.turn_to("failures", focus=True)

    def action_output(self) -> None:
        self._open_at("output")

    def action_explain(self) -> None:
        self._open_at("explain")

    def _open_at(self, pane: str) -> None:
        task = self._meant()
        if task is not None:
            self.post_message(Opened("task", self.job, task, pane))
