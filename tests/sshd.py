"""Real OpenSSH servers on loopback addresses, each a host of its own: host key, home, cache; and a client's HOME.

Servers live for the session, in a folder outside /tmp (the variant with a /tmp of its own would not see them there).
What a server's sessions start carries MARK in its environment, so that it can be found and killed with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from batchwasm.model import Host

MARK = "BATCHWASM_TEST_SSHD"
START_S = 10.0
GONE_S = 10.0
_PR_SET_PDEATHSIG = 1

Pairs = tuple[tuple[str, str], ...]


class Root(Protocol):
    """A system for a server."""

    def command(self, hostname: str, shared: Path, sshd: Sequence[str | Path]) -> list[str]:
        """Starts its sshd with these arguments in a world of its own, which ends with it. `shared` is there, too."""


@dataclass
class Sshd:
    """One server. `options` are lines of sshd_config; `hostname` gives it its own UTS and mount namespace and /tmp.

    `root` makes it another system (see trees.py): its sshd, its programs, its processes.
    """

    name: str
    address: str
    port: int
    folder: Path
    authorized_key: Path
    home: Path
    options: Sequence[str] = ()
    hostname: str | None = None
    environment: Pairs = ()
    root: Root | None = None
    own_environment: Pairs = ()
    """Of the server itself; `environment` is that of its sessions."""
    _listener: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def cache(self) -> Path:
        """Its XDG_CACHE_HOME; `batchwasm` in it is the default workdir."""
        return self.home / ".cache"

    @property
    def workdir(self) -> Path:
        return self.cache / "batchwasm"

    @property
    def host_key(self) -> str:
        """`ssh-ed25519 AAAA...`"""
        return " ".join(self._key_file.with_suffix(".pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        done = subprocess.run(["ssh-keygen", "-lf", str(self._key_file)], capture_output=True, text=True, check=True)
        return done.stdout.split()[1]

    @property
    def known_hosts_line(self) -> str:
        return f"[{self.address}]:{self.port} {self.host_key}\n"

    @property
    def host(self) -> Host:
        """As the inventory has it; the client's ~/.ssh/config knows the name."""
        return Host(name=self.name)

    @property
    def _key_file(self) -> Path:
        return self.folder / "host_key"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.cache.mkdir(parents=True, exist_ok=True)
        if not self._key_file.exists():
            new_key(self._key_file)
        (self.folder / "sshd_config").write_text(self._config())
        with open(self.folder / "log", "ab") as log:
            self._listener = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **dict(self.own_environment)},
                preexec_fn=functools.partial(die_with_us, self._end_signal),
            )
        self._wait_for_banner()

    def _config(self) -> str:
        environment = (("XDG_CACHE_HOME", str(self.cache)), ("HOME", str(self.home)), (MARK, str(self.folder)))
        pairs = " ".join(f'"{name}={value}"' for name, value in (*environment, *self.environment))
        lines = (
            *self.options,  # the first value of an option counts
            f"Port {self.port}",
            f"ListenAddress {self.address}",
            f"HostKey {self._key_file}",
            "PidFile none",
            f"AuthorizedKeysFile {self.authorized_key}",
            "StrictModes no",  # temporary folders are below ones that others may write
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "PrintMotd no",
            "LogLevel VERBOSE",
            f"SetEnv {pairs}",
        )
        return "".join(f"{line}\n" for line in lines)

    def _command(self) -> list[str]:
        if self.root is not None:
            return self.root.command(self.name, self.folder.parent, ["-D", "-e", "-f", self.folder / "sshd_config"])
        sshd = [sshd_path() or "sshd", "-D", "-e", "-f", str(self.folder / "sshd_config")]
        if self.hostname is None:
            return sshd
        tmp = self.folder / "tmp"
        tmp.mkdir(exist_ok=True)
        tmp.chmod(0o1777)
        script = f"hostname {self.hostname}; mount --bind {shlex.quote(str(tmp))} /tmp; exec {shlex.join(sshd)}"
        return ["unshare", "--uts", "--mount", "--propagation", "private", "sh", "-ec", script]

    def _wait_for_banner(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            assert self._listener is not None
            assert self._listener.poll() is None, (self.folder / "log").read_text()
            with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), timeout=1) as one:
                if one.recv(4) == b"SSH-":
                    return
            time.sleep(0.01)  # polling for a server of others, which tells nobody when it listens
        raise AssertionError(f"{self.name} does not listen: {(self.folder / 'log').read_text()}")

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def refused(self) -> int:
        """Logins by a key that it refused, if each showed one."""
        return self.log.count("Failed publickey")

    def sessions(self) -> list[int]:
        """Pids of its connections: all below the listener."""
        return _below(self._listener.pid) if self._listener is not None else []

    def processes(self) -> list[int]:
        """Pids of what its sessions started and that still runs, detached or not."""
        mark = f"{MARK}={self.folder}".encode()  # unique: several sessions may share this machine
        return [pid for pid, environ in _environments() if mark in environ.split(b"\0")]

    def kill(self, *, everything: bool = True) -> None:
        """SIGKILL for the server and all its connections, at once; with `everything` for all that they started too."""
        pids = self.sessions() + (self.processes() if everything else [])
        self.stop(signal.SIGKILL)
        _kill(pids)

    def forget(self) -> None:
        """It begins anew as the same process: whom it let in no more it lets in again."""
        (listener,) = (pid for pid in self.sessions() if " [listener] " in _command_line(pid))
        os.kill(listener, signal.SIGHUP)

    def cut(self) -> None:
        """SIGKILL for its connections; the server goes on, and so does what they started and detached."""
        _kill(pid for pid in self.sessions() if pid not in set(self.processes()))

    @property
    def _end_signal(self) -> signal.Signals:
        """What waits for the end of a system of its own heeds no other."""
        return signal.SIGTERM if self.root is None else signal.SIGKILL

    def stop(self, how: signal.Signals | None = None) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.send_signal(how or self._end_signal)
            listener.wait()

    def end(self) -> list[str]:
        """Stop it; what is still left of its sessions after a grace is told, and killed."""
        pids = self.sessions()
        self.stop()
        left = _after_grace(self)
        _kill([*pids, *self.processes()])
        return left


