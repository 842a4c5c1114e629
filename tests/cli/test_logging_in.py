"""A run on a terminal lets ssh ask, once, before its display is up."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchwasm.transports.openssh_client import Client
from batchwasm.transports.openssh_errors import standing
from batchwasm.transports.ssh_config import Endpoint
from tests.cli.terminal import on_a_terminal
from tests.command import Cli
from tests.guests import HELLO_WAT
from tests.pkcs11 import ENTER_PIN, PIN, Token
from tests.sshd import Sshd, configure, inventory_of


@contextmanager
def left_open(name: str) -> Iterator[None]:
    """What a person opened to that host is closed in the end."""
    client = Client(endpoint=Endpoint(name=name))
    try:
        yield
    finally:
        subprocess.run(client.over(standing(client), "-Oexit"), check=False, capture_output=True)


def test_a_passphrase_is_asked_for_once_before_the_run(ssh_pool: list[Sshd], home: Path, tmp_path: Path) -> None:
    lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(home / ".ssh/id_ed25519")]
    subprocess.run(lock, check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "inventory.toml").write_text(inventory_of(ssh_pool[:1], 'transport = "openssh"'))
    (tmp_path / "hello.wat").write_text(HELLO_WAT)
    command = ["-m", "batchwasm", "run", "hello.wat", "-i", "inventory.toml", "--wait-hosts", "5s"]
    with left_open("sshd-a"):
        code, written = on_a_terminal(
            *command, cwd=tmp_path, answers=[("Enter passphrase", "secret\n")], controlling=True
        )
    assert code == 0, written
    assert written.count("Enter passphrase") == 1
    assert "sshd-a: ssh asks for what it needs to log in" in written
    assert "1 succeeded of 1" in written


def test_a_tokens_pin_is_asked_for_once_before_the_run(tokened: Sshd, token: Token, home: Path, tmp_path: Path) -> None:
    configure(home, f"Host *\n  PKCS11Provider {token.library}\n")
    (tmp_path / "inventory.toml").write_text(inventory_of([tokened], 'transport = "openssh"'))
    (tmp_path / "hello.wat").write_text(HELLO_WAT)
    command = ["-m", "batchwasm", "run", "hello.wat", "-i", "inventory.toml"]
    before = tokened.log.count("Accepted publickey")
    with left_open("tokened"):
        code, written = on_a_terminal(*command, cwd=tmp_path, answers=[(ENTER_PIN, f"{PIN}\n")], controlling=True)
    assert code == 0, written
    assert written.count(ENTER_PIN) == 1
    assert "1 succeeded of 1" in written
    assert tokened.log.count("Accepted publickey") == before + 1


def test_a_run_in_the_background_names_the_line_by_which_it_goes_on(
    batchwasm: Cli, tokened: Sshd, token: Token, home: Path
) -> None:
    configure(home, f"Host *\n  PKCS11Provider {token.library}\n")
    (batchwasm.folder / "inventory.toml").write_text(inventory_of([tokened], 'transport = "openssh"'))
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    batchwasm("run", "hello.wat", "--detach")
    said = batchwasm("wait", code=3).err
    found = re.search(r"log in once yourself: (ssh .*?); or: ", said)
    assert found, said
    with left_open("tokened"):
        shell = ["/bin/sh", "-c", f"trap '' HUP; {found[1]}"]  # this terminal ends with it, a person's does not
        code, written = on_a_terminal(*shell, program=(), cwd=home, answers=[(ENTER_PIN, f"{PIN}\n")], controlling=True)
        assert code == 0, written
        batchwasm("resume")
    assert [row["stdout"] for row in batchwasm("results", "--json").rows] == ["hello\n"]
