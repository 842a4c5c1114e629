"""Room on this host's disk: whether there is any, and what it means to a person that there is none."""

from __future__ import annotations

import errno
import os

FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
NONE_BYTES = 64 * 1024
"""With less free than that a write has failed, or is about to: files grow by blocks, and some tasks write at once."""
_KIB, _MIB = 1024, 1024**2


def is_full(path: str) -> bool:
    """Whether the disk that holds `path` has no room, or no place for another file. False where nobody tells."""
    try:
        info = os.statvfs(path)
    except OSError:
        return False
    return info.f_bavail * info.f_frsize < NONE_BYTES or (info.f_files > 0 and info.f_favail == 0)


def check(path: str) -> None:
    """Raises OSError where it is full."""
    if is_full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)


def words(error: OSError, place: str) -> str:
    """The system's words; of a full disk where that is (the error's own file, else `place`) and how much is free."""
    named = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else ""
    if error.errno not in FULL:
        return ": ".join(filter(None, (named, error.strerror or str(error))))
    where = named or place
    return f"{FULL[error.errno]} at {where}{_free(place)}"


def _free(path: str) -> str:
    while True:
        try:
            info = os.statvfs(path)
        except OSError:
            above = os.path.dirname(path)
            if above == path:
                return ""
            path = above
        else:
            free = info.f_bavail * info.f_frsize
            if info.f_files > 0 and info.f_favail == 0:
                return " (no room for another file)"
            return f" ({free // _MIB} MiB free)" if free >= _MIB else f" ({free // _KIB} KiB free)"
