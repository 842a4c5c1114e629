"""Source -> Artifact: ask the store, else compile (key = sources, flags, toolchain), then check that it can run at all.

The only importer of wasmtime on this side, and only where it is needed: for WAT and to validate.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from batchwasm import functions
from batchwasm.errors import SourceError
from batchwasm.functions import NoFunction, Signature
from batchwasm.model import GIB, Artifact, Digest, Glue, JobName, Source
from batchwasm.store import Store, cache_folder
from batchwasm.toolchains import TOOLCHAINS, Tool, commands, compile_source, find, fingerprint, prune, wasi, wasm, wat
from batchwasm.toolchains.base import source_folder
from batchwasm.toolchains.fingerprint import Fingerprint
from batchwasm.toolchains.wasm import ModuleFacts

__all__ = ["ModuleFacts", "Store", "build", "check", "inspect", "peek"]

VERSION = 1
"""Of notes and keys: another number builds everything again."""
KEEP_BYTES = 4 * GIB
"""Of compiled modules: thousands of programs."""
NOTES_A_KEY = 8
"""Builds remembered that differ in headers alone: going back to an earlier one compiles nothing."""


def _silent(text: str) -> None:
    """For callers that want no progress."""


def build(
    name: JobName,
    source: Source,
    store: Store,
    *,
    talk: Callable[[str], None] = _silent,
    stop: threading.Event | None = None,
) -> Artifact:
    """The module of a job, compiled if the store does not have it; blocks, any thread may call.

    `talk` gets a sentence where something takes unusually long; once `stop` is set, the compiler is killed. Raises
    SourceError, WorldError.
    """
    start = time.monotonic()
    _check_files(name, source)
    if source.language in TOOLCHAINS:
        digest, made_by, cached = _compiled(name, source, store, talk, stop or threading.Event())
    else:
        digest, made_by, cached = _assembled(name, source, store)
    path = store.get(digest)
    if path is None:
        raise SourceError(f"{name}: the compiled module vanished from {store.root}; run it again")
    return Artifact(
        digest=digest,
        path=path,
        size_bytes=path.stat().st_size,
        language=source.language,
        toolchain=made_by,
        cached=cached,
        wall_s=time.monotonic() - start,
    )


class Peek(NamedTuple):
    """What `build` would do now."""

    toolchain: str | None
    """What would make the module, or made it; None where nothing here can."""
    artifact: Artifact | None
    """Where it is there already."""
    problem: str = ""
    """Why it can't be made."""


def peek(name: JobName, source: Source, store: Store) -> Peek:
    """What `build` would do, without doing it: nothing is compiled, written or waited for."""
    try:
        _check_files(name, source)
        if source.language not in TOOLCHAINS:
            text = _read(name, source.paths[0])
            key, made_by = _assembled_key(source, text)
            note = store.note(key)
            return _peeked(source, store, made_by, [note.decode()] if note else [])
        language = TOOLCHAINS[source.language]
        tool = language.find()
        if tool is None:
            return Peek(None, None, f"no compiler for {language.title} to wasm is on this machine; {language.get}")
        key = _compile_key(name, source, tool)
        folder = source_folder(source)
        fresh = (digest for digest, record in _notes(store, key) if fingerprint.still_true(record, folder))
        return _peeked(source, store, tool.title, fresh)
    except SourceError as error:
        return Peek(None, None, str(error).removeprefix(f"{name}: "))


def _peeked(source: Source, store: Store, made_by: str, digests: Iterable[Digest]) -> Peek:
    """The first of these that is there."""
    for digest in digests:
        path = store.get(digest)
        if path is not None:
            size = path.stat().st_size
            found = Artifact(
                digest=digest,
                path=path,
                size_bytes=size,
                language=source.language,
                toolchain=made_by,
                cached=True,
                wall_s=0.0,
            )
            return Peek(made_by, found)
    return Peek(made_by, None)


def sources(name: JobName, source: Source, digest: Digest, store: Store) -> list[Path] | None:
    """The files that the module of that digest was made of, where they are still what they were; else None, also where
    the store does not know any more."""
    try:
        _check_files(name, source)
        if source.language not in TOOLCHAINS:
            note = store.note(_assembled_key(source, _read(name, source.paths[0]))[0])
            return list(source.paths) if note == digest.encode() else None
        tool = TOOLCHAINS[source.language].find()
        notes = [] if tool is None else _notes(store, _compile_key(name, source, tool))
    except SourceError:
        return None
    folder = source_folder(source)
    for made, record in notes:
        if made == digest and fingerprint.still_true(record, folder):
            found = {Path(os.path.normpath(folder / name)) for name, was in record.files.items() if was}
            return sorted(found | {path for path in source.paths if path.is_file()})
    return None


def _compile_key(name: JobName, source: Source, tool: Tool) -> Digest:
    language = TOOLCHAINS[source.language]
    glue = _glue(name, source, signature_of(name, source)) if source.function is not None else None
    return _source_key(source, tool, commands(name, source, language, tool, cache=cache_folder(), glue=glue), glue)


