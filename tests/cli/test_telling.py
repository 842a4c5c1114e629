"""--metrics, --events and --notify of whole runs on this machine: real scrapes, files, pipes and commands."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from batchwasm.journal import Journal
from batchwasm.telling import eventschema
from tests.cli.terminal import on_a_terminal
from tests.command import Cli
from tests.gated import Gate, Lines, gated_jobs, until
from tests.guests import HELLO_WAT

FAILS_WAT = """(module (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1) (func (export "_start") (call $exit (i32.const 3))))"""


@pytest.fixture
def folder(batchwasm: Cli) -> Path:
    """With a job that succeeds three times."""
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    (batchwasm.folder / "fails.wat").write_text(FAILS_WAT)
    (batchwasm.folder / "jobs.toml").write_text('[jobs.a]\nsource = "hello.wat"\nsweep = { n = [1, 2, 3] }\n')
    return batchwasm.folder


@pytest.fixture
def gate(batchwasm: Cli) -> Gate:
    gate = Gate.beside(batchwasm)
    gated_jobs(batchwasm, 1)
    return gate


def lines(text: str) -> list[Any]:
    """All of them as the schema says."""
    valid = jsonschema.Draft7Validator(eventschema.schema())
    rows = [json.loads(line) for line in text.splitlines()]
    for row in rows:
        valid.validate(row)
    return rows


def journaled(run: Path) -> list[tuple[int, str]]:
    with closing(Journal.open(run / "journal.db", read_only=True)) as journal:
        return [(seq, type(event).__name__) for seq, _, event in journal.replay()]


def told(rows: list[Any]) -> list[tuple[int, str]]:
    """Rows and kinds, each row once."""
    return list(dict.fromkeys((row["seq"], row["kind"]) for row in rows))


def scraped(url: str) -> Mapping[tuple[str, ...], float]:
    """Values by name and labels."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    return {(s.name, *map(str, sorted(s.labels.values()))): s.value for family in families for s in family.samples}


def test_metrics_are_scraped_while_a_run_goes_on(batchwasm: Cli, gate: Gate) -> None:
    run = Lines(batchwasm.start("run", "--metrics", ":0", "jobs.toml"), "stderr")
    url = run.next().removeprefix("metrics at ")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", url)
    found: Mapping[tuple[str, ...], float] = {}
    while not (found.get(("batchwasm_tasks", "gated", "running")) and ("batchwasm_host_load1", "here") in found):
        assert run.process.poll() is None
        found = scraped(url)
    assert found["batchwasm_host_connected", "here"] == 1
    assert found["batchwasm_shipped_bytes_total", "wasm"] > 0
    assert found["batchwasm_run_info", "jobs-1"] == 1
    assert found["batchwasm_host_cpus_busy", "here"] <= found["batchwasm_host_cpus", "here"]
    gate.open("1.1")
    assert run.rest()[0] == 0
    with pytest.raises(OSError, match="refused"):
        scraped(url)


def test_a_port_that_is_taken_ends_the_command_before_there_is_a_run(batchwasm: Cli, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for more in ([], ["--detach"]):
            said = batchwasm("run", "--metrics", f":{port}", "--events", "e", *more, "jobs.toml", code=3)
            assert said.err == (
                f"--metrics 127.0.0.1:{port}: somebody listens there already; choose another port, or 0 for any that "
                "is free\n"
            )
    assert not (folder / "batchwasm-runs").exists()
    assert not (folder / "e").exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--metrics", "9400"], "'9400' is not an address; write such as :9400"),
        (["--metrics", ":0", "--dry-run"], "for a run that starts"),
        (["--events", "-", "--json"], "both would write to stdout"),
        (["--events", "-", "--detach"], "a run in the background keeps nothing open of this shell"),
        (["--events", "/dev/fd/1", "--detach"], "a run in the background keeps nothing open of this shell"),
        (["--events", "-", "--tui"], "a run in the background keeps nothing open of this shell"),
        (["--events", "no/such"], "--events: no/such: No such file or directory"),
        (["--events", ""], "the name of the file is empty"),
        (["--notify", "x", "--simulate"], "for a run that starts"),
    ],
)
def test_what_can_not_be_is_told_before_there_is_a_run(
    batchwasm: Cli, folder: Path, args: list[str], said: str
) -> None:
    ended = batchwasm("run", *args, "jobs.toml", code=2)
    assert said in " ".join(ended.err.split())
    assert ended.out == ""
    assert not (folder / "batchwasm-runs").exists()


def test_events_on_stdout_are_all_of_the_journal_and_nothing_else(batchwasm: Cli, folder: Path) -> None:
    rows = lines(batchwasm("run", "--events", "-", "jobs.toml").out)
    assert told(rows) == journaled(folder / "batchwasm-runs/jobs-1")
    attempts = [row["body"]["attempt"] for row in rows if row["kind"] == "TasksFinished"]
    assert sorted((each["index"], each["outcome"], each["stdout"]) for each in attempts) == [
        (n, "succeeded", "hello\n") for n in range(3)
    ]
    assert {row["run"] for row in rows} == {"jobs-1"}