@dataclass
class Client:
    """The private key that all servers accept, and what goes into a client's ~/.ssh."""

    key: Path

    def install(self, home: Path, servers: Sequence[Sshd]) -> None:
        """Make HOME/.ssh such that every server is reached by its name, without questions."""
        folder = home / ".ssh"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("id_ed25519", "id_ed25519.pub"):
            shutil.copy(self.key.with_name(name), folder / name)
        (folder / "id_ed25519").chmod(0o600)
        (folder / "known_hosts").write_text("".join(server.known_hosts_line for server in servers))
        (folder / "config").write_text("".join(map(ssh_config_of, servers)))


def ssh_config_of(server: Sshd) -> str:
    return f"Host {server.name}\n    HostName {server.address}\n    Port {server.port}\n    User {getpass.getuser()}\n"


def configure(home: Path, text: str) -> None:
    """Put lines behind what `install` wrote; ssh_config takes the first value it finds."""
    with open(home / ".ssh/config", "a") as file:
        file.write(text)


def inventory_of(servers: Sequence[Sshd], extra: str = "") -> str:
    """An inventory.toml of these servers."""
    return "".join(f"[hosts.{server.name}]\n{extra}\n" for server in servers)


def sshd_path() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def new_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> None:
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def loopback(n: int) -> str:
    """The nth address that no other worker of pytest-xdist uses: a server that starts again has its port back."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    return f"127.0.{int(worker.removeprefix('gw')) + 1 if worker else 0}.{n}"


def free_port(address: str) -> int:
    with socket.socket() as one:
        one.bind((address, 0))
        port: int = one.getsockname()[1]
        return port


class Servers:
    """Makes servers, and ends them all."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.client = Client(key=root / "id_ed25519")
        self._made: list[Sshd] = []
        new_key(self.client.key)

    def make(
        self,
        name: str,
        *,
        address: str = "127.0.0.1",
        options: Sequence[str] = (),
        home: Path | None = None,
        hostname: str | None = None,
        environment: Pairs = (),
        root: Root | None = None,
        own_environment: Pairs = (),
    ) -> Sshd:
        folder = self.root / name
        server = Sshd(
            name=name,
            address=address,
            port=free_port(address),
            folder=folder,
            authorized_key=self.root / "id_ed25519.pub",
            home=home or folder / "home",
            options=options,
            hostname=hostname,
            environment=environment,
            root=root,
            own_environment=own_environment,
        )
        server.start()
        self._made.append(server)
        return server

    def release(self, server: Sshd) -> list[str]:
        """End one before the session ends: what was left there after a grace."""
        self._made.remove(server)
        left = server.end()
        shutil.rmtree(server.folder)
        return left

    def end(self) -> list[str]:
        """What was left after a grace."""
        left = [line for server in self._made for line in server.end()]
        self._made.clear()
        return left


