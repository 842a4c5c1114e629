"""Hosts by the system's `ssh`: one master connection a host (ControlMaster), a client process for each command.

For what only it can do: Kerberos, hardware tokens, a second factor, any ssh_config. A master that the user has already
(by ControlPath of ssh_config, or by the command that our errors name) is used and left alone; else we make one, which
ends with us, or a minute after we were killed.
"""

from __future__ import annotations

import asyncio
import contextlib

from batchwasm.errors import HostError, HostLost
from batchwasm.model import Host
from batchwasm.transports import gates, groups, penalties, reaching
from batchwasm.transports.announced import PidLine, announced, killing
from batchwasm.transports.local import LocalProcess, happens
from batchwasm.transports.login_shell import portable
from batchwasm.transports.openssh_client import (
    PERSIST_S,
    Client,
    Options,
    check_route,
    folder,
    is_there,
    last_line,
    new_name,
    no_program,
    removed,
    run,
    silent,
)
from batchwasm.transports.openssh_errors import Asks, Failed, standing, why
from batchwasm.transports.route import endpoint_of
from batchwasm.transports.stdio import Tail

LOGIN_S = 120.0  # a token that must be touched; ssh's own time-out is for the network alone
SPAWN_S = 60.0  # a host under load forks slowly, a home on a dead file server never
CUT_S = 5.0  # what a host gets to start `kill`, and ssh to notice
CONTROL_S = 3.0  # a master answers in milliseconds
SSH_FAILED = 255
ASKED_PERSIST_S = 600  # before a run its sources are compiled; after it the next one comes without being asked again


class Master:
    """An authenticated connection that listens on a socket here."""

    def __init__(self, client: Client, socket: str, *, ours: bool) -> None:
        self.client, self.socket, self.ours = client, socket, ours
        self.last_words = ""

    async def alive(self) -> bool:
        if not is_there(self.socket):
            return False
        return (await run(self.client.over(self.socket, "-Ocheck"), CONTROL_S)).code == 0

    async def run(self, command: str, within_s: float) -> None:
        await run(self.client.over(self.socket, command=command), within_s)

    async def close(self) -> None:
        if self.ours:
            with contextlib.suppress(HostError):
                await run(self.client.over(self.socket, "-Oexit"), CONTROL_S)
            removed(self.socket)


class OpensshTransport:
    """One host, one connection; see transports.base.Transport."""

    def __init__(self, host: Host) -> None:
        self._name = host.name
        self._client = Client(endpoint=endpoint_of(host))
        self._master: Master | None = None
        self._login: _Login | None = None
        self._processes: set[MuxProcess] = set()

    async def connect(self) -> None:
        """Log in. Raises HostError: local, config, unreachable, key, key_changed, auth."""
        if self._master is not None:
            return
        options = await self._client.says(self._name)
        self._client = self._client.undoing(options)
        async with gates.local():
            self._master = await self._users(options)
        if self._master is None:
            self._master = await self._made(options)

    async def _users(self, options: Options) -> Master | None:
        """A connection that a person made."""
        for socket in filter(None, (options.control_path, standing(self._client))):
            if await (master := Master(self._client, socket, ours=False)).alive():
                return master
        return None

    async def _made(self, options: Options) -> Master:
        await check_route(self._name, self._client, options)
        socket = str(folder() / new_name())
        async with gates.turn(options.first_gate):
            for attempt in range(gates.DROPPED_TRIES):
                if attempt:
                    await gates.pause(attempt)
                words = await self._log_in(socket, options)
                if words is None:
                    return Master(self._client, socket, ours=True)
                failed = self._failed(options, words)
                if not failed.dropped:
                    break
                if attempt == 0:
                    await penalties.check(self._name, options.settings(self._client.endpoint))
        raise await why(failed)  # it takes turns of its own

    def _failed(self, options: Options, words: str) -> Failed:
        client, gate = self._client, options.first_gate
        return Failed(name=self._name, gate=gate, target=client, client=client, options=options, words=words)

    async def _log_in(self, socket: str, options: Options) -> str | None:
        """What ssh said where it failed."""
        # The log stays open for the life of the master, whose stderr is not: so its end is heard, and its last words.
        line = self._client.master(socket, options, f"-oControlPersist={PERSIST_S}", "-E", "/dev/stderr")
        loop = asyncio.get_running_loop()
        try:
            transport, login = await loop.subprocess_exec(
                _Login,
                *line,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=silent(),
                start_new_session=True,
            )
        except OSError as error:
            raise no_program(error) from error
        try:
            if not await happens(login.exited, LOGIN_S):
                cause = f"{self._name}: the login did not end within {LOGIN_S:.0f} s"
                raise HostError("auth", cause, "does it wait for somebody? try: ssh HOST true")
            if transport.get_returncode() == 0:
                login.tail = Tail()  # a server's banner is not why the connection ends one day
                self._login = login
                return None
            await happens(login.silent, CONTROL_S)
            return login.tail.text
        finally:
            if transport.get_returncode() is None:
                groups.kill(transport.get_pid())
                await login.exited.wait()
            if self._login is not login:
                transport.close()

    async def spawn(self, command: str) -> MuxProcess:
        if self._master is None:
            raise HostLost(f"{self._name}: not connected")
        line = self._master.client.over(self._master.socket, command=portable(announced(command)))
        loop = asyncio.get_running_loop()
        try:
            transport, process = await loop.subprocess_exec(
                lambda: MuxProcess(self._name, self), *line, start_new_session=True
            )
        except OSError as error:
            raise no_program(error) from error
        process.started(transport)
        self._processes.add(process)
        try:
            if not await happens(process.begun, SPAWN_S):
                raise reaching.not_started(self._name, SPAWN_S)
            if process.refused:
                raise await self._not_started(process)
        except BaseException:
            await process.close()
            raise
        return process

    async def _not_started(self, process: MuxProcess) -> HostError:
        said = process.stderr_tail
        if await self.lost() is not None:
            return HostLost(f"{self._name}: the connection was lost")
        if "refused" in said.lower():
            cause = f"{self._name}: sshd starts no command ({said.splitlines()[0]})"
            return HostError("session", cause, "MaxSessions in its sshd_config must be at least 3")
        return HostLost(f"{self._name}: ssh started no command ({last_line(said)})")

    async def lost(self) -> HostLost | None:
        """The error where the connection is gone."""
        if self._master is not None and await self._master.alive():
            return None
        said = last_line(self._login.tail.text) if self._login is not None else ""
        return HostLost(f"{self._name}: the connection was lost" + (f" ({said})" if said else ""))

    async def kill(self, pid: int) -> None:
        if self._master is not None:
            await self._master.run(killing(pid), CUT_S)

    def forget(self, process: MuxProcess) -> None:
        self._processes.discard(process)

    async def close(self) -> None:
        await asyncio.gather(*(process.close() for process in self._processes), return_exceptions=True)
        master, self._master = self._master, None
        login, self._login = self._login, None
        if master is not None:
            await master.close()
        if login is not None:
            login.close()


