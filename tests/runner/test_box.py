"""A task's folder: what is in it, what is seen in it, that nothing leads out of it, that it always goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchwasm.runner.box import MAX_DEPTH, Box, MissingInput, TooDeep, Usage, walk
from batchwasm.runner.trees import remove_tree


@pytest.fixture
def box(tmp_path: Path) -> Box:
    (tmp_path / "cache/files").mkdir(parents=True)
    for name in ("one", "two"):
        path = tmp_path / "cache/files" / name
        path.write_text(name)
        path.chmod(0o444)
    return Box(str(tmp_path / "box"), str(tmp_path / "cache"))


def inode(box: Box) -> int:
    return os.stat(box.path).st_ino


def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)


def test_inputs_are_hard_links_of_the_cache(box: Box, tmp_path: Path) -> None:
    box.prepare([("a", "one"), ("d/e/b", "two")])
    assert (Path(box.path) / "d/e/b").read_text() == "two"
    assert os.path.samefile(Path(box.path) / "a", tmp_path / "cache/files/one")


def test_inputs_are_read_only_copies_where_links_are_not_possible(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_links(monkeypatch)
    box.prepare([("a", "one")])
    copy = Path(box.path) / "a"
    assert copy.read_text() == "one"
    assert copy.stat().st_mode & 0o777 == 0o444
    assert not os.path.samefile(copy, tmp_path / "cache/files/one")
    assert box.files(10) == []


@pytest.mark.parametrize("links", [True, False])
def test_inputs_whose_names_are_one_to_the_disk_do_not_overwrite_each_other(
    box: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """As `A` and `a` are on most Macs; here it is one name twice."""
    if not links:
        no_links(monkeypatch)
    with pytest.raises(FileExistsError, match="a and another input are one file here"):
        box.prepare([("a", "one"), ("a", "two")])
    assert (tmp_path / "cache/files/one").read_text() == "one"
    assert (Path(box.path) / "a").read_text() == "one"


def test_folders_whose_names_are_one_to_the_disk_are_told_in_the_same_words(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is in them would be taken for the task's own: no input has the path under which it is found."""
    mkdir = os.mkdir

    def folding(path: str, mode: int) -> None:
        beside = Path(path).parent.iterdir()
        mkdir(next((str(other) for other in beside if str(other).lower() == path.lower()), path), mode)

    monkeypatch.setattr(os, "mkdir", folding)
    with pytest.raises(FileExistsError, match="data and another input are one file here"):
        box.prepare([("Data/x", "one"), ("data/y", "two")])


@pytest.mark.parametrize("to", ["../x", "/x", "a/../../x"])
def test_an_input_never_lands_outside(box: Box, tmp_path: Path, to: str) -> None:
    with pytest.raises(MissingInput):
        box.prepare([(to, "one")])
    assert sorted(os.listdir(tmp_path)) == ["box", "cache"]


def test_a_missing_input_is_named_and_the_next_task_gets_its_own(box: Box) -> None:
    with pytest.raises(MissingInput, match=r"lost\.txt"):
        box.prepare([("a", "one"), ("lost.txt", "gone")])
    assert not box.untouched()
    box.prepare([])
    assert os.listdir(box.path) == []


def test_a_folder_left_as_it_was_is_used_again(box: Box) -> None:
    box.prepare([("d/a", "one")])
    first = inode(box)
    for _ in range(3):
        box.lend()
        assert box.untouched()
        box.prepare([("d/a", "one")])
    assert inode(box) == first


@pytest.mark.parametrize("change", ["make", "remove", "replace", "in a folder", "the folder itself"])
@pytest.mark.parametrize("settled", [True, False])
def test_any_change_is_seen_even_within_a_tick_of_the_clock(box: Box, change: str, settled: bool) -> None:
    box.prepare([("a", "one"), ("d/b", "two")])
    root = Path(box.path)
    box.lend()
    if settled:
        while not box._settled:  # the file system's clock moves on
            box.lend()
            assert box.untouched()
        box.lend()
    if change == "make":
        (root / "x").touch()
    elif change == "remove":
        (root / "a").unlink()
    elif change == "replace":
        (root / "a").unlink()
        (root / "a").write_text("one")
    elif change == "in a folder":
        (root / "d/x").touch()
    else:
        remove_tree(box.path)
    assert not box.untouched()
    box.prepare([("a", "one"), ("d/b", "two")])
    assert sorted(path for path, _ in walk(box.path)) == ["a", "d", "d/b"]
    assert (root / "a").read_text() == "one"


def test_usage_counts_what_the_task_made(box: Box) -> None:
    box.prepare([("d/a", "one")])
    assert box.usage(10) == Usage(0, 0)
    root = Path(box.path)
    (root / "d/x").write_bytes(b"12345")
    (root / "e").mkdir()
    (root / "l").symlink_to("/etc/passwd")
    assert box.usage(10) == Usage(5, 3)
    assert [entry.path for entry in box.files(10)] == ["d/x"]


def test_a_replaced_or_moved_input_is_the_tasks_own_file(box: Box) -> None:
    box.prepare([("a", "one"), ("b", "two")])
    root = Path(box.path)
    (root / "a").unlink()
    (root / "a").write_text("mine")
    (root / "b").rename(root / "c")
    assert [entry.path for entry in box.files(10)] == ["a", "c"]


def test_counting_stops_above_the_limit(box: Box) -> None:
    box.prepare([])
    for number in range(20):
        (Path(box.path) / str(number)).touch()
    assert box.usage(5).files == 6


def test_no_link_is_followed(box: Box, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "file").write_text("s")
    box.prepare([])
    (Path(box.path) / "way").symlink_to(secret)
    assert [path for path, _ in walk(box.path)] == ["way"]
    remove_tree(box.path)
    assert (secret / "file").exists()


def test_a_box_that_is_itself_a_link_is_not_entered(box: Box, tmp_path: Path) -> None:
    os.symlink(tmp_path, box.path)
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        list(walk(box.path))


def deep(root: str, levels: int) -> None:
    here = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d" * 50, dir_fd=here)
        below = os.open("d" * 50, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def test_folders_deeper_than_any_path_are_told_and_removed(box: Box) -> None:
    box.prepare([])
    deep(box.path, 2000)
    with pytest.raises(TooDeep):
        box.usage(10_000)
    box.empty()
    assert not os.path.exists(box.path)


def test_folders_as_deep_as_allowed_are_fine(box: Box) -> None:
    box.prepare([])
    deep(box.path, MAX_DEPTH - 10)
    assert box.usage(1000).files == MAX_DEPTH - 10


def test_walking_leaves_no_descriptor_open(box: Box) -> None:
    box.prepare([])
    deep(box.path, 2000)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(TooDeep):
        box.usage(10_000)
    for _ in walk(box.path):
        break
    box.empty()
    assert len(os.listdir("/proc/self/fd")) == before
