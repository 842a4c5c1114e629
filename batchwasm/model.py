"""The nouns: what a run, a job, a host, an artifact, a limit and an outcome are. No I/O, no parsing.

run > job > task > attempt. A job is one table in jobs.toml; its sweep makes tasks of it; each try of a task is an
attempt. Sizes are bytes, durations seconds, and their names say so.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

JobName = str
HostName = str
Digest = str
"""sha256 of a content, 64 lower-case hexadecimal digits."""
Scalar = str | int | float | bool
"""One value of a sweep, as TOML (or a CSV cell) gave it."""

KIB, MIB, GIB = 1024, 1024**2, 1024**3


class Outcome(enum.IntEnum):
    """How an attempt ended. The numbers are stored in journals: append only."""

    SUCCEEDED = 2
    FAILED = 3
    TRAPPED = 4
    TIMED_OUT = 5
    OUT_OF_MEMORY = 6
    LIMIT_EXCEEDED = 7
    INVALID = 8
    MISMATCH = 9
    CANCELLED = 10
    SKIPPED = 11
    LOST = 12

    @property
    def word(self) -> str:
        """As users see it: `out_of_memory`."""
        return self.name.lower()


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    """A text with `{name}` in it, already parsed: literal texts and names in turn, starting and ending with a text.

    `Template(parts=("--n=", "n", ""))` is `--n={n}`. Where `names` is empty the text is constant.
    """

    parts: tuple[str, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self.parts[1::2])

    @property
    def only_name(self) -> str | None:
        """The name, where the text is exactly `{name}`: such an argument keeps its type."""
        return self.parts[1] if len(self.parts) == 3 and not self.parts[0] and not self.parts[2] else None

    def render(self, params: Mapping[str, Scalar]) -> str:
        if len(self.parts) == 1:
            return self.parts[0]
        return "".join(text_of(params[p]) if i % 2 else p for i, p in enumerate(self.parts))


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueOf:
    """What the function of another job gave, as an argument: `"@mean"`. A list where that job has a sweep, unless the
    job that asks runs element by element after it."""

    job: JobName


Value = Template | Scalar | ValueOf | tuple["Value", ...] | Mapping[str, "Value"]
"""An argument of a function as jobs.toml has it; a text that is exactly `{name}` stands for that value and its type."""


NO_VALUES: Mapping[JobName, object] = MappingProxyType({})


def render(value: Value, params: Mapping[str, Scalar], values: Mapping[JobName, object] = NO_VALUES) -> object:
    """The argument with its templates filled in: lists and dicts of numbers, bools and texts.

    `values` are those of other jobs, which stand for themselves; all that the argument takes must be there.
    """
    match value:
        case Template():
            return value.render(params) if value.only_name is None else params[value.only_name]
        case tuple():
            return [render(item, params, values) for item in value]
        case Mapping():
            return {key: render(item, params, values) for key, item in value.items()}
        case ValueOf():
            return values[value.job]
        case _:
            return value


def names_in(value: Value) -> frozenset[str]:
    """Of all templates in an argument."""
    match value:
        case Template():
            return value.names
        case tuple():
            return frozenset().union(*map(names_in, value))
        case Mapping():
            return frozenset().union(*map(names_in, value.values()))
        case _:
            return frozenset()


def jobs_in(value: Value) -> frozenset[JobName]:
    """Of all whose values an argument takes."""
    match value:
        case ValueOf():
            return frozenset((value.job,))
        case tuple():
            return frozenset().union(*map(jobs_in, value))
        case Mapping():
            return frozenset().union(*map(jobs_in, value.values()))
        case _:
            return frozenset()


def text_of(value: Scalar) -> str:
    """A value as an argv string: numbers as Python's repr, bools as true and false."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


