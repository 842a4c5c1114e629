"""What this machine is and has: cpus, memory, boot, host name, file systems. Read from the kernel, nothing guessed.

A container's share counts, not the machine's: the affinity mask, the cgroup's cpu quota and its memory limit. Where a
kernel does not tell (macOS has no /proc), the portable answer of `os` is taken, and what stays unknown is '' or None.
"""

from __future__ import annotations

import math
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

REMOTE_TYPES = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "coda", "davfs", "macfuse"),
        *("lustre", "gpfs", "ceph", "beegfs", "glusterfs", "orangefs", "pvfs2"),
    }
)
"""File systems on which locks, sockets and hard links of two hosts meet. Any `fuse.*` counts too (sshfs, rclone, ...),
but for those on a local disk."""
LOCAL_FUSE = frozenset({"fuse.ntfs-3g", "fuse.exfat", "fuse.fuse-overlayfs", "fuseblk", "fuse.ext4", "fuse.lxcfs"})
_CPUINFO_TIMEOUT_S = 5  # sysctl answers in milliseconds; it is only asked where there is no /proc


@dataclass(frozen=True)
class Facts:
    """One machine as this process sees it."""

    os: str
    """linux, darwin, ..."""
    machine: str
    """x86_64, aarch64, arm64, ... as uname says it."""
    python: str
    hostname: str
    boot: str
    """Id of this boot; '' where the system has none."""
    cpus: int
    """What may be used at once; at least 1."""
    memory_bytes: int
    """What may be used at all; 0 where nothing tells."""


def facts() -> Facts:
    """Reads all of it, in about a millisecond."""
    return Facts(
        os=sys.platform,
        machine=os.uname().machine,
        python=".".join(map(str, sys.version_info[:3])),
        hostname=socket.gethostname(),
        boot=boot_id(),
        cpus=cpus(),
        memory_bytes=memory_bytes(),
    )


def boot_id() -> str:
    """An id that changes with every boot."""
    text = _read("/proc/sys/kernel/random/boot_id")
    return text.strip() if text is not None else _sysctl("kern.bootsessionuuid")


def cpus() -> int:
    """Cpus that this process may use at once: the affinity mask, cut by the cgroup's quota."""
    if sys.platform == "linux":
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    quotas = [quota for folder in _cgroups("cpu") if (quota := _cpu_quota(folder)) is not None]
    return max(1, min([there, *map(math.ceil, quotas)]))


def memory_bytes() -> int:
    """Memory that this process may use: the machine's, cut by the cgroup's limit; 0 where nothing tells."""
    total = _meminfo("MemTotal")
    if total is None:
        answer = _sysctl("hw.memsize")
        total = int(answer) if answer.isdigit() else 0
    limits = [limit for folder in _cgroups("memory") if (limit := _memory_limit(folder)) is not None]
    return min([total, *limits]) if total else min(limits, default=0)


def memory_available_bytes() -> int:
    """What could be taken now without swapping; 0 where nothing tells."""
    return _meminfo("MemAvailable") or 0


def load() -> float:
    """The load average of one minute."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def filesystem_type(path: str) -> str:
    """The type of the file system that holds `path` (ext4, nfs4, ...); '' where the system does not tell."""
    text = _read("/proc/self/mounts")
    if text is None:
        return ""
    real = os.path.realpath(path)
    best, best_type = "", ""
    for line in text.splitlines():
        fields = line.split(" ")
        if len(fields) >= 3:
            point = _unescape(fields[1])
            # The last of two mounts on one point is the one that is seen.
            if _is_below(real, point) and len(point) >= len(best):
                best, best_type = point, fields[2]
    return best_type


def is_remote(filesystem: str) -> bool:
    """True for a file system that other hosts may see as well, or that is known to lack hard links."""
    return filesystem in REMOTE_TYPES or (filesystem.startswith("fuse") and filesystem not in LOCAL_FUSE)


# ------------------------------------------------------------------------------------------------ how to read


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _unescape(text: str) -> str:
    """Mount points are written with \\040 for a space and the like."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), text)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None


def _meminfo(name: str) -> int | None:
    match = re.search(rf"^{name}:\s+(\d+) kB$", _read("/proc/meminfo") or "", re.MULTILINE)
    return int(match.group(1)) * 1024 if match else None


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, timeout=_CPUINFO_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip()


def _cgroups(controller: str) -> Iterator[str]:
    """Folders of the cgroups that this process is in, its own and all above, of version 1 or 2."""
    for line in (_read("/proc/self/cgroup") or "").splitlines():
        number, names, path = line.split(":", 2)
        if number == "0":
            roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        elif controller in names.split(","):
            roots = [f"/sys/fs/cgroup/{names}", f"/sys/fs/cgroup/{controller}"]
        else:
            continue
        while True:
            yield from (root + path.rstrip("/") for root in roots)
            if path in ("/", ""):
                break
            path = os.path.dirname(path)


def _cpu_quota(folder: str) -> float | None:
    """Cpus' worth of time that a cgroup may use; None is no quota."""
    second = (_read(f"{folder}/cpu.max") or "").split()
    if len(second) == 2 and second[0].isdigit():
        return int(second[0]) / int(second[1])
    quota, period = _read(f"{folder}/cpu.cfs_quota_us"), _read(f"{folder}/cpu.cfs_period_us")
    if quota and period and int(quota) > 0 and int(period) > 0:
        return int(quota) / int(period)
    return None


def _memory_limit(folder: str) -> int | None:
    """Bytes that a cgroup may use; None is no limit (version 1 says it by a huge number)."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        text = (_read(f"{folder}/{name}") or "").strip()
        if text.isdigit() and int(text) < 2**60:
            return int(text)
    return None


def disk_free_bytes(path: str) -> int:
    """What this user may still write where `path` is; 0 where that is not there any more."""
    try:
        info = os.statvfs(path)
    except OSError:
        return 0
    return info.f_bavail * info.f_frsize
