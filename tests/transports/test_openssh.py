"""The openssh transport: whose master is used, when ours ends, what ssh can't say by itself."""

from __future__ import annotations

import asyncio
import getpass
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm.errors import HostError, HostLost
from batchwasm.model import Host
from batchwasm.transports import checks_keys, openssh, openssh_client, openssh_errors
from batchwasm.transports.openssh import OpensshTransport
from batchwasm.transports.route import endpoint_of
from tests.cli.terminal import on_a_terminal
from tests.homes import lose
from tests.sshd import Servers, Sshd, configure
from tests.transports.servers import asyncssh_server
from tests.transports.test_contract import connected, ended, read_all


def by_openssh(server: Sshd) -> Host:
    return replace(server.host, transport="openssh")


def by_address(server: Sshd) -> Host:
    """For who makes a connection that stays: no other test has one to this port."""
    return Host(name="x", address=server.address, port=server.port, user=getpass.getuser(), transport="openssh")


def logins(server: Sshd) -> int:
    return server.log.count("Accepted publickey")


def sockets() -> set[Path]:
    return set(openssh_client.folder().iterdir())


@pytest.fixture
def folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For who counts sockets: tests beside this one make some in the folder that all share."""
    with tempfile.TemporaryDirectory() as runtime:  # the path of a test's own is too long for a socket
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        openssh_client.folder.cache_clear()
        yield
    openssh_client.folder.cache_clear()


@contextmanager
def master(home: Path, socket: str, name: str) -> Iterator[None]:
    """A connection that the user has already."""
    ssh = ["ssh", "-F", str(home / ".ssh/config"), "-oUserKnownHostsFile=" + str(home / ".ssh/known_hosts")]
    ssh += ["-i", str(home / ".ssh/id_ed25519"), "-S", socket]
    subprocess.run([*ssh, "-fNM", name], check=True, stdin=subprocess.DEVNULL)
    try:
        yield
        subprocess.run([*ssh, "-O", "check", name], check=True, capture_output=True)  # it was left alone
    finally:
        subprocess.run([*ssh, "-O", "exit", name], check=False, capture_output=True)


async def test_a_live_master_of_the_users_own_is_used_and_left_alone(ssh_pool: list[Sshd], home: Path) -> None:
    configure(home, f"Host *\n  ControlPath {home}/mux-%n\n")
    with master(home, f"{home}/mux-sshd-a", "sshd-a"):
        (home / ".ssh/id_ed25519").unlink()  # nothing else would do
        before = logins(ssh_pool[0])
        async with connected(by_openssh(ssh_pool[0])) as transport:
            process = await transport.spawn("echo in")
            assert await read_all(process) == b"in\n"
            await process.close()
        assert logins(ssh_pool[0]) == before


async def test_a_connection_that_was_made_by_the_command_of_the_error_is_used(ssh_pool: list[Sshd], home: Path) -> None:
    server = ssh_pool[0]
    host = by_address(server)
    logins_before = logins(server)
    command = openssh_errors.by_hand(openssh_client.Client(endpoint=endpoint_of(host)))
    for _ in range(2):  # as two people do, or one who is not sure
        made = await asyncio.create_subprocess_shell(command, stdin=subprocess.DEVNULL)
        assert await made.wait() == 0
    (home / ".ssh/id_ed25519").unlink()  # nothing else would do
    before = logins(server)
    assert before == logins_before + 1  # another would stay for ever, and serve nobody
    async with connected(host) as transport:
        process = await transport.spawn("echo in")
        assert await read_all(process) == b"in\n"
        await process.close()
    assert logins(server) == before
    left = await asyncio.create_subprocess_shell(command.replace("ssh", "ssh -O exit", 1))
    assert await left.wait() == 0  # it was there still


async def test_a_connection_that_does_not_answer_in_time_is_left_alone(
    ssh_pool: list[Sshd], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be stopped, or its machine be busy: who removes its socket has it stay for ever and serve nobody."""
    monkeypatch.setattr(openssh, "CONTROL_S", 0.3)
    host = by_address(ssh_pool[0])
    with socket.socket(socket.AF_UNIX) as silent:
        path = openssh_errors.standing(openssh_client.Client(endpoint=endpoint_of(host)))
        silent.bind(path)
        silent.listen()
        try:
            async with connected(host):
                assert openssh_client.is_there(path)
        finally:
            os.unlink(path)


