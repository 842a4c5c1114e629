"""What the system's ssh makes of its configuration for a host, as `ssh -G` tells; nothing is connected.

It may go elsewhere than what we read in ~/.ssh/config: /etc/ssh/ssh_config, canonical names, what only OpenSSH knows.
"""

from __future__ import annotations

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports.openssh_client import Client, Options
from batchwasm.transports.route import endpoint_of
from batchwasm.transports.ssh_config import Settings, settings


async def ssh_goes_elsewhere(host: Host) -> bool:
    """False where there is no ssh."""
    endpoint = endpoint_of(host)
    try:
        return not _same(await Client(endpoint=endpoint).says(host.name), settings(endpoint))
    except HostError:
        return False


def _same(theirs: Options, ours: Settings) -> bool:
    proxied = bool(ours.jumps) or ours.proxy_command is not None
    return (theirs.host, theirs.port, theirs.proxied) == (ours.host.lower(), ours.port, proxied)
