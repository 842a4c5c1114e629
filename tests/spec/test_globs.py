"""Globs among outputs of another job mean what they mean in `outputs`, where the runner reads them."""

from __future__ import annotations

import pytest

from batchwasm.runner.outputs import _compile as of_the_runner
from batchwasm.spec import globs

PATHS = [
    "a",
    "a.csv",
    "out/a.csv",
    "out/b.txt",
    "out/x/a.csv",
    "out/.hidden/a.csv",
    "out/.a.csv",
    "a[1].csv",
    "a\n.csv",
]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*", ["a", "a.csv", "a[1].csv", "a\n.csv"]),
        ("a", ["a"]),
        ("out", ["out/a.csv", "out/b.txt", "out/x/a.csv", "out/.hidden/a.csv", "out/.a.csv"]),
        ("out/", ["out/a.csv", "out/b.txt", "out/x/a.csv", "out/.hidden/a.csv", "out/.a.csv"]),
        ("out/*", ["out/a.csv", "out/b.txt"]),
        ("out/*.csv", ["out/a.csv"]),
        ("out/**", ["out/a.csv", "out/b.txt", "out/x/a.csv"]),
        ("**/*.csv", ["a.csv", "out/a.csv", "out/x/a.csv", "a[1].csv", "a\n.csv"]),
        ("out/[!a].txt", ["out/b.txt"]),
        ("a[[]1].csv", ["a[1].csv"]),
        ("?", ["a"]),
        ("out/?.*", ["out/a.csv", "out/b.txt"]),
        ("./out/x", ["out/x/a.csv"]),
        ("b", []),
    ],
)
def test_a_glob_among_outputs_matches_what_it_would_in_outputs(glob: str, expected: list[str]) -> None:
    assert [path for path in PATHS if globs.compiled(glob).match(path)] == expected
    assert [path for path in PATHS if of_the_runner(f"{glob}?")[0].match(path)] == expected


def test_what_is_no_glob_is_told() -> None:
    with pytest.raises(ValueError, match="is not a glob: bad character range z-a"):
        globs.compiled("[z-a]")
