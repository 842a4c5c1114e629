"""A real ssh-agent."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def agent(folder: Path, *added: str, environment: Mapping[str, str] | None = None) -> Iterator[None]:
    """One for this process; its socket is in `folder`, and `ssh-add *added` gave it what it holds."""
    path = folder / "agent"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_AUTH_SOCK", str(path))
        env = {**os.environ, **(environment or {})}
        daemon = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.PIPE, text=True, env=env)
        assert daemon.stdout is not None
        daemon.stdout.readline()  # it listens by then
        try:
            subprocess.run(["ssh-add", "-q", *added], check=True, stderr=subprocess.PIPE, env=env)
            yield
        finally:
            daemon.terminate()
            daemon.communicate()
