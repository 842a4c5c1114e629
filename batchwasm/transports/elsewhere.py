"""What the system's ssh makes of its configuration for a host, as `ssh -G` tells; nothing is connected.

It may go elsewhere than what we read in ~/.ssh/config: /etc/ssh/ssh_config, canonical names, what only OpenSSH knows.
"""

from __future__ import annotations

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports.openssh_client import Client, Options
from batchwasm.transports.route import endpoint_of
from batchwasm.transports.ssh_config import Endpoint, Settings, settings


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


async def ssh_checks_keys(host: Host) -> bool:
    """Also of the gateways. True where ssh does not say: it then fails before any key is seen."""
    try:
        options = await Client(endpoint=endpoint_of(host)).says(host.name)
        gateways = [await Client(endpoint=Endpoint.parse(jump)).says(host.name) for jump in options.jumps]
    except HostError:
        return True
    return all(each.strict != "no" for each in (options, *gateways))
