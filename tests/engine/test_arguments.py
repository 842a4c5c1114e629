"""Arguments of calls: small ones stay in memory, large ones are files until their call is over."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from batchwasm.engine.arguments import INLINE_BYTES, Arguments, given, size
from batchwasm.engine.files import LocalFile

LARGE = b"x" * (INLINE_BYTES + 1)


def test_small_ones_are_given_as_they_are(tmp_path: Path) -> None:
    arguments = Arguments(tmp_path / "a")
    arguments.add(5, [b"five", b"six"])
    assert [arguments.of(5), arguments.of(6)] == [b"five", b"six"]
    assert not (tmp_path / "a").exists()


def test_a_large_one_is_a_file_until_its_call_is_over(tmp_path: Path) -> None:
    arguments = Arguments(tmp_path / "a")
    arguments.add(0, [given(tmp_path / "a", LARGE)])
    found = arguments.of(0)
    assert isinstance(found, LocalFile)
    assert size(found) == len(LARGE)
    assert found.path.read_bytes() == LARGE
    assert found.digest == hashlib.sha256(LARGE).hexdigest()
    arguments.forget([0, 1])
    assert list((tmp_path / "a").iterdir()) == []


def test_those_of_a_jobs_toml_are_made_when_they_are_wanted(tmp_path: Path) -> None:
    made: list[int] = []

    def encode(task: int, values: Mapping[str, object]) -> bytes:
        made.append(task)
        return LARGE if task == 1 else b"small"

    arguments = Arguments(tmp_path, encode)
    assert arguments.of(0) == b"small"
    assert arguments.of(1) is arguments.of(1)
    assert made == [0, 1]
