"""Wasm files by digest, and notes about builds by key, in one folder: get, put (atomic), prune.

    ROOT/wasm/DIGEST      the bytes; 0444, never changed once there
    ROOT/notes/KEY        what a build with that key gave; small, may be lost at any time
    ROOT/locks/KEY        held while that build runs

Several processes may use one store: a file appears whole or not at all, and what is read is checked by its digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from batchwasm import disk
from batchwasm.errors import WorldError
from batchwasm.locks import locked
from batchwasm.model import Digest

STALE_PARTS_S = 3600.0
"""A half-written file older than that belongs to nobody: writing one takes milliseconds."""


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/batchwasm`, else `~/.cache/batchwasm`; without a usable home a folder of this user in /tmp."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = os.path.expanduser("~")
        usable = os.path.isabs(home) and os.path.isdir(home) and os.access(home, os.W_OK)
        base = os.path.join(home, ".cache") if usable else _folder_in_tmp()
    return Path(base) / "batchwasm"


def _folder_in_tmp() -> str:
    """Ours alone. A stranger's folder of that name could hold forged notes: then a new one each time."""
    path = os.path.join(tempfile.gettempdir(), f"cache-{os.getuid()}")
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    found = os.lstat(path)
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return path if ours else tempfile.mkdtemp(prefix="cache-")


class Store:
    """The folder of compiled modules. Methods raise WorldError where the disk is full or not writable."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = (root or cache_folder() / "store").absolute()

    def get(self, digest: Digest) -> Path | None:
        """Path of the module, its content checked now; a file that was damaged is removed and counts as missing."""
        path = self._wasm(digest)
        try:
            whole = hashlib.sha256(path.read_bytes()).hexdigest() == digest
        except OSError:
            return None
        if whole:
            with contextlib.suppress(OSError):
                os.utime(path)  # prune() goes by it: last used, not made
            return path
        path.unlink(missing_ok=True)
        return None

    def put(self, wasm: bytes) -> Digest:
        """Keep these bytes; returns their digest."""
        digest = hashlib.sha256(wasm).hexdigest()
        if self.get(digest) is None:
            self._write(self._wasm(digest), wasm, mode=0o444)
        return digest

    def note(self, key: Digest) -> bytes | None:
        """What `keep_note` kept under the key; None where there is nothing."""
        path = self.root / "notes" / key
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        return data

    def keep_note(self, key: Digest, note: bytes) -> None:
        self._write(self.root / "notes" / key, note, mode=0o644)

    @contextlib.contextmanager
    def lock(self, key: Digest) -> Iterator[None]:
        """Held by one thread of one process at a time: whoever waited finds what the first one made."""
        path = self.root / "locks" / key
        with self._told():
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with locked(file):
                yield
        finally:
            os.close(file)

    def prune(self, *, keep_bytes: int, now: float | None = None) -> int:
        """Remove the longest unused modules until the rest is at most `keep_bytes`; returns the bytes that went.

        Notes that name a removed module stay harmless: get() then says that it is missing.
        """
        now = time.time() if now is None else now
        freed = self._prune_parts(now)
        files = sorted(self._files("wasm"), key=lambda entry: entry.stat().st_mtime, reverse=True)
        total = 0
        for entry in files:
            total += entry.stat().st_size
            if total > keep_bytes:
                freed += entry.stat().st_size
                Path(entry.path).unlink(missing_ok=True)
        return freed

    def _prune_parts(self, now: float) -> int:
        freed = 0
        for kind in ("wasm", "notes"):
            for entry in self._files(kind, parts=True):
                if now - entry.stat().st_mtime > STALE_PARTS_S:
                    freed += entry.stat().st_size
                    Path(entry.path).unlink(missing_ok=True)
        return freed

    def _files(self, kind: str, *, parts: bool = False) -> list[os.DirEntry[str]]:
        try:
            return [entry for entry in os.scandir(self.root / kind) if entry.name.startswith(".") == parts]
        except FileNotFoundError:
            return []

    def _wasm(self, digest: Digest) -> Path:
        return self.root / "wasm" / digest

    def _write(self, path: Path, data: bytes, *, mode: int) -> None:
        """Write beside it, then rename: a reader sees all of it or nothing."""
        with self._told(len(data)):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=path.parent, prefix=".part-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    os.fchmod(file.fileno(), mode)
                os.replace(part, path)
            except BaseException:
                Path(part).unlink(missing_ok=True)
                raise

    @contextlib.contextmanager
    def _told(self, size_bytes: int = 0) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in disk.FULL:
                raise disk.unwritable(self.root, error, size_bytes=size_bytes) from error
            cause = f"{self.root}: can't keep compiled modules there: {error.strerror}"
            raise WorldError(f"{cause}; set XDG_CACHE_HOME") from error
