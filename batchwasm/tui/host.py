"""The screen of a host: what it is taken by over time, what ran there, what it is, what its owner allows, errors."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content

from batchwasm.escape import visible
from batchwasm.tui.bars import bar, chart, spark
from batchwasm.tui.marks import FAINT, mark, tally
from batchwasm.tui.panes import Choices, DrillScreen, Pane, Scrolled, Selection, Words, head, lines, pairs
from batchwasm.tui.screen import Opened
from batchwasm.tui.source import Source
from batchwasm.tui.tasklist import params_text
from batchwasm.units import count_text, duration_text, size_text
from batchwasm.views.explaining import clock
from batchwasm.views.model import HostLine, HostView, Overview, TaskLine

KEPT = 600  # of what the host said of itself since the screen is open: five minutes at two a second
CHART_ROWS = 5
JOBS = 12  # rows of occupancy; jobs beyond are told as one
STYLES = {
    "ready": "$text-success",
    "connecting": "$text-accent",
    "down": "$text-error",
    "lost": "$text-error",
}
"""Of states of a host; others are a warning."""


class HostScreen(DrillScreen):
    """A host. Enter on a task that ran there opens it."""

    DEFAULT_CSS = """
    HostScreen.-wide #left { width: 3fr; }
    HostScreen.-wide #right { width: 2fr; }
    HostScreen.-wide #taken, HostScreen.-wide #right Pane, HostScreen.-wide Scrolled { height: auto; }
    HostScreen.-wide #ran { height: 1fr; min-height: 6; }
    HostScreen #tasks { text-wrap: nowrap; text-overflow: ellipsis; }
    """
    PANES = (("taken", "occupancy"), ("ran", "what ran"), ("facts", "facts"), ("errors", "errors"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "turn_to('errors')", "Errors"),
        Binding("e", "turn_to('facts')", "Facts", show=False),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.host_name = name
        self._told: deque[tuple[float | None, float | None, float | None]] = deque(maxlen=KEPT)
        """Share of its processors, share of its memory, load; since the screen is open."""
        self._heard_at: float | None = None
        self._ran: dict[str, TaskLine] = {}

    @property
    def selected(self) -> Selection:
        """This host; where a task that ran there is chosen, that, too."""
        chosen = self.query_one("#tasks", Choices)
        row = self._ran.get(chosen.chosen or "") if chosen.has_focus else None
        return Selection(host=self.host_name, job=row.job if row else None, task=row.index if row else None)

    def columns(self) -> ComposeResult:
        with Vertical(classes="column", id="left"):
            yield Pane("what takes it", Scrolled(Words(id="occupancy"), Words(id="loads")), id="taken")
            yield Pane("what ran there last", Choices(id="tasks"), Words(id="none-ran"), id="ran")
        with VerticalScroll(classes="column", id="right", can_focus=False):
            yield Pane("facts", Scrolled(Words(id="known"), Words(id="owner")), id="facts")
            yield Pane("errors", Scrolled(Words(id="wrong")), id="errors")

    # ---------------------------------------------------------------------------------------- asked for and shown

    def ask(self, source: Source) -> Any:
        return source.host(self.host_name)

    def show(self, overview: Overview, answer: Any) -> None:
        view: HostView = answer
        self._remember(view.line)
        width = max(30, self.query_one("#taken").size.width - 4)
        self.query_one("#heading", Words).say(_heading(view.line, overview.at))
        self.query_one("#occupancy", Words).say(_occupancy(view, width, overview.at))
        self.query_one("#loads", Words).say(_loads(view.line, list(self._told), width))
        self._ran = {f"{row.job}/{row.index}": row for row in view.ran}
        tasks = self.query_one("#tasks", Choices)
        tasks.put((key, _ran(row)) for key, row in self._ran.items())
        tasks.display = bool(view.ran)
        none = "" if view.ran else _nothing_ran(view.line)
        self.query_one("#none-ran", Words).say(Content.styled(none, FAINT))
        self.query_one("#known", Words).say(_known(view))
        self.query_one("#owner", Words).say(_owner(view))
        self.query_one("#wrong", Words).say(_wrong(view))

    def _remember(self, line: HostLine) -> None:
        """What it says of itself is kept nowhere else."""
        if line.heard_at is None or line.heard_at == self._heard_at:
            return
        self._heard_at = line.heard_at
        self._told.append((line.cpu_share, _memory_share(line), line.load))

    # --------------------------------------------------------------------------------------------- what is pressed

    @on(Choices.OptionSelected, "#tasks")
    def _picked(self) -> None:
        row = self._ran.get(self.query_one("#tasks", Choices).chosen or "")
        if row is not None:
            self.post_message(Opened("task", row.job, row.index))

    def action_turn_to(self, pane: str) -> None:
        self.turn_to(pane, focus=True)


# --------------------------------------------------------------------------------------------------- rows in words


def _memory_share(line: HostLine) -> float | None:
    if not line.memory_bytes or line.memory_available_bytes is None:
        return None
    return min(1.0, max(0.0, 1 - line.memory_available_bytes / line.memory_bytes))


def _heading(line: HostLine, now: float) -> Content:
    style = STYLES.get(line.row.state, "$text-warning")
    heard = "" if line.heard_at is None else f", heard {duration_text(max(0.0, now - line.heard_at))} ago"
    first = Content.assemble(
        ("host ", FAINT),
        (visible(line.row.name), "bold"),
        "  ",
        (f"● {visible(line.row.state)}" if line.row.state == "ready" else f"○ {visible(line.row.state)}", style),
        f"  by {visible(line.transport)}{heard}",
    )
    there = "1 task" if line.row.running == 1 else f"{count_text(line.row.running)} tasks"
    second = f"{there} there now, {count_text(line.row.done)} done"
    if line.suspended:
        stopped = "1 batch" if line.suspended == 1 else f"{count_text(line.suspended)} batches"
        second += f", {stopped} stopped while it is left to others"
    reason = [Content.styled(visible(line.row.reason), style)] if line.row.reason else []
    return lines(first, *reason, Content(second))


def _occupancy(view: HostView, width: int, now: float) -> Content:
    """By job, a row each on the scale of all its cpus, so that rows add up."""
    cpus = view.line.cpus or view.line.row.cpus or 0.0
    totals = [sum(values) for values in zip(*view.occupancy.values(), strict=False)]
    if not totals:
        return lines(head("occupancy"), Content.styled("nothing has run here in this run", FAINT))
    most = max(cpus, *totals)
    span = f"the last {duration_text(len(totals) * view.span_s)}"
    rows = chart(totals, width - 5, CHART_ROWS, most)
    labels = [f"{most:>4.3g} ", *("     " for _ in rows[1:-1]), "   0 "]
    first, last = clock(view.since), clock(now)
    scale = Content.styled(f"     {first}{last:>{max(1, width - 5 - len(first))}}", FAINT)
    parts = [head(f"cpus taken by this run, of {cpus:g}, {span}")]
    parts += [Content.assemble((label, FAINT), (row, "$text-accent")) for label, row in zip(labels, rows, strict=False)]
    return lines(*parts, scale, Content(""), head("by job"), *_by_job(view, width, most))


def _by_job(view: HostView, width: int, most: float) -> Iterator[Content]:
    jobs = sorted(view.occupancy, key=lambda job: -sum(view.occupancy[job]))
    shown = {job: view.occupancy[job] for job in jobs[:JOBS]}
    if len(jobs) > JOBS:
        rest = [view.occupancy[job] for job in jobs[JOBS:]]
        shown[f"{len(rest)} others"] = tuple(map(sum, zip(*rest, strict=False)))
    wide = min(16, max(map(len, shown)))
    for job, values in shown.items():
        name = visible(job)
        name = name if len(name) <= wide else name[: wide - 1] + "…"
        now = f"{values[-1]:>5.3g} now, {sum(values) / len(values):>5.3g} mean"
        yield Content.assemble(
            (f"{name:<{wide}} ", "bold"),
            (spark(values, max(8, width - wide - len(now) - 2), most), "$text-accent"),
            f" {now}",
        )


def _loads(line: HostLine, told: list[tuple[float | None, float | None, float | None]], width: int) -> Content:
    """As numbers, and as they went since the screen is open."""
    parts = [Content(""), head("the machine, with all that others do there")]
    if line.heard_at is None:
        return lines(*parts, Content.styled("it has not said anything of itself yet", FAINT))
    room = max(8, min(40, width - 44))
    past = max(8, width - room - 44)
    memory = _memory_share(line)
    in_use = (
        None
        if line.memory_bytes is None or line.memory_available_bytes is None
        else (f"{size_text(max(0, line.memory_bytes - line.memory_available_bytes))} of {size_text(line.memory_bytes)}")
    )
    rows = (
        ("cpu", line.cpu_share, f"{(line.cpu_share or 0) * 100:.0f} %", 0, 1.0),
        ("memory", memory, in_use or "", 1, 1.0),
        (
            "load",
            None if line.load is None else line.load / (line.cpus or 1),
            f"{line.load or 0:.1f}",
            2,
            line.cpus or 1,
        ),
    )
    for name, share, text, at, most in rows:
        if share is None:
            parts.append(Content.assemble((f"{name:<7} ", FAINT), "not known"))
            continue
        values = [float(entry[at] or 0.0) for entry in told]
        style = "$text-warning" if share > 0.9 else "$text-success"
        trail = spark(values[-past:], min(past, len(values)), most) if len(values) > 1 else ""
        parts.append(
            Content.assemble(
                (f"{name:<7} ", FAINT), bar(min(1.0, share), room, style), f" {text:<20} ", (trail, "$text-accent")
            )
        )
    if line.disk_free_bytes is not None:
        parts.append(Content.assemble(("disk    ", FAINT), f"{size_text(line.disk_free_bytes)} free"))
    for n, job in enumerate(line.gpus):
        parts.append(Content.assemble((f"gpu {n:<3} ", FAINT), visible(job) if job else "free"))
    return lines(*parts)


def _ran(row: TaskLine) -> Content:
    found = mark(row.state)
    took = "-" if row.wall_s is None else duration_text(row.wall_s)
    ended = "" if row.started_at is None or row.wall_s is None else clock(row.started_at + row.wall_s)
    last = visible(row.reason) if row.reason and row.state != "succeeded" else params_text(row)
    return Content.assemble(
        (f"{ended:>5} ", FAINT),
        (found.glyph, found.style),
        f" {visible(f'{row.job}/{row.index}'):<18} {took:>11}  ",
        (last, FAINT),
    )


def _nothing_ran(line: HostLine) -> str:
    if line.row.state in ("down", "connecting", "unused"):
        return "nothing ran here: it was not reached"
    return "nothing has ended here yet" if line.row.running else "nothing has run here yet"


def _known(view: HostView) -> Content:
    if not view.facts:
        return Content.styled("it has not told what it is yet: it was not reached", FAINT)
    return pairs((visible(name.replace("_", " ")), visible(_fact(name, value))) for name, value in view.facts.items())


def _fact(name: str, value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if name.endswith("_bytes"):
            return size_text(value)
        if name.endswith("_at"):
            return clock(value)
        if name.endswith("_s"):
            return duration_text(value)
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _owner(view: HostView) -> Content:
    allowed = [Content(f"• {visible(sentence)}") for sentence in view.owner]
    return lines(
        Content(""),
        head("what its owner allows"),
        *(allowed or [Content.styled("all of it, at any time (there is no host.toml)", FAINT)]),
    )


def _wrong(view: HostView) -> Content:
    ended = [Content.assemble(("ended there: ", FAINT), tally(view.by_outcome)), Content("")] if view.by_outcome else []
    if not view.errors:
        return lines(*ended, Content.styled("nothing went wrong here", FAINT))
    tones = {"bad": "$text-error", "warning": "$text-warning", "good": "$text-success"}
    said = [
        Content.assemble((f"{clock(entry.at)} ", FAINT), (visible(entry.text), tones.get(entry.tone, "")))
        for entry in reversed(view.errors)
    ]
    return lines(*ended, *said)
