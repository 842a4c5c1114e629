"""What a supervisor knows of one run: its batches, and its reports until the scheduler has them safely.

Bodies are kept as they came and are read in two cases only: where a batch's tasks must be named because no worker is
left to do it, and where somebody wants to see what one of them writes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .capacity import NOTHING, Room, Want, per_gpu
from .courtesy import Mood, Rules
from .protocol import Attach, Finished, ProtocolError, Returned, Start, TaskWork, Work, encode
from .retained import Retained

RETAINED_LIMIT_BYTES = 256 * 1024 * 1024
"""Reports that wait for their acknowledgement: above it a run starts nothing, its scheduler has to catch up first."""
QUEUED_LIMIT_BYTES = 1024 * 1024 * 1024
"""Orders that wait: a scheduler sends 50 ms of work ahead, so nothing of ours ever comes near."""


class Outline(NamedTuple):
    """What is kept of a body that was read."""

    tasks: list[int]
    """Their indexes, in the batch's order."""
    stdout_bytes: int


@dataclass
class Batch:
    """A batch between its Start and the report of its last task."""

    start: Start
    place: int = 0
    """Which one it is of its run's, by the order in which they came."""
    finished: int = 0
    """Tasks reported so far: a worker reports them in the batch's order."""
    returned: set[int] = field(default_factory=set)
    needs: Room = NOTHING

    def __post_init__(self) -> None:
        start = self.start
        self.needs = Room.of(start.cpus, start.memory_bytes, start.gpus, start.resources)

    @property
    def number(self) -> int:
        return self.start.batch

    @property
    def unreported(self) -> int:
        """Tasks that nothing was reported of."""
        return max(0, self.start.count - self.finished - len(self.returned))

    @property
    def over(self) -> bool:
        return not self.unreported

    def work(self) -> Work:
        """The body. Raises ProtocolError where it is not what the protocol says."""
        try:
            return Work.decode(self.start.body)
        except (ValueError, TypeError, KeyError) as error:
            raise ProtocolError(f"the body of batch {self.number} can't be read ({error})") from error

    @functools.cached_property
    def outline(self) -> Outline:
        """Raises ProtocolError as `work` does."""
        work = self.work()
        return Outline([task.task for task in work.tasks], work.stdout_bytes)

    def left(self, work: Work) -> list[TaskWork]:
        """Tasks that nothing was reported of."""
        return [task for task in work.tasks[self.finished :] if task.task not in self.returned]

    def note(self, report: Finished | Returned) -> None:
        """Counts what a report says."""
        if isinstance(report, Finished):
            self.finished += report.count
        else:
            self.returned.update(report.tasks)


@dataclass
class Lane:
    """Batches of a run that need the same: a batch that waits for a gpu holds up none that needs no gpu."""

    waits_since: float
    """Monotonic time since when its first one is the first."""
    batches: deque[Batch] = field(default_factory=deque)


NO_RULES = Rules()


