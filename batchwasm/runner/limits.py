"""What the kernel keeps a worker from: rlimits, root's right to write what is read-only, priority."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterator

_CAPABILITIES = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER: with them 0444 means nothing
_CAPABILITY_VERSION_3 = 0x20080522
_OPEN_FILES = 1024  # of the guest and ours together
_SPARE_FILES = 128  # ours alone: a guest that holds all it can get must not keep us from looking into its folder
_OURS_BYTES = 3 * 1024**3  # Python, wasmtime, its compiler; a backstop, not a limit that anybody should meet
_POOL_SLOTS = 4  # memories that may still be mapped writable though only one is in use
_CPU_HEADROOM_S = 600  # beyond wall time, which the watch and the supervisor keep


def settle(nice: int) -> None:
    """For good, before the first guest. Raises OSError where root's rights can't be dropped."""
    os.umask(0o077)
    if nice:
        os.nice(nice)
    drop_capabilities()
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, _OPEN_FILES + _SPARE_FILES)
    _soften(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - _SPARE_FILES)


def drop_capabilities() -> None:
    """Takes from root what lets it write read-only files: of this thread, so call it before there are others."""
    if sys.platform == "linux" and os.geteuid() == 0:
        _drop_capabilities()


def _drop_capabilities() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    header = ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0))
    data = ctypes.create_string_buffer(24)
    if libc.capget(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capget failed")
    mask = sum(1 << number for number in _CAPABILITIES)
    effective, permitted, inheritable, *high = struct.unpack("=6I", data.raw)
    kept = struct.pack("=6I", effective & ~mask, permitted & ~mask, inheritable & ~mask, *high)
    if libc.capset(header, ctypes.create_string_buffer(kept, 24)) != 0:
        raise OSError(ctypes.get_errno(), "capset failed")


def set_for_guest(*, memory_bytes: int, largest_file_bytes: int) -> None:
    """For the guests of one batch. Hard limits stay, so `set_for_us` can take these back."""
    _soften(resource.RLIMIT_FSIZE, largest_file_bytes)
    _bound_data(_OURS_BYTES + _POOL_SLOTS * memory_bytes)


@contextlib.contextmanager
def spare_files() -> Iterator[None]:
    """With room for descriptors that the guest has no part in, unless it takes them at this very moment."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def larger_files() -> Iterator[None]:
    """While no guest runs: one of ours may be larger than what a guest may write."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    _soften(resource.RLIMIT_FSIZE, None)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def raise_cpu(used_s: float, time_s: float | None) -> float:
    """Allows `time_s` and ample headroom beyond `used_s` of cpu time; the use at which to raise it again."""
    if time_s is None:
        _soften(resource.RLIMIT_CPU, None)
        return float("inf")
    _soften(resource.RLIMIT_CPU, int(used_s + time_s) + _CPU_HEADROOM_S)
    return used_s + _CPU_HEADROOM_S / 2


def set_for_us() -> None:
    """While no guest runs: native code and outputs may be larger than what a guest may write."""
    _soften(resource.RLIMIT_FSIZE, None)
    _bound_data(None)


def _bound_data(value: int | None) -> None:
    """What counts on Linux is memory that may be written. macOS counts all that is mapped, 10 GB of reservations too,
    and refuses any limit below that."""
    if sys.platform == "linux":
        _soften(resource.RLIMIT_DATA, value)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard == resource.RLIM_INFINITY or value <= hard:
        resource.setrlimit(kind, (value, value))


def _soften(kind: int, value: int | None) -> None:
    """The soft limit, as far as the hard one allows; None is the hard one."""
    _, hard = resource.getrlimit(kind)
    soft = hard if value is None or (hard != resource.RLIM_INFINITY and value > hard) else value
    resource.setrlimit(kind, (soft, hard))
