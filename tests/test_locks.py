"""Locks between processes, some of which were forked from each other."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from batchwasm.locks import locked
from batchwasm.results import RunFolder
from batchwasm.store import Store


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def forked() -> Iterator[None]:
    """Meanwhile there is a child that has all our files open, too."""
    end, ended = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        child = os.fork()
    if not child:
        os.close(ended)
        signal.alarm(20)
        os.read(end, 1)
        os._exit(0)
    try:
        yield
    finally:
        os.close(ended)
        os.close(end)
        os.waitpid(child, 0)


def test_it_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    """Another descriptor of the same process is another holder, as another process is."""
    came = threading.Event()

    def second() -> None:
        with opened(tmp_path / "lock") as descriptor, locked(descriptor) as alone:
            assert alone
            came.set()

    with opened(tmp_path / "lock") as descriptor:
        with locked(descriptor):
            thread = threading.Thread(target=second)
            thread.start()
            assert not came.wait(0.1)
        assert came.wait(20)
        thread.join()


def test_where_there_are_no_locks_nobody_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError("No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with opened(tmp_path / "lock") as descriptor, locked(descriptor) as alone:
        assert not alone
    with Store(tmp_path).lock("key"):
        pass


def test_a_child_that_was_forked_meanwhile_does_not_keep_it(tmp_path: Path) -> None:
    """It has the file open, too: were it but closed here, the child would hold it, and wait for itself."""
    (tmp_path / "jobs.toml").touch()
    folder, store = RunFolder(path=tmp_path), Store(tmp_path / "store")
    with ExitStack() as stack:
        with store.lock("key"), folder.held():
            stack.enter_context(forked())
        assert folder.is_held() is False
        with opened(tmp_path / "store/locks/key") as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
