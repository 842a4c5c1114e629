"""What the dashboard asks: whether it is meant, what becomes of a run that goes on, and what it shows over a screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from batchwasm.escape import visible_text
from batchwasm.tui.drawn import Lines
from batchwasm.tui.said import STANDINGS
from batchwasm.tui.shapes import SHAPES
from batchwasm.tui.words import Words, joined, words

Answer = Literal["leave", "stop", "stay"]


class Confirm(ModalScreen[bool]):
    """Whether something that destroys is meant: no, unless it is said."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Content(visible_text(self._question)))
            with Horizontal(classes="answers"):
                yield Button("No (n)", id="no", compact=True)
                yield Button("Yes (y)", id="yes", compact=True)

    def on_mount(self) -> None:
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class Leaving(ModalScreen[Answer]):
    """What becomes of a run that goes on when its dashboard is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l,q,ctrl+c,ctrl+q", "answer('leave')", "Leave it running", priority=True),
        Binding("s", "answer('stop')", "Stop it"),
        Binding("escape", "answer('stay')", "Stay"),
        Binding("left,up", "app.focus_previous", show=False),
        Binding("right,down", "app.focus_next", show=False),
    ]

    def __init__(self, run: str, back: str) -> None:
        """`back` is the command that shows this again."""
        super().__init__()
        self._run, self._back = run, back

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(
                Content(
                    visible_text(
                        f"{self._run} goes on. Left, it does so in the background, and '{self._back}' shows it again. "
                        "Stopped, what runs is given up, and 'batchwasm resume' goes on with the rest."
                    )
                )
            )
            with Horizontal(classes="answers"):
                yield Button("Leave it running (l)", id="leave", compact=True)
                yield Button("Stop it (s)", id="stop", compact=True)
                yield Button("Stay (Esc)", id="stay", compact=True)

    def on_mount(self) -> None:
        self.query_one("#leave").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        answers: dict[str | None, Answer] = {"leave": "leave", "stop": "stop"}
        self.dismiss(answers.get(event.button.id, "stay"))

    def action_answer(self, answer: Answer) -> None:
        self.dismiss(answer)


class Shown(ModalScreen[None]):
    """A text to read, and to select where the terminal did not take the copy."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q,y", "dismiss", "Close")]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._head, self._text = title, text

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(Content(self._head), classes="head")
            yield Static(Content(visible_text(self._text)), id="text")
            yield Static(Content("Esc closes"), classes="below")


class Help(ModalScreen[None]):
    """The keys that do something where one is, and what the shapes mean."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", "Close")]

    def __init__(self, keys: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._lines = list(_help(keys))

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            with VerticalScroll():
                yield Lines(height=len(self._lines), id="help")
            yield Static(Content("Esc closes; Ctrl-P finds commands, jobs and hosts by name"), classes="below")

    def on_mount(self) -> None:
        self.query_one("#help", Lines).put(self._lines)


def _help(keys: Sequence[tuple[str, str]]) -> list[Words]:
    lines = [((f"{key:>14}  ", "accent"), (text, "plain")) for key, text in keys]
    shapes = joined([words(f"{shape} {state}", role) for state, (shape, role) in SHAPES.items()])
    hosts = [words(f"{shape} {state}", role) for state, (shape, role) in STANDINGS.items()]
    found: list[Words] = [words("keys", "strong"), *lines, (), words("tasks", "strong")]  # type: ignore[list-item]
    return [*found, shapes, (), words("hosts", "strong"), joined(hosts[:6]), joined(hosts[6:])]
