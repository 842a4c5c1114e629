"""A dashboard in a test: over rows that are made up, and what its screen says."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from batchwasm.tui.app import Dashboard
from batchwasm.tui.source import Source
from batchwasm.views.model import Overview
from tests.tui.synthetic import Fixed

SIZES = ((80, 24), (120, 40), (200, 60))


def dashboard(source: Source) -> Dashboard:
    return Dashboard(lambda: source, source.folder, ("batchwasm",))


@asynccontextmanager
async def shown(source: Source, size: tuple[int, int] = (120, 40)) -> AsyncIterator[Pilot[Any]]:
    """Over `source`, once that was looked at and all is drawn."""
    app = dashboard(source)
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: app.overview is not None)
        yield pilot
    if app.failed is not None:
        raise app.failed


async def until(pilot: Pilot[Any], condition: Any) -> None:
    """Waits for what threads bring about; the app goes on meanwhile."""
    for _ in range(500):
        if condition():
            await pilot.pause()
            return
        await pilot.pause(0.02)
    raise AssertionError("waited in vain:\n" + screen(pilot))


async def look(pilot: Pilot[Any], source: Fixed, overview: Overview, *, is_over: bool = False) -> None:
    """`source` has this from now on; once that is shown."""
    app = pilot.app
    assert isinstance(app, Dashboard)
    source.overview, source.is_over = overview, is_over
    app.looking.now()
    await until(pilot, lambda: app.overview is overview or not app.is_running)


def lines(pilot: Pilot[Any]) -> list[str]:
    """What stands on the screen, line by line."""
    return ["".join(segment.text for segment in strip) for strip in pilot.app.screen._compositor.render_strips()]


def screen(pilot: Pilot[Any]) -> str:
    return "\n".join(line.rstrip() for line in lines(pilot))
