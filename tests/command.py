"""The command line as a user starts it: a process, its exit code, what it wrote."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a command ended."""

    command: Sequence[str]
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"$ {' '.join(self.command)}\n{self.out}{self.err}exit {self.code}"

    @property
    def json(self) -> Any:
        """stdout as one JSON value."""
        return json.loads(self.out)

    @property
    def rows(self) -> list[Any]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cli:
    """Calls the program in `folder`; fails where the exit code is not the one expected, showing all it said."""

    program: Sequence[str]
    folder: Path
    sources: bool = True
    """Whether it runs from this checkout; an installed one must not see it."""

    def __call__(
        self,
        *args: str | Path,
        code: int | None = 0,
        cwd: Path | None = None,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout_s: float = 500,
    ) -> Ended:
        """Runs it to its end. `code=None` takes any exit code; `env` is added to this process's own."""
        command = [*self.program, *map(str, args)]
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            input=stdin.encode(),
            capture_output=True,
            env=self.environment(env),
            timeout=timeout_s,
            check=False,
        )
        ended = Ended(command=command, code=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())
        assert code is None or ended.code == code, f"expected exit {code}\n{ended}"
        assert "Traceback (most recent call last)" not in ended.err, str(ended)
        return ended

    def start(
        self, *args: str | Path, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts it and returns at once, for what must be watched, interrupted or killed; the caller waits for it."""
        return subprocess.Popen(
            [*self.program, *map(str, args)],
            cwd=cwd or self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(env),
        )

    def environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        environment = {**os.environ, **(more or {})}
        environment.pop("PYTHONPATH", None)
        return {**environment, "PYTHONPATH": str(ROOT)} if self.sources else environment
