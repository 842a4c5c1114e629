"""Which paths a glob of `outputs` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm.runner import outputs
from batchwasm.runner.box import Box, Entry
from batchwasm.runner.protocol import INLINE_BYTES

PATHS = [
    "a.csv",
    "b.txt",
    ".hidden",
    "out/c.csv",
    "out/deep/d.csv",
    "out/.h/e.csv",
    "out/.f",
    "we[i]rd",
    "x y",
    "n\nl.csv",
]


def matched(pattern: str) -> list[str]:
    expression, _ = outputs._compile(pattern)
    return [path for path in PATHS if expression.match(path)]


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("a.csv", ["a.csv"]),
        ("/a.csv", ["a.csv"]),
        ("./a.csv", ["a.csv"]),
        ("*.csv", ["a.csv", "n\nl.csv"]),
        ("**/*.csv", ["a.csv", "out/c.csv", "out/deep/d.csv", "n\nl.csv"]),
        ("out/**", ["out/c.csv", "out/deep/d.csv"]),
        ("out/*", ["out/c.csv"]),
        ("out", ["out/c.csv", "out/deep/d.csv", "out/.h/e.csv", "out/.f"]),
        ("out/**/d.csv", ["out/deep/d.csv"]),
        ("**", ["a.csv", "b.txt", "out/c.csv", "out/deep/d.csv", "we[i]rd", "x y", "n\nl.csv"]),
        (".*", [".hidden"]),
        ("out/.*/*", ["out/.h/e.csv"]),
        ("?.txt", ["b.txt"]),
        ("[ab].*", ["a.csv", "b.txt"]),
        ("[!b].csv", ["a.csv"]),
        ("[a-c].csv", ["a.csv"]),
        ("we[[]i]rd", ["we[i]rd"]),
        ("x y", ["x y"]),
        ("*.CSV", []),
        ("a.cs", []),
        ("a.csv.more", []),
    ],
)
def test_a_glob_means_what_it_means_in_a_shell(pattern: str, paths: list[str]) -> None:
    assert matched(pattern) == paths


def test_only_a_question_mark_at_the_end_makes_it_optional() -> None:
    assert outputs._compile("a?b.csv")[1]
    assert not outputs._compile("a.csv?")[1]
    assert matched("?.csv?") == ["a.csv"]


def test_outputs_whose_names_do_not_fit_into_a_report_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "NAMES_BYTES", 1000)
    box = Box(str(tmp_path / "box"), str(tmp_path))
    box.prepare([])
    box.lend()
    for number in range(20):
        (tmp_path / "box" / f"file{number:02}").touch()
    collected = outputs.collect(box, ["*"], str(tmp_path / "spool"), 100)
    assert len(collected.outputs) + collected.dropped == 20
    assert collected.dropped > 10


@pytest.mark.parametrize("size", [6, INLINE_BYTES + 1])
@pytest.mark.parametrize("path", ["link", "way/file"])
def test_a_file_that_becomes_a_link_while_it_is_collected_is_not_followed(tmp_path: Path, path: str, size: int) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_bytes(b"s" * size)
    box = Box(str(tmp_path / "box"), str(tmp_path))
    box.prepare([])
    (tmp_path / "box/link").symlink_to(secret / "file")
    (tmp_path / "box/way").symlink_to(secret)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        outputs._take(box, [Entry(path, size, 1)], str(tmp_path / "spool"))
    assert (secret / "file").exists()


def test_a_file_that_grows_while_it_is_collected_is_cut(tmp_path: Path) -> None:
    box = Box(str(tmp_path / "box"), str(tmp_path))
    box.prepare([])
    (tmp_path / "box/file").write_bytes(b"x" * 1000)
    (found,), contents = outputs._take(box, [Entry("file", 3, 1)], str(tmp_path / "spool"))
    assert (found.bytes, contents) == (3, [b"xxx"])
