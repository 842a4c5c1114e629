"""Transports over SSH against real servers: host keys, logins, ~/.ssh/config, jumps, what is said when one fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm import transports
from batchwasm.errors import HostError, HostLost
from batchwasm.model import Host
from batchwasm.transports import Process, Transport, make
from tests.agent import agent
from tests.sshd import Servers, Sshd, free_port, loopback, new_key, ssh_config_of

WAYS = ("ssh", "openssh", "paramiko")


@pytest.fixture(params=WAYS, autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test here is asked of each of them."""
    way: str = request.param
    monkeypatch.setattr(sys.modules[__name__], "make", lambda host: transports.make(replace(host, transport=way)))
    return way


async def output(host: Host, command: str = "echo $0") -> str:
    """Log in, run, log out."""
    transport = make(host)
    await transport.connect()
    try:
        process = await transport.spawn(command)
        parts = []
        while data := await process.read(65536):
            parts.append(data)
        await process.close()
        return b"".join(parts).decode()
    finally:
        await transport.close()


async def failure(host: Host) -> HostError:
    with pytest.raises(HostError) as caught:
        await output(host)
    assert str(caught.value).startswith(f"{host.name}: ")
    return caught.value


def config(home: Path, text: str, *, before: bool = True) -> None:
    path = home / ".ssh/config"
    path.write_text(text + path.read_text() if before else path.read_text() + text)


# ------------------------------------------------------------------------------------------------- host keys


async def test_an_unknown_key_is_refused_with_its_fingerprint_and_the_command_that_accepts_it(
    ssh_pool: list[Sshd], home: Path
) -> None:
    (home / ".ssh/known_hosts").write_text("")
    error = await failure(ssh_pool[0].host)
    assert error.code == "key"
    assert not error.waiting_may_help
    assert ssh_pool[0].fingerprint in str(error)
    assert "batchwasm hosts trust sshd-a" in error.cure


async def test_a_changed_key_is_refused_loudly_and_shows_both(ssh_pool: list[Sshd], home: Path) -> None:
    a, b, _ = ssh_pool
    (home / ".ssh/known_hosts").write_text(f"[{a.address}]:{a.port} {b.host_key}\n")
    error = await failure(a.host)
    assert error.code == "key_changed"
    assert "CHANGED" in str(error)
    assert a.fingerprint in str(error)
    assert b.fingerprint in str(error)
    assert f"ssh-keygen -R '[{a.address}]:{a.port}'" in error.cure


async def test_a_host_with_a_key_of_another_kind_than_the_known_one_has_changed(
    ssh_pool: list[Sshd], home: Path, tmp_path: Path
) -> None:
    new_key(tmp_path / "other", kind="ecdsa")
    other = (tmp_path / "other.pub").read_text()
    (home / ".ssh/known_hosts").write_text(f"[{ssh_pool[0].address}]:{ssh_pool[0].port} {other}")
    assert (await failure(ssh_pool[0].host)).code == "key_changed"


async def test_a_revoked_key_is_refused(ssh_pool: list[Sshd], home: Path) -> None:
    path = home / ".ssh/known_hosts"
    path.write_text(f"@revoked * {ssh_pool[0].host_key}\n")
    error = await failure(ssh_pool[0].host)
    assert error.code == "key"
    assert "revoked" in error.cause


@pytest.mark.parametrize("word", ["no", "off"])
async def test_ssh_config_may_switch_the_check_off_for_one_host(
    ssh_pool: list[Sshd], home: Path, word: str, way: str
) -> None:
    (home / ".ssh/known_hosts").write_text("")
    config(home, f"Host sshd-a\n  StrictHostKeyChecking {word}\n")
    assert await output(ssh_pool[0].host, "echo in") == "in\n"
    assert (await failure(ssh_pool[1].host)).code == "key"
    hosts = [replace(server.host, transport=way) for server in ssh_pool[:2]]
    assert [await transports.checks_keys(host) for host in hosts] == [False, True]


async def test_accept_new_writes_an_unknown_key_down_and_refuses_a_changed_one(
    ssh_pool: list[Sshd], home: Path
) -> None:
    a, b, _ = ssh_pool
    known = home / ".ssh/known_hosts"
    known.write_text(f"[{b.address}]:{b.port} {a.host_key}\n")
    config(home, "StrictHostKeyChecking accept-new\n")
    assert await output(a.host, "echo in") == "in\n"
    assert a.host_key in known.read_text().splitlines()[-1]
    assert (await failure(b.host)).code == "key_changed"


