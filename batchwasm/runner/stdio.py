"""A guest's stdout and stderr: the worker's own descriptors 1 and 2, each onto a file in memory with a fixed end.

wasmtime's output callbacks cost ten times a whole run and print panics at exit; inherited descriptors cost nothing.
The file ends a little beyond the limit and is sealed, so a flood is refused (EPERM) and an offset past the limit says
that there was one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator

from .guards import seals
from .redact import Redaction

_F_ADD_SEALS = 1033  # fcntl's names for these came later than Python 3.9 on some systems
_F_SEAL_GROW = 4
MARGIN_BYTES = 4 * 1024 * 1024
# The kernel refuses a write that would cross the end in whole folios, 2 MiB at most: without room for one beyond the
# limit, the offset of a refused flood could stay below it.
_REPLACE_BYTES = 1024 * 1024  # a longer output's memory is given back by taking a new file
_CHUNK_BYTES = 1024 * 1024


class Capture:
    """What a guest writes to descriptor `fd` of this process."""

    def __init__(self, fd: int, folder: str, *, memory: bool = True) -> None:
        """`folder` is for an unlinked file where files in memory are missing (macOS, an old Linux), or not wanted."""
        self._fd = fd
        self._folder = folder
        self._memory = memory and seals()
        self._limit_bytes = -1

    def open(self, limit_bytes: int) -> None:
        """Start empty, with room for `limit_bytes` and a little more."""
        if limit_bytes != self._limit_bytes:
            self._replace(limit_bytes)
            self._limit_bytes = limit_bytes

    @property
    def written(self) -> int:
        """Bytes so far; more than the limit where the guest ran into it."""
        return os.lseek(self._fd, 0, 1)  # SEEK_CUR

    def read(self, count: int) -> bytes:
        """The first `count` bytes."""
        return os.pread(self._fd, count, 0)

    def reset(self) -> None:
        """Forget what was written."""
        if self.written > _REPLACE_BYTES:
            self._replace(self._limit_bytes)
        else:
            os.lseek(self._fd, 0, os.SEEK_SET)

    def save(self, path: str, count: int, redact: Redaction | None = None) -> tuple[int, str]:
        """Write the first `count` bytes to a new file, without what `redact` finds; its size and sha256."""
        digest, size = hashlib.sha256(), 0
        with open(path, "xb") as file:
            for chunk in self._chunks(count, redact):
                digest.update(chunk)
                size += file.write(chunk)
        return size, digest.hexdigest()

    def _chunks(self, count: int, redact: Redaction | None) -> Iterator[bytes]:
        stream = (redact or Redaction(())).stream()
        for at in range(0, count, _CHUNK_BYTES):
            yield stream.feed(os.pread(self._fd, min(_CHUNK_BYTES, count - at), at))
        yield stream.end(cut=self.written > count)

    def _replace(self, limit_bytes: int) -> None:
        new = _memory_file(limit_bytes) if self._memory else _unlinked_file(self._folder)
        os.dup2(new, self._fd, inheritable=False)
        os.close(new)


def _memory_file(limit_bytes: int) -> int:
    if sys.platform == "linux":
        new = os.memfd_create("guest", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(new, limit_bytes + MARGIN_BYTES)
        fcntl.fcntl(new, _F_ADD_SEALS, _F_SEAL_GROW)
        return new
    raise AssertionError("files in memory are Linux'")


def _unlinked_file(folder: str) -> int:
    """Grows as it is written: here the watch alone ends a flood, within its tick, and RLIMIT_FSIZE bounds it."""
    new, path = tempfile.mkstemp(dir=folder)
    os.unlink(path)
    return new


def silence_stdin() -> None:
    """Nobody reads what the supervisor had there."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def last_bytes(capture: Capture, count: int) -> bytes | None:
    """The end of what was written, at most `count` bytes; None where nothing was."""
    written = capture.written
    if not written:
        return None
    start = max(0, written - count)
    return os.pread(capture._fd, written - start, start)
