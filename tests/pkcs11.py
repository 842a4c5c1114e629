"""A token of a test's own: SoftHSM, a PKCS#11 library like those of smart cards, with a key that is nowhere else.

And what ssh keeps in a file of a key on a FIDO token: that one is never in.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agent import agent
from tests.sshd import Servers, Sshd, checked, loopback

PIN = "123456"
LABEL = "batchwasm test"
ENTER_PIN = f"Enter PIN for '{LABEL}'"
"""How ssh asks for it."""
LIBRARIES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)

FIDO_KEY = """\
-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAASgAAABpzay1zc2
gtZWQyNTUxOUBvcGVuc3NoLmNvbQAAACBzxFuWBoS1Jj2SY4t6+KCXeX0aSNntwBMfLyfj
otdHZQAAAARzc2g6AAAAqDwTr+c8E6/nAAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY2
9tAAAAIHPEW5YGhLUmPZJji3r4oJd5fRpI2e3AEx8vJ+Oi10dlAAAABHNzaDoBAAAAQLll
L7Yxl1TxEi0pLK/N3VxzpcWHTCuhELuf3y0nzSpFc8RblgaEtSY9kmOLevigl3l9GkjZ7c
ATHy8n46LXR2UAAAAAAAAAB3Jvb3RAdm0BAg==
-----END OPENSSH PRIVATE KEY-----
"""
"""Made by the dummy that OpenSSH's own tests have for a token; it opens nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    folder: Path
    library: str

    @property
    def environment(self) -> dict[str, str]:
        """Where its library looks for it."""
        return {"SOFTHSM2_CONF": f"{self.folder}/softhsm2.conf"}

    @property
    def public_key(self) -> Path:
        return self.folder / "token.pub"

    @property
    def fido_public_key(self) -> Path:
        return self.folder / "fido.pub"

    def make(self) -> None:
        (self.folder / "tokens").mkdir()
        (self.folder / "softhsm2.conf").write_text(f"directories.tokendir = {self.folder}/tokens\nlog.level = ERROR\n")
        key = self.folder / "key"
        # No ed25519: ssh knows RSA and ECDSA of tokens.
        self._run("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-m", "PKCS8", "-N", "", "-f", str(key))
        self._run("softhsm2-util", "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", f"{PIN}00")
        told = ("--token", LABEL, "--label", "key", "--id", "01", "--pin", PIN)
        self._run("softhsm2-util", "--import", str(key), *told)
        key.unlink()
        self.public_key.write_text(self._run("ssh-keygen", "-D", self.library))
        has_fido_key(key)
        self.fido_public_key.write_text(self._run("ssh-keygen", "-y", "-f", str(key)))

    @contextmanager
    def in_agent(self, folder: Path) -> Iterator[None]:
        """An agent for this process that was given the PIN."""
        asks = folder / "askpass"
        asks.write_text(f"#!/bin/sh\necho {PIN}\n")
        asks.chmod(0o700)
        environment = {**self.environment, "SSH_ASKPASS": str(asks), "SSH_ASKPASS_REQUIRE": "force"}
        with agent(folder, "-s", self.library, environment=environment):
            yield

    def _run(self, *command: str) -> str:
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


def has_fido_key(path: Path) -> None:
    path.write_text(FIDO_KEY)
    path.chmod(0o600)


@pytest.fixture(scope="session")
def token(tmp_path_factory: pytest.TempPathFactory) -> Token:
    """Skips where there is no SoftHSM."""
    library = next(filter(os.path.exists, LIBRARIES), None)
    if library is None or shutil.which("softhsm2-util") is None:
        pytest.skip("no SoftHSM here: install softhsm2")
    token = Token(folder=tmp_path_factory.mktemp("token"), library=library)
    token.make()
    return token


@pytest.fixture(scope="session")
def token_server(ssh_servers: Servers, token: Token) -> Sshd:
    """One that takes the keys of tokens alone. Use `tokened`, which checks each test."""
    takes = (f"AuthorizedKeysFile {token.public_key} {token.fido_public_key}",)
    return ssh_servers.make("tokened", address=loopback(64), options=takes)


@pytest.fixture
def tokened(
    token_server: Sshd, token: Token, ssh_servers: Servers, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sshd]:
    """A server that takes the token's key, for a user who has no other; fails if a process is left there."""
    for name, value in token.environment.items():
        monkeypatch.setenv(name, value)
    for [server] in checked([token_server], ssh_servers, home):
        (home / ".ssh/id_ed25519").unlink()
        (home / ".ssh/id_ed25519.pub").unlink()
        yield server
