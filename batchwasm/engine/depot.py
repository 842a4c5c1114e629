"""Files and facts of one host, over the stdio of a process there: the client of runner/depot.py.

One request at a time goes over the wire, others wait their turn. A request that is cancelled half-way leaves the wire
in an unknown state; the next one then starts a new process over the same connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import json
import os
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, BinaryIO, Literal

from batchwasm import carried
from batchwasm.carried import HostPython
from batchwasm.engine.announced import Announced, no_shell
from batchwasm.engine.python import NO_PYTHON, NoPython, bring, no_python, start_python
from batchwasm.errors import HostError, HostLost
from batchwasm.runner.protocol import Redaction
from batchwasm.transports import Process, Transport

MAGIC = b"\nbatchwasm-depot/1\n"
CHUNK_BYTES = 256 * 1024
BURST = 32  # small files sent before their answers are read: 8 MB at most
ANSWER_LIMIT_BYTES = 16 * 1024 * 1024
START_S = 60.0  # login shells with heavy profiles, Python from a slow file server
ANSWER_S = 120.0  # without a byte: fsync of a large file on a loaded file server
_LENGTHS = struct.Struct("!II")
_BOOT = "import sys; b = sys.stdin.buffer; exec(b.read(int(b.readline())))"

NETWORK = frozenset(
    ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "fuse.sshfs")
)

Kind = Literal["wasm", "files"]
Progress = Callable[[int], object]
"""Called with the bytes sent or received since the last call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a host is; sizes in bytes."""

    os: str
    """sys.platform: linux, darwin."""
    machine: str
    """x86_64, aarch64, arm64."""
    bits: int
    libc: str
    """`glibc 2.36`, `musl`, or ''."""
    python: str
    executable: str
    hostname: str
    boot: str
    uid: int
    cpus: int
    memory_bytes: int
    workdir: str
    """Absolute, symlinks resolved."""
    writable: bool
    """The workdir, or the folder that it will be made in, which must be one, on a disk."""
    noexec: bool
    """Its disk is mounted so that nothing may run from there, nor be loaded: wasmtime's library is."""
    disk_free_bytes: int
    file_system: str
    """Of the workdir; '' where it can't be told."""

    @property
    def network(self) -> bool:
        """The workdir is on a network file system: other hosts may see it too."""
        return self.file_system in NETWORK

    def as_dict(self) -> dict[str, str | int | float | bool]:
        return {**dataclasses.asdict(self), "network": self.network}


