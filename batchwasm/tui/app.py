"""The app: what run it looks at, the keys that hold everywhere, which screen is shown, and what is done on demand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget
from textual.worker import WorkerFailed

from batchwasm.errors import BatchwasmError
from batchwasm.escape import visible_text
from batchwasm.results import RunFolder, reference
from batchwasm.tui import remembered
from batchwasm.tui.commands import RunCommands
from batchwasm.tui.host import HostScreen
from batchwasm.tui.job import JobScreen
from batchwasm.tui.looking import Looked, LookFailed, Looking
from batchwasm.tui.overview import OverviewScreen
from batchwasm.tui.questions import Answer, Confirm, Help, Leaving, Shown
from batchwasm.tui.screen import Asked, Copied, Opened, RunScreen, Wished
from batchwasm.tui.source import Source
from batchwasm.tui.task import TaskScreen
from batchwasm.tui.themes import THEMES
from batchwasm.tui.wishes import Hand, Wish
from batchwasm.views.model import Overview

SCREENS: Mapping[str, Callable[..., RunScreen]] = {
    "job": JobScreen,
    "task": TaskScreen,
    "host": HostScreen,
}
"""What `Opened(kind, *key)` shows: called with the key."""

_NOT_TOLD = {
    *("scroll_left", "scroll_right", "page_left", "page_right", "copy_text", "screen.copy_text", "command_palette"),
    *("app.focus_next", "app.focus_previous", "minimize"),
}
"""Keys that Textual has for all programs, and that nobody needs here."""

TOLD_S = 8.0  # a toast that says what was hit

Left = Literal["over", "goes on"]
"""How the run was when its dashboard was left."""


class Done(Message):
    """A wish was carried out, or refused, and what there is to say."""

    def __init__(self, wish: Wish, text: str, *, refused: bool) -> None:
        super().__init__()
        self.wish, self.text, self.refused = wish, text, refused


class Dashboard(App[Left]):
    """A run on a terminal. `opened` opens what it looks at, in the thread that looks; `program` is how batchwasm is
    started, for runs that go on in the background."""

    TITLE = "batchwasm"
    CSS_PATH = "dashboard.tcss"
    COMMANDS = App.COMMANDS | {RunCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave", "Quit"),
        Binding("question_mark", "help", "Keys", key_display="?"),
        Binding("ctrl+c", "leave", "Quit", show=False, priority=True, system=True),
        Binding("ctrl+q", "leave", "Quit", show=False, priority=True, system=True),
        Binding("ctrl+z", "suspend_process", "To the shell; fg comes back", show=False),
        Binding("ctrl+t", "next_theme", "Dark or light", show=False),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self, opened: Callable[[], Source], folder: RunFolder, program: Sequence[str] = ()) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.animation_level = "none"
        self.overview: Overview | None = None
        self.is_over = False
        self.failed: Exception | None = None
        """What is wrong with the dashboard itself."""
        self._folder, self._hand = folder, Hand(folder=folder, program=program)
        self._is_leaving = False
        self.looking = Looking(opened, self.post_message)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"cursor": "#444444"}  # of themes that are not ours

    # ------------------------------------------------------------------------------------------ looking at the run

    def get_default_screen(self) -> OverviewScreen:
        return OverviewScreen()

    def on_mount(self) -> None:
        theme = remembered.theme()
        self.theme = theme if theme in self.available_themes else THEMES[0].name
        self.app_resume_signal.subscribe(self, self._draw_again)
        self.looking.ask(self.shown.ask)
        self.run_worker(self.looking.run, thread=True, name="looking", group="looking")

    def _draw_again(self, _: App[Any]) -> None:
        """After Ctrl-Z and fg the terminal has nothing of it."""
        for screen in self.screen_stack:
            screen.refresh()

    def on_unmount(self) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, RunScreen):
                self.looking.at_last(screen.leave)
        self.looking.end()

    @property
    def shown(self) -> RunScreen:
        """The topmost screen of the run: a question may be above it."""
        return next(screen for screen in reversed(self.screen_stack) if isinstance(screen, RunScreen))

    def on_looked(self, message: Looked) -> None:
        if not self.is_running:
            return  # it ends, and the screens lose their widgets one by one
        if not self.is_headless and not os.isatty(0):  # it was closed, and a SIGHUP that nobody sent, or one ignored
            self.exit("goes on")
            return
        self.overview, self.is_over = message.overview, message.is_over
        if self._is_leaving and self.is_over:
            self.exit("over")
            return
        screen = self.shown
        if not screen.is_mounted:
            self.looking.now()  # its widgets are not there yet
        elif message.question == screen.ask:
            screen.show(message.overview, message.answer)
        else:  # it was asked for a screen that is gone
            self.looking.ask(screen.ask)

    def on_look_failed(self, message: LookFailed) -> None:
        if self.is_running:
            self.shown.refuse(message.text)

    def on_asked(self, message: Asked) -> None:
        self.looking.ask(self.shown.ask)

    # ------------------------------------------------------------------------------------------------ what is shown

    def on_opened(self, message: Opened) -> None:
        screen = SCREENS[message.kind](*message.key)
        self.push_screen(screen)
        self.looking.ask(screen.ask)

    async def action_back(self) -> None:
        if len(self.screen_stack) > 1:
            gone = await self.pop_screen()
            self.looking.ask(self.shown.ask)
            if isinstance(gone, RunScreen):
                self.looking.at_last(gone.leave)

    def action_help(self) -> None:
        named: dict[str, tuple[list[str], str]] = {}
        for key, active in self.screen.active_bindings.items():
            binding = active.binding
            ours = not isinstance(active.node, Widget) or type(active.node).__module__.startswith("batchwasm.")
            if binding.description and ours and binding.action.partition("(")[0] not in _NOT_TOLD:
                keys, _ = named.setdefault(binding.action, ([], binding.description))
                keys.append(key.replace("ctrl+", "^") if key.startswith("ctrl+") else self.get_key_display(binding))
        keys_of_all = [(", ".join(dict.fromkeys(keys)), text) for keys, text in named.values()]
        self.push_screen(
            Help([*keys_of_all, ("tab", "From table to table"), ("^p", "Commands, jobs and hosts by name")])
        )

    def action_next_theme(self) -> None:
        names = [theme.name for theme in THEMES]
        self.theme = names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0]

    def watch_theme(self, theme: str) -> None:
        if self.is_running:
            remembered.keep_theme(theme)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        for command in super().get_system_commands(screen):
            if command.title == "Theme":
                yield command
        yield SystemCommand("Keys", "What keys do here, and what the shapes mean", self.action_help)
        yield SystemCommand("Quit", "Leave the dashboard; the run is asked about", self.action_leave)

    # ------------------------------------------------------------------------------------------------- what is done

    def on_wished(self, message: Wished) -> None:
        wish = message.wish
        if wish.question is None:
            self._carry_out(wish)
        else:
            self.push_screen(Confirm(wish.question), lambda yes: self._carry_out(wish) if yes else None)

    def _carry_out(self, wish: Wish) -> None:
        self.run_worker(partial(self._in_thread, wish), thread=True, name=wish.verb, group="wishes")

    def _in_thread(self, wish: Wish) -> None:
        try:
            self.post_message(Done(wish, self._hand.carry_out(wish), refused=False))
        except BatchwasmError as error:
            self.post_message(Done(wish, str(error), refused=True))

    def on_done(self, message: Done) -> None:
        self.notify(
            visible_text(message.text),
            title=visible_text(f"{message.wish.verb} {message.wish.what}".rstrip()),
            severity="error" if message.refused else "information",
            timeout=TOLD_S,
            markup=False,
        )
        if message.refused and self._is_leaving:
            self._is_leaving = False
        self.looking.now()

    def on_copied(self, message: Copied) -> None:
        self.copy_to_clipboard(message.text)
        self.push_screen(Shown("Copied, where the terminal takes it; else select it here:", message.text))

    # ------------------------------------------------------------------------------------------------- how it ends

    def action_leave(self) -> None:
        if self._is_leaving or isinstance(self.screen, Leaving):
            self.exit("goes on")  # asked for once more: nobody waits
        elif self.overview is None or self.is_over:
            self.exit("over" if self.is_over else "goes on")
        else:
            back = f"batchwasm tui -r {reference(self._folder, Path.cwd())}"
            self.push_screen(Leaving(self._folder.name, back), self._left)

    def _left(self, answer: Answer | None) -> None:
        if answer == "leave":
            self.exit("over" if self.is_over else "goes on")
        elif answer == "stop":
            self._is_leaving = True
            self._carry_out(Wish(verb="stop", what="the run"))

    def _fatal_error(self) -> None:
        """Textual would print a traceback with all that was in it: who called us tells what is wrong, as of any bug."""
        failed = self._exception
        self.failed = failed.error if isinstance(failed, WorkerFailed) else failed  # type: ignore[assignment]
        self._close_messages_no_wait()
