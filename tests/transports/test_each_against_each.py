"""Every client against every server: OpenSSH's, asyncssh's, paramiko's. A word, bytes both ways, an exit code."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchwasm.errors import HostError
from batchwasm.model import Host
from tests.sshd import Servers, Sshd
from tests.transports.servers import asyncssh_server, paramiko_server
from tests.transports.test_contract import MB, connected, read_all
from tests.transports.test_ssh import WAYS


@asynccontextmanager
async def server_of(kind: str, servers: Servers, pool: list[Sshd], home: Path) -> AsyncIterator[Host]:
    if kind == "openssh":
        yield pool[0].host
        return
    key, mine = pool[0].folder / "host_key", servers.client.key.with_suffix(".pub")
    async with contextlib.AsyncExitStack() as stack:
        if kind == "asyncssh":
            port = await stack.enter_async_context(asyncssh_server(key, mine))
        else:
            port = stack.enter_context(paramiko_server(key, mine))
        (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {pool[0].host_key}\n")
        yield Host(name="it", address="127.0.0.1", port=port)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["openssh", "asyncssh", "paramiko"])
async def test_a_client_and_a_server_understand_each_other(
    kind: str, way: str, ssh_servers: Servers, ssh_pool: list[Sshd], home: Path
) -> None:
    data = os.urandom(MB)
    async with server_of(kind, ssh_servers, ssh_pool, home) as host, connected(reached(host, way)) as transport:
        process = await transport.spawn("echo hello; echo trouble >&2; exit 7")
        assert await read_all(process) == b"hello\n"
        assert await process.close() == 7
        assert process.stderr_tail == "trouble"
        process = await transport.spawn("cat")
        await process.write(data)
        got = b""
        while len(got) < len(data):
            got += await process.read(MB)
        assert got == data
        assert await process.close() == 0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["asyncssh", "paramiko"])
async def test_an_unknown_key_of_a_server_of_another_make_is_refused(
    kind: str, way: str, ssh_servers: Servers, ssh_pool: list[Sshd], home: Path
) -> None:
    async with server_of(kind, ssh_servers, ssh_pool, home) as host:
        (home / ".ssh/known_hosts").write_text("")
        with pytest.raises(HostError) as caught:
            async with connected(reached(host, way)):
                pass
    assert caught.value.code == "key"
    assert ssh_pool[0].fingerprint in str(caught.value)


def reached(host: Host, way: str) -> Host:
    return Host(name=host.name, address=host.address, port=host.port, transport=way)
