"""Every fact that can happen to a run, past tense. These are also the journal's events, so fields are append-only.

Decisions are facts too (`BatchPlaced`): what was decided is recorded and replayed, deciding never is. All are frozen,
all fields are plain JSON values or tuples of them, so that eventcodec.py needs few words on each. The only exceptions
are the records of `TasksFinished` and the arguments of `TasksAdded`: rows of their own in the journal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from batchwasm.core.plans import AfterJob as AfterJob
from batchwasm.core.plans import HostPlan as HostPlan
from batchwasm.core.plans import JobPlan as JobPlan

Ranges = tuple[tuple[int, int], ...]
"""Task indexes as (start, stop) pairs, stop excluded: a sweep of a million tasks is one pair."""

INCARNATION_SHIFT = 40  # 2^40 batches in one life of a scheduler, 2^23 lives, and it still fits SQLite's 63 bits


def batch_id(incarnation: int, n: int) -> int:
    """An id that no other life of the scheduler gives out, even if the last appends of one were lost with the power."""
    return incarnation << INCARNATION_SHIFT | n


def incarnation_of(batch: int) -> int:
    """In whose life it was placed."""
    return batch >> INCARNATION_SHIFT


def count(ranges: Ranges) -> int:
    return sum(stop - start for start, stop in ranges)


def indexes(ranges: Ranges) -> Iterator[int]:
    for start, stop in ranges:
        yield from range(start, stop)


def ranges_of(tasks: Sequence[int]) -> Ranges:
    """Task indexes in the given order, runs of neighbours joined."""
    ranges: list[tuple[int, int]] = []
    for task in tasks:
        if ranges and ranges[-1][1] == task:
            ranges[-1] = (ranges[-1][0], task + 1)
        else:
            ranges.append((task, task + 1))
    return tuple(ranges)


class Record(NamedTuple):
    """One ended attempt, checked, as the journal keeps it."""

    task: int
    number: int
    outcome: int
    """model.Outcome."""
    final: bool
    """False where the task runs again."""
    exit_code: int | None
    started_at: float
    queued_s: float
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    stdout: bytes | None
    """None where it is a file of the run folder, at stdout_path."""
    stderr: bytes | None
    reason_code: str | None = None
    reason_text: str | None = None
    limit: float | None = None
    used: float | None = None
    stdout_path: str | None = None
    """Relative to the run folder."""
    stderr_path: str | None = None
    outputs: str | None = None
    """JSON list of {path, bytes, sha256}; None is an empty one."""
    value: bytes | None = None
    """What a function gave, as CBOR, checked; None where it gave none, and where it is a file at value_path."""
    value_path: str | None = None
    disk_bytes: int | None = None
    """What it had written into its folder when it ended; None where nobody knows."""
    digest: str | None = None
    """Of all that it gave, part by part (core/comparing.py), where other attempts are compared with it: `verify`."""
    cached: str | None = None
    """`RUN JOB/INDEX` of the earlier run that it was taken from; None where it ran in this one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPlanned:
    """The first event of a journal."""

    run: str
    """Unique id, [0-9a-f]+."""
    name: str
    jobs: tuple[JobPlan, ...]
    hosts: tuple[HostPlan, ...]
    max_failures: int | None = None
    fail_fast: bool = False
    """The first failure also stops what runs."""
    open: bool = False
    """Jobs and tasks are added until RunClosed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOpened:
    """A scheduler took the run in hand; each such life is an incarnation."""

    incarnation: int
    pid: int
    machine: str
    version: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ArtifactBuilt:
    """A job's wasm is there, so its tasks may start."""

    job: int
    digest: str
    bytes: int
    language: str
    toolchain: str
    cached: bool
    wall_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class FileShipped:
    """Something was uploaded to a host that it did not have: `python`, `runner`, `wasm` or `files`."""

    host: str
    kind: str
    digest: str
    bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class HostJoined:
    """A host's runner answered and can be given tasks."""

    host: str
    supervisor: str
    cpus: int
    memory_bytes: int
    facts: Mapping[str, Any]
    """What the host says it is, for people and the manifest."""
    gpus: int = 0
    batches: tuple[int, ...] | None = None
    """Those of ours that it still has, or has reports of, which follow; all others that it was sent are not there any
    more. None, in journals of earlier versions, where all are given up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostRefused:
    """A host could not be reached or prepared; `text` has cause and cure."""

    host: str
    code: str
    text: str
    waiting_may_help: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class HostAway:
    """The connection to a host that had joined is gone; what it was sent goes on there, as far as anyone knows."""

    host: str
    code: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostLeft:
    """A host that had joined is gone, and what ran there with it."""

    host: str
    code: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostAdded:
    """The inventory got one more host while the run went on."""

    plan: HostPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class HostRemoved:
    """The inventory has a host no longer: it is given nothing new, and is left when what runs there has ended."""

    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostDrained:
    """A person wants that a host is given nothing new; what runs there goes on."""

    host: str
    text: str = ""
    """Who, or why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HostUndrained:
    """A person gave a host free again, drained or set aside."""

    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostBusy:
    """A host says that others need it: it starts nothing new; `text` has the measured value and the bound."""

    host: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostFree:
    """A host that was busy is at our disposal again."""

    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostSilent:
    """A connected host has said nothing for a while, though others did: what it runs is doubted."""

    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostHeard:
    """A host that was silent speaks again."""

    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostSetAside:
    """Decided: a host where too much fails gets nothing until then (unix time), and then one batch to prove itself."""

    host: str
    until: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HostReserved:
    """Decided: a host is kept for a large task of that job, which waited too long; None: it is so no longer."""

    host: str
    job: int | None
    memory_bytes: int | None = None
    """Of a retry that needs more than its job asked for: for none of its other tasks, then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchPlaced:
    """Decided: these tasks run on that host, in this order, in one worker."""

    batch: int
    job: int
    host: str
    ranges: Ranges
    need: int = 0
    """Which of the job's needs it reserves."""
    memory_bytes: int | None = None
    """Where that is not the need's own: after `memory_growth`."""
    double: bool = False
    """It runs beside another attempt of the same tasks, which is doubted or late: the first result counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRecalled:
    """Decided: what a batch has not started shall come back, since there is a free slot for it."""

    batch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TasksFinished:
    """Attempts of one batch ended."""

    batch: int
    job: int
    host: str
    records: Sequence[Record]


@dataclass(frozen=True, kw_only=True, slots=True)
class TasksKnown:
    """Tasks that wait have their results from earlier runs: `cached` of each record says where from."""

    job: int
    records: Sequence[Record]


@dataclass(frozen=True, kw_only=True, slots=True)
class TasksReturned:
    """Tasks of one batch that were never started are ready again."""

    batch: int
    ranges: Ranges
    why: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TasksCancelled:
    """Decided, by a person or by `max_failures`: tasks that wait won't run; with `running`, those that run stop too."""

    code: str
    text: str
    running: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class JobAdded:
    """An open run has one more job."""

    plan: JobPlan


