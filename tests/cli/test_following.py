"""results -f and logs -f of runs that go on: each line comes when it is made, once, and all come."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.terminal import on_a_terminal
from tests.command import Cli
from tests.gated import Gate, Lines, gated_jobs, until
from tests.guests import HELLO_WAT
from tests.sshd import Sshd, inventory_of

SWEEP = "sweep = { n = [1, 2, 3] }\n"


@pytest.fixture
def gate(batchwasm: Cli) -> Iterator[Gate]:
    """Every guest goes on in the end, whatever the test found."""
    gate = Gate.beside(batchwasm)
    yield gate
    gate.open(*(f"{attempt}.{step}" for attempt in (1, 2, 3) for step in (1, 2, 3)))
    batchwasm("wait", code=None)


def detached(cli: Cli) -> tuple[Path, int]:
    said = cli("run", "--detach", "--json", "jobs.toml").json
    return Path(said["folder"]), said["pid"]


def end(cli: Cli, gate: Gate) -> None:
    gate.open("1.1", "1.2")
    cli("wait", code=None)


# -------------------------------------------------------------------------------------------------- results -f


def test_rows_come_as_tasks_end_those_before_first_and_none_twice(batchwasm: Cli, gate: Gate) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    gated_jobs(
        batchwasm,
        1,
        '[jobs.hello]\nsource = "hello.wat"\n[jobs.last]\nsource = "hello.wat"\nafter = ["gated"]\n',
    )
    folder, _ = detached(batchwasm)
    until(folder, lambda journal: journal.state().jobs[1].succeeded)
    following = Lines(batchwasm.start("results", "-f", "--json"))
    filtered = Lines(batchwasm.start("results", "-f", "--json", "--failed"))
    one = batchwasm.start("results", "-f", "--json", "gated/0")
    row = json.loads(following.next())
    assert (row["job"], row["outcome"], row["stdout"]) == ("hello", "succeeded", "hello\n")
    gate.open("fail.1", "1.1")
    assert [json.loads(following.next())["job"] for _ in range(2)] == ["gated", "last"]
    code, out, err = following.rest()
    assert (code, out, err) == (0, "", "")
    (failed,) = [json.loads(line) for line in filtered.rest()[1].splitlines()]
    assert (failed["job"], failed["exit_code"]) == ("gated", 75)
    assert [json.loads(line)["job"] for line in Lines(one).rest()[1].splitlines()] == ["gated"]
    over = batchwasm("results", "-f", "--json").rows
    assert [(row["job"], row["outcome"]) for row in over] == [
        ("hello", "succeeded"),
        ("gated", "failed"),
        ("last", "skipped"),
    ]
    key = lambda row: (row["job"], row["index"])  # noqa: E731
    assert sorted(over, key=key) == sorted(batchwasm("results", "--json").rows, key=key)


def test_rows_for_people_come_as_they_are_made_too(batchwasm: Cli, gate: Gate) -> None:
    gated_jobs(batchwasm, 1, SWEEP)
    detached(batchwasm)
    following = Lines(batchwasm.start("results", "--follow"))
    gate.open("1.1")
    assert following.next().split("\t")[:3] == ["task", "params", "outcome"]
    assert {following.next().split("\t")[0] for _ in range(3)} == {"gated/0", "gated/1", "gated/2"}
    assert following.rest()[0] == 0
    code, screen = on_a_terminal("-m", "batchwasm", "results", "-f", cwd=batchwasm.folder, columns=120)
    assert code == 0
    assert "gated/0  n=1" in screen
    assert "out 1.1" in screen


def test_values_are_shown_before_the_manifest_knows_their_type(batchwasm: Cli, gate: Gate) -> None:
    (batchwasm.folder / "twice.c").write_text("int twice(int n) { return 2 * n; }\n")
    gated_jobs(batchwasm, 1, '[jobs.twice]\nsource = "twice.c"\nfunction = "twice"\nargs = [21]\n')
    folder, _ = detached(batchwasm)
    following = Lines(batchwasm.start("results", "-f", "--json"))
    assert json.loads(following.next())["value"] == 42
    assert json.loads((folder / "manifest.json").read_text())["jobs"][1]["signature"] is None
    assert batchwasm("results", "twice", "--json").json["value"] == 42
    end(batchwasm, gate)
    assert following.rest()[0] == 0


def test_a_reader_that_goes_away_ends_it_at_once_and_silently(batchwasm: Cli, gate: Gate) -> None:
    gated_jobs(batchwasm, 1)
    detached(batchwasm)
    for command in (["results", "-f"], ["logs", "-f", "gated"]):
        process = batchwasm.start(*command)
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == b""
        process.stderr.close()


def test_usage_is_not_followed(batchwasm: Cli, gate: Gate) -> None:
    gated_jobs(batchwasm, 1)
    detached(batchwasm)
    assert "--follow" in batchwasm("results", "--usage", "-f", code=2).err


# ----------------------------------------------------------------------------------------------------- logs -f


def test_what_a_task_prints_is_seen_while_it_runs(batchwasm: Cli, gate: Gate) -> None:
    gated_jobs(batchwasm, 2)
    folder, _ = detached(batchwasm)
    following = Lines(batchwasm.start("logs", "-f", "gated"))
    errors = Lines(batchwasm.start("logs", "--follow", "--stderr", "gated/0"))
    assert following.next() == "out 1.1"
    assert errors.next() == "err 1.1"
    late = Lines(batchwasm.start("logs", "-f", "gated"))
    assert late.next() == "out 1.1"  # what it had printed before
    gate.open("1.1")
    assert following.next() == late.next() == "out 1.2"
    assert batchwasm("status", "--json").json["tasks"]["running"] == 1
    assert "-f shows what it writes meanwhile" in batchwasm("logs", "gated", code=2).err
    gate.open("1.2")
    assert following.rest() == late.rest() == (0, "", "err 1.1\nerr 1.2\n")
    assert errors.rest() == (0, "err 1.2\n", "")
    batchwasm("wait")
    assert not (folder / "live").exists()
    over = batchwasm("logs", "-f", "gated")
    assert (over.out, over.err) == ("out 1.1\nout 1.2\n", "err 1.1\nerr 1.2\n")


def test_each_attempt_begins_anew_and_says_so(batchwasm: Cli, gate: Gate) -> None:
    gated_jobs(batchwasm, 1, "retries = 1\n")
    detached(batchwasm)
    following = Lines(batchwasm.start("logs", "-f", "gated"))
    assert following.next() == "out 1.1"
    gate.open("fail.1", "1.1")
    assert following.next() == "out 2.1"
    late = Lines(batchwasm.start("logs", "-f", "gated"))
    assert late.next() == "out 2.1"
    gate.open("2.1")
    assert following.rest() == (0, "", "err 1.1\n--- attempt 2 on here ---\nerr 2.1\n")
    assert late.rest() == (0, "", "--- attempt 2 on here ---\nerr 2.1\n")


def test_a_task_that_waits_is_followed_when_it_starts_and_a_terminal_is_told_why_it_does_not(
    batchwasm: Cli, gate: Gate
) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    gated_jobs(batchwasm, 1, '[jobs.hello]\nsource = "hello.wat"\nafter = ["gated"]\n')
    folder, _ = detached(batchwasm)
    until(folder, lambda journal: journal.state().jobs[0].running > 0)
    following = Lines(batchwasm.start("logs", "-f", "hello"))
    command = ["-m", "tests.cli.opened", str(gate.folder / "1.1"), "logs", "-f", "hello"]
    code, screen = on_a_terminal(*command, cwd=batchwasm.folder)
    assert (code, screen.splitlines()) == (
        0,
        ["waiting: waits for gated: 1 of 1 task left, 1 of them running", "hello"],
    )
    assert following.rest() == (0, "hello\n", "")


@pytest.mark.long
def test_following_survives_the_scheduler_and_goes_on_with_the_next_one(batchwasm: Cli, gate: Gate) -> None:
    gated_jobs(batchwasm, 3)
    _, pid = detached(batchwasm)
    following = Lines(batchwasm.start("logs", "-f", "gated"))
    rows = batchwasm.start("results", "-f", "--json")
    assert following.next() == "out 1.1"
    os.kill(pid, signal.SIGKILL)
    gate.open("1.1")
    batchwasm("resume", "--detach")
    assert following.next() == "out 1.2"
    gate.open("1.2")
    assert following.next() == "out 1.3"
    gate.open("1.3")
    code, out, err = following.rest()
    assert (code, out) == (0, "")
    assert [line for line in err.splitlines() if line.startswith("err")] == ["err 1.1", "err 1.2", "err 1.3"]
    assert [json.loads(line)["job"] for line in Lines(rows).rest()[1].splitlines()] == ["gated"]


def test_a_task_that_will_not_end_is_told_when_its_run_is_over(batchwasm: Cli, gate: Gate) -> None:
    gated_jobs(batchwasm, 1)
    folder, pid = detached(batchwasm)
    following = Lines(batchwasm.start("logs", "-f", "gated"))
    assert following.next() == "out 1.1"
    os.kill(pid, signal.SIGTERM)
    code, out, err = following.rest()
    assert (code, out) == (3, "")
    assert "gated/0 has not ended, and nobody works on jobs-1 any more" in err
    assert "gated/0 has not ended, and nobody works on jobs-1 any more" in batchwasm("logs", "gated/0", code=2).err
    assert not (folder / "live").exists()


def test_who_follows_says_so_seldom_enough_for_the_journal(batchwasm: Cli, gate: Gate) -> None:
    gated_jobs(batchwasm, 1)
    folder, _ = detached(batchwasm)
    following = Lines(batchwasm.start("logs", "-f", "gated"))
    assert following.next() == "out 1.1"
    with closing(sqlite3.connect(folder / "journal.db")) as db:
        asked = db.execute("SELECT kind, body FROM requests").fetchall()
    assert [(kind, json.loads(body)) for kind, body in asked] == [("follow", {"job": "gated", "task": 0})]
    following.process.send_signal(signal.SIGINT)
    assert following.rest()[0] == 130


def test_bytes_and_large_outputs_come_whole(batchwasm: Cli, gate: Gate) -> None:
    (batchwasm.folder / "large.c").write_text(
        "#include <stdio.h>\n#include <unistd.h>\n"
        'int main() { for (int i = 0; i < 400000; i++) { printf("%d\\n", i); } fflush(stdout); putchar(0xff);\n'
        'fflush(stdout); while (access("/mnt/gate/1.1", F_OK)) usleep(5000); putchar(0); return 0; }\n'
    )
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.gated]\nsource = "large.c"\nmounts = ["gate"]\nmemory = "4MiB"\n'
    )
    detached(batchwasm)
    process = batchwasm.start("logs", "-f", "gated")
    assert process.stdout is not None
    expected = "".join(f"{n}\n" for n in range(400_000)).encode() + b"\xff"
    read = b""
    while len(read) < len(expected):
        read += os.read(process.stdout.fileno(), 1 << 20)
    assert read == expected
    gate.open("1.1")
    assert process.communicate(timeout=60) == (b"\0", b"")


def test_the_help_of_logs_and_results_names_it(batchwasm: Cli) -> None:
    for command in ("logs", "results"):
        assert "--follow" in batchwasm(command, "--help").out
    line = {"COMP_WORDS": "batchwasm wai", "COMP_CWORD": "1", "_BATCHWASM_COMPLETE": "bash_complete"}
    shell = subprocess.run(
        batchwasm.program, env=batchwasm.environment(line), capture_output=True, text=True, check=True
    )
    assert "plain,wait" in shell.stdout


# -------------------------------------------------------------------------------------------------------- over ssh


def test_over_ssh_it_is_seen_as_well_and_no_secret_is(batchwasm: Cli, gate: Gate, ssh_pool: list[Sshd]) -> None:
    (batchwasm.folder / "inventory.toml").write_text(
        inventory_of(ssh_pool[:1], f"[hosts.{ssh_pool[0].name}.mounts]\ngate = '''{gate.folder}'''")
    )
    gated_jobs(batchwasm, 2, 'secret = ["TOKEN"]\n')
    started = batchwasm("run", "--detach", "--json", "jobs.toml", env={"TOKEN": "out 1.1"})
    following = Lines(batchwasm.start("logs", "-f", "gated"))
    assert following.next() == "***"
    gate.open("1.1")
    assert following.next() == "out 1.2"
    gate.open("1.2")
    assert following.rest() == (0, "", "err 1.1\nerr 1.2\n")
    assert batchwasm("wait", "--json").json["folder"] == started.json["folder"]