def inspect(path: Path) -> ModuleFacts:
    """Imports, exports and memory of a module. Raises SourceError where it is none."""
    try:
        return wasm.parse(path.read_bytes())
    except (OSError, wasm.NotWasm) as error:
        raise SourceError(f"{path}: {error}") from error


def signature_of(name: JobName, source: Source) -> Signature:
    """What the source's function takes and gives. Raises SourceError with all that is wrong with it."""
    with _told(name):
        return functions.read(source)


@contextmanager
def _told(name: JobName) -> Iterator[None]:
    """What is wrong with a function as SourceError, under the job's name."""
    try:
        yield
    except NoFunction as error:
        raise SourceError("\n".join(f"{name}: {problem}" for problem in error.problems)) from error
    except OSError as error:
        raise SourceError(f"{name}: can't read {error.filename}: {error.strerror}") from error


def _glue(name: JobName, source: Source, signature: Signature) -> Glue:
    with _told(name):
        return functions.make_glue(source, signature)


def check(name: JobName, module: bytes, *, function: bool = False) -> ModuleFacts:
    """What the module says about itself, if a host can run it (as a program, or call its function).

    Else raises SourceError with all that is wrong.
    """
    try:
        facts = wasm.parse(module)
    except wasm.Component:
        raise SourceError(
            f"{name}: it is a component, not a core module; compile for wasm32-wasip1 (not wasip2), "
            "or take the core module out with `wasm-tools component unbundle`"
        ) from None
    except wasm.NotWasm as error:
        raise SourceError(f"{name}: this is not a wasm module: {error}") from error
    bad_exports = _bad_function(facts) if function else _bad_exports(facts)
    problems = [*_bad_imports(facts), *_bad_memories(facts), *bad_exports]
    problems = problems or _invalid(module)
    if problems:
        raise SourceError("\n".join(f"{name}: {problem}" for problem in problems))
    return facts


def _bad_imports(facts: ModuleFacts) -> Iterator[str]:
    for entry in facts.imports:
        what = f"it imports {entry.kind} {entry.module}.{entry.name}, which no host offers"
        offered = wasi.FUNCTIONS.get(entry.name) if entry.module == wasi.MODULE and entry.kind == "function" else None
        if offered is None:
            yield f"{what}: {wasi.meaning(entry.module, entry.name)}"
        elif entry.type is not None and entry.type != offered:
            yield f"it imports {entry.module}.{entry.name} as {entry.type}, but it is {offered}; the module is damaged"


def _bad_memories(facts: ModuleFacts) -> Iterator[str]:
    if any(memory.shared for memory in facts.memories):
        yield "it needs threads (its memory is shared); a task has one thread: compile it without threads"
    if any(memory.wide for memory in facts.memories):
        yield "its memory has 64-bit addresses (memory64), which no toolchain's WASI supports; compile for wasm32"


def _bad_exports(facts: ModuleFacts) -> Iterator[str]:
    functions = {entry.name: entry.type for entry in facts.exports if entry.kind == "function"}
    if "_start" not in functions:
        others = ", ".join(sorted(functions)[:5])
        kind = "a library (a reactor)" if "_initialize" in functions else "a library"
        exported = f"it exports {others}" if others else "it exports no function"
        yield f"it has no `_start`, so it is {kind}, not a program; {exported}. Give it a main function"
    elif functions["_start"] is not None and str(functions["_start"]) != "() -> ()":
        yield f"its `_start` is {functions['_start']}, but a program's takes and returns nothing"
    if facts.imports and not any(entry.kind == "memory" and entry.name == "memory" for entry in facts.exports):
        yield "it does not export its memory as `memory`, and WASI's functions need it"


def _bad_function(facts: ModuleFacts) -> Iterator[str]:
    """docs/abi.md: what a host calls."""
    exported = {entry.name: str(entry.type) for entry in facts.exports if entry.kind == "function"}
    for name, type_ in (("bw_alloc", "(i32) -> (i32)"), ("bw_call", "(i32, i32) -> (i64)")):
        if name not in exported:
            yield f"it exports no {name}, so it is not the module of a function; batchwasm makes one of a source"
        elif exported[name] != type_:
            yield f"its {name} is {exported[name]}, but it must be {type_}"
    if not any(entry.kind == "memory" and entry.name == "memory" for entry in facts.exports):
        yield "it does not export its memory as `memory`"


def _invalid(module: bytes) -> list[str]:
    """The engine's own validation, with the features that hosts have."""
    import wasmtime

    config = wasmtime.Config()
    config.wasm_exceptions = True
    try:
        wasmtime.Module.validate(wasmtime.Engine(config), module)
    except wasmtime.WasmtimeError as error:
        return [f"the module is not valid: {error}"]
    return []


def _check_files(name: JobName, source: Source) -> None:
    for path in source.paths:
        if not path.exists():
            raise SourceError(f"{name}: {path} does not exist")
    refuse = TOOLCHAINS[source.language].refuse if source.language in TOOLCHAINS else wat.refuse
    problems = refuse(source)
    if problems:
        raise SourceError("\n".join(f"{name}: {problem}" for problem in problems))


