"""Filling a disk, and making room on it again."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

FILLER = "filler"


def fill(disk: Path, *, leave: int = 0) -> None:
    """Take all room on the disk that holds the folder `disk`, but for about `leave` bytes."""
    with open(disk / FILLER, "ab", buffering=0) as file, suppress(OSError):
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    if leave:
        os.truncate(disk / FILLER, max(0, (disk / FILLER).stat().st_size - leave))


def make_room(disk: Path) -> None:
    """Give back what `fill` took."""
    (disk / FILLER).unlink()
