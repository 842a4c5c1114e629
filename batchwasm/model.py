"""The nouns: what a run, a job, a host, an artifact, a limit and an outcome are. No I/O, no parsing.

run > job > task > attempt. A job is one table in jobs.toml; its sweep makes tasks of it; each try of a task is an
attempt. Sizes are bytes, durations seconds, and their names say so.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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


Value = Template | Scalar | tuple["Value", ...] | Mapping[str, "Value"]
"""An argument of a function as jobs.toml has it; a text that is exactly `{name}` stands for that value and its type."""


def render(value: Value, params: Mapping[str, Scalar]) -> object:
    """The argument with its templates filled in: lists and dicts of numbers, bools and texts."""
    match value:
        case Template():
            return value.render(params) if value.only_name is None else params[value.only_name]
        case tuple():
            return [render(item, params) for item in value]
        case Mapping():
            return {key: render(item, params) for key, item in value.items()}
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
    """What an attempt reserves on its host while it runs."""

    cpus: int = 1
    memory_bytes: int = 512 * MIB


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """Files given to a task: a glob relative to jobs.toml (paths kept), or a path and where it goes."""

    source: Template
    """Relative to the folder of jobs.toml, or absolute."""
    to: Template | None = None
    """Path in the task's folder; None keeps the path relative to jobs.toml."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One table of jobs.toml, defaults merged in, everything parsed."""

    name: JobName
    source: Source
    sweep: Sweep
    args: tuple[Template, ...] = ()
    """Of a program: argv[1..]."""
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
    request: Request = field(default_factory=Request)
    limits: Limits = field(default_factory=Limits)
    hosts: frozenset[HostName] | None = None
    """Hosts it may use; None is all."""
    exclude: frozenset[HostName] = frozenset()

    def __len__(self) -> int:
        return len(self.sweep)

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

    @property
    def tasks(self) -> int:
        return sum(len(job) for job in self.jobs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One machine of the inventory, as written: what is None is found out there."""

    name: HostName
    transport: str = "ssh"
    """ssh or local."""
    address: str = ""
    """'' is the name itself, resolved through ~/.ssh/config."""
    port: int | None = None
    user: str | None = None
    cpus: int | None = None
    memory_bytes: int | None = None
    workdir: str | None = None
    python: str | None = None
    mounts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """The machines of a run, in the order written."""

    hosts: Sequence[Host]
    path: Path | None = None
    """None for the embedded default (this machine alone) and for --hosts."""
    text: str = ""


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
