"""The screen of a job: its tasks as cells and as a table, what failed and why, how long they take, what they need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.style import Style

from batchwasm.core.sizing import Sizing
from batchwasm.escape import visible
from batchwasm.tui.bars import bar, stacked
from batchwasm.tui.grid import Range, TaskGrid
from batchwasm.tui.marks import FAINT, MARKS, legend, mark, word
from batchwasm.tui.panes import Asking, Choices, DrillScreen, Pane, Selection, Words, faint, head, lines
from batchwasm.tui.screen import Asked, Opened
from batchwasm.tui.source import Source
from batchwasm.tui.tasklist import FILTERS, Page, TaskTable, Wanted, params_text
from batchwasm.tui.told import used_of
from batchwasm.units import count_text, duration_text, size_text
from batchwasm.views.model import Cell, FailureGroup, JobLine, JobView, Overview, TaskLine

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
    JobScreen #legend { height: auto; max-height: 2; }
    JobScreen #which { height: 1; margin-top: 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis; }
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
        Binding("t", "states", "By state"),
        Binding("s", "sort", "Sort"),
        Binding("S", "turn", "Turn round", show=False),
        Binding("f", "failures", "Failures"),
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
        return Selection(job=self.job, task=self._meant())

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
                Words(id="cell"),
                Words(id="legend"),
                Words(id="which"),
                Asking(placeholder="text in parameters, host or reason", id="filter"),
                TaskTable(id="table"),
                Words(id="row"),
                id="tasks",
            )
        with VerticalScroll(classes="column", id="right", can_focus=False):
            yield Pane("failures", Choices(id="groups"), Words(id="no-failures"), id="failures")
            yield Pane("times", Words(id="durations"), Choices(id="slowest"), id="times")
            yield Pane("what it asks and takes", Words(id="usage"), id="needs")

    # ---------------------------------------------------------------------------------------- asked for and shown

    def ask(self, source: Source) -> Any:
        asks = self._asks
        rows, total = source.tasks(
            self.job,
            states=FILTERS[asks.wanted.states][1],
            text=asks.wanted.text,
            sort=asks.wanted.sort,
            descending=asks.wanted.descending,
            offset=asks.offset,
            limit=asks.limit,
        )
        return _Answer(
            asks, source.job(self.job), _cells(source, self.job, asks), Page(asks.wanted, asks.offset, rows, total)
        )

    def show(self, overview: Overview, answer: Any) -> None:
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
        table.empty = _no_tasks(table.wanted)
        table.put(found.page)
        self.query_one("#which", Words).say(table.wanted.said(table.total, tasks))
        self.query_one("#heading", Words).say(_heading(found.job.line, max(self.size.width - 2, 20)))
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
        self.query_one("#cell", Words).say(Content.assemble((grid.said(grid.current), "bold"), (inside, FAINT)))
        width = max(20, grid.size.width)
        self.query_one("#legend", Words).say(legend(counts, width, mixed=grid.step > 1))

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
        self.query_one("#row", Words).say(Content.assemble(*said))

    def _show_sides(self, job: JobView) -> None:
        width = max(20, self.query_one("#times").size.width - 2)
        self._groups = {f"{group.outcome} {group.code} {group.text}": group for group in job.failures}
        groups = self.query_one("#groups", Choices)
        groups.put((key, _group(group)) for key, group in self._groups.items())
        groups.display = bool(job.failures)
        tasks = job.line.row.tasks
        self.query_one("#no-failures", Words).say(
            faint("Enter opens an example") if job.failures else faint(_no_failure(tasks.done, tasks.total))
        )
        self.query_one("#durations", Words).say(_durations(job, width))
        slowest = self.query_one("#slowest", Choices)
        slowest.put((str(row.index), _slow(row)) for row in job.slowest)
        slowest.display = bool(job.slowest)
        self.query_one("#usage", Words).say(_usage(job, width))

    def _fit(self) -> None:
        self.query_one(TaskGrid).most_rows = max(3, self.size.height // GRID_SHARE)

    def on_resize(self, event: events.Resize) -> None:
        self._fit()
        self.call_after_refresh(self._ask_anew)
        if self._seen is not None:
            self.query_one("#heading", Words).say(_heading(self._seen.job.line, max(event.size.width - 2, 20)))

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
        self.query_one("#which", Words).say(f"{self.query_one(TaskTable).wanted.asked()} ...")

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


def _cells(source: Source, job: str, asks: _Asks) -> tuple[Cell, ...]:
    if asks.zoom is None:
        return source.cells(job, asks.cells)
    rows, _ = source.tasks(job, offset=asks.zoom.first, limit=asks.zoom.count)
    parts = [rows[n : n + asks.step] for n in range(0, len(rows), asks.step)]
    return tuple(
        Cell(first=part[0].index, stop=part[-1].index + 1, counts=Counter(row.state for row in part)) for part in parts
    )


# --------------------------------------------------------------------------------------------------- rows in words


def _heading(line: JobLine, width: int) -> Content:
    tasks = line.row.tasks
    named = [
        (name, getattr(tasks, name)) for name in ("succeeded", "running", "failed", "cancelled", "skipped", "waiting")
    ]
    counts = Content("  ").join(
        Content.styled(f"{mark(name).glyph} {count_text(many)} {name}", mark(name).style)
        for name, many in named
        if many
    )
    title = Content.assemble(
        ("job ", FAINT),
        (visible(line.row.name), "bold"),
        f"  {line.phase}  ",
        f"{count_text(tasks.done)} of {count_text(tasks.total)} done",
        f", {duration_text(line.mean_s)} each" if line.mean_s is not None else "",
        f", {count_text(line.retried)} tried again" if line.retried else "",
    )
    chars = {"waiting": "░", "running": "▓", "succeeded": "█", "failed": "F", "cancelled": "-", "skipped": "/"}
    progress = stacked([(many, chars[name], MARKS[name].style) for name, many in named], width)
    detail = [Content.styled(visible(line.detail), "$text-warning")] if line.detail else []
    return lines(title, progress, counts, *detail)


def _no_tasks(wanted: Wanted) -> str:
    if wanted.states or wanted.text:
        return "  no task is like that: t shows other states, / another text"
    return "  it has no tasks yet"


def _no_failure(done: int, total: int) -> str:
    if not done:
        return "no task has failed; none has ended yet"
    return "no task has failed" if done == total else f"no task has failed; {count_text(total - done)} are left"


def _group(group: FailureGroup) -> Content:
    found = mark(group.outcome)
    what = visible(group.text or "") or "without a reason"
    hosts = sorted(group.by_host, key=lambda host: -group.by_host[host])
    where = ", ".join(f"{visible(host)} {group.by_host[host]:,}" for host in hosts[:3])
    more = f" and {len(hosts) - 3} more" if len(hosts) > 3 else ""
    tasks = ", ".join(f"{index:,}" for index in group.examples[:5])
    return Content.assemble(
        (f"{found.glyph} {count_text(group.count)} {word(group.outcome)}", found.style),
        f": {what}\n",
        (f"  tasks {tasks}{'; on ' + where + more if where else ''}", FAINT),
    )


def _slow(row: TaskLine) -> Content:
    found = mark(row.state)
    took = "-" if row.wall_s is None else duration_text(row.wall_s)
    return Content.assemble(
        (found.glyph, found.style),
        f" {row.index:>9,}  {took:>11}  {visible(row.host or '-'):<12} ",
        (params_text(row), FAINT),
    )


def _durations(job: JobView, width: int) -> Content:
    if not job.durations:
        return faint("no attempt has ended yet, so nobody knows how long they take")
    labels = [f"{duration_text(low)} – {duration_text(high)}" for low, high, _ in job.durations]
    most = max(count for _, _, count in job.durations)
    wide, numbers = max(map(len, labels)), len(count_text(most))
    room = max(4, width - wide - numbers - 4)
    rows = [
        Content.assemble(f"{label:>{wide}}  ", bar(count / max(most, 1), room), f"  {count_text(count):>{numbers}}")
        for label, (_, _, count) in zip(labels, job.durations, strict=True)
    ]
    slowest = [Content(""), head("slowest")] if job.slowest else []
    return lines(head("how long attempts took"), *rows, *slowest)


def _usage(job: JobView, width: int) -> Content:
    usage = job.line.row.usage
    if usage is None:
        return faint("nothing has ended yet, so nobody knows what it takes")
    advice = [Content(f"• {visible(sentence)}") for sentence in job.advice] or [faint("what it asks for is right")]
    return lines(*_measures(usage, max(6, min(30, width - 44))), Content(""), *advice)


def _measures(usage: Sizing, width: int) -> Iterator[Content]:
    """`memory  ███───  120 MiB of 512 MiB  23 %`."""
    rows = (
        ("cpus", usage.cpus, lambda number: f"{number:.2g}"),
        ("memory", usage.memory_bytes, size_text),
        ("time", usage.time_s, duration_text),
        ("disk", usage.disk_bytes, size_text),
    )
    yield faint(f"most that {count_text(usage.attempts)} attempts took, of what is asked for")
    for name, measure, text in rows:
        yield used_of(name, measure.used, measure.asked, text, width)