async def test_a_dead_connection_that_a_person_made_is_replaced_by_the_next(ssh_pool: list[Sshd]) -> None:
    client = openssh_client.Client(endpoint=endpoint_of(by_address(ssh_pool[0])))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(openssh_errors.standing(client))
    made = await asyncio.create_subprocess_shell(openssh_errors.by_hand(client), stdin=subprocess.DEVNULL)
    assert await made.wait() == 0
    left = await openssh_client.run(client.over(openssh_errors.standing(client), "-Oexit"), 10)
    assert left.code == 0


async def test_what_only_ssh_understands_in_its_configuration_is_no_obstacle(ssh_pool: list[Sshd], home: Path) -> None:
    configure(home, "Match exec true\n  ObscureKeystrokeTiming no\nHost sshd-b\n  IgnoreUnknown Obscure*\n")
    path = home / ".ssh/config"
    path.write_text("IgnoreUnknown Obscure*,Whatever\nWhatever it is\n" + path.read_text())
    async with connected(by_openssh(ssh_pool[0])):
        assert await checks_keys(by_openssh(ssh_pool[0]))


async def test_how_keys_are_judged_is_unknown_where_ssh_does_not_say_so_in_time(
    ssh_pool: list[Sshd], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openssh_client, "LOCAL_S", 0.3)
    configure(home, 'Match exec "sleep 600"\n')
    assert await checks_keys(by_openssh(ssh_pool[0])) is None


@pytest.mark.parametrize("unchecked", ["sshd-b", "sshd-c"])
async def test_a_gateway_behind_another_whose_key_is_not_checked_is_seen(
    ssh_pool: list[Sshd], home: Path, unchecked: str
) -> None:
    configure(home, f"Host sshd-a\n  ProxyJump sshd-b,sshd-c\nHost {unchecked}\n  StrictHostKeyChecking no\n")
    assert await checks_keys(by_openssh(ssh_pool[0])) is False


async def test_a_dead_control_path_of_ssh_config_is_no_obstacle_and_not_ours_to_make(
    ssh_pool: list[Sshd], home: Path
) -> None:
    configure(home, f"Host *\n  ControlPath {home}/mux-%n\n  ControlMaster auto\n  ControlPersist yes\n")
    (home / "mux-sshd-a").write_text("no socket")
    async with connected(by_openssh(ssh_pool[0])) as transport:
        process = await transport.spawn("exit 4")
        assert await process.close() == 4
    assert (home / "mux-sshd-a").read_text() == "no socket"


@pytest.mark.usefixtures("folder_of_its_own")
async def test_our_master_ends_with_the_transport(ssh_pool: list[Sshd]) -> None:
    before = sockets()
    async with connected(by_openssh(ssh_pool[0])):
        [socket] = sockets() - before
        assert stat.S_ISSOCK(socket.stat().st_mode)
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        assert len(os.fsencode(socket)) < 104 - 17  # ssh appends as much while it binds
    assert sockets() == before


KILLED = """
import asyncio, os, signal, sys
from batchwasm.model import Host
from batchwasm.transports import make, openssh, openssh_client

async def main():
    openssh.PERSIST_S = 4
    transport = make(Host(name="sshd-a", transport="openssh"))
    await transport.connect()
    process = await transport.spawn("echo on; exec cat")
    assert await process.read(100) == b"on\\n"
    master = transport._master
    ran = await openssh_client.run(master.client.over(master.socket, "-Ocheck"), 9)
    print(ran.words.split("pid=")[1].split(")")[0], flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.usefixtures("folder_of_its_own")
async def test_our_master_ends_soon_after_we_are_killed(ssh_pool: list[Sshd]) -> None:
    before = sockets()
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, stdout=subprocess.PIPE)
    said, _ = await killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    await ended(int(said))
    assert sockets() == before


async def test_code_255_is_unknown_since_ssh_says_it_for_itself(ssh_pool: list[Sshd]) -> None:
    async with connected(by_openssh(ssh_pool[0])) as transport:
        process = await transport.spawn("echo out; exit 255")
        assert await read_all(process) == b"out\n"
        assert await process.close() is None


async def test_who_reads_hears_of_it_where_the_connection_can_not_even_be_looked_at(
    ssh_pool: list[Sshd], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost() -> None:
        raise RuntimeError("nothing that anybody thought of")

    async with connected(by_openssh(ssh_pool[0])) as transport:
        monkeypatch.setattr(transport, "lost", lost)
        process = await transport.spawn("exit 255")
        async with asyncio.timeout(10):
            with pytest.raises(HostLost, match="unknown"):
                await process.read(1)
        await process.close()


@pytest.fixture
def reaped_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends just when it is given up is reaped before it is killed."""
    kill = os.killpg

    def killpg(pid: int, how: int) -> None:
        kill(pid, how)
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", killpg)


