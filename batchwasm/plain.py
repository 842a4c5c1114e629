"""A task as a program that needs wasmtime and nothing of ours: a shell script, or for a function a Python script.

Texts alone: nothing is run or written here. docs/abi.md tells how a function is called, `wasmtime run --help` the rest.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from batchwasm.engine.recipe import Recipe
from batchwasm.model import MIB, Artifact

STACK_BYTES = 4 * MIB
"""What guests have of it on our hosts."""
PYTHON_STACK_BYTES = 2 * MIB
"""The most that the public part of wasmtime-py gives."""
GO_LIMIT_FROM_BYTES = 16 * MIB
"""Of memory: with less a Go guest is not told to stay below it."""


def program(made: Recipe, artifact: Artifact, mounts: Mapping[str, str]) -> str:
    """The script; `mounts` are folders of the host by name."""
    write = _shell if made.arguments is None else _python
    return "\n".join(write(made, artifact, mounts)) + "\n"


def environment(made: Recipe) -> dict[str, str]:
    """Of the guest, but for secrets, in the order in which it gets it."""
    given = {"PWD": "/"}
    memory = made.job.limits.memory_bytes
    if made.job.source.language == "go" and memory >= GO_LIMIT_FROM_BYTES:
        given["GOMEMLIMIT"] = str(memory - max(4 * MIB, memory // 10))
    given |= made.env
    return given | {
        "BATCHWASM_RUN": made.run,
        "BATCHWASM_JOB": made.job.name,
        "BATCHWASM_SEED": str(made.seed),
        "BATCHWASM_ATTEMPT": str(made.number),
        "BATCHWASM_INDEX": str(made.index),
    }


def _about(made: Recipe) -> Iterator[str]:
    """What the script is, and what it leaves out."""
    yield f"{made.job.name}/{made.index} of {made.run}, attempt {made.number}, with plain wasmtime (https://wasmtime.dev)."
    if made.job.deterministic:
        yield "deterministic = true: its clock and random numbers were batchwasm's own; here they are this machine's."
    if made.job.secret:
        yield f"Set before: {', '.join(made.job.secret)}."


# -------------------------------------------------------------------------------------------------------- shell


def _shell(made: Recipe, artifact: Artifact, mounts: Mapping[str, str]) -> Iterator[str]:
    yield "#!/bin/sh"
    yield from (f"# {line}" for line in _about(made))
    yield "set -eu"
    yield "scratch=$(mktemp -d)"
    yield 'echo "its folder is $scratch" >&2'
    yield 'cd "$scratch"'
    folders = sorted({str(PurePosixPath(file.to).parent) for file in made.inputs} - {"."})
    if folders:
        yield _words("mkdir", "-p", "--", *(f"./{folder}" for folder in folders))
    for file in made.inputs:
        yield _words("cp", "--", str(file.path), f"./{file.to}")
        yield _words("chmod", "444", f"./{file.to}")
    yield "exec wasmtime run \\"
    for option in _options(made, mounts):
        yield f"  {option} \\"
    stdin = "/dev/null" if made.stdin is None else str(made.stdin.path)
    yield f"  {_words(str(artifact.path), *made.args)} < {shlex.quote(stdin)}"


def _options(made: Recipe, mounts: Mapping[str, str]) -> Iterator[str]:
    yield "--dir .::/"
    for name in made.job.mounts:
        path = mounts.get(name)
        yield _words("--dir", f"{path or f'PATH-OF-{name}'}::/mnt/{name}")
    yield _words("--argv0", made.job.name)
    for name, text in environment(made).items():
        yield _words("--env", f"{name}={text}")
    for name in made.job.secret:
        yield _words("--env", name)
    limits = made.job.limits
    yield f"-W max-memory-size={limits.memory_bytes},exceptions=y,threads=n"
    yield f"-W max-wasm-stack={STACK_BYTES},async-stack-size={2 * STACK_BYTES}"
    if limits.time_s is not None:
        yield f"-W timeout={max(1, round(limits.time_s * 1000))}ms"
    if made.job.deterministic:
        yield "-W nan-canonicalization=y"


def _words(*words: str) -> str:
    return " ".join(map(shlex.quote, words))


# ------------------------------------------------------------------------------------------------------- Python


def _python(made: Recipe, artifact: Artifact, mounts: Mapping[str, str]) -> Iterator[str]:
    limits, is_limited = made.job.limits, made.job.limits.time_s is not None
    yield "#!/usr/bin/env python3"
    yield from (f"# {line}" for line in _about(made))
    yield "# Needs: pip install wasmtime. Prints what the function prints, then its answer as CBOR, in hexadecimal."
    yield "import os, pathlib, shutil, sys, tempfile, threading"
    yield ""
    yield "import wasmtime"
    yield ""
    yield f"arguments = bytes.fromhex({(made.arguments or b'').hex()!r})  # CBOR"
    yield f"environment = {environment(made)!r}"
    for name in made.job.secret:
        yield f"environment[{name!r}] = os.environ[{name!r}]"
    yield "scratch = pathlib.Path(tempfile.mkdtemp())"
    for file in made.inputs:
        yield f"(scratch / {file.to!r}).parent.mkdir(parents=True, exist_ok=True)"
        yield f"shutil.copyfile({str(file.path)!r}, scratch / {file.to!r})"
    yield ""
    yield "config = wasmtime.Config()"
    yield "config.wasm_exceptions = True"
    yield f"config.max_wasm_stack = {PYTHON_STACK_BYTES}"
    if is_limited:
        yield "config.epoch_interruption = True"
    yield "engine = wasmtime.Engine(config)"
    yield "store = wasmtime.Store(engine)"
    yield f"store.set_limits(memory_size={limits.memory_bytes})"
    yield "wasi = wasmtime.WasiConfig()"
    yield f"wasi.argv = [{made.job.name!r}]"
    yield "wasi.env = list(environment.items())"
    yield "wasi.preopen_dir(str(scratch), '/')"
    for name in made.job.mounts:
        yield f"wasi.preopen_dir({mounts.get(name) or f'PATH-OF-{name}'!r}, {f'/mnt/{name}'!r})"
    if made.stdin is not None:
        yield f"wasi.stdin_file = {str(made.stdin.path)!r}"
    yield "wasi.inherit_stdout()"
    yield "wasi.inherit_stderr()"
    yield "store.set_wasi(wasi)"
    yield "linker = wasmtime.Linker(engine)"
    yield "linker.define_wasi()"
    yield f"module = wasmtime.Module.from_file(engine, {str(artifact.path)!r})"
    if is_limited:
        yield "store.set_epoch_deadline(1)"
        yield f"clock = threading.Timer({limits.time_s!r}, engine.increment_epoch)"
        yield "clock.daemon = True"
        yield "clock.start()"
    yield from _CALL.splitlines()


_CALL = """\
exports = linker.instantiate(store, module).exports(store)
initialize = exports.get("_initialize") or exports.get("bw_init")
if initialize is not None:
    initialize(store)
at = exports["bw_alloc"](store, len(arguments)) & 0xFFFFFFFF
memory = exports["memory"]
memory.write(store, arguments, at)
result = exports["bw_call"](store, at, len(arguments)) & 0xFFFFFFFFFFFFFFFF
start, size = result >> 32, result & 0xFFFFFFFF
sys.stdout.flush()
print(bytes(memory.read(store, start, start + size)).hex())"""
