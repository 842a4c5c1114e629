"""The screen of a host: what it is taken by over time, what ran there, what it is, what its owner allows, errors."""

from __future__ import annotations

from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content

from batchwasm.tui.hosttext import (
    heading,
    known_text,
    loads_text,
    nothing_ran,
    occupancy_text,
    owner_text,
    ran_text,
    wrong_text,
)
from batchwasm.tui.marks import FAINT
from batchwasm.tui.panes import Choices, DrillScreen, Pane, Prose, Scrolled, Selection
from batchwasm.tui.screen import Opened
from batchwasm.tui.source import Source
from batchwasm.views.model import HostView, Overview, TaskLine


class HostScreen(DrillScreen):
    """A host. Enter on a task that ran there opens it."""

    DEFAULT_CSS = """
    HostScreen.-wide #left { width: 3fr; }
    HostScreen.-wide #right { width: 2fr; }
    HostScreen.-wide #taken, HostScreen.-wide #right Pane, HostScreen.-wide Scrolled { height: auto; }
    HostScreen.-wide #ran { height: 1fr; min-height: 6; }
    HostScreen #tasks { text-wrap: nowrap; text-overflow: ellipsis; }
    """
    ABOUT_HOST = True
    PANES = (("taken", "occupancy"), ("ran", "what ran"), ("facts", "facts"), ("errors", "errors"))
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "turn_to('errors')", "Errors"),
        Binding("e", "turn_to('facts')", "Facts", show=False),
    ]

    def __init__(self, name: str) -> None:
        super().__init__()
        self.host_name = name
        self._drained = False
        self._ran: dict[str, TaskLine] = {}

    @property
    def selected(self) -> Selection:
        """This host; where a task that ran there is chosen, that, too."""
        chosen = self.query_one("#tasks", Choices)
        row = self._ran.get(chosen.chosen or "") if chosen.has_focus else None
        return Selection(
            host=self.host_name, drained=self._drained, job=row.job if row else None, task=row.index if row else None
        )

    def columns(self) -> ComposeResult:
        with Vertical(classes="column", id="left"):
            yield Pane("what takes it", Scrolled(Prose(id="occupancy"), Prose(id="loads")), id="taken")
            yield Pane("what ran there last", Choices(id="tasks"), Prose(id="none-ran"), id="ran")
        with VerticalScroll(classes="column", id="right", can_focus=False):
            yield Pane("facts", Scrolled(Prose(id="known"), Prose(id="owner")), id="facts")
            yield Pane("errors", Scrolled(Prose(id="wrong")), id="errors")

    # ---------------------------------------------------------------------------------------- asked for and shown

    def ask(self, source: Source) -> Any:
        self.folder = source.folder
        return source.host(self.host_name)

    def put(self, overview: Overview, answer: Any) -> None:
        view: HostView = answer
        self._drained = view.line.row.state in ("drained", "aside", "probation")
        width = self.room("taken")
        self.query_one("#heading", Prose).say(heading(view.line, overview.at))
        self.query_one("#occupancy", Prose).say(occupancy_text(view, width, overview.at))
        self.query_one("#loads", Prose).say(loads_text(view.line, view.loads, width))
        self._ran = {f"{row.job}/{row.index}": row for row in view.ran}
        tasks = self.query_one("#tasks", Choices)
        tasks.put((key, ran_text(row)) for key, row in self._ran.items())
        tasks.display = bool(view.ran)
        none = "" if view.ran else nothing_ran(view.line)
        self.query_one("#none-ran", Prose).say(Content.styled(none, FAINT))
        self.query_one("#known", Prose).say(known_text(view))
        self.query_one("#owner", Prose).say(owner_text(view))
        self.query_one("#wrong", Prose).say(wrong_text(view))

    # --------------------------------------------------------------------------------------------- what is pressed

    @on(Choices.OptionSelected, "#tasks")
    def _picked(self) -> None:
        row = self._ran.get(self.query_one("#tasks", Choices).chosen or "")
        if row is not None:
            self.post_message(Opened("task", row.job, row.index))

    def action_turn_to(self, pane: str) -> None:
        self.turn_to(pane, focus=True)
