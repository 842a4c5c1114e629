"""toolchains, schema, init, compile: what a new user calls first."""

from __future__ import annotations

import json
import os
import shlex
import tomllib
import uuid
from pathlib import Path

import jsonschema
import pytest

from batchwasm.cli import init
from batchwasm.errors import WorldError
from tests.cli.terminal import on_a_terminal
from tests.command import Cli

HELLO = """
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\\08\\00\\00\\00\\06\\00\\00\\00hello\\n")
  (func (export "_start") (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 20)))))
"""


# -------------------------------------------------------------------------------------------------- toolchains


def test_toolchains_are_listed_for_programs_with_what_to_install(batchwasm: Cli) -> None:
    rows = batchwasm("toolchains", "--json").rows
    assert {row["schema"] for row in rows} == {"toolchain/1"}
    for row in rows:
        assert row["found"] == (row["path"] is not None) == (row["get"] is None)
    # Nothing on PATH: the languages are still listed, each with the way to get it.
    bare = batchwasm("toolchains", "--json", env={"PATH": "/nowhere", "HOME": "/nowhere"}).rows
    assert [row["language"] for row in bare] == [row["language"] for row in rows]


def test_toolchains_are_a_table_on_a_terminal(tmp_path: Path) -> None:
    code, shown = on_a_terminal("-m", "batchwasm", "toolchains", cwd=tmp_path, columns=80)
    assert code == 0
    assert "\x1b[1mlanguage" in shown
    assert "C " in shown


# ------------------------------------------------------------------------------------------------------ schema


@pytest.mark.parametrize("which", ["jobs", "inventory"])
def test_schema_is_a_json_schema(batchwasm: Cli, which: str) -> None:
    schema = batchwasm("schema", which).json
    jsonschema.validators.validator_for(schema).check_schema(schema)


def test_schema_accepts_the_first_jobs_file_and_refuses_a_wrong_one(batchwasm: Cli) -> None:
    schema = batchwasm("schema").json
    batchwasm("init", "--language", "wat")
    jobs = tomllib.loads((batchwasm.folder / "jobs.toml").read_text())
    jsonschema.validate(jobs, schema)
    jobs["jobs"]["pi"]["memory"] = []
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(jobs, schema)


# -------------------------------------------------------------------------------------------------------- init


def test_init_writes_a_first_run_that_works(batchwasm: Cli) -> None:
    ended = batchwasm("init", "new folder", "--language", "wat")
    assert ended.out == ""
    assert "batchwasm run 'new folder/jobs.toml'" in ended.err
    run = batchwasm("run", "new folder/jobs.toml", "--json").json
    assert run["tasks"] == {"total": 4, "succeeded": 4, "failed": 0, "cancelled": 0, "skipped": 0}
    rows = batchwasm("results", "--json", cwd=batchwasm.folder / "new folder").rows
    assert [row["stdout"] for row in rows] == [f"terms: {n}\n" for n in (10, 1000, 100000, 10000000)]


@pytest.mark.parametrize("language", init.SOURCES)
def test_init_in_every_language_is_a_run_that_is_valid(batchwasm: Cli, language: str) -> None:
    batchwasm("init", "--language", language)
    assert sorted(path.name for path in batchwasm.folder.iterdir()) == ["jobs.toml", init.SOURCES[language]]
    batchwasm("run", "jobs.toml", "--dry-run")


def test_the_sources_of_init_compute_pi_in_every_language(batchwasm: Cli) -> None:
    titles = {row["language"]: row["found"] for row in batchwasm("toolchains", "--json").rows}
    languages = {"rust": "Rust", "c": "C", "cpp": "C++", "go": "Go"}
    missing = [title for title in languages.values() if not titles[title]]
    if missing:
        pytest.skip(f"no compiler for {', '.join(missing)}")
    jobs = []
    for language in languages:
        batchwasm("init", language, "--language", language)
        jobs.append(f'[jobs.{language}]\nsource = "{language}/{init.SOURCES[language]}"\nargs = ["100000"]\n')
    (batchwasm.folder / "jobs.toml").write_text("\n".join(jobs))
    batchwasm("run", "jobs.toml")
    found = {row["job"]: row["stdout"] for row in batchwasm("results", "--json").rows}
    assert found == dict.fromkeys(languages, "100000 terms: 3.141582653590\n")


def test_init_takes_a_language_whose_compiler_is_here(batchwasm: Cli) -> None:
    found = {row["language"] for row in batchwasm("toolchains", "--json").rows if row["found"]}
    batchwasm("init")
    source = tomllib.loads((batchwasm.folder / "jobs.toml").read_text())["jobs"]["pi"]["source"]
    assert {"pi.rs": "Rust", "pi.c": "C", "pi.cpp": "C++", "pi.go": "Go"}[source] in found


def test_init_without_any_compiler_writes_wat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchwasm.toolchains.TOOLCHAINS", {})
    assert init._quickest() == "wat"


@pytest.mark.parametrize("language", init.FUNCTIONS)
def test_init_of_a_function_names_the_call_that_gives_its_value(batchwasm: Cli, language: str) -> None:
    file = init.FUNCTIONS[language]
    said = batchwasm("init", "--function", "--language", language).err.splitlines()
    assert said == [f"wrote {file}", f"now: batchwasm call {file}:mean '[1, 2.5, 4]'"]
    assert [path.name for path in batchwasm.folder.iterdir()] == [file]
    title = {"rust": "Rust", "c": "C", "cpp": "C++", "go": "Go"}[language]
    if not next(row["found"] for row in batchwasm("toolchains", "--json").rows if row["language"] == title):
        pytest.skip(f"no compiler for {title}")
    assert batchwasm(*shlex.split(said[1])[2:]).out == "2.5\n"


def test_init_of_a_function_without_any_compiler_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchwasm.toolchains.TOOLCHAINS", {})
    with pytest.raises(WorldError, match="'batchwasm toolchains' says how to get one"):
        init._function_in(init._quickest())


def test_init_overwrites_nothing(batchwasm: Cli) -> None:
    (batchwasm.folder / "jobs.toml").write_text("mine")
    (batchwasm.folder / "pi.c").symlink_to("nowhere")
    ended = batchwasm("init", "--language", "c", code=2)
    assert len(ended.err.splitlines()) == 2
    assert "jobs.toml: is there already" in ended.err
    assert "pi.c: is there already" in ended.err
    assert (batchwasm.folder / "jobs.toml").read_text() == "mine"


def test_init_where_one_cannot_write_says_so(batchwasm: Cli) -> None:
    (batchwasm.folder / "file").touch()
    assert "can't be written" in batchwasm("init", "file/sub", "--language", "wat", code=3).err


# ----------------------------------------------------------------------------------------------------- compile


@pytest.fixture
def hello(batchwasm: Cli) -> Path:
    path = batchwasm.folder / "hello.wat"
    path.write_text(HELLO)
    return path


def test_compile_writes_the_module_here_and_prints_its_path(batchwasm: Cli, hello: Path) -> None:
    ended = batchwasm("compile", hello)
    assert ended.out == "hello.wasm\n"
    assert "compiled hello:" in ended.err
    assert (batchwasm.folder / "hello.wasm").read_bytes()[:4] == b"\0asm"


def test_compile_writes_where_it_is_told(batchwasm: Cli, hello: Path) -> None:
    (batchwasm.folder / "deep").mkdir()
    assert batchwasm("compile", hello, "-o", "deep/x.wasm").out == "deep/x.wasm\n"
    batchwasm("run", "deep/x.wasm", "--json")
    assert "can't be written" in batchwasm("compile", hello, "-o", "nowhere/x.wasm", code=3).err


def test_compile_into_a_pipe_or_through_a_link_leaves_it_what_it_is(batchwasm: Cli, hello: Path) -> None:
    """So does a device: `-o /dev/null` as root is one."""
    pipe, link = batchwasm.folder / "pipe", batchwasm.folder / "link"
    os.mkfifo(pipe)
    link.symlink_to("behind.wasm")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        batchwasm("compile", hello, "-o", "pipe")
        batchwasm("compile", hello, "-o", "link")
        assert pipe.is_fifo()
        assert link.is_symlink()
        assert os.read(reader, 1 << 16) == (batchwasm.folder / "behind.wasm").read_bytes()
    finally:
        os.close(reader)


