"""What a user's home is while tests run: empty, and theirs."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FOLDERS = {"CACHE": ".cache", "CONFIG": ".config", "STATE": ".local/state", "DATA": ".local/share"}

TOOL_CACHES = Path(os.environ.get("BATCHWASM_TEST_CACHE") or ROOT / ".venv/cache")
"""What compilers keep between test runs: zig builds its libc++ in 44 s, Go its standard library in 20 s."""
TOOLS = {"ZIG_GLOBAL_CACHE_DIR": "zig", "GOCACHE": "go", "GOMODCACHE": "go-modules", "PIP_CACHE_DIR": "pip"}


def move_into(home: Path, patch: pytest.MonkeyPatch) -> None:
    """An empty HOME with the XDG folders in it, as a new user has it."""
    patch.setenv("HOME", str(home))
    for name, folder in FOLDERS.items():
        patch.setenv(f"XDG_{name}_HOME", str(home / folder))
    for name in ("BATCHWASM_INVENTORY", "BATCHWASM_RUNS"):
        patch.delenv(name, raising=False)


def lose(patch: pytest.MonkeyPatch) -> None:
    """No HOME, and no line in passwd: a container's user that was given no more than a number."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    patch.delenv("HOME")
    patch.setattr(pwd, "getpwuid", unknown)
