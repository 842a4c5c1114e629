"""The public key of the user's that a host shall know from now on: one that needs no question at a login."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports.route import endpoint_of
from batchwasm.transports.ssh_config import settings
from batchwasm.transports.ssh_keys import AGENT_S, Locked, own_keys, short


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    line: str
    """As authorized_keys has it."""
    where: str
    """Where its private half is: a path, or `the agent`."""


async def own_key(host: Host) -> PublicKey | None:
    """None where there is no key at all. Raises Locked where there are only such that need a passphrase."""
    options = settings(endpoint_of(host))
    mine = own_keys(options)
    for path in mine.files:
        key = asyncssh.read_private_key(path)
        return PublicKey(line=key.export_public_key("openssh").decode().strip(), where=short(path))
    held = await _held(mine.agent_identities)
    if held is None and mine.locked:
        path = short(mine.locked[0])
        cause = f"{host.name}: {path} has a passphrase and no agent holds it"
        raise Locked("auth", cause, f"ssh-add {path}")
    return held


def make(path: Path) -> None:
    """A new key pair, without a passphrase, as ssh-keygen makes it, which is not everywhere. Raises HostError."""
    key = asyncssh.generate_private_key("ssh-ed25519", comment=f"batchwasm@{socket.gethostname()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for place, data, mode in (
            (path, key.export_private_key("openssh"), 0o600),
            (path.with_name(f"{path.name}.pub"), key.export_public_key("openssh"), 0o644),
        ):
            with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
    except OSError as error:
        raise HostError(
            "permission", f"{short(str(path))} can't be made: {error.strerror}", "look at ~/.ssh"
        ) from error


async def _held(identities: list[bytes] | None) -> PublicKey | None:
    socket = os.environ.get("SSH_AUTH_SOCK")
    if not socket:
        return None
    try:
        async with asyncio.timeout(AGENT_S), asyncssh.connect_agent(socket) as agent:
            pairs = await agent.get_keys(identities)
    except (OSError, ValueError, asyncssh.Error, TimeoutError):
        return None
    plain = (pair for pair in pairs if not pair.algorithm.endswith(b"-cert-v01@openssh.com"))
    pair = next(plain, None)
    if pair is None:
        return None
    line = f"{pair.algorithm.decode()} {base64.b64encode(pair.public_data).decode()} {pair.get_comment()}"
    return PublicKey(line=line.strip(), where="the agent")
