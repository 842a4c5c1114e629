"""A channel of asyncssh's where it ends just when it is looked at."""

from __future__ import annotations

import asyncio

import pytest

from batchwasm.transports import make
from tests.sshd import Sshd


async def test_a_process_that_ends_just_when_it_is_given_up_is_closed_all_the_same(
    ssh_pool: list[Sshd], monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = make(ssh_pool[0].host)
    await transport.connect()
    try:
        process = await transport.spawn("exit 3")
        while await process.read(65536):
            pass
        async with asyncio.timeout(10):
            await process._closed.wait()  # type: ignore[attr-defined]

        async def too_late(seconds: float) -> bool:
            return False

        monkeypatch.setattr(process, "_ends_within", too_late)
        assert await process.close() == 3
    finally:
        await transport.close()
