"""Real runs that a dashboard looks at: one that has finished, made once, and one that goes on while a test holds it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from batchwasm.results import RunFolder
from tests.command import Cli
from tests.gated import Gate, until
from tests.guests import HELLO_WAT
from tests.homes import FOLDERS

TRAP_WAT = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are shown with the time of day."""
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("COLORTERM", "truecolor")
    for name in ("NO_COLOR", "TEXTUAL", "TEXTUAL_THEME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """40 tasks that succeeded, 3 that trapped, 2 that were skipped for it."""
    folder, home = tmp_path_factory.mktemp("finished"), tmp_path_factory.mktemp("finished-home")
    (folder / "hello.wat").write_text(HELLO_WAT)
    (folder / "trap.wat").write_text(TRAP_WAT)
    (folder / "jobs.toml").write_text(
        'name = "over"\n'
        '[jobs.hello]\nsource = "hello.wat"\nsweep = { n = { range = [0, 40] } }\n'
        '[jobs.bad]\nsource = "trap.wat"\nsweep = { n = [1, 2, 3] }\n'
        '[jobs.late]\nsource = "hello.wat"\nafter = ["bad"]\nsweep = { n = [1, 2] }\n'
    )
    env = {"HOME": str(home), **{f"XDG_{name}_HOME": str(home / path) for name, path in FOLDERS.items()}}
    cli = Cli(program=(sys.executable, "-m", "batchwasm"), folder=folder)
    return RunFolder(path=Path(cli("run", "--json", "-q", "jobs.toml", code=1, env=env).json["folder"]))


@dataclass(frozen=True)
class Live:
    """A run that goes on in the background, one task of which waits for the gate; two more wait for a slot."""

    folder: RunFolder
    gate: Gate
    pid: int
    cli: Cli

    def open(self) -> None:
        """All of it comes to its end."""
        self.gate.open("1.1")


@pytest.fixture
def live(batchwasm: Cli) -> Iterator[Live]:
    gate = Gate.beside(batchwasm)
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    (batchwasm.folder / "inventory.toml").write_text(
        f"[hosts.here]\ntransport = \"local\"\ncpus = 1\n[hosts.here.mounts]\ngate = '''{gate.folder}'''\n"
    )
    (batchwasm.folder / "jobs.toml").write_text(
        'name = "live"\n[jobs.quick]\nsource = "hello.wat"\nmemory = "4MiB"\npriority = 1\n'
        '[jobs.gated]\nsource = "gated.wasm"\nargs = ["1"]\nmounts = ["gate"]\nmemory = "4MiB"\n'
        "sweep = { n = [1, 2, 3] }\n"
    )
    said = batchwasm("run", "--detach", "--json", "jobs.toml").json
    folder = RunFolder(path=Path(said["folder"]))
    until(folder.path, lambda journal: journal.state().jobs[1].running > 0)
    yield Live(folder, gate, said["pid"], batchwasm)
    try:
        os.kill(json.loads((folder.path / "scheduler.json").read_text())["pid"], signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError):
        return
    until(folder.path, lambda journal: journal.last() in ("RunFinished", "RunStopped"))
