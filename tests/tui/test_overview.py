"""The first screen, over rows that are made up."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from batchwasm.tui.app import Dashboard
from batchwasm.tui.looking import Looked
from batchwasm.tui.overview import OverviewScreen
from batchwasm.tui.screen import Opened, RunScreen
from batchwasm.tui.table import Table
from batchwasm.tui.wishes import Hand, Wish
from batchwasm.units import duration_text
from batchwasm.views.model import Said
from tests.tui.looking_at import SIZES, dashboard, lines, look, screen, shown, until
from tests.tui.synthetic import NOW, Fixed, counts, host, job, overview, tour

HOSTILE = "a[red]\x1b[31mb\x07\u202ec[/]\nd"
SHOWN = r"a[red]\x1b[31mb\x07\u202ec[/]\x0ad"


@pytest.mark.parametrize("size", SIZES)
async def test_one_screen_tells_of_progress_jobs_hosts_and_events(size: tuple[int, int]) -> None:
    async with shown(Fixed(tour()), size) as pilot:
        said = screen(pilot)
    for text in ("tour-3", "▶ running", "20:34", " 57%", "█", "3,231 succeeded", "114 running", "34 failed"):
        assert text in said
    for text in ("about 12 min left (9-18)", "8 jobs", "2,324/4,000", "10 hosts", "● ready", "▽ drained", "◐ busy"):
        assert text in said
    for text in ("sim 10, render 2", "6 events", "lab04 is drained by ada: new disk"):
        assert text in said
    if size[1] >= 32:
        assert "cpus busy" in said
        assert "20 min 30 s ago" in said
        assert "no Python 3.9 or later" in said


@pytest.mark.parametrize("size", SIZES)
async def test_foreign_text_never_reaches_the_terminal_raw(size: tuple[int, int]) -> None:
    hostile = overview(
        (job(HOSTILE, counts(9, running=1), HOSTILE, HOSTILE),),
        (host(HOSTILE, HOSTILE, HOSTILE, by_job={HOSTILE: 3}, gpus=(HOSTILE,)),),
        said=(Said(at=NOW, tone="bad", text=HOSTILE, job=HOSTILE, task=1, host=HOSTILE),),
        run=HOSTILE,
        paused=HOSTILE,
        limits=(HOSTILE,),
    )
    async with shown(Fixed(hostile), size) as pilot:
        said = lines(pilot)
        assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", "".join(said))
        assert sum(line.count("a[red]\\x1b") for line in said) >= 6
        assert SHOWN in said[-3] + said[-2] + "".join(said[:6])
        for key in ("question_mark", "escape", "c", "escape", "q"):
            await pilot.press(key)
            assert not re.search("[\x00-\x1f\x7f-\x9f\u202e]", "".join(lines(pilot)))


async def test_the_reason_of_a_run_that_stopped_is_shown_whole() -> None:
    reason = "bad.c:1:11: error: expected ')'\nint main( {\n          ^"
    stopped = overview((job("bad", counts(1), "waiting"),), (host("lab01"),), state="stopped", reason=reason)
    async with shown(Fixed(stopped, is_over=True), (80, 24)) as pilot:
        said = screen(pilot)
        assert "✗ stopped" in said
        assert "R resumes it, q quits" in said
        assert "bad.c:1:11: error: expected ')'" in said
        assert "int main( {" in said
        await pilot.press("q")  # nothing goes on: nobody is asked
    assert pilot.app.return_value == "over"


async def test_a_run_that_has_nothing_yet_says_so() -> None:
    async with shown(Fixed(overview((), ())), (80, 24)) as pilot:
        said = screen(pilot)
    assert "no jobs yet: the run begins" in said
    assert "no hosts yet: the run begins" in said
    assert "nothing has happened yet" in said


async def test_a_filter_shows_what_has_it_and_escape_shows_all() -> None:
    async with shown(Fixed(tour())) as pilot:
        await pilot.press("slash", *"rend", "enter")
        assert "1 of 8 jobs" in screen(pilot)
        assert "publish" not in screen(pilot)
        await pilot.press("escape")
        assert "8 jobs" in screen(pilot)
        await pilot.press("tab", "slash", *"nope")
        assert "none of 10 has 'nope'; Esc shows all" in screen(pilot)
        await pilot.press("escape")
        assert "10 hosts" in screen(pilot)
        assert isinstance(pilot.app.focused, Table)


async def test_enter_opens_a_job_a_host_and_the_task_of_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[object, ...]] = []

    def on_opened(app: Dashboard, message: Opened) -> None:
        opened.append((message.kind, *message.key))

    monkeypatch.setattr(Dashboard, "on_opened", on_opened)
    async with shown(Fixed(tour())) as pilot:
        await pilot.press("down", "enter", "tab", "down", "down", "enter", "tab", "home", "down", "down", "enter")
        await pilot.press("end", "enter")
        await pilot.pause()
    assert opened == [("job", "sim"), ("host", "lab03"), ("task", "check", 3), ("host", "lab04")]


async def test_a_screen_that_is_opened_is_left_by_escape() -> None:
    async with shown(Fixed(tour())) as pilot:
        pilot.app.screen.post_message(Opened("host", "lab01"))
        await pilot.pause()
        assert isinstance(pilot.app.screen, RunScreen)
        assert not isinstance(pilot.app.screen, OverviewScreen)
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, OverviewScreen)


async def test_two_clicks_open_and_a_click_on_a_title_sorts() -> None:
    async with shown(Fixed(tour())) as pilot:
        hosts = pilot.app.screen.query_one("#hosts", Table)
        await pilot.click("#hosts", offset=(4, 3))
        assert hosts.row.row.name == "lab03"
        await pilot.click("#hosts", offset=(4, 0))
        assert [line.row.name for line in hosts.rows][:2] == ["gpu-box.cs.example.edu", "lab01"]
        assert hosts.row.row.name == "lab03"
        await pilot.click("#hosts", offset=(4, 0))
        assert [line.row.name for line in hosts.rows][:2] == ["lab09", "lab08"]


@pytest.mark.parametrize(
    ("keys", "wish"),
    [
        (["p"], Wish(verb="pause", what="the run")),
        (["r"], Wish(verb="retry", tasks={"prep": ((0, 1),)}, what="prep")),
        (["R", "y"], Wish(verb="retry", what="all of the run")),
        (["down", "c", "y"], Wish(verb="cancel", tasks={"sim": ((0, 4000),)}, what="sim")),
        (["C", "y"], Wish(verb="cancel", what="all of the run")),
        (["tab", "d"], Wish(verb="drain", hosts=("lab01",), what="lab01")),
        (["tab", "down", "down", "down", "d"], Wish(verb="undrain", hosts=("lab04",), what="lab04")),
        (["tab", "tab", "home", "down", "down", "r"], Wish(verb="retry", tasks={"check": ((3, 4),)}, what="check/3")),
        (["q", "s"], Wish(verb="stop", what="the run")),
    ],
)
async def test_a_key_has_it_done_and_what_was_hit_is_told(
    keys: list[str], wish: Wish, monkeypatch: pytest.MonkeyPatch
) -> None:
    wished: list[Wish] = []

    def carry_out(hand: Hand, wish: Wish) -> str:
        wished.append(wish)
        return f"done: [red]{HOSTILE}"

    monkeypatch.setattr(Hand, "carry_out", carry_out)
    async with shown(Fixed(tour())) as pilot:
        await pilot.press(*keys)
        await until(pilot, lambda: wished and "done:" in screen(pilot))
        assert r"done: [red]a[red]\x1b[31mb" in screen(pilot)
    assert wished == [wish]


@pytest.mark.parametrize(
    "keys", [["c", "n"], ["c", "escape"], ["c", "enter"], ["C", "enter"], ["R", "enter"], ["q", "escape"]]
)
async def test_what_destroys_is_not_done_unless_it_is_said(keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hand, "carry_out", lambda hand, wish: pytest.fail(f"{wish} was carried out"))
    async with shown(Fixed(tour())) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        assert isinstance(pilot.app.screen, OverviewScreen)


@pytest.mark.parametrize("keys", [["q", "enter"], ["q", "l"], ["q", "q"], ["ctrl+c", "ctrl+c"], ["ctrl+q", "ctrl+q"]])
async def test_leaving_a_run_that_goes_on_is_asked_and_leaves_it_running(keys: list[str]) -> None:
    async with shown(Fixed(tour())) as pilot:
        await pilot.press(keys[0])
        assert "tour-3 goes on" in screen(pilot)
        await pilot.press(keys[1])
    assert pilot.app.return_value == "goes on"


async def test_a_run_that_is_stopped_from_the_dashboard_is_left_when_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hand, "carry_out", lambda hand, wish: "it stops")
    source = Fixed(tour())
    async with shown(source) as pilot:
        await pilot.press("q", "s")
        await look(pilot, source, tour(), is_over=True)
        await pilot.pause()
    assert pilot.app.return_value == "over"


async def test_what_changes_moves_nothing_else() -> None:
    """The cursor stays on its row and the rows in their order, whatever the numbers do."""
    before = tour()
    source = Fixed(before)
    async with shown(source, (80, 24)) as pilot:
        await pilot.press("tab", "end")
        hosts = pilot.app.screen.query_one("#hosts", Table)
        old = lines(pilot)
        changed = tuple(replace(line, load=0.1, cpus_busy=1.0, by_job={"fit": 1}) for line in before.hosts)
        await look(pilot, source, replace(before, hosts=changed))
        new = lines(pilot)
        assert hosts.row.row.name == "gpu-box.cs.example.edu"
    assert [line[:25] for line in new] == [line[:25] for line in old]
    assert new != old


async def test_events_stay_at_their_end_unless_one_looks_back() -> None:
    run = tour()
    more = (*run.said, *(Said(at=NOW + n, tone="plain", text=f"news {n}") for n in range(30)))
    source = Fixed(run)
    async with shown(source, (80, 24)) as pilot:
        await look(pilot, source, replace(run, said=more[:20]))
        assert "news 13" in screen(pilot)
        await pilot.press("tab", "tab", "home")
        await look(pilot, source, replace(run, said=more))
        assert "the run began" in screen(pilot)
        assert "news 29" not in screen(pilot)


async def test_the_palette_finds_actions_and_names() -> None:
    async with shown(Fixed(tour())) as pilot:
        await pilot.press("ctrl+p", *"gpu-box")
        await pilot.pause(0.3)
        assert "host gpu-box.cs.example.edu" in screen(pilot)
        assert "drain gpu-box.cs.example.edu" in screen(pilot)


async def test_help_tells_keys_and_shapes() -> None:
    async with shown(Fixed(tour()), (80, 60)) as pilot:
        await pilot.press("question_mark")
        said = screen(pilot)
    for text in ("Drain", "Sort", "Cancel all", "█ succeeded", "▽ drained", "^p"):
        assert text in said


async def test_a_look_that_comes_while_it_ends_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The screens lose their widgets then, while the thread that looks may have looked just before."""
    app = dashboard(Fixed(tour()))
    late = []
    prune = app._prune

    async def prune_and_be_told(*nodes: Any, **more: Any) -> None:
        await prune(*nodes, **more)
        assert app.overview is not None
        app.on_looked(Looked(app.overview, app.shown.ask, None, is_over=False))
        late.append(nodes)

    async with app.run_test() as pilot:
        await until(pilot, lambda: app.overview is not None)
        monkeypatch.setattr(app, "_prune", prune_and_be_told)
    assert late


