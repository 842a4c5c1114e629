"""A run on a terminal lets ssh ask, once, before its display is up."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

from batchwasm.transports.openssh_client import Client
from batchwasm.transports.openssh_errors import standing
from batchwasm.transports.ssh_config import Endpoint
from tests.cli.terminal import ROOT
from tests.guests import HELLO_WAT
from tests.sshd import Sshd, inventory_of


def answering(leader: int, question: bytes, answer: bytes) -> bytes:
    """All that is written to a terminal; the question is answered when it comes."""
    written, answered = b"", False
    while True:
        try:
            chunk = os.read(leader, 65536)
        except OSError:  # the last writer closed it
            return written
        if not chunk:
            return written
        written += chunk
        if not answered and question in written:
            os.write(leader, answer)
            answered = True


def take_the_terminal() -> None:
    """In the child: what it has as stdin is the terminal that ssh opens as /dev/tty."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_passphrase_is_asked_for_once_before_the_run(ssh_pool: list[Sshd], home: Path, tmp_path: Path) -> None:
    lock = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(home / ".ssh/id_ed25519")]
    subprocess.run(lock, check=True, stdout=subprocess.DEVNULL)
    (tmp_path / "inventory.toml").write_text(inventory_of(ssh_pool[:1], 'transport = "openssh"'))
    (tmp_path / "hello.wat").write_text(HELLO_WAT)
    client = Client(endpoint=Endpoint(name="sshd-a"))
    leader, follower = pty.openpty()
    try:
        run = subprocess.Popen(
            [sys.executable, "-m", "batchwasm", "run", "hello.wat", "-i", "inventory.toml", "--wait-hosts", "5s"],
            cwd=tmp_path,
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"},
            start_new_session=True,
            preexec_fn=take_the_terminal,
        )
        os.close(follower)
        written = answering(leader, b"Enter passphrase", b"secret\n").decode()
        assert run.wait(60) == 0, written
    finally:
        os.close(leader)
        subprocess.run(client.over(standing(client), "-Oexit"), check=False, capture_output=True)
    assert written.count("Enter passphrase") == 1
    assert "sshd-a: ssh asks for what it needs to log in" in written
    assert "1 succeeded of 1" in written
