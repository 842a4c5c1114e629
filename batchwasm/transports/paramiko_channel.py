"""A command at the other end of a channel of paramiko's, which blocks: a thread for each of its three streams.

The threads are held back as a sender is: by what was not read here yet, and by the window of the other side.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable

import paramiko

from batchwasm.errors import HostLost
from batchwasm.transports.announced import PidLine, killing
from batchwasm.transports.local import happens
from batchwasm.transports.stdio import HIGH_BYTES, LOW_BYTES, Gate, Inbox, Tail
from batchwasm.transports.threads import in_thread, post, start

CLOSE_S = 2.0  # what a command gets between the end of its stdin and SIGKILL; a relay needs milliseconds
CUT_S = 5.0  # what a host gets to start `kill`, and sshd to notice
RECEIVE_BYTES = 256 * 1024
SEND_BYTES = 32 * 1024  # a packet: paramiko copies all that is left of a buffer for each
GONE = (OSError, EOFError, paramiko.SSHException)
"""What paramiko raises where a connection ends under a call."""
LAST_WORDS_S = 0.5  # between the end of stdout and of stderr, which are one message, taken by two threads
LOST_S = 0.3  # between the end of a connection's channels and its own, in one thread there


class ParamikoProcess:
    """Made for a channel on which a command was started; see transports.base.Process."""

    def __init__(self, name: str, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        self._name, self._transport, self._channel = name, transport, channel
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(lambda: None, lambda: None)  # it is `_room` that holds the sender back
        self._room = _Room()
        self._gate = Gate()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._unsent = 0
        self._writes = False
        self._tail = Tail()
        self._pid_line = PidLine()
        self._code: int | None = None
        self._closed = asyncio.Event()
        self._heard = threading.Event()
        start(self._receive)
        start(self._listen)

    # the threads' side

    def _receive(self) -> None:
        try:
            while data := self._channel.recv(RECEIVE_BYTES):
                self._room.take(len(data))
                self._post(self._received, data)
        except GONE:
            pass  # while it told the other side what it may send
        ended = self._channel.eof_received or self._channel.exit_status >= 0
        lost = None if ended else self._lost()
        self._post(self._read_all, lost)
        code = self._channel.recv_exit_status()
        self._heard.wait(LAST_WORDS_S)
        self._post(self._ended, code, lost or (self._lost() if code < 0 else None))

    def _listen(self) -> None:
        try:
            while data := self._channel.recv_stderr(RECEIVE_BYTES):
                self._post(self._complained, data)
        except GONE:
            pass  # `_receive` tells
        finally:
            self._heard.set()

    def _send(self) -> None:
        try:
            while (data := self._outgoing.get()) is not None:
                for at in range(0, len(data), SEND_BYTES):
                    self._channel.sendall(data[at : at + SEND_BYTES])
                self._post(self._sent, len(data))
            self._channel.shutdown_write()
        except GONE:
            lost = self._lost() or HostLost(f"{self._name}: the process there no longer reads")
            self._post(self._gate.fail, lost)

    def _lost(self) -> HostLost | None:
        """The error where it is the connection that ended, which its channels hear of first."""
        self._transport.join(LOST_S)
        if self._transport.is_active():
            return None
        error = self._transport.get_exception()
        return HostLost(f"{self._name}: the connection was lost" + (f" ({error})" if error and str(error) else ""))

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        post(self._loop, call, *arguments)

    # called in the loop

    def _received(self, data: bytes) -> None:
        self._pid_line.look(data)
        self._inbox.feed(data)

    def _complained(self, data: bytes) -> None:
        self._tail.feed(self._pid_line.without(data))

    def _read_all(self, lost: HostLost | None) -> None:
        if lost is not None:
            self._gate.fail(lost)
        self._inbox.end(lost)

    def _sent(self, size: int) -> None:
        self._unsent -= size
        if self._unsent < LOW_BYTES:
            self._gate.open()

    def _ended(self, code: int, lost: HostLost | None) -> None:
        self._code = code if code >= 0 else None
        self._gate.fail(lost or HostLost(f"{self._name}: the process there no longer reads"))
        self._closed.set()

    # our side

    async def read(self, limit: int) -> bytes:
        data = await self._inbox.read(limit)
        self._room.give(len(data))
        return data

    async def write(self, data: bytes) -> None:
        await self._gate.ready()
        self._start_writing()
        self._unsent += len(data)
        self._outgoing.put(data)
        if self._unsent > HIGH_BYTES:
            self._gate.shut()
        await self._gate.ready()

    def _start_writing(self) -> None:
        if not self._writes:
            self._writes = True
            start(self._send)

    async def close(self) -> int | None:
        self._inbox.discard()
        self._room.open()
        self._start_writing()
        self._outgoing.put(None)
        try:
            if not await happens(self._closed, CLOSE_S):
                await self._kill()
        finally:
            start(self._let_go)
        return self._code

    async def _kill(self) -> None:
        """Closing the channel would leave a command running that neither reads nor writes."""
        if pid := self._pid_line.pid:
            try:
                async with asyncio.timeout(CUT_S):
                    await in_thread(lambda: self._transport.open_session(timeout=CUT_S).exec_command(killing(pid)))
                    await self._closed.wait()
            except (TimeoutError, *GONE):
                pass  # the connection is gone, or takes no more sessions

    def _let_go(self) -> None:
        with contextlib.suppress(*GONE):
            self._channel.close()

    @property
    def stderr_tail(self) -> str:
        return self._pid_line.and_early(self._tail.text)


class _Room:
    """What may be received and was not read yet: HIGH_BYTES and a chunk. The thread waits for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._taken = 0
        self._open = False

    def take(self, size: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._open or self._taken < HIGH_BYTES)
            self._taken += size

    def give(self, size: int) -> None:
        with self._changed:
            self._taken -= size
            self._changed.notify()

    def open(self) -> None:
        """For good: nobody reads any more."""
        with self._changed:
            self._open = True
            self._changed.notify()
