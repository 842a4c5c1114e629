"""RUBRIC.md for the screens that one drills into, as far as it can be measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batchwasm.tui.host import HostScreen
from batchwasm.tui.job import JobScreen
from batchwasm.tui.panes import DrillScreen
from batchwasm.tui.task import TaskScreen
from tests.tui.bench import benched, settled
from tests.tui.drilling import Drilled, waiting_run
from tests.tui.test_drilled_pictures import run
from tests.tui.test_rubric import too_low

SCREENS: dict[str, tuple[Callable[[], DrillScreen], Callable[[], Drilled], list[str]]] = {
    "job": (lambda: JobScreen("sim"), run, []),
    "table": (lambda: JobScreen("sim"), run, ["tab", "down", "t", "t", "t", "t"]),
    "failures": (lambda: JobScreen("sim"), run, ["f", "down"]),
    "filter": (lambda: JobScreen("sim"), run, ["slash", "a"]),
    "waiting job": (lambda: JobScreen("sim"), waiting_run, []),
    "task": (lambda: TaskScreen("sim", 90), run, []),
    "search": (lambda: TaskScreen("sim", 90), run, ["slash", *"step 2", "enter"]),
    "running": (lambda: TaskScreen("sim", 245), run, []),
    "waiting": (lambda: TaskScreen("sim", 300), run, []),
    "host": (lambda: HostScreen("lab01"), run, ["2", "down"]),
}


@pytest.mark.parametrize("name", SCREENS)
async def test_every_pair_of_colours_has_contrast(name: str) -> None:
    make, source, keys = SCREENS[name]
    for size in ((80, 24), (200, 60)):
        async with benched(make(), source(), size) as (bench, pilot):
            await pilot.press(*keys)
            for theme in ("batchwasm-dark", "batchwasm-light"):
                bench.theme = theme
                await settled(pilot)
                assert not too_low(pilot), (theme, size)
