"""The dashboard over real journals: of a run that goes on, and of one that is over; and what it does to them."""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from typing import Any

from batchwasm import api
from batchwasm.results import RunFolder
from batchwasm.tui.app import Dashboard
from batchwasm.views.view import View
from tests.tui.conftest import Live
from tests.tui.looking_at import screen, until

PROGRAM = (sys.executable, "-m", "batchwasm")


def over(folder: RunFolder) -> Dashboard:
    return Dashboard(partial(View, folder), folder, PROGRAM)


async def says(pilot: Any, *texts: str) -> None:
    """Waits until all of these stand on the screen."""
    await until(pilot, lambda: all(text in screen(pilot) for text in texts))


async def test_a_finished_run_is_shown_as_it_ended(finished: RunFolder) -> None:
    app = over(finished)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await says(pilot, "■ finished", "40 succeeded", "3 failed", "2 skipped", "R retries what failed, q quits")
        await says(pilot, "hello", "40/40", "bad", "late", "bad/2", "trapped")
        await pilot.press("p")
        await says(pilot, "over-1 has finished: nothing of it waits or runs")
        await pilot.press("q")
    assert app.return_value == "over"


async def test_a_run_that_goes_on_is_followed_and_what_one_wants_is_done(live: Live) -> None:
    app = over(live.folder)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await says(pilot, "▶ running", "1 succeeded", "1 running", "2 waiting", "● ready", "gated 1")
        await pilot.press("p")
        await says(pilot, "paused: nothing new is started", "‖ paused")
        await pilot.press("p")
        await says(pilot, "goes on; it was paused")
        await pilot.press("tab", "d")
        await says(pilot, "here takes no new tasks", "▽ drained")
        await pilot.press("d")
        await says(pilot, "here takes tasks again", "● ready")
        await pilot.press("shift+tab", "end", "c")
        await says(pilot, "Cancel gated? What runs of it is stopped")
        await pilot.press("y")
        await says(pilot, "2 tasks that wait won't run, 1 task that runs is stopped", "■ finished", "3 cancelled")
    assert api.ran(live.folder).exit_code == 4


async def test_a_run_that_is_stopped_is_resumed_in_the_background(live: Live) -> None:
    app = over(live.folder)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await says(pilot, "▶ running")
        await pilot.press("q")
        await says(pilot, "live-1 goes on")
        await pilot.press("s")
        await until(pilot, lambda: app.return_value == "over")
    assert api.ran(live.folder).exit_code == 130
    again = over(live.folder)
    async with again.run_test(size=(120, 40), notifications=True) as pilot:
        await says(pilot, "✗ stopped", "R resumes it")
        await pilot.press("R")
        await says(pilot, "it goes on in the background", "▶ running", "1 running")
        live.gate.open("1.1", "2.1")
        await says(pilot, "■ finished", "4 succeeded")
        await pilot.press("R")
        await says(pilot, "Run all again that did not succeed?")
        await pilot.press("y")
        await says(pilot, "nothing is to be run again")


async def test_a_scheduler_that_died_is_told_on_the_screen(live: Live) -> None:
    app = over(live.folder)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await says(pilot, "▶ running")
        os.kill(live.pid, signal.SIGKILL)
        await says(pilot, "✗ stopped", "its scheduler ended without a word")
    live.gate.open("1.1", "2.1")
    live.cli("resume", "-q")


async def test_a_run_folder_that_vanishes_is_told_and_quits(live: Live) -> None:
    app = over(live.folder)
    moved = live.folder.path.with_name("moved")
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await says(pilot, "▶ running")
        live.folder.path.rename(moved)
        await pilot.press("p")
        await says(pilot, "pause the run")
        moved.rename(live.folder.path)
        await pilot.press("q", "l")
    assert app.return_value == "goes on"
