"""The thin calls are used only where they fit the library."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = "import sys; from batchwasm.runner.selftest import choose_thin; print(choose_thin(sys.argv[1]))"


def choose(locks: Path, before: str = "", **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [sys.executable, "-c", before + SCRIPT, str(locks)], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


def test_the_thin_way_fits_this_wasmtime_and_that_is_remembered(tmp_path: Path) -> None:
    assert choose(tmp_path) == "True"
    (verdict,) = tmp_path.iterdir()
    assert verdict.read_text() == "thin"
    verdict.write_text("public")
    assert choose(tmp_path) == "False"


def test_a_variable_forces_the_public_api(tmp_path: Path) -> None:
    assert choose(tmp_path, BATCHWASM_PUBLIC_API="1") == "False"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "misfit",
    [
        "import batchwasm.runner.selftest as s, os; s.probe = lambda: os.abort()\n",
        "import batchwasm.runner.selftest as s; s.probe = lambda: False\n",
        "import batchwasm.runner.selftest as s; s.probe = lambda: 1 // 0\n",
        "import batchwasm.runner.selftest as s, time; s._TIMEOUT_S = 0.1; s.probe = lambda: time.sleep(100)\n",
    ],
)
def test_a_library_that_crashes_lies_or_hangs_means_the_public_api(tmp_path: Path, misfit: str) -> None:
    assert choose(tmp_path, misfit) == "False"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["public"]


def test_a_limited_address_space_needs_no_pool(tmp_path: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
    check = "import batchwasm.runner.selftest as s; assert not s.engines.pool_works()\n"
    assert choose(tmp_path, limit + check) == "True"
