"""A run on this machine whose tasks go on when the test says so, and what another process prints about it meanwhile."""

from __future__ import annotations

import functools
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from batchwasm.artifacts import Store, build
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Journal
from batchwasm.model import Source
from tests.command import Cli
from tests.guests import GATED_C

PATIENCE_S = 60.0


@functools.cache
def _gated() -> bytes:
    """Compiled once for all tests."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "gated.c")
        source.write_text(GATED_C)
        store = Store(Path(folder, "store"))
        artifact = build("gated", Source(language="c", paths=(source,)), store)
        found = store.get(artifact.digest)
        assert found is not None
        return found.read_bytes()


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Where guests of GATED_C look whether they may go on."""

    folder: Path

    @classmethod
    def beside(cls, cli: Cli) -> Gate:
        """With an inventory of this machine that offers it, and the module."""
        gate = cli.folder / "gate"
        gate.mkdir()
        (cli.folder / "gated.wasm").write_bytes(_gated())
        (cli.folder / "inventory.toml").write_text(
            f"[hosts.here]\ntransport = \"local\"\n[hosts.here.mounts]\ngate = '''{gate}'''\n"
        )
        return cls(folder=gate)

    def open(self, *names: str) -> None:
        for name in names:
            (self.folder / name).touch()


def gated_jobs(cli: Cli, steps: int, more: str = "") -> None:
    """jobs.toml with one job, `gated`, of one task that has so many steps."""
    (cli.folder / "jobs.toml").write_text(
        f'[jobs.gated]\nsource = "gated.wasm"\nargs = ["{steps}"]\nmounts = ["gate"]\nmemory = "4MiB"\n{more}'
    )


@dataclass
class Lines:
    """What a process writes to a pipe, line by line, each waited for."""

    process: subprocess.Popen[bytes]
    stream: str = "stdout"
    _held: bytes = field(default=b"")

    def next(self) -> str:
        descriptor = getattr(self.process, self.stream).fileno()
        deadline = time.monotonic() + PATIENCE_S
        while b"\n" not in self._held:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no line came; {self._held!r}"
            read = os.read(descriptor, 65536)
            assert read, f"it ended: {self._held!r}"
            self._held += read
        line, _, self._held = self._held.partition(b"\n")
        return line.decode()

    def rest(self) -> tuple[int, str, str]:
        """Its exit code, and what else it wrote to stdout and stderr."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        held = self._held.decode()
        out_text, err_text = out.decode(), err.decode()
        if self.stream == "stdout":
            return self.process.returncode, held + out_text, err_text
        return self.process.returncode, out_text, held + err_text


def until(run: Path, condition: Callable[[Journal], bool]) -> None:
    """Waits for what other processes write into a run's journal."""
    deadline = time.monotonic() + PATIENCE_S
    while not _is(run, condition):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def _is(run: Path, condition: Callable[[Journal], bool]) -> bool:
    try:
        with closing(Journal.open(run / "journal.db", read_only=True)) as journal:
            return condition(journal)
    except (RunError, WorldError):
        return False  # its tables are not there yet
