"""runs list, rm and export: what is there, what may go, and results as files."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm import cli, results
from batchwasm.core.events import (
    BatchPlaced,
    Event,
    HostJoined,
    HostPlan,
    JobPlan,
    RunFinished,
    RunOpened,
    RunPlanned,
    TasksFinished,
)
from batchwasm.journal import Journal
from batchwasm.model import Outcome, Request
from batchwasm.results import RunFolder
from batchwasm.spec import stored
from batchwasm.spec.sweep import Axis, Combinations
from tests.disks import fill
from tests.test_journal import CALLED

Batchwasm = Callable[..., tuple[int, str, str]]
DAY_S = 86400.0


@pytest.fixture(autouse=True)
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHWASM_RUNS", raising=False)
    return tmp_path


@pytest.fixture
def batchwasm(capsys: pytest.CaptureFixture[str]) -> Batchwasm:  # type: ignore[override]
    """The command line in this process: exit code, stdout, stderr."""

    def call(*args: str | Path) -> tuple[int, str, str]:
        code = cli.main([*map(str, args)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


SWEEPS = {
    "sq": Combinations(
        axes=(Axis(names=("n",), columns=((1, 2),)), Axis(names=("host",), columns=(("a,b", 'say "x"'),)))
    ),
    "one": Combinations(axes=(Axis(names=("text",), columns=(("é\nf",),)),)),
}


def made(
    cwd: Path, name: str = "tour", *, ended: bool = True, days_ago: float = 0, runs_dir: Path | None = None
) -> RunFolder:
    """A run of two jobs with all its tasks but one ended; and then it, where it `ended`, else its scheduler died."""
    folder = results.create(name, runs_dir or cwd / "batchwasm-runs")
    folder.write_text(folder.jobs, "")
    folder.write_text(folder.inventory, "")
    jobs = [{"name": name, "sweep": stored.to_json(sweep)} for name, sweep in SWEEPS.items()]
    folder.write_manifest({"jobs": jobs})
    at = time.time() - days_ago * DAY_S
    need = (Request(cpus=1, memory_bytes=1),)
    plans = (JobPlan(name="sq", tasks=4, needs=need), JobPlan(name="one", tasks=1, needs=need))
    good = CALLED._replace(value=None, stdout=b'1, "2"\n', outputs='[{"path":"a","bytes":1,"sha256":"d"}]')
    bad = good._replace(
        outcome=int(Outcome.FAILED), exit_code=3, reason_code="exit_code", reason_text="x;y", outputs=None
    )
    events: list[Event] = [
        RunPlanned(run="0", name=folder.name, jobs=plans, hosts=(HostPlan(name="lab01"),)),
        RunOpened(incarnation=1, pid=1, machine=os.uname().nodename, version="0"),
        HostJoined(host="lab01", supervisor="s", cpus=8, memory_bytes=99, facts={}),
        BatchPlaced(batch=1, job=0, host="lab01", ranges=((0, 4),)),
        BatchPlaced(batch=2, job=1, host="lab01", ranges=((0, 1),)),
        TasksFinished(batch=1, job=0, host="lab01", records=[good, *(bad._replace(task=n) for n in (1, 2))]),
    ]
    if ended:
        last = TasksFinished(
            batch=1, job=0, host="lab01", records=[good._replace(task=3, stdout=None, stdout_path="p")]
        )
        events += [last, TasksFinished(batch=2, job=1, host="lab01", records=[good]), RunFinished()]
    with closing(Journal.create(folder.journal)) as journal:
        for event in events:
            journal.append([event], at)
    for path in folder.path.iterdir():
        os.utime(path, (at, at))
    return folder


# -------------------------------------------------------------------------------------------------------- list


def test_runs_are_listed_newest_first_with_what_they_take(batchwasm: Batchwasm, cwd: Path) -> None:
    made(cwd, days_ago=3)
    made(cwd, ended=False)
    made(cwd, "far", days_ago=2, runs_dir=cwd / "elsewhere")
    code, out, err = batchwasm("runs", "list")
    rows = [line.split("\t") for line in out.splitlines()]
    assert rows[0] == ["run", "state", "started", "done", "tasks", "failed", "size", "folder"]
    assert [(row[0], row[1], *row[3:6]) for row in rows[1:]] == [
        ("tour-2", "stopped", "3", "5", "2"),
        ("far-1", "finished", "5", "5", "2"),
        ("tour-1", "finished", "5", "5", "2"),
    ]
    assert rows[2][7] == str(cwd / "elsewhere/far-1")
    assert (code, err[:12]) == (0, "3 runs take ")


def test_for_programs_a_run_is_an_object_with_all_keys(batchwasm: Batchwasm, cwd: Path) -> None:
    folder = made(cwd)
    _, out, _ = batchwasm("runs", "list", "--json")
    found = json.loads(out)
    assert found.pop("bytes") > 50_000
    assert time.time() - found.pop("started_at") < 60
    assert found == {
        "schema": "runs/1",
        "run": "tour-1",
        "folder": str(folder.path),
        "state": "finished",
        "why": None,
        "tasks": {
            "total": 5,
            "waiting": 0,
            "running": 0,
            "succeeded": 3,
            "failed": 2,
            "cancelled": 0,
            "skipped": 0,
            "done": 5,
        },
    }


def test_runs_of_calls_are_listed_where_they_are_asked_for(batchwasm: Batchwasm, cwd: Path) -> None:
    calls = results.calls_dir()
    assert calls is not None
    made(cwd, "mean", runs_dir=calls)
    shutil.rmtree(calls.parent / "runs")  # as these are made
    assert batchwasm("runs", "list")[1].count("\n") == 1
    assert "\nmean-1\t" in batchwasm("runs", "list", "--calls")[1]


def test_a_run_that_cannot_be_read_is_listed_with_what_is_wrong(batchwasm: Batchwasm, cwd: Path) -> None:
    made(cwd)
    broken = made(cwd)
    broken.journal.write_bytes(b"rubbish" * 1000)
    code, out, err = batchwasm("runs", "list")
    assert code == 0
    assert "\ntour-2\tunreadable\t" in out
    assert "\ntour-1\tfinished\t" in out
    assert "tour-2 can't be read: " in err
    assert "this is not a journal of batchwasm" in err
    row = json.loads(batchwasm("runs", "list", "--json")[1].splitlines()[0])
    assert (row["state"], row["tasks"]) == ("unreadable", None)


# ---------------------------------------------------------------------------------------------------------- rm


def test_runs_are_removed_by_name_or_path_and_it_is_said_what_that_frees(batchwasm: Batchwasm, cwd: Path) -> None:
    folders = [made(cwd) for _ in range(3)]
    code, out, err = batchwasm("runs", "rm", "tour-1", folders[2].path)
    assert code == 0
    assert [line.split(",")[0] for line in out.splitlines()] == ["tour-1: removed", "tour-3: removed"]
    assert err.startswith("2 runs, ")
    assert [folder.path.exists() for folder in folders] == [False, True, False]
    assert [path.name for path in results._indexed()] == ["tour-2"]


def test_nothing_is_removed_where_one_name_is_wrong_and_all_that_are_wrong_are_told(
    batchwasm: Batchwasm, cwd: Path
) -> None:
    folder = made(cwd)
    (cwd / "notes").mkdir()
    code, out, err = batchwasm("runs", "rm", "tour-1", "tuor-1", "./notes")
    assert (code, out) == (2, "")
    assert "did you mean 'tour-1'?" in err
    assert "./notes is not a run folder" in err
    assert err.endswith("nothing was removed\n")
    assert folder.path.exists()
    assert (cwd / "notes").exists()


def test_a_folder_with_another_program_s_journal_is_never_touched(batchwasm: Batchwasm, cwd: Path) -> None:
    (cwd / "other").mkdir()
    (cwd / "other/journal.db").write_bytes(b"rubbish" * 1000)
    code, _, err = batchwasm("runs", "rm", "--force", "other")
    assert code == 2
    assert "does not look like a run folder, so it is left alone" in err
    assert (cwd / "other/journal.db").exists()


def test_a_run_that_goes_on_is_refused_with_how_to_end_it_whatever_is_forced(batchwasm: Batchwasm, cwd: Path) -> None:
    folder = made(cwd, ended=False)
    with folder.held():
        code, _, err = batchwasm("runs", "rm", "--force", "tour-1")
    assert code == 3
    assert f"tour-1 is being worked on (by process {os.getpid()} on " in err
    assert "end it with 'batchwasm cancel --all -r tour-1', or Ctrl-C where it runs" in err
    assert folder.path.exists()


def test_a_run_whose_tasks_may_still_run_on_hosts_is_removed_by_force_alone(batchwasm: Batchwasm, cwd: Path) -> None:
    folder = made(cwd, ended=False)
    code, _, err = batchwasm("runs", "rm", "tour-1")
    assert code == 3
    assert err == (
        "tour-1 was left with 2 tasks on lab01, which may still run there: 'batchwasm resume tour-1' takes in what "
        "they give; --force removes the run all the same\n"
    )
    assert batchwasm("runs", "rm", "--force", "tour-1")[0] == 0
    assert not folder.path.exists()


def test_a_run_that_cannot_be_read_is_removed_by_force(batchwasm: Batchwasm, cwd: Path) -> None:
    folder = made(cwd)
    folder.journal.write_bytes(b"rubbish" * 1000)
    code, _, err = batchwasm("runs", "rm", "tour-1")
    assert code == 3
    assert "--force removes it all the same" in err
    assert batchwasm("runs", "rm", "tour-1", "--force")[0] == 0
    assert not folder.path.exists()


def test_old_runs_here_go_and_the_newest_stay(batchwasm: Batchwasm, cwd: Path) -> None:
    for days_ago in (40, 35, 31, 1):
        made(cwd, days_ago=days_ago)
    made(cwd, "far", days_ago=50, runs_dir=cwd / "elsewhere")
    dry = batchwasm("runs", "rm", "--older-than", "30d", "--dry-run")[1]
    assert [line.split(",")[0] for line in dry.splitlines()] == [f"tour-{n}: would be removed" for n in (1, 2, 3)]
    both = batchwasm("runs", "rm", "--older-than", "30d", "--keep", "3", "--json")[1]
    assert {key: json.loads(both)[key] for key in ("schema", "run")} == {"schema": "removed/1", "run": "tour-1"}
    batchwasm("runs", "rm", "--keep", "1")
    assert sorted(os.listdir(cwd / "batchwasm-runs")) == ["tour-4"]
    assert (cwd / "elsewhere/far-1").exists()
    assert batchwasm("runs", "rm", "--older-than", "30d")[2] == "there is nothing to remove\n"


def test_old_runs_that_go_on_are_left_out_and_it_is_said_why(batchwasm: Batchwasm, cwd: Path) -> None:
    folder = made(cwd, days_ago=9)
    made(cwd, days_ago=8)
    with folder.held():
        code, out, err = batchwasm("runs", "rm", "--keep", "0")
    assert code == 0
    assert out.startswith("tour-2: removed")
    assert err.startswith("kept: tour-1 is being worked on")


@pytest.mark.parametrize("args", [(), ("tour-1", "--keep", "1"), ("--older-than", "soon"), ("--older-than", "0")])
def test_it_must_be_clear_which_runs_are_meant(batchwasm: Batchwasm, cwd: Path, args: tuple[str, ...]) -> None:
    folder = made(cwd)
    code, _, err = batchwasm("runs", "rm", *args)
    assert code == 2
    assert "older-than" in err
    assert folder.path.exists()


def test_a_link_to_a_run_folder_means_that_folder(batchwasm: Batchwasm, cwd: Path) -> None:
    folder = made(cwd)
    (cwd / "newest").symlink_to(folder.path)
    assert batchwasm("runs", "rm", "./newest")[0] == 0
    assert not folder.path.exists()


def test_on_a_full_disk_a_run_can_be_removed(batchwasm: Batchwasm, small_disk: Path) -> None:
    folder = made(small_disk, runs_dir=small_disk / "runs")
    fill(small_disk)
    assert batchwasm("runs", "rm", folder.path)[0] == 0
    assert not folder.path.exists()


def test_what_cannot_be_removed_is_told_and_stays_a_run(batchwasm: Batchwasm, cwd: Path, small_disk: Path) -> None:
    folder = made(cwd)
    (folder.path / "tasks").mkdir()
    subprocess.run(["mount", "--bind", str(small_disk), str(folder.path / "tasks")], check=True)
    try:
        code, _, err = batchwasm("runs", "rm", "tour-1")
    finally:
        subprocess.run(["umount", str(folder.path / "tasks")], check=True)
    assert code == 3
    assert "tasks can't be removed: Device or resource busy" in err
    assert folder.journal.exists()


# ------------------------------------------------------------------------------------------------------ export


def test_a_table_has_one_header_and_a_column_for_each_parameter_of_any_job(batchwasm: Batchwasm, cwd: Path) -> None:
    made(cwd)
    _, out, _ = batchwasm("runs", "export")
    assert out.splitlines()[0] == (
        "job,index,n,param.host,text,outcome,reason_code,reason,exit_code,value,host,attempts,cached,queued_s,wall_s,"
        "cpu_s,peak_memory_bytes,started_at,stdout,stdout_path,stderr,stderr_path,outputs,artifact"
    )
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["job"], row["index"], row["n"], row["param.host"], row["text"]) for row in rows] == [
        ("sq", "0", "1", "a,b", ""),
        ("sq", "1", "1", 'say "x"', ""),
        ("sq", "2", "2", "a,b", ""),
        ("sq", "3", "2", 'say "x"', ""),
        ("one", "0", "", "", "é\nf"),
    ]
    assert [row["outcome"] for row in rows] == ["succeeded", "failed", "failed", "succeeded", "succeeded"]
    assert (rows[0]["stdout"], rows[3]["stdout"]) == ('1, "2"\n', "")
    assert rows[3]["stdout_path"] == str(cwd / "batchwasm-runs/tour-1/p")
    assert (rows[1]["reason_code"], rows[1]["reason"], rows[1]["exit_code"]) == ("exit_code", "x;y", "3")
    assert json.loads(rows[0]["outputs"]) == [{"path": "a", "bytes": 1, "sha256": "d"}]
    assert (rows[1]["outputs"], rows[0]["cached"], rows[0]["host"]) == ("", "false", "lab01")


def test_the_file_s_end_says_the_format_and_a_folder_gets_the_run_s_name(batchwasm: Batchwasm, cwd: Path) -> None:
    made(cwd)
    table = batchwasm("runs", "export", "tour-1")[1]
    lines = batchwasm("results", "--json")[1]
    (cwd / "tables").mkdir()
    batchwasm("runs", "export", "tour-1", "-o", "a.csv")
    batchwasm("runs", "export", "tour-1", "-o", "a.jsonl")
    batchwasm("runs", "export", "tour-1", "-o", "a.txt", "--format", "jsonl")
    _, out, err = batchwasm("runs", "export", "tour-1", "-o", "tables")
    assert (out, err.endswith(" in tables/tour-1.csv\n")) == ("", True)
    assert [Path(name).read_text() for name in ("a.csv", "a.jsonl", "a.txt", "tables/tour-1.csv")] == [
        *(table, lines, lines, table)
    ]
    assert batchwasm("runs", "export", "--format", "jsonl")[1] == lines


def test_a_disk_that_is_full_leaves_the_file_as_it_was(batchwasm: Batchwasm, cwd: Path, small_disk: Path) -> None:
    made(cwd)
    (small_disk / "a.csv").write_text("before")
    fill(small_disk)
    code, _, err = batchwasm("runs", "export", "tour-1", "-o", small_disk / "a.csv")
    assert code == 3
    assert f"{small_disk}/a.csv can't be written: the disk is full (" in err
    assert (small_disk / "a.csv").read_text() == "before"
    assert batchwasm("runs", "export", "tour-1", "-o", "/dev/null")[0] == 0
    assert not Path("/dev/null").is_file()
