"""Hosts that share nothing but this machine's kernel: a network, processes, mounts, /tmp, a host name, a boot id each.

They hang on a bridge in the namespaces of whoever makes them. A host is its init: when that dies the kernel ends all
that runs there and takes the network with it, which is what a power cut does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.sshd import Sshd, _below, _kill

BRIDGE, NETWORK, OURS = "chaos", "10.77.0", 1
PORT = 2222
PROGRAMS = {
    "ip": "iproute2",
    "tc": "iproute2",
    "iptables": "iptables",
    "unshare": "util-linux",
    "sshd": "openssh-server",
}
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/local/sbin"

# Orphans become its children, and a zombie supervisor would be one that still runs.
_INIT = (
    "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
)
_BOOT = """
hostname "$1"
mount --bind "$2/boot_id" /proc/sys/kernel/random/boot_id
mount --bind "$2/tmp" /tmp
ip link set lo up
exec "$3" -c "$4"
"""


def missing() -> str:
    """Why there can be no such hosts here, and what to do; '' where there can."""
    if os.getuid() != 0:
        return "network namespaces need root; run it as root, say by sudo"
    absent = sorted({package for name, package in PROGRAMS.items() if shutil.which(name, path=PATH) is None})
    if absent:
        return f"missing here: apt-get install {' '.join(absent)}"
    probe = "ip link add v0 type veth peer name v1 && tc qdisc add dev v0 root tbf rate 1mbit burst 4kb latency 50ms"
    probe += " && iptables -A INPUT -p tcp -s 10.77.0.9 -j REJECT --reject-with tcp-reset"
    done = subprocess.run(
        [*ALONE, "sh", "-ec", probe], capture_output=True, text=True, env={**os.environ, "PATH": PATH}, check=False
    )
    return f"this kernel, or this container, does not let us: {done.stderr.strip()}" if done.returncode else ""


ALONE = ("unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc")
"""Starts a command in namespaces of its own, all of which go with it, and with whoever started it."""


def command(*words: str | int, check: bool = True) -> None:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(map(str, words))}: {done.stderr.strip()}"


def make_bridge() -> None:
    """In the network namespace that we are in, which is ours alone."""
    command("ip", "link", "set", "lo", "up")
    command("ip", "link", "add", BRIDGE, "type", "bridge")
    command("ip", "address", "add", f"{NETWORK}.{OURS}/24", "dev", BRIDGE)
    command("ip", "link", "set", BRIDGE, "up")


@dataclass
class NetHost(Sshd):
    """An sshd on a machine of its own; `power_off` and `power_on` are a reboot."""

    _unshare: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    init: int = 0
    """Its pid, as we see it."""

    @property
    def link(self) -> str:
        """Our end of its cable."""
        return f"to-{self.name}"

    @property
    def mac(self) -> str:
        """The same after a reboot, as a network card has it: others know it."""
        return f"02:00:00:00:00:{int(self.address.rpartition('.')[2]):02x}"

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    # ------------------------------------------------------------------------------------------ the machine

    def power_on(self) -> None:
        """A boot: a new boot id, an empty /tmp, the disk as it was."""
        shutil.rmtree(self.tmp, ignore_errors=True)
        self.tmp.mkdir(parents=True)
        self.tmp.chmod(0o1777)
        (self.folder / "boot_id").write_text(f"{uuid.uuid4()}\n")
        boot = ["sh", "-ec", _BOOT, "sh", self.name, str(self.folder), os.path.realpath(sys.executable), _INIT]
        with open(self.folder / "boot.log", "ab") as log:
            self._unshare = subprocess.Popen(
                [*ALONE, *boot], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        assert self._unshare.stdout is not None
        assert self._unshare.stdout.read(2) == b"up", (self.folder / "boot.log").read_text()
        [self.init] = children(self._unshare.pid)
        eth0 = ["name", "eth0", "address", self.mac, "netns", self.init]
        command("ip", "link", "add", self.link, "type", "veth", "peer", *eth0)
        command("ip", "link", "set", self.link, "master", BRIDGE, "up")
        self.inside("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.inside("ip", "link", "set", "eth0", "up")
        self.start()

    def power_off(self) -> None:
        """At once, as by the switch."""
        assert self._unshare is not None
        assert self._unshare.stdout is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.init, signal.SIGKILL)
        self._unshare.wait()
        self._unshare.stdout.close()
        self.init, self._unshare = 0, None
        self.stop(signal.SIGKILL)
        command("ip", "link", "delete", self.link, check=False)  # the kernel does it, but not at once

    def inside(self, *words: str | int, check: bool = True) -> None:
        """Runs a command in its network."""
        command("nsenter", "--target", self.init, "--net", *words, check=check)

    # ----------------------------------------------------------------------------------------------- sshd

    def _command(self) -> list[str]:
        enter = ["nsenter", "--target", str(self.init), "--net", "--mount", "--pid", "--uts"]
        return [*enter, *super()._command()]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ends the listener; its connections go on, as they do when sshd is restarted."""
        if self._listener is not None:
            for pid in children(self._listener.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, how)
            self._listener.wait()
            self._listener = None

    @property
    def is_up(self) -> bool:
        return self._listener is not None

    # ------------------------------------------------------------------------------------- what runs there

    def everything(self) -> list[int]:
        """Pids of all that runs there but init."""
        space = pid_space(self.init)
        return [pid for pid in pids() if pid != self.init and pid_space(pid) == space]

    def runners(self, what: str) -> list[int]:
        """Pids of its relays, its supervisors or their workers."""
        ours = {pid: words_of(pid) for pid in self.everything()}
        named = [pid for pid, words in ours.items() if b"batchwasm_runner" in words and what.encode() in words]
        if what == "relay":
            return named
        of_runner = [pid for pid, words in ours.items() if b"supervise" in words]
        workers = {child for pid in of_runner for child in children(pid)}
        return [pid for pid in of_runner if (pid in workers) == (what == "worker")]

    def drop_connections(self) -> None:
        """SIGKILL for the processes of sshd that serve somebody."""
        listeners = children(self._listener.pid) if self._listener is not None else []
        _kill(pid for listener in listeners for pid in _below(listener) if b"sshd" in b" ".join(words_of(pid)))


def make(root: Path, count: int, authorized_key: Path) -> list[NetHost]:
    """That many hosts, running."""
    hosts = []
    for n in range(1, count + 1):
        name = f"net{n}"
        folder = root / name
        host = NetHost(name, f"{NETWORK}.{OURS + n}", PORT, folder, authorized_key, folder / "home")
        folder.mkdir(parents=True)
        host.power_on()
        hosts.append(host)
    return hosts


def left_on(host: NetHost) -> Sequence[str]:
    """What of ours is there though no run is: processes, local folders, scratch, spool; all but the cache."""
    lines = [f"{host.name}: {pid} {b' '.join(words).decode(errors='replace')}" for pid, words in _ours(host)]
    places = [*host.tmp.glob("batchwasm-*/*"), *host.workdir.glob("scratch/*"), *host.workdir.glob("spool/*")]
    lines += [f"{host.name}: {path}" for path in places]
    known = {"cache", "runner"}
    return lines + [f"{host.name}: {path}" for path in host.workdir.glob("*") if path.name not in known]


def _ours(host: NetHost) -> list[tuple[int, list[bytes]]]:
    return [(pid, words) for pid in host.everything() if b"batchwasm_runner" in (words := words_of(pid))]


def pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def pid_space(pid: int) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/{pid}/ns/pid")
    return "gone"


def words_of(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def children(pid: int) -> list[int]:
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []
