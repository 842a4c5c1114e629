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


def test_a_run_is_referred_to_by_what_the_next_command_takes(batchwasm: Cli) -> None:
    for folder in ("a", "b"):
        (batchwasm.folder / folder).mkdir()
        (batchwasm.folder / folder / "hello.wat").write_text(HELLO_WAT)
        (batchwasm.folder / folder / "jobs.toml").write_text('[jobs.hello]\nsource = "hello.wat"\n')
    assert "'batchwasm results -r jobs-1'" in batchwasm("run", "a/jobs.toml").err
    assert "'batchwasm results -r b/batchwasm-runs/jobs-1'" in batchwasm("run", "b/jobs.toml").err
