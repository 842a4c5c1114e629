"""What a build depended on: contents, absences, names."""

from __future__ import annotations

import os
from pathlib import Path

from batchwasm.toolchains.base import Inputs
from batchwasm.toolchains.fingerprint import changed_between, still_true, take
from tests.toolchains.guests import write


def test_a_changed_a_new_and_a_vanished_file_make_it_untrue(tmp_path: Path) -> None:
    write(tmp_path, {"a.h": "1", "b.h": "2"})
    names = frozenset(tmp_path / name for name in ("a.h", "b.h", "absent.h"))
    taken = take(Inputs(files=names), tmp_path)
    assert still_true(taken, tmp_path)
    for change, undo in (({"a.h": "3"}, {"a.h": "1"}), ({"absent.h": ""}, None)):
        write(tmp_path, change)
        assert not still_true(taken, tmp_path)
        write(tmp_path, undo) if undo else (tmp_path / "absent.h").unlink()
        assert still_true(taken, tmp_path)
    (tmp_path / "b.h").unlink()
    assert not still_true(taken, tmp_path)


def test_a_new_name_below_a_folder_makes_it_untrue_but_not_a_hidden_folder(tmp_path: Path) -> None:
    write(tmp_path, {"inc/a.h": "1"})
    taken = take(Inputs(folders=frozenset({tmp_path / "inc"})), tmp_path)
    write(tmp_path, {"inc/.git/x": "", "inc/a.h": "other content"})
    assert still_true(taken, tmp_path)
    write(tmp_path, {"inc/deep/b.h": ""})
    assert not still_true(taken, tmp_path)


def test_it_moves_with_its_tree(tmp_path: Path) -> None:
    write(tmp_path, {"here/src/a.c": "1", "here/inc/a.h": "2"})
    here, there = tmp_path / "here", tmp_path / "there"
    files = frozenset({here / "src/a.c", here / "inc/a.h"})
    taken = take(Inputs(files=files, folders=frozenset({here / "inc"})), here / "src")
    here.rename(there)
    assert still_true(taken, there / "src")


def test_a_file_written_while_it_was_read_is_noticed_unless_the_tool_writes_it(tmp_path: Path) -> None:
    write(tmp_path, {"a.c": "", "Cargo.lock": ""})
    for name in ("a.c", "Cargo.lock"):
        os.utime(tmp_path / name, ns=(1500, 1500))
    lock = frozenset({tmp_path / "Cargo.lock"})
    both = Inputs(files=frozenset({tmp_path / "a.c"}) | lock, written=lock)
    assert changed_between(both, 1000, 2000)
    assert not changed_between(both, 1600, 2000)
    assert not changed_between(Inputs(files=lock, written=lock), 1000, 2000)
