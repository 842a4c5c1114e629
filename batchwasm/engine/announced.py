"""A process whose stdout begins with a line that we know, after whatever a login shell's profile printed."""

from __future__ import annotations

from collections.abc import Sequence

from batchwasm.errors import HostError
from batchwasm.transports import Process

BANNER_BYTES = 64 * 1024  # the longest greeting before the line; some profiles print news
READ_BYTES = 1024 * 1024
SAID_CHARACTERS = 500  # of what a shell complains
_ATE = "ValueError: invalid literal for int()"
"""What Python says there where the line with the length of its program did not reach it; see depot.py."""
_PROFILE = "have its profile, such as ~/.bashrc there,"


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


async def no_shell(name: str, process: Process) -> HostError:
    """Why what should have started said nothing of its own: mostly it is the login shell's profile."""
    if await process.read(1):
        cause = f"{name}: its login shell prints more than {BANNER_BYTES // 1024} KiB before it starts anything"
        return HostError("shell", cause, f"{_PROFILE} print only to a terminal: [ -t 1 ]")
    code, said = await process.close(), process.stderr_tail[-SAID_CHARACTERS:]
    if _ATE in said:
        cause = f"{name}: its login shell takes what is sent to the command that it starts"
        return HostError("shell", cause, f"{_PROFILE} read only from a terminal: [ -t 0 ]")
    how = f" (it ended with exit code {code})" if code else ""
    look = "look at its profile, such as ~/.bashrc there, and try: ssh HOST 'exec /bin/sh -c true'"
    return HostError("shell", f"{name}: its login shell does not start /bin/sh{how}", said or look)
