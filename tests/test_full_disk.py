"""A disk of this machine that gets full under a run: said in words, and the run goes on after room was made."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.command import Cli
from tests.disks import fill
from tests.guests import HELLO_WAT

TASKS = 80


def talker(size_bytes: int) -> str:
    """A program that prints as many zeros."""
    return rf"""
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const {size_bytes}))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"""


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


@pytest.mark.parametrize(
    ("size_bytes", "where"),
    # A last file may just fit, and leave no room for the journal to tell of it.
    [(60_000, r"journal\.db"), (100_000, r"(?:tasks/t/\d+/stdout|journal\.db)")],
    ids=["journal", "files"],
)
def test_a_run_on_a_disk_that_gets_full_says_so_and_is_resumed_after_room_was_made(
    batchwasm: Cli, small_disk: Path, size_bytes: int, where: str
) -> None:
    (batchwasm.folder / "t.wat").write_text(talker(size_bytes))
    sweep = f'[jobs.t]\nsource = "t.wat"\nargs = ["{{n}}"]\nsweep = {{ n = {{ range = [0, {TASKS}] }} }}\n'
    (batchwasm.folder / "full.toml").write_text(f'name = "full"\n{sweep}')
    ended = batchwasm("run", "full.toml", "--runs-dir", small_disk, code=3)
    full = rf"{small_disk}/full-1/{where} can't be written: the disk is full \([\d.]+ \w+ free, about [\d.]+ \w+ to be"
    assert re.search(
        rf"{full} written\); make room there\n'batchwasm resume full-1' goes on with the run when", ended.err
    )
    stopped = batchwasm("status", "-r", "full-1").out
    assert re.search(rf"^run     full-1, stopped after .*: {full}", stopped, re.MULTILINE)
    before = batchwasm("results", "-r", "full-1", "--json").rows
    assert 0 < len(before) < TASKS
    enlarge(small_disk)
    batchwasm("resume", "full-1")
    after = batchwasm("results", "-r", "full-1", "--json").rows
    assert [row["index"] for row in after] == list(range(TASKS))
    assert {row["outcome"] for row in after} == {"succeeded"}
    started = {row["index"]: row["started_at"] for row in after}
    assert all(started[row["index"]] == row["started_at"] for row in before)


def test_a_run_for_which_there_is_no_room_at_all_leaves_nothing(batchwasm: Cli, small_disk: Path) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    fill(small_disk, leave=100_000)
    ended = batchwasm("run", "hello.wat", "--runs-dir", small_disk / "runs", code=3)
    assert "the disk is full (" in ended.err
    assert "resume" not in ended.err
    assert [path.name for path in small_disk.iterdir() if path.name != "runs"] == ["filler"]
    assert list(small_disk.glob("runs/*")) == []


def test_a_compiler_that_finds_no_room_is_no_fault_of_the_source(batchwasm: Cli, small_disk: Path) -> None:
    (batchwasm.folder / "hi.c").write_text('#include <stdio.h>\nint main(void) { printf("%f", 1.5); }\n')
    fill(small_disk, leave=10_000)
    ended = batchwasm("compile", "hi.c", env={"TMPDIR": str(small_disk)}, code=3)
    assert re.search(rf"{small_disk}/batchwasm-build-\w+ can't be written: the disk is full \(.* free\)", ended.err)


def test_a_cache_without_room_is_told_from_a_run_folder_without_room(batchwasm: Cli, small_disk: Path) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    fill(small_disk)
    ended = batchwasm("run", "hello.wat", env={"XDG_CACHE_HOME": str(small_disk / "cache")}, code=3)
    assert f"{small_disk}/cache/batchwasm/store can't be written: the disk is full (0 B free" in ended.err
