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
from tests.sshd import MARK, Servers, Sshd, _after_grace, ssh_config_of

MIRROR = "http://deb.debian.org/debian"
MAKE_S = 900  # 50 MB to fetch, 150 packages to unpack; on a slow line and a busy machine


@dataclass(frozen=True, kw_only=True, slots=True)
class Debian:
    """What a tree is made of, and what its host should say of itself."""

    suite: str
    python: str
    """Its version, as `facts` has it, without the last number."""
    glibc: str
    setup: tuple[str, ...] = ()
    """Commands in it, before its sshd starts."""

    @property
    def name(self) -> str:
        return self.suite

    def tree(self) -> Path:
        """The folder, made where it is not there yet or is of another month: mirrors drop what it would update from."""
        kept = TOOL_CACHES / "trees"
        kept.mkdir(parents=True, exist_ok=True)
        tree = kept / f"{self.name}-{datetime.date.today():%Y-%m}"
        with open(kept / f"{self.name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not tree.is_dir():
                for old in kept.glob(f"{self.name}-*"):
                    shutil.rmtree(old)
                self.make(kept / f"{self.name}-new")
                os.rename(kept / f"{self.name}-new", tree)
        return tree

    def make(self, tree: Path) -> None:
        debootstrap(self.suite, tree)

    def command(self, hostname: str, shared: Path, sshd: Sequence[str | Path]) -> list[str]:
        """See `Root` of sshd.py."""
        setup = (f"chroot $ROOT sh -ec {shlex.quote(command)}" for command in self.setup)
        steps = (f"hostname {shlex.quote(hostname)}", *_mounts(self.tree(), shared), *setup)
        return [*UNSHARE, *_script(*steps, f'exec chroot "$ROOT" /usr/sbin/sshd {shlex.join(map(str, sshd))}')]


@dataclass(frozen=True, kw_only=True, slots=True)
class Emulated(Debian):
    """Debian for another machine, run by qemu: unpacked, but not configured.

    What says to the kernel that qemu starts its programs is a binfmt_misc of a user namespace's own (Linux 6.7 or
    later), so that this machine goes on as it is.
    """

    machine: str

    @property
    def name(self) -> str:
        return self.machine

    def make(self, tree: Path) -> None:
        debootstrap(self.suite, tree, "--foreign", f"--arch={DEBIAN_MACHINES[self.machine]}")
        for package in sorted(tree.glob("var/cache/apt/archives/*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, tree], check=True)
            package.unlink()
        for name in ("passwd", "group"):
            shutil.copy(tree / f"usr/share/base-passwd/{name}.master", tree / "etc" / name)
        with open(tree / "etc/passwd", "a") as file:
            file.write("sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n")

    def command(self, hostname: str, shared: Path, sshd: Sequence[str | Path]) -> list[str]:
        """See `Root` of sshd.py."""
        inner = Debian.command(self, hostname, shared, sshd)
        qemu = shutil.which(f"qemu-{self.machine}-static")
        assert qemu is not None, "apt-get install qemu-user-static"
        row = f":{self.machine}:M::{MAGIC[self.machine]}:{qemu}:OCF"
        register = (
            "mount -t binfmt_misc none /proc/sys/fs/binfmt_misc",
            f"printf %s {shlex.quote(row)} >/proc/sys/fs/binfmt_misc/register",
        )
        wait = "until read -r _ </proc/self/uid_map; do :; done"
        registered = _script(wait, *register, f"exec {shlex.join(inner)}")
        # Who makes a namespace has no rights to map more than one user into it: its parent's side does.
        script = f"""
            ( old=$(readlink /proc/self/ns/user)
              until new=$(readlink /proc/$$/ns/user) && [ "$new" != "$old" ]; do :; done
              echo 0 0 {USERS} >/proc/$$/uid_map; echo 0 0 {USERS} >/proc/$$/gid_map ) &
            exec unshare --user --mount --propagation private {shlex.join(registered)}"""
        return _script(script)


UNSHARE = ("unshare", "--uts", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--propagation", "private")
USERS = 65536
DEBIAN_MACHINES = {"aarch64": "arm64"}
_ELF = r"\x7f\x45\x4c\x46\x02\x01\x01\x00" + r"\x00" * 8
_ANY = r"\xff\xff\xff\xff\xff\xff\xff\x00" + r"\xff" * 8
MAGIC = {"aarch64": rf"{_ELF}\x02\x00\xb7\x00:{_ANY}\xfe\xff\xff\xff"}
"""What begins a program of that machine, as /usr/lib/binfmt.d of Debian has it."""


def _script(*steps: str) -> list[str]:
    return ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "sh", "-ec", "\n".join(steps)]


def debootstrap(suite: str, tree: Path, *options: str) -> None:
    """Debian's packages for a small system, an SSH server and Python."""
    command = ["debootstrap", *options, "--variant=minbase", "--include=openssh-server,python3", suite, tree, MIRROR]
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=MAKE_S, check=False)
    assert done.returncode == 0, f"{suite}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"


def _mounts(tree: Path, shared: Path) -> Iterator[str]:
    """Steps that make ROOT out of a tree; what is written there ends with it, but for `shared`."""
    yield "mount -t tmpfs none /mnt; mkdir /mnt/upper /mnt/work /mnt/root; ROOT=/mnt/root"
    yield f"cd {shlex.quote(str(tree))}"  # in options a colon or comma would end its name
    yield "mount -t overlay none -o lowerdir=.,upperdir=/mnt/upper,workdir=/mnt/work $ROOT"
    yield "mount -t proc none $ROOT/proc; mount --rbind /dev $ROOT/dev; mount --rbind /sys $ROOT/sys"
    yield "mkdir -p $ROOT/run/sshd"
    folder = shlex.quote(str(shared))
    yield f"mkdir -p $ROOT{folder}; mount --bind {folder} $ROOT{folder}"


SYSTEMS = (Debian(suite="bullseye", python="3.9", glibc="2.31"), Debian(suite="trixie", python="3.13", glibc="2.41"))
USER, PASSWORD = "alice", "it is secret"
AS_IT_COMES = Debian(
    suite="trixie",
    python="3.13",
    glibc="2.41",
    setup=(f"useradd -m -s /bin/bash {USER}", f"echo '{USER}:{PASSWORD}' | chpasswd"),
)
"""With a user who has a password and no key, and an sshd as it is after its installation."""
AARCH64 = Emulated(suite="trixie", python="3.13", glibc="2.41", machine="aarch64")


@pytest.fixture
def tree_pool(ssh_servers: Servers, home: Path) -> Iterator[list[Sshd]]:
    """Debian 11 and 13 as `bullseye` and `trixie`, known to this test's HOME. Only root may make them."""
    yield from _pool(ssh_servers, home, SYSTEMS)


@pytest.fixture
def host_as_it_comes(ssh_servers: Servers, home: Path, request: pytest.FixtureRequest) -> Iterator[Sshd]:
    """A host that this test's HOME knows the name of, `trixie`, and neither its key nor has one that it takes.

    Where the test gives it lines of sshd_config, as its parameter, it is so but for them.
    """
    mark = f"SetEnv {MARK}={ssh_servers.root / AS_IT_COMES.name}"  # and not the HOME of others
    options = (
        *getattr(request, "param", ()),
        "UsePAM yes",
        "PasswordAuthentication yes",
        "AuthorizedKeysFile .ssh/authorized_keys",
        mark,
    )
    server = ssh_servers.make(AS_IT_COMES.name, address="127.0.0.43", root=AS_IT_COMES, options=options)
    (home / ".ssh").mkdir(mode=0o700)
    (home / ".ssh/config").write_text(ssh_config_of(server))
    yield server
    left = _after_grace(server)
    ssh_servers.release(server)
    assert not left, "left behind by this test:\n" + "\n".join(left)


@pytest.fixture
def aarch64_host(ssh_servers: Servers, home: Path) -> Iterator[Sshd]:
    """A host of that machine, emulated, as `aarch64`."""
    yield from (server for (server,) in _pool(ssh_servers, home, (AARCH64,)))


def _pool(ssh_servers: Servers, home: Path, systems: Sequence[Debian]) -> Iterator[list[Sshd]]:
    servers = [
        ssh_servers.make(debian.name, address=f"127.0.0.{41 + i}", root=debian) for i, debian in enumerate(systems)
    ]
    ssh_servers.client.install(home, servers)
    yield servers
    left = [line for server in servers for line in _after_grace(server)]
    for server in servers:
        ssh_servers.release(server)
    assert not left, "left behind by this test:\n" + "\n".join(left)