def examine(name: JobName, source: Source, store: Store) -> None:
    """Raises SourceError where WAT text or a ready module can't be run.

    Text leaves nothing in the store, or `build` would say a moment later that it was there before.
    """
    _check_files(name, source)
    text = _read(name, source.paths[0])
    if source.language == "wasm" or store.note(_assembled_key(source, text)[0]) is not None:
        build(name, source, store)
    else:
        check(name, _from_wat(name, source.paths[0], text), function=source.function is not None)


def _assembled(name: JobName, source: Source, store: Store) -> tuple[Digest, str, bool]:
    """Digest, maker, and whether nothing was to be done: WAT text or a ready module."""
    text = _read(name, source.paths[0])
    key, made_by = _assembled_key(source, text)
    with store.lock(key):
        note = store.note(key)
        if note is not None and store.get(note.decode()) is not None:
            return note.decode(), made_by, True
        module = _from_wat(name, source.paths[0], text) if source.language == "wat" else text
        check(name, module, function=source.function is not None)
        digest = store.put(module)
        store.keep_note(key, digest.encode())
    return digest, made_by, source.language == "wasm"


def _assembled_key(source: Source, text: bytes) -> tuple[Digest, str]:
    """Of WAT text or a ready module; and its maker."""
    tool = find.wasmtime() if source.language == "wat" else None
    made_by = tool.title if tool else "ready-made"
    kind = "assemble" if source.function is None else f"function {source.function}"
    return _key([kind, source.language, made_by, hashlib.sha256(text).hexdigest()]), made_by


def _from_wat(name: JobName, path: Path, text: bytes) -> bytes:
    import wasmtime

    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as error:
        raise SourceError(f"{name}: {path} is not valid WAT:\n{str(error).replace('<anon>', path.name)}") from error


def _read(name: JobName, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{name}: can't read {path}: {error.strerror}") from error


def _compiled(
    name: JobName, source: Source, store: Store, talk: Callable[[str], None], stop: threading.Event
) -> tuple[Digest, str, bool]:
    """Digest, maker, and whether the store had it."""
    language = TOOLCHAINS[source.language]
    tool = language.find()
    if tool is None:
        raise SourceError(f"{name}: no compiler for {language.title} to wasm is on this machine; {language.get}")
    folder = source_folder(source)
    signature = signature_of(name, source) if source.function is not None else None
    glue = _glue(name, source, signature) if signature else None
    key = _source_key(source, tool, commands(name, source, language, tool, cache=cache_folder(), glue=glue), glue)
    with store.lock(key):
        known = _notes(store, key)
        for digest, record in known:
            if fingerprint.still_true(record, folder) and store.get(digest) is not None:
                return digest, tool.title, True
        start_ns = time.time_ns()
        compiled = compile_source(name, source, language, tool, cache=cache_folder(), talk=talk, stop=stop, glue=glue)
        module = functions.into_module(compiled.wasm, signature) if signature else compiled.wasm
        check(name, module, function=signature is not None)
        digest = store.put(module)
        if not fingerprint.changed_between(compiled.inputs, start_ns, time.time_ns()):
            taken = fingerprint.take(compiled.inputs, folder)
            _keep_notes(store, key, [(digest, taken), *known])
    _prune(store)
    return digest, tool.title, False


def _prune(store: Store) -> None:
    """After every compile, so that no cache of ours grows without end; the modules used last stay."""
    store.prune(keep_bytes=KEEP_BYTES)
    prune(cache_folder(), now=time.time())


def _source_key(source: Source, tool: Tool, steps: list[str], glue: Glue | None) -> Digest:
    """Of all that is known before compiling: commands, toolchain, names and contents of the sources."""
    folder = source_folder(source)
    projects = [source.paths[0] / name for name in ("Cargo.toml", "go.mod")] if source.paths[0].is_dir() else []
    return _key(
        [
            *(source.language, tool.name, tool.stamp, tool.target),
            [[os.path.relpath(path, folder), fingerprint.file_digest(path)] for path in (*source.paths, *projects)],
            steps,
            *([source.function, sorted(glue.files.items())] if glue else []),
        ]
    )


def _key(parts: list[object]) -> Digest:
    return hashlib.sha256(json.dumps([VERSION, *parts]).encode()).hexdigest()


def _notes(store: Store, key: Digest) -> list[tuple[Digest, Fingerprint]]:
    """Earlier builds with this key, newest first; a note that can't be read is no note."""
    try:
        rows = json.loads(store.note(key) or b"[]")
        return [(row["wasm"], Fingerprint(files=row["files"], folders=row["folders"])) for row in rows]
    except (ValueError, KeyError, TypeError):
        return []


def _keep_notes(store: Store, key: Digest, notes: list[tuple[Digest, Fingerprint]]) -> None:
    rows = [{"wasm": digest, "files": dict(f.files), "folders": dict(f.folders)} for digest, f in notes[:NOTES_A_KEY]]
    store.keep_note(key, json.dumps(rows).encode())
