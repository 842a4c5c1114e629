"""Rows of a journal that are neither events nor attempts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Left(NamedTuple):
    """What a task that succeeded left for others; as in Record."""

    task: int
    outputs: str | None
    value: bytes | None
    value_path: str | None


class Sample(NamedTuple):
    """What a host said of itself at one time."""

    at: float
    host: str
    load: float
    memory_available_bytes: int
    cpus_busy: int
    running: int
    queued: int
    disk_free_bytes: int


class InputFile(NamedTuple):
    """A row of `inputs`: a local file as it was when it was read for a task."""

    path: str
    """Absolute."""
    bytes: int
    mtime_ns: int
    sha256: str


class Asked(NamedTuple):
    """A row of `requests` as another process wrote it: nothing in it is checked."""

    id: int
    at: float
    kind: str
    body: str
    """JSON, if it is right."""


class Answered(NamedTuple):
    """What the scheduler says to a request."""

    id: int
    answer: Mapping[str, Any]
