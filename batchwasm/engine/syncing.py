"""What was written into the run folder survives a power cut: told to the disk for all who wait for it at once.

A host forgets a task's files when their record is in the journal, which the disk may have before the files themselves.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path


class Syncing:
    """Of one file system, that of `folder`."""

    def __init__(self, folder: Path, sync: Callable[[Path], None] | None = None) -> None:
        self._folder = folder
        self._sync = sync or sync_file_system
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def done(self) -> None:
        """All that was written before the call is on the disk; a failure to get it there is not ours to mend."""
        if self._next is None:  # one that began before may have missed what was written since
            self._next = asyncio.ensure_future(self._after(self._running))
        await asyncio.shield(self._next)

    async def _after(self, other: asyncio.Task[None] | None) -> None:
        if other is not None:
            await asyncio.wait([other])
        self._running, self._next = self._next, None
        await asyncio.to_thread(self._sync, self._folder)


def sync_file_system(folder: Path) -> None:
    """Takes a fraction of a millisecond where little was written, and as long as the disk needs where much was."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None or syncfs(descriptor) != 0:
            os.sync()
    finally:
        os.close(descriptor)
