"""What was there to run on, by the run's events: when each host was connected, and with how many cpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from batchwasm.core.events import Event, HostAway, HostJoined, HostLeft, HostRefused, RunOpened, RunStopped
from batchwasm.report.facts import Axis
from batchwasm.report.load import Load

KINDS: tuple[type[Event], ...] = (HostJoined, HostAway, HostLeft, HostRefused, RunOpened, RunStopped)
SPANS = 50  # of one host that are told apart; the link of one that comes and goes more often than that is broken


@dataclass(slots=True)
class Presence:
    """A host that joined at least once."""

    first_at: float
    cpus: int
    memory_bytes: int
    facts: dict[str, object]
    spans: list[tuple[float, float]] = field(default_factory=list)
    """When it was connected, unix time."""
    there: Load | None = None
    """Its cpus."""
    lost: int = 0
    since: float | None = None
    """While it is connected."""

    def close(self, at: float, axis: Axis) -> None:
        if self.since is None:
            return
        if self.there is None:
            self.there = Load(axis.bins)
        self.there.add(axis.place(self.since), axis.place(at), self.cpus)
        if len(self.spans) < SPANS:
            self.spans.append((self.since, at))
        self.since = None

    def cpu_s(self, axis: Axis) -> float:
        return 0.0 if self.there is None else sum(self.there.means()) * axis.bin_s

    def absences(self, axis: Axis) -> Iterator[tuple[float, float]]:
        """When it was not, in seconds since the start of the run."""
        before = 0.0
        for since, until in self.spans:
            start = since - axis.first_at
            if start > before:
                yield before, start
            before = max(before, until - axis.first_at)
        if before < axis.span_s and len(self.spans) < SPANS:
            yield before, axis.span_s


def presences(events: Iterable[tuple[float, Event]], axis: Axis, end_at: float) -> dict[str, Presence]:
    """Of each host that ever joined, by name. `events` are those of KINDS, with their times."""
    found: dict[str, Presence] = {}
    for at, event in events:
        match event:
            case HostJoined():
                host = found.get(event.host)
                if host is None:
                    host = found[event.host] = Presence(at, event.cpus, event.memory_bytes, {})
                host.close(at, axis)
                host.cpus, host.memory_bytes, host.facts = event.cpus, event.memory_bytes, dict(event.facts)
                host.since = at
            case HostAway() | HostLeft() | HostRefused():
                if event.host in found:
                    host = found[event.host]
                    host.lost += host.since is not None
                    host.close(at, axis)
            case RunOpened() | RunStopped():
                for host in found.values():
                    host.close(at, axis)
            case _:
                pass
    for host in found.values():
        host.close(end_at, axis)
    return found
