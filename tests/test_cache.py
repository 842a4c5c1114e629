"""Whole runs that take what earlier runs gave: from the journal, from files, along a graph, without a host."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command import Cli
from tests.guests import HELLO_WAT, JOIN_WAT
from tests.test_graphs import DIAMOND, sources

NOWHERE = '[hosts.nowhere]\naddress = "127.0.0.1"\nport = 9\n'
JOBS = """
name = "tour"
[jobs.join]
source = "join.wat"
args = ["out", "<{f}>", "data/{f}"]
sweep = { f = ["a", "b", "c"] }
inputs = ["data/{f}"]
outputs = ["out"]
memory = "4MiB"
cache = true
"""


@pytest.fixture
def folder(batchwasm: Cli) -> Path:
    """With a jobs.toml whose three tasks copy a file each."""
    (batchwasm.folder / "join.wat").write_text(JOIN_WAT)
    (batchwasm.folder / "jobs.toml").write_text(JOBS)
    (batchwasm.folder / "data").mkdir()
    for name in "abc":
        (batchwasm.folder / "data" / name).write_text(name)
    (batchwasm.folder / "nowhere.toml").write_text(NOWHERE)
    return batchwasm.folder


def rows(batchwasm: Cli, run: str) -> dict[str, Any]:
    return {f"{row['job']}/{row['index']}": row for row in batchwasm("results", "--json", "-r", run).rows}


def cached(batchwasm: Cli, run: str) -> list[str]:
    """Tasks of the run that were taken."""
    return [task for task, row in rows(batchwasm, run).items() if row["cached"]]


def test_a_second_run_takes_all_of_the_first_and_needs_no_host(batchwasm: Cli, folder: Path) -> None:
    batchwasm("run", "jobs.toml")
    second = batchwasm("run", "jobs.toml", "-i", "nowhere.toml")
    assert "3 were known: 3 from tour-1" in second.err
    first_rows, second_rows = rows(batchwasm, "tour-1"), rows(batchwasm, "tour-2")
    for task, row in second_rows.items():
        before = first_rows[task]
        assert (row["cached"], row["host"], row["outcome"], row["queued_s"]) == (True, None, "succeeded", 0.0)
        same = ("stdout", "outputs", "wall_s", "cpu_s", "started_at", "artifact", "exit_code")
        assert {key: row[key] for key in same} == {key: before[key] for key in same}
    runs = folder / "batchwasm-runs"
    for n, name in enumerate("abc"):
        content = (runs / f"tour-2/tasks/join/{n}/out/out").read_bytes()
        assert content == (runs / f"tour-1/tasks/join/{n}/out/out").read_bytes()
        assert name.encode() in content
    assert "(from tour-1)" in batchwasm("results", "-r", "tour-2").out
    assert "3 from tour-1" in batchwasm("status", "-r", "tour-2").out
    told = batchwasm("explain", "join/1", "-r", "tour-2", "--json").json
    assert told["cache"]["taken_from"] == "tour-1 join/1"


def test_only_what_changed_runs_and_explain_says_what_that_is(batchwasm: Cli, folder: Path) -> None:
    batchwasm("run", "jobs.toml")
    (folder / "data/b").write_text("other")
    batchwasm("run", "jobs.toml")
    assert cached(batchwasm, "tour-2") == ["join/0", "join/2"]
    told = batchwasm("explain", "join/1", "-r", "tour-2", "--json").json["cache"]
    assert (told["taken_from"], told["nearest"]) == (None, "tour-1 join/1")
    assert told["differs"] == ["inputs: data/b changed"]
    assert "inputs: data/b changed" in batchwasm("explain", "join/1", "-r", "tour-2").out


def test_a_task_that_failed_is_explained_from_what_its_run_was(batchwasm: Cli, folder: Path) -> None:
    batchwasm("run", "jobs.toml")
    text = JOBS.replace('outputs = ["out"]', 'outputs = ["out", "missing"]\nenv = { A = "1" }')
    (folder / "jobs.toml").write_text(text)
    batchwasm("run", "jobs.toml", code=1)
    told = batchwasm("explain", "join/0", "--json").json["cache"]
    assert told["nearest"] == "tour-1 join/0"
    assert told["differs"] == ["env: A is new", "outputs changed"]
    batchwasm("run", "jobs.toml", code=1)  # a failure is nothing to know
    assert cached(batchwasm, "tour-3") == []


def test_files_values_and_the_graph_behind_them_are_taken(batchwasm: Cli) -> None:
    sources(batchwasm.folder)
    (batchwasm.folder / "own").mkdir()
    (batchwasm.folder / "own/text").write_text("own")
    (batchwasm.folder / "nowhere.toml").write_text(NOWHERE)
    (batchwasm.folder / "jobs.toml").write_text(DIAMOND.replace("[defaults]", "[defaults]\ncache = true"))
    batchwasm("run", "jobs.toml")
    batchwasm("run", "jobs.toml", "-i", "nowhere.toml")
    first, second = rows(batchwasm, "diamond-1"), rows(batchwasm, "diamond-2")
    assert all(row["cached"] for row in second.values())
    assert {task: (row["value"], row["outputs"]) for task, row in first.items()} == {
        task: (row["value"], row["outputs"]) for task, row in second.items()
    }
    (batchwasm.folder / "own/text").write_text("other")
    batchwasm("run", "jobs.toml")
    assert {task for task, row in rows(batchwasm, "diamond-3").items() if not row["cached"]} == {"last/0"}


def test_a_run_that_was_removed_is_run_again(batchwasm: Cli, folder: Path) -> None:
    batchwasm("run", "jobs.toml")
    shutil.rmtree(folder / "batchwasm-runs/tour-1")
    batchwasm("run", "jobs.toml")  # in the very same folder
    assert cached(batchwasm, "tour-1") == []
    batchwasm("run", "jobs.toml")
    assert len(cached(batchwasm, "tour-2")) == 3


def test_what_was_taken_is_there_when_the_run_that_made_it_is_removed(batchwasm: Cli, folder: Path) -> None:
    batchwasm("run", "jobs.toml")
    batchwasm("run", "jobs.toml")
    shutil.rmtree(folder / "batchwasm-runs/tour-1")
    batchwasm("run", "jobs.toml", "-i", "nowhere.toml")
    assert len(cached(batchwasm, "tour-3")) == 3


def test_a_damaged_output_is_made_again(batchwasm: Cli, folder: Path) -> None:
    batchwasm("run", "jobs.toml")
    damaged = folder / "batchwasm-runs/tour-1/tasks/join/1/out/out"
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + b"?")
    batchwasm("run", "jobs.toml")
    assert cached(batchwasm, "tour-2") == ["join/0", "join/2"]
    assert (folder / "batchwasm-runs/tour-2/tasks/join/1/out/out").read_bytes() == content


def test_without_the_cache_all_runs_and_is_known_then(batchwasm: Cli, folder: Path) -> None:
    batchwasm("run", "jobs.toml")
    batchwasm("run", "jobs.toml", "--no-cache")
    assert cached(batchwasm, "tour-2") == []
    assert batchwasm("explain", "join/0", "-r", "tour-2", "--json").json["cache"] is None
    assert "3 from tour-2" in batchwasm("run", "jobs.toml").err


def test_a_job_that_did_not_ask_for_it_can_be_told_to(batchwasm: Cli) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    batchwasm("run", "hello.wat")
    batchwasm("run", "hello.wat")
    assert cached(batchwasm, "hello-2") == []
    batchwasm("run", "hello.wat", "--cache")
    again = batchwasm("run", "hello.wat", "--cache")
    assert cached(batchwasm, "hello-4") == ["hello/0"]
    assert again.out == "hello\n"  # it is shown as if it had run
    assert "hello is known from hello-3 hello/0" in again.err


def test_two_runs_at_once_share_it(batchwasm: Cli, folder: Path) -> None:
    both = [batchwasm.start("run", "jobs.toml") for _ in range(2)]
    for process in both:
        out, err = process.communicate()
        assert process.returncode == 0, (out, err)
    batchwasm("run", "jobs.toml", "-i", "nowhere.toml")
    assert len(cached(batchwasm, "tour-3")) == 3


def test_large_output_comes_along_and_a_damaged_one_does_not(batchwasm: Cli, folder: Path) -> None:
    data = (
        '(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))'
        '(memory (export "memory") 4) (func (export "_start") (i32.store (i32.const 0) (i32.const 16))'
        "(i32.store (i32.const 4) (i32.const 200000)) (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) "
        "(i32.const 8)))))"
    )
    (folder / "large.wat").write_text(data)
    for _ in range(2):
        batchwasm("run", "large.wat", "--cache", "-q")
    row = rows(batchwasm, "large-2")["large/0"]
    assert (row["cached"], Path(row["stdout_path"]).stat().st_size) == (True, 200_000)
    assert "large-2" in row["stdout_path"]
    Path(row["stdout_path"]).write_bytes(b"cut")
    batchwasm("run", "large.wat", "--cache", "-q")
    assert not rows(batchwasm, "large-3")["large/0"]["cached"]


def test_a_cache_that_cannot_be_used_is_told_and_done_without(batchwasm: Cli, folder: Path, home: Path) -> None:
    batchwasm("run", "jobs.toml")
    (home / ".cache/batchwasm/known-1.db").write_bytes(b"garbage" * 1000)
    second = batchwasm("run", "jobs.toml")
    assert second.err.count("the cache of results can't be used") == 1
    batchwasm("run", "jobs.toml")
    assert len(cached(batchwasm, batchwasm("run", "jobs.toml", "--json").json["run"])) == 3


def test_what_is_known_is_listed_and_forgotten(batchwasm: Cli, folder: Path) -> None:
    batchwasm("run", "jobs.toml")
    listed = batchwasm("cache", "list", "--json").rows
    assert [(row["run"], row["job"], row["tasks"], row["there"]) for row in listed] == [("tour-1", "join", 3, True)]
    assert "tour-1\tjoin\t3" in batchwasm("cache", "list").out
    assert "nothing to forget" in batchwasm("cache", "clean").err
    assert batchwasm("cache", "clean", "tour-1", "--json").json["forgotten"] == 3
    batchwasm("run", "jobs.toml")
    assert cached(batchwasm, "tour-2") == []
    assert "forgot 3 results" in batchwasm("cache", "clean", "--all").err
    assert "one of them at a time" in batchwasm("cache", "clean", "tour-1", "--all", code=2).err
    assert "'--older-than': 'soon' is not a duration" in batchwasm("cache", "clean", "--older-than", "soon", code=2).err


def test_a_job_with_mounts_takes_nothing_and_is_told_so(batchwasm: Cli, folder: Path) -> None:
    (folder / "mnt").mkdir()
    (folder / "jobs.toml").write_text(JOBS + 'mounts = ["m"]\n')
    (folder / "here.toml").write_text(
        f"[hosts.here]\ntransport = \"local\"\nmounts = {{ m = '''{folder / 'mnt'}''' }}\n"
    )
    for _ in range(2):
        ended = batchwasm("run", "jobs.toml", "-i", "here.toml")
    assert "jobs.join.cache: does nothing for a job with mounts" in ended.err
    assert cached(batchwasm, "tour-2") == []


def test_a_module_that_can_read_clock_or_dice_is_noted(batchwasm: Cli) -> None:
    wat = (
        '(module (import "wasi_snapshot_preview1" "random_get" (func (param i32 i32) (result i32)))'
        '(memory (export "memory") 1) (func (export "_start")))'
    )
    (batchwasm.folder / "dice.wat").write_text(wat)
    batchwasm("run", "dice.wat", "--cache")
    told = batchwasm("explain", "dice").out
    assert "random numbers (random_get)" in told
