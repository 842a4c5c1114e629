"""What is wanted of hosts now: the half of an Inbox that only looks."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import State
from batchwasm.engine.building import Building
from batchwasm.engine.collect import Expected
from batchwasm.engine.orders import Reservation
from batchwasm.model import HostName, JobName


class Claims:
    """Whose files of a task are brought here: of two attempts of it, one after the other.

    The second one looks again whether it is wanted when the first is in the journal, or broke off.
    """

    def __init__(self) -> None:
        self._of: dict[tuple[int, int], tuple[HostName, int, int]] = {}
        """By job and task: host, batch and number of the report that has them. A host says what batch it likes."""
        self._freed = asyncio.Event()

    async def take(self, job: int, task: int, host: HostName, batch: int, seq: int) -> None:
        """Wait until no other report has them."""
        while self._of.setdefault((job, task), (host, batch, seq)) != (host, batch, seq):
            self._freed.clear()
            await self._freed.wait()

    def give_back(self, host: HostName, batch: int, seq: int) -> None:
        """All that a report has."""
        mine = [key for key, report in self._of.items() if report == (host, batch, seq)]
        for key in mine:
            del self._of[key]
        if mine:
            self._freed.set()


class Wanted:
    """As state and scheduler have it."""

    def __init__(self, state: State, building: Building) -> None:
        self.state = state
        self._building = building
        self._scheduler = Scheduler(state)
        self.claims = Claims()

    def is_wanted(self, batch: int) -> bool:
        return batch in self.state.batches

    def has_work(self, host: str) -> bool:
        found = self.state.hosts.get(host)  # None of one that just came
        return found is not None and bool(found.batches)

    def was_met(self, host: str) -> bool:
        found = self.state.hosts.get(host)
        return found is not None and bool(found.supervisor)

    def others_answer(self, host: str) -> bool:
        return any(each.connected and not each.silent for each in self.state.hosts.values() if each.name != host)

    def left_of(self, host: str, batch: int) -> int | None:
        found = self._scheduler.batch_of(host, batch)
        return None if found is None else len(found.remaining)

    def is_recalled(self, batch: int) -> bool:
        found = self.state.batches.get(batch)
        return found is not None and found.recalled

    def expected(self, batch: int) -> Expected:
        found = self.state.batches[batch]
        work = self._building.works[found.job]
        answers = work.answers
        if answers is not None and found.memory_bytes is not None:
            answers = answers._replace(most_bytes=found.memory_bytes)
        compared = self.state.jobs[found.job].plan.verify > 1
        return Expected(answers, work.secrets.redact or None, compared)

    def awaited(self, host: str, batch: int, task: int, number: int) -> JobName | None:
        found = self._scheduler.batch_of(host, batch)
        if found is None or not self._scheduler.awaits(found, task, number):
            return None
        return self.state.jobs[found.job].plan.name

    def request_of(self, batch: int) -> Reservation:
        found = self.state.batches[batch]
        plan = self.state.jobs[found.job].plan
        need = plan.needs[found.need]
        if found.memory_bytes is not None:
            need = replace(need, memory_bytes=found.memory_bytes)
        return Reservation(need=need, isolate=plan.isolate)

    async def claim(self, host: str, batch: int, task: int, seq: int) -> None:
        found = self._scheduler.batch_of(host, batch)
        if found is not None:
            await self.claims.take(found.job, task, host, batch, seq)

    def disclaim(self, host: str, batch: int, seq: int) -> None:
        self.claims.give_back(host, batch, seq)
