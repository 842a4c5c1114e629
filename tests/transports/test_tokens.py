"""Hosts that take a key which is on a token and leaves it never."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports import make, openssh
from batchwasm.transports.openssh_errors import Asks
from tests.pkcs11 import Token, has_fido_key
from tests.sshd import Sshd, configure
from tests.transports.test_contract import connected, read_all
from tests.transports.test_openssh import by_openssh


async def refused(host: Host) -> HostError:
    with pytest.raises(HostError) as caught:
        await make(host).connect()
    assert caught.value.code == "auth"
    return caught.value


WAYS = ("openssh", "ssh", "paramiko")


@pytest.mark.parametrize("way", WAYS)
async def test_an_agent_that_was_given_the_pin_opens_a_host(
    tokened: Sshd, token: Token, home: Path, tmp_path: Path, way: str
) -> None:
    configure(home, f"Host *\n  PKCS11Provider {token.library}\n")
    with token.in_agent(tmp_path):
        async with connected(replace(tokened.host, transport=way)) as transport:
            process = await transport.spawn("echo in")
            assert await read_all(process) == b"in\n"
            assert await process.close() == 0


async def test_a_pin_that_nobody_was_asked_for_is_what_a_host_wants(tokened: Sshd, token: Token, home: Path) -> None:
    configure(home, f"Host *\n  PKCS11Provider {token.library}\n")
    error = await refused(by_openssh(tokened))
    assert isinstance(error, Asks)
    assert f"tried: {token.library}; " in error.cause
    assert error.cure.startswith("the token wants its PIN or a touch: log in once yourself: ssh ")
    assert f"; or: give it to the agent: ssh-add -s {token.library}; or: put your public key " in error.cure
    assert await openssh.line_for_a_person(by_openssh(tokened)) is not None


async def test_so_is_the_touch_of_a_fido_token(tokened: Sshd, home: Path) -> None:
    has_fido_key(home / ".ssh/id_ed25519_sk")
    error = await refused(by_openssh(tokened))
    assert isinstance(error, Asks)
    assert error.cure.startswith("the token wants its PIN or a touch: log in once yourself: ssh ")
    assert "ssh-add" not in error.cure


@pytest.mark.parametrize("way", ["ssh", "paramiko"])
@pytest.mark.parametrize("kind", ["PKCS#11", "FIDO"])
async def test_a_token_is_a_refused_login_for_those_that_know_none(
    tokened: Sshd, token: Token, home: Path, way: str, kind: str
) -> None:
    if kind == "FIDO":
        has_fido_key(home / ".ssh/id_ed25519_sk")
    else:
        configure(home, f"Host *\n  PKCS11Provider {token.library}\n")
    await refused(replace(tokened.host, transport=way))


async def test_a_token_that_is_not_in_says_so(
    tokened: Sshd, token: Token, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "softhsm2.conf").write_text(f"directories.tokendir = {tmp_path}\n")
    monkeypatch.setenv("SOFTHSM2_CONF", str(tmp_path / "softhsm2.conf"))
    configure(home, f"Host *\n  PKCS11Provider {token.library}\n")
    error = await refused(by_openssh(tokened))
    assert error.cure.startswith(f"is the token in? its keys: ssh-keygen -D {token.library}; or: ")
    assert await openssh.line_for_a_person(by_openssh(tokened)) is None
