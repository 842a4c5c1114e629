"""How fast bytes go to a host and back, by sending some: 1.3 MiB each way at most, far less on a slow link."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from batchwasm.engine.depot import Depot
from batchwasm.model import KIB

SIZES = (16 * KIB, 64 * KIB, 256 * KIB, 1024 * KIB)
ENOUGH_S = 0.12  # the next size, four times as large, would take half a second
SHORTEST_S = 0.0002  # less is the clock's own noise


@dataclass(frozen=True, kw_only=True, slots=True)
class Speed:
    """Bytes a second, over the transport and its encryption as a run's own bytes go."""

    up: float
    down: float


async def measure(depot: Depot, round_trip_s: float) -> Speed:
    """Raises HostError. `round_trip_s` is what an answer without content takes."""
    return Speed(
        up=await _rate(lambda size: depot.take(os.urandom(size)), round_trip_s),
        down=await _rate(depot.give, round_trip_s),
    )


async def _rate(send: Callable[[int], Awaitable[float]], round_trip_s: float) -> float:
    """By the largest size that was sent: the smaller ones only say whether it may be."""
    for size in SIZES:
        took = max(await send(size) - round_trip_s, SHORTEST_S)
        if took > ENOUGH_S:
            break
    return size / took
