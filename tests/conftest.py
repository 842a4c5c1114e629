"""What all tests share: a home of their own, the command line as a user starts it, and a look for leftovers.

Tests are a package (`from tests.command import Cli`); fixtures that only one folder needs stay in that folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.command import Cli
from tests.homes import TOOL_CACHES, TOOLS, move_into
from tests.leftovers import Leftovers

# Some machines forbid it: then each of hundreds of commands compiles all of ours before it begins.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

ROOT = Path(__file__).parent.parent
PLUGINS = ("sshd", "bare", "trees", "macs", "kerberos", "pkcs11")
pytest_plugins = [f"tests.{name}" for name in PLUGINS] if (ROOT / "tests/sshd.py").exists() else []

IN_CI = os.environ.get("CI", "").lower() in ("true", "1")
MOST_WORKERS = 4
"""Of `pytest -n auto`. Each compiles what it needs, and more of them than this mostly wait for each other."""


@pytest.fixture(scope="session", autouse=True)
def tool_caches() -> Path:
    """Compilers' own caches, shared by all tests and kept for the next run; ours (the store) is new in every test."""
    for name, folder in TOOLS.items():
        (TOOL_CACHES / folder).mkdir(parents=True, exist_ok=True)
        os.environ[name] = str(TOOL_CACHES / folder)
    return TOOL_CACHES


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that is this test's HOME."""
    home = tmp_path_factory.mktemp("home")
    move_into(home, monkeypatch)
    return home


@pytest.fixture(autouse=True)
def no_leftovers(tmp_path_factory: pytest.TempPathFactory, home: Path) -> Iterator[None]:
    """Fails a test after which a process of the runner, or a folder it works in, is still there."""
    before = Leftovers.now(tmp_path_factory.getbasetemp(), home)
    yield
    left = before.new_after(grace_s=10)
    assert not left, "left behind by this test:\n" + "\n".join(left)


@pytest.fixture
def weird_tmp_path(tmp_path: Path) -> Path:
    """A folder whose name breaks every command line that is put together without quoting."""
    path = tmp_path / 'it\'s a "wéird" folder; $HOME & 100% *'
    path.mkdir()
    return path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB, which can really be full. Only root may mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "none", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def batchwasm(weird_tmp_path: Path) -> Cli:
    """The command line in a process of its own, started in `weird_tmp_path`: `batchwasm("run", "jobs.toml")`."""
    return Cli(program=(sys.executable, "-m", "batchwasm"), folder=weird_tmp_path)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """How many `-n auto` starts: one more than cores, since tests wait for hosts and processes a third of
    their time; none on one core, where pytest itself runs them."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores + 1, MOST_WORKERS) if cores > 1 else 0


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """In CI every tool is there, so a skipped test is a failure that hides."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not IN_CI:
        return
    skipped = reporter.stats.get("skipped", [])
    for report in skipped:
        reporter.write_line(f"skipped although CI is set: {report.nodeid}: {report.longrepr}", red=True)
    if skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
