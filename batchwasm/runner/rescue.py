"""What a guest wrote before it had to be killed: taken out of the stopped worker's own descriptors, Linux only.

A worker's stdout and stderr are anonymous files that vanish with it; while it is stopped they can be opened through
/proc. How much is written is its descriptor's offset, because the file itself is made as long as its limit.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass

from .protocol import INLINE_BYTES

_COPY_BYTES = 1024 * 1024


@dataclass
class Captured:
    """Open descriptors on what a guest wrote, and how much of each is real. Closed by `close`."""

    stdout: tuple[int, int] | None = None
    """(descriptor, bytes); None where it could not be had."""
    stderr: tuple[int, int] | None = None

    def close(self) -> None:
        for one in (self.stdout, self.stderr):
            if one is not None:
                os.close(one[0])
        self.stdout = self.stderr = None


def rescue(pid: int) -> Captured:
    """Opens stdout and stderr of a stopped process."""
    return Captured(_open(pid, 1), _open(pid, 2))


def keep(captured: tuple[int, int] | None, limit_bytes: int, path: str) -> tuple[bytes, tuple[int, str] | None]:
    """What was written up to the limit: inline where it is small, else as (bytes, sha256) of a file made at `path`."""
    if captured is None:
        return b"", None
    fd, size = captured[0], min(captured[1], limit_bytes)
    if size <= INLINE_BYTES:
        return os.pread(fd, size, 0), None
    try:
        return b"", _save(fd, size, path)
    except OSError:
        return os.pread(fd, INLINE_BYTES, 0), None  # a full disk: the beginning is better than nothing


def _save(fd: int, size: int, path: str) -> tuple[int, str]:
    digest = hashlib.sha256()
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    at = 0
    with open(path, "wb") as file:
        while at < size and (part := os.pread(fd, min(_COPY_BYTES, size - at), at)):
            file.write(part)
            digest.update(part)
            at += len(part)
    return at, digest.hexdigest()


def _open(pid: int, number: int) -> tuple[int, int] | None:
    try:
        with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as file:
            written = re.search(r"^pos:\s+(\d+)$", file.read(), re.MULTILINE)
        fd = os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    info = os.fstat(fd)
    if written is None or not stat.S_ISREG(info.st_mode):
        os.close(fd)
        return None
    return fd, min(int(written.group(1)), info.st_size)
