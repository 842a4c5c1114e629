"""A host with an SSH server and next to nothing else: no Python, a shell, the few programs that a script may call."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.sshd import Servers, Sshd

PROGRAMS = ("sh", "mkdir", "head", "chmod", "rm", "uname", "env")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bare:
    """The host: `root` is what its sessions see as /."""

    server: Sshd
    root: Path

    @property
    def workdir(self) -> Path:
        return self.root / "home/.cache/batchwasm"

    def add(self, *programs: str) -> None:
        """Copies programs of this machine, with the libraries they load."""
        for name in programs:
            path = Path(shutil.which(name) or f"/bin/{name}").resolve()
            _copy(path, self.root / "bin" / name)
            for library in _libraries(path):
                _copy(library, self.root / library.relative_to("/"))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)


def _libraries(path: Path) -> Iterator[Path]:
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    yield from (Path(found) for found in re.findall(r"(/\S+) \(0x", listed))


@pytest.fixture
def bare_host(ssh_servers: Servers, home: Path) -> Iterator[Bare]:
    """Known to this test's HOME as `bare`. Only root may make one."""
    root = ssh_servers.root / "bare-root"
    for name in ("proc", "dev", "tmp", "home"):
        (root / name).mkdir(parents=True)
    inner = "HOME=/home XDG_CACHE_HOME=/home/.cache PATH=/bin TMPDIR=/tmp"
    steps = (
        f"mount -t proc proc {shlex.quote(str(root / 'proc'))}",
        f"mount --bind /dev {shlex.quote(str(root / 'dev'))}",
        "PATH=$PATH:/usr/sbin:/sbin",
        f'exec chroot {shlex.quote(str(root))} /bin/env {inner} /bin/sh -c "$SSH_ORIGINAL_COMMAND"',
    )
    login = ssh_servers.root / "bare-login"
    login.write_text("#!/bin/sh\nset -e\n" + "\n".join(steps) + "\n")
    command = f"unshare --mount --propagation private sh {shlex.quote(str(login))}"
    server = ssh_servers.make("bare", address="127.0.0.31", options=[f"ForceCommand {command}"])
    ssh_servers.client.install(home, [server])
    bare = Bare(server=server, root=root)
    bare.add(*PROGRAMS)
    yield bare
    left = ssh_servers.release(server)
    shutil.rmtree(root)
    login.unlink()
    assert not left, "left behind by this test:\n" + "\n".join(left)
