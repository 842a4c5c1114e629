"""Go through the real compiler: files, and modules with dependencies and embedded files."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm.errors import SourceError
from batchwasm.model import Build, Source
from batchwasm.store import Store
from batchwasm.toolchains import go
from tests.toolchains.guests import build, run, write

HELLO = 'package main\n\nimport "fmt"\n\nvar name = "nobody"\n\nfunc main() { fmt.Println("hello", name) }\n'
MODULE = {
    "app/go.mod": "module app\n\ngo 1.21\n\n"
    "require example.com/shape v0.0.0\n\nreplace example.com/shape => ../shape\n",
    "app/main.go": """package main

import (
	_ "embed"
	"fmt"

	"example.com/shape"
)

//go:embed data.txt
var data string

func main() { fmt.Println(shape.Area(3), data) }
""",
    "app/data.txt": "one",
    "shape/go.mod": "module example.com/shape\n\ngo 1.21\n",
    "shape/shape.go": "package shape\n\nfunc Area(n int) int { return n * n }\n",
}


def test_one_file_runs_is_built_once_and_takes_flags(weird_tmp_path: Path, store: Store) -> None:
    source = write(weird_tmp_path, {"hello.go": HELLO}) / "hello.go"
    assert run(build(store, "go", source).path).stdout == "hello nobody\n"
    assert build(store, "go", source).cached
    named = build(store, "go", source, how=Build(flags=("-ldflags=-s -w -X main.name=ada",)))
    assert run(named.path).stdout == "hello ada\n"


def test_a_module_is_built_again_when_a_dependency_or_an_embedded_file_changes(tmp_path: Path, store: Store) -> None:
    project = write(tmp_path, MODULE) / "app"
    assert run(build(store, "go", project).path).stdout == "9 one\n"
    assert build(store, "go", project).cached
    for file, text, expected in (
        ("app/data.txt", "two", "9 two\n"),
        ("shape/shape.go", "package shape\n\nfunc Area(n int) int { return n + n }\n", "6 two\n"),
        ("app/init.go", 'package main\n\nfunc init() { data = "new" }\n', "6 new\n"),
    ):
        write(tmp_path, {file: text})
        made = build(store, "go", project)
        assert (made.cached, run(made.path).stdout) == (False, expected)


def test_the_same_module_gives_the_same_digest_in_another_folder(tmp_path: Path) -> None:
    digests = {
        build(Store(tmp_path / name / "store"), "go", write(tmp_path / name / "p", MODULE) / "app").digest
        for name in ("here", "there")
    }
    assert len(digests) == 1


def test_a_compilers_error_is_told_in_its_words_under_the_jobs_name(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.go": "package main\n\nfunc main() { missing() }\n"}) / "a.go"
    with pytest.raises(SourceError) as caught:
        build(store, "go", source)
    assert str(caught.value).startswith(f"job: {source} does not compile (go ")
    assert "a.go:3:15: undefined: missing" in str(caught.value)


def test_settings_meant_for_this_machine_do_not_reach_the_build(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("GOOS", "linux"), ("GOFLAGS", "-nonsense"), ("GOROOT", "/nowhere"), ("GO111MODULE", "off")):
        monkeypatch.setenv(name, value)
    assert run(build(store, "go", write(tmp_path, {"a.go": HELLO}) / "a.go").path).stdout == "hello nobody\n"


def test_what_means_nothing_to_go_is_refused_with_what_would_do(tmp_path: Path) -> None:
    problems = go.refuse(
        Source(language="go", paths=(tmp_path,), build=Build(defines=(("N", "'\""),), include=(tmp_path,)))
    )
    assert problems[0].startswith("build.defines.N")
    assert problems[1].startswith("build.include")
    assert "go mod init" in problems[2]


def test_defines_set_string_variables_of_main(tmp_path: Path, store: Store) -> None:
    text = 'package main\n\nimport "fmt"\n\nvar N, M string\n\nfunc main() { fmt.Println(N, M) }\n'
    source = write(tmp_path, {"a.go": text}) / "a.go"
    how = Build(defines=(("M", "it's 2"), ("N", "100")))
    assert run(build(store, "go", source, how=how).path).stdout == "100 it's 2\n"
