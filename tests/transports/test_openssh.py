"""The openssh transport: whose master is used, when ours ends, what ssh can't say by itself."""

from __future__ import annotations

import asyncio
import getpass
import os
import shlex
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports import checks_keys, openssh, openssh_client, openssh_errors
from batchwasm.transports.openssh import OpensshTransport
from batchwasm.transports.route import endpoint_of
from tests.cli.terminal import asked_on_a_terminal
from tests.sshd import Servers, Sshd, configure
from tests.transports.servers import asyncssh_server
from tests.transports.test_contract import connected, ended, read_all


def by_openssh(server: Sshd) -> Host:
    return replace(server.host, transport="openssh")


def logins(server: Sshd) -> int:
    return server.log.count("Accepted publickey")


def sockets() -> set[Path]:
    return set(openssh_client.folder().iterdir())


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
    host = Host(name="x", address=server.address, port=server.port, user=getpass.getuser(), transport="openssh")
    command = openssh_errors.by_hand(openssh_client.Client(endpoint=endpoint_of(host)))
    made = await asyncio.create_subprocess_shell(command, stdin=subprocess.DEVNULL)
    assert await made.wait() == 0
    (home / ".ssh/id_ed25519").unlink()  # nothing else would do
    before = logins(server)
    async with connected(host) as transport:
        process = await transport.spawn("echo in")
        assert await read_all(process) == b"in\n"
        await process.close()
    assert logins(server) == before
    left = await asyncio.create_subprocess_shell(command.replace("-fNM", "-O exit"))
    assert await left.wait() == 0  # it was there still


async def test_what_only_ssh_understands_in_its_configuration_is_no_obstacle(ssh_pool: list[Sshd], home: Path) -> None:
    configure(home, "Match exec true\n  ObscureKeystrokeTiming no\nHost sshd-b\n  IgnoreUnknown Obscure*\n")
    path = home / ".ssh/config"
    path.write_text("IgnoreUnknown Obscure*,Whatever\nWhatever it is\n" + path.read_text())
    async with connected(by_openssh(ssh_pool[0])):
        assert checks_keys(by_openssh(ssh_pool[0]))


async def test_a_dead_control_path_of_ssh_config_is_no_obstacle_and_not_ours_to_make(
    ssh_pool: list[Sshd], home: Path
) -> None:
    configure(home, f"Host *\n  ControlPath {home}/mux-%n\n  ControlMaster auto\n  ControlPersist yes\n")
    (home / "mux-sshd-a").write_text("no socket")
    async with connected(by_openssh(ssh_pool[0])) as transport:
        process = await transport.spawn("exit 4")
        assert await process.close() == 4
    assert (home / "mux-sshd-a").read_text() == "no socket"


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


async def test_a_server_that_asks_says_how_to_log_in_once(ssh_servers: Servers, home: Path) -> None:
    asks = ("PasswordAuthentication yes", "AuthenticationMethods publickey,password")
    server = ssh_servers.make("asks", address="127.0.0.41", options=asks)
    ssh_servers.client.install(home, [server])
    with pytest.raises(HostError) as caught:
        await OpensshTransport(by_openssh(server)).connect()
    assert caught.value.code == "auth"
    assert "log in once yourself: ssh -F " in caught.value.cure
    assert " -fNM -o ControlPersist=8h -S /" in caught.value.cure
    server.end()


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
        answered = {"cwd": home, "question": "Code: ", "answer": "123456"}
        code, written = await asyncio.to_thread(asked_on_a_terminal, shell, **answered)
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
