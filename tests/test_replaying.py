"""A task of an earlier run, run again: the same where it is, and what exactly is not where it is not."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import Cli
from tests.guests import LOOP_WAT
from tests.sshd import Sshd

TELLS_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
int main(int argc, char **argv) {
    static char block[65536];
    FILE *in = fopen("data/in.txt", "rb");
    mkdir("out", 0777);
    FILE *out = fopen("out/copy.txt", "wb");
    if (!in || !out) return 2;
    fwrite(block, 1, fread(block, 1, sizeof block, in), out);
    for (int i = 0; i < argc; i++) printf("[%s]\n", argv[i]);
    printf("%s %s", getenv("GREETING"), getenv("PWD"));
    for (const char **name = (const char *[]){"RUN", "JOB", "INDEX", "ATTEMPT", "SEED", 0}; *name; name++) {
        char whole[40];
        snprintf(whole, sizeof whole, "BATCHWASM_%s", *name);
        printf(" %s", getenv(whole));
    }
    puts("");
    fwrite(block, 1, fread(block, 1, sizeof block, stdin), stdout);
    fprintf(stderr, "to stderr\n");
    return atoi(argv[1]);
}
"""
"""Tells all that it is given; exits with its first argument."""

TELLS = r"""
[jobs.tells]
source = "tells.c"
args = ["{code}", "it's a \"$test\"; `ls`"]
sweep = { code = [0, 7] }
env = { GREETING = "hi 'you' & me" }
stdin = "std {code}.txt"
inputs = ["data/*.txt"]
outputs = ["out/**"]
time_limit = "60s"
"""

MEAN_C = r"""
#include <stddef.h>
double mean(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return sum / n;
}
"""

RANDOM_WAT = r"""
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "always\n")
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 39))
    (drop (call $random (i32.const 23) (i32.const 32)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))
"""
"""Prints `always`, then 32 random bytes."""

GROWS_WAT = r"""
(module (memory (export "memory") 1)
  (func (export "_start") (if (i32.lt_s (memory.grow (i32.const 200)) (i32.const 0)) (then unreachable))))
"""
"""Needs 12.6 MiB."""


@pytest.fixture
def tells(batchwasm: Cli) -> Path:
    """A folder with the program TELLS and all that it is given."""
    folder = batchwasm.folder
    (folder / "tells.c").write_text(TELLS_C)
    (folder / "jobs.toml").write_text(TELLS)
    (folder / "data").mkdir()
    (folder / "data/in.txt").write_text("an input\n")
    for code in (0, 7):
        (folder / f"std {code}.txt").write_text(f"stdin of {code}\n")
    return folder


@pytest.fixture
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files of commands."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def wasmtime() -> str | None:
    """The command-line program, where there is one."""
    return shutil.which("wasmtime")


def test_a_program_gives_the_same_again_and_leaves_nothing(
    batchwasm: Cli, tells: Path, home: Path, temporary: Path
) -> None:
    batchwasm("run", "jobs.toml", code=1)
    manifest = tells / "batchwasm-runs/jobs-1/manifest.json"
    manifest.write_text(re.sub('"wasmtime": "[^"]*"', '"wasmtime": "1.0"', manifest.read_text()))
    (tells / "data/new.txt").write_text("it came later, and is none of its inputs")
    runs = sorted((home / ".local/state/batchwasm/runs").iterdir())
    said = batchwasm("replay", "tells/0").out
    assert said.startswith("same: tells/0 of jobs-1 gives on localhost what it gave on localhost: succeeded, ")
    assert re.search(r"exit code 0, \d+ bytes of stdout, 1 output\n  note: it ran with wasmtime 1.0, and ", said)
    again = batchwasm("replay", "tells/1", "--json", "--keep", "kept").json
    assert len(again.pop("notes")) == 1
    assert again.pop("folder") == str(tells / "batchwasm-runs/jobs-1")
    assert again == {
        "schema": "replay/1",
        "run": "jobs-1",
        "job": "tells",
        "index": 1,
        "attempt": 1,
        "host": "localhost",
        "before_host": "localhost",
        "same": True,
        "outcome": "failed",
        "differences": [],
        "kept": f"{tells}/kept/jobs-1",
    }
    assert [run.name for run in (tells / "batchwasm-runs").iterdir()] == ["jobs-1"]
    assert sorted((home / ".local/state/batchwasm/runs").iterdir()) == runs
    assert not list(temporary.glob("batchwasm-replay-*"))
    (_, row) = batchwasm("results", "--json").rows
    (kept,) = (row for row in batchwasm("results", "--json", "-r", "kept/jobs-1").rows if row["index"] == 1)
    assert kept["stdout"] == row["stdout"]
    assert (tells / "kept/jobs-1/tasks/tells/1/out/out/copy.txt").read_text() == "an input\n"
    assert "is not empty" in batchwasm("replay", "tells/0", "--keep", "kept", code=2).err


