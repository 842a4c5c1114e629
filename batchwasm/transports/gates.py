"""How many logins are begun at once: at one machine that others are behind, and in this process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import weakref
from collections.abc import AsyncIterator

LOGINS_AT_ONE_GATE = 8  # sshd starts dropping at 10 that are not authenticated yet (MaxStartups 10:30:60)
LOGINS_AT_ONCE = 64  # a handshake costs some 50 ms of cpu here: more would time out by waiting for each other
DROPPED_TRIES = 6  # MaxStartups drops at random; with the pauses below these take up to 10 s

_gates: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]] = weakref.WeakKeyDictionary()


@contextlib.asynccontextmanager
async def turn(first: str) -> AsyncIterator[None]:
    """Waits for a turn to log in; `first` is the machine that is connected to first, as `host:port`."""
    async with _gate(first, LOGINS_AT_ONE_GATE), _gate("", LOGINS_AT_ONCE):
        yield


def _gate(key: str, width: int) -> asyncio.Semaphore:
    gates = _gates.setdefault(asyncio.get_running_loop(), {})
    return gates.setdefault(key, asyncio.Semaphore(width))


async def pause(attempt: int) -> None:
    """Before try number `attempt` (from 1) of a login that was dropped."""
    # Jitter, or all that were dropped together come back together.
    await asyncio.sleep(random.uniform(0.1, 0.3) * 2**attempt)
