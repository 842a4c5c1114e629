"""Keys over SSH: whose host this is (known_hosts), and who we are (agent, key files); what to say when either fails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection
from dataclasses import dataclass, field

import asyncssh
from asyncssh.public_key import get_default_certificate_algs, get_default_public_key_algs

from batchwasm.errors import HostError
from batchwasm.transports import kerberos
from batchwasm.transports.base import UnknownKey
from batchwasm.transports.known_hosts import append
from batchwasm.transports.ssh_config import Settings

AGENT_S = 5.0  # an agent answers at once; one that asks its user must not hold us up for ever


class HostKeys(asyncssh.SSHClient):
    """Judges the key that a host shows at login, and remembers it."""

    def __init__(self, options: Settings) -> None:
        self._options = options
        self.offered: asyncssh.SSHKey | None = None
        self.takes: set[str] = set()
        """Ways to log in that the server named, of those that may be tried."""
        try:
            files = asyncssh.read_known_hosts(list(options.known_hosts))
        except (OSError, ValueError) as error:
            where = " or ".join(options.known_hosts)
            raise HostError("config", f"{options.endpoint.name}: {where}: {error}", "mend or remove it") from error
        self._files = files
        # None switches the check off, as StrictHostKeyChecking no says.
        self.known = None if options.strict == "no" else files

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Of what the server takes asyncssh strikes out what it can't do, before it asks us anything."""
        next_one = conn.try_next_auth

        def noted(*, next_method: bool = False) -> None:
            self.takes |= set(conn.get_server_auth_methods())
            next_one(next_method=next_method)

        conn.try_next_auth = noted  # type: ignore[method-assign]

    def known_keys(self, address: str = "") -> list[asyncssh.SSHKey]:
        """The keys that known_hosts has for this host."""
        port = self._options.port
        name = self._options.host_key_alias or self._options.host
        return list(self._files.match(name, address, port if port != 22 else None)[0])

    @property
    def algorithms(self) -> list[str] | tuple[()]:
        """What kinds of host key to ask for: known ones first, but others too, or a changed key is never seen."""
        name, port = self._options.host_key_alias or self._options.host, self._options.port
        keys, authorities = self._files.match(name, "", port if port != 22 else None)[:2]
        if not keys or self._options.host_key_algorithms:
            return ()
        known = [algorithm for key in keys for algorithm in key.sig_algorithms]
        certificates = get_default_certificate_algs() if authorities else []
        return [a.decode() for a in dict.fromkeys((*certificates, *known, *get_default_public_key_algs()))]

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """asyncssh asks this for a key that is not in known_hosts."""
        self.offered = key
        accept = self._options.strict == "accept-new" and not self.known_keys(addr)
        if accept and self._options.user_known_hosts is not None:
            append(self._options, [key])
        return accept

    def accepts(self, key: asyncssh.SSHKey, address: str) -> bool:
        """For who is not asyncssh, which looks into known_hosts by itself before it asks."""
        name, port = self._options.host_key_alias or self._options.host, self._options.port
        known, _, revoked = self._files.match(name, address, port if port != 22 else None)[:3]
        if self.known is None:
            return True
        if key in revoked:
            return False
        return key in known or self.validate_host_public_key(name, address, port, key)

    def error(self, name: str) -> HostError:
        """Why the host's key was not accepted, and what to do about it."""
        known = self.known_keys()
        return self._changed(name, known) if known else self._unknown(name)

    def _unknown(self, name: str) -> HostError:
        address = self._options.known_name
        if self.offered is None:
            return HostError("key", f"{name}: the key of {address} is revoked in known_hosts", "ask its administrator")
        cause = f"{name}: the key of {address} is not in known_hosts: {describe(self.offered)}"
        cure = f"if that is its fingerprint, accept it with: batchwasm hosts trust {name}"
        return UnknownKey(cause, cure, OfferedKey(options=self._options, key=self.offered))

    def _changed(self, name: str, known: list[asyncssh.SSHKey]) -> HostError:
        address, path = self._options.known_name, self._options.user_known_hosts
        now = describe(self.offered) if self.offered else "one of another kind"
        then = ", ".join(describe(key) for key in known)
        cause = (
            f"{name}: THE KEY OF {address} CHANGED: known_hosts has {then}, it shows {now}; "
            "it was installed anew, or somebody is between you and it"
        )
        forget = f"ssh-keygen -R '{address}' -f {path}"
        cure = f"ask its administrator; if it is right: {forget}, and batchwasm hosts trust {name}"
        return HostError("key_changed", cause, cure)


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferedKey:
    """See transports.base.Offer."""

    options: Settings
    key: asyncssh.SSHKey

    @property
    def address(self) -> str:
        return self.options.known_name

    @property
    def fingerprint(self) -> str:
        return describe(self.key)

    def accept(self) -> None:
        path = self.options.user_known_hosts
        if path is None:
            where = f"{self.options.endpoint.name}: UserKnownHostsFile is none in ~/.ssh/config"
            raise HostError("config", f"{where}: there is no file to keep a key in", "name one there")
        try:
            # Read again: another host may have brought the same gateway's key here meanwhile.
            if self.key not in HostKeys(self.options.with_file(path)).known_keys():
                append(self.options, [self.key])
        except OSError as error:
            raise HostError("config", f"{path}: {error.strerror}", "make it writable") from error


