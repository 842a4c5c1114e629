"""The dashboard over real runs on this machine: from a job to a task to what it printed, ended and live."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from textual.pilot import Pilot

from batchwasm.results import RunFolder
from batchwasm.tui.app import Dashboard
from batchwasm.tui.output import OutputView
from batchwasm.tui.screen import Opened
from batchwasm.views import View
from tests.command import Cli
from tests.tui.looking_at import screen, until

HOSTILE = b"hello [red]x[/red]\n\x1b[2J\x1b]0;pwned\x07\x1b]52;c;aGk=\x07gone\n10%\r20%\r30%\n"
PRINT = r"""(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 1024) "%s")
  (func $say
    (i32.store (i32.const 256) (i32.const 1024)) (i32.store (i32.const 260) (i32.const %d))
    (drop (call $write (i32.const 1) (i32.const 256) (i32.const 1) (i32.const 512))))
  (func $nap
    (i32.store (i32.const 16) (i32.const 1)) (i64.store (i32.const 24) (i64.const 50000000))
    (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128))))
  (func (export "_start") (call $say) %s))
"""


def guest(says: bytes, then: str = "") -> str:
    return PRINT % ("".join(f"\\{byte:02x}" for byte in says), len(says), then)


@asynccontextmanager
async def looked_at(folder: RunFolder, *opened: Any) -> AsyncIterator[Pilot[Any]]:
    app = Dashboard(lambda: View(folder), folder)
    async with app.run_test(size=(120, 40)) as pilot:
        app.post_message(Opened(*opened))
        yield pilot
        app.exit()
    if app.failed is not None:
        raise app.failed


async def sees(pilot: Pilot[Any], *texts: str) -> None:
    await until(pilot, lambda: all(text in screen(pilot) for text in texts))


async def test_a_run_that_is_over_is_read_down_to_what_a_task_printed(finished: RunFolder) -> None:
    async with looked_at(finished, "job", "bad") as pilot:
        await sees(pilot, "3 of 3 done", "3 trapped: it aborted, or reached code that")
        await pilot.press("f", "enter")
        await sees(pilot, "task bad/", "T trapped  on localhost", "it ended: trapped", "attempt 1 on localhost")
        await pilot.press("escape")
        await sees(pilot, "3 of 3 done")
    async with looked_at(finished, "task", "hello", 3) as pilot:
        await sees(pilot, "task hello/3  ■ succeeded", "n=3", "  hello\n")
    async with looked_at(finished, "task", "late", 1) as pilot:
        await sees(pilot, "/ skipped", "it ended: skipped", "which did not succeed")
    async with looked_at(finished, "host", "localhost") as pilot:
        await sees(pilot, "0 tasks there when the run ended, 43 done", "40 succeeded, 3 trapped", "bad/")


async def test_a_task_that_runs_is_followed_and_cancelled(batchwasm: Cli) -> None:
    (batchwasm.folder / "tick.wat").write_text(guest(HOSTILE, "(loop $l (call $say) (call $nap) (br $l))"))
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.tick]\nsource = "tick.wat"\n[jobs.later]\nsource = "tick.wat"\nafter = ["tick"]\n'
    )
    batchwasm("run", "jobs.toml", "--detach")
    folder = RunFolder(path=batchwasm.folder / "batchwasm-runs/jobs-1")
    try:
        async with looked_at(folder, "task", "later", 0) as pilot:
            await sees(pilot, "nothing printed yet: waits for tick")
        async with looked_at(folder, "task", "tick", 0) as pilot:
            await sees(pilot, "it runs", r"\x1b[2J\x1b]0;pwned\x07\x1b]52;c;aGk=\x07gone", "hello [red]x[/red]", "30%")
            assert "20%" not in screen(pilot)
            rows = pilot.app.screen.query_one(OutputView)
            seen = len(rows.rows)
            await until(pilot, lambda: len(rows.rows) > seen)
            await pilot.press("c")
            await sees(pilot, "Cancel tick/0?")
            await pilot.press("y")
            await sees(pilot, "- cancelled", "it ended: cancelled")
    finally:
        batchwasm("cancel", "--all", code=None)
        batchwasm("wait", code=None)
