"""The screen of a task: its attempts, limits and use, why it is where it is, and what it prints, live."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content

from batchwasm.errors import BatchwasmError
from batchwasm.escape import visible
from batchwasm.following.output import Began, Printed, TaskOutput, Unseen, Waits
from batchwasm.tui.marks import FAINT
from batchwasm.tui.output import STREAMS, OutputView
from batchwasm.tui.panes import Asking, DrillScreen, Pane, Prose, Scrolled, Selection
from batchwasm.tui.printed import KEEP_CHARS, Piece, Reader
from batchwasm.tui.source import Source
from batchwasm.tui.tasktext import explanation, facts, heading
from batchwasm.units import size_text
from batchwasm.views.model import Overview, TaskView

CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Afresh:
    """All that was told before is told again."""


@dataclass(frozen=True, slots=True)
class Said:
    """Why nothing is printed, or can't be seen; empty where it can."""

    text: str


@dataclass(frozen=True, slots=True)
class Left:
    """So many bytes were passed over."""

    stream: str
    skipped: int
    path: str | None
    is_binary: bool


News = Afresh | Said | Left | Piece


class Printing:
    """What a task prints, as pieces of rows. `look` is called in the thread that looks, `taken` in the app's."""

    def __init__(self, job: str, index: int) -> None:
        self._job, self._index = job, index
        self._source: Source | None = None
        self._output: TaskOutput | None = None
        self._reader = Reader()
        self._came: deque[News] = deque()

    def taken(self) -> list[News]:
        """All that came since the last time."""
        found = []
        while self._came:
            found.append(self._came.popleft())
        return found

    def close(self) -> None:
        if self._output is not None:
            self._output.close()
        self._output = self._source = None

    def look(self, source: Source) -> None:
        if self._source is not source:  # the run was opened anew
            self.close()
            self._source, self._output = source, source.output(self._job, self._index)
            self._reader = Reader()
            self._came.append(Afresh())
        assert self._output is not None
        said = ""
        try:
            for news in self._output.look():
                match news:
                    case Began():
                        self._came.append(self._reader.note(f"attempt {news.number} on {news.host}"))
                    case Printed():
                        self._read(news)
                    case Waits() | Unseen():
                        said = news.why
                        self._came.append(Said(said))
        except BatchwasmError as error:
            self._came.append(Said(str(error)))

    def _read(self, printed: Printed) -> None:
        """The last of it: more than is kept is not even read."""
        source = printed.source
        start = source.tell()
        left = source.seek(0, 2) - start
        skipped = max(0, left - KEEP_CHARS)
        source.seek(start + skipped)
        is_binary = False
        if skipped:
            source.readline(CHUNK_BYTES)  # the rest of a line
        while data := source.read(CHUNK_BYTES):
            is_binary = is_binary or b"\0" in data
            self._came.append(self._reader.feed(printed.stream, data))
        name = getattr(source, "name", None)
        path = str(Path(name)) if isinstance(name, str | Path) else None
        self._came.append(Left(printed.stream, skipped, path, is_binary))


