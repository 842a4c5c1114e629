"""What keeps tasks from a host, and a host from tasks: one reason at a time, for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from batchwasm.core.events import HostPlan, JobPlan
from batchwasm.core.hoststate import HostState, closed_text
from batchwasm.core.impossible import lacking
from batchwasm.core.jobstate import JobState
from batchwasm.core.placement import fits
from batchwasm.core.room import AHEAD, MILLI, Amount, Offer, milli
from batchwasm.core.state import State
from batchwasm.model import GIB, KIB, MIB

NAMES = 3  # told one by one in a sentence; the others are counted
_UNKNOWN = 2**62  # of what an inventory does not say: as much as anybody could ask for


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why something waits, or is as it is."""

    code: str
    """For programs; docs/explain.md has them all."""
    text: str
    """For people, without a time in it."""
    until: float | None = None
    """Unix time at which it is over by itself; None where nobody knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortage:
    """Something that a task asks for and one host, or several of them together, have too little free of."""

    what: str
    """cpus, memory, gpus, or the name of a resource."""
    asked: int
    """Thousandths; of memory bytes. So are the other numbers."""
    free: int
    """The most on one host."""
    offered: int
    taken: Mapping[int, int] = field(default_factory=dict)
    """By job."""
    hosts: int = 1
    ahead: bool = False
    """All is taken, and as many short tasks wait there as may be sent ahead."""

    def __add__(self, other: Shortage) -> Shortage:
        """Of the hosts of both. They are about the same thing."""
        taken = dict(self.taken)
        for n, count in other.taken.items():
            taken[n] = taken.get(n, 0) + count
        return Shortage(
            what=self.what,
            asked=self.asked,
            free=max(self.free, other.free),
            offered=self.offered + other.offered,
            taken=taken,
            hosts=self.hosts + other.hosts,
            ahead=self.ahead,
        )

    @property
    def kind(self) -> str:
        """As codes of reasons have it."""
        return self.what if self.what in ("cpus", "memory", "gpus") else "resource"

    def reason(self, state: State) -> Reason:
        """`cpus: 3 of 4 taken by sim (2), mean (1); asks for 2`."""
        if self.ahead:
            who = listed([state.jobs[n].plan.name for n in sorted(self.taken)])
            return Reason(
                code="queue_full", text=f"short tasks of {who} run there, and as many wait as may be sent ahead"
            )
        taken = sum(self.taken.values())
        by = sorted(self.taken.items(), key=lambda pair: (-pair[1], pair[0]))
        who = listed([f"{state.jobs[n].plan.name} ({self._text(count)})" for n, count in by])
        text = f"{self.what}: {self._text(taken)} of {self._text(self.offered)} taken{f' by {who}' if who else ''}"
        text += f"; asks for {self._text(self.asked)}"
        if self.hosts > 1:
            text += f", at most {self._text(max(0, self.free))} free on one"
        return Reason(code=self.kind, text=text)

    def _text(self, count: int) -> str:
        return memory_text(count) if self.what == "memory" else f"{count / MILLI:g}"


def listed(names: Sequence[str], most: int = NAMES) -> str:
    """`a, b, c and 4 more`."""
    more = len(names) - most
    return ", ".join(names) if more <= 0 else f"{', '.join(names[:most])} and {more:,} more"


def memory_text(size_bytes: float) -> str:
    """`512 MiB`, `1.5 GiB`, `310 MiB`: three digits are enough to compare."""
    unit, name = next(((u, n) for u, n in ((GIB, "GiB"), (MIB, "MiB")) if size_bytes >= u), (KIB, "KiB"))
    value = size_bytes / unit
    return f"{value:,.0f} {name}" if value >= 100 else f"{value:.3g} {name}"


def counted(count: int, what: str) -> str:
    """`1 task`, `1,200 tasks`."""
    return f"1 {what}" if count == 1 else f"{count:,} {what}s"


def task_name(job: JobPlan, task: int) -> str:
    """As users write it: the index is left out where there is but one."""
    return job.name if job.tasks == 1 else f"{job.name}/{task}"


# ---------------------------------------------------------------------------------------------- what never changes


def not_allowed(job: JobPlan, host: HostPlan) -> Iterator[Reason]:
    """Why the job may not use the host, by its name, labels and mounts."""
    if job.hosts is not None and host.name not in job.hosts:
        yield Reason(code="hosts", text="not among its hosts")
    if host.name in job.exclude:
        yield Reason(code="exclude", text="excluded")
    for label in job.labels:
        if label[0] == "!" and label[1:] in host.labels:
            yield Reason(code="labels", text=f"has the label {label[1:]}, which it must not")
        elif label[0] != "!" and label not in host.labels:
            yield Reason(code="labels", text=f"label {label} missing")
    for mount in job.mounts:
        if mount not in host.mounts:
            yield Reason(code="mounts", text=f"mount {mount} missing")


def stated(host: HostPlan) -> Offer:
    """What the inventory says of a host; where it says nothing, whatever anybody may ask for."""
    return Offer(
        _UNKNOWN if host.cpus is None else milli(host.cpus),
        _UNKNOWN if host.memory_bytes is None else host.memory_bytes,
        _UNKNOWN // MILLI if host.gpus is None else host.gpus,
        tuple(sorted((name, milli(count)) for name, count in host.resources.items())),
    )


def too_large(amounts: Sequence[Amount], offer: Offer) -> Iterator[Reason]:
    """What none of the alternatives could have even if the host were empty."""
    if any(map(offer.fits, amounts)):
        return
    for amount in amounts:
        for asks, has in lacking(amount, offer):
            yield Reason(code="too_large", text=f"asks for {asks}, it has {has}")


# ------------------------------------------------------------------------------------------------- what passes


def closed(host: HostState, now: float) -> Iterator[Reason]:
    """Why the host is given nothing new."""
    for word, why in host.closed_by(now):
        yield Reason(code=word, text=closed_text(word, why), until=host.aside_until if word == "aside" else None)


def lacks(state: State, host: HostState, job: JobState, amounts: Sequence[Amount]) -> list[Shortage]:
    """What each alternative is short of on the host now, but for those that it could never hold; nothing where one
    fits."""
    room = host.room
    if room is None:
        return []
    by_need = [list(_shortages(state, host, job, amount)) for amount in amounts if room.offer.fits(amount)]
    return [shortage for found in by_need for shortage in found] if all(by_need) else []


def _shortages(state: State, host: HostState, job: JobState, amount: Amount) -> Iterator[Shortage]:
    """What the host has too little free of now for one more batch that reserves `amount`."""
    room = host.room
    if room is None or fits(host, job, amount):
        return
    ahead = AHEAD - 1 if job.is_short and room.fits_firmly(amount) else 0
    firm = not ahead
    cpus, memory = (room.firm_cpus, room.firm_memory) if firm else (room.all_cpus, room.all_memory)
    offer = room.offer
    found = []
    if amount.cpus > cpus + ahead * offer.milli_cpus:
        found.append(("cpus", amount.cpus, cpus, offer.milli_cpus))
    if amount.memory_bytes > memory + ahead * offer.memory_bytes:
        found.append(("memory", amount.memory_bytes, memory, offer.memory_bytes))
    has, asked = dict(offer.resources), dict(amount.resources)
    for what in room.lacks_rare(amount):
        if what == "gpus":
            free = room.gpus.count(MILLI) * MILLI if amount.gpus >= MILLI else max(room.gpus, default=0)
            found.append((what, amount.gpus, free, offer.gpus * MILLI))
        else:
            found.append((what, asked[what], room.resources.get(what, 0), has.get(what, 0)))
    for what, count, free, offered in found:
        taken = _taken(state, host, what, firm)
        yield Shortage(what=what, asked=count, free=free, offered=offered, taken=taken, ahead=not firm)


def _taken(state: State, host: HostState, what: str, firm: bool) -> dict[int, int]:
    """By job, what its batches on the host have of it; with `firm` without those that were sent ahead."""
    taken: dict[int, int] = {}
    for batch in state.batches_on(host.name):
        amount = batch.amount
        match what:
            case "cpus":
                count = amount.cpus if batch.firm or not firm else 0
            case "memory":
                count = amount.memory_bytes if batch.firm or not firm else 0
            case "gpus":
                count = amount.gpus
            case _:
                count = dict(amount.resources).get(what, 0)
        if count:
            taken[batch.job] = taken.get(batch.job, 0) + count
    return taken