class Depot:
    """Start with `Depot.start`. Safe for use by several asyncio tasks. Every method raises HostError."""

    def __init__(self, name: str, transport: Transport, python: str | None, workdir: str | None) -> None:
        self._name, self._transport = name, transport
        self._python, self._workdir = python, workdir
        self._turn = asyncio.Lock()
        self._process: Announced | None = None
        self._known: set[tuple[str, str]] = set()
        self._waiting: list[_Small] = []
        self._closed = False
        self.brought: HostPython | None = None
        """A Python that was sent, since the host had none."""
        self.facts: Facts

    @classmethod
    async def start(
        cls, name: str, transport: Transport, *, python: str | None = None, workdir: str | None = None
    ) -> Depot:
        """Over a connected transport. Raises HostError `python` where no Python will do."""
        depot = cls(name, transport, python, workdir)
        async with depot._exchange():
            pass
        return depot

    async def has(self, kind: Kind, digests: Iterable[str]) -> set[str]:
        """Those of `digests` that are in the host's cache."""
        asked = list(digests)
        found = {asked[i] for i in await self._which({"do": "has", "kind": kind, "digests": asked}, len(asked))}
        self._known.update((kind, digest) for digest in found)
        return found

    async def put(self, kind: Kind, digest: str, path: Path, on_sent: Progress | None = None) -> bool:
        """Store the file `path`, whose sha256 is `digest`; False where it was there already."""
        if (kind, digest) in self._known:
            return False
        with _opened(self._name, path) as (file, size):
            if size <= CHUNK_BYTES:
                stored = await self._put_small(_Small(kind, digest, file.read(size + 1)))
                if stored and on_sent is not None:
                    on_sent(size)
            elif await self.has(kind, [digest]):
                return False
            else:
                async with self._exchange() as wire:
                    await wire.send({"do": "put", "kind": kind, "digest": digest, "size": size})
                    await wire.send_content(lambda: file.read(CHUNK_BYTES), on_sent)
                    stored = await wire.answer() == "stored"
        self._known.add((kind, digest))
        return stored

    async def _put_small(self, small: _Small) -> bool:
        """All small files that wait for their turn go in one burst, or each would cost a round trip."""
        self._waiting.append(small)
        try:
            async with self._exchange() as wire:
                while small.answer is None and small.error is None:
                    await self._burst(wire)
        finally:
            if small in self._waiting:
                self._waiting.remove(small)
        if small.error is not None:
            raise small.error
        return bool(small.answer == "stored")

    async def _burst(self, wire: _Wire) -> None:
        burst = self._waiting[:BURST]
        await wire.send_raw(b"".join(small.frames() for small in burst))
        for small in burst:
            try:
                small.answer = await wire.answer(last=small is burst[-1])
            except HostLost:
                raise  # the others will find out when it is their turn
            except HostError as error:
                small.error = error
            self._waiting.remove(small)

    async def unpack(self, digest: str, packed: Iterable[bytes], on_sent: Progress | None = None) -> bool:
        """Install a runner from the chunks of a zlib-compressed tar, whose own sha256 is `digest`."""
        chunks = iter(packed)
        async with self._exchange() as wire:
            await wire.send({"do": "unpack", "digest": digest})
            await wire.send_content(lambda: next(chunks, b""), on_sent)
            return bool(await wire.answer() == "stored")

    async def get(
        self,
        remote: str,
        local: Path,
        size: int,
        sha256: str,
        *,
        within: str = "",
        redact: Redaction | None = None,
        on_received: Progress | None = None,
    ) -> None:
        """Fetch a regular file of exactly this size and digest to `local`, which appears whole or not at all.

        `within` is the folder on the host below which no symlink is followed. What `redact` finds in it never gets to
        this disk. Raises HostError `gone`, `digest`.
        """
        stream = (redact or Redaction(())).stream()
        with _aside(local) as (file, keep):
            async with self._exchange() as wire:
                await wire.send({"do": "get", "path": remote, "within": within})

                def write(chunk: bytes) -> int:
                    return file.write(stream.feed(chunk))

                digest = await _receive(wire, size, await wire.answer(), write, on_received)
            if digest != sha256:
                raise HostError("digest", f"{self._name}: {remote} is not what was reported ({size} bytes expected)")
            file.write(stream.end())
            keep()

    async def clock(self) -> tuple[float, float]:
        """(seconds of a round trip, seconds that the host's clock is ahead of ours)."""
        async with self._exchange() as wire:
            before, since = time.time(), time.perf_counter()
            await wire.send({"do": "clock"})
            there = await wire.answer()
            took = time.perf_counter() - since
        if type(there) is not float:
            raise self._nonsense("clock", there)
        return took, there - (before + took / 2)

    async def take(self, data: bytes) -> float:
        """Seconds until the host says that it has had all of `data`, which it does not keep."""
        chunks = iter([data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)])
        async with self._exchange() as wire:
            since = time.perf_counter()
            await wire.send({"do": "take"})
            await wire.send_content(lambda: next(chunks, b""), None)
            there = await wire.answer()
            took = time.perf_counter() - since
        if there != len(data):
            raise self._nonsense("take", there)
        return took

    async def give(self, size: int) -> float:
        """Seconds until that many bytes of the host's were here."""
        async with self._exchange() as wire:
            since = time.perf_counter()
            await wire.send({"do": "give", "size": size})
            digest = await _receive(wire, size, await wire.answer(), len, None)
            took = time.perf_counter() - since
        if not digest:
            raise self._nonsense("give", "another number of bytes")
        return took

    async def absent(self, paths: Iterable[str]) -> set[str]:
        """Those of `paths` that are no folders there, or that we may not look into."""
        asked = list(paths)
        return {asked[i] for i in await self._which({"do": "absent", "paths": asked}, len(asked))}

    async def runners(self) -> list[str]:
        """Digests of the runners that are installed there."""
        answer = await self._ask({"do": "runners"})
        if not isinstance(answer, list) or not all(isinstance(digest, str) for digest in answer):
            raise self._nonsense("runners", answer)
        return answer

    async def clean(self) -> tuple[int, list[str]]:
        """Remove runners and cache: (bytes freed, what could not be removed)."""
        self._known.clear()
        match await self._ask({"do": "clean"}):
            case {"freed_bytes": int() as freed, "problems": [*problems]}:
                return freed, [str(problem) for problem in problems]
            case answer:
                raise self._nonsense("clean", answer)

    async def close(self) -> None:
        """End the process there."""
        self._closed = True
        process, self._process = self._process, None
        if process is not None:
            await process.close()

    # ------------------------------------------------------------------------------------------------- inside

    async def _ask(self, request: Mapping[str, object]) -> Any:
        async with self._exchange() as wire:
            await wire.send(request)
            return await wire.answer()

    async def _which(self, request: Mapping[str, object], count: int) -> list[int]:
        """Indexes below `count` of what was asked about."""
        answer = await self._ask(request)
        if not isinstance(answer, list) or not all(type(i) is int and 0 <= i < count for i in answer):
            raise self._nonsense(str(request["do"]), answer)
        return answer

    @contextlib.asynccontextmanager
    async def _exchange(self) -> AsyncIterator[_Wire]:
        """The wire for one request; it is dropped if the request does not end in an answer."""
        async with self._turn:
            if self._closed:
                raise HostLost(f"{self._name}: its connection is closed")
            if self._process is None:
                await self._start()
            assert self._process is not None
            wire = _Wire(self._name, self._process)
            try:
                yield wire
            finally:
                if not wire.clean and self._process is not None:
                    process, self._process = self._process, None
                    await process.close()

    async def _start(self) -> None:
        try:
            await self._begin()
        except NoPython as error:
            ours = carried.host_python(error.system) if self._python is None else None
            if ours is None:
                raise
            await bring(self._name, self._transport, self._workdir, ours)
            self.brought = ours
            await self._begin()

    async def _begin(self) -> None:
        process = await start_python(self._transport, self._python, self._workdir, _BOOT)
        try:
            async with asyncio.timeout(START_S):
                self._process = await self._greet(process)
        except TimeoutError as error:
            await process.close()
            cause = f"{self._name}: its Python did not start within {START_S:.0f} s"
            raise HostError("timeout", cause, "look at its load and at its login shell's profile") from error
        except BaseException:
            self._process = None
            await process.close()
            raise

    async def _greet(self, process: Process) -> Announced:
        text = resources.files("batchwasm.runner").joinpath("depot.py").read_bytes()
        with contextlib.suppress(HostLost):  # it ended at once: the answer below says why
            await process.write(b"%d\n%b" % (len(text), text))
        announced = await Announced.wait(process, (MAGIC, NO_PYTHON.encode()))
        if announced is None:
            raise await no_shell(self._name, process)
        if announced.magic != MAGIC:
            raise no_python(self._name, self._python, await announced.read(4096))
        wire = _Wire(self._name, announced)
        await wire.send({"do": "hello", "workdir": self._workdir or ""})
        self.facts = _facts(self._name, await wire.answer())
        return announced

    def _nonsense(self, request: str, answer: object) -> HostLost:
        return HostLost(f"{self._name}: answers {request} with {answer!r:.80}")