def test_a_reader_that_goes_away_is_a_warning(batchwasm: Cli, gate: Gate) -> None:
    run = Lines(batchwasm.start("run", "--events", "-", "--notify", "echo ended", "jobs.toml"))
    assert json.loads(run.next())["kind"] == "RunPlanned"
    assert run.process.stdout is not None
    run.process.stdout.close()
    run.process.stdout = None
    gate.open("1.1")
    _, err = run.process.communicate(timeout=60)
    assert run.process.returncode == 0
    said = err.decode()
    assert said.count("warning: --events stdout: who read it is gone; nothing more is written") == 1
    assert "--notify: ended" in said


def test_a_run_tells_of_its_first_failure_and_of_its_end(folder: Path) -> None:
    """On a terminal, where what the command prints is shown and not obeyed."""
    (folder / "jobs.toml").write_text('[jobs.a]\nsource = "hello.wat"\n[jobs.b]\nsource = "fails.wat"\n')
    facts = "$BATCHWASM_EVENT,$BATCHWASM_RUN,$BATCHWASM_TASK,$BATCHWASM_FAILED,$BATCHWASM_EXIT_CODE"
    line = f'echo "{facts}" >> n; printf "\\033[31mred\\n"; exit 9'
    code, shown = on_a_terminal("-m", "batchwasm", "run", "--notify", line, "jobs.toml", cwd=folder)
    assert code == 1
    assert (folder / "n").read_text() == "failure,jobs-1,b,1,\nfinished,jobs-1,,1,1\n"
    assert shown.count("--notify: \\x1b[31mred") == 2
    assert shown.count("warning: --notify: it ended with exit code 9") == 2


def test_one_that_is_interrupted_tells_so_and_goes_on_with_its_file_when_it_is_resumed(
    batchwasm: Cli, gate: Gate
) -> None:
    line = 'echo "$BATCHWASM_EVENT,$BATCHWASM_EXIT_CODE: $BATCHWASM_REASON"; exit 1'
    run = batchwasm.start("run", "--events", "e", "--notify", line, "jobs.toml")
    folder = batchwasm.folder / "batchwasm-runs/jobs-1"
    until(folder, lambda journal: bool(journal.state().batches))
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert "--notify: stopped,130: interrupted; 'batchwasm resume' goes on with what has not finished" in err.decode()
    gate.open("1.1", "2.1")
    batchwasm("resume", "--events", "e")
    rows = lines((batchwasm.folder / "e").read_text())
    assert told(rows) == journaled(folder)
    assert {row["kind"] for row in rows} >= {"RunStopped", "RunFinished"}


def test_one_in_the_background_does_all_that_as_it_was_started(batchwasm: Cli, gate: Gate) -> None:
    here = batchwasm.folder / "in"
    here.mkdir()
    os.mkfifo(here / "told")
    options = ("--metrics", ":0", "--events", "e", "--notify", 'echo "$BATCHWASM_STATE" > told; echo said')
    started = batchwasm("run", "--detach", *options, "../jobs.toml", cwd=here)
    url = started.err.splitlines()[0].removeprefix("metrics at ")
    assert scraped(url)["batchwasm_run_info", "jobs-1"] == 1
    run = batchwasm.folder / "batchwasm-runs/jobs-1"
    assert f" metrics at {url}\n" in (run / "scheduler.log").read_text()
    assert "jobs-1 goes on: what it tells to whom" in batchwasm("retry", "-r", run, "--metrics", ":0", code=2).err
    gate.open("1.1")
    assert (here / "told").read_text() == "finished\n"  # waits for it
    batchwasm("wait", "-r", run)
    assert told(lines((here / "e").read_text())) == journaled(run)
    done = batchwasm("resume", "-r", run, "--notify", "echo told", "--events", "e")
    assert "--notify" not in done.err  # it was over


def test_a_source_that_does_not_compile_is_told_too_and_files_that_are_wrong_are_not(
    batchwasm: Cli, folder: Path
) -> None:
    (folder / "bad.c").write_text("int main(void) { return nothing; }\n")
    command = 'echo "$BATCHWASM_EVENT,$BATCHWASM_EXIT_CODE,$BATCHWASM_FOLDER,$BATCHWASM_REASON" | cut -c1-40'
    said = batchwasm("run", "--notify", command, "bad.c", code=2).err
    assert "--notify: stopped,2,," in said
    assert "--notify" not in batchwasm("run", "--notify", command, "nope.toml", code=2).err


def test_who_wants_none_of_it_pays_for_none(batchwasm: Cli) -> None:
    program = "import sys; import batchwasm.cli.run, batchwasm.cli.going; print(*sys.modules)"
    done = subprocess.run(
        [*batchwasm.program[:1], "-c", program],
        env=batchwasm.environment({}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"prometheus_client", "batchwasm.telling", "wsgiref"} & set(done.stdout.split())
