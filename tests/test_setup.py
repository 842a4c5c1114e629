"""scripts/setup on machines that lack things: what it says, what it asks for, what it runs.

The machine is a folder that is all of PATH: the script is real, and so are the small programs of every system; apt-get,
sudo, id and the compilers are stand-ins that write down how they were called, since a test must not install anything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EVERYWHERE = ("sh", "cat", "cksum", "mktemp", "rm", "sed", "head", "dirname", "grep", "env", "mkdir")


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A machine with a checkout on it."""

    folder: Path

    @property
    def checkout(self) -> Path:
        return self.folder / "check out"

    @property
    def calls(self) -> str:
        """How the stand-ins were called, a line each."""
        log = self.folder / "calls"
        return log.read_text() if log.exists() else ""

    def has(self, name: str, script: str = "") -> None:
        """Puts a stand-in on PATH: it writes down its arguments, then does what `script` says."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\necho {name} \"$@\" >>'{self.folder}/calls'\n{script}\n")
        path.chmod(0o755)

    def has_user(self, uid: int) -> None:
        self.has("id", f"echo {uid}")

    def has_venv(self) -> None:
        """A venv in the checkout, whose pip only writes down what it was asked for."""
        bin = self.checkout / ".venv/bin"
        bin.mkdir(parents=True)
        pip = f"[ \"$1 $2\" = '-m pip' ] && {{ echo pip \"$@\" >>'{self.folder}/calls'; exit 0; }}"
        (bin / "python").write_text(f"#!/bin/sh\n{pip}\nexec '{sys.executable}' \"$@\"\n")
        (bin / "python").chmod(0o755)
        (bin / "batchwasm").write_text("#!/bin/sh\n")
        (bin / "batchwasm").chmod(0o755)

    def setup(self, what: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs the script as from cron: nobody is there to answer."""
        return subprocess.run(
            [self.checkout / "scripts/setup", what],
            env={"PATH": str(self.folder / "bin"), "HOME": str(self.folder), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A Debian machine of user 1000 with Python, its venv made, and nothing else."""
    machine = Machine(folder=tmp_path)
    (tmp_path / "bin").mkdir()
    for name in EVERYWHERE:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or f"/bin/{name}")
    (machine.checkout / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts/setup", machine.checkout / "scripts/setup")
    shutil.copy(ROOT / "pyproject.toml", machine.checkout)
    machine.has("python3", f"exec '{sys.executable}' \"$@\"")
    machine.has("apt-get")
    machine.has("apt-cache", "echo '  Recommends: lld-14'; echo '  Recommends: clang-14'")
    machine.has_user(1000)
    machine.has_venv()
    return machine


def test_with_sudo_and_nobody_to_ask_the_command_is_shown_and_the_rest_is_done(machine: Machine) -> None:
    machine.has("sudo", 'exec "$@"')
    done = machine.setup("demo")
    assert done.returncode == 0, done.stderr
    assert "without it the Rust job of the tour is left out" in done.stderr
    assert "sudo sh -c 'apt-get update && apt-get install -y" in done.stderr
    assert "rustc cargo libstd-rust-dev-wasm32 lld-14" in done.stderr
    assert "YES=1 make demo" in done.stderr
    assert "apt-get" not in machine.calls
    assert "install --quiet" in machine.calls
    assert ".[toolchains]" in machine.calls


def test_yes_installs_by_sudo_without_asking(machine: Machine) -> None:
    machine.has("sudo", 'exec "$@"')
    done = machine.setup("demo", YES="1")
    assert done.returncode == 0, done.stderr
    assert "sudo apt-get update" in machine.calls
    assert "apt-get install -y -qq --no-install-recommends rustc cargo libstd-rust-dev-wasm32 lld-14" in machine.calls


def test_root_installs_by_apt(machine: Machine) -> None:
    machine.has_user(0)
    done = machine.setup("demo")
    assert done.returncode == 0, done.stderr
    assert "sudo" not in machine.calls
    assert "apt-get install -y" in machine.calls


def test_without_root_and_sudo_it_says_what_an_administrator_can_do(machine: Machine) -> None:
    done = machine.setup("test")
    assert done.returncode == 0, done.stderr
    assert "an administrator can install it: apt-get update && apt-get install" in done.stderr
    assert "going on without" in done.stderr
    assert "without it the tests of a host for functions in Node are skipped" in done.stderr
    assert " nodejs " in done.stderr
    assert ".[toolchains,dev]" in machine.calls


def test_elsewhere_than_on_debian_it_names_what_to_install(machine: Machine) -> None:
    (machine.folder / "bin/apt-get").unlink()
    done = machine.setup("demo")
    assert done.returncode == 0, done.stderr
    assert "neither Debian nor Ubuntu" in done.stderr


def test_nothing_is_asked_for_where_rust_compiles(machine: Machine) -> None:
    machine.has("rustc", 'case "$*" in *wasm32-wasi\\ *) exit 0 ;; *) exit 1 ;; esac')
    done = machine.setup("demo")
    assert done.returncode == 0, done.stderr
    assert "missing" not in done.stderr


def test_the_second_time_nothing_is_done_until_what_to_install_changes(machine: Machine) -> None:
    machine.has("rustc")
    machine.setup("test")
    assert machine.calls.count("install --quiet") == 1
    again = machine.setup("test")
    machine.setup("demo")  # needs less than the tests do
    assert machine.calls.count("install --quiet") == 1
    assert "Python packages" not in again.stderr
    with (machine.checkout / "pyproject.toml").open("a") as file:
        file.write("\n# changed\n")
    machine.setup("test")
    assert machine.calls.count("install --quiet") == 2


def test_a_python_without_venv_is_asked_for_first(machine: Machine) -> None:
    shutil.rmtree(machine.checkout / ".venv")
    machine.has("python3", f"[ \"$2\" = 'import ensurepip, venv' ] && exit 1; exec '{sys.executable}' \"$@\"")
    done = machine.setup("demo")
    assert done.returncode == 3
    assert "python3-venv" in done.stderr
    assert "nothing can be done here" in done.stderr


def test_an_old_python_is_passed_over_for_a_newer_one(machine: Machine) -> None:
    shutil.rmtree(machine.checkout / ".venv")
    machine.has("python3", "exit 1")  # what any Python before 3.11 answers to the question for its version
    machine.has("python3.12", f"[ \"$2\" = 'import ensurepip, venv' ] && exit 1; exec '{sys.executable}' \"$@\"")
    done = machine.setup("demo")
    assert "python3.12-venv" in done.stderr


def test_an_unknown_word_shows_the_usage(machine: Machine) -> None:
    done = machine.setup("everything")
    assert done.returncode == 2
    assert "usage: scripts/setup demo|test" in done.stderr


@pytest.mark.long
def test_the_demo_works_from_nothing(tmp_path: Path) -> None:
    """A fresh clone and an empty home, as a new user has them: minutes, since compilers build their libraries."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    (tmp_path / "home").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("CACHE", "CACHE_DIR", "_HOME"))}
    done = subprocess.run(
        ["make", "demo"],
        cwd=clone,
        env={**kept, "HOME": str(tmp_path / "home"), "YES": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (clone / ".venv/bin/batchwasm").exists()
    assert "All 12 tables are as expected" in done.stdout
