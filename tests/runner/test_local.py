"""Where a supervisor lives, whose it is, and how it goes."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.runner import facts, local, rescue
from batchwasm.runner.local import PlaceError
from batchwasm.runner.protocol import INLINE_BYTES


@pytest.fixture(autouse=True)
def tmp(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(local, "SOCKET_PATH_LIMIT_BYTES", 300)
    return folder


def test_a_place_differs_by_workdir_host_and_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {local.place(str(tmp_path / "one")).tag, local.place(str(tmp_path / "two")).tag}
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    tags.add(local.place(str(tmp_path / "one")).tag)
    monkeypatch.setattr(facts, "boot_id", lambda: "another")
    tags.add(local.place(str(tmp_path / "one")).tag)
    assert len(tags) == 4


def test_two_names_of_one_workdir_are_one_place(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real").mkdir()
    assert local.place(str(tmp_path / "link")) == local.place(str(tmp_path / "real"))


def test_a_lock_is_held_by_one_and_free_after_its_release(tmp_path: Path) -> None:
    at = local.place(str(tmp_path))
    fd = local.take_lock(at.lock)
    assert fd is not None
    assert local.take_lock(at.lock) is None
    local.release(at, fd)
    assert not os.path.exists(at.root)
    assert local.take_lock(at.lock) is None, "the root is made again first"
    again = local.take_lock(at.lock)
    assert again is not None
    os.close(again)


def test_a_lock_that_was_removed_while_it_was_waited_for_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = local.place(str(tmp_path))
    lock = fcntl.flock

    def removed_meanwhile(fd: int, how: int) -> None:
        os.unlink(at.lock)
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    assert local.take_lock(at.lock) is None


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    at = local.place(str(tmp_path))
    os.symlink(tmp_path / "elsewhere", at.lock)
    with pytest.raises(PlaceError, match="lock"):
        local.take_lock(at.lock)
    assert not (tmp_path / "elsewhere").exists()


@pytest.fixture
def nobody() -> Iterator[None]:
    """As root nothing is unreadable."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_tree_that_was_made_unreadable_is_removed(nobody: None) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    deep = folder / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    for path in (deep, deep.parent, deep.parent.parent):
        path.chmod(0o000)
    local.remove_tree(str(folder))
    assert not folder.exists()


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    local.remove_tree(str(tmp_path / "gone"))
    assert local.tree_bytes(str(tmp_path / "gone")) == 0


def test_bytes_of_a_hard_link_count_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(bytes(1000))
    os.link(tmp_path / "one", tmp_path / "two")
    assert local.tree_bytes(str(tmp_path)) == 1000


def test_a_symlink_is_removed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "link").symlink_to(tmp_path / "kept")
    local.remove_tree(str(tmp_path / "scratch"))
    assert (tmp_path / "kept").exists()


def test_rescued_output_is_cut_at_its_limit(tmp_path: Path) -> None:
    written = _file(tmp_path, 5000)
    assert rescue.keep(written, 4999, str(tmp_path / "spool/stdout")) == (b"x" * 4999, None)


def test_rescued_output_that_is_long_goes_to_the_spool(tmp_path: Path) -> None:
    path = tmp_path / "spool" / "stdout"
    inline, spooled = rescue.keep(_file(tmp_path, 3_000_000), 1 << 30, str(path))
    assert inline == b""
    assert spooled is not None
    assert spooled[0] == path.stat().st_size == 3_000_000


def test_rescued_output_that_finds_no_room_keeps_its_beginning(tmp_path: Path) -> None:
    assert rescue.keep(_file(tmp_path, 3_000_000), 1 << 30, "/proc/nowhere/stdout") == (b"x" * INLINE_BYTES, None)


def test_what_could_not_be_rescued_is_empty(tmp_path: Path) -> None:
    assert rescue.keep(None, 100, str(tmp_path)) == (b"", None)
    assert rescue.rescue(0) == rescue.Captured()


def _file(folder: Path, size: int) -> tuple[int, int]:
    """A descriptor as a rescue gives it; left to the end of the test session."""
    (folder / "output").write_bytes(b"x" * size)
    return os.open(folder / "output", os.O_RDONLY), size


@pytest.mark.parametrize("depth", [100, 1500, 5000])
def test_folders_nested_deeper_than_any_path_are_counted_and_removed(tmp_path: Path, depth: int) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    at = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    assert local.tree_bytes(str(tmp_path)) == 0
    local.remove_tree(str(folder))
    assert not folder.exists()


@pytest.mark.parametrize("name", ["cache", "scratch", "spool"])
def test_a_folder_that_others_may_have_filled_is_not_used(tmp_path: Path, name: str) -> None:
    at = local.place(str(tmp_path))
    (tmp_path / name).mkdir()
    (tmp_path / name).chmod(0o777)
    with pytest.raises(PlaceError, match=f"others can write in .*{name}"):
        local.make(at)
    local.remove_tree(at.root)


def test_what_says_whose_a_spool_is_outlives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that goes down while a supervisor's folders are removed still knows afterwards what to remove."""
    at = local.place(str(tmp_path))
    local.make(at)
    remove_tree = local.remove_tree

    def checked(folder: str) -> None:
        assert os.path.exists(f"{at.scratch}/{local.OWNER}") or not os.path.exists(at.spool)
        remove_tree(folder)

    monkeypatch.setattr(local, "remove_tree", checked)
    local.remove(at)
    assert not any(map(os.path.exists, (at.scratch, at.spool, at.folder)))