def test_inputs_that_changed_are_all_told_with_the_digest_that_is_wanted(batchwasm: Cli, tells: Path) -> None:
    batchwasm("run", "jobs.toml", code=1)
    (tells / "data/in.txt").write_text("another")
    (tells / "std 0.txt").unlink()
    said = batchwasm("replay", "tells/0", code=2).err
    assert "tells/0: 2 files that it was given are not here as they were:\n" in said
    assert f"{tells}/data/in.txt: it has sha256 " in said
    wanted = "put back the one that had sha256 "
    assert f"{wanted}{sha256(b'an input' + b'%c' % 10)}, and 9 bytes" in said
    assert f"{tells}/std 0.txt: it is gone; {wanted}{sha256(b'stdin of 0' + b'%c' % 10)}" in said
    assert batchwasm("replay", "tells/0", "--print", code=2).out == ""


def sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def test_a_printed_shell_script_does_the_same_with_wasmtime_alone(batchwasm: Cli, tells: Path, temporary: Path) -> None:
    batchwasm("run", "jobs.toml", code=1)
    script = batchwasm("replay", "tells/1", "--print").out
    assert subprocess.run(["sh", "-n"], input=script.encode(), check=True).returncode == 0
    program = wasmtime()
    fake = temporary / "bin"
    if program is None:  # what it would be called with
        fake.mkdir()
        (fake / "wasmtime").write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done; cat; ls data; exit 7\n')
        (fake / "wasmtime").chmod(0o755)
    environment = {**os.environ, "PATH": f"{fake}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh"], input=script.encode(), capture_output=True, env=environment, cwd=temporary, check=False
    )
    assert done.returncode == 7, done.stderr.decode()
    (_, row) = batchwasm("results", "--json").rows
    if program is not None:
        assert done.stdout.decode() == row["stdout"]
    else:
        words = done.stdout.decode().splitlines()
        at = words.index(f"{tells}/batchwasm-runs/jobs-1/wasm/tells.wasm")
        assert words[at + 1 :] == ["7", 'it\'s a "$test"; `ls`', "stdin of 7", "in.txt"]
        assert words[:5] == ["run", "--dir", ".::/", "--argv0", "tells"]
        assert {"GREETING=hi 'you' & me", "PWD=/", "BATCHWASM_INDEX=1", "timeout=60000ms"} <= set(words)


def test_a_function_gives_the_same_value_by_replay_and_by_the_printed_python_script(batchwasm: Cli) -> None:
    (batchwasm.folder / "mean.c").write_text(MEAN_C)
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.mean]\nsource = "mean.c"\nfunction = "mean"\nargs = [[1.0, "{x}"]]\nsweep = { x = [2.0, 4.0] }\n'
        "time_limit = 20\n"
    )
    batchwasm("run", "jobs.toml")
    assert batchwasm("replay", "mean/1").out.endswith("succeeded, value 2.5\n")
    script = batchwasm("replay", "mean/1", "--print").out
    done = subprocess.run([sys.executable, "-"], input=script.encode(), capture_output=True, check=True)
    assert done.stdout.decode() == "fb4004000000000000\n"


def test_a_call_is_replayed_with_the_arguments_that_its_journal_has(batchwasm: Cli) -> None:
    (batchwasm.folder / "mean.c").write_text(MEAN_C)
    lines = "[1, 2]\n[3, 5]\n"
    assert batchwasm("map", "--memory", "32MiB", "--env", "A=b", "mean.c:mean", stdin=lines).out == "1.5\n4.0\n"
    assert batchwasm("replay", "mean/1", "-r", "map-1").out.endswith("succeeded, value 4.0\n")
    script = batchwasm("replay", "mean/1", "-r", "map-1", "--print").out
    assert "store.set_limits(memory_size=33554432)" in script
    assert "'A': 'b'" in script
    batchwasm("call", "mean.c:mean", f"[{', '.join(['1.5'] * 10_000)}]")
    said = batchwasm("replay", "mean", "-r", "call-1", code=2).err
    assert "the arguments of mean/0 were too large to be kept" in said


