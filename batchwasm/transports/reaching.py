"""What to say of a machine that nobody could talk to: the cases that every way of connecting has."""

from __future__ import annotations

import asyncio
import socket

from batchwasm.errors import HostError
from batchwasm.transports.ssh_config import Settings

DROPPED_BY = "too many logins at once (MaxStartups), too many that it refused (PerSourcePenalties), or a firewall"
SILENT = "it takes connections, but its ssh server does not answer within {timeout:.0f} s"
LOOK_AT_SSHD = "is the machine overloaded, its sshd stopped, or that port another server's?"
TAKES_S = 2.0  # the system there takes a connection at once, whatever its sshd does


async def unreachable(name: str, options: Settings, error: Exception, *, through: bool) -> HostError:
    """The error for it; says which of the machines on the way it was. `through` is where a gateway is before it."""
    match error:
        case TimeoutError() if not error.errno and not through and await _takes_connections(options):
            cause, cure = SILENT.format(timeout=options.connect_timeout_s), LOOK_AT_SSHD
        case TimeoutError() if not error.errno:
            cause, cure = f"no answer within {options.connect_timeout_s:.0f} s", "is it on, and no firewall between?"
        case socket.gaierror():
            cause, cure = f"no such name ({error.strerror})", "set its address in the inventory or in ~/.ssh/config"
        case ConnectionRefusedError():
            cause, cure = "connection refused", "is sshd running there, and is the port right?"
        case OSError():
            cause, cure = error.strerror or str(error), "look at the network, the address and the port"
        case _:
            cause, cure = str(error), "is that port an SSH server's?"
    return HostError("unreachable", f"{place(name, options, through=through)}: {cause}", cure)


async def _takes_connections(options: Settings) -> bool:
    """Which tells a machine that is off from a server that hangs."""
    if options.proxy_command is not None:
        return False
    try:
        async with asyncio.timeout(TAKES_S):
            _, connection = await asyncio.open_connection(options.host, options.port)
    except OSError:
        return False
    connection.transport.abort()
    return True


def behind_gateway(name: str, options: Settings, reason: str) -> HostError:
    cause = f"{place(name, options, through=True)}: the gateway can't reach it ({reason})"
    return HostError("unreachable", cause, "is it on, and is its address known there?")


def not_started(name: str, within_s: float) -> HostError:
    """It logged us in, and a command did not begin."""
    cause = f"{name}: no command started within {within_s:.0f} s"
    return HostError("timeout", cause, "look at its load, its home's file server, and its login shell's profile")


def dropped(name: str, options: Settings, error: object) -> HostError:
    """It closed every try of a login before it began to talk."""
    cause = f"{name}: {options.known_name} closes the connection before the login ({error})"
    cure = f"{DROPPED_BY}; wait a little, then ask its administrator"
    return HostError("unreachable", cause, cure)


def place(name: str, options: Settings, *, through: bool) -> str:
    return f"{name}: {options.host} port {options.port}" + (" (through its gateway)" if through else "")
