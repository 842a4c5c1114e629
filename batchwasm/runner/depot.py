"""Files and facts on a host. This file's text is sent to the host's Python, before anything of ours is there.

It answers requests on stdin/stdout until stdin ends. A frame, both ways: two big-endian u32 (length of the header,
length of the body), the header (a JSON object) and the body. Contents travel as frames with an empty header; one with
an empty body ends them. Every request is answered by one frame with `ok`, or with `error` (a stable code) and `text`.

It writes in its workdir alone: cache files by digest, 0444, folders 0700; all is written aside and renamed, so that
nothing half-written is ever found. The standard library only, one file, Python 3.9.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import platform
import re
import shutil
import stat
import struct
import sys
import tarfile
import tempfile
import time
import zlib
from typing import IO, Any, BinaryIO, cast

MAGIC = b"\nbatchwasm-depot/1\n"
CHUNK_BYTES = 256 * 1024
HEADER_LIMIT_BYTES = 16 * 1024 * 1024  # `has` for 200,000 digests
KINDS = ("wasm", "files")
STALE_S = 24 * 3600.0  # no upload takes that long, on however slow a line
Answer = dict[str, Any]
_LENGTHS = struct.Struct("!II")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class Refusal(Exception):
    """A request that can't be done; the other side gets code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Wire:
    """Frames in and out of two binary files."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source, self._sink = source, sink

    def receive(self) -> tuple[Any, bytes] | None:
        """(header, body) of the next frame; None at the end of the stream."""
        lengths = self._source.read(_LENGTHS.size)
        if len(lengths) < _LENGTHS.size:
            return None
        header_length, body_length = _LENGTHS.unpack(lengths)
        if header_length > HEADER_LIMIT_BYTES or body_length > HEADER_LIMIT_BYTES:
            raise EOFError(f"a frame of {header_length} + {body_length} bytes: not our protocol")
        data = self._source.read(header_length + body_length)
        if len(data) < header_length + body_length:
            return None
        return (json.loads(data[:header_length]) if header_length else {}, data[header_length:])

    def send(self, header: Answer, body: bytes = b"") -> None:
        head = json.dumps(header, separators=(",", ":")).encode() if header else b""
        self._sink.write(_LENGTHS.pack(len(head), len(body)))
        self._sink.write(head + body)

    def flush(self) -> None:
        self._sink.flush()


class Content:
    """The frames of a content that comes in, as a file to read from."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._rest = b""
        self._ended = False

    def chunk(self) -> bytes:
        """The next bytes; b"" at the end."""
        if self._ended:
            return b""
        frame = self._wire.receive()
        if frame is None:
            raise EOFError("the stream ended within a content")
        self._ended = not frame[1]
        return frame[1]

    def drain(self) -> None:
        """Take what is left off the wire, so that the next request is found behind it."""
        while self.chunk():
            pass


class Unpacked:
    """A compressed content as the file that tarfile reads: the digest is that of what comes out."""

    def __init__(self, content: Content) -> None:
        self._content, self._inflate = content, zlib.decompressobj()
        self._ready = b""
        self._digest = hashlib.sha256()

    def read(self, size: int) -> bytes:
        while len(self._ready) < size and (chunk := self._content.chunk()):
            self._ready += self._inflate.decompress(chunk)
        data, self._ready = self._ready[:size], self._ready[size:]
        self._digest.update(data)
        return data

    def hexdigest(self) -> str:
        while self.read(CHUNK_BYTES):
            pass
        return self._digest.hexdigest()


