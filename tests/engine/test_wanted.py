"""Two attempts of one task never bring their files to the run folder at once."""

from __future__ import annotations

import asyncio

from batchwasm.engine.wanted import Claims


async def test_a_second_report_of_a_task_waits_for_the_first() -> None:
    claims = Claims()
    await claims.take(0, 7, "h", 1, 1)
    await claims.take(0, 7, "h", 1, 1)
    await claims.take(0, 8, "h", 2, 1)
    second = asyncio.create_task(claims.take(0, 7, "h", 2, 5))
    third = asyncio.create_task(claims.take(0, 7, "h", 3, 1))
    await asyncio.sleep(0)
    assert not second.done()
    claims.give_back("h", 2, 1)
    await asyncio.sleep(0)
    assert not second.done()
    claims.give_back("h", 1, 1)
    await second
    await asyncio.sleep(0)
    assert not third.done()
    claims.give_back("h", 2, 5)
    await third


async def test_a_host_gives_back_nothing_that_another_one_has() -> None:
    """It may report on the other one's batch, and under its number."""
    claims = Claims()
    await claims.take(0, 7, "g", 1, 1)
    second = asyncio.create_task(claims.take(0, 7, "h", 1, 1))
    claims.give_back("h", 1, 1)
    await asyncio.sleep(0)
    assert not second.done()
    claims.give_back("g", 1, 1)
    await second
