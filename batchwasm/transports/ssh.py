"""Hosts over SSH, by asyncssh: logins, host keys, jumps. The one module that meets asyncssh's exceptions.

Host keys are checked unless ~/.ssh/config says otherwise for that host. Nothing is forwarded, nobody is asked for a
password: keys come from the agent or from files without a passphrase. Only who installs a key has a password instead.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from functools import partial

import asyncssh

from batchwasm.errors import HostError, HostLost
from batchwasm.model import Host
from batchwasm.transports import gates, penalties, reaching
from batchwasm.transports.announced import announced
from batchwasm.transports.login_shell import portable
from batchwasm.transports.proxy import Proxy
from batchwasm.transports.route import endpoint_of, route_of
from batchwasm.transports.ssh_channel import SshProcess
from batchwasm.transports.ssh_config import Endpoint, Settings
from batchwasm.transports.ssh_keys import HostKeys, OwnKeys, own_keys, refused, too_many
from batchwasm.transports.ssh_password import AskedFor, Password

KEEPALIVE_S, KEEPALIVE_MISSED = 10.0, 3  # a cable that is pulled is noticed after 40 s
SPAWN_S = 60.0  # a host under load forks slowly, a home on a dead file server never
CLOSE_S = 3.0
WINDOW_BYTES = 8 * 1024 * 1024  # throughput on a long way is at most this per round trip


@dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """An authenticated connection, and the gateways below it, outermost first."""

    connection: asyncssh.SSHClientConnection
    below: tuple[asyncssh.SSHClientConnection, ...] = ()
    proxies: tuple[Proxy, ...] = ()

    async def close(self) -> None:
        for connection in (self.connection, *reversed(self.below)):
            connection.close()
            try:
                async with asyncio.timeout(CLOSE_S):
                    await connection.wait_closed()
            except (TimeoutError, OSError, asyncssh.Error):
                connection.abort()
        for proxy in self.proxies:
            proxy.close()


class SshTransport:
    """One host, one connection; see transports.base.Transport."""

    def __init__(self, host: Host, password: Password | None = None) -> None:
        self._name = host.name
        self._endpoint = endpoint_of(host)
        self._password = password
        self._login: Login | None = None

    async def connect(self) -> None:
        """Log in. Raises HostError: config, unreachable, key, key_changed, auth."""
        if self._login is None:
            self._login = await login(self._name, self._endpoint, self._password)

    async def spawn(self, command: str) -> SshProcess:
        line = portable(announced(command))
        if self._login is None:
            raise HostLost(f"{self._name}: not connected")
        try:
            async with asyncio.timeout(SPAWN_S):
                process = SshProcess(self._name)
                await self._login.connection.create_session(
                    lambda: process, line, encoding=None, request_pty=False, window=WINDOW_BYTES
                )
        except TimeoutError as error:
            raise reaching.not_started(self._name, SPAWN_S) from error
        except asyncssh.ChannelOpenError as error:
            if self._login.connection.is_closed():
                raise HostLost(f"{self._name}: the connection was lost ({error})") from error
            cause = f"{self._name}: sshd starts no command ({error})"
            raise HostError("session", cause, "MaxSessions in its sshd_config must be at least 3") from error
        except (asyncssh.Error, OSError) as error:
            raise HostLost(f"{self._name}: the connection was lost ({error})") from error
        return process

    async def close(self) -> None:
        login, self._login = self._login, None
        if login is not None:
            await login.close()


async def login(name: str, endpoint: Endpoint, password: Password | None = None) -> Login:
    """Connect and authenticate, through gateways where ~/.ssh/config says so; `name` is what messages call the host.

    A password is for the host alone: gateways are logged in to by keys.
    """
    route = route_of(name, endpoint)
    async with gates.turn(f"{route[0].host}:{route[0].port}"):
        below: list[asyncssh.SSHClientConnection] = []
        proxies: list[Proxy] = []
        try:
            for hop in route:
                secret = password if hop is route[-1] else None
                log_in = partial(_hop, name, hop, below[-1] if below else None, proxies, secret)
                below.append(await (log_in() if hop is route[-1] else gates.gateway(name, hop.login, log_in)))
        except BaseException:
            for connection in reversed(below):
                connection.abort()
            for proxy in proxies:
                proxy.close()
            raise
    return Login(connection=below[-1], below=tuple(below[:-1]), proxies=tuple(proxies))


async def _hop(
    name: str,
    options: Settings,
    through: asyncssh.SSHClientConnection | None,
    proxies: list[Proxy],
    password: Password | None,
) -> asyncssh.SSHClientConnection:
    """One login, tried again where sshd dropped it before it began to talk."""
    for attempt in range(gates.DROPPED_TRIES):
        if attempt:
            await gates.pause(attempt)
        try:
            return await _connect(name, options, through, proxies, password, again=attempt > 0)
        except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError) as error:
            dropped = error
    raise reaching.dropped(name, options, dropped) from dropped


async def _connect(
    name: str,
    options: Settings,
    through: asyncssh.SSHClientConnection | None,
    proxies: list[Proxy],
    password: Password | None,
    *,
    again: bool,
) -> asyncssh.SSHClientConnection:
    """One try. A connection that was dropped leaves as it is, everything else as HostError."""
    keys = HostKeys(options) if password is None else AskedFor(options, password)
    mine = own_keys(options)
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            return await _open(options, through, keys, mine, proxies, again=again)
    except penalties.Barred as error:
        raise penalties.barred(name, options) from error
    except (asyncssh.ConnectionLost, ConnectionResetError, BrokenPipeError):
        raise
    except asyncssh.HostKeyNotVerifiable as error:
        raise keys.error(name) from error
    except asyncssh.PermissionDenied as error:
        raise await _refused(name, options, mine, password, error.reason, keys.takes) from error
    except asyncssh.KeyExchangeFailed as error:
        cause = f"{name}: {options.known_name}: {error.reason}"
        raise HostError("protocol", cause, "its sshd is too old, or ~/.ssh/config asks too much") from error
    except asyncssh.DisconnectError as error:
        if error.code == asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE or "auth" in error.reason.lower():
            raise await _refused(name, options, mine, password, error.reason, keys.takes) from error
        raise await reaching.unreachable(name, options, error, through=through is not None) from error
    except asyncssh.ChannelOpenError as error:
        raise reaching.behind_gateway(name, options, error.reason) from error
    except (asyncssh.Error, OSError) as error:
        raise await reaching.unreachable(name, options, error, through=through is not None) from error


async def _refused(
    name: str, options: Settings, mine: OwnKeys, password: Password | None, reason: str, takes: set[str]
) -> HostError:
    if password is not None:
        password.hung_up = too_many(reason)
    if password is not None and (password.other or not password.after_keys):
        return password.refused(name, options, reason)
    return await refused(name, options, mine, reason, takes)


async def _open(
    options: Settings,
    through: asyncssh.SSHClientConnection | None,
    keys: HostKeys,
    mine: OwnKeys,
    proxies: list[Proxy],
    *,
    again: bool,
) -> asyncssh.SSHClientConnection:
    asked = isinstance(keys, AskedFor)
    with_keys = not isinstance(keys, AskedFor) or keys.with_keys
    link: socket.socket | None = None
    if options.proxy_command is not None and through is None:
        # Its own way takes no shell, and leaves the command to the garbage collector.
        proxies.append(Proxy.start(options.proxy_command))
        link = proxies[-1].link
    elif again and through is None:
        link = await penalties.linked(options)
    connection, _ = await asyncssh.create_connection(
        lambda: keys,
        options.endpoint.name,
        options.port,
        sock=link,
        tunnel=through,
        proxy_command=(),
        config=list(options.config_files),
        username=options.user,
        known_hosts=keys.known,
        server_host_key_algs=keys.algorithms,
        client_keys=mine.pairs,
        agent_identities=mine.agent_identities,
        pkcs11_provider=None,  # asyncssh would want python-pkcs11 for it, and fail without; the agent may hold its keys
        public_key_auth=with_keys,
        password_auth=asked,
        kbdint_auth=asked,
        agent_forwarding=False,
        x11_forwarding=False,
        keepalive_interval=KEEPALIVE_S,
        keepalive_count_max=KEEPALIVE_MISSED,
    )
    return connection