def test_compile_of_what_was_compiled_before_says_so(batchwasm: Cli, hello: Path) -> None:
    hello.write_text(f"{hello.read_text()};; {uuid.uuid4()}\n")  # as nobody has compiled it yet
    assert "nothing to compile" not in batchwasm("compile", hello).err
    assert "unchanged, nothing to compile" in batchwasm("compile", hello).err


def test_compile_errors_are_the_compilers_own_words(batchwasm: Cli) -> None:
    (batchwasm.folder / "bad.wat").write_text("(module (func (nonsense)))")
    ended = batchwasm("compile", "bad.wat", code=2)
    assert "nonsense" in ended.err
    assert ended.out == ""
    assert not (batchwasm.folder / "bad.wasm").exists()


@pytest.mark.parametrize("source", ["missing.c", "notes.txt", "."])
def test_compile_of_what_is_no_source_is_2(batchwasm: Cli, source: str) -> None:
    (batchwasm.folder / "notes.txt").touch()
    assert source.removesuffix(".") in batchwasm("compile", source, code=2).err


def test_compile_takes_all_build_options(batchwasm: Cli) -> None:
    folder = batchwasm.folder
    (folder / "inc").mkdir()
    (folder / "inc" / "twice.h").write_text("int twice(int);\n")
    (folder / "twice.c").write_text('#include "twice.h"\nint twice(int n) { return N * n; }\n')
    main = (
        '#include <stdio.h>\n#include "twice.h"\nint main(void) { printf("%s %d\\n", WORD, twice(21)); return FLAG; }\n'
    )
    (folder / "main.c").write_text(main)
    args = ["-D", "N=2", "-D", 'WORD="a b"', "-I", "inc", "-O", "s", "--flag", "-DFLAG=0", "-o", "out.wasm"]
    batchwasm("compile", "main.c", "twice.c", *args)
    batchwasm("run", "out.wasm")
    assert batchwasm("logs", "out").out == "a b 42\n"


def test_compile_of_a_function_gives_the_module_that_call_takes(batchwasm: Cli) -> None:
    folder = batchwasm.folder
    (folder / "a.c").write_text("int twice(int);\nint four_times(int n) { return twice(twice(n)); }\n")
    (folder / "b.c").write_text("int twice(int n) { return 2 * n; }\n")
    ended = batchwasm("compile", "a.c:four_times", "b.c")
    assert ended.out == "four_times.wasm\n"
    assert batchwasm("compile", "a.c:four_times", "b.c", "-o", "x.wasm").out == "x.wasm\n"
    assert batchwasm("call", "-q", "x.wasm:four_times", "3").out == "12\n"
    assert "did you mean four_times?" in batchwasm("compile", "a.c:fourtimes", "b.c", code=2).err
    assert "write FILE:FUNCTION" in batchwasm("compile", "a.c:", code=2).err
    (folder / "odd:name.c").write_text("int main(void) { return 0; }\n")
    assert batchwasm("compile", "odd:name.c").out == "odd:name.wasm\n"


def test_compile_names_the_options_that_are_wrong_all_at_once(batchwasm: Cli, hello: Path) -> None:
    said = batchwasm("compile", hello, "-D", "1x=3", "-I", "nowhere", code=2).err.splitlines()
    assert [line.partition(":")[0] for line in said] == ["--define 1x", "--include[0]"]


def test_compile_to_stdout_gives_the_module_and_nothing_else(batchwasm: Cli, hello: Path) -> None:
    batchwasm("compile", hello)
    process = batchwasm.start("compile", hello, "-o", "-")
    out, _ = process.communicate(timeout=60)
    assert out == (batchwasm.folder / "hello.wasm").read_bytes()


def test_json_of_toolchains_is_one_object_a_line(batchwasm: Cli) -> None:
    for line in batchwasm("toolchains", "--json").out.splitlines():
        assert isinstance(json.loads(line), dict)
