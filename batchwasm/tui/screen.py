"""What the screens of a run share: they ask, they show, and they tell the app what a person wants."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.message import Message
from textual.screen import Screen

from batchwasm.escape import visible
from batchwasm.tui.source import Source
from batchwasm.tui.wishes import Wish
from batchwasm.views.model import Overview


def foreign(text: str, style: str = "") -> Text:
    """Text of others on one line: control characters as escapes, brackets as they are."""
    return Text(visible(text), style=style, no_wrap=True, end="")


class Opened(Message):
    """A person wants to see `Opened("task", "sim", 3)`, `Opened("job", "sim")`, `Opened("host", "lab01")`."""

    def __init__(self, kind: str, *key: Any) -> None:
        super().__init__()
        self.kind, self.key = kind, key


class Wished(Message):
    """A person wants something done; the app asks whether it is meant, has it done, and says what was hit."""

    def __init__(self, wish: Wish) -> None:
        super().__init__()
        self.wish = wish


class Copied(Message):
    """A person wants this on the clipboard; it is shown, too, as the terminal may not take it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text


class Asked(Message):
    """What the screen wants to know has changed: it is asked at once, not at the next look."""


class RunScreen(Screen[None]):
    """A screen of a run. While it is on top, `ask` is called after each look, in the thread that looks, and `show` with
    what it gave, in the app's."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def ask(self, source: Source) -> Any:
        """What it needs beside the overview. Not in the app's thread: it touches no widget."""
        return None

    def show(self, overview: Overview, answer: Any) -> None:
        """The run as it is now; `answer` is what `ask` gave."""
        raise NotImplementedError

    def leave(self) -> None:
        """It is gone: close what `ask` opened. In the thread that looks, after the last `ask`."""

    def refuse(self, text: str) -> None:
        """The run can't be read now, and why."""
        self.notify(visible(text), severity="error", markup=False)
