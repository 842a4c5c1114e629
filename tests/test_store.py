"""The store: whole files or none, by digest, for many processes at once."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from batchwasm.errors import WorldError
from batchwasm.store import STALE_PARTS_S, Store, cache_folder


def test_what_was_put_is_there_by_its_digest_and_read_only(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = store.put(b"module")
    path = store.get(digest)
    assert digest == hashlib.sha256(b"module").hexdigest()
    assert path is not None
    assert path.read_bytes() == b"module"
    assert path.stat().st_mode & 0o777 == 0o444


def test_an_unknown_digest_is_missing(tmp_path: Path) -> None:
    assert Store(tmp_path).get("0" * 64) is None
    assert Store(tmp_path).note("0" * 64) is None


def test_a_damaged_file_is_removed_and_can_be_put_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    digest = store.put(b"module")
    path = store.get(digest)
    assert path is not None
    path.chmod(0o644)
    path.write_bytes(b"modul")
    assert store.get(digest) is None
    assert not path.exists()
    assert store.put(b"module") == digest
    assert store.get(digest) == path


def test_a_note_is_kept_under_its_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep_note("k", b"one")
    store.keep_note("k", b"two")
    assert store.note("k") == b"two"


def test_prune_keeps_what_was_used_last(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old, new = store.put(b"a" * 100), store.put(b"b" * 100)
    for digest, time in ((new, 1000), (old, 2000)):
        os.utime(tmp_path / "wasm" / digest, (time, time))
    assert store.prune(keep_bytes=100) == 100
    assert (store.get(old) is None, store.get(new) is None) == (False, True)


def test_prune_removes_what_a_killed_process_left_half_written(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put(b"module")
    part = tmp_path / "wasm/.part-x"
    part.write_bytes(b"half")
    assert store.prune(keep_bytes=100) == 0
    assert part.exists()
    assert store.prune(keep_bytes=100, now=part.stat().st_mtime + STALE_PARTS_S + 1) == 4
    assert not part.exists()


def _put_many(root: Path, start: threading.Event) -> None:
    start.wait()
    for number in range(50):
        data = bytes([number]) * 10_000
        store = Store(root)
        assert store.get(store.put(data)) is not None


def test_processes_that_put_the_same_modules_at_once_never_see_half_of_one(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Event()
    processes = [context.Process(target=_put_many, args=(tmp_path, start)) for _ in range(4)]
    for process in processes:
        process.start()
    start.set()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert len(list((tmp_path / "wasm").iterdir())) == 50


def test_a_lock_is_held_by_one_thread_at_a_time(tmp_path: Path) -> None:
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with Store(tmp_path).lock("k"):
                inside += 1
                most = max(most, inside)
                os.sched_yield()
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_place_that_cannot_be_written_is_told_with_a_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorldError, match=r"can't keep compiled modules there.*XDG_CACHE_HOME"):
        Store(tmp_path / "file").put(b"module")


def test_the_cache_is_where_xdg_says_else_in_home_else_in_tmp(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/batchwasm")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == home / ".cache/batchwasm"
    assert Store().root == home / ".cache/batchwasm/store"
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cache_folder().name == "batchwasm"
    assert not cache_folder().is_relative_to(tmp_path / "missing")


def test_a_folder_in_tmp_that_others_can_write_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "missing"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ours = tmp_path / f"cache-{os.getuid()}"
    assert cache_folder() == ours / "batchwasm"
    ours.chmod(0o777)
    assert cache_folder().parent != ours
