"""One screen of the dashboard on a bench: it is shown what a source says when a test wants it, in no other thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.app import App
from textual.pilot import Pilot

import batchwasm.tui
from batchwasm.tui.screen import Asked, Copied, Opened, RunScreen, Wished
from batchwasm.tui.source import Source
from batchwasm.tui.themes import THEMES


class Bench(App[None]):
    """Shows the screen that `make` makes over `source`; keeps what it asks the app for."""

    CSS_PATH = str(Path(batchwasm.tui.__file__).parent / "dashboard.tcss")

    def __init__(self, make: Callable[[], RunScreen], source: Source) -> None:
        super().__init__()
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = THEMES[0].name
        self.animation_level = "none"
        self._make, self.source = make, source
        self.posted: list[Any] = []

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return {"cursor": "#444444"}

    def get_default_screen(self) -> RunScreen:
        self.shown = self._make()
        return self.shown

    def look(self) -> None:
        overview = self.source.look()
        self.shown.show(overview, self.shown.ask(self.source))

    def on_asked(self, message: Asked) -> None:
        self.look()

    def on_opened(self, message: Opened) -> None:
        self.posted.append((message.kind, *message.key))

    def on_wished(self, message: Wished) -> None:
        self.posted.append(message.wish)

    def on_copied(self, message: Copied) -> None:
        self.posted.append(message.text)

    @property
    def screen_text(self) -> str:
        """What stands on the screen, line by line."""
        strips = self.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


@asynccontextmanager
async def benched(
    screen: RunScreen, source: Source, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Bench, Pilot[Any]]]:
    bench = Bench(lambda: screen, source)
    async with bench.run_test(size=size) as pilot:
        await settled(pilot)
        yield bench, pilot


async def settled(pilot: Pilot[Any]) -> None:
    """All that follows from what was shown is done: a screen lays out and draws by a timer, 60 times a second."""
    calm = 0
    while calm < 3:
        await pilot.pause()
        screen = pilot.app.screen
        if screen._layout_required or screen._repaint_required or screen._scroll_required or screen._dirty_widgets:
            await pilot.pause(1 / 60)
            calm = 0
        else:
            calm += 1
