"""The screen of a task: attempts, limits, why it is where it is, and what it prints, which never gets out raw."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from batchwasm.following.output import Began, Printed, Unseen, Waits
from batchwasm.tui.output import OutputView
from batchwasm.tui.panes import Selection
from batchwasm.tui.printed import KEEP_CHARS, ROW_CHARS
from batchwasm.tui.task import TaskScreen
from batchwasm.tui.wishes import Wish
from tests.tui.bench import Bench, benched, settled
from tests.tui.drilling import Drilled, Typed, printed, run_of, task_view

HOSTILE = (
    b"plain\n\x1b[31mred\x1b[0m\n\x1b]0;title\x07\x1b]52;c;aGVsbG8=\x07clipboard\n\x1b[2J\x1b[Hwiped\n"
    b"[red]markup[/red] [@click=app.quit]x[/]\n\xe2\x80\xaereversed\x00nul\n\xff\xfe\n10%\r20%\r30%\n"
)


def of_task(index: int, state: str, *looks: Any) -> Drilled:
    source = run_of(400, outputs={index: Typed(*looks)})
    source.views = {index: task_view(index, state)}
    return source


def steps(first: int, stop: int) -> bytes:
    return b"".join(b"step %d\n" % n for n in range(first, stop))


async def looked(bench: Bench, pilot: Any) -> None:
    bench.look()
    await settled(pilot)


async def test_attempts_limits_and_what_it_gave() -> None:
    async with benched(TaskScreen("sim", 90), of_task(90, "failed"), (200, 60)) as (bench, _):
        said = bench.screen_text
    assert "task sim/90  F failed  on lab03, attempt 2" in said
    assert re.search(r"1 X lost +lab07", said)
    assert re.search(r"queued 1.5 s ▒?█+ ran 41 s, cpu 40 s", said)
    assert re.search(r"memory +█.* 120 MiB of 512 MiB, 23 %", said)
    assert "out/field.csv  46.9 KiB" in said
    assert r'"label": "[b]x[/b]\u001b[2J"' in said
    assert "batchwasm replay -r tour-3 sim/90" in said
    assert r"exit code 3: no such file: [red]in/\x1b[31m7.dat" in said


async def test_why_it_waits_is_explained() -> None:
    source = of_task(300, "waiting", [Waits("tasks 0 to 39 of sim are before it", "later")])
    async with benched(TaskScreen("sim", 300, "explain"), source) as (bench, pilot):
        assert "it waits" in bench.screen_text
        assert "lab[01-03]: all 16 cpus are taken by sim" in bench.screen_text
        assert "lab04: drained by ada: new [bold]disk" in bench.screen_text
        await pilot.press("o")
        await settled(pilot)
        assert "nothing printed yet: tasks 0 to 39 of sim are before it" in bench.screen_text


async def test_where_it_runs_is_explained() -> None:
    async with benched(TaskScreen("sim", 245, "explain"), of_task(245, "running")) as (bench, pilot):
        assert "it runs" in bench.screen_text
        assert "much longer than others of its" in bench.screen_text
        await pilot.press("o")
        await settled(pilot)
        assert "nothing printed yet: it runs" in bench.screen_text


async def test_a_task_that_printed_nothing_says_so() -> None:
    async with benched(TaskScreen("sim", 90, "output"), of_task(90, "failed", [Began(2, "lab03")])) as (bench, _):
        assert "attempt 2 on lab03" in bench.screen_text
    async with benched(TaskScreen("sim", 91, "output"), of_task(91, "succeeded")) as (bench, _):
        assert "it printed nothing" in bench.screen_text


async def test_output_that_is_not_to_be_had_says_why() -> None:
    source = of_task(245, "running", [Unseen("on lab03 (macOS) nothing is seen before the task's end")])
    async with benched(TaskScreen("sim", 245, "output"), source) as (bench, _):
        assert "on lab03 (macOS) nothing is seen before the task's end" in bench.screen_text


async def test_what_a_guest_prints_is_shown_and_not_obeyed() -> None:
    source = of_task(90, "failed", [Began(2, "lab03"), printed("stdout", HOSTILE)])
    async with benched(TaskScreen("sim", 90, "output"), source, (120, 40)) as (bench, _):
        said = bench.screen_text
        rendered = [segment for strip in bench.screen._compositor.render_strips() for segment in strip]
    assert r"\x1b[31mred\x1b[0m" in said
    assert r"\x1b]0;title\x07\x1b]52;c;aGVsbG8=\x07clipboard" in said
    assert r"\x1b[2J\x1b[Hwiped" in said
    assert "[red]markup[/red] [@click=app.quit]x[/]" in said
    assert r"\u202ereversed\x00nul" in said
    assert "30%" in said
    assert "10%" not in said
    assert "is not all text" in said
    assert not [s for s in rendered if re.search("[\x00-\x1f\x7f-\x9f\u202e]", s.text)]
    assert not [s for s in rendered if s.style is not None and "@click" in s.style.meta]


async def test_a_line_of_a_megabyte_is_drawn_in_rows() -> None:
    source = of_task(90, "failed", [printed("stdout", b"x" * 1_000_000 + b"\nend\n")])
    async with benched(TaskScreen("sim", 90, "output"), source) as (bench, pilot):
        rows = bench.screen.query_one(OutputView)
        assert len(rows.rows) == 1_000_000 // ROW_CHARS + 1
        assert "end" in bench.screen_text
        rows.focus()
        await pilot.press("g", "right")
        await settled(pilot)
        assert "x" * 60 in bench.screen_text


async def test_it_follows_the_end_until_one_scrolls_up() -> None:
    source = of_task(245, "running", *([printed("stdout", steps(n, n + 100))] for n in range(0, 400, 100)))
    async with benched(TaskScreen("sim", 245, "output"), source) as (bench, pilot):
        assert "step 99\n" in bench.screen_text
        assert "follows the end" in bench.screen_text
        await looked(bench, pilot)
        assert "step 199\n" in bench.screen_text
        await pilot.press("pageup")
        await settled(pilot)
        above = bench.screen_text
        assert "does not follow: G goes to the end" in above
        await looked(bench, pilot)
        assert "step 299" not in bench.screen_text
        assert re.findall(r"step \d+", bench.screen_text) == re.findall(r"step \d+", above)
        await pilot.press("G")
        await looked(bench, pilot)
        assert "step 399\n" in bench.screen_text
        assert "follows the end" in bench.screen_text


async def test_a_line_that_has_not_ended_is_shown_in_place() -> None:
    looks = [printed("stdout", b"10%\r")], [printed("stdout", b"50%\r")], [printed("stdout", b"done\n")]
    async with benched(TaskScreen("sim", 245, "output"), of_task(245, "running", *looks)) as (bench, pilot):
        assert "10%" in bench.screen_text
        await looked(bench, pilot)
        assert "50%" in bench.screen_text
        assert "10%" not in bench.screen_text
        await looked(bench, pilot)
        assert "done" in bench.screen_text
        assert "50%" not in bench.screen_text


async def test_search_goes_from_one_to_the_next_and_marks_all() -> None:
    source = of_task(245, "running", [printed("stdout", steps(0, 300))], [printed("stdout", b"STEP 29x\n")])
    async with benched(TaskScreen("sim", 245, "output"), source) as (bench, pilot):
        await pilot.press("slash", *"step 29", "enter")
        await settled(pilot)
        rows = bench.screen.query_one(OutputView)
        assert rows.said == '"step 29": 11 of 11 lines'
        await pilot.press("N")
        assert rows.said == '"step 29": 10 of 11 lines'
        await pilot.press("n", "n")
        await settled(pilot)
        assert rows.said == '"step 29": 1 of 11 lines'
        assert re.search(r"^ *step 29$", bench.screen_text, re.MULTILINE)
        await looked(bench, pilot)
        assert rows.said == '"step 29": 1 of 12 lines'
        await pilot.press("slash", *"(nowhere", "enter")
        await settled(pilot)
        assert '"(nowhere" is not there' in bench.screen_text


async def test_streams_are_shown_together_and_alone() -> None:
    source = of_task(90, "failed", [printed("stdout", b"fine\n"), printed("stderr", b"oh no\n")])
    async with benched(TaskScreen("sim", 90, "output"), source) as (bench, pilot):
        bench.screen.query_one(OutputView).focus()
        assert "  fine" in bench.screen_text
        assert "▌ oh no" in bench.screen_text
        await pilot.press("v")
        await settled(pilot)
        assert "oh no" not in bench.screen_text
        await pilot.press("v")
        await settled(pilot)
        assert "fine" not in bench.screen_text
        assert "oh no" in bench.screen_text


async def test_what_is_left_out_is_said_with_where_all_of_it_is(tmp_path: Path) -> None:
    path = tmp_path / "[b]stdout"
    with path.open("wb") as file:
        file.write((b"y" * 1023 + b"\n") * (KEEP_CHARS // 1024 + 2) + b"the end\n")
    source = of_task(90, "failed", [printed("stdout", b"")])
    output = source.outputs[90]
    with path.open("rb") as opened:
        output._looks = [[Printed("stdout", opened)]]
        async with benched(TaskScreen("sim", 90, "output"), source, (200, 60)) as (bench, _):
            assert "the end" in bench.screen_text
            assert "the first 2 KiB of stdout are left out; all of it is in" in bench.screen_text
            assert "[b]stdout" in bench.screen_text


async def test_a_run_that_is_opened_anew_is_told_anew() -> None:
    source = of_task(90, "failed", [printed("stdout", b"once\n")])
    async with benched(TaskScreen("sim", 90, "output"), source) as (bench, pilot):
        bench.source = of_task(90, "failed", [printed("stdout", b"once\n")])
        await looked(bench, pilot)
        assert bench.screen_text.count("once") == 1
        assert source.outputs[90].closed


async def test_the_output_is_closed_when_the_screen_is_left() -> None:
    screen, source = TaskScreen("sim", 90), of_task(90, "failed", [printed("stdout", b"x\n")])
    async with benched(screen, source):
        screen.leave()
        assert source.outputs[90].closed


async def test_what_is_selected_is_what_actions_are_about() -> None:
    screen = TaskScreen("sim", 90)
    async with benched(screen, of_task(90, "failed")) as (bench, pilot):
        assert screen.selected == Selection(job="sim", task=90)
        await pilot.press("r")
        await settled(pilot)
        assert bench.posted == [Wish(verb="retry", tasks={"sim": ((90, 91),)}, what="sim/90")]


@pytest.mark.parametrize("key", ["escape", "enter"])
async def test_a_search_that_is_left_gives_the_keys_back(key: str) -> None:
    async with benched(TaskScreen("sim", 90), of_task(90, "failed", [printed("stdout", b"x\n")])) as (bench, pilot):
        await pilot.press("slash", key)
        await settled(pilot)
        assert isinstance(bench.screen.focused, OutputView)
        assert not bench.screen.query_one("#search", Input).display
