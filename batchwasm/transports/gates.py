"""How many logins are begun at once: at one machine that others are behind, and in this process.

Where such a machine refuses the first of them, the others do not try: sshd counts refused logins, and after a few it
lets nobody in.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from batchwasm.errors import HostError

LOGINS_AT_ONE_GATE = 8  # sshd starts dropping at 10 that are not authenticated yet (MaxStartups 10:30:60)
LOGINS_AT_ONCE = 64  # a handshake costs some 50 ms of cpu here: more would time out by waiting for each other
LOCAL_AT_ONCE = 8
AGAIN_AT_ONE_GATE = 2  # with those who log in just as many as it takes
DROPPED_TRIES = 6  # MaxStartups drops at random; with the pauses below these take up to 10 s
REFUSED_S = 30.0  # what the first was told counts so long: by then somebody may have mended it

T = TypeVar("T")
_gates: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Semaphore]] = weakref.WeakKeyDictionary()
_firsts: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _First]] = weakref.WeakKeyDictionary()


@dataclass(kw_only=True, slots=True)
class _First:
    """The first login somewhere of some that come together."""

    refused: asyncio.Future[HostError | None]
    together: int = 0
    """How many are at it now, it too. When all have gone by, who comes then is a first again."""


@contextlib.asynccontextmanager
async def turn(first: str) -> AsyncIterator[None]:
    """Waits for a turn to log in; `first` is the machine that is connected to first, as `host:port`."""
    async with _gate(first, LOGINS_AT_ONE_GATE), _gate("", LOGINS_AT_ONCE):
        yield


@contextlib.asynccontextmanager
async def local() -> AsyncIterator[None]:
    """Waits for a turn to start an ssh that connects to nothing: each is a process here, and there may be hundreds of
    hosts."""
    async with _gate("local", LOCAL_AT_ONCE):
        yield


@contextlib.asynccontextmanager
async def again(first: str) -> AsyncIterator[None]:
    """Waits for a turn to hear why a login was refused, by another one; who logs in does not wait for that."""
    async with _gate(f"{first} again", AGAIN_AT_ONE_GATE), _gate("again", LOGINS_AT_ONCE):
        yield


def _gate(key: str, width: int) -> asyncio.Semaphore:
    gates = _gates.setdefault(asyncio.get_running_loop(), {})
    return gates.setdefault(key, asyncio.Semaphore(width))


async def gateway(name: str, where: str, login: Callable[[], Awaitable[T]]) -> T:
    """`login` at `where` (`user@host:port`), on the way to the host `name`; the first goes alone.

    Raises what it raises, and HostError where the first was refused.
    """
    loop = asyncio.get_running_loop()
    firsts = _firsts.setdefault(loop, {})
    is_first = where not in firsts
    first = firsts.setdefault(where, _First(refused=loop.create_future()))
    first.together += 1
    try:
        if not is_first and (refused := await asyncio.shield(first.refused)) is not None:
            # Of the same class: that says whether a person could be asked for what is missing.
            raise type(refused)(refused.code, f"{name}: {refused.cause.partition(': ')[2]}", refused.cure)
        return await login()
    except HostError as error:
        if is_first and error.code in ("auth", "penalty"):
            first.refused.set_result(error)
            loop.call_later(REFUSED_S, firsts.pop, where)
        raise
    finally:
        if is_first and not first.refused.done():
            first.refused.set_result(None)
        first.together -= 1
        if first.together == 0 and first.refused.result() is None:
            del firsts[where]


async def pause(attempt: int) -> None:
    """Before try number `attempt` (from 1) of a login that was dropped."""
    # Jitter, or all that were dropped together come back together.
    await asyncio.sleep(random.uniform(0.1, 0.3) * 2**attempt)