@pytest.fixture(scope="session")
def ssh_servers() -> Iterator[Servers]:
    """A maker of servers for the session. Skips where there is no sshd, unless CI is set."""
    if sshd_path() is None:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail("no sshd: apt-get install openssh-server")
        pytest.skip("no sshd here: install openssh-server")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # what sshd locks itself into before a login
    root = Path(tempfile.mkdtemp(prefix="batchwasm-sshd-", dir="/var/tmp"))
    servers = Servers(root)
    try:
        yield servers
        left = servers.end()
    finally:
        servers.end()
        shutil.rmtree(root)
    assert not left, "left behind on the servers:\n" + "\n".join(left)


@pytest.fixture(scope="session")
def three_servers(ssh_servers: Servers) -> list[Sshd]:
    """Three addresses under the names sshd-a, sshd-b and sshd-c. Use `ssh_pool`, which checks each test."""
    return [ssh_servers.make(f"sshd-{letter}", address=loopback(11 + i)) for i, letter in enumerate("abc")]


@pytest.fixture(scope="session")
def two_servers_one_home(ssh_servers: Servers) -> list[Sshd]:
    """shared-a and shared-b: own host names and /tmp, one home. Use `shared_pool`, which checks each test."""
    home = ssh_servers.root / "shared-home"
    return [
        ssh_servers.make(f"shared-{letter}", address=loopback(21 + i), home=home, hostname=f"host-{letter}")
        for i, letter in enumerate("ab")
    ]


@pytest.fixture
def ssh_pool(three_servers: list[Sshd], ssh_servers: Servers, home: Path) -> Iterator[list[Sshd]]:
    """Three servers that this test's HOME knows; fails if a process is left on one of them."""
    yield from checked(three_servers, ssh_servers, home)


@pytest.fixture
def shared_pool(two_servers_one_home: list[Sshd], ssh_servers: Servers, home: Path) -> Iterator[list[Sshd]]:
    """Two servers with one home that this test's HOME knows; fails if a process is left on one of them."""
    yield from checked(two_servers_one_home, ssh_servers, home)


def checked(pool: list[Sshd], servers: Servers, home: Path) -> Iterator[list[Sshd]]:
    """For a fixture of one test: its HOME knows them, and it fails if a process is left on one of them."""
    servers.client.install(home, pool)
    yield pool
    left = [line for server in pool for line in _after_grace(server)]
    for server in pool:
        _kill(server.processes())
        if server._listener is None:
            server.start()  # the test killed it
        shutil.rmtree(server.cache)
        server.cache.mkdir()
    assert not left, "left behind by this test:\n" + "\n".join(left)


def _after_grace(server: Sshd) -> list[str]:
    """The command lines of what still runs there after GONE_S."""
    deadline = time.monotonic() + GONE_S
    while (pids := server.processes()) and time.monotonic() < deadline:
        time.sleep(0.02)  # they are nobody's children here: nothing to wait for
    return [f"{server.name}: {pid} {_command_line(pid)}" for pid in pids]


def _command_line(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:300]
    return "(gone)"


def _environments() -> Iterator[tuple[int, bytes]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                yield int(entry), Path("/proc", entry, "environ").read_bytes()


def _below(pid: int) -> list[int]:
    """All descendants of a process."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                parent = int(Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        todo += (new := children.get(todo.pop(), []))
        found += new
    return found


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def die_with_us(how: signal.Signals = signal.SIGTERM) -> None:
    """In a child: it is sent this signal when its parent ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, how)
