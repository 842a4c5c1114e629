"""Hosts that take a ticket of Kerberos, from a KDC of the tests' own, and no key."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports import openssh
from batchwasm.transports.openssh import OpensshTransport
from batchwasm.transports.ssh import SshTransport
from tests.engine.depots import executable
from tests.kerberos import OPTIONS, UNKNOWN, Realm
from tests.sshd import Servers, Sshd, configure, free_port, loopback
from tests.transports.test_contract import connected, read_all
from tests.transports.test_openssh import by_openssh

LOGIN = "Connection from "
TAKEN = "Accepted gssapi-with-mic"
"""Of sshd's log."""


def turn_off(home: Path) -> None:
    config = home / ".ssh/config"
    config.write_text("GSSAPIAuthentication no\n" + config.read_text())


def ssh_that(folder: Path, monkeypatch: pytest.MonkeyPatch, *, login: str = "", diagnosis: str = "") -> None:
    """The system's ssh, and lines of sh before it."""
    (folder / "bin").mkdir()
    which = f'case "$*" in\n*DEBUG1*) {diagnosis or ":"};;\n*\\ -G\\ *) ;;\n*) {login or ":"};;\nesac'
    executable(folder / "bin/ssh", f'{which}\nexec {shutil.which("ssh")} "$@"')
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=":")


async def failure(host: Host) -> HostError:
    host = replace(host, transport="openssh")
    with pytest.raises(HostError) as caught:
        await OpensshTransport(host).connect()
    assert caught.value.code == "auth"
    return caught.value


async def test_a_ticket_opens_a_host(kerberized: Sshd, realm: Realm) -> None:
    realm.kinit()
    before = kerberized.log.count(TAKEN)
    async with connected(by_openssh(kerberized)) as transport:
        process = await transport.spawn("echo in")
        assert await read_all(process) == b"in\n"
        assert await process.close() == 0
        realm.kdestroy()  # as if it had expired: for the next command nobody logs in
        process = await transport.spawn("exit 3")
        assert await process.close() == 3
    assert kerberized.log.count(TAKEN) == before + 1


async def test_who_has_no_ticket_is_told_to_get_one_without_another_login(kerberized: Sshd, home: Path) -> None:
    before = kerberized.log.count(LOGIN)
    assert (await failure(kerberized.host)).cure.endswith("; or: get a Kerberos ticket with kinit")
    turn_off(home)
    cure = (await failure(kerberized.host)).cure
    assert cure.endswith("get a Kerberos ticket with kinit, and write GSSAPIAuthentication yes into ~/.ssh/config")
    assert kerberized.log.count(LOGIN) == before + 2  # as many as it refused: sshd counts them
    assert await openssh.line_for_a_person(by_openssh(kerberized)) is None  # ssh would ask for nothing


@pytest.mark.parametrize(
    ("keys", "cure"),
    [
        ("yes", 'name user and key right, or show it a Kerberos ticket: transport = "openssh"'),
        ("no", 'it takes no key, but Kerberos tickets: transport = "openssh"'),
    ],
)
async def test_who_logs_in_by_keys_is_told_which_transport_shows_tickets(
    ssh_servers: Servers, kerberized: Sshd, home: Path, keys: str, cure: str
) -> None:
    server = ssh_servers.make(
        f"tickets-{keys}", address=loopback(67), options=(f"PubkeyAuthentication {keys}", *OPTIONS[:3])
    )
    ssh_servers.client.install(home, [server])
    with pytest.raises(HostError) as caught:
        await SshTransport(server.host).connect()
    assert caught.value.code == "auth"
    assert caught.value.cure.endswith(cure)
    assert not ssh_servers.release(server)


async def test_a_ticket_that_expired_says_so(kerberized: Sshd, realm: Realm) -> None:
    realm.kinit_expired()
    error = await failure(kerberized.host)
    assert "Kerberos: Ticket expired" in error.cause
    assert error.cure.startswith("your Kerberos ticket expired; get a new one: kinit; or: ")


async def test_a_ticket_of_somebody_else_says_so(kerberized: Sshd, realm: Realm) -> None:
    realm.kinit()
    assert (
        "principal that klist shows one of nobody's there? if not: kinit"
        in (await failure(replace(kerberized.host, user="nobody"))).cure
    )


async def test_a_host_that_kerberos_knows_by_another_name_says_so(kerberized: Sshd, realm: Realm, home: Path) -> None:
    realm.kinit()
    configure(home, f"Host *\n  HostKeyAlias [{kerberized.address}]:{kerberized.port}\n")
    error = await failure(replace(kerberized.host, address=UNKNOWN, port=kerberized.port))
    assert f"Kerberos: Server host/{UNKNOWN}@BATCHWASM.TEST not found in Kerberos database" in error.cause
    assert "HostName" in error.cure


