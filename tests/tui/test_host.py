"""The screen of a host: what takes it, what ran, what it is, what its owner allows, what went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from batchwasm.model import GIB
from batchwasm.tui.host import HostScreen
from batchwasm.tui.job import JobScreen
from batchwasm.tui.panes import DrillScreen, Pane, Selection
from batchwasm.tui.task import TaskScreen
from batchwasm.tui.wishes import Wish
from batchwasm.views.model import HostView
from tests.tui.bench import Bench, benched, settled
from tests.tui.drilling import Drilled, host_view, run_of
from tests.tui.synthetic import NOW, host


def of_host(view: HostView) -> Drilled:
    return run_of(400, fixed_host=view)


def empty(state: str, reason: str | None = None) -> HostView:
    return HostView(
        line=host("lab01", state, reason),
        history=(),
        occupancy={},
        since=NOW,
        span_s=1.0,
        ran=(),
        facts={},
        owner=(),
        errors=(),
    )


async def test_a_wide_screen_tells_all_of_a_host() -> None:
    async with benched(HostScreen("lab01"), of_host(host_view()), (200, 60)) as (bench, _):
        said = bench.screen_text
    assert "host lab01  ● ready  by ssh, heard now" in said
    assert "12 tasks there now, 310 done, 1 batch stopped while it is left to others" in said
    assert "cpus taken by this run, of 16, the last 10 min 00 s" in said
    assert re.search(r"sim +[▁▂▃▄▅▆▇█ ]+ 10 now,  8\.25 mean", said)
    assert re.search(r"memory +█.* 20 GiB of 32 GiB +[▁▂▃▄▅▆▇█]+", said)
    assert "gpu 0   render" in said
    assert r"lab01.cs.example.edu\x1b]0;pwned\x07" in said
    assert "at most 12 cpus from 08:00 to 18:00" in said
    assert "sim/90 failed there: exit code 3: [red]no such file" in said
    assert "ended there: 306 succeeded, 4 failed" in said


async def test_a_task_that_ran_there_is_opened() -> None:
    screen = HostScreen("lab01")
    async with benched(screen, of_host(host_view())) as (bench, pilot):
        await pilot.press("2", "j")
        await settled(pilot)
        assert screen.selected == Selection(host="lab01", job="sim", task=99)
        await pilot.press("enter")
        await settled(pilot)
        assert bench.posted == [("task", "sim", 99)]


async def test_it_is_drained_and_taken_back() -> None:
    async with benched(HostScreen("lab01"), of_host(host_view())) as (bench, pilot):
        await pilot.press("d")
        bench.source = of_host(replace(host_view(), line=host("lab01", "drained", "by ada: new disk")))
        bench.look()
        await settled(pilot)
        assert "by ada: new disk" in bench.screen_text
        await pilot.press("d")
        await settled(pilot)
        wishes = [Wish(verb=verb, hosts=("lab01",), what="lab01") for verb in ("drain", "undrain")]
        assert bench.posted == wishes


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_a_host_that_was_not_reached_says_so(size: tuple[int, int]) -> None:
    source = of_host(empty("down", "no Python 3.9 or later; install python3"))
    async with benched(HostScreen("lab01"), source, size) as (bench, pilot):
        assert "no Python 3.9 or later; install python3" in bench.screen_text
        said = bench.screen_text
        for pane in ("2", "3", "4"):
            await pilot.press(pane)
            await settled(pilot)
            said += bench.screen_text
        assert "nothing has run here in this run" in said
        assert "it has not said anything of itself yet" in said
        assert "nothing ran here: it was not reached" in said
        assert "it has not told what it is yet" in said
        assert "nothing went wrong here" in said


async def test_nothing_is_drawn_where_nothing_has_changed() -> None:
    async with benched(HostScreen("lab01"), of_host(host_view()), (120, 40)) as (bench, pilot):
        before = bench.screen_text
        bench.look()
        await settled(pilot)
        assert bench.screen_text == before


async def test_a_host_of_a_run_that_does_not_go_on_is_told_of_as_it_was() -> None:
    view = host_view()
    view = replace(view, line=replace(view.line, is_past=True))
    async with benched(HostScreen("lab01"), of_host(view), (200, 60)) as (bench, _):
        said = bench.screen_text
    assert "heard last at" in said
    assert "12 tasks there when the run ended, 310 done" in said
    assert "with all that others do there (when the run ended)" in said


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
@pytest.mark.parametrize(
    "make",
    [lambda: HostScreen("lab01"), lambda: JobScreen("sim"), lambda: TaskScreen("sim", 3)],
    ids=["host", "job", "task"],
)
async def test_what_was_not_read_yet_is_said_to_be_read(
    make: Callable[[], DrillScreen], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "look", lambda self: None)
    async with benched(make(), of_host(host_view()), size) as (bench, _):
        panes = [pane for pane in bench.shown.query(Pane) if pane.display and pane.region]
        assert panes
        assert bench.screen_text.count("reading ...") == 1 + len(panes)


async def test_facts_have_their_unit_once_and_say_of_when_they_are() -> None:
    view = replace(host_view(), facts={"memory_bytes": 32 * GIB, "disk_free_bytes": 64 * GIB, "booted_at": NOW})
    async with benched(HostScreen("lab01"), of_host(view), (200, 60)) as (bench, _):
        said = bench.screen_text
    assert re.search("memory +32 GiB", said)
    assert re.search("disk free when it joined +64 GiB", said)
    assert re.search("booted +[0-9]", said)
