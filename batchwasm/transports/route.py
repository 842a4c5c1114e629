"""The machines to log in to, one through the other, as ~/.ssh/config has them."""

from __future__ import annotations

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports.ssh_config import Endpoint, Settings, settings

JUMPS_DEEP = 8


def endpoint_of(host: Host) -> Endpoint:
    return Endpoint(name=host.address or host.name, port=host.port, user=host.user)


def route_of(name: str, endpoint: Endpoint) -> list[Settings]:
    """The machines on the way, outermost first; the last one is where `endpoint` is."""
    return _route(name, settings(endpoint))


def _route(name: str, target: Settings, depth: int = 0) -> list[Settings]:
    if depth > JUMPS_DEEP:
        raise HostError("config", f"{name}: ProxyJump goes round in circles at {target.host}", "mend ~/.ssh/config")
    route: list[Settings] = []
    for jump in target.jumps:
        hop = settings(jump)
        if (hop.host, hop.port) == (target.host, target.port):
            continue  # `Host *` with a ProxyJump means the gateway too; ssh ignores a jump to itself as well
        route += [hop] if route else _route(name, hop, depth + 1)
    return [*route, target]