def _head(header: Mapping[str, object]) -> bytes:
    text = json.dumps(header, separators=(",", ":")).encode()
    return _LENGTHS.pack(len(text), 0) + text


def _body(chunk: bytes) -> bytes:
    return _LENGTHS.pack(0, len(chunk)) + chunk


@dataclass(eq=False, slots=True)
class _Small:
    """A file that fits in one frame, on its way to the host."""

    kind: Kind
    digest: str
    data: bytes
    answer: object = None
    error: HostError | None = None

    def frames(self) -> bytes:
        request = {"do": "put", "kind": self.kind, "digest": self.digest, "size": len(self.data)}
        return _head(request) + (_body(self.data) if self.data else b"") + _body(b"")


class _Wire:
    """One request and its answer over a process's stdio."""

    def __init__(self, name: str, process: Announced) -> None:
        self._name, self._process = name, process
        self.clean = True
        """Nothing is on its way in either direction."""

    async def send(self, header: Mapping[str, object]) -> None:
        await self.send_raw(_head(header))

    async def send_raw(self, frames: bytes) -> None:
        self.clean = False
        await self._process.write(frames)

    async def send_content(self, read: Callable[[], bytes], on_sent: Progress | None) -> None:
        while True:
            chunk = read()
            await self._process.write(_body(chunk))
            if not chunk:
                return
            if on_sent is not None:
                on_sent(len(chunk))

    async def frame(self) -> tuple[bytes, bytes]:
        try:
            async with asyncio.timeout(ANSWER_S):
                header, body = _LENGTHS.unpack(await self._process.exactly(_LENGTHS.size))
                if header + body > ANSWER_LIMIT_BYTES:
                    raise HostLost(f"{self._name}: sends a frame of {header + body} bytes")
                data = await self._process.exactly(header + body)
        except TimeoutError as error:
            raise HostLost(f"{self._name}: no answer for {ANSWER_S:.0f} s") from error
        except EOFError as error:
            said = self._process.stderr_tail.splitlines()
            raise HostLost(f"{self._name}: the process there ended{f': {said[-1]}' if said else ''}") from error
        return data[:header], data[header:]

    async def answer(self, *, last: bool = True) -> Any:
        """What the next `ok` holds. Raises HostError for an `error`. `last`: no other request is under way."""
        header, _ = await self.frame()
        self.clean = last
        try:
            fields = json.loads(header)
        except (ValueError, RecursionError) as error:
            raise HostLost(f"{self._name}: answers {header!r:.80}") from error
        match fields:
            case {"ok": value}:
                return value
            case {"error": str() as code, "text": str() as text}:
                raise HostError(code, f"{self._name}: {text}", CURES.get(code, ""))
        raise HostLost(f"{self._name}: answers {header!r:.80}")


