"""The screen of a job: filter, sort, failures, and that nothing jumps; what it says where there is nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchwasm.tui.job import JobScreen
from batchwasm.tui.panes import Choices, Selection
from batchwasm.tui.tasklist import TaskTable
from batchwasm.tui.wishes import Wish, replay_command
from tests.tui.bench import benched, settled
from tests.tui.drilling import run_of, vast_run, waiting_run


async def test_tasks_are_chosen_by_state_and_by_text() -> None:
    async with benched(JobScreen("sim"), run_of(400)) as (bench, pilot):
        await pilot.press("t", "t", "t", "t")
        await settled(pilot)
        assert "failed tasks: 3 of 400" in bench.screen_text
        assert "M out of memory" in bench.screen_text.split("failed tasks")[1]
        await pilot.press("slash", *"lab07", "enter")
        await settled(pilot)
        assert 'failed tasks with "lab07": 1 of 400' in bench.screen_text
        await pilot.press("enter")
        await settled(pilot)
        assert bench.posted == [("task", "sim", 90)]


async def test_a_filter_that_is_left_changes_nothing() -> None:
    async with benched(JobScreen("sim"), run_of(400)) as (bench, pilot):
        await pilot.press("slash", *"lab07", "escape")
        await settled(pilot)
        assert "all tasks: 400" in bench.screen_text
        assert isinstance(bench.screen.focused, TaskTable)


async def test_tasks_are_sorted_by_what_people_look_for() -> None:
    source = run_of(400)
    async with benched(JobScreen("sim"), source) as (bench, pilot):
        await pilot.press("s")
        await settled(pilot)
        assert "all tasks by time: 400" in bench.screen_text
        asked = [ask for ask in source.asked if ask[0] == "tasks"][-1]
        assert asked[3:5] == ("wall_s", True)
        await pilot.press("S")
        await settled(pilot)
        assert [ask for ask in source.asked if ask[0] == "tasks"][-1][3:5] == ("wall_s", False)


async def test_a_click_on_a_title_sorts_by_it() -> None:
    async with benched(JobScreen("sim"), run_of(400)) as (bench, pilot):
        table = bench.screen.query_one(TaskTable)
        title = bench.screen_text.split("\n")[table.region.y]
        await pilot.click(TaskTable, offset=(title.index("memory") - table.region.x, 0))
        await settled(pilot)
        assert "all tasks by memory: 400" in bench.screen_text


async def test_failures_are_grouped_and_an_example_is_opened() -> None:
    async with benched(JobScreen("sim"), run_of(400)) as (bench, pilot):
        await pilot.press("f")
        await settled(pilot)
        assert "1 out of memory: its memory would have grown beyond 512 MiB" in bench.screen_text
        assert r"exit code 3: no such file: [red]in/\x1b[31m7.dat" in bench.screen_text
        await pilot.press("down", "enter")
        await settled(pilot)
        assert bench.posted == [("task", "sim", 148)]


async def test_a_million_rows_are_asked_for_by_the_page() -> None:
    async with benched(JobScreen("sim"), vast_run()) as (bench, pilot):
        table = bench.screen.query_one(TaskTable)
        table.focus()
        await pilot.press("end")
        await settled(pilot)
        assert "999,999" in bench.screen_text
        await pilot.press("home", "pagedown")
        await settled(pilot)
        assert table.current is not None
        assert table.current.index == table.cursor > 0


async def test_nothing_jumps_while_it_goes_on() -> None:
    source = run_of(400)
    async with benched(JobScreen("sim"), source) as (bench, pilot):
        table = bench.screen.query_one(TaskTable)
        table.focus()
        await pilot.press("pagedown", "pagedown", "s", *["down"] * 12)
        await settled(pilot)
        under, at = table.current, table.cursor - table.scroll_y
        assert under is not None
        before = bench.screen_text
        bench.look()
        await settled(pilot)
        assert bench.screen_text == before
        # Another task takes longer than all by now: the cursor stays on its own, and on its line of the screen.
        source.later = {5: 1000.0}
        bench.look()
        await settled(pilot)
        assert table.current is not None
        assert (table.current.index, table.cursor - table.scroll_y) == (under.index, at)


async def test_the_chosen_group_stays_chosen() -> None:
    source = run_of(400)
    async with benched(JobScreen("sim"), source) as (bench, pilot):
        await pilot.press("f", "down", "down")
        await settled(pilot)
        groups = bench.screen.query_one("#groups", Choices)
        chosen = groups.chosen
        assert chosen is not None
        assert chosen.startswith("timed_out")
        source.hidden = "failed"
        bench.look()
        await settled(pilot)
        assert groups.chosen == chosen


async def test_what_is_selected_is_what_actions_are_about() -> None:
    screen = JobScreen("sim")
    async with benched(screen, run_of(400)) as (bench, pilot):
        assert screen.selected == Selection(job="sim", task=0, tasks=400)
        await pilot.press("c")
        await pilot.press("f")
        await settled(pilot)
        assert screen.selected == Selection(job="sim", tasks=400)
        await pilot.press("r")
        await settled(pilot)
        assert bench.posted == [
            Wish(verb="cancel", tasks={"sim": ((0, 1),)}, what="sim/0"),
            Wish(verb="retry", tasks={"sim": ((0, 400),)}, what="sim"),
        ]


async def test_a_replay_command_is_copied() -> None:
    source = run_of(400)
    async with benched(JobScreen("sim"), source) as (bench, pilot):
        await pilot.press("right", "y")
        await settled(pilot)
        assert bench.posted == [replay_command(source.folder, "sim", 1)]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_a_job_of_which_nothing_ran_says_so(size: tuple[int, int]) -> None:
    async with benched(JobScreen("sim"), waiting_run(), size) as (bench, pilot):
        assert "comes after prep: 3 of 5 tasks left" in bench.screen_text
        said = bench.screen_text
        for pane in ("2", "3", "4"):
            await pilot.press(pane)
            await settled(pilot)
            said += bench.screen_text
        assert "no task has failed; none has ended yet" in said
        assert "no attempt has ended yet" in said
        assert "nothing has ended, so nothing is known" in said
        await pilot.press("t")
        await settled(pilot)
        assert "no task is like that: t shows other states, / another text" in bench.screen_text


async def test_panes_are_turned_by_a_click() -> None:
    async with benched(JobScreen("sim"), run_of(400)) as (bench, pilot):
        await pilot.click("PaneBar", offset=(12, 0))
        await settled(pilot)
        assert "Enter opens an example" in bench.screen_text


async def test_a_job_whose_name_is_hostile_is_harmless() -> None:
    source = run_of(10)
    line = source.overview.jobs[0]
    hostile = replace(line, row=replace(line.row, name="[red]\x1b[31mx"), detail="\u202eafter [b]y")
    source.overview = replace(source.overview, jobs=(hostile,))
    async with benched(JobScreen("[red]\x1b[31mx"), source) as (bench, _):
        assert r"job [red]\x1b[31mx" in bench.screen_text
        assert r"\u202eafter [b]y" in bench.screen_text


async def test_a_run_that_can_not_be_read_says_so_and_shows_what_was_seen() -> None:
    async with benched(JobScreen("sim"), run_of(400)) as (bench, pilot):
        bench.shown.refuse("/runs/\x1b[31mtour-3/journal.db: database is locked")
        await settled(pilot)
        assert r"the run can't be read now: /runs/\x1b[31mtour-3/journal.db: database is locked" in bench.screen_text
        assert "all tasks: 400" in bench.screen_text
        bench.look()
        await settled(pilot)
        assert "240 of 400 done" in bench.screen_text


async def test_a_replay_of_a_job_is_of_a_task_that_failed_and_of_the_group_under_the_cursor() -> None:
    source = run_of(400)
    failed = source.job("sim").failures
    async with benched(JobScreen("sim"), source) as (bench, pilot):
        await pilot.press("f", "y", "down", "y", "3")
        await settled(pilot)
        await pilot.press("y")
        await settled(pilot)
    examples = [failed[0].examples[0], failed[1].examples[0]]
    assert bench.posted[:2] == [replay_command(source.folder, "sim", task) for task in examples]
    assert len(bench.posted) == 3
