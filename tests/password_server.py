"""A server that takes a password, and keys of a real authorized_keys: asyncssh's own, which starts real shells.

It needs no user with a password on this machine. It runs in a thread with an event loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

USER, PASSWORD, CODE = "alice", 'it\'s "secret" $HOME', "123456"


@dataclass
class PasswordServer:
    """Of one user, whose home is a folder of the test's. `prompts` are asked instead of for a password."""

    name: str
    folder: Path
    passwords: bool = True
    password: str = PASSWORD
    prompts: Sequence[str] = ()
    in_turn: bool = False
    """Each when the one before was answered rightly, not all at once."""
    port: int = 0
    tried: list[str] = field(default_factory=list)
    """The passwords that were given."""
    refused: int = 0
    """Logins that were begun and did not succeed."""
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def authorized_keys(self) -> Path:
        return self.home / ".ssh/authorized_keys"

    @property
    def fingerprint(self) -> str:
        return self.key.get_fingerprint()

    def __post_init__(self) -> None:
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.home.mkdir(parents=True, exist_ok=True)

    @property
    def ssh_config(self) -> str:
        return f"Host {self.name}\n  HostName 127.0.0.1\n  Port {self.port}\n"

    async def listen(self) -> asyncssh.SSHAcceptor:
        acceptor = await asyncssh.create_server(
            lambda: _Asks(self),
            "127.0.0.1",
            0,
            server_host_keys=[self.key],
            process_factory=self._run,
            encoding=None,
            allow_pty=False,
        )
        self.port = acceptor.get_port()
        return acceptor

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        child = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", process.command or "exit 1"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.home,
            env={"HOME": str(self.home), "PATH": os.environ["PATH"]},
        )
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        fed = asyncio.create_task(_pump(process.stdin, child.stdin))
        try:
            await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
            process.exit(await child.wait())
        finally:
            fed.cancel()


async def _pump(source: Any, sink: Any) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await source.read(64 * 1024):
            sink.write(data)
            await sink.drain()
        if not isinstance(sink, asyncssh.SSHWriter):
            sink.close()


class _Asks(asyncssh.SSHServer):
    def __init__(self, server: PasswordServer) -> None:
        self._server = server

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._server.connections.append(conn)

    def begin_auth(self, username: str) -> bool:
        self._server.refused += 1
        if self._server.authorized_keys.exists():
            self._connection.set_authorized_keys(str(self._server.authorized_keys))
        return True

    def public_key_auth_supported(self) -> bool:
        return True  # as sshd does, also to who has no authorized_keys

    def auth_completed(self) -> None:
        self._server.refused -= 1

    def password_auth_supported(self) -> bool:
        return self._server.passwords and not self._server.prompts

    def validate_password(self, username: str, password: str) -> bool:
        self._server.tried.append(password)
        return (username, password) == (USER, self._server.password)

    def kbdint_auth_supported(self) -> bool:
        return bool(self._server.prompts)

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> asyncssh.KbdIntChallenge:
        self._given: list[str] = []
        return self._challenge()

    def _challenge(self) -> asyncssh.KbdIntChallenge:
        left = self._server.prompts[len(self._given) :]
        return ("", "", "", [(prompt, False) for prompt in (left[:1] if self._server.in_turn else left)])

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool | asyncssh.KbdIntChallenge:
        self._server.tried.extend(responses)
        self._given += responses
        if (username, *self._given) != (USER, *(PASSWORD, CODE)[: len(self._given)]):
            return False
        return True if len(self._given) == len(self._server.prompts) else self._challenge()


@contextmanager
def listening(*servers: PasswordServer) -> Iterator[None]:
    """While inside, they do."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> list[asyncssh.SSHAcceptor]:
        return [await server.listen() for server in servers]

    async def stop(acceptors: list[asyncssh.SSHAcceptor]) -> None:
        for acceptor in acceptors:
            acceptor.close()
            await acceptor.wait_closed()
        for connection in (one for server in servers for one in server.connections):
            connection.abort()
            await connection.wait_closed()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    acceptors = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(stop(acceptors), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
