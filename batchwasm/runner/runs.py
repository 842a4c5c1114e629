"""What a supervisor knows of one run: its batches, and its reports until the scheduler has them safely. No I/O.

Bodies are kept as they came and are read in one case only: where a batch's tasks must be named because no worker is
left to do it.
"""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from .capacity import NOTHING, Room
from .protocol import Finished, ProtocolError, Returned, Start, TaskWork, Work, encode

RETAINED_LIMIT_BYTES = 256 * 1024 * 1024
"""Reports that wait for their acknowledgement: above it a run starts nothing, its scheduler has to catch up first."""
QUEUED_LIMIT_BYTES = 1024 * 1024 * 1024
"""Orders that wait: a scheduler sends 50 ms of work ahead, so nothing of ours ever comes near."""


@dataclass
class Batch:
    """A batch between its Start and the report of its last task."""

    start: Start
    finished: int = 0
    """Tasks reported so far: a worker reports them in the batch's order."""
    returned: set[int] = field(default_factory=set)

    @property
    def number(self) -> int:
        return self.start.batch

    @property
    def needs(self) -> Room:
        return Room(self.start.cpus, self.start.memory_bytes)

    @property
    def over(self) -> bool:
        return self.finished + len(self.returned) >= self.start.count

    def work(self) -> Work:
        """The body. Raises ProtocolError where it is not what the protocol says."""
        try:
            return Work.decode(self.start.body)
        except (ValueError, TypeError, KeyError) as error:
            raise ProtocolError(f"the body of batch {self.number} can't be read ({error})") from error

    def left(self, work: Work) -> list[TaskWork]:
        """Tasks that nothing was reported of."""
        return [task for task in work.tasks[self.finished :] if task.task not in self.returned]

    def note(self, report: Finished | Returned) -> None:
        """Counts what a report says."""
        if isinstance(report, Finished):
            self.finished += report.count
        else:
            self.returned.update(report.tasks)


class Report(NamedTuple):
    """A report that may have to be sent again."""

    seq: int
    batch: int
    frame: bytes


@dataclass(eq=False)
class Run:
    """One run as its scheduler told it, with or without a connection to that scheduler."""

    id: str
    incarnation: int
    spool: str
    cap: Room
    seq: int
    """Number of the last report. Starts where the scheduler stood, so that numbers grow over supervisors too."""
    queue: deque[Batch] = field(default_factory=deque)
    running: dict[int, Batch] = field(default_factory=dict)
    ending: str | None = None
    """Why it ends, '' for its own wish, from the moment on that it does: nothing is reported any more."""
    used: Room = NOTHING
    served: int = 0
    waits_since: float = 0.0
    reports: deque[Report] = field(default_factory=deque)
    retained_bytes: int = 0
    queued_bytes: int = 0
    unacknowledged: Counter[int] = field(default_factory=Counter)
    """Reports in `reports` by batch."""

    @property
    def wants(self) -> Room | None:
        """What the next batch needs; None where none may start."""
        return self.queue[0].needs if self.queue and self.retained_bytes < RETAINED_LIMIT_BYTES else None

    @property
    def batches(self) -> list[int]:
        """Queued, running, or with reports that are not acknowledged."""
        numbers = {batch.number for batch in self.queue} | self.running.keys() | self.unacknowledged.keys()
        return sorted(numbers)

    def add(self, start: Start, now: float) -> bool:
        """Queues a batch; False where it is here already. Raises ProtocolError beyond all bounds."""
        if start.batch in self.running or start.batch in self.unacknowledged or self.queued(start.batch):
            return False
        self.queued_bytes += len(start.body)
        if self.queued_bytes > QUEUED_LIMIT_BYTES:
            raise ProtocolError(f"run {self.id} queues more than {QUEUED_LIMIT_BYTES} bytes of orders")
        if not self.queue:
            self.waits_since = now
        self.queue.append(Batch(start))
        return True

    def queued(self, number: int) -> Batch | None:
        """The batch, where it waits."""
        return next((batch for batch in self.queue if batch.number == number), None)

    def take(self, served: int, now: float) -> Batch:
        """Moves the next batch from waiting to running."""
        batch = self.queue.popleft()
        self.queued_bytes -= len(batch.start.body)
        self.running[batch.number] = batch
        self.used = self.used.plus(batch.needs)
        self.served = served
        self.waits_since = now
        return batch

    def drop(self, batch: Batch) -> None:
        """Takes a batch out of the queue: it won't run."""
        self.queue.remove(batch)
        self.queued_bytes -= len(batch.start.body)

    def end(self, batch: Batch) -> None:
        """A running batch is over."""
        del self.running[batch.number]
        self.used = self.used.minus(batch.needs)

    def report(self, report: Finished | Returned) -> bytes:
        """Numbers a report and keeps it; returns its frame."""
        self.seq += 1
        frame = encode(dataclasses.replace(report, seq=self.seq))
        self.reports.append(Report(self.seq, report.batch, frame))
        self.retained_bytes += len(frame)
        self.unacknowledged[report.batch] += 1
        return frame

    def after(self, seq: int) -> Iterator[bytes]:
        """Frames of the reports that a scheduler has not seen."""
        return (report.frame for report in self.reports if report.seq > seq)

    def acknowledge(self, seq: int) -> list[int]:
        """Forgets reports up to `seq`; returns batches of which nothing is needed any more."""
        done = []
        while self.reports and self.reports[0].seq <= seq:
            report = self.reports.popleft()
            self.retained_bytes -= len(report.frame)
            self.unacknowledged[report.batch] -= 1
            if not self.unacknowledged[report.batch]:
                del self.unacknowledged[report.batch]
                if report.batch not in self.running:
                    done.append(report.batch)
        return done
