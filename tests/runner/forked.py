"""A real worker process on a socketpair, and modules for it to run.

It is started anew, not forked from the tests: they make engines, and a child forked beside an engine hangs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wasmtime

import batchwasm.runner
from batchwasm.runner.page import Page, WorkerSettings
from batchwasm.runner.protocol import Decoder, Finished, Returned, Row, Rows, Start, TaskWork, Work, encode

MIB = 1024 * 1024
WASI = "wasi_snapshot_preview1"
WORKER = """
import os, socket, sys, traceback
from batchwasm.runner import page, worker
channel, shared, supervisor, *paths = sys.argv[1:]
log, status = os.dup(2), 1
try:
    shared = page.Page(os.open(shared, os.O_RDWR))
    settings = page.WorkerSettings(*paths, nice=0)
    worker.serve(socket.socket(fileno=int(channel)), shared, settings, int(supervisor))
    status = 0
except BaseException:
    os.write(log, traceback.format_exc().encode())
finally:
    os._exit(status)
"""
REPLY_S = 60.0  # far above what anything here takes: only a worker that hangs meets it


def wat(body: str) -> bytes:
    """A module whose `_start` is `body`, with a memory of one page and proc_exit."""
    return bytes(
        wasmtime.wat2wasm(f"""(module
        (import "{WASI}" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        {body if "_start" in body else f'(func (export "_start") {body})'})""")
    )


def build_toolbox(folder: Path) -> bytes:
    """The wasm of toolbox.c."""
    target = folder / "toolbox.wasm"
    source = Path(__file__).parent / "toolbox.c"
    flags = ["-target", "wasm32-wasi", "-O2", "-s", "-Wl,-z,stack-size=1048576", "-o", str(target)]
    subprocess.run([sys.executable, "-m", "ziglang", "cc", *flags, str(source)], check=True)
    return target.read_bytes()


class Forked:
    """A worker process; one at a time, started when first needed."""

    def __init__(self, root: Path, *, toolbox: bytes = b"", user: int | None = None) -> None:
        """`user` is whom the worker runs as, instead of as us; everything that he needs is then below `root`."""
        self.root = root
        self._user = user
        self.settings = WorkerSettings(str(root / "cache"), str(root / "scratch"), str(root / "locks"), nice=0)
        for folder in ("cache/wasm", "cache/files"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        self.toolbox = self.artifact(toolbox) if toolbox else ""
        self._page_path = root / f"page-{len(list(root.glob('page-*')))}"
        self._page_path.write_bytes(bytes(4096))
        with self._page_path.open("r+b") as file:
            self.page = Page(file.fileno())
        self.supervisor = os.getpid()
        self.pid = 0
        self.status: int | None = None
        self._batch = 0

    def artifact(self, wasm: bytes) -> str:
        """Into the cache; its digest."""
        return self._put("wasm", wasm)

    def file(self, content: bytes) -> str:
        """An input into the cache; its digest."""
        return self._put("files", content)

    def work(self, artifact: str, tasks: Sequence[TaskWork | list[str]], **settings: Any) -> Work:
        """A batch; a list of arguments stands for a task with them, by its place."""
        self._batch += 1
        named = [t if isinstance(t, TaskWork) else TaskWork(i, 1, args=t) for i, t in enumerate(tasks)]
        limits = {"memory_bytes": 64 * MIB, "stdout_bytes": MIB, "disk_bytes": 16 * MIB, "files": 100} | settings
        spool = str(self.root / "spool" / str(self._batch))
        return Work(self._batch, "night", "box", artifact, spool, tasks=named, **limits)

    def start(self) -> None:
        """Starts it, if there is none."""
        if self.pid:
            return
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(REPLY_S)
        paths = (self.settings.cache, self.settings.scratch, self.settings.locks)
        given = (theirs.fileno(), self._page_path, self.supervisor, *paths)
        command = [sys.executable, "-c", WORKER, *map(str, given)]
        if self._user is None:
            self._process = subprocess.Popen(command, pass_fds=(theirs.fileno(),))
        else:
            self._process = self._of_a_user(command, theirs.fileno(), self._user)
        self.pid = self._process.pid
        theirs.close()
        self._decoder = Decoder()

    def _of_a_user(self, command: list[str], channel: int, user: int) -> subprocess.Popen[bytes]:
        """Our checkout and its venv, and our Python, may be where nobody else can read."""
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
        assert python is not None, "no python3 of the system's"
        library = self.root / "library"
        shutil.copytree(Path(batchwasm.runner.__file__).parent, library / "batchwasm/runner")
        shutil.copytree(Path(wasmtime.__file__).parent, library / "wasmtime")
        for path in (self.root, *self.root.rglob("*")):
            os.chown(path, user, user)
        return subprocess.Popen(
            [python, *command[1:]],
            pass_fds=(channel,),
            user=user,
            group=user,
            extra_groups=[],
            cwd="/",
            env={"PYTHONPATH": str(library)},
        )

    def send(self, work: Work) -> None:
        """Hands over a batch."""
        self.start()
        start = Start(work.batch, 1, work.memory_bytes, work.time_s, len(work.tasks), work.encode())
        self.channel.sendall(encode(start))

    def replies(self) -> list[Finished | Returned]:
        """What comes next, at least one message; [] at the end of the channel."""
        messages: list[Any] = []
        while not messages and (data := self.channel.recv(1 << 20)):
            messages = self._decoder.feed(data)
        return messages

    def run(self, work: Work) -> list[Row]:
        """The rows of all its tasks."""
        self.send(work)
        rows: list[Row] = []
        while len(rows) < len(work.tasks):
            messages = self.replies()
            assert messages, f"the worker ended after {len(rows)} rows"
            for message in messages:
                assert isinstance(message, Finished)
                assert message.batch == work.batch
                rows += Rows.decode(message.body)
        return rows

    def one(self, artifact: str, args: list[str] | None = None, **settings: Any) -> Row:
        """The row of one task."""
        (row,) = self.run(self.work(artifact, [TaskWork(0, 1, args=args or [])], **settings))
        return row

    def tool(self, *args: str, **settings: Any) -> Row:
        """The row of the toolbox with these arguments."""
        return self.one(self.toolbox, list(args), **settings)

    def spooled(self, path: str) -> bytes:
        """A file of the newest batch's task 0 in the spool."""
        return (self.root / "spool" / str(self._batch) / "0" / path).read_bytes()

    def end(self) -> int:
        """Closes the channel; the worker's exit code."""
        if not self.pid:
            return 0
        self.channel.close()
        try:
            return self._process.wait(REPLY_S)
        finally:
            self._process.kill()
            self._process.wait()
            self.pid = 0

    def _put(self, kind: str, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        path = self.root / "cache" / kind / digest
        if not path.exists():
            path.write_bytes(content)
            path.chmod(0o444)
        return digest
