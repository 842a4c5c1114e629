"""SSH servers of asyncssh and of paramiko in this process, which run commands with sh. OpenSSH's: tests/sshd.py."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import BinaryIO

import asyncssh
import paramiko

CHUNK = 32 * 1024


@asynccontextmanager
async def asyncssh_server(host_key: Path, authorized: Path, code: str | None = None) -> AsyncIterator[int]:
    """Its port on 127.0.0.1. With a `code` it asks for that, and takes no key."""
    connections: list[asyncssh.SSHServerConnection] = []

    class Server(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            connections.append(conn)

        def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
            return True  # it is a gateway, too

        def kbdint_auth_supported(self) -> bool:
            return code is not None

        def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> asyncssh.KbdIntChallenge:
            return "", "", "", [("Code: ", False)]

        def validate_kbdint_response(self, username: str, responses: asyncssh.KbdIntResponse) -> bool:
            return list(responses) == [code]

    async def serve(process: asyncssh.SSHServerProcess[bytes]) -> None:
        pipe = asyncio.subprocess.PIPE
        command = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", process.command or ""), stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
        assert command.stdin is not None
        assert command.stdout is not None
        assert command.stderr is not None
        feeding = asyncio.create_task(_feed_it(process.stdin, command.stdin))
        await asyncio.gather(_pass_on(command.stdout, process.stdout), _pass_on(command.stderr, process.stderr))
        process.exit(await command.wait())
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)

    server = await asyncssh.listen(
        *("127.0.0.1", 0),
        server_host_keys=[str(host_key)],
        authorized_client_keys=str(authorized) if code is None else [],
        server_factory=Server,
        process_factory=serve,
        encoding=None,
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()
        for connection in connections:
            connection.abort()
            await connection.wait_closed()


async def _feed_it(source: asyncssh.SSHReader[bytes], sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncssh.Error):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    sink.close()


async def _pass_on(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    with contextlib.suppress(ConnectionError, asyncssh.Error):
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()


@contextmanager
def paramiko_server(host_key: Path, authorized: Path) -> Iterator[int]:
    """Its port on 127.0.0.1."""
    key = paramiko.PKey.from_path(str(host_key))
    blob = authorized.read_text().split()[1]
    connections: list[paramiko.Transport] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                connection = paramiko.Transport(client)
                connection.add_server_key(key)
                connections.append(connection)
                with contextlib.suppress(paramiko.SSHException, EOFError):
                    connection.start_server(server=_Server(blob))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in connections:
                connection.close()
                connection.join(5)


class _Server(paramiko.ServerInterface):
    def __init__(self, authorized: str) -> None:
        self._authorized = authorized

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        return paramiko.AUTH_SUCCESSFUL if key.get_base64() == self._authorized else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED if kind == "session" else paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=_run, args=(channel, command), daemon=True).start()
        return True


def _run(channel: paramiko.Channel, command: bytes) -> None:
    pipe = subprocess.PIPE
    line = ["/bin/sh", "-c", command.decode()]
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        pumps = [
            threading.Thread(target=_pump, args=(process.stdout, channel.sendall)),
            threading.Thread(target=_pump, args=(process.stderr, channel.sendall_stderr)),
        ]
        feeding = threading.Thread(target=_feed, args=(channel, process.stdin), daemon=True)
        for thread in (*pumps, feeding):
            thread.start()
        for thread in pumps:
            thread.join()
        code = process.wait()
        with contextlib.suppress(OSError, EOFError):
            channel.send_exit_status(code)
            channel.close()
        feeding.join()


def _pump(source: BinaryIO, send: object) -> None:
    with contextlib.suppress(OSError, EOFError):
        while data := source.read1(CHUNK):  # type: ignore[attr-defined]
            send(data)  # type: ignore[operator]


def _feed(channel: paramiko.Channel, sink: BinaryIO) -> None:
    with contextlib.suppress(OSError, EOFError), sink:
        while data := channel.recv(CHUNK):
            sink.write(data)
            sink.flush()
