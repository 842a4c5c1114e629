"""Blocking calls of a library beside the event loop: a thread of its own for each.

Not asyncio's pool: it has a few threads, which hosts that do not answer would hold, and waits for them at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    """What `work` returns or raises. Who is cancelled here leaves it running: it must end by itself."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def body() -> None:
        try:
            result = work()
        except Exception as error:
            post(loop, _settle, future, future.set_exception, error)
        else:
            post(loop, _settle, future, future.set_result, result)

    start(body)
    return await future


def _settle(future: asyncio.Future[T], how: Callable[[Any], None], value: object) -> None:
    if not future.done():
        how(value)


def start(body: Callable[[], None]) -> None:
    threading.Thread(target=body, daemon=True).start()


def post(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *arguments: object) -> None:
    """From a thread: call this in the loop, unless it is closed meanwhile."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *arguments)