async def test_known_hosts_may_be_another_file(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").rename(home / "elsewhere")
    assert (await failure(ssh_pool[0].host)).code == "key"
    config(home, "Host *\n  UserKnownHostsFile ~/elsewhere\n")
    assert await output(ssh_pool[0].host, "echo in") == "in\n"


async def test_a_host_key_alias_names_the_line_of_known_hosts(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").write_text(f"cluster {ssh_pool[0].host_key}\n")
    config(home, "Host sshd-a\n  HostKeyAlias cluster\n")
    assert await output(ssh_pool[0].host, "echo in") == "in\n"


async def test_a_broken_known_hosts_is_named(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").write_text("nonsense\n")
    error = await failure(ssh_pool[0].host)
    assert error.code == "config"
    assert "known_hosts" in str(error)


# ---------------------------------------------------------------------------------------------------- logins


async def test_a_refused_login_names_the_user_and_the_keys_that_were_tried(ssh_pool: list[Sshd], home: Path) -> None:
    for name in ("id_ed25519", "id_ed25519.pub"):
        (home / ".ssh" / name).unlink()
    new_key(home / ".ssh/id_ed25519")
    error = await failure(ssh_pool[0].host)
    assert error.code == "auth"
    assert "~/.ssh/id_ed25519" in error.cause
    assert "authorized_keys" in error.cure


async def test_another_user_than_the_inventory_names_is_not_tried(ssh_pool: list[Sshd]) -> None:
    error = await failure(Host(name="sshd-a", user="nobody-of-that-name"))
    assert error.code == "auth"
    assert "nobody-of-that-name" in error.cause


async def test_a_key_with_a_passphrase_and_no_agent_says_ssh_add(ssh_pool: list[Sshd], home: Path) -> None:
    lock(home)
    error = await failure(ssh_pool[0].host)
    assert error.code == "auth"
    assert "ssh-add ~/.ssh/id_ed25519" in error.cure


async def test_a_key_with_a_passphrase_works_through_the_agent(ssh_pool: list[Sshd], home: Path) -> None:
    with agent(home, str(home / ".ssh/id_ed25519")):
        lock(home)
        assert await output(ssh_pool[0].host, "echo in") == "in\n"


async def test_only_the_named_key_of_the_agent_is_used_where_ssh_config_says_so(
    ssh_pool: list[Sshd], home: Path
) -> None:
    with agent(home, str(home / ".ssh/id_ed25519")):
        lock(home)
        new_key(home / ".ssh/other", passphrase="secret")
        config(home, "Host sshd-a\n  IdentitiesOnly yes\n  IdentityFile ~/.ssh/other\n")
        config(home, "Host sshd-b\n  IdentitiesOnly yes\n  IdentityFile ~/.ssh/id_ed25519\n")
        assert (await failure(ssh_pool[0].host)).code == "auth"
        assert await output(ssh_pool[1].host, "echo in") == "in\n"


async def test_a_key_beside_which_lies_the_public_half_of_another_is_used(
    ssh_pool: list[Sshd], home: Path, way: str
) -> None:
    new_key(home / "other")
    (home / "other.pub").rename(home / ".ssh/id_ed25519.pub")
    if way == "openssh":  # shows that half, and no more
        assert (await failure(ssh_pool[0].host)).code == "auth"
    else:
        assert await output(ssh_pool[0].host, "echo in") == "in\n"


async def test_more_keys_than_a_server_lets_anybody_try(
    ssh_servers: Servers, ssh_pool: list[Sshd], home: Path, way: str
) -> None:
    server = ssh_servers.make("strict", address="127.0.0.16", options=("MaxAuthTries 2",))
    ssh_servers.client.install(home, [server])
    for name in ("a", "b", "c"):
        new_key(home / f".ssh/{name}")
    names = [*(f"{home}/.ssh/{name}" for name in "abc"), f"{home}/.ssh/id_ed25519"]
    config(home, "".join(f"IdentityFile {name}\n" for name in names))
    if way == "paramiko":  # tries the others on a new connection
        assert await output(server.host, "echo in") == "in\n"
    else:
        error = await failure(server.host)
        assert error.code == "auth"
        assert "IdentitiesOnly" in error.cure
    server.end()


async def test_an_agent_that_is_gone_is_no_obstacle(
    ssh_pool: list[Sshd], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "nothing"))
    assert await output(ssh_pool[0].host, "echo in") == "in\n"


async def test_a_key_file_that_is_named_but_missing_is_passed_over(ssh_pool: list[Sshd], home: Path) -> None:
    config(home, "Host *\n  IdentityFile ~/.ssh/not_there\n  IdentityFile ~/.ssh/id_ed25519\n")
    assert await output(ssh_pool[0].host, "echo in") == "in\n"


def lock(home: Path) -> None:
    """Give the key a passphrase."""
    command = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(home / ".ssh/id_ed25519")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


# ------------------------------------------------------------------------------------------------- addresses


async def test_address_port_and_user_of_the_inventory_need_no_ssh_config(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/config").unlink()
    server = ssh_pool[0]
    assert await output(Host(name="x", address=server.address, port=server.port), "echo in") == "in\n"


async def test_match_and_include_of_ssh_config_count(ssh_pool: list[Sshd], home: Path) -> None:
    server = ssh_pool[0]
    (home / ".ssh/config").write_text("Include parts/*\nMatch host lab1,lab2 user root\n  Port 1\n")
    (home / ".ssh/parts").mkdir()
    (home / ".ssh/parts/lab").write_text(
        f"Host lab1\n  HostName {server.address}\nMatch originalhost lab1\n  Port {server.port}\n"
    )
    assert await output(Host(name="lab1"), "echo in") == "in\n"


async def test_a_broken_ssh_config_is_named_with_its_line(ssh_pool: list[Sshd], home: Path) -> None:
    config(home, "Port lots\n")
    error = await failure(ssh_pool[0].host)
    assert error.code == "config"
    assert "line 1" in error.cause


async def test_a_refused_connection_says_so(ssh_pool: list[Sshd]) -> None:
    error = await failure(Host(name="x", address=loopback(1), port=free_port(loopback(1))))
    assert error.code == "unreachable"
    assert error.waiting_may_help
    assert "connection refused" in error.cause
    assert "sshd" in error.cure


async def test_a_name_that_does_not_resolve_says_so(home: Path) -> None:
    error = await failure(Host(name="no-such-host.invalid"))
    assert error.code == "unreachable"
    assert "name" in error.cause


@pytest.mark.parametrize("transport", ["ssh", "openssh", "paramiko"])
async def test_a_host_that_accepts_and_says_nothing_is_told_from_one_that_is_off(home: Path, transport: str) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/config").write_text("Host *\n  ConnectTimeout 1\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(HostError) as caught:
            await make(Host(name="x", address="127.0.0.1", port=port, transport=transport)).connect()
    error = caught.value
    assert error.code == "unreachable"
    assert "it takes connections, but its ssh server does not answer within 1 s" in error.cause


async def test_a_port_of_something_else_than_ssh_says_so(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchwasm.transports.gates.DROPPED_TRIES", 1)
    with talker(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100) as port:
        error = await failure(Host(name="x", address="127.0.0.1", port=port))
    assert error.code == "unreachable"


@contextmanager
def talker(text: bytes, served: list[None] | None = None) -> Iterator[int]:
    """A server that says this to everybody and hangs up; `served` grows by each."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.sendall(text)
                    if served is not None:
                        served.append(None)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


# ----------------------------------------------------------------------------------------------------- jumps


@pytest.fixture
def behind(ssh_pool: list[Sshd], home: Path) -> Sshd:
    """sshd-b, only reached through sshd-a."""
    config(home, "Host sshd-b\n  ProxyJump sshd-a\n")
    return ssh_pool[1]


async def test_a_jump_host_is_gone_through(behind: Sshd, ssh_pool: list[Sshd]) -> None:
    before = ssh_pool[0].log.count("Accepted publickey")
    assert await output(behind.host, "echo $XDG_CACHE_HOME") == f"{behind.cache}\n"
    assert ssh_pool[0].log.count("Accepted publickey") == before + 1


async def test_a_jump_host_that_refuses_one_is_not_asked_by_the_others(
    behind: Sshd, ssh_pool: list[Sshd], home: Path, way: str
) -> None:
    """It would soon let nobody in."""
    if way == "openssh":
        return  # each is a process of its own, which asks again to say who refused
    config(home, f"Host sshd-a\n  IdentitiesOnly yes\n  IdentityFile {home}/other\n")
    new_key(home / "other")
    before = ssh_pool[0].refused
    many = [Host(name=f"x{n}", address=behind.name) for n in range(12)]
    errors = await asyncio.gather(*map(failure, many))
    assert {error.code for error in errors} == {"auth"}
    assert all(f"[{ssh_pool[0].address}]:{ssh_pool[0].port} refuses user" in error.cause for error in errors)
    assert ssh_pool[0].refused == before + 1


async def test_two_jumps_with_user_and_port_are_gone_through(ssh_pool: list[Sshd], home: Path) -> None:
    a, _, c = ssh_pool
    user = os.environ.get("USER", "root")
    config(home, f"Host sshd-c\n  ProxyJump {user}@{a.address}:{a.port},sshd-b\n")
    assert await output(c.host, "echo $XDG_CACHE_HOME") == f"{c.cache}\n"


async def test_a_jump_for_all_hosts_is_not_gone_through_for_itself(ssh_pool: list[Sshd], home: Path, way: str) -> None:
    config(home, "Host *\n  ProxyJump sshd-a\n", before=False)
    if way == "openssh":  # ssh would start one ssh after the other for ever
        for server in ssh_pool[:2]:
            error = await failure(server.host)
            assert error.code == "config"
            assert "circles" in error.cause
            assert "!GATEWAY" in error.cure
        return
    assert await output(ssh_pool[0].host, "echo in") == "in\n"
    assert await output(ssh_pool[1].host, "echo in") == "in\n"


async def test_jumps_that_go_in_circles_are_an_error(ssh_pool: list[Sshd], home: Path) -> None:
    config(home, "Host sshd-a\n  ProxyJump sshd-b\nHost sshd-b\n  ProxyJump sshd-c\nHost sshd-c\n  ProxyJump sshd-a\n")
    error = await failure(ssh_pool[0].host)
    assert error.code == "config"
    assert "circles" in error.cause


async def test_the_key_of_a_jump_host_is_checked_too(behind: Sshd, ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").write_text(behind.known_hosts_line)
    error = await failure(behind.host)
    assert error.code == "key"
    assert ssh_pool[0].fingerprint in error.cause


async def test_a_proxy_command_is_the_way_to_a_host(ssh_pool: list[Sshd], home: Path) -> None:
    server, ssh = ssh_pool[0], home / ".ssh"
    there = f"ssh -F {ssh}/config -o UserKnownHostsFile={ssh}/known_hosts -i {ssh}/id_ed25519 -W %h:%p sshd-b"
    config(home, f"Host sshd-a\n  ProxyCommand {there}\n")
    before = ssh_pool[1].log.count("Accepted publickey")
    assert await output(server.host, "echo in") == "in\n"
    assert ssh_pool[1].log.count("Accepted publickey") == before + 1


@pytest.mark.parametrize("host", ["x;true", "$(true)", "`true`", "x|true", "x&true"])
async def test_a_name_that_a_shell_would_run_is_refused_before_a_proxy_command(home: Path, host: str, way: str) -> None:
    (home / ".ssh").mkdir()
    (home / ".ssh/config").write_text(f"ConnectTimeout 2\nHost *\n  ProxyCommand touch {home}/ran %h\n")
    with pytest.raises(HostError) as caught:
        await output(Host(name="x", address=host))
    assert caught.value.code in ("config", "unreachable")
    assert way == "openssh" or not (home / "ran").exists()


async def test_a_proxy_command_that_fails_says_so(
    ssh_pool: list[Sshd], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchwasm.transports.gates.DROPPED_TRIES", 1)
    config(home, "Host sshd-a\n  ProxyCommand false\n")
    error = await failure(ssh_pool[0].host)
    assert error.code == "unreachable"
    assert "closes the connection" in error.cause or "ProxyCommand" in error.cause


async def test_a_host_that_its_gateway_does_not_reach_says_so(ssh_pool: list[Sshd], home: Path) -> None:
    port = free_port(loopback(1))
    config(home, f"Host lab9\n  HostName {loopback(1)}\n  Port {port}\n  ProxyJump sshd-a\n")
    error = await failure(Host(name="lab9"))
    assert error.code == "unreachable"
    assert "gateway" in error.cause


# ------------------------------------------------------------------------------------------- many, and losses


async def test_many_logins_at_once_pass_a_server_that_drops_some(ssh_servers: Servers, home: Path, way: str) -> None:
    server = ssh_servers.make("dropper", address=loopback(14), options=("MaxStartups 2:50:6",))
    ssh_servers.client.install(home, [server])
    async with asyncio.TaskGroup() as group:
        count = 15 if way == "openssh" else 30  # a process each, and four more for the rest
        logins = [group.create_task(output(server.host, "echo in")) for _ in range(count)]
    assert {login.result() for login in logins} == {"in\n"}
    assert "drop connection" in server.log


async def test_a_server_that_hangs_up_on_everybody_is_an_error_in_the_end(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchwasm.transports.gates.DROPPED_TRIES", 2)
    with talker(b"") as port:
        error = await failure(Host(name="x", address="127.0.0.1", port=port))
    assert error.code == "unreachable"
    assert "closes the connection" in error.cause


async def test_a_server_that_lets_nobody_in_for_a_while_is_told_apart_and_not_asked_again_and_again(home: Path) -> None:
    """As sshd 9.8 says it, to who had a few logins refused."""
    served: list[None] = []
    with talker(b"Not allowed at this time\r\n", served) as port:
        error = await failure(Host(name="x", address="127.0.0.1", port=port))
    assert (error.code, error.waiting_may_help) == ("penalty", True)
    assert "lets nobody in from this machine's address for now" in error.cause
    assert "ends by itself" in error.cure
    assert len(served) <= 2


@pytest.mark.parametrize("all_of_it", [False, True])
async def test_a_cut_connection_is_a_lost_host_for_who_reads_and_who_writes(
    ssh_pool: list[Sshd], all_of_it: bool
) -> None:
    server = ssh_pool[0]
    transport = make(server.host)
    await transport.connect()
    process = await transport.spawn("echo on; exec cat")
    assert await process.read(10) == b"on\n"
    if all_of_it:
        server.kill()
    else:
        server.cut()
    with pytest.raises(HostLost, match="sshd-a: the connection was lost"):
        await process.read(10)
    with pytest.raises(HostLost):
        await process.write(b"x")
    with pytest.raises(HostLost):
        await transport.spawn("echo again")
    await process.close()
    await transport.close()


async def patiently(transport: Transport, command: str) -> Process:
    """A server counts a session until it has heard of its end, each try is a round trip to it."""
    for _ in range(100):
        with contextlib.suppress(HostError):
            return await transport.spawn(command)
    return await transport.spawn(command)


async def test_a_server_that_allows_no_second_command_says_so(ssh_servers: Servers, home: Path) -> None:
    server = ssh_servers.make("single", address=loopback(15), options=("MaxSessions 1",))
    ssh_servers.client.install(home, [server])
    transport = make(server.host)
    await transport.connect()
    process = await transport.spawn("cat")
    with pytest.raises(HostError) as caught:
        await transport.spawn("cat")
    assert caught.value.code == "session"
    assert "MaxSessions" in caught.value.cure
    await process.close()
    again = await patiently(transport, "exit 3")
    assert await again.close() == 3
    await transport.close()


async def test_nothing_is_forwarded_and_no_terminal_is_asked_for_whatever_ssh_config_says(
    ssh_pool: list[Sshd], home: Path
) -> None:
    with agent(home, str(home / ".ssh/id_ed25519")):
        config(home, "ForwardAgent yes\nForwardX11 yes\nForwardX11Trusted yes\nRequestTTY force\nRemoteCommand true\n")
        assert await output(ssh_pool[0].host, "echo ${SSH_AUTH_SOCK-no} ${DISPLAY-no} ${SSH_TTY-no}") == "no no no\n"


def test_ssh_config_of_the_fixture_is_what_openssh_reads_too(ssh_pool: list[Sshd], home: Path) -> None:
    done = subprocess.run(
        ["ssh", "-F", str(home / ".ssh/config"), "-G", "sshd-a"], capture_output=True, text=True, check=True
    )
    assert f"port {ssh_pool[0].port}\n" in done.stdout
    assert ssh_config_of(ssh_pool[0]) in (home / ".ssh/config").read_text()
