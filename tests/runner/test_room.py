"""A host whose disk is full: its tasks are lost there and run again, and it is said where there is no room."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.model import Outcome
from batchwasm.runner import room
from batchwasm.runner.protocol import Row
from tests.disks import fill, make_room
from tests.runner.forked import MIB, Forked


@pytest.fixture
def cramped(fresh: Forked, small_disk: Path) -> Iterator[Forked]:
    """A worker whose tasks write to a disk of 4 MiB."""
    scratch = Path(fresh.settings.scratch)
    scratch.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", str(small_disk), str(scratch)], check=True)
    yield fresh
    fresh.end()
    subprocess.run(["umount", "--lazy", str(scratch)], check=True)


def is_lost_for_want_of_room(row: Row, where: str) -> bool:
    text = "" if row.detail is None else row.detail.text
    assert "trouble on this host: the disk is full at " in text, (row.outcome, text)
    return row.outcome == Outcome.LOST and where in text and " KiB free)" in text


@pytest.mark.parametrize("script", [["exit", "7"], [], ["abort"]], ids=["failed", "succeeded", "trapped"])
def test_a_task_that_met_a_full_disk_is_lost_whatever_it_says_of_itself(cramped: Forked, script: list[str]) -> None:
    row = cramped.tool("write", "a", str(6 * MIB), *script)
    assert is_lost_for_want_of_room(row, f"{cramped.settings.scratch}/box")
    assert cramped.tool("write", "a", str(MIB)).outcome == Outcome.SUCCEEDED  # what filled it is gone


def test_a_task_that_can_make_no_file_at_all_is_lost_too(cramped: Forked, small_disk: Path) -> None:
    assert cramped.tool("write", "a", "1").outcome == Outcome.SUCCEEDED
    fill(small_disk)
    assert is_lost_for_want_of_room(cramped.tool("write", "a", "5", "exit", "1"), cramped.settings.scratch)
    make_room(small_disk)
    assert cramped.tool("write", "a", "5").outcome == Outcome.SUCCEEDED


def test_a_task_that_writes_no_file_does_not_mind(cramped: Forked, small_disk: Path) -> None:
    assert cramped.tool("say", "a").outcome == Outcome.SUCCEEDED
    fill(small_disk)
    assert cramped.tool("say", "a").outcome == Outcome.SUCCEEDED


def test_a_limit_of_its_own_counts_before_a_full_disk(cramped: Forked) -> None:
    row = cramped.tool("write", "a", str(2 * MIB), "spin", disk_bytes=MIB, time_s=30)
    assert row.outcome == Outcome.LIMIT_EXCEEDED


def test_an_error_of_the_system_is_told_with_the_file_it_is_about(tmp_path: Path, small_disk: Path) -> None:
    assert room.words(OSError(errno.EAGAIN, "no processes left"), "/x") == "no processes left"
    assert room.words(OSError(errno.ENOENT, "No such file", "/a"), "/x") == "/a: No such file"
    fill(small_disk)
    error = OSError(errno.ENOSPC, "")
    assert (
        room.words(error, str(small_disk / "no/folder")) == f"the disk is full at {small_disk}/no/folder (0 KiB free)"
    )
    assert room.is_full(str(small_disk))
    assert not room.is_full(str(tmp_path))


def test_a_disk_without_places_for_files_is_full(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=2", "none", str(folder)], check=True)
    try:
        (folder / "one").touch()
        assert room.is_full(str(folder))
        with pytest.raises(OSError, match="No space left") as caught:
            (folder / "two").touch()
        assert room.words(caught.value, str(folder)) == f"the disk is full at {folder}/two (no room for another file)"
    finally:
        subprocess.run(["umount", str(folder)], check=True)
