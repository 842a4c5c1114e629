"""A socket of the supervisor's loop that carries frames: whole messages out of it, whole frames into it, never waiting.

Owns the bytes that the other side has not taken yet. What may pile up there is bounded by who sends: reports follow as
they are taken, and orders for a worker are one batch.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque
from typing import Callable

from .protocol import Decoder, Message, ProtocolError, encode

_BUFFER_BYTES = 256 * 1024


class Stream:
    """Registers itself with `selector`; `receive` gets each message, `ended` a breach of the protocol or '', once."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        connection: socket.socket,
        receive: Callable[[Message], None],
        ended: Callable[[str], None],
    ) -> None:
        self._selector = selector
        self._socket = connection
        self._receive = receive
        self._ended = ended
        self._decoder = Decoder()
        self._out: deque[memoryview] = deque()
        self.behind_bytes = 0
        """What the other side has not taken yet of all that was sent."""
        self._open = True
        self._ending = False
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, self.ready)

    @property
    def behind(self) -> bool:
        """True while the other side has not taken all that was sent."""
        return self.behind_bytes > 0

    def send(self, message: Message) -> None:
        self.send_frame(encode(message))

    def send_frame(self, frame: bytes) -> None:
        """Sends now what the socket takes, the rest when it takes more. Nothing after the end."""
        if not self._open:
            return
        self._out.append(memoryview(frame))
        self.behind_bytes += len(frame)
        if len(self._out) == 1:
            self._flush()

    def ready(self, events: int) -> None:
        """The selector found it readable or writable."""
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ and self._open:
            self._read()

    def drain(self) -> None:
        """Reads all that has arrived, up to the end of the stream."""
        while self._open and self._read():
            pass

    def close(self) -> None:
        """Ends it from this side, after one more try to send what is left; `ended` is not called."""
        if self._open:
            self._flush()
        self._shut()

    def _read(self) -> bool:
        """One read; False where nothing was there."""
        try:
            data = self._socket.recv(_BUFFER_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self._end("")  # a reset: the other side died before it had read all
            return False
        try:
            for message in self._decoder.feed(data):
                if self._open:
                    self._receive(message)
        except ProtocolError as error:
            self._end(str(error))
            return False
        if not data:
            self._end("")
        return bool(data)

    def _flush(self) -> None:
        out = self._out
        try:
            while out:
                sent = self._socket.send(out[0])
                self.behind_bytes -= sent
                if sent == len(out[0]):
                    out.popleft()
                else:
                    out[0] = out[0][sent:]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            # The reading side finds the end too, after what is still to be read.
            self._forget()
        if self._open:
            self._selector.modify(
                self._socket, selectors.EVENT_READ | (selectors.EVENT_WRITE if out else 0), self.ready
            )

    def _end(self, cause: str) -> None:
        """`ended` may still send a last word."""
        if self._open and not self._ending:
            self._ending = True
            self._ended(cause)
            self.close()

    def _shut(self) -> None:
        if self._open:
            self._open = False
            self._forget()
            self._selector.unregister(self._socket)
            self._socket.close()

    def _forget(self) -> None:
        self._out.clear()
        self.behind_bytes = 0
