"""A command at the other end of an SSH channel: asyncssh's callbacks, and transports.base.Process for us."""

from __future__ import annotations

import asyncio
from typing import cast

import asyncssh

from batchwasm.errors import HostLost
from batchwasm.transports.announced import PidLine, killing
from batchwasm.transports.stdio import Gate, Inbox, Tail

CLOSE_S = 2.0  # what a command gets between the end of its stdin and SIGKILL; a relay needs milliseconds
CUT_S = 5.0  # what a host gets to start `kill`, and sshd to notice


class SshProcess(asyncssh.SSHClientSession[bytes]):
    """Made by the session factory of `SshTransport.spawn`; usable when that has returned."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._connection: asyncssh.SSHClientConnection | None = None
        self._inbox = Inbox(self._pause, self._resume)
        self._gate = Gate()
        self._tail = Tail()
        self._code: int | None = None
        self._closed = asyncio.Event()
        self._pid_line = PidLine()

    # asyncssh's side

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._channel = chan
        # Kept here: the channel forgets it when it ends, which may be before we hear of that.
        self._connection = cast(asyncssh.SSHClientConnection, chan.get_connection())

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype is None:
            self._pid_line.look(data)
            self._inbox.feed(data)
        else:
            self._tail.feed(self._pid_line.without(data))

    def eof_received(self) -> bool:
        self._inbox.end()
        return True  # keep the channel: the exit status comes after it

    def exit_status_received(self, status: int) -> None:
        self._code = status

    def connection_lost(self, exc: Exception | None) -> None:
        lost = HostLost(f"{self._name}: {_why(exc)}" if exc else f"{self._name}: the process there no longer reads")
        self._gate.fail(lost)
        self._inbox.end(lost if exc else None)
        self._closed.set()

    def pause_writing(self) -> None:
        self._gate.shut()

    def resume_writing(self) -> None:
        self._gate.open()

    def _pause(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def _resume(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()

    # our side

    async def read(self, limit: int) -> bytes:
        return await self._inbox.read(limit)

    async def write(self, data: bytes) -> None:
        await self._gate.ready()
        assert self._channel is not None
        try:
            self._channel.write(data)
        except BrokenPipeError as error:  # closed by us, or by them a moment ago
            raise HostLost(f"{self._name}: the process there no longer reads") from error
        await self._gate.ready()

    async def close(self) -> int | None:
        assert self._channel is not None
        self._inbox.discard()
        try:
            if not self._channel.is_closing():
                self._channel.write_eof()
            if not await self._ends_within(CLOSE_S):
                await self._kill()
        except (TimeoutError, OSError, asyncssh.Error):
            pass  # the channel or the connection closed between the look and the call
        finally:
            self._channel.abort()
        return self._code

    async def _kill(self) -> None:
        """Closing the channel would leave a command running that neither reads nor writes.

        sshd passes signals on only where the user is not root, so it is another command that kills this one's group.
        """
        assert self._connection is not None
        if pid := self._pid_line.pid:
            async with asyncio.timeout(CUT_S):
                await self._connection.create_session(
                    asyncssh.SSHClientSession, killing(pid), encoding=None, request_pty=False
                )
                await self._closed.wait()

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return False
        return True

    @property
    def stderr_tail(self) -> str:
        return self._pid_line.and_early(self._tail.text)


def _why(error: Exception) -> str:
    return f"the connection was lost ({error})" if str(error) else "the connection was lost"
