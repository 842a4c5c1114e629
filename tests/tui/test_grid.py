"""The grid of a job's tasks: buckets that are round, a cursor by keys and mouse, into a cell and out again."""

from __future__ import annotations

from batchwasm.tui.grid import TaskGrid, bucket
from batchwasm.tui.job import JobScreen
from tests.tui.bench import benched, settled
from tests.tui.drilling import run_of


def test_a_cell_stands_for_a_round_number_of_tasks() -> None:
    assert [bucket(tasks, 400) for tasks in (1, 400, 401, 1000, 100_000, 1_000_000)] == [1, 1, 2, 5, 500, 5000]


async def test_the_cursor_moves_by_keys_and_enter_opens_the_task() -> None:
    async with benched(JobScreen("sim"), run_of(400)) as (bench, pilot):
        grid = bench.screen.query_one(TaskGrid)
        assert "task 0: succeeded" in bench.screen_text
        await pilot.press("right", "l", "down", "j", "up", "left")
        assert grid.current is not None
        assert grid.current.first == 1 + grid.columns
        await pilot.press("end", "enter")
        await settled(pilot)
        assert bench.posted == [("task", "sim", 399)]


async def test_a_bucket_is_told_and_opened_and_left_again() -> None:
    async with benched(JobScreen("sim"), run_of(20_000)) as (bench, pilot):
        grid = bench.screen.query_one(TaskGrid)
        assert grid.step == 50
        await pilot.press("right", "right")
        await settled(pilot)
        assert "tasks 100-149: 49 succeeded, 1 out of memory" in bench.screen_text
        await pilot.press("enter")
        await settled(pilot)
        assert len(grid.cells) == 50
        assert (grid.cells[0].first, grid.cells[-1].stop) == (100, 150)
        assert "task 100: succeeded" in bench.screen_text
        await pilot.press("backspace")
        await settled(pilot)
        assert len(grid.cells) == 400
        assert grid.current is not None
        assert grid.current.first == 100


async def test_the_mouse_chooses_a_cell_and_tells_of_it() -> None:
    async with benched(JobScreen("sim"), run_of(400)) as (bench, pilot):
        grid = bench.screen.query_one(TaskGrid)
        await pilot.hover(TaskGrid, offset=(4 + 20, 1))
        assert str(grid.tooltip) == "task 90: failed"
        await pilot.click(TaskGrid, offset=(4 + 20, 1))
        assert grid.current is not None
        assert grid.current.first == 90
        await pilot.click(TaskGrid, offset=(4 + 20, 1), times=2)
        await settled(pilot)
        assert bench.posted == [("task", "sim", 90)]
