"""Rows of a journal that are neither events nor attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """0 where nobody knows (macOS)."""
    cpus_busy: int
    running: int
    queued: int
    disk_free_bytes: int
    cpu_share: float | None = None
    """Of the machine's processors that anybody used since the one before, 0 to 1; None where nobody knows."""
    memory_bytes: int | None = None
    """That the machine has."""
    suspended: int | None = None
    """Batches whose workers were stopped. This and the next ones are None in journals of earlier versions."""
    run_cpus: float | None = None
    """Slots that tasks of this run took."""
    done: int | None = None
    """Tasks of this run that had ended there."""


class Progress(NamedTuple):
    """How far the whole run was at one time."""

    at: float
    hosts: int
    """That were connected."""
    cpus: float
    """Of these."""
    cpus_busy: float
    """Taken by tasks of this run."""
    waiting: int
    running: int
    succeeded: int
    failed: int
    """As TaskCounts has it: all that ended otherwise than the named ways."""
    dropped: int
    """Cancelled or skipped."""
    work_s: float
    """Seconds of cpus that attempts took, those that run included."""


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


def size_bytes(
    rows: Sequence[tuple[int, float, str, str]],
    attempts: Sequence[tuple[object, ...]],
    calls: Sequence[tuple[int, int, str, bytes]],
) -> int:
    """Bytes that these take, roughly."""
    texts = (cell for row in (*rows, *attempts, *calls) for cell in row if isinstance(cell, str | bytes))
    return sum(map(len, texts)) + 64 * (len(rows) + len(attempts))
