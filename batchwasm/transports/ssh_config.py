"""What ~/.ssh/config says about a name, as far as we need it before asyncssh connects: keys, known_hosts, jumps.

asyncssh reads the same file for everything else. It does not know StrictHostKeyChecking and HashKnownHosts, and reads
the files that IdentityFile names even where they are not there; so this is its parser with these options added.
`~` is $HOME throughout, which the system's ssh handles differently (it takes the passwd entry's folder).
"""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from asyncssh.config import ConfigParseError, SSHClientConfig, SSHConfig

from batchwasm.errors import HostError

DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa", "id_ed25519_sk", "id_ecdsa_sk", "id_dsa")
GLOBAL_KNOWN_HOSTS = "/etc/ssh/ssh_known_hosts"
CONNECT_TIMEOUT_S = 15.0  # a LAN answers in milliseconds, a loaded machine's sshd in seconds
_TAME = re.compile(r"[\w.:%@+-]*")
_ENDPOINT = re.compile(
    r"(?:(?P<user>.+)@)?"
    r"(?:\[(?P<bracketed>[^\]]+)\]|(?P<name>[^:@]+|[^@]*:[^@]*:[^@]*))"  # a name has no colon, IPv6 two or more
    r"(?::(?P<port>\d+))?"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where to connect, as the user wrote it: a name of ~/.ssh/config, or an address."""

    name: str
    port: int | None = None
    user: str | None = None

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """`[user@]host[:port]`, as ProxyJump has it; IPv6 in brackets; `ssh://` before it is allowed."""
        found = _ENDPOINT.fullmatch(text.removeprefix("ssh://"))
        if found is None:
            return cls(name=text)
        port = found["port"]
        return cls(name=found["bracketed"] or found["name"], port=int(port) if port else None, user=found["user"])


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The options of one endpoint after Match, Include and defaults."""

    endpoint: Endpoint
    host: str
    port: int
    user: str
    host_key_alias: str | None
    host_key_algorithms: str | None
    """None is what asyncssh supports."""
    jumps: tuple[Endpoint, ...]
    proxy_command: str | None
    """As the shell gets it; None where there is none, or a jump."""
    strict: str
    """StrictHostKeyChecking: `ask` (as `yes`: we can't ask), `accept-new`, or `no`."""
    hash_known_hosts: bool
    user_known_hosts: Path | None
    """Where an accepted key is written; None where the config says `none`."""
    known_hosts: tuple[str, ...]
    """The files that exist."""
    identity_files: tuple[str, ...]
    """The files that exist."""
    identities_only: bool
    """Of the agent's keys only those that `identity_files` name."""
    connect_timeout_s: float
    config_files: tuple[str, ...]

    @property
    def login(self) -> str:
        """`user@host:port`"""
        return f"{self.user}@{self.host}:{self.port}"

    @property
    def known_name(self) -> str:
        """The name that known_hosts has this host under."""
        name = self.host_key_alias or self.host
        return name if self.port == 22 or self.host_key_alias else f"[{name}]:{self.port}"

    def with_file(self, path: Path) -> Settings:
        """The same, where this file of known hosts may have come into being."""
        there = (str(path),) if path.is_file() else ()
        return replace(self, known_hosts=tuple(dict.fromkeys((*self.known_hosts, *there))))


class _Config(SSHClientConfig):
    _percent_expand = SSHClientConfig._percent_expand | {"UserKnownHostsFile", "GlobalKnownHostsFile"}
    _handlers = {  # noqa: RUF012 - a table of theirs, extended
        **SSHClientConfig._handlers,
        "stricthostkeychecking": ("StrictHostKeyChecking", SSHClientConfig._set_string),
        "hashknownhosts": ("HashKnownHosts", SSHClientConfig._set_bool),
    }


def settings(endpoint: Endpoint) -> Settings:
    """Reads $HOME/.ssh/config. Raises HostError(`config`) where it can't be read or parsed."""
    try:
        path = Path("~/.ssh/config").expanduser()
    except RuntimeError as error:  # in a container that was given no more than a number
        cause = f"{endpoint.name}: user {os.getuid()} has no home on this machine, where keys and known_hosts would be"
        raise HostError("config", cause, "set the variable HOME to a folder of yours") from error
    files = (str(path),) if path.is_file() else ()
    try:
        config = _load(endpoint, files)
    except (OSError, ValueError, ConfigParseError) as error:
        raise HostError("config", f"{endpoint.name}: {path}: {error}", "mend that line") from error
    found = _settings(endpoint, config, files)
    if found.proxy_command is not None and not _TAME.fullmatch(found.host + found.user):
        cause = f"{endpoint.name}: {found.host!r} or {found.user!r} can't stand on the command line of its ProxyCommand"
        raise HostError("config", cause, "write a plain name there")
    return found


def _load(endpoint: Endpoint, files: tuple[str, ...]) -> SSHConfig:
    user: object = endpoint.user or ()
    port: object = endpoint.port or ()
    rest = (_me(endpoint), user, endpoint.name, port)
    first = _Config.load(None, files, False, False, False, *rest)
    return _Config.load(first, files, True, False, True, *rest) if first.has_match_final() else first


def _settings(endpoint: Endpoint, config: SSHConfig, files: tuple[str, ...]) -> Settings:
    def get(option: str, default: Any) -> Any:
        return config.get(option, default)

    known = cast("list[str]", get("UserKnownHostsFile", ["~/.ssh/known_hosts", "~/.ssh/known_hosts2"]))
    everywhere = [*known, *get("GlobalKnownHostsFile", [GLOBAL_KNOWN_HOSTS])]
    keys = get("IdentityFile", [f"~/.ssh/{name}" for name in DEFAULT_KEYS])
    jumps = get("ProxyJump", None)
    command = None if jumps else get("ProxyCommand", None)
    return Settings(
        endpoint=endpoint,
        host=get("Hostname", endpoint.name),
        port=endpoint.port or get("Port", 22),
        user=endpoint.user or get("User", _me(endpoint)),
        host_key_alias=get("HostKeyAlias", None),
        host_key_algorithms=get("HostKeyAlgorithms", None),
        jumps=tuple(Endpoint.parse(jump.strip()) for jump in jumps.split(",")) if jumps else (),
        proxy_command=command if command and command.lower() != "none" else None,
        strict={"off": "no", "false": "no"}.get(word := str(get("StrictHostKeyChecking", "ask")).lower(), word),
        hash_known_hosts=bool(get("HashKnownHosts", False)),
        user_known_hosts=Path(known[0]).expanduser() if known else None,
        known_hosts=existing(everywhere),
        identity_files=existing(keys),
        identities_only=bool(get("IdentitiesOnly", False)),
        connect_timeout_s=float(get("ConnectTimeout", CONNECT_TIMEOUT_S)),
        config_files=files,
    )


def _me(endpoint: Endpoint) -> str:
    """Who we are here. In a container nobody may know."""
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        cause = f"{endpoint.name}: user {os.getuid()} has no name on this machine"
        raise HostError("config", cause, "set the variable USER to the name to log in with") from error


def existing(names: list[str]) -> tuple[str, ...]:
    """Those that are files here, with `~` as $HOME."""
    paths = (os.path.expanduser(name) for name in names)
    return tuple(path for path in paths if os.path.isfile(path))