async def test_a_zoomed_table_has_the_screen() -> None:
    async with shown(Fixed(tour()), (80, 24)) as pilot:
        await pilot.press("tab", "z")
        assert "gpu-box.cs.exam" in screen(pilot)
        assert "8 jobs" not in screen(pilot)
        await pilot.press("z")
        assert "8 jobs" in screen(pilot)


async def test_a_theme_is_remembered() -> None:
    async with shown(Fixed(tour())) as pilot:
        first = pilot.app.theme
        await pilot.press("ctrl+t")
        second = pilot.app.theme
        assert second != first
    async with shown(Fixed(tour())) as pilot:
        assert pilot.app.theme == second


async def test_the_chart_has_the_last_moments_of_a_run_that_has_ended() -> None:
    """A run shorter than the time between two drawings, too."""
    run = tour()
    first = replace(run, history=run.history[:2])
    source = Fixed(first)
    async with shown(source) as pilot:
        last = replace(run.history[1], at=run.history[1].at + 3.0)
        over = replace(first, history=(*first.history, last), status=replace(first.status, state="finished"))
        await look(pilot, source, over, is_over=True)
        span = last.at - first.history[0].at
        assert f"{duration_text(span)} ago" in screen(pilot)


async def test_hosts_of_a_run_that_does_not_go_on_do_not_look_live() -> None:
    past = replace(host("lab01", by_job={"nap": 1}), is_past=True)
    stopped = overview((job("nap", counts(1), "waiting"),), (past,), state="stopped", reason="killed")
    async with shown(Fixed(stopped, is_over=True), (160, 40)) as pilot:
        said = screen(pilot)
        assert re.search(r"lab01 +● ready .* at the end: nap 1", said)
