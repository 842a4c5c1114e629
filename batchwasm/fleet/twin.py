"""AsyncFleet: the same for code that awaits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from itertools import islice
from typing import Any

from batchwasm.fleet.executor import Fleet
from batchwasm.fleet.function import Function


class AsyncFleet:
    """A Fleet whose waits are awaited. Made with the same arguments; use it in an `async with`.

    async with AsyncFleet("lab.toml") as fleet:
        mean = await fleet.function("stats.cpp", "mean")
        await fleet.call(mean, [1.0, 2.0])
        async for value in fleet.map(mean, rows): ...
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        self._given = args, options
        self._made: Fleet | None = None

    async def __aenter__(self) -> AsyncFleet:
        args, options = self._given
        self._made = await asyncio.to_thread(Fleet, *args, **options)
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        await self.shutdown(cancel_futures=kind is not None)

    @property
    def fleet(self) -> Fleet:
        """The Fleet behind it."""
        if self._made is None:
            raise RuntimeError("an AsyncFleet is there inside `async with`")
        return self._made

    async def function(self, source: Any, name: str, **settings: Any) -> Function:
        """As Fleet.function."""
        return await asyncio.to_thread(self.fleet.function, source, name, **settings)

    async def call(self, fn: Function, /, *args: Any, **named: Any) -> Any:
        """The call's value; cancelling this cancels the call. Raises BadArgument, TaskFailed."""
        return await asyncio.wrap_future(self.fleet.submit(fn, *args, **named))

    async def map(
        self, fn: Function, *iterables: Iterable[Any], ordered: bool = True, in_flight: int = 1000
    ) -> AsyncIterator[Any]:
        """As Fleet.map: the values, lazily, with at most `in_flight` calls on the way."""
        rows = zip(*iterables, strict=False)
        sent: deque[asyncio.Future[Any]] = deque()  # in order
        ended: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()  # or as they end
        running: set[asyncio.Future[Any]] = set()
        under_way = 0
        try:
            while True:
                for row in islice(rows, in_flight - under_way):
                    future = asyncio.wrap_future(self.fleet.submit(fn, *row))
                    under_way += 1
                    running.add(future)
                    future.add_done_callback(running.discard)
                    if ordered:
                        sent.append(future)
                    else:
                        future.add_done_callback(ended.put_nowait)
                if not under_way:
                    return
                yield await (sent.popleft() if ordered else await ended.get())
                under_way -= 1
        finally:
            for future in list(running):
                future.cancel()

    async def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As Fleet.shutdown."""
        await asyncio.to_thread(self.fleet.shutdown, wait, cancel_futures=cancel_futures)
