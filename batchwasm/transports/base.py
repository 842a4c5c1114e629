"""What every transport offers: start a command on a host, and give its stdin, stdout and end. Bytes only, knows no job.

Files, probing and the runner all go through such a process's stdio, so a new transport is these few methods.
"""

from __future__ import annotations

from typing import Protocol

from batchwasm.errors import HostError


class Offer(Protocol):
    """A key that a host showed and that nobody has accepted yet."""

    @property
    def address(self) -> str:
        """The name under which it would be known: the host's, or that of a gateway on the way to it."""
        ...

    @property
    def fingerprint(self) -> str:
        """`ssh-ed25519 SHA256:...`"""
        ...

    def accept(self) -> None:
        """Write it down for good, unless that was done meanwhile. Raises HostError where it can't be written."""
        ...


class UnknownKey(HostError):
    """HostError `key` with the key, for who wants to ask a person and accept it."""

    def __init__(self, cause: str, cure: str, offer: Offer) -> None:
        super().__init__("key", cause, cure)
        self.offer = offer


class Process(Protocol):
    """A command that runs on a host."""

    async def read(self, limit: int) -> bytes:
        """Up to `limit` bytes of its stdout as soon as there are some; b"" at its end."""
        ...

    async def write(self, data: bytes) -> None:
        """Give it `data` on stdin; waits while the other side does not keep up. Raises HostLost when it is gone."""
        ...

    async def close(self) -> int | None:
        """End its stdin, wait shortly for its end, then cut it off; its exit code where it told one."""
        ...

    @property
    def stderr_tail(self) -> str:
        """The last few KB that it wrote to stderr."""
        ...


class Transport(Protocol):
    """A way to one host. Every method raises HostError with cause and cure."""

    async def connect(self) -> None: ...

    async def spawn(self, command: str) -> Process:
        """Start `command`, a command line for a POSIX shell."""
        ...

    async def close(self) -> None:
        """Let go of the connection; never raises."""
        ...
