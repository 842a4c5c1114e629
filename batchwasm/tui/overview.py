"""The first screen: how far the run is, its jobs, its hosts, what happened last."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.widgets import Footer, Input, Static

from batchwasm.escape import visible_text
from batchwasm.tui.chart import UseChart
from batchwasm.tui.columns import EVENTS, HOSTS, JOBS, text_of_event, text_of_host, text_of_job
from batchwasm.tui.drawn import Lines
from batchwasm.tui.said import STATES, eta_text, marked, percent, rate_text, tally
from batchwasm.tui.screen import Asked, Copied, Opened, RunScreen, Wished
from batchwasm.tui.shapes import bar, sparkline
from batchwasm.tui.source import Source
from batchwasm.tui.table import Table
from batchwasm.tui.wishes import Verb, Wish, of_job, of_task, replay_command
from batchwasm.tui.words import Words, fitted, foreign, joined, width_of, words
from batchwasm.views.model import HostLine, JobLine, Overview, Pace, Said

TALL, WIDE = 32, 160  # lines, cells: from where on there is a chart, and tables may stand side by side
CLOCK_CELLS = 10  # of `123:45:06`
PACE_S = 3.0  # between two words on how fast it goes
BOTTOM_SHORT, BOTTOM_TALL, BOTTOM_MOST = 5, 9, 18  # lines of events and chart


class OverviewScreen(RunScreen):
    """How far the run is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # At once, before the next key is looked at: what is typed behind it is no command.
        Binding("slash", "filter", "Filter", key_display="/", priority=True),
        Binding("c", "cancel", "Cancel"),
        Binding("r", "retry", "Retry"),
        Binding("d", "drain", "Drain"),
        Binding("p", "pause", "Pause"),
        Binding("y", "replay", "Copy replay", show=False),
        Binding("C", "cancel_all", "Cancel all", show=False),
        Binding("R", "again", "Resume, or retry all", show=False),
        Binding("z", "zoom", "Zoom", show=False),
        Binding("escape", "unfilter", "Show all", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-normal"), (WIDE, "-wide")]
        self.VERTICAL_BREAKPOINTS = [(0, "-short"), (TALL, "-tall")]
        self._overview: Overview | None = None
        self._wants_replay_of: tuple[str, int | None] | None = None
        self._reason: str | None = None
        self._pace: Pace | None = None
        self._pace_at = 0.0
        self._filtered: Table[Any] | None = None
        self._heights: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        with Horizontal(id="head"):
            yield Lines(id="state")
            yield Lines(id="clock")  # a widget of its own: of a line, Textual draws all that is left of what changes
        yield Lines(height=3, id="progress")
        yield Lines(id="limits")
        with VerticalScroll(id="reason", can_focus=False):
            yield Static(id="why")
        with Container(id="tables"):
            yield Table[JobLine](
                JOBS,
                key=lambda job: job.row.name,
                text=text_of_job,
                noun=("job", "jobs"),
                empty="no jobs yet: the run begins",
                id="jobs",
            )
            yield Table[HostLine](
                HOSTS,
                key=lambda host: host.row.name,
                text=text_of_host,
                noun=("host", "hosts"),
                empty="no hosts yet: the run begins",
                id="hosts",
            )
        with Container(id="bottom"):
            yield Table[Said](
                EVENTS,
                key=lambda said: (said.at, said.text, said.job, said.task, said.host),
                text=text_of_event,
                noun=("event", "events"),
                empty="nothing has happened yet",
                follows=True,
                id="events",
            )
            yield UseChart(id="use")
        yield Input(id="filter", placeholder="show only rows with ...", select_on_focus=False)
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.query_one("#filter", Input).cursor_blink = False
        self.query_one("#state", Lines).put([words("looking at the run ...", "dim")])
        self.query_one("#jobs").focus()

    # --------------------------------------------------------------------------------------------- what is shown

    def ask(self, source: Source) -> Any:
        if self._wants_replay_of is None:
            return None
        (job, task), self._wants_replay_of = self._wants_replay_of, None
        if task is None:  # of a job: one that failed
            task = next((group.examples[0] for group in source.failures(job) if group.examples), 0)
        return replay_command(source.folder, job, task)

    def show(self, overview: Overview, answer: Any) -> None:
        self._overview = overview
        lives = overview.status.state == "running"
        self.query_one("#state", Lines).put([_state_line(overview)])
        self.query_one("#clock", Lines).put([fitted(words(_clock(overview.status.wall_s)), CLOCK_CELLS, right=True)])
        progress = self.query_one("#progress", Lines)
        progress.put(list(_progress(overview, progress.size.width, self._pace_of(overview))))
        self.query_one("#limits", Lines).put([_limits_line(overview)])
        self._show_reason(overview)
        self._jobs.put(overview.jobs, overview.at)
        self._hosts.put(overview.hosts, overview.at if lives else 0.0)
        self._events.put(overview.said, overview.at)
        self.query_one("#use", UseChart).show(overview.history, lives)
        self._share()
        if answer is not None:
            self.post_message(Copied(answer))

    def _pace_of(self, overview: Overview) -> Pace:
        """Told anew every few seconds only: it goes on a little at each look, and people can't read as fast."""
        new, old = overview.pace, self._pace
        same = old is not None and (old.left_s is None) == (new.left_s is None)
        if old is None or not same or abs(overview.at - self._pace_at) >= PACE_S:
            self._pace, self._pace_at = new, overview.at
            return new
        return old

    def refuse(self, text: str) -> None:
        self.query_one("#limits", Lines).put([foreign(f"the run can't be read now: {text}", "bad")])

    def _show_reason(self, overview: Overview) -> None:
        """All that a compiler said, where that is why it stopped."""
        reason = overview.status.reason if overview.status.state != "running" else None
        if reason == self._reason:
            return
        self._reason = reason
        self.query_one("#why", Static).update(Content(visible_text(reason or "")))
        self.query_one("#reason").display = bool(reason)

    @property
    def _jobs(self) -> Table[JobLine]:
        return self.query_one("#jobs", Table)

    @property
    def _hosts(self) -> Table[HostLine]:
        return self.query_one("#hosts", Table)

    @property
    def _events(self) -> Table[Said]:
        return self.query_one("#events", Table)

    def _share(self) -> None:
        """The lines that jobs, hosts and what is below get: what they need, or a fair share where that is too much."""
        if self.has_class("-zoomed"):
            self._set_heights(jobs="1fr", hosts="1fr", bottom="1fr")
            return
        least = BOTTOM_TALL if self.size.height >= TALL else BOTTOM_SHORT
        room = self.query_one("#tables").size.height + self.query_one("#bottom").size.height
        jobs, hosts = max(1, len(self._jobs.rows)) + 1, max(1, len(self._hosts.rows)) + 1
        beside = self.size.width >= WIDE and jobs + hosts + least > room
        self.set_class(beside, "-beside")
        need = max(jobs, hosts) if beside else jobs + hosts
        bottom = max(least, min(room - need, BOTTOM_MOST))
        if beside:
            self._set_heights(jobs="1fr", hosts="1fr", bottom=str(bottom))
        else:
            left = room - bottom
            lines = min(jobs, max(left // 2, left - hosts))
            self._set_heights(jobs=str(lines), hosts="1fr", bottom=str(bottom))

    def _set_heights(self, **heights: str) -> None:
        for id, height in heights.items():
            if self._heights.get(id) != height:
                self._heights[id] = height
                self.query_one(f"#{id}").styles.height = height

    def on_resize(self) -> None:
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        if self._overview is not None:
            self.show(self._overview, None)

    # ------------------------------------------------------------------------------------------------- what is done

    @on(Table.Chosen)
    def _choose(self, event: Table.Chosen) -> None:
        match event.row:
            case JobLine():
                self.post_message(Opened("job", event.row.row.name))
            case HostLine():
                self.post_message(Opened("host", event.row.row.name))
            case Said(job=str() as job, task=int() as task):
                self.post_message(Opened("task", job, task))
            case Said(host=str() as host):
                self.post_message(Opened("host", host))
            case Said(job=str() as job):
                self.post_message(Opened("job", job))

    @property
    def _focused_row(self) -> JobLine | HostLine | Said | None:
        return self.focused.row if isinstance(self.focused, Table) else None

    def _tasks_of_row(self, verb: Verb) -> Wish | None:
        match self._focused_row:
            case JobLine() as job:
                return of_job(verb, job.row.name, job.row.tasks.total)
            case Said(job=str() as job, task=int() as task):
                return of_task(verb, job, task)
        self.notify(f"to {verb}: go to a job, or to an event of a task; Tab goes from table to table", markup=False)
        return None

    def action_cancel(self) -> None:
        self._wish(self._tasks_of_row("cancel"))

    def action_retry(self) -> None:
        self._wish(self._tasks_of_row("retry"))

    def action_cancel_all(self) -> None:
        self._wish(Wish(verb="cancel", what="all of the run"))

    def action_again(self) -> None:
        """What stopped goes on; of what goes on or has finished all that failed runs again."""
        stopped = self._overview is not None and self._overview.status.state == "stopped"
        self._wish(Wish(verb="resume", what="the run") if stopped else Wish(verb="retry", what="all of the run"))

    def action_drain(self) -> None:
        row = self._focused_row
        if not isinstance(row, HostLine):
            self.notify("to drain: go to a host; Tab goes from table to table", markup=False)
            return
        again = row.row.state in ("drained", "aside", "probation")
        self._wish(Wish(verb="undrain" if again else "drain", hosts=(row.row.name,), what=row.row.name))

    def action_pause(self) -> None:
        paused = self._overview is not None and self._overview.status.paused is not None
        self._wish(Wish(verb="unpause" if paused else "pause", what="the run"))

    def action_replay(self) -> None:
        match self._focused_row:
            case JobLine() as job:
                self._wants_replay_of = (job.row.name, None)
            case Said(job=str() as job, task=int() as task):
                self._wants_replay_of = (job, task)
            case _:
                self.notify("to copy a replay: go to a job, or to an event of a task", markup=False)
                return
        self.post_message(Asked())

    def _wish(self, wish: Wish | None) -> None:
        if wish is not None:
            self.post_message(Wished(wish))

    # ------------------------------------------------------------------------------------------------- the filter

    def action_filter(self) -> None:
        if isinstance(self.focused, Table):
            self._filtered = self.focused
        box = self.query_one("#filter", Input)
        box.value = self._filtered.filtered if self._filtered is not None else ""
        box.display = True
        self.set_focus(box)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not (action == "filter" and isinstance(self.focused, Input))

    @on(Input.Changed, "#filter")
    def _filter_changed(self, event: Input.Changed) -> None:
        if self._filtered is not None and self.query_one("#filter").display:
            self._filtered.filter(event.value)
            self._share()

    @on(Input.Submitted, "#filter")
    def _filter_done(self) -> None:
        self._close_filter()

    def action_unfilter(self) -> None:
        table = self._filtered if self.query_one("#filter").display else self.focused
        if isinstance(table, Table):
            table.filter("")
            self._share()
        self._close_filter()

    def _close_filter(self) -> None:
        self.query_one("#filter").display = False
        if self._filtered is not None:
            self._filtered.focus()

    def action_zoom(self) -> None:
        """The table with the cursor alone, or all again."""
        if not isinstance(self.focused, Table):
            return
        zoomed = not self.has_class("-zoomed")
        self.set_class(zoomed, "-zoomed")
        for table in (self._jobs, self._hosts, self._events):
            table.display = not zoomed or table is self.focused
        self.query_one("#tables").display = not zoomed or self.focused is not self._events
        self.query_one("#bottom").display = not zoomed or self.focused is self._events
        self._share()


def _state_line(overview: Overview) -> Words:
    status = overview.status
    mark = STATES.get(status.state, ("·", "plain"))
    if status.state == "finished" and status.tasks.succeeded < status.tasks.total:
        mark = (mark[0], "warning")
    parts = [foreign(status.run, "strong"), marked(mark, status.state)]
    if status.paused is not None:
        parts.append((("‖ paused", "warning"), *foreign(f" {status.paused}".rstrip())))
    if status.state != "running":
        parts.append(words(_again(overview), "dim"))
    return joined(parts)


def _again(overview: Overview) -> str:
    """What can be done with a run that is over."""
    if overview.status.state == "stopped":
        return "R resumes it, q quits"
    return (
        "R retries what failed, q quits" if overview.status.tasks.succeeded < overview.status.tasks.total else "q quits"
    )


def _clock(seconds: float) -> str:
    """`0:07`, `12:34`, `3:02:11`: all digits but the last stay for a while."""
    whole = int(seconds)
    minutes = f"{whole % 3600 // 60:02d}" if whole >= 3600 else f"{whole // 60}"
    return f"{f'{whole // 3600}:' if whole >= 3600 else ''}{minutes}:{whole % 60:02d}"


def _progress(overview: Overview, width: int, pace: Pace) -> Iterator[Words]:
    tasks = overview.status.tasks
    yield (*bar(tasks, max(0, width - 5)), (f" {percent(tasks.done, tasks.total)}", "strong"))
    yield tally(tasks, width)
    if overview.status.state != "running":
        return
    rate = words(rate_text(pace.rate), "strong" if pace.rate else "dim")
    parts = [(*rate, (" ", "plain"), (sparkline(pace.rates, min(30, width // 5)), "running"))]
    eta = eta_text(pace)
    parts.append(words(eta) if eta else words(_why_no_eta(overview), "dim"))
    if overview.history:
        now = overview.history[-1]
        use: Words = (("cpus ", "plain"), (f"{now.cpus_busy:.0f}/{now.cpus:.0f}", "strong"))
        if width_of(joined([*parts, use])) <= width:
            parts.append(use)
    yield joined(parts)


def _why_no_eta(overview: Overview) -> str:
    if overview.status.paused is not None:
        return "paused: p lets it go on"
    return "nobody knows yet how long it takes"


def _limits_line(overview: Overview) -> Words:
    """What keeps it from being faster."""
    if overview.status.state != "running" or not overview.limits:
        return ()
    return foreign("; ".join(overview.limits), "dim")
