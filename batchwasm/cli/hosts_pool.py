"""Asking many hosts at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from batchwasm.model import Host

T = TypeVar("T")
AT_ONCE = 64  # logins under way: 500 hosts answer in seconds, and no gateway takes it for an attack


async def each(hosts: Sequence[Host], ask: Callable[[Host], Awaitable[T]], told: Callable[[int, T], None]) -> list[T]:
    """`ask` of all hosts; `told` (number, answer) of each as it comes; the answers in the hosts' order."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, host: Host) -> T:
        async with room:
            answer = await ask(host)
        told(number, answer)
        return answer

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, host)) for number, host in enumerate(hosts)]
    return [task.result() for task in tasks]


def untold(number: int, answer: object) -> None:
    """For who waits for all answers."""
