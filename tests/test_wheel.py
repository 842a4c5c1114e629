"""What users install: the wheel, by pip, in an empty venv outside the checkout. Package data is where this breaks."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.command import Cli
from tests.sshd import Sshd, inventory_of

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, tool_caches: Path) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", folder, ROOT)
    [wheel] = folder.glob("batchwasm-*.whl")
    return wheel


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of a venv that holds the wheel and what it depends on, and nothing else."""
    venv = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    pip(venv / "bin/python", "install", wheel)
    return venv / "bin"


@pytest.fixture
def elsewhere(installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The installed command, in a folder that has no sources of ours, with nothing on its path that leads to them."""
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    return Cli(program=(str(installed / "batchwasm"),), folder=tmp_path, sources=False)


def pip(python: str | Path, *args: str | Path) -> None:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *map(str, args)]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_holds_all_that_the_package_folder_holds(wheel: Path) -> None:
    here = {str(path.relative_to(ROOT)) for path in (ROOT / "batchwasm").rglob("*") if path.is_file()}
    kept = {path for path in here if "__pycache__" not in path}
    with zipfile.ZipFile(wheel) as archive:
        assert kept - set(archive.namelist()) == set()


def test_the_installed_command_runs_a_job_here(elsewhere: Cli) -> None:
    (elsewhere.folder / "hello.wat").write_text((ROOT / "examples/hello.wat").read_text())
    elsewhere("run", "hello.wat")
    [task] = elsewhere("results", "--json").rows
    assert (task["outcome"], task["stdout"], task["host"]) == ("succeeded", "hello from wasm\n", "localhost")


def test_the_installed_command_starts_a_first_project(elsewhere: Cli) -> None:
    elsewhere("init")
    assert (elsewhere.folder / "jobs.toml").exists()
    elsewhere("run", "jobs.toml", "--dry-run")


def test_the_installed_command_runs_jobs_on_a_pool_over_ssh(elsewhere: Cli, ssh_pool: list[Sshd]) -> None:
    (elsewhere.folder / "hello.wat").write_text((ROOT / "examples/hello.wat").read_text())
    (elsewhere.folder / "inventory.toml").write_text(inventory_of(ssh_pool, "cpus = 1"))
    (elsewhere.folder / "jobs.toml").write_text(
        '[jobs.hello]\nsource = "hello.wat"\nsweep = { host = ["sshd-a", "sshd-b", "sshd-c"] }\n'
    )
    elsewhere("hosts", "check")
    elsewhere("run", "jobs.toml")
    tasks = elsewhere("results", "--json").rows
    assert [task["stdout"] for task in tasks] == ["hello from wasm\n"] * 3
    assert {task["host"] for task in tasks} <= {server.name for server in ssh_pool}
