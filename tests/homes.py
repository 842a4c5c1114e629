"""What a user's home is while tests run: empty, and theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDERS = {"CACHE": ".cache", "CONFIG": ".config", "STATE": ".local/state", "DATA": ".local/share"}


def move_into(home: Path, patch: pytest.MonkeyPatch) -> None:
    """An empty HOME with the XDG folders in it, as a new user has it."""
    patch.setenv("HOME", str(home))
    for name, folder in FOLDERS.items():
        patch.setenv(f"XDG_{name}_HOME", str(home / folder))
    for name in ("BATCHWASM_INVENTORY", "BATCHWASM_RUNS"):
        patch.delenv(name, raising=False)
