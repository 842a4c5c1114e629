"""The two ends of a process's stdio that every transport needs: what came in, what may go out, what it complained.

Transports call `feed`, `end` and `fail` from their callbacks; a `Process` awaits `read` and `ready`. No I/O of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from batchwasm.errors import HostError

HIGH_BYTES = 4 * 1024 * 1024  # a sender is paused above this; one frame of the runner's rows fits in
LOW_BYTES = HIGH_BYTES // 4
TAIL_BYTES = 8 * 1024  # enough for a Python traceback, small enough for 500 hosts


class Inbox:
    """Bytes that arrived and were not read yet. `pause` and `resume` act on the sender, so that it stays bounded."""

    def __init__(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self._pause, self._resume = pause, resume
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._paused = self._ended = self._discarding = False
        self._error: HostError | None = None
        self._arrived: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        if self._discarding or not data:
            return
        self._chunks.append(data)
        self._size += len(data)
        if self._size > HIGH_BYTES and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def end(self, error: HostError | None = None) -> None:
        """Nothing more comes. What arrived can still be read; after it comes b"", or `error` is raised."""
        if not self._ended:
            self._ended, self._error = True, error
            self._wake()

    def discard(self) -> None:
        """Nobody will read: forget what is here, and let the sender run to its end."""
        self._discarding = True
        self._chunks.clear()
        self._shrunk(self._size)

    async def read(self, limit: int) -> bytes:
        """Up to `limit` bytes, all that is there already; b"" at the end."""
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self._ended:
                return b""
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        return self._take(limit)

    def _take(self, limit: int) -> bytes:
        taken, size = [], 0
        while self._chunks and size + len(self._chunks[0]) <= limit:
            chunk = self._chunks.popleft()
            taken.append(chunk)
            size += len(chunk)
        if not taken:
            chunk = self._chunks.popleft()
            taken, size = [chunk[:limit]], limit
            self._chunks.appendleft(chunk[limit:])
        self._shrunk(size)
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _shrunk(self, size: int) -> None:
        self._size -= size
        if self._paused and self._size < LOW_BYTES:
            self._paused = False
            self._resume()

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)


class Gate:
    """Shut while the other side does not keep up with what we write; broken when it is gone."""

    def __init__(self) -> None:
        self._shut = False
        self._error: HostError | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def shut(self) -> None:
        self._shut = True

    def open(self) -> None:
        self._shut = False
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    def fail(self, error: HostError) -> None:
        """From now on everybody who writes gets `error`."""
        if self._error is None:
            self._error = error
        self.open()

    async def ready(self) -> None:
        """Returns when more may be written. Raises what `fail` was given."""
        while self._error is None and self._shut:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        if self._error is not None:
            raise self._error


class Tail:
    """The last TAIL_BYTES of a stream, as text."""

    def __init__(self) -> None:
        self._kept = bytearray()

    def feed(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > TAIL_BYTES:
            del self._kept[:-TAIL_BYTES]

    @property
    def text(self) -> str:
        return self._kept.decode("utf-8", "replace").strip()
