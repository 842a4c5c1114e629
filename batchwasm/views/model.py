"""The rows that a dashboard shows. Frozen, made anew at each look; all times are unix seconds, all sizes bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from batchwasm.explained import Explained
from batchwasm.model import Scalar
from batchwasm.rows import HostRow, JobRow, ResultRow, Status

Tone = Literal["plain", "good", "warning", "bad"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast a run goes, and until when."""

    rate: float | None
    """Tasks a second over the last half minute in which any ran; None while nothing can be said."""
    rates: tuple[float, ...]
    """The same over equal spans of time up to now, oldest first: for a sparkline."""
    span_s: float
    """Of each of these."""
    left_s: float | None
    """Until all is done; None where nobody knows: nothing runs, it is paused, nothing ended yet."""
    left_low_s: float | None
    left_high_s: float | None
    """Eight of ten runs like it end between these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """An event in words."""

    at: float
    tone: Tone
    text: str
    """One sentence, foreign text in it as it came."""
    job: str | None = None
    task: int | None = None
    host: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class JobLine:
    """A job at a glance."""

    row: JobRow
    phase: str
    """compiling, waiting, running, done."""
    detail: str | None
    """Why it waits, or what it comes after; a sentence."""
    mean_s: float | None
    """Of the attempts of its tasks that ended by themselves."""
    retried: int
    """Tasks that were tried more than once and wait or run again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostLine:
    """A host at a glance. What it says of itself is None until it has said so."""

    row: HostRow
    transport: str
    cpus: float | None
    """Slots that it offers to runs."""
    cpus_busy: float | None
    """Slots taken by all runs."""
    cpu_share: float | None
    """Of the machine's processors that anybody uses, 0 to 1."""
    load: float | None
    """1-minute load average."""
    memory_bytes: int | None
    """That it offers."""
    memory_available_bytes: int | None
    disk_free_bytes: int | None
    gpus: tuple[str | None, ...]
    """Of each gpu that it offers: the job that has it, or None."""
    by_job: Mapping[str, int]
    """Tasks of this run that it has, by job."""
    suspended: int
    """Batches whose workers are stopped, because it is left to others."""
    heard_at: float | None
    """When it last said something."""
    is_past: bool = False
    """The run does not go on, and no scheduler is connected to it: all this is as it was then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """The fleet at one time."""

    at: float
    cpus: float
    """Of hosts that were connected."""
    cpus_busy: float
    """Of these, taken by tasks of this run."""
    waiting: int
    running: int
    done: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """All that the first screen shows."""

    at: float
    status: Status
    pace: Pace
    jobs: tuple[JobLine, ...]
    hosts: tuple[HostLine, ...]
    history: tuple[Moment, ...]
    """From its start to now, oldest first, at most a few hundred."""
    said: tuple[Said, ...]
    """The last events, oldest first."""
    limits: tuple[str, ...]
    """What keeps it from being faster (core/bottleneck.py), a sentence each."""


# ------------------------------------------------------------------------------------------------------ a job


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """Tasks `first` to `stop`, which is excluded, of a job; one, or as many as go into a cell of the grid."""

    first: int
    stop: int
    counts: Mapping[str, int]
    """By state: waiting, running, or the word of an outcome; zeros are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskLine:
    """A task of a job in a list. What is not known yet is None."""

    job: str
    index: int
    state: str
    """waiting, running, or the word of its outcome."""
    params: Mapping[str, Scalar]
    host: str | None
    attempts: int
    reason: str | None
    queued_s: float | None
    wall_s: float | None
    """Of one that runs: so far."""
    cpu_s: float | None
    peak_memory_bytes: int | None
    started_at: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureGroup:
    """Tasks that ended in one way that is not success."""

    job: str
    outcome: str
    code: str | None
    """Of the reason."""
    text: str | None
    """What the first of them said."""
    count: int
    examples: tuple[int, ...]
    """Indexes of a few of them."""
    by_host: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class JobView:
    """All that the screen of a job shows but for its tasks, which are asked for by pages."""

    line: JobLine
    params: tuple[str, ...]
    """Names that its sweep varies."""
    slowest: tuple[TaskLine, ...]
    failures: tuple[FailureGroup, ...]
    durations: tuple[tuple[float, float, int], ...]
    """Histogram of the durations of its attempts: from, to (seconds), how many."""
    advice: tuple[str, ...]


# ----------------------------------------------------------------------------------------------------- a task


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempted:
    """An attempt by its phases."""

    number: int
    host: str
    outcome: str
    """running, or the word of its outcome."""
    final: bool
    reason: str | None
    exit_code: int | None
    queued_s: float | None
    """From when its job could start to when its batch was sent to the host."""
    started_at: float | None
    wall_s: float | None
    cpu_s: float | None
    peak_memory_bytes: int | None
    disk_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskView:
    """All that the screen of a task shows but for its output."""

    line: TaskLine
    explained: Explained
    attempts: tuple[Attempted, ...]
    result: ResultRow | None
    """Once it has ended."""
    limits: Mapping[str, tuple[float | None, float | None]]
    """memory_bytes, time_s, disk_bytes, cpus: the limit (None where there is none) and what was used most."""
    replay: str
    """The command line that runs it again here."""


# ----------------------------------------------------------------------------------------------------- a host


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """What a host said of itself at one time, with all that others do there; None is not known."""

    at: float
    cpu_share: float | None
    """Of the machine's processors that anybody used, 0 to 1."""
    memory_share: float | None
    """Of its memory that is not available, 0 to 1."""
    load: float | None
    """1-minute load average."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostView:
    """All that the screen of a host shows."""

    line: HostLine
    history: tuple[Moment, ...]
    """Of this host alone."""
    occupancy: Mapping[str, tuple[float, ...]]
    """By job: cpus that its tasks took there on average, in equal spans of time from `since` on."""
    since: float
    span_s: float
    ran: tuple[TaskLine, ...]
    """The last tasks that ended there, newest first."""
    facts: Mapping[str, Any]
    """What it said it is when it joined: os, machine, python, hostname, cpus, memory_bytes, ..."""
    owner: tuple[str, ...]
    """What its owner allows, a sentence each."""
    errors: tuple[Said, ...]
    """What went wrong there: losses, refusals, being set aside, failures."""
    by_outcome: Mapping[str, int] = field(default_factory=dict)
    loads: tuple[Load, ...] = ()
    """From its start to now, oldest first, at most a few hundred."""
