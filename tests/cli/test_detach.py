"""A run that goes on when its terminal is gone, and others that come to it: real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from batchwasm.cli import detach
from tests.command import Cli
from tests.gated import Gate, Lines, gated_jobs, until
from tests.guests import HELLO_WAT


@pytest.fixture
def gate(batchwasm: Cli) -> Gate:
    gate = Gate.beside(batchwasm)
    gated_jobs(batchwasm, 1)
    return gate


def detached(cli: Cli, *args: str) -> tuple[Path, int]:
    """A run in the background: its folder, its process."""
    said = cli("run", "--detach", "--json", *(args or ("jobs.toml",))).json
    assert (said["schema"], said["run"]) == ("detach/1", Path(said["folder"]).name)
    return Path(said["folder"]), said["pid"]


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_reading(pid: int, name: str) -> None:
    """Until a process has a file of that name open."""
    deadline = time.monotonic() + 60
    while not _has_open(pid, name):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _has_open(pid: int, name: str) -> bool:
    try:
        return any(os.readlink(path).endswith(name) for path in Path(f"/proc/{pid}/fd").iterdir())
    except FileNotFoundError:
        return False  # one was closed while we looked


def test_a_detached_run_gives_the_terminal_back_and_goes_on(batchwasm: Cli, gate: Gate) -> None:
    started = batchwasm("run", "--detach", "jobs.toml")  # returns, so nothing keeps its pipes open
    folder = batchwasm.folder / "batchwasm-runs/jobs-1"
    assert started.out == ""
    assert started.err.splitlines()[0] == f"run jobs-1 in {folder}"
    assert "batchwasm logs -f TASK -r jobs-1" in started.err
    status = batchwasm("status", "--json").json
    assert (status["state"], status["tasks"]["total"]) == ("running", 1)
    pid = json.loads((folder / "scheduler.json").read_text())["pid"]
    assert os.getsid(pid) == pid
    assert os.readlink(f"/proc/{pid}/cwd") == str(batchwasm.folder)
    assert [os.readlink(f"/proc/{pid}/fd/{n}") for n in range(3)] == ["/dev/null", *[str(folder / "scheduler.log")] * 2]
    gate.open("1.1")
    assert batchwasm("wait").err.startswith("jobs-1: 1 succeeded of 1")
    log = (folder / "scheduler.log").read_text()
    assert "host here: ready" in log
    assert "out 1.1" not in log


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nope.toml"], "nope.toml: there is no such file"),
        (["bad.toml"], "did you mean 'source' or"),
        (["jobs.toml", "--only", "nope"], "there is no job 'nope'"),
        (["jobs.toml", "--wait-hosts", "long"], "'--wait-hosts': 'long' is not a duration"),
        (["jobs.toml", "--dry-run"], "--detach: for a run that starts"),
        (["jobs.toml", "--hosts", "a[1"], "--hosts"),
    ],
)
def test_what_is_wrong_before_a_run_starts_is_told_in_this_terminal(batchwasm: Cli, args: list[str], said: str) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    (batchwasm.folder / "jobs.toml").write_text('[jobs.a]\nsource = "hello.wat"\n')
    (batchwasm.folder / "bad.toml").write_text('[jobs.a]\nsorce = "hello.wat"\n')
    assert said in batchwasm("run", "--detach", *args, code=2).err
    assert not (batchwasm.folder / "batchwasm-runs").exists()


def test_a_folder_that_takes_no_run_is_told_with_the_exit_code_of_the_world(batchwasm: Cli, gate: Gate) -> None:
    (batchwasm.folder / "file").touch()
    assert "can't be made" in batchwasm("run", "--detach", "jobs.toml", "--runs-dir", "file", code=3).err


def test_a_source_that_does_not_compile_is_told_by_wait_and_status(batchwasm: Cli) -> None:
    (batchwasm.folder / "bad.c").write_text("int main( {")
    batchwasm("run", "--detach", "bad.c")
    ended = batchwasm("wait", "--json", code=2)
    assert ended.json["tasks"] == {"total": 1, "succeeded": 0, "failed": 0, "cancelled": 0, "skipped": 0}
    assert "bad.c:1:11: error" in ended.err
    assert "bad.c:1:11: error" in batchwasm("status").out
    assert batchwasm("status", "--json").json["state"] == "stopped"


def test_a_source_with_options_runs_in_the_background(batchwasm: Cli) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    detached(batchwasm, "-q", "--sweep", "n=1..3", "--memory", "4MiB", "hello.wat", "--", "--detach", "{n}")
    assert batchwasm("wait", "--json").json["tasks"]["succeeded"] == 3


def test_a_terminal_that_closes_does_not_end_it_and_sigterm_does_in_order(batchwasm: Cli, gate: Gate) -> None:
    folder, pid = detached(batchwasm)
    until(folder, lambda journal: journal.state().jobs[0].running > 0)
    os.kill(pid, signal.SIGHUP)
    assert batchwasm("status", "--json").json["state"] == "running"
    os.kill(pid, signal.SIGTERM)
    ended = batchwasm("wait", "--json", code=130)
    assert "interrupted; 'batchwasm resume' goes on" in ended.err
    until_gone(pid)


def test_a_ctrl_c_before_it_has_begun_leaves_nothing_behind(
    batchwasm: Cli, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process in the background has a session of its own: who waits for it must pass it on."""
    slow = batchwasm.folder / "site"
    slow.mkdir()
    (slow / "sitecustomize.py").write_text(
        "import os, pathlib, time\n"
        "if '_BATCHWASM_DETACHED' in os.environ:\n"
        "    pathlib.Path(os.environ['MARK']).write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
    )
    mark = batchwasm.folder / "mark"
    environment = batchwasm.environment({"MARK": str(mark)})
    environment["PYTHONPATH"] = f"{slow}{os.pathsep}{environment['PYTHONPATH']}"
    process = subprocess.Popen(
        [*batchwasm.program, "run", "--detach", "jobs.toml"], cwd=batchwasm.folder, env=environment
    )
    deadline = time.monotonic() + 60
    while not (mark.exists() and mark.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    until_gone(int(mark.read_text()))
    assert not (batchwasm.folder / "batchwasm-runs").exists()


def test_a_log_is_read_on_terminals_so_escape_sequences_are_shown_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    with open(path, "a+", encoding="utf-8") as file:
        monkeypatch.setattr("sys.stderr", file)
        detach.Log().note("task \x1b[31mred")
    assert path.read_text().endswith(" task \\x1b[31mred\n")


def test_a_log_that_grows_too_large_loses_its_older_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detach, "LOG_LIMIT_BYTES", 1000)
    path = tmp_path / "log"
    with open(path, "a+", encoding="utf-8") as file:
        monkeypatch.setattr("sys.stderr", file)
        log = detach.Log()
        log.note("the caller's own\n" * 100)
        assert path.stat().st_size > 1000
        path.write_text("")
        log.is_ours = True
        for n in range(100):
            log.note(f"line {n}")
            assert path.stat().st_size <= 1000
    lines = path.read_text().splitlines()
    assert lines[0] == "... what was before is dropped"
    numbers = [int(line.split()[-1]) for line in lines[1:]]
    assert numbers == list(range(numbers[0], 100))


