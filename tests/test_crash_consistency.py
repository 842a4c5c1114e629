"""A scheduler that dies at any append of its journal, before or after the commit, and one that takes the run on.

By count, not by time: what is in the journal when it dies is the same each time, whatever else the machine does.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.chaos import ledger
from tests.command import Cli

COPY_C = r"""
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    usleep(20000);
    FILE *out = fopen("made", "w");
    fprintf(out, "made %s", argv[1]);
    printf("printed %s", argv[1]);
    return fclose(out);
}
"""
TWICE_C = "#include <stdint.h>\nint64_t twice(int64_t n) { return 2 * n; }\n"
JOBS = """
[jobs.make]
source = "make.c"
args = ["{n}"]
outputs = ["made"]
sweep = { n = [0, 1, 2] }
[jobs.twice]
source = "twice.c"
function = "twice"
args = ["{n}"]
after = ["make"]
sweep = { n = [0, 1, 2] }
"""
TASKS = 6
MOST = 60
"""Appends of a run: far more than there are."""


@pytest.fixture
def mortal(batchwasm: Cli) -> Cli:
    """The command line that dies where DIE_AT says, in a folder with the jobs."""
    for name, text in {"make.c": COPY_C, "twice.c": TWICE_C, "jobs.toml": JOBS}.items():
        (batchwasm.folder / name).write_text(text)
    return Cli(program=(sys.executable, "-m", "tests.dying"), folder=batchwasm.folder)


def dies(cli: Cli, *args: str | Path, at: str) -> bool:
    """Whether it died there; else it came to its end before, and that was a good one."""
    ended = cli(*args, code=None, env={"DIE_AT": at})
    assert ended.code in (0, -signal.SIGKILL), str(ended)
    return ended.code != 0


def check(cli: Cli, run: Path) -> None:
    """That the run has all its results, each once, and that they are right."""
    assert list(ledger.wrong(run / "journal.db", TASKS)) == []
    rows = cli("results", "--json", "-r", run).rows
    found = {(row["job"], row["index"]): (row["outcome"], row["stdout"], row["value"]) for row in rows}
    made = {("make", n): ("succeeded", f"printed {n}", None) for n in range(3)}
    assert found == {**made, **{("twice", n): ("succeeded", "", 2 * n) for n in range(3)}}
    assert [(run / f"tasks/make/{n}/out/made").read_text() for n in range(3)] == [f"made {n}" for n in range(3)]


def kill_and_resume(cli: Cli, points: Iterable[str]) -> None:
    """A run for each point: it dies there, and another scheduler takes it to its end; until one comes there itself."""
    for lives, at in enumerate(points):
        runs = cli.folder / at.replace(":", "-")
        died = dies(cli, "run", "jobs.toml", "--runs-dir", runs, at=at)
        run = runs / "jobs-1"
        if at == "before:1":  # nothing was begun, and nothing is there to go on with
            assert "Traceback" not in cli("resume", run, code=None).err
            continue
        if died:
            cli("resume", run)
        check(cli, run)
        if not died:
            assert lives > 1, "it did not die where it should"  # how many appends there are is up to the machine's load
            return
    raise AssertionError("it never came to its end")


def test_a_run_that_dies_at_an_append_is_taken_to_its_end_by_the_next_scheduler(mortal: Cli) -> None:
    kill_and_resume(mortal, [f"{('before', 'after')[n % 2]}:{n}" for n in range(1, 30, 3)])


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_dies_at_any_append_is_taken_to_its_end_by_the_next_scheduler(mortal: Cli, when: str) -> None:
    kill_and_resume(mortal, [f"{when}:{n}" for n in range(1, MOST)])


def test_hosts_that_nobody_told_the_end_are_told_by_the_next_scheduler(mortal: Cli) -> None:
    (mortal.folder / "jobs.toml").write_text(JOBS + 'secret = ["TOKEN"]\n')
    elsewhere = f'[hosts.elsewhere]\ntransport = "local"\nworkdir = "{mortal.folder.parent}/w"\n'
    (mortal.folder / "others.toml").write_text(elsewhere)
    ended = mortal("run", "jobs.toml", code=None, env={"DIE_AT": "after:RunFinished", "TOKEN": "s3cret-token"})
    assert ended.code == -signal.SIGKILL
    status = mortal("status", "--json").json
    assert (status["state"], status["tasks"]["succeeded"]) == ("finished", TASKS)
    assert mortal("wait").code == 0
    mortal("resume", "-i", "others.toml")  # where its hosts are not: they are not told by that
    assert "'batchwasm resume' tells them" in mortal("status").out
    mortal("resume", "--hosts", "localhost")  # without the secret: nothing runs that could need it
    assert "resume" not in mortal("status").out
    check(mortal, mortal.folder / "batchwasm-runs/jobs-1")


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.long)])
def test_a_scheduler_that_resumes_dies_at_each_of_its_appends_in_turn(mortal: Cli, when: str) -> None:
    """One run; each life gets one append further than the one before it, until one comes to the end."""
    assert dies(mortal, "run", "jobs.toml", at="after:1")
    run = mortal.folder / "batchwasm-runs/jobs-1"
    lives = next(n for n in range(1, MOST) if not dies(mortal, "resume", run, at=f"{when}:{n}"))
    assert lives > 2
    check(mortal, run)
