"""The runner as it is shipped: a tar of batchwasm/runner, of the wasmtime package for a host's platform, and of tomli.

Named by the sha256 of the tar, which depends on contents alone, so every scheduler of one version makes the same one.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import io
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
import threading
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from batchwasm import disk
from batchwasm.errors import HostError

CHUNK_BYTES = 256 * 1024
LEVEL = 1  # of zlib: 30 MB become 10 MB in 0.35 s, once for all hosts; higher levels cost more than they save
DOWNLOAD_S = 600.0  # 10 MB over a slow line
UNPACKED_BYTES = 40 * 1024**2  # about what such a download and its files take

# (os, machine, libc) of a host -> pip's tags for its wheel, and the folder that wasmtime loads its library from.
# Wheels of newer manylinux tags would not load on old hosts; these are what the package index has.
PLATFORMS = {
    ("linux", "x86_64", "glibc"): (("manylinux1_x86_64", "manylinux2014_x86_64"), "linux-x86_64"),
    ("linux", "aarch64", "glibc"): (("manylinux2014_aarch64",), "linux-aarch64"),
    ("linux", "x86_64", "musl"): (("musllinux_1_2_x86_64",), "linux-x86_64"),
    ("linux", "aarch64", "musl"): (("musllinux_1_2_aarch64",), "linux-aarch64"),
    ("darwin", "x86_64", ""): (("macosx_10_13_x86_64",), "darwin-x86_64"),
    ("darwin", "arm64", ""): (("macosx_11_0_arm64",), "darwin-aarch64"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Platform:
    """What decides which wasmtime a host needs."""

    os: str
    machine: str
    libc: str
    """glibc, musl or ''."""

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.os, self.machine, self.libc)

    def __str__(self) -> str:
        return " ".join(part for part in self.key if part)


_lock = threading.Lock()
"""Several hosts are prepared at once, and each pack is made and compressed once for all of them."""


@dataclass(frozen=True, kw_only=True)
class Pack:
    """A runner for one platform."""

    digest: str
    content: bytes
    """The tar."""

    @functools.cached_property
    def compressed(self) -> bytes:
        """The tar, zlib-compressed; blocks for a third of a second the first time, which most runs can do without."""
        with _lock:
            return zlib.compress(self.content, LEVEL)

    @property
    def installed_bytes(self) -> int:
        return len(self.content)

    def chunks(self) -> Iterator[bytes]:
        for at in range(0, len(self.compressed), CHUNK_BYTES):
            yield self.compressed[at : at + CHUNK_BYTES]


def pack_for(platform: Platform) -> Pack:
    """The pack, made once a process; blocking: a tenth of a second, minutes where a wheel must be downloaded.

    Raises HostError `platform` where wasmtime does not exist for it, or can't be got.
    """
    with _lock:
        return _pack_for(platform)


@functools.cache
def _pack_for(platform: Platform) -> Pack:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as out:
        for name, content in sorted([*_runner_files(), *tomli_files(), *_wasmtime_files(platform)]):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            out.addfile(entry, io.BytesIO(content))
    data = tar.getvalue()
    return Pack(digest=hashlib.sha256(data).hexdigest(), content=data)


def _runner_files() -> Iterator[tuple[str, bytes]]:
    for file in resources.files("batchwasm.runner").iterdir():
        if file.name.endswith(".py"):
            yield f"batchwasm_runner/{file.name}", file.read_bytes()


def tomli_files() -> Iterator[tuple[str, bytes]]:
    """For hosts whose Python has no tomllib, which came with 3.11; its compiled form is for this Python alone."""
    for file in resources.files("tomli").iterdir():
        if file.name.endswith(".py"):
            yield f"tomli/{file.name}", file.read_bytes()


def _wasmtime_files(platform: Platform) -> Iterator[tuple[str, bytes]]:
    if platform.key not in PLATFORMS:
        raise HostError("platform", f"there is no wasmtime for {platform}", _supported())
    _, folder = PLATFORMS[platform.key]
    package = _installed() if platform == here() else _fetched(platform)
    if not (package / folder).is_dir():
        raise HostError(
            "platform", f"wasmtime for {platform} has no library in {package / folder}", "remove that cache"
        )
    for path in package.rglob("*"):
        parts = path.relative_to(package).parts
        wanted = path.suffix == ".py" or parts[0] == folder
        if wanted and path.is_file() and "__pycache__" not in parts:
            yield "/".join(("wasmtime", *parts)), path.read_bytes()


def _supported() -> str:
    return "hosts may be " + ", ".join(" ".join(filter(None, key)) for key in PLATFORMS)


def here() -> Platform:
    """This machine's platform."""
    libc = _libc() if sys.platform == "linux" else ""
    return Platform(os=sys.platform, machine=os.uname().machine, libc=libc)


def _libc() -> str:
    try:
        return "glibc" if os.confstr("CS_GNU_LIBC_VERSION") else "musl"
    except (ValueError, OSError):
        return "musl"


def _installed() -> Path:
    found = importlib.util.find_spec("wasmtime")
    assert found is not None, "a dependency of ours"
    assert found.origin is not None
    return Path(found.origin).parent


def _fetched(platform: Platform) -> Path:
    """The wasmtime package of another platform, from the cache or the package index."""
    version = importlib.metadata.version("wasmtime")
    target = _cache() / "-".join(("wasmtime", version, *filter(None, platform.key)))
    try:
        return _fetched_to(target, platform, version)
    except OSError as error:
        raise disk.unwritable(target, error, size_bytes=UNPACKED_BYTES) from error


def _fetched_to(target: Path, platform: Platform, version: str) -> Path:
    if not target.is_dir():
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=target.parent) as scratch:
            wheel = _download(platform, version, Path(scratch))
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(Path(scratch, "wheel"))
            try:
                os.rename(Path(scratch, "wheel"), target)
            except OSError:
                if not target.is_dir():  # else another process was faster
                    raise
    return target / "wasmtime"


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(root, "batchwasm", "wheels")


def _download(platform: Platform, version: str, folder: Path) -> Path:
    """pip checks the file against the index's digest."""
    tags, _ = PLATFORMS[platform.key]
    wanted = [option for tag in tags for option in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", *wanted, "--dest", str(folder), f"wasmtime=={version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)
        problem = done.stderr.strip().splitlines()[-1:] if done.returncode else []
    except subprocess.TimeoutExpired:
        problem = [f"no end after {DOWNLOAD_S:.0f} s"]
    wheels = list(folder.glob("*.whl"))
    if problem or not wheels:
        cause = f"wasmtime {version} for {platform} can't be fetched ({''.join(problem) or 'pip left no wheel'})"
        raise HostError("platform", cause, f"try: {shlex.join(command)}")
    return wheels[0]
