"""Other systems as hosts: Debian releases in folders, each with its own sshd, Python, host name and processes.

A tree is made once by debootstrap and kept, read-only, with the compilers' caches; what a host writes goes to memory.
"""

from __future__ import annotations

import datetime
import fcntl
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.homes import TOOL_CACHES
from tests.sshd import Servers, Sshd, _after_grace

MIRROR = "http://deb.debian.org/debian"
MAKE_S = 900  # 50 MB to fetch, 150 packages to unpack; on a slow line and a busy machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Debian:
    """What a tree is made of."""

    suite: str
    python: str
    """Its Python's version, as `facts` has it, without the last number."""
    glibc: str

    def tree(self) -> Path:
        """The folder, made where it is not there yet or is of another month: mirrors drop what it would update from."""
        kept = TOOL_CACHES / "trees"
        kept.mkdir(parents=True, exist_ok=True)
        tree = kept / f"{self.suite}-{datetime.date.today():%Y-%m}"
        with open(kept / f"{self.suite}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not tree.is_dir():
                for old in kept.glob(f"{self.suite}-*"):
                    shutil.rmtree(old)
                self._make(kept / f"{self.suite}-new")
                os.rename(kept / f"{self.suite}-new", tree)
        return tree

    def _make(self, tree: Path) -> None:
        command = ["debootstrap", "--variant=minbase", "--include=openssh-server,python3", self.suite, tree, MIRROR]
        path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
        done = subprocess.run(
            command, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=MAKE_S, check=False
        )
        assert done.returncode == 0, f"{self.suite}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"

    def command(self, hostname: str, shared: Path, sshd: Sequence[str | Path]) -> list[str]:
        """See `Root` of sshd.py."""
        steps = _mounts(self.tree(), shared)
        start = shlex.join(["chroot", "$ROOT", "/usr/sbin/sshd", *map(str, sshd)]).replace("'$ROOT'", '"$ROOT"')
        script = "\n".join((f"hostname {shlex.quote(hostname)}", *steps, f"exec {start}"))
        return [
            *("unshare", "--uts", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--propagation", "private"),
            *("env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec", script),
        ]


def _mounts(tree: Path, shared: Path) -> Iterator[str]:
    """Steps that make ROOT out of a tree; /run is theirs and ends with them."""
    yield "mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work /mnt/root; ROOT=/mnt/root"
    yield f"cd {shlex.quote(str(tree))}"  # in options a colon or comma would end its name
    yield "mount -t overlay none -o lowerdir=.,upperdir=/mnt/upper,workdir=/mnt/work $ROOT"
    yield "mount -t proc none $ROOT/proc; mount --rbind /dev $ROOT/dev; mount --rbind /sys $ROOT/sys"
    yield "mkdir -p $ROOT/run/sshd; rm -f $ROOT/etc/ssh/ssh_host_*"
    folder = shlex.quote(str(shared))
    yield f"mkdir -p $ROOT{folder}; mount --bind {folder} $ROOT{folder}"


SYSTEMS = (Debian(suite="bullseye", python="3.9", glibc="2.31"), Debian(suite="trixie", python="3.13", glibc="2.41"))


@pytest.fixture
def tree_pool(ssh_servers: Servers, home: Path) -> Iterator[list[Sshd]]:
    """Debian 11 and 13 as `bullseye` and `trixie`, known to this test's HOME. Only root may make them."""
    servers = [
        ssh_servers.make(debian.suite, address=f"127.0.0.{41 + i}", root=debian) for i, debian in enumerate(SYSTEMS)
    ]
    ssh_servers.client.install(home, servers)
    yield servers
    left = [line for server in servers for line in _after_grace(server)]
    for server in servers:
        ssh_servers.release(server)
    assert not left, "left behind by this test:\n" + "\n".join(left)
