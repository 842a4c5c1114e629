"""What the system's ssh may show where a login was refused, as its configuration says; nothing is connected."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm.model import Host
from batchwasm.transports import ssh_shows_more
from tests.engine.depots import executable
from tests.sshd import new_key

HOST = Host(name="lab", address="lab.invalid")


@pytest.fixture
def mine(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """~/.ssh with a key that every transport reads; no agent, no ticket."""
    folder = home / ".ssh"
    folder.mkdir(mode=0o700)
    new_key(folder / "id_ed25519")
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{home}/no-ticket")
    monkeypatch.setenv("KRB5_CONFIG", f"{home}/no-kerberos")
    return folder


async def test_the_same_keys_are_not_more(mine: Path) -> None:
    assert not await ssh_shows_more(HOST)
    (mine / "config").write_text("Host lab\n  IdentityFile ~/.ssh/id_ed25519\n  User alice\n")
    assert not await ssh_shows_more(HOST)


@pytest.mark.parametrize(
    "line",
    [
        "IdentityAgent ~/agent",
        "PKCS11Provider /usr/lib/token.so",
        "HostbasedAuthentication yes",
        "CertificateFile ~/.ssh/of-the-lab-cert.pub",
        "IdentityFile ~/.ssh/odd",
    ],
)
async def test_what_only_ssh_can_use_is_more(mine: Path, line: str) -> None:
    (mine / "of-the-lab-cert.pub").write_text("a certificate\n")
    (mine / "odd").write_text("a key of a kind that only ssh reads\n")
    (mine / "config").write_text(f"Host lab.invalid\n  {line}\n")
    assert await ssh_shows_more(HOST)


async def test_a_machine_of_a_kerberos_site_may_show_a_ticket(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mine / "config").write_text("Host *\n  GSSAPIAuthentication yes\n")
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    for realm, shows_more in (("EXAMPLE.EDU", True), ("ATHENA.MIT.EDU", False)):  # the other one is Debian's for none
        (tmp_path / "krb5.conf").write_text(f"[libdefaults]\n\tdefault_realm = {realm}\n")
        assert await ssh_shows_more(HOST) is shows_more


@pytest.mark.parametrize("held", [True, False])
async def test_a_ticket_is_more_where_there_is_one(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    (tmp_path / "bin").mkdir()
    executable(tmp_path / "bin/klist", f"exit {0 if held else 1}")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    assert await ssh_shows_more(HOST) is held