@dataclass(eq=False)
class Run:
    """One run as its scheduler told it, with or without a connection to that scheduler."""

    id: str
    incarnation: int
    spool: str
    cap: Room
    seq: int
    """Number of the last report. Starts where the scheduler stood, so that numbers grow over supervisors too."""
    lanes: dict[Room, Lane] = field(default_factory=dict)
    """What waits, by what it needs; none is empty."""
    running: dict[int, Batch] = field(default_factory=dict)
    ending: str | None = None
    """Why it ends, '' for its own wish, from the moment on that it does: nothing is reported any more."""
    ending_code: str = "protocol"
    order: Attach | None = None
    """The last one of its scheduler."""
    rules: Rules = NO_RULES
    """Those of its inventory."""
    mood: Mood = field(default_factory=lambda: Mood(NO_RULES))
    """Whether it may work here now."""
    used: Room = NOTHING
    held_gpus: dict[int, int] = field(default_factory=dict)
    """Thousandths that its running batches hold, by index."""
    served: int = 0
    came: int = 0
    """Batches so far."""
    queued_bytes: int = 0
    alone_since: float | None = None
    """Monotonic time since when it has no connection."""
    retained: Retained = field(init=False)

    def __post_init__(self) -> None:
        self.retained = Retained(f"{self.spool}/reports")

    @property
    def wants(self) -> Sequence[Want]:
        """What the first of each lane needs, the one first that came first; empty where none may start."""
        if not self.lanes or self.mood.busy != "" or self.retained.bytes >= RETAINED_LIMIT_BYTES:
            return ()
        if len(self.lanes) == 1:
            return [Want(needs, lane.waits_since) for needs, lane in self.lanes.items()]
        lanes = sorted(self.lanes.items(), key=lambda item: item[1].batches[0].place)
        return [Want(needs, lane.waits_since) for needs, lane in lanes]

    @property
    def queue(self) -> list[Batch]:
        """All that wait, in the order in which they came."""
        waiting = [batch for lane in self.lanes.values() for batch in lane.batches]
        return sorted(waiting, key=lambda batch: batch.place)

    @property
    def queued_count(self) -> int:
        return sum(len(lane.batches) for lane in self.lanes.values())

    @property
    def batches(self) -> list[int]:
        """Queued, running, or with reports that are not acknowledged."""
        numbers = {batch.number for batch in self.queue} | self.running.keys() | self.retained.by_batch.keys()
        return sorted(numbers)

    def left(self, seq: int) -> list[int]:
        """Of each of `batches`: tasks of which a scheduler that has seen the reports up to `seq` gets one still."""
        left = Counter({batch.number: batch.unreported for batch in (*self.queue, *self.running.values())})
        for number, tasks in self.retained.tasks_after(seq):
            left[number] += tasks
        return [left[number] for number in self.batches]

    def add(self, start: Start, now: float) -> Batch | None:
        """Queues a batch; None where it is here already. Raises ProtocolError beyond all bounds."""
        if start.batch in self.running or start.batch in self.retained.by_batch or self.queued(start.batch):
            return None
        self.queued_bytes += len(start.body)
        if self.queued_bytes > QUEUED_LIMIT_BYTES:
            raise ProtocolError(f"run {self.id} queues more than {QUEUED_LIMIT_BYTES} bytes of orders")
        self.came += 1
        batch = Batch(start, self.came)
        self.lanes.setdefault(batch.needs, Lane(now)).batches.append(batch)
        return batch

    def queued(self, number: int) -> Batch | None:
        """The batch, where it waits."""
        waiting = (batch for lane in self.lanes.values() for batch in lane.batches)
        return next((batch for batch in waiting if batch.number == number), None)

    def take(self, needs: Room, gpus: tuple[int, ...], served: int, now: float) -> Batch:
        """Moves the first batch of a lane from waiting to running, on these gpus."""
        lane = self.lanes[needs]
        batch = lane.batches.popleft()
        lane.waits_since = now
        if gpus:
            batch.start = dataclasses.replace(batch.start, gpu_indexes=list(gpus))
        self._left_the_queue(batch)
        self.running[batch.number] = batch
        self._hold(batch, 1)
        self.used = self.used.plus(needs)
        self.served = served
        return batch

    def drop(self, batch: Batch) -> None:
        """Takes a batch out of the queue: it won't run."""
        self.lanes[batch.needs].batches.remove(batch)
        self._left_the_queue(batch)

    def drop_all(self) -> list[Batch]:
        """Takes all out of the queue; they won't run."""
        dropped = self.queue
        self.lanes.clear()
        self.queued_bytes = 0
        return dropped

    def _left_the_queue(self, batch: Batch) -> None:
        self.queued_bytes -= len(batch.start.body)
        if not self.lanes[batch.needs].batches:
            del self.lanes[batch.needs]

    def _hold(self, batch: Batch, sign: int) -> None:
        for index in batch.start.gpu_indexes:
            self.held_gpus[index] = self.held_gpus.get(index, 0) + sign * per_gpu(batch.needs.gpus)

    def end(self, batch: Batch) -> None:
        """A running batch is over."""
        del self.running[batch.number]
        self.used = self.used.minus(batch.needs)
        self._hold(batch, -1)

    def report(self, report: Finished | Returned) -> None:
        """Numbers a report and keeps it."""
        self.seq += 1
        tasks = report.count if isinstance(report, Finished) else len(report.tasks)
        self.retained.add(self.seq, report.batch, tasks, encode(dataclasses.replace(report, seq=self.seq)))

    def acknowledge(self, seq: int) -> list[int]:
        """Forgets reports up to `seq`; returns batches of which nothing is needed any more."""
        return [number for number in self.retained.acknowledge(seq) if number not in self.running]
