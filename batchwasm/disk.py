"""Disks of this machine: what a write that failed means in words, and which file systems other machines see, too."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from batchwasm.errors import DiskFull, WorldError

REMOTE_TYPES = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "coda", "davfs", "macfuse"),
        *("lustre", "gpfs", "ceph", "beegfs", "glusterfs", "orangefs", "pvfs2"),
    }
)
"""As runner/facts.py has them, which is not ours to import; any `fuse.*` counts too (sshfs, rclone, ...), but for
these:"""
LOCAL_FUSE = frozenset({"fuse.ntfs-3g", "fuse.exfat", "fuse.fuse-overlayfs", "fuseblk", "fuse.ext4", "fuse.lxcfs"})
FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
MOUNTS = Path("/proc/self/mountinfo")


def unwritable(path: Path, error: OSError, *, size_bytes: int = 0) -> WorldError:
    """What it means that `size_bytes` (0: not known) could not be written to `path`: DiskFull, or WorldError."""
    if error.errno in FULL:
        return full(path, FULL[error.errno], size_bytes=size_bytes)
    return WorldError(f"{path} can't be written: {error.strerror or error}")


def full(path: Path, what: str = FULL[errno.ENOSPC], *, size_bytes: int = 0) -> DiskFull:
    """The words for a disk without room for `path`."""
    free_bytes = free(path)
    known = [] if free_bytes is None else [f"{size_text(free_bytes)} free"]
    if size_bytes:
        known.append(f"about {size_text(size_bytes)} to be written")
    numbers = f" ({', '.join(known)})" if known else ""
    return DiskFull(f"{path} can't be written: {what}{numbers}; make room there")


def told(error: Exception, place: Path) -> Exception:
    """The error; as DiskFull where it is the system's word for that, at `place` or where it says itself."""
    if isinstance(error, OSError) and error.errno in FULL:
        return unwritable(Path(os.fsdecode(error.filename)) if error.filename else place, error)
    return error


def free(path: Path) -> int | None:
    """Bytes that this user may still write where `path` is or would be; None where nobody tells."""
    for place in (path, *path.parents):
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        return found.f_bavail * found.f_frsize
    return None


def size_text(size_bytes: int) -> str:
    """`0 B`, `52 KiB`, `3.2 MiB`, `1.5 GiB`: as exact as somebody who makes room needs it."""
    size, unit = float(size_bytes), 0
    while size >= 1000 and unit < 4:
        size, unit = size / 1024, unit + 1
    return f"{size:.1f}".removesuffix(".0") + f" {('B', 'KiB', 'MiB', 'GiB', 'TiB')[unit]}"


def file_system(path: Path) -> str:
    """The type of the file system that holds `path` (ext4, nfs4, ...); '' where the system does not tell (macOS)."""
    try:
        text = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    return type_of(os.path.realpath(path), text)


def type_of(real: str, mounts: str) -> str:
    """Of a path without links in it, by what /proc/self/mountinfo says."""
    best, best_type = "", ""
    for line in mounts.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if dash and len(fields) >= 5:
            point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
            # The last of two mounts on one point is the one that is seen.
            if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
                best, best_type = point, after.split(" ")[0]
    return best_type


def is_remote(kind: str) -> bool:
    """True for a type of file systems that other machines may see as well."""
    return kind in REMOTE_TYPES or (kind.startswith("fuse") and kind not in LOCAL_FUSE)
