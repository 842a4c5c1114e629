"""The benchmarks still run: small ones of batchwasm alone, since the others are packages of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
