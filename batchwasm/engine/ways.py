"""The other transports to a host whose own fails: which are worth a try, and whether they come further.

A host that is down, a name that does not resolve and a key that nobody has accepted are the same for all of them. What
differs: what an implementation can negotiate, and what it understands of ssh_config. A login that was refused is tried
again only where ssh has something else to show: sshd lets nobody in for a while from where it refused a few.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from batchwasm import transports
from batchwasm.errors import HostError
from batchwasm.model import Host

WAYS = ("ssh", "openssh", "paramiko")
"""The first one that works is what we advise."""
MAY_DIFFER = frozenset({"protocol", "config", "local"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A transport that was tried."""

    transport: str
    error: HostError | None

    @property
    def works(self) -> bool:
        """It logs in, or would once the host's key is accepted."""
        return self.error is None or self.error.code == "key"


async def worth_a_try(host: Host, error: HostError) -> tuple[str, ...]:
    """The transports that may come further than the host's own, which ended with `error`."""
    return tuple([way for way in WAYS if await may_help(way, host, error)])


async def may_help(way: str, host: Host, error: HostError) -> bool:
    """Whether that transport may come further."""
    if host.transport not in WAYS or way == host.transport:
        return False
    if error.code in MAY_DIFFER:
        return True
    if way != "openssh":
        return False
    if error.code == "auth":
        return await transports.ssh_shows_more(host)
    return error.code == "unreachable" and await transports.ssh_goes_elsewhere(host)


async def connected(host: Host, transport: str) -> tuple[Way, transports.Transport]:
    """The host by another transport; whatever came of it, the caller closes it."""
    made = transports.make(dataclasses.replace(host, transport=transport))
    try:
        await made.connect()
    except HostError as error:
        return Way(transport=transport, error=error), made
    return Way(transport=transport, error=None), made
