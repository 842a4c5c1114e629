"""The keys source and build."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.spec.folder import Folder


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("a.rs", "rust"),
        ("a.cpp", "cpp"),
        ("a.cc", "cpp"),
        ("a.c", "c"),
        ("a.go", "go"),
        ("a.zig", "zig"),
        ("a.wat", "wat"),
        ("a.wasm", "wasm"),
        ("sub dir/ä.c", "c"),
    ],
)
def test_the_ending_tells_the_language(folder: Folder, name: str, language: str) -> None:
    source = folder.job("", source=name).source
    assert (source.language, source.paths) == (language, (folder.path / name,))


@pytest.mark.parametrize(("mark", "language"), [("Cargo.toml", "rust"), ("go.mod", "go")])
def test_a_folder_with_a_project_is_a_source(folder: Folder, mark: str, language: str) -> None:
    folder.write(f"prog/{mark}")
    source = folder.job("", source="prog").source
    assert (source.language, source.paths) == (language, (folder.path / "prog",))


def test_c_and_cpp_take_several_files(folder: Folder) -> None:
    for name in ("a.c", "b.c", "m.cpp"):
        folder.write(name)
    [one, mixed, single] = folder.run(
        '[jobs.c]\nsource = ["a.c", "b.c"]\n[jobs.mixed]\nsource = ["a.c", "m.cpp"]\n[jobs.one]\nsource = ["a.c"]'
    ).jobs
    assert (one.source.language, one.source.paths) == ("c", (folder.path / "a.c", folder.path / "b.c"))
    assert mixed.source.language == "cpp"
    assert single.source.paths == (folder.path / "a.c",)


def test_paths_above_the_folder_and_absolute_ones_are_normal(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "up.c").touch()
    assert folder.job("", source="../up.c").source.paths == (tmp_path / "up.c",)


def test_a_build_is_read_and_merged_with_that_of_the_defaults_key_by_key(folder: Folder) -> None:
    folder.write("a.c")
    folder.write("inc/a.h")
    [job] = folder.run(
        """
        [defaults]
        build = { flags = ["-g"], optimize = "s" }
        [jobs.j]
        source = "a.c"
        build = { defines = { N = 100, B = "x y", A = true, F = 0.5, E = "" }, include = ["inc"], optimize = 2 }
        """
    ).jobs
    build = job.source.build
    assert build.flags == ("-g",)
    assert build.defines == (("A", ""), ("B", "x y"), ("E", ""), ("F", "0.5"), ("N", "100"))
    assert build.include == (folder.path / "inc",)
    assert build.optimize == "2"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("5", "5 is not a string"),
        ('""', "is empty"),
        ("[]", "is an empty list"),
        ('"b.c"', "there is no file"),
        (f'"{"x" * 5000}.c"', "there is no file"),
        ('"main.c/x.c"', "there is no file"),
        ('"main.cc"', "did you mean 'main.c'?"),
        ('"a.py"', "there is no file or folder"),
        ('"README.md"', "'README.md' has no known ending; those are .rs, .cpp"),
        ('["main.c", "x.h"]', "'x.h' is a header; it is found by #include"),
        ('["main.c", "main.c"]', "names a file twice"),
        ('["a.go", "b.go"]', "only C and C++ take several files, not go"),
        ('"empty"', "is a folder without Cargo.toml or go.mod"),
        ('"other"', "/other/jobs.toml?"),
        ('"both"', "has both Cargo.toml and go.mod"),
        ('"both/Cargo.toml"', "is a project's own file; name the folder it is in"),
        ('"pipe.c"', "is not a regular file"),
    ],
)
def test_a_source_that_is_none_says_why(folder: Folder, source: str, says: str) -> None:
    for name in ("main.c", "x.h", "README.md", "a.go", "b.go", "both/Cargo.toml", "both/go.mod", "other/jobs.toml"):
        folder.write(name)
    (folder.path / "empty").mkdir()
    os.mkfifo(folder.path / "pipe.c")
    found = folder.wrong(f"[jobs.j]\nsource = {source}")
    assert len(found) == 1
    assert found[0].startswith("2: jobs.j.source")
    assert says in found[0]


@pytest.mark.parametrize(
    ("build", "says"),
    [
        ("{ flag = [] }", "3: jobs.j.build.flag: unknown key; did you mean 'flags'?"),
        ('{ flags = "-g" }', "3: jobs.j.build.flags: '-g' is not a list"),
        ("{ flags = [5] }", "3: jobs.j.build.flags[0]: 5 is not a string"),
        ("{ defines = { N = false } }", "3: jobs.j.build.defines.N: false does not undefine a name"),
        ("{ defines = { N = [] } }", "3: jobs.j.build.defines.N: a list is not a string, number or bool"),
        ('{ defines = { "a-b" = 1 } }', "3: jobs.j.build.defines.a-b: 'a-b' can't be defined"),
        ('{ include = ["nope"] }', "3: jobs.j.build.include[0]: there is no folder"),
        ("{ optimize = 4 }", "3: jobs.j.build.optimize: 4 is no level of optimisation; those are '0', '1', '2', '3'"),
        ("{ optimize = true }", "3: jobs.j.build.optimize: true is no level"),
        ("5", "3: jobs.j.build: 5 is not a table"),
    ],
)
def test_a_build_that_is_wrong_says_where_and_why(folder: Folder, build: str, says: str) -> None:
    [problem] = folder.wrong_job(f"build = {build}")
    assert problem.startswith(says)
