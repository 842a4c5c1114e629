"""A process whose stdout begins with a line that we know, after whatever a login shell's profile printed."""

from __future__ import annotations

from collections.abc import Sequence

from batchwasm.transports import Process

BANNER_BYTES = 64 * 1024  # the longest greeting before the line; some profiles print news
READ_BYTES = 1024 * 1024


class Announced:
    """A Process from that line on; also reads exact lengths. `magic` is the line that came."""

    def __init__(self, process: Process, magic: bytes, rest: bytes) -> None:
        self._process = process
        self.magic = magic
        self._rest = bytearray(rest)

    @classmethod
    async def wait(cls, process: Process, lines: Sequence[bytes]) -> Announced | None:
        """Reads up to the first of `lines`; None where stdout ended, or went on too long, without one."""
        seen = bytearray()
        while len(seen) < BANNER_BYTES:
            data = await process.read(READ_BYTES)
            if not data:
                return None
            seen += data
            found = [(at, line) for line in lines if (at := seen.find(line)) >= 0]
            if found:
                at, line = min(found)
                return cls(process, line, bytes(seen[at + len(line) :]))
        return None

    async def read(self, limit: int) -> bytes:
        if self._rest:
            data = bytes(self._rest[:limit])
            del self._rest[:limit]
            return data
        return await self._process.read(limit)

    async def exactly(self, size: int) -> bytes:
        """`size` bytes. Raises EOFError where the stream ends before."""
        parts = []
        while size:
            data = await self.read(size)
            if not data:
                raise EOFError
            parts.append(data)
            size -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def write(self, data: bytes) -> None:
        await self._process.write(data)

    async def close(self) -> int | None:
        return await self._process.close()

    @property
    def stderr_tail(self) -> str:
        return self._process.stderr_tail
