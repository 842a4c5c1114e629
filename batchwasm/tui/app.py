"""The app: what run it looks at, the keys that hold everywhere, which screen is shown, and what is done on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from batchwasm.escape import visible
from batchwasm.tui.host import HostScreen
from batchwasm.tui.job import JobScreen
from batchwasm.tui.looking import Looked, LookFailed, Looking
from batchwasm.tui.overview import OverviewScreen
from batchwasm.tui.screen import Asked, Copied, Opened, RunScreen, Wished
from batchwasm.tui.source import Source
from batchwasm.tui.task import TaskScreen
from batchwasm.tui.themes import THEMES
from batchwasm.views.model import Overview

SCREENS: Mapping[str, Callable[..., RunScreen]] = {
    "job": JobScreen,
    "task": TaskScreen,
    "host": HostScreen,
}
"""What `Opened(kind, *key)` shows: called with the key."""


class Dashboard(App[None]):
    """A run on a terminal. `opened` opens what it looks at, in the thread that looks."""

    TITLE = "batchwasm"
    CSS_PATH = "dashboard.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Quit"),
        Binding("ctrl+c", "leave", "Quit", show=False, priority=True),
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self, opened: Callable[[], Source]) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.animation_level = "none"
        self.overview: Overview | None = None
        self.is_over = False
        self.looking = Looking(opened, self.post_message)
        self._answers: dict[Callable[..., Any], Any] = {}

    # ------------------------------------------------------------------------------------------ looking at the run

    def get_default_screen(self) -> OverviewScreen:
        return OverviewScreen()

    def on_mount(self) -> None:
        self.looking.ask(self.shown.ask)
        self.run_worker(self.looking.run, thread=True, name="looking", exit_on_error=True)

    def on_unmount(self) -> None:
        self.looking.end()

    @property
    def shown(self) -> RunScreen:
        """The topmost screen of the run: a question may be above it."""
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, RunScreen))

    def on_looked(self, message: Looked) -> None:
        self.overview, self.is_over = message.overview, message.is_over
        screen = self.shown
        if message.question == screen.ask:
            screen.show(message.overview, message.answer)
        else:  # it was asked for a screen that is gone
            self.looking.ask(screen.ask)

    def on_look_failed(self, message: LookFailed) -> None:
        self.shown.refuse(message.text)

    def on_asked(self, message: Asked) -> None:
        self.looking.ask(self.shown.ask)

    # ------------------------------------------------------------------------------------------------ what is shown

    def on_opened(self, message: Opened) -> None:
        self.open(message.kind, *message.key)

    def open(self, kind: str, *key: Any) -> None:
        screen = SCREENS[kind](*key)
        self.push_screen(screen)
        self.looking.ask(screen.ask)

    async def action_back(self) -> None:
        if len(self.screen_stack) > 1:
            await self.pop_screen()
            self.looking.ask(self.shown.ask)

    def action_leave(self) -> None:
        self.exit()

    # ------------------------------------------------------------------------------------------------- what is done

    def on_wished(self, message: Wished) -> None:
        self.notify(visible(f"{message.wish.verb} {message.wish.what}"), markup=False)

    def on_copied(self, message: Copied) -> None:
        self.copy_to_clipboard(message.text)
        self.notify(visible(message.text), title="copied", markup=False)