async def test_a_kdc_that_does_not_answer_is_named(
    kerberized: Sshd, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm.kinit()
    address = loopback(61)
    elsewhere = re.sub(r"kdc = .*", f"kdc = {address}:{free_port(address)}", (realm.folder / "krb5.conf").read_text())
    (tmp_path / "krb5.conf").write_text(elsewhere)
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    error = await failure(kerberized.host)
    assert "Kerberos: Cannot contact any KDC for realm 'BATCHWASM.TEST'" in error.cause
    assert "no Kerberos server answers" in error.cure


async def test_a_ticket_that_ssh_config_keeps_back_is_not_shown_to_find_out(
    kerberized: Sshd, realm: Realm, home: Path
) -> None:
    realm.kinit("-f")
    configure(home, "Host *\n  GSSAPIDelegateCredentials yes\n")
    turn_off(home)
    before = kerberized.log.count(LOGIN), kerberized.log.count(TAKEN)
    error = await failure(kerberized.host)
    assert "Kerberos: your ticket is not shown there, as ssh_config has GSSAPIAuthentication no" in error.cause
    assert "write GSSAPIAuthentication yes into ~/.ssh/config" in error.cure
    assert (kerberized.log.count(LOGIN), kerberized.log.count(TAKEN)) == (before[0] + 1, before[1])


async def test_to_find_out_what_is_wrong_no_ticket_is_left_there(
    ssh_servers: Servers, kerberized: Sshd, realm: Realm, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a host that refused takes it a moment later."""
    address = loopback(66)
    server = ssh_servers.make(
        "takes", address=address, options=("LogLevel DEBUG1", *OPTIONS[:3]), own_environment=realm.host(address)
    )
    ssh_servers.client.install(home, [server])
    configure(home, "Host *\n  GSSAPIAuthentication yes\n  GSSAPIDelegateCredentials yes\n")
    realm.kinit("-f")
    ssh_that(tmp_path, monkeypatch, login='set -- -oGSSAPIAuthentication=no "$@"')
    assert "Kerberos" not in str(await failure(server.host))
    assert server.log.count(TAKEN) == 1
    assert "Got no client credentials" in server.log
    assert "Received some client credentials" not in server.log
    assert not ssh_servers.release(server)


async def test_who_logs_in_does_not_wait_for_who_finds_out_what_is_wrong(
    kerberized: Sshd, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm.kinit()
    monkeypatch.setattr("batchwasm.transports.gates.LOGINS_AT_ONE_GATE", 1)
    os.mkfifo(tmp_path / "goes on")
    ssh_that(tmp_path, monkeypatch, diagnosis=f"cat '{tmp_path}/goes on'; exit 255")
    finds_out = asyncio.create_task(failure(replace(kerberized.host, user="nobody")))
    with await asyncio.to_thread(open, tmp_path / "goes on", "w"):  # opens with the one that reads
        async with asyncio.timeout(30), connected(by_openssh(kerberized)):
            assert not finds_out.done()
    await finds_out


async def test_finding_out_what_is_wrong_comes_to_an_end(
    kerberized: Sshd, realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    realm.kinit()
    ssh_that(tmp_path, monkeypatch, diagnosis="exec sleep 600")
    monkeypatch.setattr("batchwasm.transports.kerberos.DIAGNOSIS_S", 0.2)
    error = await failure(replace(kerberized.host, user="nobody"))
    assert "Kerberos: no end of it within" in error.cause
    assert "no Kerberos server answers" in error.cure


@pytest.mark.parametrize("passed_on", ["yes", "no"])
async def test_a_ticket_is_passed_on_where_ssh_config_says_so(
    kerberized: Sshd, realm: Realm, home: Path, passed_on: str
) -> None:
    realm.kinit("-f")
    configure(home, f"Host *\n  GSSAPIDelegateCredentials {passed_on}\n")
    async with connected(by_openssh(kerberized)) as transport:
        process = await transport.spawn('test -n "$KRB5CCNAME" && klist -s && echo yes || echo no')
        assert (await read_all(process)).decode() == f"{passed_on}\n"
        await process.close()


async def test_a_gateway_may_want_the_ticket(kerberized: Sshd, ssh_servers: Servers, realm: Realm, home: Path) -> None:
    behind = ssh_servers.make("behind", address=loopback(65))
    ssh_servers.client.install(home, [kerberized, behind])
    configure(home, "Host behind\n  ProxyJump kerberized\nHost *\n  GSSAPIAuthentication yes\n")
    error = await failure(behind.host)
    assert f"{kerberized.address}]:{kerberized.port} refuses" in error.cause
    assert "get a Kerberos ticket with kinit" in error.cure
    realm.kinit()
    async with connected(by_openssh(behind)) as transport:
        process = await transport.spawn("exit 4")
        assert await process.close() == 4
    assert not ssh_servers.release(behind)