@dataclass(frozen=True, kw_only=True, slots=True)
class TasksAdded:
    """A job of an open run has `count` more tasks, which come behind those it has."""

    job: int
    first: int
    """Index of the first of them: how many the job had."""
    count: int
    argument_bytes: int
    """Of all of them together."""
    arguments: Sequence[bytes | None] = ()
    """CBOR, one a task; None of one that is too large to be kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TasksWithdrawn:
    """These tasks are wanted no longer: what waits won't run; what is on a host runs there no second time."""

    job: int
    tasks: tuple[int, ...]
    why: str = ""
    """Where it was not who asked for them: what else speaks against them."""
    ranges: Ranges = ()
    """More of them, where they are many."""
    by: str = ""
    """The person who cancelled them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TasksRetried:
    """A person wants that these tasks, which did not succeed, wait again, and what was skipped because of them."""

    job: int
    ranges: Ranges
    by: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunPaused:
    """A person wants that nothing new is started; what runs goes on."""

    text: str = ""
    """Who, or why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunUnpaused:
    """It goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchGivenUp:
    """Decided: all that is left of a batch, or what holds it up, is withdrawn, so it is stopped.

    What else was in it waits again.
    """

    batch: int
    job: int
    host: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunClosed:
    """Nothing more is added to an open run: it ends with its last task."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunStopped:
    """The scheduler let go of the run before its end; what had not finished is still waiting."""

    code: str
    text: str
    guests_stopped: bool = True
    """False where the hosts were not told, so that what runs there goes on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFinished:
    """Every task has its result."""


Event = (
    RunPlanned
    | RunOpened
    | ArtifactBuilt
    | FileShipped
    | HostJoined
    | HostRefused
    | HostAway
    | HostLeft
    | HostAdded
    | HostRemoved
    | HostDrained
    | HostUndrained
    | HostBusy
    | HostFree
    | HostSilent
    | HostHeard
    | HostSetAside
    | HostReserved
    | BatchPlaced
    | BatchRecalled
    | TasksFinished
    | TasksKnown
    | TasksReturned
    | TasksCancelled
    | JobAdded
    | TasksAdded
    | TasksWithdrawn
    | TasksRetried
    | RunPaused
    | RunUnpaused
    | BatchGivenUp
    | RunClosed
    | RunStopped
    | RunFinished
)
