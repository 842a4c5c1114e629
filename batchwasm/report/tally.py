"""One pass over all attempts of a run: sums by host, by job and by time, in memory that does not grow with the rows.

Hosts say by their own clocks when an attempt started. Two things are sure by ours: none started before its host had
joined, or ended after we heard of its end. What contradicts them is moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from batchwasm.core.acts import RUN_AGAIN
from batchwasm.core.events import Ranges
from batchwasm.core.jobstate import JobState, runs_of
from batchwasm.model import Outcome
from batchwasm.report.durations import Spread
from batchwasm.report.facts import Axis
from batchwasm.report.failing import Failing, Way
from batchwasm.report.load import Load

FEW_HOSTS = 32  # up to which a timeline shows jobs and attempts; above it is a heatmap
FEW_ATTEMPTS = 3000  # each of which it shows, some 60 bytes
JOBS = 8  # that have a colour of their own; all others share one

COLUMNS = (
    "a.id, a.seq, e.at, a.job, a.task, a.number, a.host, a.outcome, a.final, a.started_at, a.wall_s, a.cpu_s, "
    "CASE WHEN a.outcome <> 2 THEN a.reason_code END, CASE WHEN a.outcome <> 2 THEN a.exit_code END"
)
"""What an attempt is here. Reasons lie behind what it printed, which is not read where it succeeded."""


class Run(NamedTuple):
    """An attempt, in seconds since the start of the run."""

    host: str
    job: int
    task: int
    number: int
    start_s: float
    stop_s: float
    cpus: float
    outcome: Outcome | None


@dataclass(slots=True)
class HostTally:
    joined_at: float
    """When it first did; unix time."""
    loads: dict[int, Load]
    """Cpus reserved, by job where hosts are few; else all under 0."""
    attempts: int = 0
    succeeded: int = 0
    behind_s: float = 0.0
    """At least so far its clock is behind ours."""


class Retry(NamedTuple):
    """Tasks that a person had again."""

    seq: int
    at: float
    job: int
    ranges: Ranges
    """As they were asked for: many of them may have succeeded, or wait anyway."""


class Tally:
    def __init__(self, axis: Axis, jobs: Sequence[JobState], hosts: Mapping[str, float]) -> None:
        """`hosts` says when each first joined (unix time)."""
        self.axis = axis
        self.few = len(hosts) <= FEW_HOSTS
        self.hosts = {name: HostTally(at, {}) for name, at in hosts.items()}
        self.attempts = 0
        self.again = 0
        self.running, self.done, self.worked = (Load(axis.bins) for _ in range(3))
        self.spreads: dict[int, Spread] = {}
        self.failing = Failing()
        self.runs: list[Run] | None = [] if self.few else None
        """All attempts, where they and the hosts are few."""
        self._cpus = [job.plan.needs[0].cpus for job in jobs]
        self._shown = [min(n, JOBS) for n in range(len(jobs))]
        self._codes = [bytearray(len(job.codes)) for job in jobs]
        """The outcome of each task that has its result from an attempt, as far as the pass has come; else 0."""
        self.ended: dict[int, int] = {}
        """How many have, by outcome."""
        self.first_failed: dict[int, float] = {}
        """When a task of a job first failed for good, by job; in bins."""

    def take(self, rows: Iterable[tuple[Any, ...]], retries: Iterable[Retry] = ()) -> None:
        """Rows of COLUMNS and what was had again between them, oldest first."""
        asked = iter(retries)
        retry = next(asked, None)
        axis, done, running, worked = self.axis, self.done, self.running, self.worked
        first_at, per_s, bins = axis.first_at, 1 / axis.bin_s, float(axis.bins)
        for row, seq, at, job, task, number, name, outcome, final, started_at, wall, cpu, reason, exit_code in rows:
            self.attempts += 1
            while retry is not None and retry.seq < seq:
                self._have_again(retry)
                retry = next(asked, None)
            is_result = final and not self._codes[job][task]  # what it has already, it keeps
            if is_result:
                self._codes[job][task] = outcome
                self.ended[outcome] = self.ended.get(outcome, 0) + 1
            elif not final and outcome != 2:  # one that succeeded is compared: its task runs elsewhere, too
                self.again += 1
            if not number:  # taken from an earlier run: it ran nowhere
                if is_result:
                    done.add(axis.place(at), bins, 1)
                continue
            host = self.hosts.get(name) or self._new_host(name)
            if host.joined_at - started_at > host.behind_s:
                host.behind_s = host.joined_at - started_at
            stop_at = min(started_at + host.behind_s + wall, at)
            stop = min(max((stop_at - first_at) * per_s, 0.0), bins)
            start = min(max((stop_at - wall - first_at) * per_s, 0.0), bins)
            cpus = self._cpus[job]
            host.attempts += 1
            key = self._shown[job] if self.few else 0
            (host.loads.get(key) or self._new_load(host, key)).add(start, stop, cpus)
            running.add(start, stop, 1)
            if wall > 0:
                worked.add(start, stop, cpu / wall)
            if is_result:
                done.add(stop, bins, 1)
            if outcome == 2:
                host.succeeded += 1
                if final:
                    (self.spreads.get(job) or self._new_spread(job)).add(wall)
            else:
                self.failing.add(Way(job, outcome, reason or "", exit_code), row, task, name, final)
                if final:
                    self.first_failed.setdefault(job, stop)
            if self.runs is not None:
                self._show(Run(name, job, task, number, start / per_s, stop / per_s, cpus, Outcome(outcome)))
        while retry is not None:
            self._have_again(retry)
            retry = next(asked, None)

    def _have_again(self, retry: Retry) -> None:
        """Those of the tasks that ended and did not succeed wait as if they had not."""
        codes = self._codes[retry.job]
        for asked in retry.ranges:
            for start, stop in runs_of(codes, RUN_AGAIN, *asked):
                for code in set(codes[start:stop]):
                    self.ended[code] -= codes.count(code, start, stop)
                codes[start:stop] = bytes(stop - start)
                self.done.add(self.axis.place(retry.at), float(self.axis.bins), start - stop)

    def take_running(self, name: str, job: int, task: int, number: int, since: float, cpus: float) -> None:
        """An attempt that has not ended."""
        start, stop = self.axis.place(since), float(self.axis.bins)
        host = self.hosts.get(name) or self._new_host(name)
        key = self._shown[job] if self.few else 0
        (host.loads.get(key) or self._new_load(host, key)).add(start, stop, cpus)
        self.running.add(start, stop, 1)
        if self.runs is not None:
            bin_s = self.axis.bin_s
            self._show(Run(name, job, task, number, start * bin_s, stop * bin_s, cpus, None))

    def _show(self, run: Run) -> None:
        assert self.runs is not None
        self.runs.append(run)
        if len(self.runs) > FEW_ATTEMPTS:
            self.runs = None

    def _new_host(self, name: str) -> HostTally:
        host = self.hosts[name] = HostTally(self.axis.first_at, {})
        return host

    def _new_load(self, host: HostTally, key: int) -> Load:
        load = host.loads[key] = Load(self.axis.bins)
        return load

    def _new_spread(self, job: int) -> Spread:
        spread = self.spreads[job] = Spread()
        return spread
