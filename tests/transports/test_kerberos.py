"""Hosts that take a ticket of Kerberos, from a KDC of the tests' own, and no key."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports import openssh
from batchwasm.transports.openssh import OpensshTransport
from tests.kerberos import UNKNOWN, Realm
from tests.sshd import Servers, Sshd, configure, free_port, loopback
from tests.transports.test_contract import connected, read_all
from tests.transports.test_openssh import by_openssh


async def failure(host: Host) -> HostError:
    host = replace(host, transport="openssh")
    with pytest.raises(HostError) as caught:
        await OpensshTransport(host).connect()
    assert caught.value.code == "auth"
    return caught.value


async def test_a_ticket_opens_a_host(kerberized: Sshd, realm: Realm) -> None:
    realm.kinit()
    async with connected(by_openssh(kerberized)) as transport:
        process = await transport.spawn("echo in")
        assert await read_all(process) == b"in\n"
        assert await process.close() == 0
        realm.kdestroy()  # as if it had expired: for the next command nobody logs in
        process = await transport.spawn("exit 3")
        assert await process.close() == 3
    assert "Accepted gssapi-with-mic" in kerberized.log


async def test_who_has_no_ticket_is_told_to_get_one(kerberized: Sshd) -> None:
    assert (await failure(kerberized.host)).cure.endswith("; or: get a Kerberos ticket with kinit")
    assert await openssh.line_for_a_person(by_openssh(kerberized)) is None  # ssh would ask for nothing


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


async def test_a_ticket_that_ssh_config_keeps_back_says_so(kerberized: Sshd, realm: Realm, home: Path) -> None:
    realm.kinit()
    config = home / ".ssh/config"
    config.write_text("GSSAPIAuthentication no\n" + config.read_text())
    assert "write GSSAPIAuthentication yes into ~/.ssh/config" in (await failure(kerberized.host)).cure


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