# -------------------------------------------------------------------------------------------------------- wait


def test_wait_goes_with_its_patience_and_the_run_goes_on(batchwasm: Cli, gate: Gate) -> None:
    detached(batchwasm)
    late = batchwasm("wait", "jobs-1", "--timeout", "0.1s", "--json", code=3)
    assert (late.out, late.err) == ("", "jobs-1 still goes on after 0.1 s\n")
    waiting = batchwasm.start("wait", "--json")
    interrupted = batchwasm.start("wait", "-r", "jobs-1")
    for process in (waiting, interrupted):
        until_reading(process.pid, "journal.db")
    interrupted.send_signal(signal.SIGINT)
    assert Lines(interrupted).rest()[0] == 130
    assert batchwasm("status", "--json").json["state"] == "running"
    gate.open("fail.1", "1.1")
    code, out, err = Lines(waiting).rest()
    assert (code, json.loads(out)["tasks"]["failed"]) == (1, 1)
    assert err.startswith("jobs-1: 1 failed of 1")
    assert batchwasm("wait", code=1).out == ""


def test_wait_tells_of_a_scheduler_that_was_killed_where_its_log_is(batchwasm: Cli, gate: Gate) -> None:
    folder, pid = detached(batchwasm)
    until(folder, lambda journal: journal.state().jobs[0].running > 0)
    waiting = batchwasm.start("wait", "--json")
    os.kill(pid, signal.SIGKILL)
    code, out, err = Lines(waiting).rest()
    assert (code, json.loads(out)["run"]) == (3, "jobs-1")
    assert "its scheduler ended without a word" in err
    assert str(folder / "scheduler.log") in err
    gate.open("1.1")
    batchwasm("resume", "--detach", "-q")
    assert batchwasm("wait", "--json").json["tasks"]["succeeded"] == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["jobs-1", "-r", "jobs-2"], "give RUN once"),
        (["--timeout", "soon"], "soon"),
        (["jobs-9"], "there is no run named 'jobs-9'"),
    ],
)
def test_wait_refuses_what_it_does_not_understand(batchwasm: Cli, args: list[str], said: str) -> None:
    assert said in batchwasm("wait", *args, code=2).err
