"""Ways to a host: start a process there, give its stdio. Bytes only; nothing here knows a job or a runner."""

from __future__ import annotations

import asyncio

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports.base import Offer, Process, Transport, UnknownKey

__all__ = [
    "Offer",
    "Process",
    "Transport",
    "UnknownKey",
    "checks_keys",
    "make",
    "place",
    "ssh_goes_elsewhere",
    "ssh_shows_more",
]


def make(host: Host) -> Transport:
    """The transport that the inventory names for `host`; nothing is connected yet. asyncssh is imported when used."""
    if host.transport == "local":
        from batchwasm.transports.local import LocalTransport

        return LocalTransport(name=host.name)
    if host.transport == "ssh":
        from batchwasm.transports.ssh import SshTransport

        return SshTransport(host)
    if host.transport == "openssh":
        from batchwasm.transports.openssh import OpensshTransport

        return OpensshTransport(host)
    if host.transport == "paramiko":
        from batchwasm.transports.paramiko import ParamikoTransport

        return ParamikoTransport(host)
    raise ValueError(f"{host.name}: transport {host.transport!r}; the inventory's reader lets no such thing through")


async def checks_keys(host: Host) -> bool | None:
    """False where ssh_config says that the keys of this host, or of a gateway to it, are not checked; None: unknown."""
    if host.transport == "local":
        return True
    from batchwasm.transports.route import endpoint_of, route_of

    if host.transport == "openssh":  # whose configuration may have what only it understands
        from batchwasm.transports import openssh_client

        return await openssh_client.checks_keys(host.name, openssh_client.Client(endpoint=endpoint_of(host)))
    route = await asyncio.to_thread(route_of, host.name, endpoint_of(host))
    return all(hop.strict != "no" for hop in route)


def place(host: Host) -> str:
    """`alice@lab01.cs.example.edu:22`, as ~/.ssh/config has it; '' for this machine."""
    if host.transport == "local":
        return ""
    from batchwasm.transports.route import endpoint_of
    from batchwasm.transports.ssh_config import settings

    try:
        return settings(endpoint_of(host)).login
    except HostError:
        return host.address or host.name


async def ssh_goes_elsewhere(host: Host) -> bool:
    """Whether the system's ssh, with all its configuration, would connect to another place; nothing is connected."""
    from batchwasm.transports import elsewhere

    return await elsewhere.ssh_goes_elsewhere(host)


async def ssh_shows_more(host: Host) -> bool:
    """Whether the system's ssh has something to log in with that the others have not; nothing is connected."""
    from batchwasm.transports import elsewhere

    return await elsewhere.ssh_shows_more(host)
