"""hosts trust: shown keys are accepted once, in the form that OpenSSH reads, and nothing else is."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from batchwasm.engine.trust import trust
from batchwasm.model import Host
from batchwasm.transports import Offer, make
from tests.sshd import Sshd, configure, free_port, loopback, new_key


def yes(offer: Offer) -> bool:
    return True


async def logs_in(host: Host) -> bool:
    transport = make(host)
    await transport.connect()
    await transport.close()
    return True


def found_by_openssh(server: Sshd, home: Path) -> str:
    """The key that ssh-keygen finds for it in known_hosts."""
    command = ["ssh-keygen", "-f", str(home / ".ssh/known_hosts"), "-F", f"[{server.address}]:{server.port}"]
    done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
    assert len(lines) <= 1
    return " ".join(lines[0].split()[1:]) if lines else ""


async def test_an_accepted_key_is_written_and_the_login_works_then(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").unlink()
    shown: list[Offer] = []

    def accept(offer: Offer) -> bool:
        shown.append(offer)
        return True

    trusted = await trust(ssh_pool[0].host, accept)
    assert trusted.known
    assert trusted.error is None
    assert [offer.fingerprint for offer in shown] == [f"ssh-ed25519 {ssh_pool[0].fingerprint}"]
    assert shown[0].address == f"[{ssh_pool[0].address}]:{ssh_pool[0].port}"
    assert found_by_openssh(ssh_pool[0], home) == ssh_pool[0].host_key
    assert (home / ".ssh/known_hosts").stat().st_mode & 0o777 == 0o600
    assert await logs_in(ssh_pool[0].host)


async def test_a_known_host_is_not_asked_about(ssh_pool: list[Sshd]) -> None:
    trusted = await trust(ssh_pool[0].host, lambda _: pytest.fail("asked"))
    assert trusted.known
    assert trusted.accepted == ()


async def test_a_declined_key_is_not_written(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").write_text("")
    trusted = await trust(ssh_pool[0].host, lambda _: False)
    assert not trusted.known
    assert trusted.declined is not None
    assert (home / ".ssh/known_hosts").read_text() == ""


async def test_names_are_hashed_where_ssh_config_says_so(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").write_text("")
    configure(home, "Host *\n  HashKnownHosts yes\n")
    await trust(ssh_pool[0].host, yes)
    text = (home / ".ssh/known_hosts").read_text()
    assert text.startswith("|1|")
    assert ssh_pool[0].address not in text
    assert found_by_openssh(ssh_pool[0], home) == ssh_pool[0].host_key
    assert await logs_in(ssh_pool[0].host)


async def test_a_last_line_without_its_end_is_not_run_into(ssh_pool: list[Sshd], home: Path) -> None:
    a, b, _ = ssh_pool
    (home / ".ssh/known_hosts").write_text(b.known_hosts_line.rstrip("\n"))
    await trust(a.host, yes)
    assert (home / ".ssh/known_hosts").read_text() == b.known_hosts_line + a.known_hosts_line


async def test_a_changed_key_is_never_asked_about(ssh_pool: list[Sshd], home: Path) -> None:
    a, b, _ = ssh_pool
    (home / ".ssh/known_hosts").write_text(f"[{a.address}]:{a.port} {b.host_key}\n")
    trusted = await trust(a.host, lambda _: pytest.fail("asked"))
    assert not trusted.known
    assert trusted.error is not None
    assert trusted.error.code == "key_changed"


async def test_the_gateways_key_is_shown_before_that_of_the_host_behind_it(ssh_pool: list[Sshd], home: Path) -> None:
    a, b, _ = ssh_pool
    (home / ".ssh/known_hosts").write_text("")
    configure(home, "Host sshd-b\n  ProxyJump sshd-a\n")
    trusted = await trust(b.host, yes)
    assert [offer.fingerprint.split()[1] for offer in trusted.accepted] == [a.fingerprint, b.fingerprint]
    assert await logs_in(b.host)


async def test_many_at_once_write_the_key_of_their_gateway_once(ssh_pool: list[Sshd], home: Path) -> None:
    a, b, c = ssh_pool
    (home / ".ssh/known_hosts").write_text("")
    configure(home, "Host sshd-b sshd-c\n  ProxyJump sshd-a\n")
    await asyncio.gather(*(trust(server.host, yes) for server in ssh_pool))
    lines = (home / ".ssh/known_hosts").read_text().splitlines(keepends=True)
    assert sorted(lines) == sorted(server.known_hosts_line for server in (a, b, c))


async def test_a_key_is_accepted_even_where_the_login_fails_afterwards(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").write_text("")
    for name in ("id_ed25519", "id_ed25519.pub"):
        (home / ".ssh" / name).unlink()
    new_key(home / ".ssh/id_ed25519")
    trusted = await trust(ssh_pool[0].host, yes)
    assert trusted.known
    assert trusted.error is not None
    assert trusted.error.code == "auth"
    assert found_by_openssh(ssh_pool[0], home) == ssh_pool[0].host_key


async def test_nobody_is_authenticated_before_the_key_is_accepted(ssh_pool: list[Sshd], home: Path) -> None:
    (home / ".ssh/known_hosts").write_text("")
    before = ssh_pool[0].log.count("publickey")
    await trust(ssh_pool[0].host, lambda _: False)
    assert ssh_pool[0].log.count("publickey") == before


async def test_a_host_that_is_down_is_an_error(home: Path) -> None:
    trusted = await trust(Host(name="x", address=loopback(1), port=free_port(loopback(1))), yes)
    assert not trusted.known
    assert trusted.error is not None
    assert trusted.error.code == "unreachable"


async def test_this_machine_needs_no_trust() -> None:
    assert (await trust(Host(name="here", transport="local"), yes)).known