class Sweep(Protocol):
    """All parameter combinations of a job, made on demand: a million of them are not a million objects."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def __len__(self) -> int: ...

    def params(self, index: int) -> dict[str, Scalar]:
        """The values of task `index` (0 <= index < len), without `job` and `index`."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """How a source is compiled. `optimize` is one of 0 1 2 3 s."""

    flags: tuple[str, ...] = ()
    defines: tuple[tuple[str, str], ...] = ()
    """Name and value, sorted by name; a value of '' is `-DNAME`."""
    include: tuple[Path, ...] = ()
    optimize: str = "3"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a job's wasm is made of."""

    language: str
    """c cpp rust go zig wat wasm."""
    paths: tuple[Path, ...]
    """Absolute. One or several files (C, C++), or one folder with Cargo.toml or go.mod."""
    build: Build = field(default_factory=Build)
    function: str | None = None
    """The function that is called, as its language names it (`mean`, `geo::area`); None for a program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Glue:
    """Generated sources that make a module of one function when they are compiled together with the user's source."""

    files: Mapping[str, str]
    """Text by path relative to `Request.glue_folder`, where the toolchain finds them; which names mean what is a
    matter between a language's glue and its recipe."""
    path: Path
    """Absolute; the user's file that has the function."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """The caps of one attempt; time counts from the guest's start."""

    memory_bytes: int = 512 * MIB
    time_s: float | None = None
    stdout_bytes: int = 64 * MIB
    """For stdout and for stderr, each."""
    disk_bytes: int = GIB
    """All that the task writes into its folder, together."""
    files: int = 10_000
    """Files and folders that the task makes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What an attempt reserves on its host while it runs. Amounts are whole thousandths, so that sums are exact."""

    cpus: float = 1
    memory_bytes: int = 512 * MIB
    gpus: float = 0
    """Whole ones, or a share below 1 of one of them."""
    resources: Mapping[str, float] = field(default_factory=dict)
    """Custom ones, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class After:
    """A job that another one waits for."""

    job: JobName
    each: bool = False
    """Task i waits for task i of that job alone; both have the same number of tasks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retries:
    """Which failed attempts are tried again, how often, and with what memory."""

    count: int = 0
    """Attempts after the first. Lost attempts do not count: they are always run again, under the crash limit."""
    on: frozenset[str] = frozenset({"failed", "trapped", "timed_out", "out_of_memory"})
    """Words of outcomes, or `exit:75`."""
    memory_growth: float = 1.0
    """Factor of the memory, both cap and reservation, after each out_of_memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """Files given to a task: a glob relative to jobs.toml (paths kept), a path and where it goes, or what another job
    left."""

    source: Template
    """Relative to the folder of jobs.toml, or absolute; of another job, a glob among the outputs of its tasks."""
    to: Template | None = None
    """Path in the task's folder; None keeps the path relative to jobs.toml."""
    job: JobName | None = None
    """The other job: its files land at JOB/INDEX/PATH, of all its tasks, or of task i alone where this job runs element
    by element after it. With `to` they land there, as files of this machine do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One table of jobs.toml, defaults merged in, everything parsed."""

    name: JobName
    source: Source
    sweep: Sweep
    args: tuple[Template | ValueOf, ...] = ()
    """Of a program: argv[1..]; another job's value as JSON, a text as it is."""
    values: tuple[Value, ...] = ()
    """Of a function: its arguments."""
    reuse: bool = False
    """Keep a function's instance over the calls of a batch."""
    env: Mapping[str, Template] = field(default_factory=dict)
    stdin: Template | None = None
    """Path of a file, relative to the folder of jobs.toml, or absolute."""
    inputs: tuple[Input, ...] = ()
    mounts: tuple[str, ...] = ()
    outputs: tuple[Template, ...] = ()
    """Globs in the task's folder; one that ends in `?` may match nothing."""
    requests: tuple[Request, ...] = (Request(),)
    """At least one; alternatives, of which the first that fits is taken. Each has the memory of `limits`, but where it
    says otherwise."""
    limits: Limits = field(default_factory=Limits)
    hosts: frozenset[HostName] | None = None
    """Hosts it may use; None is all."""
    exclude: frozenset[HostName] = frozenset()
    labels: tuple[str, ...] = ()
    """What a host must have, `!x` what it must not have."""
    priority: int = 0
    """Higher goes first."""
    after: tuple[After, ...] = ()
    """Also those whose outputs or values it takes; a job at most once."""
    max_parallel: int | None = None
    """Tasks at once."""
    max_parallel_by_label: Mapping[str, int] = field(default_factory=dict)
    """Tasks at once on hosts that have the label, together."""
    retries: Retries = field(default_factory=Retries)
    isolate: bool = False
    """Each attempt in a process of its own."""
    cache: bool = False
    """A task whose success is known from an earlier run is not run again."""
    deterministic: bool = False
    """The guest's clocks are fixed and its random numbers follow from its seed: the same input gives the same."""
    verify: int = 1
    """On how many different hosts each task runs; what they give is compared."""
    secret: tuple[str, ...] = ()
    """Names of variables that the guest gets from this machine's environment, and nobody else sees."""

    def __len__(self) -> int:
        return len(self.sweep)

    @property
    def request(self) -> Request:
        """The one that is preferred."""
        return self.requests[0]

    def params(self, index: int) -> dict[str, Scalar]:
        """What `{name}` stands for in task `index`: the sweep's values, `job` and `index`."""
        return {**self.sweep.params(index), "job": self.name, "index": index}


