"""The benchmarks still run: small ones of batchwasm alone, since the others are packages of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm.core.state import RUNNING, WAITING
from batchwasm.journal import Journal
from benchmarks import large_run
from tests.sshd import sshd_path

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(sshd_path() is None, reason="no sshd here: install openssh-server")
def test_the_throughput_benchmark_measures_a_run_over_ssh(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks/throughput.py", "--large", "200", "-o", found]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    large = json.loads(found.read_text())["large"]
    assert large["tasks"] == 200
    assert large["tasks_per_s"] > 0
    assert set(large["cpu_us_per_task"]) == {"scheduler", "relay", "host", "sshd"}


@pytest.mark.skipif(sshd_path() is None, reason="no sshd here: install openssh-server")
def test_the_functions_benchmark_measures_calls_and_arrays(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    options = ["--only", "rust", "--rounds", "1", "--calls", "500", "--floats", "1000", "-o", found]
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks/functions.py", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(found.read_text())
    assert {f"rust, {mode}, {where}" for mode in ("fresh", "reuse") for where in ("local", "ssh")} == set(
        figures["calls_per_s"]
    )
    assert all(figure > 0 for each in figures["array_gb_per_s"].values() for figure in each)


@pytest.mark.skipif(sshd_path() is None, reason="no sshd here: install openssh-server")
def test_the_transports_benchmark_measures_each_of_them(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    options = ["--rounds", "1", "--tasks", "100", "-o", found]
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks/transports.py", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rounds = json.loads(found.read_text())["rounds"]
    assert list(rounds) == ["ssh", "openssh", "paramiko"]
    assert all(ms > 0 for [figures] in rounds.values() for ms in figures.values())


def test_the_core_benchmark_measures_cost_and_memory(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks/core.py", "--hosts", "10", "--tasks", "1000"]
    done = subprocess.run([*command, "-o", found], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(found.read_text())
    [cost] = figures["cost"]
    assert (cost["hosts"], cost["tasks"]) == (10, 1000)
    assert min(cost["short"], cost["long"]) > 0
    assert all(20 < row["peak_mb"] < 300 for row in figures["memory"])


def test_the_makespan_benchmark_compares_with_a_bound(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    options = ["--hosts", "20", "--tasks", "2000", "--only", "chains", "-o", found]
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks/makespan.py", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [row] = json.loads(found.read_text())["mixes"]
    assert row["bound_s"] < row["makespan_s"] < 2 * row["bound_s"]


def test_the_report_benchmark_makes_a_run_and_measures_its_report() -> None:
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks/report.py", "--hosts", "5", "--tasks", "500"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    hosts, tasks, seconds, cpu_s, peak_mb, page_kb = done.stdout.splitlines()[-1].strip("| ").split(" | ")
    assert (hosts, tasks) == ("5", "500")
    assert float(seconds) > 0
    assert float(cpu_s) > 0
    assert 10 < float(peak_mb) < 500
    assert 500 < float(page_kb) < 1000


def test_the_tui_benchmark_measures_looks_at_a_run_that_is_over_and_one_that_goes_on(tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    options = ["--tasks", "2000", "--hosts", "10", "--looks", "2", "--rate", "200", "--kept", tmp_path, "-o", found]
    command: list[str | Path] = [sys.executable, ROOT / "benchmarks/tui.py", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    runs = json.loads(found.read_text())["runs"]
    assert runs.keys() == {"finished", "live"}
    for run in runs.values():
        assert min(run["open"]["ms"], run["look"]["cpu_ms"], run["peak_mb"]) > 0
        assert {"tasks, first page", "failures", "host"} <= run["screens"].keys()
    assert runs["finished"]["tasks_per_s"] == 0
    assert not list(tmp_path.glob("*.live"))


def test_a_large_run_that_is_written_on_gives_no_task_twice_where_a_job_has_nothing_left(tmp_path: Path) -> None:
    folder = large_run.make(tmp_path / "run", 4_000, 50, 0.6)
    for _ in large_run.go_on(folder, 1e9):
        pass
    with closing(Journal.open(folder.journal, read_only=True)) as journal:
        counts = journal.state().counts
    assert (counts[WAITING], counts[RUNNING], sum(counts)) == (0, 0, 4_000)
    assert min(counts) == 0
