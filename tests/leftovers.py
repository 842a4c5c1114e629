"""Looks for what a test left behind: processes of the runner, and folders they work in."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Leftovers:
    """What was there at one moment. Only processes of this worker of this session count: others share the machine."""

    basetemp: Path
    home: Path
    pids: frozenset[int]

    @classmethod
    def now(cls, basetemp: Path, home: Path) -> Leftovers:
        return cls(basetemp=basetemp, home=home, pids=_pids())

    def new_after(self, grace_s: float) -> list[str]:
        """What is there now and was not before, after waiting for `grace_s` at most for it to go, a line each."""
        deadline = time.monotonic() + grace_s
        while (left := self._processes() + self._folders()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _processes(self) -> list[str]:
        return [
            f"process {pid}: {command}"
            for pid in sorted(_pids() - self.pids)
            if "batchwasm_runner" in (command := _text(pid, "cmdline")) and self._is_ours(pid, command)
        ]

    def _folders(self) -> list[str]:
        """What tasks ran in and what they left for fetching, in the runner's folder of this test's HOME."""
        workdir = self.home / ".cache/batchwasm"
        try:
            return [f"folder {path}" for name in ("scratch", "spool") for path in sorted((workdir / name).glob("*/*"))]
        except FileNotFoundError:  # one went while we looked
            return self._folders()

    def _is_ours(self, pid: int, command: str) -> bool:
        """Started by this worker: its temporary folder is on the command line or in the environment."""
        base = f"{self.basetemp}{os.sep}"  # not that of gw10 where we are gw1
        return base in command or base in _text(pid, "environ")


def _pids() -> frozenset[int]:
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdigit())


def _text(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:  # it ended meanwhile, or is not ours to look at
        return ""
