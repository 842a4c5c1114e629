"""The arguments of a job's calls on their way: small ones in memory, large ones as files until the call is over."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from batchwasm import disk
from batchwasm.engine.files import LocalFile
from batchwasm.model import NO_VALUES, JobName

INLINE_BYTES = 1024**2
"""Larger ones go to hosts as files, by the way that streams them."""
KEPT_BYTES = 64 * 1024
"""Larger ones, and larger values, are not kept in the journal of an open run: many calls' arrays would fill a disk."""

Given = bytes | LocalFile
Encode = Callable[[int, Mapping[JobName, object]], bytes]
"""Makes the arguments of a task, and of values of other jobs."""


def given(folder: Path, encoded: bytes) -> Given:
    """Encoded arguments as they travel; large ones become a file of `folder`, which is made when first needed.

    Any thread may call. Raises WorldError where the disk refuses.
    """
    if len(encoded) <= INLINE_BYTES:
        return encoded
    path = folder / f"{secrets.token_hex(8)}.cbor"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded)
    except OSError as error:
        raise disk.unwritable(path, error, size_bytes=len(encoded)) from error
    return LocalFile("files", hashlib.sha256(encoded).hexdigest(), path, "arguments of a call")


def size(arguments: Given) -> int:
    """In bytes."""
    return len(arguments) if isinstance(arguments, bytes) else arguments.path.stat().st_size


class Arguments:
    """Encoded arguments by the task's index, until the task has its result."""

    def __init__(self, folder: Path, encode: Encode | None = None) -> None:
        """`folder` is for large ones. `encode` makes those that were not added."""
        self._folder, self._encode = folder, encode
        self._held: dict[int, Given] = {}

    @property
    def held(self) -> list[int]:
        """Tasks whose arguments are here."""
        return list(self._held)

    def add(self, first: int, arguments: Sequence[Given]) -> None:
        """Those of tasks `first` and following."""
        self._held.update(enumerate(arguments, first))

    def of(self, task: int, values: Mapping[JobName, object] = NO_VALUES) -> Given:
        """`values` are those of other jobs that it takes. Raises WorldError, and what `encode` raises.

        Any thread may call, one for a task.
        """
        found = self._held.get(task)
        if found is None:
            assert self._encode is not None, f"the arguments of task {task} were forgotten"
            found = given(self._folder, self._encode(task, values))
            if isinstance(found, LocalFile):
                self._held[task] = found
        return found

    def forget(self, tasks: Iterable[int]) -> None:
        """They have their results."""
        for task in tasks:
            found = self._held.pop(task, None)
            if isinstance(found, LocalFile):
                found.path.unlink(missing_ok=True)
