"""A run on a terminal lets ssh ask, once, before its display is up."""

from __future__ import annotations

import subprocess
from pathlib import Path

from batchwasm.transports.openssh_client import Client
from batchwasm.transports.openssh_errors import standing
from batchwasm.transports.ssh_config import Endpoint
from tests.cli.terminal import on_a_terminal
from tests.guests import HELLO_WAT
from tests.sshd import Sshd, inventory_of


def test_a_passphrase_is_asked_for_once_before_the_run(ssh_pool: list[Sshd], home: Path, tmp_path: Path) -> None:
    lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(home / ".ssh/id_ed25519")]
    subprocess.run(lock, check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "inventory.toml").write_text(inventory_of(ssh_pool[:1], 'transport = "openssh"'))
    (tmp_path / "hello.wat").write_text(HELLO_WAT)
    client = Client(endpoint=Endpoint(name="sshd-a"))
    command = ["-m", "batchwasm", "run", "hello.wat", "-i", "inventory.toml", "--wait-hosts", "5s"]
    try:
        code, written = on_a_terminal(
            *command, cwd=tmp_path, answers=[("Enter passphrase", "secret\n")], controlling=True
        )
    finally:
        subprocess.run(client.over(standing(client), "-Oexit"), check=False, capture_output=True)
    assert code == 0, written
    assert written.count("Enter passphrase") == 1
    assert "sshd-a: ssh asks for what it needs to log in" in written
    assert "1 succeeded of 1" in written
