"""Reports of a run until its scheduler has them safely: in memory, and on disk while nobody comes for them.

They are numbered one after another and acknowledged from the first on, so what is in the file is always the older
part. The file is no record: it goes with the supervisor, and keeps a week alone from costing memory.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

FILE_LIMIT_BYTES = 512 * 1024 * 1024
"""Twice what a run may retain: what was acknowledged stays in the file until all in it is. What is more stays in
memory."""


class _Report(NamedTuple):
    batch: int
    tasks: int
    """How many it is about."""
    size: int
    frame: bytes | None
    """None where it is in the file."""
    at: int = 0
    """Where it is there."""


class Retained:
    """Frames by number. `path` is for the file, whose folder is made when it is needed."""

    def __init__(self, path: str) -> None:
        self.bytes = 0
        self.by_batch: Counter[int] = Counter()
        """How many reports, by batch; none is 0."""
        self._path = path
        self._reports: dict[int, _Report] = {}
        self._first = 1
        """The oldest one in `_reports`, or the next that will be: looking there for it would be slow after many."""
        self._put_away = 0
        """The last one that is in the file, perhaps acknowledged."""
        self._fd = -1
        self._end = 0

    def add(self, seq: int, batch: int, tasks: int, frame: bytes) -> None:
        """`seq` is one more than that of the last one."""
        if not self._reports:
            self._first = seq
        self._reports[seq] = _Report(batch, tasks, len(frame), frame)
        self.bytes += len(frame)
        self.by_batch[batch] += 1

    def following(self, seq: int) -> tuple[int, bytes] | None:
        """The first one behind `seq`, with its number. Raises OSError where it was put away and can't be read."""
        number = max(seq + 1, self._first)
        report = self._reports.get(number)
        if report is None:
            return None
        return number, report.frame if report.frame is not None else self._read(report)

    def tasks_after(self, seq: int) -> Iterator[tuple[int, int]]:
        """(batch, tasks) of each report behind `seq`."""
        return ((report.batch, report.tasks) for number, report in self._reports.items() if number > seq)

    def acknowledge(self, seq: int) -> list[int]:
        """Forgets those up to `seq`; returns batches of which none is left."""
        done = []
        while self._first <= seq and (report := self._reports.pop(self._first, None)) is not None:
            self._first += 1
            self.bytes -= report.size
            self.by_batch[report.batch] -= 1
            if not self.by_batch[report.batch]:
                del self.by_batch[report.batch]
                done.append(report.batch)
        if self._first > self._put_away:
            self.close()
        return done

    def put_away(self, limit_bytes: int) -> None:
        """Moves the oldest that are in memory into the file, up to `limit_bytes` and one more; none where the disk
        does not take them."""
        first = number = max(self._put_away + 1, self._first)
        frames: list[bytes] = []
        size = 0
        while size < limit_bytes and (report := self._reports.get(number)) is not None:
            assert report.frame is not None
            frames.append(report.frame)
            size += report.size
            number += 1
        if not frames or self._end + size > FILE_LIMIT_BYTES:
            return
        try:
            self._write(b"".join(frames))
        except OSError:
            if self._fd >= 0:
                os.ftruncate(self._fd, self._end)  # the last room on a disk is for others
            return
        for moved in range(first, number):
            report = self._reports[moved]
            self._reports[moved] = report._replace(frame=None, at=self._end)
            self._end += report.size
        self._put_away = number - 1

    def close(self) -> None:
        """Removes the file: nothing in it is needed any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd, self._end = -1, 0
            try:
                os.unlink(self._path)
            except OSError:
                pass  # its folder may be gone

    def _write(self, data: bytes) -> None:
        """Behind what is there."""
        if self._fd < 0:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self._path, flags, 0o600)
        view = memoryview(data)
        at = self._end
        while view:
            written = os.pwrite(self._fd, view, at)
            view, at = view[written:], at + written

    def _read(self, report: _Report) -> bytes:
        frame = b""
        while len(frame) < report.size:
            part = os.pread(self._fd, report.size - len(frame), report.at + len(frame))
            if not part:
                raise OSError(f"{self._path} was cut short")
            frame += part
        return frame
