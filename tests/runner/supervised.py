"""A host as a scheduler meets it: the runner installed in a workdir, relays as processes, messages over their pipes.

Everything is real; the only part played here is the scheduler's.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import tomli
import wasmtime

import batchwasm.runner
from batchwasm.runner.protocol import (
    Acknowledge,
    Attach,
    Attached,
    Beat,
    Decoder,
    Detach,
    Finished,
    Message,
    Refused,
    Returned,
    Row,
    Rows,
    Start,
    TaskWork,
    Work,
    encode,
)

PATIENCE_S = 90.0
T = TypeVar("T")

HEAD = """
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 0) "\\10\\00\\00\\00\\06\\00\\00\\00")
  (data (i32.const 16) "hello\\n")
  (func $hello (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
"""
SPIN = f'(module {HEAD} (func (export "_start") (call $hello) (loop $l (br $l))))'
HELLO = f'(module {HEAD} (func (export "_start") (call $hello)))'
SLEEP = f"""(module {HEAD}
  ;; a subscription to the monotonic clock (1), relative, at 104: an hour
  (data (i32.const 120) "\\01")
  (func (export "_start") (call $hello) (i64.store (i32.const 128) (i64.const 3600000000000))
    (drop (call $poll (i32.const 104) (i32.const 200) (i32.const 1) (i32.const 300)))))"""
LOUD_SLEEP = SLEEP.replace(
    '(export "_start") (call $hello)',
    """(export "_start") (local $n i32) (i32.store (i32.const 4) (i32.const 65536)) (local.set $n (i32.const 4))
    (loop $l (call $hello) (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))""",
)
"""Writes 256 KiB, then sleeps."""

ENVIRONMENT = """(module
  (import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "environ_get" (func $get (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (drop (call $sizes (i32.const 0) (i32.const 20)))
    (drop (call $get (i32.const 1024) (i32.const 8192)))
    (i32.store (i32.const 16) (i32.const 8192))
    (drop (call $fd_write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 24)))))"""
"""Writes its variables, a zero byte behind each."""


def eventually(look: Callable[[], T], what: str, patience_s: float = PATIENCE_S) -> T:
    """What `look` gives as soon as it gives something true."""
    deadline = time.monotonic() + patience_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {patience_s} s: {what}"
        time.sleep(0.005)
    return found


class Scheduler:
    """The scheduler's end of one relay."""

    def __init__(self, host: SupervisedHost, environment: dict[str, str]) -> None:
        self.host = host
        self.relay = subprocess.Popen(
            [host.python, "-m", "batchwasm_runner", "relay", "--workdir", str(host.workdir), *host.relay_options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment,
        )
        self._decoder = Decoder()
        self._read: list[Message] = []
        self.beats: list[Beat] = []

    def send(self, *messages: Message) -> None:
        assert self.relay.stdin is not None
        for message in messages:
            view = memoryview(encode(message))
            while view:
                view = view[self.relay.stdin.write(view) :]

    def read(self, patience_s: float = PATIENCE_S) -> Message | None:
        """The next message that is no Beat; None at the end of the stream."""
        deadline = time.monotonic() + patience_s
        while True:
            while self._read:
                message = self._read.pop(0)
                if not isinstance(message, Beat):
                    return message
                self.beats.append(message)
            if not self._receive(deadline):
                return None

    def beat(self) -> Beat:
        """The next Beat; messages before it stay to be read."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for at, message in enumerate(self._read):
                if isinstance(message, Beat):
                    del self._read[at]
                    return message
            assert self._receive(deadline)

    def _receive(self, deadline: float) -> bool:
        assert self.relay.stdout is not None
        ready, _, _ = select.select([self.relay.stdout], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, "the host is silent"
        data = self.relay.stdout.read(1 << 20)
        self._read += self._decoder.feed(data)
        return bool(data)

    def attach(self, run: str = "run-1", **more: Any) -> Attached:
        answer = self.try_to_attach(run, **more)
        assert isinstance(answer, Attached), answer
        self.attached = answer
        return answer

    def try_to_attach(self, run: str = "run-1", incarnation: int = 1, **more: Any) -> Message | None:
        self.send(Attach(run=run, incarnation=incarnation, **more))
        return self.read()

    def work(self, batch: int, wat: str | bytes, tasks: Sequence[int | TaskWork] = (0,), **more: Any) -> Work:
        fields = {
            "run": "tour-1",
            "job": "job",
            "artifact": self.host.put(wat),
            "spool": f"{self.attached.spool}/{batch}",
            "memory_bytes": 64 << 20,
            "stdout_bytes": 1 << 20,
            "disk_bytes": 1 << 20,
            "files": 100,
            **more,
        }
        named = [task if isinstance(task, TaskWork) else TaskWork(task, 1) for task in tasks]
        return Work(batch=batch, tasks=named, **fields)

    def start(
        self,
        batch: int,
        wat: str | bytes,
        tasks: Sequence[int | TaskWork] = (0,),
        cpus: float = 1,
        memory: int = 64 << 20,
        gpus: float = 0,
        resources: dict[str, float] | None = None,
        isolate: bool = False,
        **more: Any,
    ) -> None:
        work = self.work(batch, wat, tasks, **more)
        needs = (gpus, resources or {}, isolate)
        self.send(Start(batch, cpus, memory, work.time_s, len(tasks), work.encode(), *needs))

    def collect(self, tasks: int) -> tuple[dict[tuple[int, int], Row], dict[tuple[int, int], str]]:
        """Reads until `tasks` tasks are reported: rows and why returned, each by (batch, task)."""
        rows: dict[tuple[int, int], Row] = {}
        returned: dict[tuple[int, int], str] = {}
        while len(rows) + len(returned) < tasks:
            message = self.read()
            if isinstance(message, Finished):
                found = Rows.decode(message.body)
                assert len(found) == message.count
                rows.update({(message.batch, row.task): row for row in found})
            elif isinstance(message, Returned):
                returned.update({(message.batch, task): message.why for task in message.tasks})
            else:
                raise AssertionError(f"{message} after {rows} and {returned}; {self.stderr()}")
            self.last_seq = message.seq
        assert len(rows) + len(returned) == tasks
        return rows, returned

    def acknowledge(self) -> None:
        self.send(Acknowledge(self.last_seq))

    def stderr(self) -> str:
        """All that the relay said; it has ended or ends now."""
        assert self.relay.stderr is not None
        self.relay.kill()
        return self.relay.stderr.read().decode()

    def detach(self) -> None:
        """Ends the run and waits for the supervisor to hang up."""
        self.send(Detach())
        while self.read() is not None:
            pass
        assert self.relay.wait(PATIENCE_S) == 0

    def close(self) -> None:
        """Cuts the connection, as a scheduler that dies does."""
        for pipe in (self.relay.stdin, self.relay.stdout):
            assert pipe is not None
            pipe.close()
        self.relay.wait(PATIENCE_S)
        assert self.relay.stderr is not None
        self.relay.stderr.close()


class SupervisedHost:
    """A workdir with the runner in it, and a TMPDIR of its own."""

    def __init__(self, folder: Path) -> None:
        self.workdir = folder / "work dir"
        self.tmp = Path(tempfile.mkdtemp(prefix="bw-", dir="/tmp"))  # short: a socket's path has a limit
        self.python = sys.executable
        self.path = ""
        """A folder of programs that are found before all others."""
        self.relay_options: list[str] = []
        self.schedulers: list[Scheduler] = []
        self.library = self.workdir / "runner" / "digest"
        self.library.mkdir(parents=True)
        shutil.copytree(
            Path(batchwasm.runner.__file__).parent,
            self.library / "batchwasm_runner",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        for package in (wasmtime, tomli):
            folder = Path(package.__file__).parent
            (self.library / folder.name).symlink_to(folder)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.path}:{os.environ['PATH']}" if self.path else os.environ["PATH"],
            "PYTHONPATH": str(self.library),
            "TMPDIR": str(self.tmp),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def connect(self) -> Scheduler:
        """A relay that is starting."""
        self.schedulers.append(Scheduler(self, self.environment))
        return self.schedulers[-1]

    def attach(self, run: str = "run-1", **more: Any) -> Scheduler:
        scheduler = self.connect()
        scheduler.attach(run, **more)
        return scheduler

    def put(self, wat: str | bytes) -> str:
        """The digest of a module in the host's cache; bytes are wasm."""
        wasm = wat if isinstance(wat, bytes) else bytes(wasmtime.wat2wasm(wat))
        digest = hashlib.sha256(wasm).hexdigest()
        path = self.workdir / "cache/wasm" / digest
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wasm)
            path.chmod(0o444)
        return digest

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.python, "-m", "batchwasm_runner", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def clean(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.command("clean", "--workdir", str(self.workdir), *options)

    # -------------------------------------------------------------------------------------- what is there now

    def supervisors(self) -> list[int]:
        """Process ids of this host's supervisors, without their workers."""
        mine = self._processes()
        return [pid for pid in mine if _parent(pid) not in mine]

    def workers(self) -> list[int]:
        mine = self._processes()
        return [pid for pid in mine if _parent(pid) in mine]

    def _processes(self) -> list[int]:
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                command = _file(name, "cmdline").split(b"\0")
                if b"supervise" in command and os.fsencode(self.workdir) in command:
                    found.append(int(name))
        return found

    def speaking_workers(self) -> list[int]:
        """Workers whose guest has written something: it runs."""
        return [pid for pid in self.workers() if b"pos:\t0\n" not in _file(pid, "fdinfo/1") + b"" and _is_memory(pid)]

    def wait_until_a_guest_speaks(self, count: int = 1) -> list[int]:
        return eventually(
            lambda: speaking if len(speaking := self.speaking_workers()) >= count else [], f"{count} guests that speak"
        )

    def traces(self) -> list[str]:
        """What is left on disk beside the caches."""
        return [str(path) for path in (*self.tmp.rglob("*"), *self.workdir.glob("s*"))]

    def end(self) -> None:
        """Hangs up and looks that nothing is left; what a test did not end, ends here."""
        for scheduler in self.schedulers:
            if scheduler.relay.poll() is None and scheduler.relay.stdin is not None:
                try:
                    scheduler.send(Detach())
                except OSError:
                    pass
            scheduler.close()
        # They would go by themselves in a second, which is a test of its own, and may do so right now.
        for pid in self.supervisors():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        try:
            eventually(lambda: not self._processes(), "the supervisor and its workers end", patience_s=5)
            assert self.traces() == []
        finally:
            for pid in self._processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.tmp)


def supervised_host(folder: Path) -> Iterator[SupervisedHost]:
    """For a fixture."""
    host = SupervisedHost(folder)
    try:
        yield host
    finally:
        host.end()


def refused(message: Message | None) -> str:
    assert isinstance(message, Refused), message
    return message.code


def _parent(pid: int) -> int:
    stat = _file(pid, "stat")
    return int(stat.rpartition(b")")[2].split()[1]) if stat else 0


def _is_memory(pid: int) -> bool:
    try:
        return "memfd" in os.readlink(f"/proc/{pid}/fd/1")
    except OSError:
        return False


def _file(pid: int | str, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
