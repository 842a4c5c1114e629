"""`run --simulate`: a question about a pool that is answered without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import Cli
from tests.guests import HELLO_WAT

JOBS = """
[jobs.prep]
source = "hello.wat"
sweep = { n = { range = [0, 40] } }
[jobs.sim]
source = "hello.wat"
sweep = { n = { range = [0, 40] } }
after = [{ job = "prep", each = true }]
memory = "4GiB"
"""
POOL = '[hosts."lab[1-5]"]\ncpus = 4\nmemory = "8GiB"\n'


@pytest.fixture
def folder(batchwasm: Cli) -> Path:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    (batchwasm.folder / "jobs.toml").write_text(JOBS)
    (batchwasm.folder / "pool.toml").write_text(POOL)
    return batchwasm.folder


def test_it_says_how_long_and_what_limits_it_and_leaves_nothing_behind(batchwasm: Cli, folder: Path) -> None:
    """Ten of the second job fit at once, since memory is short: four rounds of 30 s behind a first one of 10 s."""
    asked = ("run", "jobs.toml", "-i", "pool.toml", "--simulate", "--durations", "prep=10s,sim=30s")
    made = batchwasm(*asked, "--json").json
    assert (made["schema"], made["tasks"], made["durations"]) == (
        "simulate/1",
        80,
        {"prep": "fixed(10s)", "sim": "fixed(30s)"},
    )
    assert 120 <= made["bound_s"] <= made["makespan_s"] <= 150
    assert [job["name"] for job in made["jobs"]] == ["prep", "sim"]
    assert sum(host["tasks"] for host in made["hosts"]) == 80
    shown = batchwasm(*asked).out
    assert shown.startswith("simulation of jobs: 80 tasks on 5 hosts with 20 cpus\n")
    assert "for want of memory" in shown
    assert not (folder / "batchwasm-runs").exists()


def test_durations_are_taken_from_a_run(batchwasm: Cli, folder: Path) -> None:
    (folder / "short.toml").write_text('[jobs.prep]\nsource = "hello.wat"\nsweep = { n = [1, 2, 3] }\n')
    batchwasm("run", "short.toml")
    asked = ("run", "jobs.toml", "-i", "pool.toml", "--simulate", "--json", "--durations")
    made = batchwasm(*asked, "sim=1m", "--durations", "prep=from short-1").json
    assert made["durations"]["prep"] == "from short-1"
    assert made["jobs"][0]["longest_s"] < 1.0
    refused = batchwasm(*asked, "from short-1", code=None)
    assert "has no task of sim that succeeded" in refused.err


def test_what_is_wrong_is_told_at_once(batchwasm: Cli, folder: Path) -> None:
    asked = ("run", "jobs.toml", "-i", "pool.toml", "--simulate")
    wrong = batchwasm(*asked, "--durations", "lognorml(mean=3s)", "--durations", "prp=5s", code=2).err
    assert "did you mean 'lognormal'?" in wrong
    assert "did you mean 'prep'?" in wrong
    (folder / "pool.toml").write_text("[hosts.lab1]\ncpus = 4\n[hosts.lab2]\n")
    short = batchwasm(*asked, code=2).err
    assert "lab1, lab2 state no cpus or no memory" in short
    (folder / "pool.toml").write_text(POOL)
    (folder / "gpu.toml").write_text('[jobs.g]\nsource = "hello.wat"\ngpus = 1\n')
    bare = batchwasm("run", "gpu.toml", "-i", "pool.toml", "--simulate", code=2).err
    assert "no host states any gpus, which g asks for; write gpus = " in bare
    assert "--simulate only" in batchwasm("run", "jobs.toml", "--durations", "5s", code=2).err


def test_without_durations_a_task_takes_a_minute_and_it_is_said(batchwasm: Cli, folder: Path) -> None:
    ended = batchwasm("run", "jobs.toml", "-i", "pool.toml", "--simulate", "--only", "prep")
    assert "takes      2 min 00 s" in ended.out
    assert "nobody said how long the tasks take" in ended.err
