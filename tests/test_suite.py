"""The suite itself where several workers of pytest-xdist share its tests, as in `make test`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import MOST_WORKERS, pytest_xdist_auto_num_workers
from tests.leftovers import Leftovers
from tests.sshd import loopback

ROOT = Path(__file__).parent.parent


def test_a_skipped_test_fails_in_ci_whichever_worker_skipped_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_sessionfinish\n")
    (tmp_path / "test_good.py").write_text("def test_good(): pass\n")
    (tmp_path / "test_away.py").write_text("import pytest\ndef test_away(): pytest.skip('no sshd')\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-n", "2", "--rootdir", tmp_path, tmp_path],
        env={**os.environ, "CI": "true", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "skipped although CI is set: test_away.py::test_away" in done.stdout
    assert "1 passed, 1 skipped in " in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(("cores", "workers"), [(1, 0), (2, 3), (64, MOST_WORKERS)])
def test_there_is_a_worker_more_than_cores_and_none_on_one(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config, cores: int, workers: int
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert pytest_xdist_auto_num_workers(pytestconfig) == workers


def test_each_worker_has_addresses_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    addresses = [loopback(11)]
    for worker in ("gw0", "gw1", "gw10"):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", worker)
        addresses.append(loopback(11))
    assert addresses == ["127.0.0.11", "127.0.1.11", "127.0.2.11", "127.0.11.11"]


@pytest.mark.parametrize(("owner", "told"), [("popen-gw1", 1), ("popen-gw10", 0)])
def test_a_worker_is_told_of_its_own_leftovers_only(tmp_path: Path, owner: str, told: int) -> None:
    seen = Leftovers.now(tmp_path / "popen-gw1", tmp_path / "home")
    words = [sys.executable, "-c", "input(print(flush=True))", "batchwasm_runner", str(tmp_path / owner / "home0")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={}) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it runs
        left = seen.new_after(grace_s=0)
        process.communicate(b"\n")
    assert [line.partition(":")[0] for line in left] == [f"process {process.pid}"] * told