class Depot:
    """The requests, one method each; arguments come from the header, contents from the wire."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.workdir = ""

    # ------------------------------------------------------------------------------------------------ facts

    def hello(self, workdir: str = "") -> Answer:
        """Where the workdir is, and what this machine is."""
        self.workdir = expand(workdir)
        return {"ok": facts(self.workdir)}

    def clock(self) -> Answer:
        """Unix time here."""
        return {"ok": time.time()}

    def take(self) -> Answer:
        """How many bytes of a content came; they are not kept."""
        return {"ok": sum(map(len, iter(Content(self._wire).chunk, b"")))}

    def give(self, size: int) -> None:
        """A content of that many bytes, such as no compression makes shorter."""
        self._wire.send({"ok": size})
        for at in range(0, size, CHUNK_BYTES):
            self._wire.send({}, os.urandom(min(CHUNK_BYTES, size - at)))
        self._wire.send({})

    def absent(self, paths: list[str]) -> Answer:
        """Which of these are no folders that a guest may be shown."""
        return {"ok": [i for i, path in enumerate(paths) if not (os.path.isdir(path) and os.access(path, os.X_OK))]}

    # ------------------------------------------------------------------------------------------------ cache

    def has(self, kind: str, digests: list[str]) -> Answer:
        folder = self._folder(kind)
        return {"ok": [i for i, digest in enumerate(digests) if os.path.isfile(os.path.join(folder, digest))]}

    def put(self, kind: str, digest: str, size: int) -> Answer:
        """A content of `size` bytes into the cache, unless it is there."""
        content = Content(self._wire)
        try:
            folder = self._folder(kind)
            target = os.path.join(folder, self._name(digest))
            if os.path.exists(target):
                return {"ok": "there"}
            self._make_private(folder)
            with Aside(self._aside()) as aside:
                self._fill(aside, content, digest, size)
                os.rename(aside.path, target)
            return {"ok": "stored"}
        except OSError as error:
            raise refusal(error, self.workdir, size) from error
        finally:
            content.drain()

    def _fill(self, aside: Aside, content: Content, digest: str, size: int) -> None:
        total, sha256 = 0, hashlib.sha256()
        with open(aside.descriptor, "wb", closefd=False) as file:
            while chunk := content.chunk():
                total += len(chunk)
                if total > size:
                    raise Refusal("digest", f"more than the {size} bytes that were announced")
                sha256.update(chunk)
                file.write(chunk)
        if total != size or sha256.hexdigest() != digest:
            raise Refusal("digest", f"{total} of {size} bytes came, their sha256 is not {digest}")
        os.fchmod(aside.descriptor, 0o444)
        os.fsync(aside.descriptor)  # after a power cut a name without its content would poison the cache

    # ----------------------------------------------------------------------------------------------- runner

    def unpack(self, digest: str) -> Answer:
        """A compressed tar of the runner into runner/DIGEST; the digest is that of the tar."""
        content = Content(self._wire)
        try:
            runner = os.path.join(self.workdir, "runner")
            target = os.path.join(runner, self._name(digest))
            if os.path.isdir(target):
                return {"ok": "there"}
            self._make_private(runner)
            folder = tempfile.mkdtemp(dir=self._aside())
            try:
                self._extract(content, folder, digest)
                os.rename(folder, target)
            except OSError:
                if not os.path.isdir(target):  # else another one was faster, with the same content
                    raise
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return {"ok": "stored"}
        finally:
            content.drain()

    def _extract(self, content: Content, folder: str, digest: str) -> None:
        packed = Unpacked(content)
        try:
            with tarfile.open(fileobj=cast(BinaryIO, packed), mode="r|") as tar:
                for member in tar:
                    parts = member.name.split("/")
                    if not member.isfile() or ".." in parts or not parts[0]:
                        raise Refusal("digest", f"a pack with {member.name!r} in it")
                    write_member(os.path.join(folder, *parts), cast("IO[bytes]", tar.extractfile(member)), member.mode)
            found = packed.hexdigest()
        except (tarfile.TarError, zlib.error) as error:
            raise Refusal("digest", f"the pack can't be read ({error})") from error
        if found != digest:
            raise Refusal("digest", f"the pack's sha256 is {found}, not {digest}")

    # ---------------------------------------------------------------------------------------------- results

    def get(self, path: str, within: str = "") -> Answer | None:
        """The content of a regular file; no symlink is followed below `within`."""
        try:
            descriptor = open_below(path, within)
        except OSError as error:
            code = "gone" if error.errno == errno.ENOENT else "permission"
            raise Refusal(code, f"{path}: {error.strerror}") from error
        with open(descriptor, "rb") as file:
            self._wire.send({"ok": os.fstat(file.fileno()).st_size})
            chunk = b"-"
            while chunk:
                try:
                    chunk = file.read(CHUNK_BYTES)
                except OSError:
                    chunk = b""  # too short: the other side counts
                self._wire.send({}, chunk)
        return None

    # ------------------------------------------------------------------------------------------------ clean

    def runners(self) -> Answer:
        """Digests of the runners that are installed here, and nobody else's."""
        check_ours(self.workdir, "runner")
        return {"ok": [name for name in listed(os.path.join(self.workdir, "runner")) if _DIGEST.match(name)]}

    def clean(self) -> Answer:
        """Remove what we keep here: runners, cache and a Python that was brought, and the workdir if nothing else is
        in it. Bytes freed."""
        freed = 0
        problems: list[str] = []
        for name in ("runner", "cache", "python"):  # in which this very process may run: it has all that it needs
            folder = os.path.join(self.workdir, name)
            freed += size_of(folder)
            shutil.rmtree(folder, onerror=lambda _, path, info: problems.append(f"{path}: {info[1]}"))
        with contextlib.suppress(OSError):  # not empty, or not there
            os.rmdir(self.workdir)
        problems = [problem for problem in problems if os.path.lexists(problem.split(": ")[0])]
        return {"ok": {"freed_bytes": freed, "problems": problems[:20]}}

    def _make_private(self, folder: str) -> None:
        """The folder and those above it down from the workdir, 0700. It must be ours: we run what is in it."""
        os.makedirs(folder, mode=0o700, exist_ok=True)
        check_ours(self.workdir, os.path.relpath(folder, self.workdir))

    def _aside(self) -> str:
        """Where new things are written before their rename; what died here long ago is removed."""
        folder = os.path.join(self.workdir, "cache", "new")
        self._make_private(folder)
        for name in listed(folder):
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):  # its owner finished, or another one removes it too
                if time.time() - os.lstat(path).st_mtime > STALE_S:
                    shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
        return folder

    def _folder(self, kind: str) -> str:
        if kind not in KINDS:
            raise Refusal("request", f"no kind {kind!r}")
        return os.path.join(self.workdir, "cache", kind)

    def _name(self, digest: str) -> str:
        if not _DIGEST.match(digest):
            raise Refusal("request", f"not a digest: {digest!r}")
        return digest


