"""What a build depended on, as a small record that can be compared with the disk of today."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from batchwasm.model import Digest
from batchwasm.toolchains.base import Inputs

BUFFER_BYTES = 1024**2
ABSENT = ""
"""Stands for the digest of a file that is not there: a build may depend on that, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """Names are relative to the source's folder, so that a tree that was moved is still known."""

    files: Mapping[str, Digest]
    folders: Mapping[str, Digest]


def take(inputs: Inputs, folder: Path) -> Fingerprint:
    """Reads all files of `inputs` once."""
    return Fingerprint(
        files={os.path.relpath(path, folder): file_digest(path) for path in sorted(inputs.files)},
        folders={os.path.relpath(path, folder): names_digest(path) for path in sorted(inputs.folders)},
    )


def still_true(fingerprint: Fingerprint, folder: Path) -> bool:
    """Whether the disk is as it was when the fingerprint was taken."""
    return all(file_digest(folder / name) == digest for name, digest in fingerprint.files.items()) and all(
        names_digest(folder / name) == digest for name, digest in fingerprint.folders.items()
    )


def file_digest(path: Path) -> Digest:
    """sha256 of the content; ABSENT where there is no readable file."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BUFFER_BYTES):
                digest.update(block)
    except OSError:
        return ABSENT
    return digest.hexdigest()


def names_digest(folder: Path) -> Digest:
    """Of the names of all files below, without hidden folders."""
    digest = hashlib.sha256()
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            digest.update(os.fsencode(os.path.relpath(os.path.join(where, name), folder)) + b"\0")
    return digest.hexdigest()


def changed_between(inputs: Inputs, start_ns: int, end_ns: int) -> bool:
    """Whether a file was written while the compiler read it: then nobody knows which content it saw."""
    return any(start_ns <= _modified_ns(path) <= end_ns for path in inputs.files - inputs.written)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
