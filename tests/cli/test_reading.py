"""status, results and logs of a real run: as tables, for programs, byte for byte."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchwasm import cli, results
from tests.cli.terminal import on_a_terminal
from tests.command import Cli

SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    const char *mode = argv[1];
    if (!strcmp(mode, "odd")) {
        fwrite("a\x1b[31mred\xff\r\n\0end", 1, 16, stdout);
        fputs("warning \x1b]0;title\x07\n", stderr);
        FILE *file = fopen("out \x1b.bin", "wb");
        fwrite("\0\1\2", 1, 3, file);
        fclose(file);
    } else if (!strcmp(mode, "large")) {
        for (int i = 0; i < 20000; i++) printf("line %d\n", i);
    } else if (!strcmp(mode, "fail")) {
        fputs("no such thing\n", stderr);
        return 3;
    } else if (!strcmp(mode, "trap")) {
        __builtin_trap();
    }
    return 0;
}
"""
JOBS = """
name = "read"
[defaults]
source = "modes.c"
[jobs.modes]
args = ["{mode}"]
sweep = { mode = ["odd", "large", "fail", "trap"] }
outputs = ["*.bin?"]
[jobs.one]
args = ["quiet"]
"""
ODD = b"a\x1b[31mred\xff\r\n\0end"
LARGE = "".join(f"line {n}\n" for n in range(20000)).encode()


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A finished run."""

    folder: Path
    """Where it was started."""
    run: Path
    env: Mapping[str, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("reading")
    (folder / "modes.c").write_text(SOURCE)
    (folder / "jobs.toml").write_text(JOBS)
    env = {name: str(folder / "home") for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME")}
    program = Cli(program=(sys.executable, "-m", "batchwasm"), folder=folder)
    summary = program("run", "jobs.toml", "--json", code=1, env=env).json
    return Made(folder=folder, run=Path(summary["folder"]), env=env)


@pytest.fixture
def read(made: Made) -> Cli:
    """The command line, started beside the run."""
    return Cli(program=(sys.executable, "-m", "batchwasm"), folder=made.folder)


def raw(made: Made, *args: str) -> subprocess.CompletedProcess[bytes]:
    program = Cli(program=(sys.executable, "-m", "batchwasm"), folder=made.folder)
    command = [*program.program, *args]
    return subprocess.run(command, cwd=made.folder, capture_output=True, check=True, env=program.environment(None))


# ------------------------------------------------------------------------------------------------------ status


def test_status_for_programs_has_the_fields_of_the_contract(read: Cli, made: Made) -> None:
    status = read("status", "--json").json
    assert list(status) == ["schema", "run", "folder", "state", "tasks", "jobs", "hosts", "paused"]
    assert (status["schema"], status["run"], status["state"]) == ("status/1", "read-1", "finished")
    assert status["folder"] == str(made.run)
    counts = {"waiting": 0, "running": 0, "cancelled": 0, "skipped": 0}
    assert status["tasks"] == {"total": 5, "succeeded": 3, "failed": 2, **counts}
    usages = [job.pop("usage") for job in status["jobs"]]
    assert status["jobs"] == [
        {"name": "modes", "total": 4, "succeeded": 2, "failed": 2, **counts},
        {"name": "one", "total": 1, "succeeded": 1, "failed": 0, **counts},
    ]
    assert [list(usage) for usage in usages] == [["attempts", "cpus", "memory_bytes", "time_s", "disk_bytes"]] * 2
    assert [usage["attempts"] for usage in usages] == [4, 1]
    assert usages[0]["memory_bytes"]["asked"] == 512 * 1024**2
    assert usages[0]["disk_bytes"] == {"asked": 1024**3, "used": 3, "next": 4 * 1024**2}
    (host,) = status["hosts"]
    assert list(host) == ["name", "state", "reason", "cpus", "running", "done"]
    assert host["done"] == 5


def test_status_for_people_shows_run_jobs_and_hosts(read: Cli, made: Made) -> None:
    shown = read("status").out
    assert "read-1, finished after" in shown
    assert f"folder  {made.run}" in shown
    assert "tasks   5 in all, 3 succeeded, 2 failed" in shown
    assert "modes\t4\t-\t-\t2\t2\t-\t-" in shown
    code, on_screen = on_a_terminal("-m", "batchwasm", "status", cwd=made.folder)
    assert code == 0
    assert "modes      4" in on_screen


# ----------------------------------------------------------------------------------------------------- results


def test_results_for_programs_have_the_fields_of_the_contract(read: Cli) -> None:
    rows = read("results", "--json").rows
    fields = "schema run job index params outcome reason exit_code value host attempts cached queued_s wall_s cpu_s "
    fields += "peak_memory_bytes started_at stdout stdout_path stderr stderr_path outputs artifact"
    assert {" ".join(row) for row in rows} == {fields}
    odd, large, fail, trap, one = rows
    assert [(row["job"], row["index"]) for row in rows] == [*(("modes", n) for n in range(4)), ("one", 0)]
    assert odd["params"] == {"mode": "odd"}
    assert odd["stdout"] == ODD.decode(errors="replace")
    assert [(output["path"], output["bytes"]) for output in odd["outputs"]] == [("out \x1b.bin", 3)]
    assert large["stdout"] is None
    assert large["stdout_path"] is not None
    assert (fail["outcome"], fail["exit_code"], fail["reason"]["code"]) == ("failed", 3, "exit_code")
    assert (trap["outcome"], trap["exit_code"]) == ("trapped", None)
    assert (one["outcome"], one["stdout"], one["stderr_path"]) == ("succeeded", "", None)


@pytest.mark.parametrize(
    ("args", "tasks"),
    [
        ([], ["modes/0", "modes/1", "modes/2", "modes/3", "one/0"]),
        (["--failed"], ["modes/2", "modes/3"]),
        (["--outcome", "trapped"], ["modes/3"]),
        (["--outcome", "trapped", "--outcome", "succeeded"], ["modes/0", "modes/1", "modes/3", "one/0"]),
        (["--outcome", "lost"], []),
        (["--job", "one"], ["one/0"]),
        (["--job", "modes", "--failed"], ["modes/2", "modes/3"]),
        (["modes/1"], ["modes/1"]),
        (["one"], ["one/0"]),
        (["modes/1", "--failed"], []),
    ],
)
def test_results_are_filtered(
    made: Made,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    args: list[str],
    tasks: list[str],
) -> None:
    monkeypatch.chdir(made.folder)
    assert cli.main(["results", "--json", *args]) == 0
    rows = map(json.loads, capsys.readouterr().out.splitlines())
    assert [f"{row['job']}/{row['index']}" for row in rows] == tasks
    assert cli.main(["results", *args]) == 0
    shown = capsys.readouterr()
    assert [line.split("\t")[0] for line in shown.out.splitlines()[1:]] == tasks
    assert ("there is no such result" in shown.err) == (tasks == [])


def test_results_for_people_show_harmlessly_what_guests_wrote(made: Made) -> None:
    code, shown = on_a_terminal("-m", "batchwasm", "results", cwd=made.folder, columns=150, env={"NO_COLOR": "1"})
    assert code == 0
    assert "\x1b" not in shown
    lines = shown.splitlines()
    assert lines[1].startswith("modes/0  mode=odd    succeeded")
    assert "a\\x1b[31mred" in lines[1]
    assert "exited with code 3" in lines[3]


def test_what_is_not_in_the_run_is_told_with_what_is(read: Cli) -> None:
    assert "did you mean modes?" in read("results", "--job", "mods", code=2).err
    assert "they are modes/0 to modes/3" in read("results", "modes/4", code=2).err
    assert "job modes has 4 tasks" in read("logs", "modes", code=2).err
    assert "did you mean 'read-1'" in read("status", "-r", "raed-1", code=2).err


def test_results_with_files_write_the_whole_tree(made: Made, read: Cli, tmp_path: Path) -> None:
    ended = read("results", "--files", tmp_path / "all files")
    assert ended.out == ""
    assert "5 files" in ended.err
    files = {str(p.relative_to(tmp_path / "all files")): p for p in results.files_below(tmp_path / "all files")}
    assert sorted(files) == [
        "tasks/modes/0/out/out \x1b.bin",
        "tasks/modes/0/stderr",
        "tasks/modes/0/stdout",
        "tasks/modes/1/stdout",
        "tasks/modes/2/stderr",
    ]
    assert files["tasks/modes/0/stdout"].read_bytes() == ODD
    assert files["tasks/modes/0/out/out \x1b.bin"].read_bytes() == b"\0\1\2"
    assert files["tasks/modes/1/stdout"].read_bytes() == LARGE


def test_results_with_files_and_filters_write_only_those(read: Cli, tmp_path: Path) -> None:
    ended = read("results", "--failed", "--json", "--files", tmp_path)
    assert ended.err == f"1 file in {tmp_path}/tasks\n"
    rows = ended.rows
    assert [row["index"] for row in rows] == [2, 3]
    assert [str(p.relative_to(tmp_path)) for p in results.files_below(tmp_path)] == ["tasks/modes/2/stderr"]


# -------------------------------------------------------------------------------------------------------- logs


def test_logs_are_the_tasks_bytes(made: Made) -> None:
    odd = raw(made, "logs", "modes/0")
    assert odd.stdout == ODD
    assert odd.stderr == b"warning \x1b]0;title\x07\n"
    assert raw(made, "logs", "modes/0", "--stderr").stdout == odd.stderr
    assert raw(made, "logs", "modes/1").stdout == LARGE
    assert raw(made, "logs", "one").stdout == b""


def test_logs_do_a_terminal_no_harm(made: Made) -> None:
    code, shown = on_a_terminal("-m", "batchwasm", "logs", "modes/0", cwd=made.folder)
    assert code == 0
    assert shown == "a\\x1b[31mred\ufffd\n\\x00end\nwarning \\x1b]0;title\\x07\n"


def test_logs_whose_file_is_gone_say_so(made: Made, read: Cli) -> None:
    path = results.RunFolder(path=made.run).stdout("modes", 1)
    aside = path.rename(path.with_name("aside"))
    try:
        assert f"{path} can't be read" in read("logs", "modes/1", code=2).err
    finally:
        aside.rename(path)


# -------------------------------------------------------------------------------------------------- which run


def test_a_run_is_read_by_path_and_by_name_from_anywhere(made: Made, tmp_path: Path) -> None:
    elsewhere = Cli(program=(sys.executable, "-m", "batchwasm"), folder=tmp_path)
    assert elsewhere("status", "-r", str(made.run), "--json").json["run"] == "read-1"
    assert elsewhere("status", "-r", "read-1", "--json", env=made.env).json["folder"] == str(made.run)
    assert "there is no run" in elsewhere("status", code=2).err
    assert "not a run folder" in elsewhere("status", "-r", "./nothing", code=2).err


def test_a_journal_that_is_none_is_told(tmp_path: Path) -> None:
    elsewhere = Cli(program=(sys.executable, "-m", "batchwasm"), folder=tmp_path)
    (tmp_path / "journal.db").write_bytes(os.urandom(5000))
    assert "journal" in elsewhere("status", "-r", ".", code=None).err


def test_jobs_and_tasks_of_the_run_are_completed(read: Cli) -> None:
    def offers(*words: str) -> list[str]:
        line = " ".join(("batchwasm", *words))
        env = {"_BATCHWASM_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words))}
        return [line.partition(",")[2] for line in read(env=env).out.splitlines() if line]

    assert offers("logs", "") == ["modes/0", "modes/1", "modes/2", "modes/3", "one"]
    assert offers("logs", "modes/2") == ["modes/2"]
    assert offers("logs", "-r", "read-1", "o") == ["one"]
    assert offers("results", "--job", "") == ["modes", "one"]
    assert offers("status", "-r", "re") == ["read-1"]


def test_every_line_of_json_is_ascii_and_strict(made: Made) -> None:
    for line in raw(made, "results", "--json").stdout.decode("ascii").splitlines():
        json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


# ------------------------------------------------------------------------------------------------------ usage


def test_what_jobs_asked_for_and_used_is_shown_for_people_and_programs(read: Cli) -> None:
    lines = read("results", "--usage", "--job", "one").out.splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["job", "attempts"],
        ["one", "used by 1"],
        ["one", "asked for"],
        ["one", "next time"],
    ]
    assert lines[2].split("\t")[2:] == ["1", "512 MiB", "-", "1 GiB"]
    assert lines[3].split("\t")[3] == "4MiB"
    rows = read("results", "--usage", "--json").rows
    assert [(row["schema"], row["run"], row["job"]) for row in rows] == [
        ("usage/1", "read-1", "modes"),
        ("usage/1", "read-1", "one"),
    ]
    assert "modes\tused by 4\t" in read("status").out
    assert "--usage is about jobs" in read("results", "--usage", "modes/0", code=2).err


# ---------------------------------------------------------------------------------------------------- explain


def test_explain_says_how_a_task_ended_for_people_and_programs(read: Cli) -> None:
    shown = read("explain", "modes/2").out.splitlines()
    assert shown[:3] == ["modes/2 of read-1 ended: failed", "", "attempts that ended"]
    assert re.match(r"  1  failed on localhost, started at \d\d:\d\d, after .*:", shown[3])
    assert " ".join(" ".join(shown[3:]).split()).endswith("exited with code 3: no such thing")
    found = read("explain", "one", "--json").json
    assert list(found) == [
        "schema",
        "run",
        "folder",
        "job",
        "index",
        "state",
        "reasons",
        "hosts",
        "places",
        "attempts",
        "cache",
    ]
    assert (found["schema"], found["job"], found["index"], found["state"]) == ("explain/1", "one", 0, "succeeded")
    assert [attempt["number"] for attempt in found["attempts"]] == [1]


def test_explain_of_a_run_says_that_it_is_done(read: Cli) -> None:
    assert read("explain").out == "run read-1 is finished; what limits it:\n  nothing: it is done\n"
    found = read("explain", "--json").json
    assert (found["job"], found["state"], found["reasons"][0]["code"]) == (None, "finished", "done")


def test_explain_takes_a_task_as_logs_does(read: Cli) -> None:
    assert "job modes has 4 tasks; write which: modes/0 to modes/3" in read("explain", "modes", code=2).err
    assert "did you mean modes?" in read("explain", "mode/1", code=2).err
