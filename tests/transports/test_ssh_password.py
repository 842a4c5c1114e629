"""A login by password: to whom it is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from batchwasm.errors import HostError
from batchwasm.model import Host
from batchwasm.transports.ssh import SshTransport
from batchwasm.transports.ssh_password import Password
from tests.password_server import PASSWORD, USER, PasswordServer, listening


@pytest.fixture
def unchecked(tmp_path: Path, home: Path) -> Iterator[PasswordServer]:
    """~/.ssh/config switches the check of its key off."""
    server = PasswordServer("lab", tmp_path)
    with listening(server):
        (home / ".ssh").mkdir(mode=0o700)
        (home / ".ssh/config").write_text(f"{server.ssh_config}  User {USER}\n  StrictHostKeyChecking no\n")
        yield server


def known(home: Path, server: PasswordServer, key: asyncssh.SSHKey) -> None:
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{server.port} {key.export_public_key().decode()}")


@pytest.mark.parametrize("prompts", [(), ("Password: ",)])
async def test_a_host_whose_key_changed_gets_no_password_even_where_keys_are_not_checked(
    unchecked: PasswordServer, home: Path, prompts: tuple[str, ...]
) -> None:
    unchecked.prompts = prompts
    known(home, unchecked, asyncssh.generate_private_key("ssh-ed25519"))
    for password in (Password(text=PASSWORD), Password()):
        with pytest.raises(HostError) as caught:
            await SshTransport(Host(name="lab"), password).connect()
        assert caught.value.code == "key_changed"
        assert not password.asked
    assert unchecked.tried == []


async def test_where_keys_are_not_checked_a_new_one_is_taken_and_kept(unchecked: PasswordServer, home: Path) -> None:
    transport = SshTransport(Host(name="lab"), Password(text=PASSWORD))
    await transport.connect()
    await transport.close()
    assert unchecked.key.export_public_key().split()[1].decode() in (home / ".ssh/known_hosts").read_text()
