"""Zig through the real compiler."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm.errors import SourceError
from batchwasm.model import Build
from batchwasm.store import Store
from tests.toolchains.guests import build, run, write

FILES = {
    "main.zig": 'const std = @import("std");\nconst part = @import("sub/part.zig");\n'
    'pub fn main() void { std.debug.print("{d} {s}\\n", .{ part.answer, @embedFile("data.txt") }); }\n',
    "sub/part.zig": "pub const answer = 42;\n",
    "data.txt": "one",
}


def test_a_program_is_built_again_when_an_import_or_an_embedded_file_changes(
    weird_tmp_path: Path, store: Store
) -> None:
    source = write(weird_tmp_path, FILES) / "main.zig"
    assert run(build(store, "zig", source).path).stderr == "42 one\n"
    assert build(store, "zig", source).cached
    for file, text, expected in (
        ("sub/part.zig", "pub const answer = 43;\n", "43 one\n"),
        ("data.txt", "two", "43 two\n"),
    ):
        write(weird_tmp_path, {file: text})
        made = build(store, "zig", source)
        assert (made.cached, run(made.path).stderr) == (False, expected)
    assert {path.name for path in weird_tmp_path.iterdir()} == {"main.zig", "sub", "data.txt"}


def test_a_compilers_error_is_told_in_its_words_under_the_jobs_name(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, {"a.zig": "pub fn main() void {\n    missing();\n}\n"}) / "a.zig"
    with pytest.raises(SourceError, match=r"a\.zig:2:5: error: use of undeclared identifier 'missing'"):
        build(store, "zig", source)


def test_defines_are_refused(tmp_path: Path, store: Store) -> None:
    source = write(tmp_path, FILES) / "main.zig"
    with pytest.raises(SourceError, match=r"job: build\.defines means nothing to zig"):
        build(store, "zig", source, how=Build(defines=(("N", "1"),)))