class TaskScreen(DrillScreen):
    """A task. `pane` is what is shown first where there is room for one."""

    DEFAULT_CSS = """
    TaskScreen #heading { max-height: 5; }
    TaskScreen.-wide #left { width: 2fr; }
    TaskScreen.-wide #right { width: 3fr; }
    TaskScreen.-wide #left Pane { height: 1fr; }
    TaskScreen #about { height: auto; max-height: 5; }
    TaskScreen #found { height: auto; }
    """
    PANES = (("task", "task"), ("explain", "explain"), ("output", "output"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "turn_to('output')", "Output"),
        Binding("e", "turn_to('explain')", "Explain"),
        Binding("slash", "search", "Search"),
    ]

    def __init__(self, job: str, index: int, pane: str | None = None) -> None:
        super().__init__()
        self.job, self.index = job, index
        self._current = pane or self._current
        self._printing = Printing(job, index)
        self._view: TaskView | None = None
        self._why = ""
        self._state = "waiting"
        self._left: dict[str, Left] = {}

    @property
    def selected(self) -> Selection:
        """This task."""
        return Selection(job=self.job, task=self.index)

    def columns(self) -> ComposeResult:
        with Vertical(classes="column", id="left"):
            yield Pane("task", Scrolled(Prose(id="facts")), id="task")
            yield Pane("explain", Scrolled(Prose(id="explained")), id="explain")
        with Vertical(classes="column", id="right"):
            yield Pane(
                "output",
                Prose(id="about"),
                OutputView(id="rows"),
                Prose(id="found"),
                Asking(placeholder="text to look for", id="search"),
                id="output",
            )

    # ---------------------------------------------------------------------------------------- asked for and shown

    def ask(self, source: Source) -> Any:
        self.folder = source.folder
        found = source.task(self.job, self.index)
        self._printing.look(source)
        return found

    def leave(self) -> None:
        self._printing.close()

    def put(self, overview: Overview, answer: Any) -> None:
        view: TaskView = answer
        self._view = view
        self.query_one("#heading", Prose).say(heading(view))
        self.query_one("#facts", Prose).say(facts(view, self.room("task")))
        self.query_one("#explained", Prose).say(explanation(view.explained))
        self._show_output(view.line.state)

    def _show_output(self, state: str) -> None:
        rows = self.query_one(OutputView)
        pieces: list[Piece] = []
        for news in self._printing.taken():
            match news:
                case Afresh():
                    pieces.clear()
                    rows.forget()
                    self._left.clear()
                    self._why = ""
                case Said():
                    self._why = news.text
                case Left():
                    before = self._left.get(news.stream)
                    skipped = news.skipped + (before.skipped if before else 0)
                    is_binary = news.is_binary or (before is not None and before.is_binary)
                    self._left[news.stream] = Left(news.stream, skipped, news.path, is_binary)
                    self._why = ""
                case Piece():
                    pieces.append(news)
        rows.put(pieces)
        self._state = state
        self._show_about()

    def _nothing(self, state: str) -> str:
        if state == "running":
            return self._why or "nothing printed yet: it runs"
        if state == "waiting":
            return f"nothing printed yet: {self._why or 'it waits'}"
        return self._why or "it printed nothing"

    def _show_about(self) -> None:
        rows = self.query_one(OutputView)
        said = [STREAMS[rows.stream][0]]
        if rows.stream == 0 and not rows.is_empty:
            said.append("▌ is stderr")
        if not rows.is_empty:
            said.append("follows the end" if rows.follows else "does not follow: G goes to the end")
        parts = [Content.styled("; ".join(said), FAINT)]
        if rows.is_empty:
            parts.append(Content(visible(self._nothing(self._state))))
        for left in self._left.values():
            parts += _left_out(left)
        if rows.rows.dropped:
            kept = f"the last {len(rows.rows):,} lines are shown; {rows.rows.dropped:,} before them are left out"
            parts.append(Content.styled(kept, "$warning"))
        if self._why and not rows.is_empty:
            parts.append(Content.styled(visible(self._why), "$warning"))
        self.query_one("#about", Prose).say(Content("\n").join(parts))
        found = self.query_one("#found", Prose)
        found.say(Content.styled(f"{rows.said}   n next  N previous  / another", "bold") if rows.said else "")
        found.display = bool(rows.said)

    # --------------------------------------------------------------------------------------------- what is pressed

    @on(OutputView.Changed)
    def _rows_changed(self) -> None:
        self._show_about()

    def action_turn_to(self, pane: str) -> None:
        self.turn_to(pane, focus=True)

    def action_search(self) -> None:
        self.turn_to("output", focus=False)
        self.query_one("#search", Asking).open("")

    @on(Asking.Submitted, "#search")
    def _searched(self, message: Asking.Submitted) -> None:
        rows = self.query_one(OutputView)
        self.query_one("#search", Asking).shut()
        rows.focus()
        rows.search(message.value)

    @on(Asking.Left, "#search")
    def _not_searched(self) -> None:
        self.query_one(OutputView).focus()


def _left_out(left: Left) -> list[Content]:
    parts = []
    if left.skipped:
        where = f"; all of it is in {visible(left.path)}" if left.path else ""
        text = f"the first {size_text(left.skipped)} of {left.stream} are left out{where}"
        parts.append(Content.styled(text, "$warning"))
    if left.is_binary:
        parts.append(Content.styled(f"{left.stream} is not all text: what is none is shown as escapes", "$warning"))
    return parts
