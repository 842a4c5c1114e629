"""`run` as a program that calls it sees it."""

from __future__ import annotations

from pathlib import Path

from tests.command import Cli
from tests.guests import HELLO_WAT


def test_a_run_that_no_host_can_serve_still_prints_its_object(batchwasm: Cli) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    (batchwasm.folder / "inventory.toml").write_text('[hosts.h]\ntransport = "local"\npython = "/nowhere/python3"\n')
    ended = batchwasm("run", "hello.wat", "-i", "inventory.toml", "--json", code=3)
    assert ended.json["tasks"] == {"total": 1, "succeeded": 0, "failed": 0, "cancelled": 0, "skipped": 0}
    assert "no host is left that could run the task that waits" in ended.err
    assert Path(ended.json["folder"], "journal.db").is_file()
    shown = batchwasm("status", "-r", ended.json["folder"]).out.splitlines()
    assert "no host is left" in shown[0]
    assert shown[1].startswith("  h: ")


def test_what_is_asked_for_a_source_is_in_the_toml_it_stands_for(batchwasm: Cli) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    (batchwasm.folder / "inventory.toml").write_text('[hosts.h]\ntransport = "local"\nlabels = ["a"]\n')
    options = ["--cpus", "0.25", "--gpus", "1", "--label", "a", "--label", "!b", "--priority", "-1", "--retries", "2"]
    said = batchwasm("run", "hello.wat", *options, "--print-toml").out
    for line in ("cpus = 0.25", "gpus = 1", "priority = -1", "retries = 2", 'labels = ["a", "!b"]'):
        assert f"{line}\n" in said
    assert "--cpus: 0.0001 is finer" in batchwasm("run", "hello.wat", "--cpus", "0.0001", code=2).err
    assert "'x' is not a number; write such as 4 or 0.25" in batchwasm("run", "hello.wat", "--cpus", "x", code=2).err
    assert "--label[0]: 'a b' is not a label" in batchwasm("run", "hello.wat", "--label", "a b", code=2).err


def test_what_no_module_can_use_is_a_warning_on_stderr(batchwasm: Cli) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.big]\nsource = "hello.wat"\ncpus = 2\n[jobs.small]\nsource = "hello.wat"\nafter = "big"\n'
        '[jobs.other]\nsource = "hello.wat"\ngpus = 1\n'
    )
    ended = batchwasm("run", "jobs.toml", "--dry-run", "--json", "--only", "small")
    assert [row["name"] for row in ended.rows] == ["big", "small"]
    [line] = [line for line in ended.err.splitlines() if line.startswith("warning: ")]
    assert line.startswith("warning: jobs.big.cpus: a WebAssembly module has one thread, so it can't use 2 cpus")


def test_a_run_is_referred_to_by_what_the_next_command_takes(batchwasm: Cli) -> None:
    for folder in ("a", "b"):
        (batchwasm.folder / folder).mkdir()
        (batchwasm.folder / folder / "hello.wat").write_text(HELLO_WAT)
        (batchwasm.folder / folder / "jobs.toml").write_text('[jobs.hello]\nsource = "hello.wat"\n')
    assert "'batchwasm results -r jobs-1'" in batchwasm("run", "a/jobs.toml").err
    assert "'batchwasm results -r b/batchwasm-runs/jobs-1'" in batchwasm("run", "b/jobs.toml").err
