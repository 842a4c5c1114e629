"""What a report tells, as values: sums over a run, bounded whatever its size. No files, no markup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batchwasm.model import Outcome
from batchwasm.rows import Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """The time of a run in equal bins."""

    first_at: float
    """Unix time."""
    bin_s: float
    bins: int

    @property
    def span_s(self) -> float:
        return self.bin_s * self.bins

    def place(self, at: float) -> float:
        """Where a unix time is, in bins from the first; what is outside counts as the nearest end."""
        return min(max((at - self.first_at) / self.bin_s, 0.0), float(self.bins))


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """The fleet and the queue over time: the mean of each bin of the axis."""

    cpus: tuple[float, ...]
    """Of the hosts that were connected."""
    busy: tuple[float, ...]
    """Those reserved by attempts that ran."""
    worked: tuple[float, ...]
    """Processor time that guests used, as cpus."""
    running: tuple[float, ...]
    waiting: tuple[float, ...]
    done: tuple[float, ...]

    @property
    def utilisation(self) -> float | None:
        """Reserved of connected, over the whole run; None where no host ever was."""
        return min(1.0, sum(self.busy) / sum(self.cpus)) if sum(self.cpus) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """Something in the row of a host in the timeline: an attempt, or what a job had of the host in one bin."""

    host: int
    """Index in Timeline.hosts; likewise `job` in Timeline.jobs."""
    job: int
    start_s: float
    """Since the start of the run."""
    stop_s: float
    low: float
    """Which part of the row's height, from 0 to 1."""
    high: float
    task: int | None = None
    """Where it is one attempt."""
    number: int = 0
    outcome: Outcome | None = None
    """None while it runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Absence:
    """A host that was not connected, in seconds since the start of the run."""

    host: int
    start_s: float
    stop_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """Few hosts, in pieces."""

    hosts: tuple[str, ...]
    jobs: tuple[str, ...]
    """The last one may stand for all others."""
    pieces: tuple[Piece, ...]
    absences: tuple[Absence, ...]
    attempts: bool
    """Whether each piece is an attempt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heatmap:
    """Many hosts: how busy each was in each bin, 0 to 1; None where it was not connected."""

    rows: tuple[str, ...]
    """Names of hosts, or of some that are neighbours in the inventory together."""
    bin_s: float
    levels: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Durations:
    """How long a job's tasks took that succeeded."""

    job: str
    count: int
    least_s: float
    median_s: float
    p95_s: float
    most_s: float
    mean_s: float
    total_s: float
    bars: tuple[tuple[float, float, int], ...]
    """From, up to (seconds), how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    task: str
    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Failures:
    """Attempts of a job that did not succeed in the same way."""

    job: str
    outcome: str
    reason: str
    """Its code; '' where it has none."""
    exit_code: int | None
    attempts: int
    final: int
    """Of these, how many were the task's result; the others ran again."""
    hosts: int
    """On how many."""
    examples: tuple[Example, ...]
    message: str
    """Of the first: the reason in words."""
    stderr: str
    """Of the first: the end of what it wrote."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Untold:
    """Tasks that ended without an attempt's own word."""

    outcome: str
    tasks: int
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostFacts:
    """A host, and what it did."""

    name: str
    state: str
    reason: str
    cpus: float | None
    memory_bytes: int | None
    what: str
    """Operating system, machine, Python."""
    attempts: int
    succeeded: int
    other: int
    """Attempts that did not succeed."""
    busy_cpu_s: float
    """Reserved by its attempts."""
    there_cpu_s: float
    """Its cpus, while it was connected."""
    lost: int
    """How often it was lost."""

    @property
    def utilisation(self) -> float | None:
        return min(1.0, self.busy_cpu_s / self.there_cpu_s) if self.there_cpu_s else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """An event in words."""

    at: float
    weight: int
    """0 is news, 1 is worth a look, 2 is trouble."""
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactFacts:
    job: str
    language: str
    toolchain: str
    digest: str
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All of it. What there is too much of is cut: the numbers named `more` say by how much."""

    status: Status
    made_at: float
    axis: Axis
    versions: Mapping[str, str]
    """`batchwasm`, `wasmtime`, ...: what the run was made with."""
    incarnations: int
    attempts: int
    again: int
    """Attempts whose task ran again."""
    flow: Flow
    picture: Timeline | Heatmap
    durations: tuple[Durations, ...]
    more_durations: int
    failures: tuple[Failures, ...]
    more_failures: int
    more_ways: int
    """Attempts that are in no group, not even in one that is not shown."""
    untold: tuple[Untold, ...]
    more_untold: int
    """Jobs of which tasks were skipped."""
    hosts: tuple[HostFacts, ...]
    """Those with trouble first where they are not all."""
    more_hosts: int
    said: tuple[Said, ...]
    more_said: int
    artifacts: tuple[ArtifactFacts, ...]
    more_artifacts: int
    inventory: str
    more_inventory_bytes: int
