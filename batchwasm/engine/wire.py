"""What a runner says, as messages: read with patience, decoded, each error as the HostError that it means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from batchwasm.engine.deploy import Prepared
from batchwasm.errors import HostError, HostLost
from batchwasm.runner import protocol
from batchwasm.runner.protocol import Decoder, Finished, Message, Output, ProtocolError, Row

READ_BYTES = 256 * 1024


async def some(prepared: Prepared) -> bytes:
    """What the runner says next; b"" at its end."""
    return await prepared.runner.read(READ_BYTES)


def unless_ended(data: bytes, prepared: Prepared) -> bytes:
    """What was read, unless that is the end, which nobody asked for."""
    if not data:
        said = prepared.runner.stderr_tail.strip()
        raise HostLost(f"its runner ended{': ' + said.splitlines()[-1] if said else ''}")
    return data


def decoded(decoder: Decoder, data: bytes) -> list[Message]:
    try:
        return decoder.feed(data)
    except ProtocolError as error:
        raise HostError("protocol", f"its runner sent what we don't understand: {error}") from error


def rows_of(message: Finished) -> list[Row]:
    try:
        return protocol.Rows.decode(message.body)
    except ProtocolError as error:
        raise HostError("protocol", str(error)) from error


def checked(message: Output) -> Output:
    if not 0 <= message.stdout_bytes <= len(message.body):
        what = f"{message.stdout_bytes} bytes of stdout in a body of {len(message.body)}"
        raise HostError("protocol", f"its runner sent {what}")
    return message


@asynccontextmanager
async def patience(seconds: float, cause: str) -> AsyncIterator[None]:
    """Raises HostLost with that cause where what is inside takes longer."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise HostLost(cause) from error
