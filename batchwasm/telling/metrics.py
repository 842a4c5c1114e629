"""A run as numbers: counted from its events, copied from its state, and never computed for who asks.

Who asks is another thread and gets a copy, under a lock that is held for microseconds: a run never waits for one. Jobs
and hosts have names here up to a number; what is beyond it is summed, or left out.
"""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from batchwasm.core.events import Event, FileShipped, HostAway, HostJoined, HostLeft, Record, TasksFinished, TasksKnown
from batchwasm.core.state import CODES, State
from batchwasm.engine.plan import Watcher
from batchwasm.journalrows import Sample
from batchwasm.model import Outcome

BUCKETS_S = (0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
"""Upper bounds, from calls of a function to simulations that take a day."""
NAMED_JOBS = 200  # a job is some 40 series, most of them its histogram
NAMED_HOSTS = 2_000  # some 10 series each
COPY_S = 1.0  # between two copies of the state: below any interval of scrapes, and 1 ms for 500 hosts


@dataclass(slots=True)
class JobFigures:
    """What was counted of one job, or of all that have no name here."""

    ended: list[int] = field(default_factory=lambda: [0] * CODES)
    """Attempts by outcome, but those whose loss the state counts."""
    retried: int = 0
    known: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    output_files: int = 0
    output_bytes: int = 0

    def take(self, record: Record) -> None:
        if record.outcome == Outcome.LOST and not record.final:
            return  # the state counts it, with those whose host was lost
        self.ended[record.outcome] += 1
        self.wall_s += record.wall_s
        self.cpu_s += record.cpu_s
        self.buckets[bisect_left(BUCKETS_S, record.wall_s)] += 1
        if not record.final and record.outcome != Outcome.SUCCEEDED:
            self.retried += 1
        if record.outputs:
            sizes = [output["bytes"] for output in json.loads(record.outputs)]
            self.output_files += len(sizes)
            self.output_bytes += sum(sizes)

    def copy(self) -> JobFigures:
        return replace(self, ended=self.ended.copy(), buckets=self.buckets.copy())


class Tasks(NamedTuple):
    """Of one job, as the state has it."""

    job: str
    codes: list[int]
    lost: int


class Host(NamedTuple):
    """One host, as the state has it."""

    name: str
    word: str
    """`ready`, or what keeps it from being given anything new."""
    connected: bool
    cpus: float
    done: int


@dataclass(frozen=True, slots=True)
class Seen:
    """The state at one time, as far as it is told."""

    jobs: Sequence[Tasks]
    hosts: Sequence[Host]
    """The first NAMED_HOSTS."""
    words: Mapping[str, int]
    """Of all hosts."""
    first_at: float
    paused: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """All there is to tell, as a copy."""

    run: str
    jobs: Mapping[int, JobFigures]
    """By number; those of NAMED_JOBS are all others, too."""
    shipped: Mapping[str, int]
    """Bytes by what they were."""
    disconnects: Mapping[str, int]
    samples: Mapping[str, Sample]
    seen: Seen | None


class Metrics(Watcher):
    """Of one life of a scheduler: what is counted begins at 0 with it, as Prometheus expects of a process."""

    def __init__(self) -> None:
        self.run = ""
        """Its name, once it has one."""
        self._lock = threading.Lock()
        self._jobs: dict[int, JobFigures] = {}
        self._shipped: Counter[str] = Counter()
        self._disconnects: Counter[str] = Counter()
        self._connected: set[str] = set()
        self._samples: dict[str, Sample] = {}
        self._seen: Seen | None = None
        self._copied_at = float("-inf")

    def figures(self) -> Figures:
        """From any thread."""
        with self._lock:
            return Figures(
                run=self.run,
                jobs={n: job.copy() for n, job in self._jobs.items()},
                shipped=dict(self._shipped),
                disconnects=dict(self._disconnects),
                samples=dict(self._samples),
                seen=self._seen,
            )

    def journaled(self, events: Sequence[Event], seq: int, at: float) -> None:
        with self._lock:
            for event in events:
                self._take(event)

    def sampled(self, sample: Sample) -> None:
        with self._lock:
            self._samples[sample.host] = sample

    def passed(self, state: State) -> None:
        now = time.monotonic()
        if now - self._copied_at >= COPY_S or state.finished or state.stopped is not None:
            self._copied_at = now
            self._seen = _seen(state, time.time())

    def _take(self, event: Event) -> None:
        match event:
            case TasksFinished():
                job = self._job(event.job)
                for record in event.records:
                    job.take(record)
            case TasksKnown():
                self._job(event.job).known += len(event.records)
            case FileShipped():
                self._shipped[event.kind] += event.bytes
            case HostJoined():
                self._connected.add(event.host)
            case HostAway() | HostLeft():  # one that is away may be given up later, and has one connection to lose
                if event.host in self._connected and event.code != "removed":
                    self._disconnects[event.host] += 1
                self._connected.discard(event.host)
            case _:
                pass

    def _job(self, n: int) -> JobFigures:
        return self._jobs.setdefault(min(n, NAMED_JOBS), JobFigures())


def _seen(state: State, now: float) -> Seen:
    hosts = [
        Host(
            host.name,
            next((word for word, _ in host.closed_by(now)), "ready"),
            host.connected,
            host.capacity.cpus if host.capacity else 0.0,
            host.done,
        )
        for host in state.hosts.values()
    ]
    return Seen(
        jobs=[Tasks(job.plan.name, job.counts.copy(), job.lost) for job in state.jobs],
        hosts=hosts[:NAMED_HOSTS],
        words=Counter(host.word for host in hosts),
        first_at=state.first_at,
        paused=state.paused is not None,
    )
