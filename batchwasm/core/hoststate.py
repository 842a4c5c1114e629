"""A host while a run goes on, and the batches it was sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from batchwasm.core.events import HostPlan, Record
from batchwasm.core.jobstate import JobState
from batchwasm.core.room import Amount, Offer, Room
from batchwasm.model import Outcome

_ITS_OWN = frozenset(map(int, (Outcome.INVALID, Outcome.OUT_OF_MEMORY, Outcome.LIMIT_EXCEEDED, Outcome.MISMATCH)))
"""Outcomes that are the task's own on any host, or may be another host's fault."""


@dataclass(slots=True, eq=False)
class HostState:
    """A host of the inventory. `room` is None while it is not connected; it may have batches all the same."""

    plan: HostPlan
    room: Room | None = None
    reason: str = "connecting"
    code: str = ""
    answered: bool = False
    waiting_may_help: bool = True
    done: int = 0
    batches: dict[int, None] = field(default_factory=dict)
    """Ids of batches sent there, oldest first."""
    limits: Offer | None = None
    """What it offered when it last joined, for requests that fit nowhere."""
    supervisor: str = ""
    """Id of the runner that it had when it last joined: with another one all that it was sent is gone."""
    drained: str | None = None
    """Who wants that it gets nothing new, or why; None where nobody does."""
    removed: bool = False
    """The inventory has it no longer."""
    busy: str | None = None
    """Why it is left to others now, in its own words."""
    silent: bool = False
    """It says nothing, or can't be reached while it has batches: what it runs is doubted."""
    streak: int = 0
    """Failures there since its last success, of jobs that succeed elsewhere."""
    aside_until: float = 0.0
    aside_text: str = ""
    asides: int = 0
    """How often it was set aside since its last success; above 0 it has to prove itself."""
    reserved: int | None = None
    """The job that it is kept for."""
    reserved_bytes: int | None = None
    """Where it is kept for a retry with that much memory, and not for the job's other tasks."""
    warm: set[int] = field(default_factory=set)
    """Jobs whose files are there already."""

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def connected(self) -> bool:
        return self.room is not None

    @property
    def capacity(self) -> Offer | None:
        """What it offers now; None while it is not connected."""
        return None if self.room is None else self.room.offer

    def is_open(self, now: float) -> bool:
        """Whether it may be given anything new."""
        return (
            self.room is not None
            and self.drained is None
            and not self.removed
            and self.busy is None
            and not self.silent
            and now >= self.aside_until
            and not (self.asides and self.batches)  # on probation: one after the other
        )

    def judge(self, job: JobState, records: Iterable[Record]) -> None:
        """Whether it is the host that fails: only what succeeds elsewhere counts against it."""
        for record in records:
            if record.outcome == Outcome.SUCCEEDED:
                self.streak = self.asides = 0
                job.good_host = self.name
            elif record.outcome not in _ITS_OWN and job.good_host not in ("", self.name):
                self.streak += 1

    def why_closed(self, now: float) -> str | None:
        """Why it is given nothing new, as a sentence; None where it may be."""
        return next((closed_text(word, why) for word, why in self.closed_by(now)), None)

    def standing(self, now: float) -> str:
        """Its state in one word. What a person wants of it is told before what became of it."""
        words = [word for word, _ in self.closed_by(now)]
        return "drained" if "drained" in words and not self.removed else words[0] if words else "ready"

    def closed_by(self, now: float) -> Iterator[tuple[str, str]]:
        """All that keeps it from being given anything new, the weightiest first: a word of its state, and why ('' where
        nobody said)."""
        if self.removed:
            yield "removed", "the inventory has it no longer"
        if self.room is None:
            word = "connecting" if not self.answered else "lost" if self.limits else "down"
            yield word, self.reason
        if self.drained is not None:
            yield "drained", self.drained
        if self.busy is not None:
            yield "busy", self.busy
        if self.silent and self.room is not None:
            yield "silent", "it says nothing"
        if now < self.aside_until:
            yield "aside", self.aside_text
        elif self.asides and self.batches and self.room is not None:
            yield "probation", "one task after the other until one succeeds"


_WORDS = {"drained": "drained", "busy": "left to others", "aside": "set aside", "probation": "on probation"}
"""What stands before the reason, where it does not say it by itself."""


def closed_text(word: str, why: str) -> str:
    """As `closed_by` gives them, as a sentence."""
    if word == "silent":
        return "silent; it may be gone"
    said = _WORDS.get(word)
    return why if said is None else f"{said}: {why}" if why else said


@dataclass(slots=True, eq=False)
class Batch:
    """Tasks of one job that were sent to a host together."""

    id: int
    job: int
    host: str
    remaining: dict[int, int]
    """Tasks without a result, in the order in which they run, and the number of the attempt."""
    placed_at: float
    amount: Amount
    since: float
    """When something last happened in it: its first task runs since then, at the earliest."""
    need: int = 0
    memory_bytes: int | None = None
    gpus: tuple[int, ...] = ()
    """Indexes, as we count them; the host gives its own."""
    firm: bool = True
    """It counts as running, not as sent ahead."""
    recalled: bool = False
    double: bool = False
    superseded: bool = False
    """Its task has its result from elsewhere: it is to be stopped."""