class Aside:
    """A new file beside its target, gone again unless it was renamed."""

    def __init__(self, folder: str) -> None:
        self.descriptor, self.path = tempfile.mkstemp(dir=folder)

    def __enter__(self) -> Aside:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.descriptor)
        with contextlib.suppress(FileNotFoundError):  # renamed
            os.unlink(self.path)


def check_ours(workdir: str, folder: str) -> None:
    """Raises Refusal where others could put something into `folder` of the workdir; one that is missing is fine."""
    names = folder.split(os.sep)
    for path in [workdir, *(os.path.join(workdir, *names[: i + 1]) for i in range(len(names)))]:
        if os.path.lexists(path):
            info = os.lstat(path)
            # The workdir itself may be /tmp, where everybody writes but nobody renames what is ours.
            open_to_others = path != workdir and info.st_mode & 0o022
            if not stat.S_ISDIR(info.st_mode) or info.st_uid not in (os.getuid(), 0) or open_to_others:
                what = f"owner {info.st_uid}, {stat.filemode(info.st_mode)}"
                raise Refusal("permission", f"{path} is not ours alone ({what})")


def write_member(path: str, source: IO[bytes], mode: int) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(path, "wb") as file:
        shutil.copyfileobj(source, file, CHUNK_BYTES)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(path, 0o700 if mode & 0o100 else 0o600)


def expand(workdir: str) -> str:
    """The workdir as an absolute path: `~` as this host has it."""
    workdir = workdir or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "batchwasm")
    path = os.path.expanduser(workdir)
    if path.startswith("~/"):  # as in a container that was given no more than a number
        raise Refusal("home", f"workdir {workdir!r}: user {os.getuid()} has neither HOME nor a line in /etc/passwd")
    if not os.path.isabs(path):
        raise Refusal("workdir", f"workdir {workdir!r} is {path!r} here, which is not an absolute path")
    return os.path.realpath(path)


def open_below(path: str, within: str) -> int:
    """A descriptor of the regular file `path`, reached from `within` without following a symlink."""
    root = os.path.normpath(within or os.path.dirname(path))
    names = os.path.relpath(os.path.normpath(path), root).split(os.sep)
    if not os.path.isabs(root) or ".." in names or names == ["."]:
        raise Refusal("permission", f"{path} is not in {root}")
    at = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    for i, name in enumerate(names):
        last = i == len(names) - 1
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_NONBLOCK if last else os.O_DIRECTORY)
        try:
            inner = os.open(name, flags, dir_fd=at)
        finally:
            os.close(at)
        at = inner
    if not stat.S_ISREG(os.fstat(at).st_mode):
        os.close(at)
        raise Refusal("permission", f"{path} is not a regular file")
    return at