@pytest.mark.usefixtures("reaped_too_soon")
async def test_a_program_that_ends_when_its_time_is_out_is_out_of_time() -> None:
    assert (await openssh_client.run(["sleep", "600"], 0.1)).code is None


@pytest.mark.usefixtures("reaped_too_soon")
async def test_a_login_that_ends_when_its_time_is_out_is_out_of_time(
    ssh_pool: list[Sshd], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openssh, "LOGIN_S", 0.5)
    configure(home, "Host *\n  ProxyCommand sleep 600\n")
    with pytest.raises(HostError, match="did not end within"):
        await OpensshTransport(by_openssh(ssh_pool[0])).connect()


async def test_a_gateway_asks_nobody_by_a_window_either(
    ssh_pool: list[Sshd], home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """ssh passes BatchMode on to none of those that it starts for gateways."""
    window = tmp_path / "askpass"
    window.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/asked\n')
    window.chmod(0o755)
    for name, value in (("DISPLAY", ":99"), ("SSH_ASKPASS", str(window)), ("SSH_ASKPASS_REQUIRE", "force")):
        monkeypatch.setenv(name, value)
    configure(home, "Host sshd-a\n  ProxyJump sshd-b\n")
    (home / ".ssh/known_hosts").write_text(ssh_pool[0].known_hosts_line)
    with pytest.raises(HostError) as caught:
        await OpensshTransport(by_openssh(ssh_pool[0])).connect()
    assert caught.value.code == "key"
    assert not (tmp_path / "asked").exists()


async def test_a_server_that_asks_says_how_to_log_in_once(ssh_servers: Servers, home: Path) -> None:
    asks = ("PasswordAuthentication yes", "AuthenticationMethods publickey,password")
    server = ssh_servers.make("asks", address="127.0.0.41", options=asks)
    ssh_servers.client.install(home, [server])
    with pytest.raises(HostError) as caught:
        await OpensshTransport(by_openssh(server)).connect()
    assert caught.value.code == "auth"
    assert "log in once yourself: ssh -F " in caught.value.cure
    assert " -o ControlMaster=auto -o ControlPersist=8h -S /" in caught.value.cure
    server.end()


async def test_a_banner_is_not_given_as_the_cause_of_a_lost_connection(
    ssh_servers: Servers, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "banner").write_text("*** Authorised use only. ***\n")
    server = ssh_servers.make("banner", address="127.0.0.42", options=(f"Banner {tmp_path / 'banner'}",))
    ssh_servers.client.install(home, [server])
    async with connected(by_openssh(server)) as transport:
        process = await transport.spawn("echo on; exec cat")
        assert await process.read(10) == b"on\n"
        server.cut()
        with pytest.raises(HostLost, match="the connection was lost") as caught:
            await process.read(10)
    assert "Authorised" not in str(caught.value)
    server.end()


def in_a_terminal(shell: Sequence[str], cwd: Path) -> tuple[int, str]:
    """Where a person gives the code."""
    return on_a_terminal(*shell, program=(), cwd=cwd, answers=[("Code: ", "123456\n")], controlling=True)


async def test_where_a_gateway_asks_the_connection_that_is_advised_is_one_to_the_host(
    ssh_servers: Servers, ssh_pool: list[Sshd], home: Path
) -> None:
    key, mine = ssh_pool[0].folder / "host_key", ssh_servers.client.key.with_suffix(".pub")
    async with asyncssh_server(key, mine, code="123456") as port:
        known = f"[127.0.0.1]:{port} {ssh_pool[0].host_key}\n{ssh_pool[1].known_hosts_line}"
        (home / ".ssh/known_hosts").write_text(known)
        configure(home, f"Host gate\n  HostName 127.0.0.1\n  Port {port}\nHost sshd-b\n  ProxyJump gate\n")
        host = by_openssh(ssh_pool[1])
        with pytest.raises(openssh_errors.Asks) as caught:
            await OpensshTransport(host).connect()
        assert f"127.0.0.1]:{port}" in caught.value.cause
        client = openssh_client.Client(endpoint=endpoint_of(host))
        advised = openssh_errors.by_hand(client)
        assert advised in caught.value.cure
        shell = ["/bin/sh", "-c", f"trap '' HUP; {advised}"]  # this terminal ends with it, a person's does not
        code, written = await asyncio.to_thread(in_a_terminal, shell, home)
        assert code == 0, written
        try:
            async with connected(host):
                pass
        finally:
            await openssh_client.run(client.over(openssh_errors.standing(client), "-Oexit"), 10)


async def test_a_code_is_asked_for_in_a_terminal_and_the_connection_then_serves(
    ssh_servers: Servers, ssh_pool: list[Sshd], home: Path
) -> None:
    key, mine = ssh_pool[0].folder / "host_key", ssh_servers.client.key.with_suffix(".pub")
    async with asyncssh_server(key, mine, code="123456") as port:
        (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{port} {ssh_pool[0].host_key}\n")
        host = Host(name="twofactor", address="127.0.0.1", port=port, transport="openssh")
        with pytest.raises(HostError, match="log in once yourself"):
            await OpensshTransport(host).connect()
        line = await openssh.line_for_a_person(host)
        assert line is not None
        client = openssh_client.Client(endpoint=endpoint_of(host))
        check = client.over(openssh_errors.standing(client), "-Ocheck")
        # The terminal's owner must be there until ssh is in the background and has left it.
        shell = ["/bin/sh", "-c", f"{shlex.join(line)} && {shlex.join(check)}"]
        code, written = await asyncio.to_thread(in_a_terminal, shell, home)
        assert code == 0, written
        async with connected(host) as transport:
            process = await transport.spawn("echo in")
            assert await read_all(process) == b"in\n"
            await process.close()
        assert await openssh.line_for_a_person(host) is None


async def test_without_an_ssh_program_it_says_what_to_install(
    ssh_pool: list[Sshd], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostError) as caught:
        await OpensshTransport(by_openssh(ssh_pool[0])).connect()
    assert caught.value.code == "local"
    assert "openssh-client" in caught.value.cure


async def test_a_folder_for_sockets_that_others_may_enter_is_not_used(
    ssh_pool: list[Sshd], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / f"batchwasm-ssh-{os.getuid()}").mkdir(mode=0o755)
    openssh_client.folder.cache_clear()
    try:
        assert openssh_client.folder().parent == Path("/tmp")
        (tmp_path / f"batchwasm-ssh-{os.getuid()}").chmod(0o700)
        openssh_client.folder.cache_clear()
        if len(os.fsencode(tmp_path)) < 50:
            assert openssh_client.folder().parent == tmp_path
    finally:
        openssh_client.folder.cache_clear()


async def test_a_login_that_never_ends_is_given_up_with_all_its_processes(
    ssh_pool: list[Sshd], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openssh, "LOGIN_S", 0.5)
    configure(home, f"Host *\n  ProxyCommand sh -c 'echo $$ > {home}/pid; exec sleep 600'\n")
    with pytest.raises(HostError, match="did not end within"):
        await OpensshTransport(by_openssh(ssh_pool[0])).connect()
    async with asyncio.timeout(10):
        await ended(int((home / "pid").read_text()))


async def test_whom_passwd_has_not_is_told_what_logs_in_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's ssh does nothing for them."""
    lose(monkeypatch)
    with pytest.raises(HostError, match="ssh works for nobody without a line in /etc/passwd") as caught:
        await OpensshTransport(Host(name="lab", transport="openssh")).connect()
    assert (caught.value.code, 'transport = "ssh"' in caught.value.cure) == ("local", True)
