"""The arguments of a job's calls on their way: small ones in memory, large ones as files until the call is over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from batchwasm.engine.files import LocalFile
from batchwasm.errors import WorldError

INLINE_BYTES = 1024**2
"""Larger ones go to hosts as files, by the way that streams them."""
KEPT_BYTES = 64 * 1024
"""Larger ones are not kept in the journal: arrays of many calls would fill the disk."""


class Arguments:
    """Encoded arguments by the task's index."""

    def __init__(self, folder: Path, encode: Callable[[int], bytes] | None = None) -> None:
        """Large ones become files of `folder`, made when first needed. `encode` makes those that were not added."""
        self._folder, self._encode = folder, encode
        self._added: dict[int, bytes | LocalFile] = {}

    def add(self, first: int, arguments: Sequence[bytes]) -> None:
        """Those of tasks `first` and following. Raises WorldError where the disk refuses."""
        for task, given in enumerate(arguments, first):
            self._added[task] = given if len(given) <= INLINE_BYTES else self._file(task, given)

    def of(self, task: int) -> bytes | LocalFile:
        """Raises WorldError, and what `encode` raises."""
        found = self._added.get(task)
        if found is None:
            assert self._encode is not None
            found = self._encode(task)
            if len(found) > INLINE_BYTES:
                found = self._added[task] = self._file(task, found)
        return found

    def forget(self, tasks: Iterable[int]) -> None:
        """They have their results."""
        for task in tasks:
            found = self._added.pop(task, None)
            if isinstance(found, LocalFile):
                found.path.unlink(missing_ok=True)

    def _file(self, task: int, given: bytes) -> LocalFile:
        path = self._folder / f"{task}.cbor"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(given)
        except OSError as error:
            raise WorldError(f"{path} can't be written: {error.strerror}") from error
        return LocalFile("files", hashlib.sha256(given).hexdigest(), path, f"arguments of task {task}")