def refusal(error: OSError, workdir: str, needed: int = 0) -> Refusal:
    """What an OSError means to a person: where, and how much."""
    where = error.filename or workdir
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        what = "the disk is full" if error.errno == errno.ENOSPC else "the disk quota is used up"
        room = f"{mib(disk_free(workdir))} free" + (f", {mib(needed)} needed" if needed else "")
        return Refusal("disk", f"{workdir}: {what} ({room})")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
        return Refusal("permission", f"{where} can't be made or written: {error.strerror}")
    return Refusal("disk", f"{where}: {error.strerror or error}")


def mib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):,.0f} MiB"


def disk_free(path: str) -> int:
    """Bytes that we may still write where `path` is, or will be."""
    found = os.statvfs(existing(path))
    return found.f_bavail * found.f_frsize


def existing(path: str) -> str:
    """The path, or the nearest folder above it that is there."""
    while not os.path.exists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def facts(workdir: str) -> Answer:
    """What deploy and `hosts check` want to know."""
    there = existing(workdir)
    pages = os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in os.sysconf_names else 0  # not every Mac has that name
    return {
        "os": sys.platform,
        "machine": platform.machine(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "libc": libc(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "hostname": os.uname().nodename,
        "boot": text_of("/proc/sys/kernel/random/boot_id").strip(),
        "uid": os.getuid(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
        "workdir": workdir,
        # What has no blocks is no disk: root may write in /proc, as far as its permissions go.
        "writable": os.path.isdir(there) and os.access(there, os.W_OK | os.X_OK) and os.statvfs(there).f_blocks > 0,
        "noexec": bool(os.statvfs(there).f_flag & getattr(os, "ST_NOEXEC", 0)),
        "disk_free_bytes": disk_free(there),
        "file_system": file_system(there),
    }


def libc() -> str:
    """`glibc 2.36`, `musl`, or '' where there is neither."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (AttributeError, ValueError, OSError):
        return "musl" if glob.glob("/lib/ld-musl-*") else ""


def text_of(path: str) -> str:
    """A small file's text; '' where it can't be read."""
    with contextlib.suppress(OSError), open(path) as file:
        return file.read()
    return ""


def file_system(path: str) -> str:
    """Its type, such as ext4 or nfs4; '' where /proc does not tell."""
    best = kind = ""
    for line in text_of("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        point = re.sub(r"\\(\d{3})", lambda match: chr(int(match.group(1), 8)), left.split(" ")[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind


def listed(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return os.listdir(folder)
    return []


def size_of(folder: str) -> int:
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # it went meanwhile
                total += os.lstat(os.path.join(where, name)).st_size
    return total


REQUESTS = ("hello", "clock", "take", "give", "absent", "has", "put", "unpack", "get", "runners", "clean")


def answer(depot: Depot, header: dict[str, Any]) -> Answer | None:
    """The frame that answers a request; None where its method has sent one."""
    name = header.pop("do", "")
    if name not in REQUESTS:
        return {"error": "request", "text": f"no request {name!r}"}
    try:
        return cast("Answer | None", getattr(depot, name)(**header))
    except (Refusal, OSError) as error:
        found = error if isinstance(error, Refusal) else refusal(error, depot.workdir)
        return {"error": found.code, "text": found.text}


def main() -> None:
    os.umask(0o077)
    # Away from fd 1, so that a stray print can't get between the frames.
    sink = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    wire = Wire(sys.stdin.buffer, sink)  # not fd 0: its buffer may hold what came right behind this text
    sink.write(MAGIC)
    wire.flush()
    depot = Depot(wire)
    try:
        while (frame := wire.receive()) is not None:
            reply = answer(depot, frame[0])
            if reply is not None:
                wire.send(reply)
            wire.flush()
    except (EOFError, BrokenPipeError):
        os._exit(1)  # the connection ended in the middle; nobody is there to be told


if __name__ == "__main__":
    main()