async def line_for_a_person(host: Host, *, refused: bool = False) -> list[str] | None:
    """The command line of ssh that asks in this terminal and then lets us in; None where none is needed, or helps.

    `refused` says that it is needed: without asking nobody is let in.
    """
    try:
        if refused or await _asks(host):
            client = Client(endpoint=endpoint_of(host))
            options = await client.says(host.name)
            return client.undoing(options).shared(standing(client), options, f"-oControlPersist={ASKED_PERSIST_S}")
    except HostError:
        pass  # the run will tell
    return None


async def _asks(host: Host) -> bool:
    transport = OpensshTransport(host)
    try:
        await transport.connect()
    except Asks:
        return True
    finally:
        await transport.close()
    return False


class _Login(asyncio.SubprocessProtocol):
    """ssh while it logs in and goes to the background, then its log."""

    def __init__(self) -> None:
        self.tail = Tail()
        self.exited = asyncio.Event()
        self.silent = asyncio.Event()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.tail.feed(data.replace(b"\r\n", b"\n"))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.silent.set()

    def process_exited(self) -> None:
        self.exited.set()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class MuxProcess(LocalProcess):
    """A client of the master, whose stdio is the command's; see transports.base.Process."""

    def __init__(self, name: str, host: OpensshTransport) -> None:
        super().__init__(name)
        self._host = host
        self._pid_line = PidLine()
        self._judging: asyncio.Task[None] | None = None
        self._no_more = False
        self.begun = asyncio.Event()
        """The command runs, or ssh ended."""

    @property
    def refused(self) -> bool:
        """ssh ended by itself, and no command ever began."""
        return self._code == SSH_FAILED and self._pid_line.pid is None

    @property
    def _code(self) -> int | None:
        return None if self._transport is None else self._transport.get_returncode()

    # asyncio's side

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._pid_line.look(data)
        super().pipe_data_received(fd, data)
        if self._pid_line.pid is not None:
            self.begun.set()

    def _complained(self, data: bytes) -> None:
        super()._complained(self._pid_line.without(data))

    def process_exited(self) -> None:
        super().process_exited()
        self.begun.set()
        self._judge()

    def _ended(self) -> None:
        self._no_more = True
        self._judge()

    def _judge(self) -> None:
        """Where ssh failed, who reads is told whether the connection is gone; ssh itself does not say."""
        if not self._no_more or not self._exited.is_set():
            return
        if self._code == SSH_FAILED:
            self._judging = asyncio.get_running_loop().create_task(self._judged())
        else:
            self._inbox.end()

    async def _judged(self) -> None:
        lost: HostLost | None = HostLost(f"{self._name}: ssh ended, and whether the connection is gone is unknown")
        try:
            lost = await self._host.lost()
        except HostError as error:
            lost = HostLost(error.cause)
        finally:  # or who reads would wait for ever
            if lost is not None:
                self._gate.fail(lost)
            self._inbox.end(lost)

    # our side

    async def close(self) -> int | None:
        """255 is None: ssh says it where it failed, and where the command was killed."""
        try:
            code = await super().close()
        finally:
            self._host.forget(self)
            if self._judging is not None:
                self._judging.cancel()
        return None if code == SSH_FAILED else code

    async def _cut(self) -> None:
        """The end of ssh would leave a command running that neither reads nor writes."""
        with contextlib.suppress(HostError):
            if pid := self._pid_line.pid:
                await self._host.kill(pid)
                await happens(self._exited, CUT_S)
        self._kill()

    @property
    def stderr_tail(self) -> str:
        return self._pid_line.and_early(super().stderr_tail)
