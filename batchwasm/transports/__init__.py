"""Ways to a host: start a process there, give its stdio. Bytes only; nothing here knows a job or a runner."""

from __future__ import annotations

from batchwasm.model import Host
from batchwasm.transports.base import Process, Transport

__all__ = ["Process", "Transport", "make"]


def make(host: Host) -> Transport:
    """The transport that the inventory names for `host`; nothing is connected yet. asyncssh is imported when used."""
    if host.transport == "local":
        from batchwasm.transports.local import LocalTransport

        return LocalTransport(name=host.name)
    if host.transport == "ssh":
        from batchwasm.transports.ssh import SshTransport

        return SshTransport(host)
    raise ValueError(f"{host.name}: transport {host.transport!r}; the inventory's reader lets no such thing through")