@dataclass(frozen=True, kw_only=True, slots=True)
class RunSpec:
    """A jobs.toml that is right."""

    name: str
    folder: Path
    """Absolute; relative paths of the spec start here."""
    jobs: tuple[Job, ...]
    max_failures: int | None = None
    """Stop starting tasks after that many did not succeed."""
    text: str = ""
    """As the user wrote it."""
    fresh: bool = False
    """All tasks run, also of jobs with `cache`; what they give is known then."""

    @property
    def tasks(self) -> int:
        return sum(len(job) for job in self.jobs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hours:
    """A daily window on the host's own clock, in minutes after midnight; it may go over midnight."""

    start: int
    stop: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Courtesy:
    """When a machine is left to those it belongs to. What is None does not matter."""

    max_load: float | None = None
    """Share of all cpus that others use, 0 to 1 (above 1 where more than that waits)."""
    min_free_memory_bytes: int | None = None
    hours: tuple[Hours, ...] = ()
    """Windows in which it may be used; none is always."""
    min_idle_s: float | None = None
    """Nobody at the keyboard for that long."""
    when_busy: str = "wait"
    """What becomes of tasks that run there: `wait` lets them end, `suspend` stops them until it is free again, `leave`
    runs them elsewhere."""


TRANSPORTS = ("ssh", "local", "openssh", "paramiko")


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One machine of the inventory, as written: what is None is found out there."""

    name: HostName
    transport: str = "ssh"
    """One of TRANSPORTS."""
    address: str = ""
    """'' is the name itself, resolved through ~/.ssh/config."""
    port: int | None = None
    user: str | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    workdir: str | None = None
    python: str | None = None
    mounts: Mapping[str, str] = field(default_factory=dict)
    gpus: int | None = None
    labels: frozenset[str] = frozenset()
    resources: Mapping[str, float] = field(default_factory=dict)
    courtesy: Courtesy = field(default_factory=Courtesy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """The machines of a run, in the order written."""

    hosts: Sequence[Host]
    path: Path | None = None
    """None for the embedded default (this machine alone) and for --hosts."""
    text: str = ""
    picked: str | None = None
    """The hostlist of --hosts, where that says which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A compiled wasm file."""

    digest: Digest
    path: Path
    size_bytes: int
    language: str
    toolchain: str
    """Name and version of what compiled it, such as `zig 0.17.1`."""
    cached: bool
    """True where nothing had to be compiled."""
    wall_s: float
