"""The nouns of compiling: a tool that was found, what it is asked to do, and what it then has read. No I/O.

A language is one pure module: `recipe(request)` says which commands turn a source into wasm, `inputs(request)` which
files the result depends on. `find.py` looks for the tools, `compile.py` runs the commands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchwasm.model import Glue, Source

STACK_BYTES = 1024**2
"""Of C, C++ and Zig. Their linkers' own default of 16 MiB would make every hello need more than 16 MiB of memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tool:
    """A compiler of this machine that was started once and answered."""

    name: str
    """zig, wasi-sdk, clang, rustc, go or wasmtime."""
    version: str
    argv: tuple[str, ...]
    """What starts it; arguments follow."""
    path: Path
    """Its program, for people to see."""
    stamp: str
    """Differs between two compilers that may make different code of the same source; part of the build's key."""
    target: str = ""
    """Rust's name of the platform; '' for the others."""
    linker: str = ""
    """Path of the linker that a rustc must be given; '' where it has its own."""
    partner: Tool | None = None
    """The cargo that goes with a rustc."""
    first_use_s: float = 0.0
    """Roughly how long the very first compile takes longer, because the tool then builds its libraries."""

    @property
    def title(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A row of `batchwasm toolchains`: the tool that compiles a language here, or how to get one."""

    language: str
    tool: Tool | None
    get: str
    """What to install where `tool` is None."""
    note: str = ""
    """Why a tool that is here was passed over, or what is special about it."""

    @property
    def what(self) -> str:
        return self.tool.name if self.tool else ""

    @property
    def version(self) -> str:
        return self.tool.version if self.tool else ""

    @property
    def path(self) -> str:
        return str(self.tool.path) if self.tool else ""

    @property
    def first_use_s(self) -> float:
        return self.tool.first_use_s if self.tool else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One source to compile, with the tool that was chosen and the folders to work in."""

    source: Source
    tool: Tool
    scratch: Path
    """Absolute, new and empty; goes afterwards."""
    cache: Path
    """Absolute; what a tool may keep between two compiles."""
    glue: Glue | None = None
    """Of a function, which becomes a reactor; its files are in `glue_folder`. None for a program."""

    @property
    def folder(self) -> Path:
        """Where commands run: the innermost folder that holds all sources.

        Files are named relative to it, so that the same tree gives the same wasm wherever it lies.
        """
        return source_folder(self.source)

    @property
    def glue_folder(self) -> Path:
        return self.scratch / "glue"

    @property
    def wasm(self) -> Path:
        return self.scratch / "out.wasm"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One command; it runs in `Request.folder`."""

    argv: tuple[str, ...]
    env: Mapping[str, str | None] = field(default_factory=dict)
    """Added to this process's environment; None takes a variable away."""
    group: int = 0
    """Steps of one group run at the same time, groups one after the other."""
    stdout: Path | None = None
    """Where its stdout goes; else what it says there belongs to its messages."""
    writes: Mapping[Path, str] = field(default_factory=dict)
    """Files that are written before it runs: what it can only be told in one."""
    lock: Path | None = None
    """Of all steps with the same, in whatever process, one runs at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """What a result depends on beside flags and toolchain: one changed, new or vanished file makes a new build."""

    files: frozenset[Path] = frozenset()
    """By content; a file that is not there counts by its absence."""
    folders: frozenset[Path] = frozenset()
    """By the names of the files in it, at any depth: a new header may shadow another."""
    written: frozenset[Path] = frozenset()
    """Those of `files` that the tool itself writes beside the source: Cargo.lock."""


def default_module(request: Request) -> Path:
    return request.wasm


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """How one language becomes wasm."""

    name: str
    """As in `Source.language`."""
    title: str
    """As people write it: C++."""
    find: Callable[[], Tool | None]
    recipe: Callable[[Request], Sequence[Step]]
    """The commands, by group."""
    inputs: Callable[[Request], Inputs]
    """Asked after a successful compile, while the scratch folder is there."""
    refuse: Callable[[Source], list[str]]
    """Keys of `build` that mean nothing here, each a sentence that says what to do instead."""
    get: str
    """How to install a compiler for it."""
    module: Callable[[Request], Path] = default_module
    """Where the wasm is after the commands. Raises Unclear."""
    library: str = ""
    """What a tool with `first_use_s` builds first: libc, libc++."""


class Unclear(ValueError):
    """What a source means can't be said; the text says what the user can do. Becomes a SourceError."""


def refuse_keys(source: Source, key: str, cure: str) -> list[str]:
    """A sentence where `build.KEY` was given although it means nothing to the language."""
    return [f"build.{key} means nothing to {source.language}; {cure}"] if getattr(source.build, key) else []


def source_folder(source: Source) -> Path:
    """The innermost folder that holds every file of the source; a project's own folder."""
    if len(source.paths) == 1 and source.paths[0].is_dir():
        return source.paths[0]
    folders = [path.parent for path in source.paths]
    while not all(folder.is_relative_to(folders[0]) for folder in folders):
        folders[0] = folders[0].parent
    return folders[0]
