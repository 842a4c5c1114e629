"""Where the sessions of hosts tell what happened, and ask what is wanted: the loop, seen from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from batchwasm.core.events import Event, Ranges, Record
from batchwasm.engine import collect
from batchwasm.engine.orders import Reservation
from batchwasm.model import Host, HostName, JobName
from batchwasm.runner.protocol import Beat, Output


class Reporter(Protocol):
    """A session, as who answers it sees it."""

    host: Host

    def settled(self, seqs: Sequence[int]) -> None:
        """The reports with these numbers are in the journal."""
        ...


class Inbox(Protocol):
    """Nothing of it blocks."""

    def post(self, event: Event) -> None: ...

    def awaited(self, host: str, batch: int, task: int, number: int) -> JobName | None:
        """The job of an attempt that is waited for from this host; None where it is not, or not any more."""
        ...

    async def claim(self, host: str, batch: int, task: int, seq: int) -> None:
        """Wait until no other attempt of the task has its files on the way here; until `disclaim`, or the report is
        in the journal, none has."""
        ...

    def disclaim(self, host: str, batch: int, seq: int) -> None:
        """Nothing comes of the report after all."""
        ...

    async def on_disk(self) -> None:
        """What was written into the run folder until now survives a power cut when this returns."""
        ...

    def request_of(self, batch: int) -> Reservation: ...

    def has_work(self, host: str) -> bool:
        """Whether it was sent anything that has no result yet."""
        ...

    def was_met(self, host: str) -> bool:
        """Whether it ever joined, so that it may have something of the run."""
        ...

    def others_answer(self, host: str) -> bool:
        """Whether another host of the run is there."""
        ...

    def left_of(self, host: str, batch: int) -> int | None:
        """How many tasks of a batch have no result yet; None where that host has no such batch."""
        ...

    def is_wanted(self, batch: int) -> bool:
        """False for a batch that was given up: whatever a host says of it is old news."""
        ...

    def is_recalled(self, batch: int) -> bool:
        """Whether what of a batch is not started yet shall not start."""
        ...

    def expected(self, batch: int) -> collect.Expected:
        """How what is said of a batch that is wanted is to be taken."""
        ...

    def report(self, session: Reporter, seq: int | None, batch: int, records: Sequence[Record]) -> None:
        """Attempts of a batch ended, says the host; `seq` is None where nobody but we say so."""
        ...

    def returned(self, session: Reporter, seq: int | None, batch: int, ranges: Ranges, why: str) -> None:
        """Tasks were not started and won't be; `seq` is None where we did not even send them."""
        ...

    def twin_of(self, host: str, supervisor: str) -> HostName | None:
        """Another host of the run that has this very supervisor."""
        ...

    def beat(self, host: str, beat: Beat) -> None: ...

    def output(self, host: str, output: Output) -> None:
        """What a task of it has printed, perhaps as asked for."""
        ...

    def shipping(self, host: str, text: str) -> None: ...
