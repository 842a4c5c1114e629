"""A public key of the user's is put into ~/.ssh/authorized_keys on a host, over a login by password."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

from batchwasm.engine.trust import tried
from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports import Process
from batchwasm.transports.own_key import PublicKey, make
from batchwasm.transports.ssh import SshTransport
from batchwasm.transports.ssh_password import Password

DONE = "batchwasm-key: installed"
INSTALL_S = 60.0  # a login shell's profile, a home on a slow file server
SAID_BYTES = 64 * 1024
NEW_KEY = "~/.ssh/id_ed25519"


async def takes_password(host: Host) -> bool:
    """Whether one would log in, and nothing else is asked for. Nobody's password is needed to find out."""
    password = Password()
    return await tried(SshTransport(host, password)) is not None and password.would_do is True


async def keys_first(host: Host, password: Password) -> HostError | None:
    """A login by keys; where they are refused, `password` knows what else would do, and that was one refused login."""
    return await tried(SshTransport(host, password))


def make_key() -> None:
    """A new key pair at NEW_KEY, without a passphrase. Raises HostError."""
    make(Path(NEW_KEY).expanduser())


async def install(host: Host, password: str, key: PublicKey) -> None:
    """Raises HostError; `auth` where the password is not the right one."""
    transport = SshTransport(host, Password(text=password))
    try:
        await transport.connect()
        process = await transport.spawn(_script(key.line))
        try:
            async with asyncio.timeout(INSTALL_S):
                said = await _all(process)
        finally:
            await process.close()
    except TimeoutError as error:
        raise HostError(
            "timeout", f"{host.name}: its shell did not end within {INSTALL_S:.0f} s", "try again"
        ) from error
    finally:
        await transport.close()
    if DONE not in said:
        words = process.stderr_tail.strip().splitlines()
        cause = f"{host.name}: ~/.ssh/authorized_keys can't be written there ({words[-1] if words else 'no word why'})"
        raise HostError("permission", cause, "look at that folder, and at the room on its disk")


async def _all(process: Process) -> str:
    said = b""
    while data := await process.read(SAID_BYTES):
        said = (said + data)[-SAID_BYTES:]
    return said.decode(errors="replace")


def _script(line: str) -> str:
    """For /bin/sh. sshd takes no file that others may write; a last line without its end must not swallow ours."""
    key, file = shlex.quote(line), ".ssh/authorized_keys"
    return (
        f"umask 077; cd && mkdir -p .ssh && touch {file} || exit 1; "
        f'if [ -n "$(tail -c 1 {file})" ]; then echo >> {file}; fi; '
        f"grep -qxF {key} {file} || printf '%s\\n' {key} >> {file} || exit 1; "
        f"if command -v restorecon >/dev/null 2>&1; then restorecon -F .ssh {file} >/dev/null 2>&1; fi; "
        f"echo; echo {shlex.quote(DONE)}"
    )
