"""Locks between processes, on files that are open. The kernel lets go of them when the holder dies."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def locked(descriptor: int) -> Iterator[bool]:
    """Waits for other processes. False where the file system has no locks: then nobody waits for anybody."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        release(descriptor)


def release(descriptor: int) -> None:
    """Before it is closed, which is not enough: a child that was forked meanwhile has it open, too."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
