"""The screens as pictures, over rows that never change. `pytest --snapshot-update` makes them anew: look at them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from batchwasm.views.model import Overview
from tests.tui.looking_at import SIZES, dashboard, until
from tests.tui.synthetic import Fixed, counts, host, job, overview, tour

Compare = Callable[..., bool]


def compiling() -> Overview:
    jobs = (
        job("prep", counts(40), "compiling", "zig: its first C++", None),
        job("sim", counts(4000), "waiting", "after prep", None),
    )
    return overview(jobs, (host("lab01", "connecting"), host("lab02", "connecting")), wall_s=3)


def stopped() -> Overview:
    reason = "bad: bad.c does not compile (zig 0.17.1):\nbad.c:1:11: error: expected ')'\n    1 | int main( {"
    jobs = (job("bad", counts(1), "waiting", "it is not compiled yet", None),)
    return overview(jobs, (host("lab01", "connecting"),), state="stopped", reason=reason, wall_s=1.2)


def many() -> Overview:
    """More than fits anywhere."""
    jobs = tuple(job(f"step-{n:03}", counts(200, running=n % 3, succeeded=n % 150, failed=n % 2)) for n in range(1000))
    hosts = tuple(host(f"lab{n:03}", by_job={f"step-{n:03}": 12}) for n in range(500))
    return overview(jobs, hosts, paused="by ada: back at noon")


RUNS: dict[str, Callable[[], Overview]] = {"tour": tour, "compiling": compiling, "stopped": stopped, "many": many}


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is called by its path from here."""
    monkeypatch.chdir("/")


async def settled(pilot: Any) -> None:
    """Looked at, and laid out for what was seen."""
    await until(pilot, lambda: pilot.app.overview is not None)
    await still(pilot)


async def still(pilot: Any) -> None:
    """Until nothing changes any more."""
    seen: list[str] = []
    while len(seen) < 4 or len(set(seen[-4:])) > 1:
        await pilot.pause()
        seen.append(pilot.app.export_screenshot())


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("run", RUNS)
def test_the_first_screen(snap_compare: Compare, run: str, size: tuple[int, int]) -> None:
    found = RUNS[run]()
    source = Fixed(found, is_over=found.status.state != "running")
    assert snap_compare(dashboard(source), terminal_size=size, run_before=settled)


OVER = {"help": ["question_mark"], "leaving": ["q"], "cancel": ["down", "c"], "light": ["ctrl+t"]}


@pytest.mark.parametrize("what", OVER)
def test_what_is_over_it(snap_compare: Compare, what: str) -> None:
    async def pressed(pilot: Any) -> None:
        await settled(pilot)
        for key in OVER[what]:
            await pilot.press(key)
            await still(pilot)

    assert snap_compare(dashboard(Fixed(tour())), terminal_size=(80, 24), run_before=pressed)
