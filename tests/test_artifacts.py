"""Sources to artifacts: WAT and ready modules, what is refused, and builds side by side."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
import wasmtime

from batchwasm import artifacts
from batchwasm.errors import SourceError
from batchwasm.model import Build, Source
from batchwasm.store import Store
from batchwasm.toolchains import TOOLCHAINS, find
from tests.toolchains.guests import build, need, run, write

PROGRAM = '(module (memory (export "memory") 3) (func (export "_start")))'


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def wat(text: str) -> bytes:
    return bytes(wasmtime.wat2wasm(text))


def test_wat_becomes_wasm_once(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.wat": PROGRAM}) / "a.wat"
    first, second = build(store, "wat", source), build(store, "wat", source)
    assert (first.cached, second.cached) == (False, True)
    assert first.digest == second.digest
    assert first.path.read_bytes() == wat(PROGRAM)
    assert first.toolchain == f"wasmtime {version('wasmtime')}"


def test_an_error_in_wat_is_told_as_its_parser_tells_it(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.wat": "(module (func (nop"}) / "a.wat"
    with pytest.raises(
        SourceError, match=r"job: .*a\.wat is not valid WAT:\nexpected an instruction\n +--> a\.wat:1:19"
    ):
        build(store, "wat", source)


def test_a_ready_module_is_taken_as_it_is(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.wasm"
    path.write_bytes(wat(PROGRAM))
    made = build(store, "wasm", path)
    assert made.cached
    assert made.path.read_bytes() == path.read_bytes()
    assert made.size_bytes == len(path.read_bytes())


def test_a_ready_module_is_refused_as_often_as_it_is_tried(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.wasm"
    path.write_bytes(b"#!/bin/sh\n")
    for _ in range(2):
        with pytest.raises(SourceError, match="job: this is not a wasm module"):
            build(store, "wasm", path)


@pytest.mark.parametrize("key", ["flags", "include"])
def test_build_keys_are_refused_for_what_is_not_compiled(tmp_path: Path, store: Store, key: str) -> None:
    source = write(tmp_path, {"a.wat": PROGRAM}) / "a.wat"
    how = Build(flags=("-x",)) if key == "flags" else Build(include=(tmp_path,))
    with pytest.raises(SourceError, match=rf"job: build\.{key} means nothing to a \.wat file"):
        build(store, "wat", source, how=how)


def test_a_source_that_is_not_there_is_named(tmp_path: Path, store: Store) -> None:
    with pytest.raises(SourceError, match=r"job: .*none\.c does not exist"):
        build(store, "c", tmp_path / "none.c")


REFUSED = {
    "an import nobody offers": (
        '(module (import "env" "emscripten_resize_heap" (func (param i32) (result i32))) (memory (export "memory") 1)'
        ' (func (export "_start")))',
        r"imports function env\.emscripten_resize_heap, which no host offers: .*Emscripten",
    ),
    "wasm-bindgen": (
        '(module (import "wbg" "__wbg_log_1" (func (param i32))) (memory (export "memory") 1)'
        ' (func (export "_start")))',
        "wasm-bindgen",
    ),
    "a WASI function of another type": (
        '(module (import "wasi_snapshot_preview1" "fd_close" (func (param i64) (result i32)))'
        ' (memory (export "memory") 1) (func (export "_start")))',
        r"fd_close as \(i64\) -> \(i32\), but it is \(i32\) -> \(i32\)",
    ),
    "a memory from outside": (
        '(module (import "env" "memory" (memory 1)) (func (export "_start")))',
        r"imports memory env\.memory",
    ),
    "a reactor": (
        '(module (memory (export "memory") 1) (func (export "_initialize")) (func (export "mean")))',
        r"no `_start`, so it is a library \(a reactor\), not a program; it exports _initialize, mean",
    ),
    "an empty module": ("(module)", "no `_start`.*exports no function"),
    "threads": (
        '(module (memory (export "memory") 1 2 shared) (func (export "_start")))',
        "needs threads",
    ),
    "64-bit memory": ('(module (memory (export "memory") i64 1) (func (export "_start")))', "64-bit addresses"),
    "a start with a result": (
        '(module (memory (export "memory") 1) (func (export "_start") (result i32) i32.const 0))',
        r"`_start` is \(\) -> \(i32\)",
    ),
    "no exported memory": (
        '(module (import "wasi_snapshot_preview1" "fd_close" (func (param i32) (result i32)))'
        ' (func (export "_start")))',
        "does not export its memory",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_module_that_no_host_can_run_is_refused_in_words(case: str) -> None:
    text, expected = REFUSED[case]
    with pytest.raises(SourceError, match=f"job: .*{expected}"):
        artifacts.check("job", wat(text))


def test_all_that_is_wrong_with_a_module_is_told_at_once() -> None:
    text = '(module (import "env" "one" (func)) (import "env" "two" (func)))'
    with pytest.raises(SourceError) as caught:
        artifacts.check("job", wat(text))
    assert len(str(caught.value).splitlines()) == 4


def test_a_component_is_refused_with_what_would_do() -> None:
    with pytest.raises(SourceError, match=r"job: it is a component.*wasm32-wasip1"):
        artifacts.check("job", wat("(component)"))


def test_a_module_that_the_engine_finds_invalid_is_refused() -> None:
    valid = wat('(module (memory (export "memory") 1) (func (export "_start") (drop (i32.const 1))))')
    invalid = valid.replace(b"\x41\x01\x1a", b"\x42\x01\x6a")
    assert invalid != valid
    with pytest.raises(SourceError, match=r"job: the module is not valid: .*type mismatch"):
        artifacts.check("job", invalid)


def test_a_good_module_tells_its_memory(tmp_path: Path) -> None:
    assert artifacts.check("job", wat(PROGRAM)).memory_min_bytes == 3 * 65536
    (tmp_path / "a.wasm").write_bytes(wat(PROGRAM))
    assert [entry.name for entry in artifacts.inspect(tmp_path / "a.wasm").exports] == ["memory", "_start"]
    with pytest.raises(SourceError, match=r"none\.wasm"):
        artifacts.inspect(tmp_path / "none.wasm")


def test_the_same_source_asked_for_at_once_is_compiled_once(tmp_path: Path, store: Store) -> None:
    need("c")
    source = write(tmp_path, {"a.c": "int main(void) { return 7; }\n"}) / "a.c"
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: build(store, "c", source), range(4)))
    assert sorted(artifact.cached for artifact in made) == [False, True, True, True]
    assert run(made[0].path).code == 7


def test_a_module_that_was_removed_from_the_store_is_compiled_again(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.c": "int main(void) { return 0; }\n"}) / "a.c"
    first = build(store, "c", source)
    store.prune(keep_bytes=0)
    again = build(store, "c", source)
    assert (again.cached, again.digest) == (False, first.digest)


def test_damaged_notes_only_cost_a_compile(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.c": "int main(void) { return 0; }\n"}) / "a.c"
    build(store, "c", source)
    for note in (store.root / "notes").iterdir():
        note.write_bytes(b'[{"wasm": 1}]')
    assert not build(store, "c", source).cached


def test_a_missing_compiler_is_told_with_how_to_get_one(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path, {"a.rs": "fn main() {}\n"}) / "a.rs"
    monkeypatch.setattr(find, "RUST_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    find.rust.cache_clear()
    try:
        with pytest.raises(SourceError, match=r"job: no compiler for Rust to wasm .*; apt install rustc"):
            artifacts.build("job", Source(language="rust", paths=(source,)), store)
    finally:
        find.rust.cache_clear()


def test_the_first_use_of_a_tool_is_announced_and_only_that(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, tool_caches: Path
) -> None:
    need("c")
    tool = TOOLCHAINS["c"].find()
    assert tool is not None
    if not tool.first_use_s:
        pytest.skip("this compiler came with its libraries")
    mine = tmp_path / "zig"
    mine.mkdir()
    for entry in os.scandir(tool_caches / "zig"):  # all that zig built stays, our marks go
        if entry.is_dir():
            (mine / entry.name).symlink_to(entry.path)
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(mine))
    said: list[str] = []
    for number in range(2):
        source = write(tmp_path, {"a.c": f"int main(void) {{ return {number}; }}\n"}) / "a.c"
        artifacts.build("job", Source(language="c", paths=(source,)), store, talk=said.append)
    assert said == ["first C compile: building libc once, about 40 s"]


def test_what_a_build_would_do_is_told_without_doing_it(tmp_path: Path, store: Store) -> None:
    path = write(tmp_path, {"a.c": "int main(void) { return 0; }\n"}) / "a.c"
    need("c")
    source = Source(language="c", paths=(path,))
    before = artifacts.peek("job", source, store)
    assert before.artifact is None
    assert before.toolchain is not None
    assert not store.root.exists()
    made = build(store, "c", path)
    there = artifacts.peek("job", source, store)
    assert there.artifact is not None
    assert (there.toolchain, there.artifact.digest) == (made.toolchain, made.digest)
    path.write_text("int main(void) { return 1; }\n")
    assert artifacts.peek("job", source, store).artifact is None
    path.unlink()
    assert "does not exist" in artifacts.peek("job", source, store).problem


def test_without_a_compiler_a_plan_says_how_to_get_one(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, {"a.rs": "fn main() {}\n"}) / "a.rs"
    monkeypatch.setitem(TOOLCHAINS, "rust", replace(TOOLCHAINS["rust"], find=lambda: None))
    found = artifacts.peek("job", Source(language="rust", paths=(path,)), store)
    assert found.problem.startswith("no compiler for Rust to wasm is on this machine; ")
