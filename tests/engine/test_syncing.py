"""Who wants the disk to have what was written waits for one look at it that began afterwards, with all others."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from batchwasm.engine.syncing import Syncing, sync_file_system


async def test_those_who_come_while_the_disk_is_at_it_share_the_next_time(tmp_path: Path) -> None:
    began, go_on = threading.Semaphore(0), threading.Semaphore(0)
    times: list[int] = []

    def sync(folder: Path) -> None:
        times.append(1)
        began.release()
        go_on.acquire()

    syncing = Syncing(tmp_path, sync)
    first = asyncio.ensure_future(syncing.done())
    await asyncio.to_thread(began.acquire)
    later = [asyncio.ensure_future(syncing.done()) for _ in range(3)]
    later[0].cancel()
    go_on.release()
    await first
    assert not later[1].done()
    go_on.release()
    await asyncio.gather(*later[1:])
    assert len(times) == 2


async def test_a_folder_that_is_gone_is_nothing_to_wait_for(tmp_path: Path) -> None:
    await Syncing(tmp_path).done()
    sync_file_system(tmp_path / "gone")
