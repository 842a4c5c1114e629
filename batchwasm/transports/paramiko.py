"""Hosts over SSH, by paramiko: for servers that asyncssh can't negotiate with, and as a check on it.

Another implementation of the protocol, with threads; what ~/.ssh/config and known_hosts say is read as for `ssh`, and
failures are told in the same words. It knows no certificates of hosts (@cert-authority) and no security keys (sk).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import asyncssh
import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.ssh_exception import IncompatiblePeer

from batchwasm.errors import HostError, HostLost
from batchwasm.model import Host
from batchwasm.transports import gates, penalties, reaching
from batchwasm.transports.announced import announced
from batchwasm.transports.login_shell import portable
from batchwasm.transports.paramiko_channel import GONE, ParamikoProcess
from batchwasm.transports.proxy import Proxy
from batchwasm.transports.route import endpoint_of, route_of
from batchwasm.transports.ssh_config import Settings
from batchwasm.transports.ssh_keys import HostKeys, OwnKeys, own_keys, refused
from batchwasm.transports.threads import in_thread, start

KEEPALIVE_S = 10
UNANSWERED_S = 40  # a cable that is pulled is noticed by then
SPAWN_S = 60.0  # a host under load forks slowly, a home on a dead file server never
CLOSE_S = 3.0
CONNECTIONS = 2  # sshd hangs up after six keys, and who comes back again and again is soon let in no more
LATER_S = 5.0  # after our own time-outs, so that it is those that tell
WINDOW_BYTES = 4 * 1024 * 1024  # throughput on a long way is at most this per round trip

# What it logs is what it raises, and without a handler Python prints it among our own words.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class _Refused(Exception):
    """No key of ours was taken."""


class _Dropped(Exception):
    """The server closed the connection before the login."""


@dataclass(kw_only=True, slots=True)
class _Login:
    """Connections, outermost first: gateways, then the host. Safe to abandon while a thread adds to it."""

    connections: list[paramiko.Transport] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)
    abandoned: bool = False

    def close(self) -> None:
        """Blocks shortly. What a thread adds later is closed by it."""
        self.abandoned = True
        for connection in reversed(self.connections):
            with contextlib.suppress(*GONE):
                connection.close()
        for proxy in self.proxies:
            proxy.close()


class ParamikoTransport:
    """One host, one connection; see transports.base.Transport."""

    def __init__(self, host: Host) -> None:
        self._name = host.name
        self._endpoint = endpoint_of(host)
        self._login: _Login | None = None

    async def connect(self) -> None:
        """Log in. Raises HostError: config, unreachable, protocol, key, key_changed, auth."""
        if self._login is not None:
            return
        route = route_of(self._name, self._endpoint)
        login = _Login()
        try:
            async with gates.turn(f"{route[0].host}:{route[0].port}"):
                for hop in route:
                    log_in = partial(_hop, self._name, hop, login)
                    await (log_in() if hop is route[-1] else gates.gateway(self._name, hop.login, log_in))
        except BaseException:
            start(login.close)
            raise
        self._login = login

    async def spawn(self, command: str) -> ParamikoProcess:
        line = portable(announced(command))
        if self._login is None:
            raise HostLost(f"{self._name}: not connected")
        connection = self._login.connections[-1]

        def begin() -> paramiko.Channel:
            channel = connection.open_session(timeout=SPAWN_S)
            channel.exec_command(line)
            return channel

        try:
            async with asyncio.timeout(SPAWN_S):
                channel = await in_thread(begin)
        except TimeoutError as error:
            raise reaching.not_started(self._name, SPAWN_S) from error
        except paramiko.ChannelException as error:
            cause = f"{self._name}: sshd starts no command ({error.text})"
            raise HostError("session", cause, "MaxSessions in its sshd_config must be at least 3") from error
        except GONE as error:
            raise HostLost(f"{self._name}: the connection was lost ({error})") from error
        return ParamikoProcess(self._name, connection, channel)

    async def close(self) -> None:
        login, self._login = self._login, None
        if login is None:
            return
        try:
            async with asyncio.timeout(CLOSE_S):
                await in_thread(login.close)
        except TimeoutError:
            pass  # its thread goes on closing


async def _hop(name: str, options: Settings, login: _Login) -> None:
    """One login, tried again where sshd dropped it before it began to talk."""
    dropped: Exception = _Dropped()
    for attempt in range(gates.DROPPED_TRIES):
        if attempt:
            await gates.pause(attempt)
        try:
            await _connect(name, options, login)
        except _Dropped as error:
            dropped = error
        else:
            return
    raise reaching.dropped(name, options, dropped) from dropped


async def _connect(name: str, options: Settings, login: _Login) -> None:
    """One try. A connection that was dropped leaves as _Dropped, everything else as HostError."""
    keys, mine, through = HostKeys(options), own_keys(options), bool(login.connections)
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            await in_thread(lambda: _open(options, login, keys, mine))
    except _Dropped:
        raise
    except penalties.Barred as error:
        raise penalties.barred(name, options) from error
    except paramiko.BadHostKeyException as error:
        raise keys.error(name) from error
    except _Refused as error:
        raise await refused(name, options, mine, str(error)) from error
    except IncompatiblePeer as error:
        cause = f"{name}: {options.known_name}: {error}"
        raise HostError("protocol", cause, "its sshd is too old, or ~/.ssh/config asks too much") from error
    except paramiko.ChannelException as error:
        raise reaching.behind_gateway(name, options, error.text) from error
    except (paramiko.SSHException, OSError) as error:
        raise await reaching.unreachable(name, options, error, through=through) from error


# ------------------------------------------------------------------------------------------ what follows blocks


def _open(options: Settings, login: _Login, keys: HostKeys, mine: OwnKeys) -> None:
    """Adds a connection to `login`."""
    with _agent() as agent:
        left = deque([*_agent_keys(agent, mine), *_file_keys(mine)])
        for _ in range(CONNECTIONS):
            connection = _authenticated(options, login, keys, left)
            if connection is not None:
                break
        else:
            raise _Refused("too many keys: it hung up on them")
    connection.set_keepalive(KEEPALIVE_S)
    login.connections.append(connection)
    if login.abandoned:
        login.close()


def _authenticated(
    options: Settings, login: _Login, keys: HostKeys, left: deque[paramiko.PKey]
) -> paramiko.Transport | None:
    """One connection, on which the keys that are left are tried and taken away; None where it hung up on one."""
    link = _link(options, login)
    connection: paramiko.Transport | None = None
    try:
        connection = paramiko.Transport(link, default_window_size=WINDOW_BYTES)
        _negotiate(connection, options, keys)
        address = "" if login.connections or options.proxy_command else str(connection.getpeername()[0])
        _check(connection, keys, address)
        while left and not login.abandoned:
            takes = _try(connection, options.user, left.popleft())
            if connection.is_authenticated():
                return connection
            if takes:
                raise _Refused(f"it takes {', '.join(takes)}")
            if left and not connection.is_active():
                connection.close()
                return None
        raise _Refused("it takes none of them")
    except BaseException:
        (connection or link).close()
        raise


def _link(options: Settings, login: _Login) -> socket.socket | paramiko.Channel:
    """Bytes to and from the server."""
    target = (options.host, options.port)
    if login.connections:
        timeout = options.connect_timeout_s
        return login.connections[-1].open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=timeout)
    if options.proxy_command is not None:
        proxy = Proxy.start(options.proxy_command)
        login.proxies.append(proxy)
        return proxy.link
    link = penalties.link(options)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # paramiko's keepalives wait for no answer
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNANSWERED_S * 1000)
    return link


def _negotiate(connection: paramiko.Transport, options: Settings, keys: HostKeys) -> None:
    security = connection.get_security_options()
    wanted = [kind for kind in keys.algorithms if kind in security.key_types]
    if wanted:
        security.key_types = wanted
    patience_s = options.connect_timeout_s + LATER_S
    connection.banner_timeout = connection.handshake_timeout = connection.auth_timeout = patience_s
    try:
        connection.start_client(timeout=patience_s)
    except (EOFError, ConnectionResetError, BrokenPipeError) as error:
        raise _Dropped("the server hung up") from error
    except paramiko.SSHException as error:
        if isinstance(error.__context__, EOFError | ConnectionResetError | BrokenPipeError):
            raise _Dropped("the server hung up") from error
        raise


def _check(connection: paramiko.Transport, keys: HostKeys, address: str) -> None:
    """Raises BadHostKeyException; `keys` then knows what to say."""
    shown = connection.get_remote_server_key()
    key = asyncssh.import_public_key(f"{shown.get_name()} {shown.get_base64()}")
    if not keys.accepts(key, address):
        raise paramiko.BadHostKeyException(address, shown, shown)


def _try(connection: paramiko.Transport, user: str, key: paramiko.PKey) -> Sequence[str]:
    """What the server takes, where that is not another key."""
    try:
        return connection.auth_publickey(user, key)
    except paramiko.BadAuthenticationType as error:
        return error.allowed_types
    except GONE:
        return ()


@contextlib.contextmanager
def _agent() -> Iterator[paramiko.Agent | None]:
    """None where there is none, or it does not answer."""
    agent: paramiko.Agent | None = None
    if os.path.exists(os.environ.get("SSH_AUTH_SOCK", "")):
        with contextlib.suppress(*GONE):
            agent = paramiko.Agent()
    try:
        yield agent
    finally:
        if agent is not None:
            agent.close()


def _agent_keys(agent: paramiko.Agent | None, mine: OwnKeys) -> list[paramiko.PKey]:
    held = agent.get_keys() if agent is not None else ()
    return [key for key in held if mine.agent_identities is None or key.asbytes() in mine.agent_identities]


def _file_keys(mine: OwnKeys) -> list[paramiko.PKey]:
    return [key for path in mine.files for key in _loaded(path)]


def _loaded(path: str) -> list[paramiko.PKey]:
    """With its certificate first, where it has one."""
    load: Callable[[str], paramiko.PKey] = paramiko.PKey.from_path
    try:
        keys = [load(path)]
        if os.path.isfile(f"{path}-cert.pub"):
            certified = load(path)
            certified.load_certificate(f"{path}-cert.pub")
            keys.insert(0, certified)
    except (paramiko.SSHException, OSError, ValueError, TypeError, UnsupportedAlgorithm):  # the last for keys on tokens
        return []
    return keys
