"""Hosts in virtual time: batches wait for a slot in the order they came, run their tasks one after the other, report.

As the runner does it: a batch is one worker's, its results travel together (at its end, or after FLUSH_S), what was
not begun can be taken back.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from batchwasm.core.events import Record
from batchwasm.core.room import Amount, Offer, Room
from batchwasm.model import Outcome

FLUSH_S = 0.05  # how long a runner's worker holds back results for others to travel with
_SUCCEEDED = int(Outcome.SUCCEEDED)


class Report(NamedTuple):
    """What comes from a host at one moment."""

    host: str
    batch: int
    records: list[Record]
    returned: Sequence[int]
    """Tasks that were not begun."""


@dataclass(slots=True, eq=False)
class Work:
    """A batch on a host."""

    id: int
    amount: Amount
    tasks: list[tuple[int, int]]
    """Index and number of the attempt."""
    times: Sequence[float]
    """How long each task of the job lasts."""
    at: int = 0
    """How many are reported."""
    begun: bool = False
    over: bool = False
    gpus: tuple[int, ...] = ()
    turn: int = 0
    """Of its next report: one that was planned before is void."""
    began: list[float] = field(default_factory=list)
    """When the tasks of the next report began, one after the other, and then when the last of them ended."""
    since: float = 0.0
    taken_back: list[int] = field(default_factory=list)
    """Tasks that it is not to begin any more."""


class Machine:
    """A host: what it has, what runs there, what waits. `used` hears of each change of what is in use."""

    def __init__(self, name: str, offer: Offer) -> None:
        self.name = name
        self.room = Room(offer)
        self.works: dict[int, Work] = {}
        self.queue: deque[Work] = deque()
        self.cpu_s = self.memory_byte_s = 0.0
        """What batches held, thousandths of cpus and bytes times seconds."""
        self.done = 0


class Pool:
    """All hosts. What they will report next is in a heap; `next_at` says when."""

    def __init__(self, offers: dict[str, Offer], changed: Callable[[float, Amount, int], None]) -> None:
        """`changed` is told (when, what, 1 or -1) of all that is taken or given free."""
        self.machines = {name: Machine(name, offer) for name, offer in offers.items()}
        self._changed = changed
        self._due: list[tuple[float, int, Machine, Work, int]] = []
        self._answers: list[Report] = []
        self._count = 0

    @property
    def next_at(self) -> float:
        """When there is news; 0 where there is some already."""
        return 0.0 if self._answers else self._due[0][0] if self._due else float("inf")

    def start(self, host: str, work: Work, now: float) -> None:
        """An order to run a batch."""
        machine = self.machines[host]
        machine.works[work.id] = work
        machine.queue.append(work)
        self._begin_what_fits(machine, now)

    def recall(self, host: str, batch: int, now: float) -> None:
        """An order to give back what is not begun; what a worker has in hand comes back after its task."""
        machine = self.machines[host]
        work = machine.works.get(batch)
        if work is None:
            return
        if not work.begun:
            machine.queue.remove(work)
            del machine.works[batch]
            self._answers.append(Report(host, batch, [], [task for task, _ in work.tasks]))
            self._begin_what_fits(machine, now)
            return
        current = next((n for n, end in enumerate(work.began[1:]) if end > now), len(work.began) - 2)
        work.taken_back += [task for task, _ in work.tasks[work.at + current + 1 :]]
        del work.began[current + 2 :], work.tasks[work.at + current + 1 :]
        self._plan(machine, work)

    def kill(self, host: str, batch: int, now: float) -> None:
        """An order to stop a batch at once."""
        machine = self.machines[host]
        work = machine.works.pop(batch, None)
        if work is None:
            return
        if work.begun:
            self._end(machine, work, now)
        else:
            machine.queue.remove(work)
        self._begin_what_fits(machine, now)

    def reports(self, now: float) -> Iterator[Report]:
        """All that comes up to now."""
        answers, self._answers = self._answers, []
        yield from answers
        due = self._due
        while due and due[0][0] <= now:
            at, _, machine, work, turn = heapq.heappop(due)
            if work.over or turn != work.turn:
                continue
            records = self._records(work)
            work.at += len(records)
            machine.done += len(records)
            if work.at < len(work.tasks):
                self._run(machine, work, at)
            else:
                del machine.works[work.id]
                self._end(machine, work, at)
                self._begin_what_fits(machine, at)
            yield Report(machine.name, work.id, records, work.taken_back if work.over else ())

    @staticmethod
    def _records(work: Work) -> list[Record]:
        records = []
        for n, began in enumerate(work.began[:-1]):
            task, number = work.tasks[work.at + n]
            wall = work.began[n + 1] - began
            records.append(Record(task, number, _SUCCEEDED, True, 0, began, 0.0, wall, wall, 0, None, None))
        return records

    def _begin_what_fits(self, machine: Machine, now: float) -> None:
        """In order: what does not fit lets nobody pass."""
        while machine.queue and machine.room.fits_now(machine.queue[0].amount):
            work = machine.queue.popleft()
            work.gpus = machine.room.take(work.amount, firm=True)
            work.begun = True
            self._changed(now, work.amount, 1)
            work.since = now
            self._run(machine, work, now)

    def _run(self, machine: Machine, work: Work, now: float) -> None:
        """Plan the tasks of the next report: all, or as many as end within FLUSH_S, at least one."""
        began, end = [now], now
        for n in range(work.at, len(work.tasks)):
            end += work.times[work.tasks[n][0]]
            if end > now + FLUSH_S and len(began) > 1:
                break
            began.append(end)
        work.began = began
        self._plan(machine, work)

    def _plan(self, machine: Machine, work: Work) -> None:
        work.turn += 1
        self._count += 1
        heapq.heappush(self._due, (work.began[-1], self._count, machine, work, work.turn))

    def _end(self, machine: Machine, work: Work, now: float) -> None:
        work.over = True
        machine.room.give(work.amount, work.gpus, firm=True)
        machine.cpu_s += work.amount.cpus * (now - work.since)
        machine.memory_byte_s += work.amount.memory_bytes * (now - work.since)
        self._changed(now, work.amount, -1)
