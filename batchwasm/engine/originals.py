"""Results of earlier runs: read from their journals, their files copied and checked on the way."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from batchwasm.core.events import Record
from batchwasm.errors import HostLost, RunError, WorldError
from batchwasm.journal import Journal
from batchwasm.known import Hit, Origin
from batchwasm.model import JobName, Outcome
from batchwasm.results import RunFolder

BLOCK_BYTES = 8 * 1024**2


class Gone(Exception):
    """A result is not there any more, or not as it was."""


class _Job(NamedTuple):
    folder: RunFolder
    journal: Journal
    number: int


class Originals:
    """Reads from some runs; of one thread, to be closed."""

    def __init__(self, target: RunFolder) -> None:
        """Files are copied into `target`."""
        self._target = target
        self._jobs: dict[Origin, _Job | None] = {}
        self._journals: dict[str, Journal] = {}
        self.gone: set[Origin] = set()
        """Of those that were asked for, runs that were removed."""

    def close(self) -> None:
        for journal in self._journals.values():
            journal.close()

    def take(self, hit: Hit, job: JobName, task: int) -> Record:
        """The result as one of task `task` of `job` of this run, its files there. Raises Gone, and WorldError where the
        disk here refuses."""
        found = self._job(hit.origin)
        if found is None:
            raise Gone
        record = self._record(found, hit.task)
        try:
            self._copy(found, hit, record, job, task)
        except (Gone, WorldError):
            shutil.rmtree(self._target.task(job, task), ignore_errors=True)
            raise
        place, here = self._target, self._target.path
        return record._replace(
            task=task,
            number=0,
            queued_s=0.0,
            stdout_path=record.stdout_path and str(place.stdout(job, task).relative_to(here)),
            stderr_path=record.stderr_path and str(place.stderr(job, task).relative_to(here)),
            value_path=record.value_path and str(place.value(job, task).relative_to(here)),
            digest=None,
            cached=f"{found.folder.name} {hit.origin.job}/{hit.task}",
        )

    def _record(self, job: _Job, task: int) -> Record:
        record = None
        with _read():
            for attempt in job.journal.attempts(job=job.number, task=task, final=True):
                record = attempt.record  # the last one counts
        if record is None or record.outcome != Outcome.SUCCEEDED:
            raise Gone
        return record

    def _copy(self, found: _Job, hit: Hit, record: Record, job: JobName, task: int) -> None:
        source, target = found.folder, self._target
        try:
            for output in json.loads(record.outputs) if record.outputs else ():
                path = source.output(hit.origin.job, hit.task, output["path"])
                copy(path, target.output(job, task, output["path"]), output["sha256"], output["bytes"])
            for relative, place in (
                (record.stdout_path, target.stdout),
                (record.stderr_path, target.stderr),
                (record.value_path, target.value),
            ):
                if relative is not None:
                    copy(source.path / relative, place(job, task), hit.files.get(relative))
        except (ValueError, KeyError, TypeError, HostLost) as error:  # its journal was written by who knows whom
            raise Gone from error

    def _job(self, origin: Origin) -> _Job | None:
        if origin not in self._jobs:
            self._jobs[origin] = self._opened(origin)
        return self._jobs[origin]

    def _opened(self, origin: Origin) -> _Job | None:
        folder = RunFolder(path=Path(origin.folder))
        try:
            manifest = json.loads(folder.manifest.read_text(encoding="utf-8"))
            if manifest["id"] != origin.run:
                raise ValueError("another run is in its folder by now")
            number = [job["name"] for job in manifest["jobs"]].index(origin.job)
            if origin.folder not in self._journals:
                self._journals[origin.folder] = Journal.open(folder.journal, read_only=True)
        except (OSError, ValueError, KeyError, TypeError, RunError):
            self.gone.add(origin)
            return None
        except WorldError:  # it is there, and can't be read now
            return None
        return _Job(folder, self._journals[origin.folder], number)


def digests(folder: RunFolder, paths: Iterable[str]) -> dict[str, str]:
    """sha256 of files of a run, by their paths in its folder."""
    return {path: _sha256(folder.path / path) for path in paths}


def copy(source: Path, target: Path, sha256: str | None, size: int | None = None) -> None:
    """Copy a file that must have this content; on file systems that can, the copy shares its blocks.

    Raises Gone where it is not that or not there, and WorldError where the disk here refuses.
    """
    part = target.with_name(f".{target.name[:200]}.part")
    try:
        opened = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Gone from error
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode) or size not in (None, found.st_size):
            raise Gone
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w+b") as file:
            _copy_blocks(opened, file.fileno())
            file.seek(0)
            if sha256 is not None and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
                raise Gone
        os.replace(part, target)
    except OSError as error:
        raise WorldError(f"{target} can't be written: {error.strerror}") from error
    finally:
        os.close(opened)
        with suppress(OSError):
            part.unlink()


def _copy_blocks(source: int, target: int) -> None:
    if hasattr(os, "copy_file_range"):
        with _ignored(errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
            while os.copy_file_range(source, target, BLOCK_BYTES):
                pass
    while block := os.read(source, BLOCK_BYTES):  # all of it, or what the kernel could not do by itself
        view = memoryview(block)
        while view:
            view = view[os.write(target, view) :]


@contextmanager
def _ignored(*numbers: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in numbers:
            raise


@contextmanager
def _read() -> Iterator[None]:
    try:
        yield
    except (RunError, WorldError) as error:
        raise Gone from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
