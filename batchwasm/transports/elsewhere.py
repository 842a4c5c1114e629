"""What the system's ssh makes of its configuration for a host, as `ssh -G` tells; nothing is connected.

It may go elsewhere than what we read in ~/.ssh/config: /etc/ssh/ssh_config, canonical names, what only OpenSSH knows.
And it may show more there: other keys, a ticket, a connection that stands.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports import kerberos
from batchwasm.transports.openssh_client import Client, Options, is_there
from batchwasm.transports.openssh_errors import standing
from batchwasm.transports.route import endpoint_of
from batchwasm.transports.ssh_config import Settings, existing, settings
from batchwasm.transports.ssh_keys import own_keys

NO_REALM = "ATHENA.MIT.EDU"  # what Debian writes where nobody told it one; who is there has a ticket
_REALM = re.compile(r"^\s*default_realm\s*=\s*(\S+)", re.M)


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


async def ssh_shows_more(host: Host) -> bool:
    """False where there is no ssh."""
    endpoint = endpoint_of(host)
    client = Client(endpoint=endpoint)
    try:
        theirs = await client.says(host.name)
        ours, sockets = settings(endpoint), (theirs.control_path, standing(client))
    except HostError:
        return False
    if any(socket is not None and is_there(socket) for socket in sockets) or theirs.one("user") != ours.user:
        return True
    return _more_keys(theirs, ours) or await _knows_kerberos(gssapi=theirs.one("gssapiauthentication") == "yes")


def _more_keys(theirs: Options, ours: Settings) -> bool:
    mine = own_keys(ours)
    files = existing(theirs.all("identityfile"))
    certificates = {path.removesuffix("-cert.pub") for path in existing(theirs.all("certificatefile"))}
    agent = theirs.one("identityagent", "none")
    return (
        bool(mine.unreadable)  # such as on a token
        or any(pair.algorithm.startswith(b"sk-") for pair in mine.pairs)
        or not {os.path.realpath(path) for path in files} <= {os.path.realpath(path) for path in ours.identity_files}
        or not certificates <= set(files)
        or agent not in ("none", "SSH_AUTH_SOCK", os.environ.get("SSH_AUTH_SOCK"))
        or theirs.one("pkcs11provider", "none") != "none"
        or theirs.one("hostbasedauthentication") == "yes"
    )


async def _knows_kerberos(*, gssapi: bool) -> bool:
    """Whether a ticket may be what is missing, too: ssh hears why it is of no use, and says how to get one."""
    if gssapi and _realm() not in ("", NO_REALM):
        return True
    return await kerberos.held()


def _realm() -> str:
    """Of this machine; '' where it is in none."""
    for file in map(Path, os.environ.get("KRB5_CONFIG", "/etc/krb5.conf").split(":")):
        try:
            found = _REALM.search(file.read_text(errors="replace"))
        except OSError:
            continue
        if found is not None:
            return found[1]
    return ""
