"""Compile sources with the real compilers and run what comes out."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import wasmtime

from batchwasm import artifacts
from batchwasm.model import Artifact, Build, Source
from batchwasm.store import Store
from batchwasm.toolchains import TOOLCHAINS


@dataclass(frozen=True)
class Ended:
    code: int | None
    """None after a trap."""
    stdout: str
    stderr: str


def need(language: str) -> None:
    """Skip where the compiler is missing; in CI that is a failure."""
    if TOOLCHAINS[language].find() is None:
        missing = f"no compiler for {language}: {TOOLCHAINS[language].get}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def build(store: Store, language: str, *paths: Path, how: Build | None = None) -> Artifact:
    if language in TOOLCHAINS:
        need(language)
    return artifacts.build("job", Source(language=language, paths=paths, build=how or Build()), store)


def run(wasm: Path, *args: str) -> Ended:
    """As a host does, but in this process and by wasmtime's public API."""
    config = wasmtime.Config()
    config.wasm_exceptions = True
    engine = wasmtime.Engine(config)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        wasi = wasmtime.WasiConfig()
        wasi.argv = ["job", *args]
        wasi.stdout_file, wasi.stderr_file = str(out), str(err)
        store.set_wasi(wasi)
        instance = linker.instantiate(store, wasmtime.Module.from_file(engine, str(wasm)))
        start = instance.exports(store)["_start"]
        assert isinstance(start, wasmtime.Func)
        code: int | None = 0
        try:
            start(store)
        except wasmtime.ExitTrap as ended:
            code = ended.code
        except wasmtime.Trap:
            code = None
        return Ended(code=code, stdout=out.read_text(), stderr=err.read_text())