def describe(key: asyncssh.SSHKey) -> str:
    """`ssh-ed25519 SHA256:...`"""
    return f"{key.get_algorithm()} {key.get_fingerprint()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnKeys:
    """What we can show to a host besides the agent's keys."""

    pairs: list[asyncssh.SSHKeyPair]
    files: list[str]
    """Where the pairs come from."""
    locked: list[str]
    """Files that need a passphrase."""
    unreadable: list[str] = field(default_factory=list)
    agent_identities: list[bytes] | None = None
    """The only keys of the agent to use (IdentitiesOnly); None is all."""


def own_keys(options: Settings) -> OwnKeys:
    """Reads the key files; one that can't be read is left out, and named if the login fails."""
    keys = OwnKeys(pairs=[], files=[], locked=[], agent_identities=_identities(options))
    for path in options.identity_files:
        try:
            keys.pairs.extend(_pairs(path))
            keys.files.append(path)
        except asyncssh.KeyEncryptionError:
            keys.locked.append(path)
        except (asyncssh.KeyImportError, OSError) as error:
            (keys.locked if "passphrase" in str(error).lower() else keys.unreadable).append(path)
    return keys


def _pairs(path: str) -> list[asyncssh.SSHKeyPair]:
    """The key, and its certificate if it has one."""
    try:
        return list(asyncssh.load_keypairs(path))
    except asyncssh.KeyImportError:
        raise
    except ValueError:  # the .pub beside it is that of another key, as where somebody moved only one of the files
        return list(asyncssh.load_keypairs([asyncssh.read_private_key(path)]))


def _identities(options: Settings) -> list[bytes] | None:
    if not options.identities_only:
        return None
    found: list[bytes] = []
    for path in options.identity_files:
        for name in (path, f"{path}.pub"):
            try:
                found.append(asyncssh.read_public_key(name).public_data)
                break
            except (asyncssh.KeyImportError, OSError):
                continue
    return found or [b""]  # an empty list would mean all of them


class Locked(HostError):
    """HostError `auth` where there is a key that nobody has tried: ssh can ask a person for its passphrase."""


async def refused(name: str, options: Settings, mine: OwnKeys, reason: str, takes: Collection[str] = ()) -> HostError:
    """The error for a login that the host refused; `takes` are the ways that it named, where they are known."""
    held = await _agent_keys()
    tried = [short(path) for path in mine.files]
    if held:
        tried.append(f"{held} key{'s' if held > 1 else ''} of the agent")
    what = f"tried: {', '.join(tried)}" if tried else "no key to try"
    cause = f"{name}: {options.known_name} refuses user {options.user} ({what}; {reason})"
    ticket = ', or show it a Kerberos ticket: transport = "openssh"' if kerberos.METHOD in takes else ""
    if mine.locked:
        first = short(mine.locked[0])
        return Locked("auth", cause, f"{first} has a passphrase and no agent holds it: ssh-add {first}{ticket}")
    if too_many(reason):
        cure = "it lets nobody try so many: name the right key by IdentityFile and IdentitiesOnly in ~/.ssh/config"
        return HostError("auth", cause, cure)
    by_password = not takes or {"password", "keyboard-interactive"} & set(takes)
    way = f" (or have it put there by a password: batchwasm hosts add {name})" if by_password else ""
    cure = f"put your public key into ~/.ssh/authorized_keys of {options.user} there{way}, or name user and key right"
    if ticket and "publickey" not in takes:
        return HostError("auth", cause, 'it takes no key, but Kerberos tickets: transport = "openssh"')
    return HostError("auth", cause, cure + ticket)


def too_many(reason: str) -> bool:
    """Whether it hung up on who tried more keys than it lets anybody try (MaxAuthTries), before any other way in."""
    return "too many" in reason.lower()


async def _agent_keys() -> int:
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        return 0
    try:
        async with asyncio.timeout(AGENT_S), asyncssh.connect_agent(path) as agent:
            return len(list(await agent.get_keys()))
    except (OSError, ValueError, asyncssh.Error, TimeoutError):
        return 0


def short(path: str) -> str:
    home = os.path.expanduser("~")
    return f"~{path[len(home) :]}" if path.startswith(f"{home}/") else path
