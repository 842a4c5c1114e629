"""AsyncFleet does the same, awaited."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from batchwasm import AsyncFleet, TaskFailed


@pytest.mark.parametrize("ordered", [True, False])
async def test_calls_and_maps_are_awaited(home: Path, picky: Path, ordered: bool) -> None:
    async with AsyncFleet() as fleet:
        picked = await fleet.function(picky, "picky")
        assert await asyncio.gather(*(fleet.call(picked, n) for n in range(5))) == list(range(5))
        rows = [n % 10 for n in range(500)]
        found = [value async for value in fleet.map(picked, rows, ordered=ordered, in_flight=50)]
        assert found == rows if ordered else sorted(found) == sorted(rows)
        with pytest.raises(TaskFailed):
            await fleet.call(picked, 13)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await fleet.call(picked, 14)


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_map_holds_no_more_futures_than_are_on_the_way(home: Path, picky: Path, ordered: bool) -> None:
    async with AsyncFleet() as fleet:
        picked = await fleet.function(picky, "picky")
        most = 0
        async for _ in fleet.map(picked, [1] * 2000, ordered=ordered, in_flight=20):
            most = max(most, len(fleet.fleet._futures))
        assert most <= 60  # some are ended and not yet collected
