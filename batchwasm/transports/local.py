"""This machine as a host: commands are subprocesses, each with its own process group. No connection, no files."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from batchwasm.errors import HostError, HostLost
from batchwasm.transports import groups
from batchwasm.transports.stdio import Gate, Inbox, Tail

LAST_WORDS_S = 0.5  # what comes through the pipes after the end; a child that goes on may hold them open
CLOSE_S = 2.0  # what a command gets between the end of its stdin and SIGKILL; a relay needs milliseconds


class LocalTransport:
    """Starts commands with /bin/sh, as sshd would with the user's shell."""

    def __init__(self, *, name: str) -> None:
        self._name = name
        self._processes: set[LocalProcess] = set()

    async def connect(self) -> None:
        """Nothing to connect; there for the sake of the protocol."""

    async def spawn(self, command: str) -> LocalProcess:
        return await self.start(["/bin/sh", "-c", command])

    async def start(
        self, argv: Sequence[str], *, folder: str | None = None, environment: Mapping[str, str] | None = None
    ) -> LocalProcess:
        """A program without a shell, which a machine may be without."""
        loop = asyncio.get_running_loop()
        try:
            # Its own session: a Ctrl-C at the terminal is for us, who then end the command in order.
            transport, process = await loop.subprocess_exec(
                lambda: LocalProcess(self._name), *argv, start_new_session=True, cwd=folder, env=environment
            )
        except OSError as error:
            cause = f"{self._name}: can't start a process: {error.strerror or error}"
            raise HostError("local", cause, "free some processes, memory or file descriptors") from error
        process.started(transport)
        self._processes.add(process)
        return process

    async def close(self) -> None:
        """Ends every command that still runs."""
        processes, self._processes = self._processes, set()
        for process in processes:
            await process.close()


class LocalProcess(asyncio.SubprocessProtocol):
    """A subprocess; see transports.base.Process."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._stdout: asyncio.ReadTransport | None = None
        self._inbox = Inbox(self._pause, self._resume)
        self._gate = Gate()
        self._tail = Tail()
        self._exited = asyncio.Event()
        self._drained = asyncio.Event()

    def started(self, transport: asyncio.SubprocessTransport) -> None:
        self._transport = transport

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        pipes = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, pipes.get_pipe_transport(0))
        self._stdout = cast(asyncio.ReadTransport, pipes.get_pipe_transport(1))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._inbox.feed(data)
        else:
            self._complained(data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 0:
            self._gate.fail(HostLost(f"{self._name}: the process there no longer reads"))
        elif fd == 1:
            self._ended()

    def process_exited(self) -> None:
        self._exited.set()

    def _complained(self, data: bytes) -> None:
        self._tail.feed(data)

    def _ended(self) -> None:
        self._inbox.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ended, and all pipes are at their end."""
        self._drained.set()

    def pause_writing(self) -> None:
        self._gate.shut()

    def resume_writing(self) -> None:
        self._gate.open()

    def _pause(self) -> None:
        if self._stdout is not None and not self._stdout.is_closing():
            self._stdout.pause_reading()

    def _resume(self) -> None:
        if self._stdout is not None and not self._stdout.is_closing():
            self._stdout.resume_reading()

    # our side

    async def read(self, limit: int) -> bytes:
        return await self._inbox.read(limit)

    async def write(self, data: bytes) -> None:
        await self._gate.ready()
        assert self._stdin is not None
        self._stdin.write(data)
        await self._gate.ready()

    async def close(self) -> int | None:
        assert self._transport is not None
        self._inbox.discard()
        if self._stdin is not None:
            self._stdin.close()
        try:
            if not await happens(self._exited, CLOSE_S):
                await self._cut()
                await self._exited.wait()
            await happens(self._drained, LAST_WORDS_S)
        finally:
            self._kill()
            code = self._transport.get_returncode()
            self._transport.close()
        return code if code is not None and code >= 0 else None

    async def _cut(self) -> None:
        """It does not end by itself."""
        self._kill()

    def _kill(self) -> None:
        """The whole group, which is named by the pid of a child that is not reaped yet."""
        if self._transport is not None and self._transport.get_returncode() is None:
            groups.kill(self._transport.get_pid())

    @property
    def stderr_tail(self) -> str:
        return self._tail.text


async def happens(event: asyncio.Event, within_s: float) -> bool:
    """False where it did not."""
    try:
        async with asyncio.timeout(within_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