def test_what_a_task_took_of_other_jobs_comes_from_their_run(batchwasm: Cli, tells: Path) -> None:
    (tells / "mean.c").write_text(MEAN_C)
    (tells / "shows.c").write_text(
        "#include <stdio.h>\nint main(int n, char **a) { char b[9] = {0};"
        ' FILE *f = fopen("tells/0/out/copy.txt", "r"); fread(b, 1, 8, f); printf("%s %s\\n", a[1], b); }\n'
    )
    (tells / "jobs.toml").write_text(
        TELLS.replace("code = [0, 7]", "code = [0]")
        + '[jobs.mean]\nsource = "mean.c"\nfunction = "mean"\nargs = [[1.0, 2.0]]\n'
        '[jobs.more]\nsource = "mean.c"\nfunction = "mean"\nargs = [["@mean", 3.5]]\n'
        '[jobs.shows]\nsource = "shows.c"\nargs = ["@mean"]\ninputs = ["@tells/out/*.txt"]\n'
    )
    batchwasm("run", "jobs.toml")
    shutil.rmtree(tells / "data")
    assert batchwasm("replay", "more").out.endswith("succeeded, value 2.5\n")
    assert "exit code 0, 13 bytes of stdout" in batchwasm("replay", "shows").out
    assert "./tells/0/out/copy.txt" in batchwasm("replay", "shows", "--print").out
    (tells / "batchwasm-runs/jobs-1/tasks/tells/0/out/out/copy.txt").unlink()
    assert "it is gone" in batchwasm("replay", "shows", code=2).err


def test_a_guest_that_draws_random_numbers_is_different_and_says_where(batchwasm: Cli) -> None:
    (batchwasm.folder / "random.wat").write_text(RANDOM_WAT)
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.random]\nsource = "random.wat"\n[jobs.fixed]\nsource = "random.wat"\ndeterministic = true\n'
    )
    batchwasm("run", "jobs.toml", "-q")
    said = batchwasm("replay", "random", code=1).out.splitlines()
    assert said[0] == "different: random/0 of jobs-1 gives something else on localhost than on localhost"
    assert said[1].startswith("  stdout: line 2 (byte 7): was ")
    (difference,) = batchwasm("replay", "random", "--json", code=1).json["differences"]
    assert difference["what"] == "stdout"
    batchwasm("replay", "fixed")
    assert "nan-canonicalization=y" in batchwasm("replay", "fixed", "--print").out


@pytest.mark.long
def test_tasks_that_trapped_or_timed_out_do_so_again_and_others_have_no_result(batchwasm: Cli) -> None:
    (batchwasm.folder / "loop.wat").write_text(LOOP_WAT)
    (batchwasm.folder / "trap.wat").write_text(
        '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
    )
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.loop]\nsource = "loop.wat"\ntime_limit = 0.2\n[jobs.trap]\nsource = "trap.wat"\n'
        '[jobs.late]\nsource = "trap.wat"\nafter = ["loop"]\n'
    )
    batchwasm("run", "jobs.toml", code=1)
    assert batchwasm("replay", "loop").out.endswith(": timed out\n")
    assert batchwasm("replay", "trap").out.endswith(": trapped\n")
    assert "late/0 is skipped, so it has no result" in batchwasm("replay", "late", code=2).err
    assert "there is no job 'lat' in this run" in batchwasm("replay", "lat", code=2).err


@pytest.mark.long
def test_a_later_attempt_is_repeated_as_such_with_the_memory_that_it_had(batchwasm: Cli) -> None:
    (batchwasm.folder / "grows.wat").write_text(GROWS_WAT)
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.grows]\nsource = "grows.wat"\nmemory = "8MiB"\nretries = 1\nmemory_growth = 2\n'
        "sweep = { n = [1, 2, 3] }\n"
    )
    batchwasm("run", "jobs.toml")
    again = batchwasm("replay", "grows/1", "--json").json
    assert (again["attempt"], again["outcome"], again["same"]) == (2, "succeeded", True)
    script = batchwasm("replay", "grows/1", "--print").out
    assert "BATCHWASM_ATTEMPT=2 " in script
    assert "max-memory-size=16777216" in script


