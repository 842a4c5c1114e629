"""What a host keeps by digest: wasm, input files, native code. Files appear by rename, complete or not at all.

The folder may be one NFS home under many hosts; locks are therefore in a folder on local disk, and two hosts that
compile the same module at once each rename their own result into place.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple

from . import engines, growth
from .calls import ThinCalls
from .public_calls import PublicCalls

_KEEP_MODULES = 8  # linked in this worker: a run seldom has more jobs at a time
_DIGEST_BYTES = 32
_COMPILE_ATTEMPTS = 3  # that may end with their worker, because they take too long or too much memory
_GO_KEEP_RESIDENT_BYTES = 4 * 1024 * 1024  # a Go guest touches its 2-3 MiB of data anew: 566 us a run without this
_KEEP_RESIDENT_BYTES = 128 * 1024  # more makes others slower, who touch little


class BadModule(Exception):
    """An artifact that can't run here: `code` is a reason's, `str()` a sentence."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


class Loaded(NamedTuple):
    """A module that is ready to run."""

    calls: Any
    """ThinCalls or PublicCalls of the module's engine."""
    linked: Any
    """What `calls.run` takes, or `calls.call`."""
    go: bool
    """Go's runtime: it wants GOMEMLIMIT."""
    touches: bool
    """It may change its folder."""


class Modules:
    """Artifacts as linked modules of this worker's engines, made on first use."""

    def __init__(self, cache: str, locks: str, *, thin: bool) -> None:
        self._cache = cache
        self._locks = locks
        self._thin = thin
        self._pool = thin and engines.pool_works()
        self._engines: dict[tuple[int, bool], Any] = {}
        self._loaded: OrderedDict[tuple[str, bool, bool], Loaded] = OrderedDict()

    def load(self, digest: str, *, function: bool = False, deterministic: bool = False) -> Loaded:
        """A program, or a function's module; for a deterministic guest or any other.

        Raises BadModule where the file is missing, is not what its digest says, or is refused by the engine.
        """
        key = digest, function, deterministic
        loaded = self._loaded.get(key)
        if loaded is None:
            loaded = self._loaded[key] = self._load(*key)
            if len(self._loaded) > _KEEP_MODULES:
                self._loaded.popitem(last=False)
        else:
            self._loaded.move_to_end(key)
        return loaded

    def interrupt(self) -> None:
        """End the guest that runs, whichever engine it is in."""
        for calls in list(self._engines.values()):
            calls.engine.interrupt()

    def _load(self, digest: str, function: bool, deterministic: bool) -> Loaded:
        wasm = self._read(digest)
        go = _is_go(wasm)
        keep = _GO_KEEP_RESIDENT_BYTES if go else _KEEP_RESIDENT_BYTES
        try:
            try:
                return self._link(digest, wasm, go, self._calls(keep if self._pool else -1, deterministic), function)
            except engines.Outgrown:
                return self._link(digest, wasm, go, self._calls(-1, deterministic), function)
        except engines.Refused as error:
            raise BadModule("module_refused", f"this host's wasmtime does not take the module: {error}") from error

    def _read(self, digest: str) -> bytes:
        try:
            with open(os.path.join(self._cache, "wasm", digest), "rb") as file:
                wasm = file.read()
        except FileNotFoundError as error:
            raise BadModule("module_missing", "the module is no longer in this host's cache") from error
        if hashlib.sha256(wasm).hexdigest() != digest:
            raise BadModule("module_changed", "the module in this host's cache is not the one that was sent")
        return wasm

    def _link(self, digest: str, wasm: bytes, go: bool, calls: Any, function: bool) -> Loaded:
        module = self._native(digest, wasm, calls.engine)
        linked = calls.link_function(module) if function else calls.link(module)
        return Loaded(calls, linked, go, engines.may_touch_folders(module))

    def _calls(self, keep_resident_bytes: int, deterministic: bool) -> Any:
        """Of the engine with these settings; -1 is the one without a pool."""
        key = keep_resident_bytes, deterministic
        calls = self._engines.get(key)
        if calls is None:
            pool, keep = keep_resident_bytes >= 0, max(0, keep_resident_bytes)
            engine = engines.Engine(pool=pool, keep_resident_bytes=keep, deterministic=deterministic)
            calls = self._engines[key] = (ThinCalls if self._thin else PublicCalls)(engine)
        return calls

    def _native(self, digest: str, wasm: bytes, engine: engines.Engine) -> Any:
        """The module out of the native cache, else compiled; only one worker of a host compiles it."""
        path = os.path.join(self._cache, "native", native_key(digest, deterministic=engine.deterministic))
        module = _from_file(path, engine)
        if module is None:
            with _lock(os.path.join(self._locks, f"native-{digest}")) as lock:
                module = _from_file(path, engine)
                if module is None:
                    with _counted(lock):
                        module = engine.compile(_rewritten(wasm))
                    _write(path, bytes(module.serialize()))
        return module


def native_key(digest: str, *, deterministic: bool = False) -> str:
    """Name of a module's native code: it differs where other code would come out of the compiler."""
    more = " deterministic" if deterministic else ""
    key = f"{digest} {engines.version()} {growth.VERSION} {_cpu_features()}{more}"
    return hashlib.sha256(key.encode()).hexdigest()


def _cpu_features() -> str:
    """What cranelift looks at; wasmtime refuses native code for features that the cpu lacks, too."""
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith(("flags", "Features")):
                    return " ".join(sorted(line.split(":", 1)[1].split()))
    except OSError:
        pass
    return ""


def _rewritten(wasm: bytes) -> bytes:
    try:
        return growth.rewrite(wasm).wasm
    except growth.NotRewritable:
        return wasm  # runs just as well; only a refused growth is not known


def _is_go(wasm: bytes) -> bool:
    """Go's linker names its build in a custom section and, where that was stripped, in the runtime's data."""
    return b"go:buildid" in wasm


def _from_file(path: str, engine: engines.Engine) -> Any:
    """None where it is missing, cut short, changed or of another build: then it is made anew."""
    try:
        with open(path, "rb") as file:
            digest = file.read(_DIGEST_BYTES)
            native = file.read()
    except OSError:
        return None
    # Native code is run as it is: what is broken in it must be seen before.
    if hashlib.sha256(native).digest() != digest:
        return None
    try:
        return engine.deserialize(native)
    except engines.Refused:
        return None


def _write(path: str, native: bytes) -> None:
    """Best effort: a full or read-only disk costs the next worker a compilation, nothing else."""
    folder = os.path.dirname(path)
    with contextlib.suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        fd, temporary = tempfile.mkstemp(dir=folder, prefix=".new-")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(hashlib.sha256(native).digest())
                file.write(native)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise


@contextlib.contextmanager
def _counted(lock: int) -> Iterator[None]:
    """A compilation: its lock keeps a byte for each that its worker did not survive. Raises Refused after too many."""
    ended = os.fstat(lock).st_size
    if ended >= _COMPILE_ATTEMPTS:
        raise engines.Refused(f"{ended} attempts to compile it took too long or too much memory, and were ended")
    os.ftruncate(lock, ended + 1)
    try:
        yield
    finally:
        os.ftruncate(lock, 0)


@contextlib.contextmanager
def _lock(path: str) -> Iterator[int]:
    """Held by one process at a time; the kernel frees it when the holder dies. Its descriptor."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)
