"""The exact bytes that a task wrote to stdout and stderr: in the journal where small, else in the run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from batchwasm.journal import Journal
    from batchwasm.model import JobName
    from batchwasm.results import RunFolder

Stream = bytes | Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What the attempt that counts wrote."""

    stdout: Stream
    stderr: Stream


@contextmanager
def reader(folder: RunFolder) -> Iterator[Reader]:
    """Reads streams of many tasks over one connection."""
    from batchwasm.journal import Journal

    journal = Journal.open(folder.journal, read_only=True)
    try:
        yield Reader(folder, journal)
    finally:
        journal.close()


class Reader:
    def __init__(self, folder: RunFolder, journal: Journal) -> None:
        self._folder, self._journal = folder, journal
        self._numbers = {job.plan.name: number for number, job in enumerate(journal.state().jobs)}

    def read(self, job: JobName, index: int) -> Written | None:
        """None where no attempt ended as the task's result: it waits, runs, or never started."""
        for attempt in self._journal.attempts(job=self._numbers[job], task=index, final=True):
            stdout, stderr = attempt.record.stdout, attempt.record.stderr
            return Written(
                stdout=self._folder.stdout(job, index) if stdout is None else stdout,
                stderr=self._folder.stderr(job, index) if stderr is None else stderr,
            )
        return None


def open_stream(stream: Stream) -> BinaryIO:
    """Raises RunError where its file is gone from the run folder."""
    import io

    from batchwasm.errors import RunError

    if isinstance(stream, bytes):
        return io.BytesIO(stream)
    try:
        return open(stream, "rb")
    except OSError as error:
        raise RunError(f"{stream} can't be read: {error.strerror}; was it removed from the run folder?") from error