def test_a_task_that_still_runs_is_refused(batchwasm: Cli) -> None:
    (batchwasm.folder / "loop.wat").write_text(LOOP_WAT)
    run = batchwasm.start("run", "loop.wat")
    try:
        until(lambda: batchwasm("status", "--json", code=None).out.count('"running": 1') > 0)
        assert "loop/0 has not ended; there is nothing to compare with" in batchwasm("replay", "loop", code=2).err
    finally:
        run.send_signal(signal.SIGINT)
        run.communicate()


def test_an_interrupted_replay_stops_its_guest_and_takes_its_folder_away(batchwasm: Cli, temporary: Path) -> None:
    (batchwasm.folder / "loop.wat").write_text(LOOP_WAT)
    batchwasm("run", "loop.wat", "--time-limit", "4s", code=1)
    replay = batchwasm.start("replay", "loop")
    until(lambda: any("BatchPlaced" in journal.read_bytes().decode("latin-1") for journal in wal(temporary)))
    replay.send_signal(signal.SIGINT)
    out, _ = replay.communicate()
    assert (replay.returncode, out) == (130, b"")
    assert not list(temporary.glob("batchwasm-replay-*"))


def wal(temporary: Path) -> list[Path]:
    return list(temporary.glob("batchwasm-replay-*/*/journal.db-wal"))


def until(condition: Callable[[], bool]) -> None:
    """Another process makes it so."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_secret_is_taken_from_the_environment_again(batchwasm: Cli) -> None:
    (batchwasm.folder / "asks.c").write_text(
        '#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv("TOKEN")); }\n'
    )
    (batchwasm.folder / "jobs.toml").write_text('[jobs.asks]\nsource = "asks.c"\nsecret = ["TOKEN"]\n')
    given = {"TOKEN": "hush-hush-hush"}
    batchwasm("run", "jobs.toml", env=given)
    assert "4 bytes of stdout" in batchwasm("replay", "asks", env=given).out
    assert "TOKEN is not set in this environment" in batchwasm("replay", "asks", code=2).err
    script = batchwasm("replay", "asks", "--print", env=given).out
    assert "  --env TOKEN \\\n" in script
    assert "hush" not in script


def test_a_task_is_replayed_on_another_host_of_its_run(batchwasm: Cli, tells: Path, ssh_pool: list[Sshd]) -> None:
    (tells / "inventory.toml").write_text("[hosts.sshd-a]\n[hosts.sshd-b]\n")
    batchwasm("run", "jobs.toml", "--hosts", "sshd-a", code=1)
    (tells / "inventory.toml").write_text("[hosts.sshd-a]\nmax_load = 0.0001\n[hosts.sshd-b]\n")
    again = batchwasm("replay", "tells/1", "--host", "sshd-a", "--json").json
    assert (again["host"], again["before_host"], again["same"]) == ("sshd-a", "sshd-a", True)
    assert (
        "'sshd-x' is no host of this run; those are sshd-a"
        in batchwasm("replay", "tells/1", "--host", "sshd-x", code=2).err
    )
    batchwasm("run", "jobs.toml", "-i", "inventory.toml", "--only", "tells", code=1)
    again = batchwasm("replay", "tells/0", "--host", "sshd-b", "--json").json
    assert (again["host"], again["same"]) == ("sshd-b", True)
    assert "tells/0 of jobs-2 gives on localhost what it gave on sshd-" in batchwasm("replay", "tells/0").out


def test_of_a_mismatch_the_last_attempt_counts_and_the_others_are_told(batchwasm: Cli, ssh_pool: list[Sshd]) -> None:
    (batchwasm.folder / "random.wat").write_text(RANDOM_WAT)
    (batchwasm.folder / "jobs.toml").write_text('[jobs.random]\nsource = "random.wat"\nverify = 2\n')
    batchwasm("run", "jobs.toml", "-q", "--hosts", "sshd-a,sshd-b", code=1)
    again = batchwasm("replay", "random", "--json", code=1).json
    assert [difference["what"] for difference in again["differences"]] == ["stdout"]
    assert again["notes"][0].startswith("the task is a mismatch: what counts here is what attempt 2 on sshd-")
    assert again["notes"][1].startswith("it is not what attempt 1 on sshd-")