CURES = {
    "disk": "make room there, or set another `workdir` for this host in the inventory",
    "permission": "set a `workdir` that you may write in the inventory",
    "workdir": "write an absolute path in the inventory",
    "home": "set the variable HOME there, or write an absolute path as `workdir` in the inventory",
    "digest": "the file changed while it was sent, or the connection garbles; try again",
}


async def _receive(
    wire: _Wire, size: int, announced: object, write: Callable[[bytes], int], on_received: Progress | None
) -> str:
    """Take a content off the wire; its sha256, or '' where it is not of `size` bytes. Never writes more than that."""
    wire.clean = False
    sha256, total = hashlib.sha256(), 0
    while total <= size and announced == size:
        _, chunk = await wire.frame()
        if not chunk:
            wire.clean = True
            return sha256.hexdigest() if total == size else ""
        total += len(chunk)
        sha256.update(chunk)
        if total <= size:
            write(chunk)
        if on_received is not None:
            on_received(len(chunk))
    return ""


@contextlib.contextmanager
def _opened(name: str, path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The file and its size. Raises HostError `input` where it is gone from this machine."""
    try:
        with open(path, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except OSError as error:
        raise HostError("input", f"{name}: can't send {path}: {error.strerror}", "put it back") from error


@contextlib.contextmanager
def _aside(local: Path) -> Iterator[tuple[BinaryIO, Callable[[], None]]]:
    """A new file beside `local`, and what makes it `local`; it is gone unless that was called."""
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=local.parent)
    with open(descriptor, "wb") as file:

        def keep() -> None:
            file.flush()
            os.replace(name, local)

        try:
            yield file, keep
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)


def _facts(name: str, answer: object) -> Facts:
    """Every field checked: the host is not trusted."""
    if not isinstance(answer, dict):
        raise HostLost(f"{name}: its facts are {answer!r:.80}")
    kinds = {"str": str, "int": int, "float": float, "bool": bool}
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Facts):
        value = answer.get(field.name)
        if type(value) is not kinds[str(field.type)]:
            raise HostLost(f"{name}: its fact {field.name} is {value!r:.80}")
        values[field.name] = value
    return Facts(**values)


def _said(process: Process) -> str:
    return process.stderr_tail[-500:]
