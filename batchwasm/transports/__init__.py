"""Ways to a host: start a process there, give its stdio. Bytes only; nothing here knows a job or a runner."""

from __future__ import annotations

from batchwasm.model import Host
from batchwasm.transports.base import Offer, Process, Transport, UnknownKey

__all__ = ["Offer", "Process", "Transport", "UnknownKey", "checks_keys", "make"]


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


def checks_keys(host: Host) -> bool:
    """False where ~/.ssh/config says that the keys of this host, or of a gateway on the way, are not checked."""
    if host.transport == "local":
        return True
    from batchwasm.transports.route import endpoint_of, route_of

    return all(hop.strict != "no" for hop in route_of(host.name, endpoint_of(host)))
