"""The screens that one drills into as pictures, at three sizes: looked at by the rules of rubric.md, then kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from textual.pilot import Pilot

from batchwasm.following.output import Began, Waits
from batchwasm.tui.host import HostScreen
from batchwasm.tui.job import JobScreen
from batchwasm.tui.screen import RunScreen
from batchwasm.tui.task import TaskScreen
from tests.tui.bench import Bench, settled
from tests.tui.drilling import Drilled, Typed, host_view, printed, run_of, task_view, waiting_run

SIZES = pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
Pictured = Callable[..., bool]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def printing() -> Typed:
    """300 lines, some of them meant to do harm."""
    steps = b"".join(b"step %d of 4000, energy %.3f\n" % (n, n / 7) for n in range(300))
    hostile = b"warning: [red]small step[/red]\x1b]52;c;aGk=\x07\n10%\r20%\r40%"
    binary = b"\x00\x01binary \xff\xfe \xe2\x80\xae reversed\n" + b"x" * 5000 + b"\nlast"
    return Typed([Began(2, "lab03"), printed("stdout", steps), printed("stderr", hostile), printed("stdout", binary)])


def run() -> Drilled:
    waits = Typed([Waits("tasks 0 to 39 of sim are before it", "later")])
    source = run_of(400, outputs={90: printing(), 300: waits}, fixed_host=host_view())
    source.views = {90: task_view(90, "failed"), 245: task_view(245, "running"), 300: task_view(300, "waiting")}
    return source


def same(
    snap_compare: Pictured,
    make: Callable[[], RunScreen],
    source: Drilled,
    size: tuple[int, int],
    *keys: str,
    theme: str = "dark",
) -> bool:
    bench = Bench(make, source)
    bench.theme = f"batchwasm-{theme}"

    async def press(pilot: Pilot[Any]) -> None:
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)

    return snap_compare(bench, terminal_size=size, run_before=press)


@SIZES
def test_a_job(snap_compare: Pictured, size: tuple[int, int]) -> None:
    assert same(snap_compare, lambda: JobScreen("sim"), run(), size)


def test_a_large_job_in_light(snap_compare: Pictured) -> None:
    assert same(snap_compare, lambda: JobScreen("sim"), run_of(20_000), (120, 40), "right", "down", theme="light")


def test_failures_of_a_job(snap_compare: Pictured) -> None:
    assert same(snap_compare, lambda: JobScreen("sim"), run(), (80, 24), "f", "down")


def test_a_job_of_which_nothing_ran(snap_compare: Pictured) -> None:
    assert same(snap_compare, lambda: JobScreen("sim"), waiting_run(), (120, 40))


@SIZES
def test_a_task(snap_compare: Pictured, size: tuple[int, int]) -> None:
    assert same(snap_compare, lambda: TaskScreen("sim", 90), run(), size)


def test_the_output_of_a_task_that_is_searched(snap_compare: Pictured) -> None:
    assert same(snap_compare, lambda: TaskScreen("sim", 90), run(), (80, 24), "slash", *"step 2", "enter", "N")


def test_a_task_that_waits(snap_compare: Pictured) -> None:
    assert same(snap_compare, lambda: TaskScreen("sim", 300), run(), (120, 40), theme="light")


@SIZES
def test_a_host(snap_compare: Pictured, size: tuple[int, int]) -> None:
    assert same(snap_compare, lambda: HostScreen("lab01"), run(), size)
