"""Logins at a gateway: one goes first, and what it is told counts for those that come with it."""

from __future__ import annotations

import asyncio

import pytest

from batchwasm.errors import HostError
from batchwasm.transports import gates
from batchwasm.transports.ssh_keys import Locked

WHERE = "alice@gate:22"


async def together(*, error: HostError | None, hosts: int = 3) -> tuple[int, list[HostError]]:
    """How many of the hosts' logins were begun at the gateway, and what they all met."""
    begun = 0

    async def login() -> None:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0)
        if error is not None:
            raise error

    logins = [gates.gateway(f"lab{n}", WHERE, login) for n in range(hosts)]
    results = await asyncio.gather(*logins, return_exceptions=True)
    return begun, [result for result in results if isinstance(result, HostError)]


async def test_the_first_that_is_refused_speaks_for_all_with_them_as_what_it_is() -> None:
    begun, errors = await together(error=Locked("auth", "lab0: gate refuses user alice", "ssh-add"))
    assert begun == 1
    assert [str(error) for error in errors] == [f"lab{n}: gate refuses user alice; ssh-add" for n in range(3)]
    assert {type(error) for error in errors} == {Locked}


@pytest.mark.parametrize("before", [None, HostError("unreachable", "lab0: gate: no answer")])
async def test_a_gateway_that_refuses_only_later_refuses_one(before: HostError | None) -> None:
    begun, errors = await together(error=before)
    assert begun == 3
    assert {error.code for error in errors} == ({"unreachable"} if before else set())
    begun, errors = await together(error=HostError("auth", "lab0: gate refuses user alice"))
    assert (begun, len(errors)) == (1, 3)


async def test_who_gives_up_as_the_first_leaves_the_others_to_try() -> None:
    begun = asyncio.Event()

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    first = asyncio.create_task(gates.gateway("lab0", WHERE, never))
    await begun.wait()
    others = asyncio.create_task(together(error=None, hosts=2))
    await asyncio.sleep(0)
    first.cancel()
    assert await others == (2, [])
