"""Reports until they are acknowledged, in memory and in a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchwasm.runner import retained
from batchwasm.runner.retained import Retained


def frame(seq: int) -> bytes:
    return b"%03d" % seq * 10


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool" / "reports"


@pytest.fixture
def kept(path: Path) -> Retained:
    """Reports 5 to 14, of batches 1 and 2 in turn."""
    kept = Retained(str(path))
    for seq in range(5, 15):
        kept.add(seq, seq % 2, 3, frame(seq))
    return kept


def all_after(kept: Retained, seq: int) -> list[int]:
    found = []
    while (following := kept.following(seq)) is not None:
        seq, data = following
        assert data == frame(seq)
        found.append(seq)
    return found


def test_what_is_put_away_is_read_as_it_was_with_what_came_later_behind_it(kept: Retained, path: Path) -> None:
    kept.put_away(100)
    assert path.stat().st_size == 4 * 30
    assert path.stat().st_mode & 0o777 == 0o600
    assert all_after(kept, 0) == list(range(5, 15))
    kept.put_away(1 << 20)
    kept.add(15, 1, 3, frame(15))
    kept.put_away(1 << 20)
    kept.add(16, 1, 3, frame(16))
    assert all_after(kept, 12) == [13, 14, 15, 16]
    assert kept.bytes == 12 * 30


def test_the_file_goes_when_all_in_it_is_acknowledged(kept: Retained, path: Path) -> None:
    kept.put_away(100)
    kept.acknowledge(7)
    assert path.exists()
    kept.acknowledge(8)
    assert not path.exists()
    assert all_after(kept, 0) == list(range(9, 15))
    kept.put_away(1 << 20)
    assert all_after(kept, 0) == list(range(9, 15))
    assert kept.acknowledge(14) == [1, 0]
    assert not path.exists()
    assert (kept.bytes, kept.by_batch) == (0, {})


def test_a_number_beyond_the_last_acknowledges_all(kept: Retained) -> None:
    assert kept.acknowledge(99) == [1, 0]
    assert kept.following(0) is None
    kept.add(15, 1, 3, frame(15))
    assert all_after(kept, 0) == [15]


def test_a_disk_that_takes_nothing_leaves_them_in_memory(
    kept: Retained, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put_away(30)
    there = path.stat().st_size
    write = os.pwrite

    def half(fd: int, data: memoryview, at: int) -> int:
        if len(data) < 90:
            raise OSError(28, "No space left on device")
        return write(fd, data[:60], at)

    monkeypatch.setattr(os, "pwrite", half)
    kept.put_away(120)
    monkeypatch.undo()
    assert path.stat().st_size == there
    assert all_after(kept, 0) == list(range(5, 15))
    kept.put_away(1 << 20)
    assert all_after(kept, 0) == list(range(5, 15))


def test_a_folder_that_can_not_be_made_leaves_them_in_memory(kept: Retained, path: Path) -> None:
    path.parent.touch()
    kept.put_away(1 << 20)
    assert all_after(kept, 0) == list(range(5, 15))
    kept.close()


def test_the_file_is_bounded_though_it_never_empties(
    kept: Retained, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retained, "FILE_LIMIT_BYTES", 320)
    kept.put_away(1 << 20)
    for seq in range(15, 30):
        kept.add(seq, 1, 1, frame(seq))
        kept.acknowledge(seq - 2)
        kept.put_away(1 << 20)
        assert not path.exists() or path.stat().st_size <= 320
        assert all_after(kept, 0) == [seq - 1, seq]


def test_a_file_that_was_cut_is_an_error_and_no_frame(kept: Retained, path: Path) -> None:
    kept.put_away(1 << 20)
    os.truncate(path, 100)
    with pytest.raises(OSError, match="cut short"):
        all_after(kept, 0)
