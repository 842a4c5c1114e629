"""Files of this machine that hosts need, named by digest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from batchwasm.model import Digest


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file that a host must have before a batch starts."""

    kind: Literal["wasm", "files"]
    """As the host's cache calls it."""
    digest: Digest
    path: Path
    name: str
    """For people."""
