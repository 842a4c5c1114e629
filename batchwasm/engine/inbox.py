"""Where the sessions of hosts tell what happened, and ask what is wanted: the loop, seen from there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from batchwasm.core.events import Event, Ranges, Record
from batchwasm.engine import collect
from batchwasm.engine.orders import Reservation
from batchwasm.model import HostName, JobName
from batchwasm.runner.protocol import Beat

if TYPE_CHECKING:
    from batchwasm.engine.session import Session


class Inbox(Protocol):
    """Nothing of it blocks."""

    def post(self, event: Event) -> None: ...

    def awaited(self, host: str, batch: int, task: int, number: int) -> JobName | None:
        """The job of an attempt that is waited for from this host; None where it is not, or not any more."""
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

    def answers(self, batch: int) -> collect.Answers | None:
        """What the function of a batch that is wanted may give; None for a program."""
        ...

    def report(self, session: Session, seq: int | None, batch: int, records: Sequence[Record]) -> None:
        """Attempts of a batch ended, says the host; `seq` is None where nobody but we say so."""
        ...

    def returned(self, session: Session, seq: int | None, batch: int, ranges: Ranges, why: str) -> None:
        """Tasks were not started and won't be; `seq` is None where we did not even send them."""
        ...

    def twin_of(self, host: str, supervisor: str) -> HostName | None:
        """Another host of the run that has this very supervisor."""
        ...

    def beat(self, host: str, beat: Beat) -> None: ...

    def shipping(self, host: str, text: str) -> None: ...
