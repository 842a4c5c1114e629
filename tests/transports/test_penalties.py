"""Listening to an sshd that may let nobody in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchwasm.transports import penalties
from batchwasm.transports.ssh_config import Endpoint, settings


@asynccontextmanager
async def linking() -> AsyncIterator[tuple[asyncio.Task[socket.socket], socket.socket]]:
    """The making of a link, and the server's end of it, which has said nothing yet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        options = settings(Endpoint(name="127.0.0.1", port=server.getsockname()[1]))
        task = asyncio.create_task(penalties.linked(options))
        accepted, _ = await asyncio.get_running_loop().sock_accept(server)
        with accepted:
            yield task, accepted


async def test_who_gives_up_while_it_listens_leaves_no_connection_open(home: Path) -> None:
    loop = asyncio.get_running_loop()
    async with linking() as (task, server):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await loop.sock_sendall(server, b"SSH-2.0-late\r\n")
        try:
            assert await loop.sock_recv(server, 1) == b""
        except ConnectionResetError:
            pass  # what was sent was not read


async def test_who_does_not_give_up_has_a_connection_of_which_nothing_is_read(home: Path) -> None:
    async with linking() as (task, server):
        await asyncio.get_running_loop().sock_sendall(server, b"SSH-2.0-x\r\n")
        with await task as link:
            assert link.recv(20) == b"SSH-2.0-x\r\n"
