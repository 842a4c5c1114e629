"""A worker process: batches in, rows out, one guest at a time. Forked by the supervisor before any engine exists."""

from __future__ import annotations

import os
import socket
import threading
import time

from . import limits
from .cache import Modules
from .execute import Attempts
from .page import GAVE_UP, Page, WorkerSettings
from .protocol import FLUSH_BYTES, Decoder, Finished, Returned, Row, Rows, Start, Work, encode
from .selftest import choose_thin
from .stdio import silence_stdin
from .watch import Stop, Watch

FLUSH_S = 0.05  # how long a finished row may wait for others to travel with
ORPHANED = 71  # EX_OSERR; nobody waits for it
_READ_BYTES = 256 * 1024
_ROW_BYTES = 200  # of JSON, about

__all__ = ["WorkerSettings", "serve"]


def serve(channel: socket.socket, page: Page, settings: WorkerSettings, supervisor: int) -> None:
    """Runs batches until the channel's end. In a forked child with one thread, which shall leave by os._exit.

    `supervisor` is the process that forked it, which may have died since.
    """
    os.makedirs(settings.scratch, mode=0o700, exist_ok=True)
    os.makedirs(settings.locks, mode=0o700, exist_ok=True)
    thin = choose_thin(settings.locks)
    limits.settle(settings.nice)
    silence_stdin()
    attempts = Attempts(settings, page, Modules(settings.cache, settings.locks, thin=thin))
    worker = _Worker(channel, page, attempts, supervisor)
    decoder = Decoder()
    while data := channel.recv(_READ_BYTES):
        for message in decoder.feed(data):
            if isinstance(message, Start):
                worker.run(Work.decode(message.body), message.gpu_indexes)


class _Worker:
    def __init__(self, channel: socket.socket, page: Page, attempts: Attempts, supervisor: int) -> None:
        self._page = page
        self._attempts = attempts
        self._supervisor = supervisor
        self._report = _Report(channel, page)
        self._work = Work(0, "", "", "", "", 0, 0, 0, 0)
        self._watch = Watch(
            interrupt=attempts.interrupt,
            look=attempts.look,
            scan=attempts.scan,
            tick=self._tick,
            give_up=self._give_up,
            clock=page.now,
        )

    def run(self, work: Work, gpu_indexes: list[int]) -> None:
        """A batch, to its end or until it is recalled."""
        self._work = work
        self._page.begin(work.batch)
        self._report.begin(work.batch)
        self._attempts.begin(work, self._watch, gpu_indexes)
        for position, task in enumerate(work.tasks):
            if self._page.recalled(work.batch):
                self._report.give_back([task.task for task in work.tasks[position:]], "recalled")
                break
            self._report.add(self._attempts.run(position, task))
        self._page.rest()
        self._report.flush()
        self._attempts.end()

    def _tick(self) -> None:
        """Beside a guest. On Linux the kernel ends a worker with its supervisor; elsewhere nobody else would do it."""
        if os.getppid() != self._supervisor:
            os._exit(ORPHANED)
        self._report.flush_late()

    def _give_up(self, stop: Stop) -> None:
        """Called by the watch for a guest that sleeps in the host: report it, and go down with it."""
        row = self._attempts.given_up(stop)
        self._report.add(row)
        self._page.rest()
        self._report.flush()
        os._exit(GAVE_UP)


class _Report:
    """Rows on their way to the supervisor; used by the worker's thread and by the watch."""

    def __init__(self, channel: socket.socket, page: Page) -> None:
        self._channel = channel
        self._page = page
        self._lock = threading.Lock()
        self._batch = 0
        self._rows: list[Row] = []
        self._bytes = 0
        self._sent = 0
        self._flushed_at = 0.0

    def begin(self, batch: int) -> None:
        """From here on rows are of this batch."""
        with self._lock:
            self._batch = batch
            self._sent = 0
            self._flushed_at = time.monotonic()

    def add(self, row: Row) -> None:
        """Sends it with the others when it is time."""
        with self._lock:
            self._rows.append(row)
            self._bytes += _size(row)
            if self._bytes > FLUSH_BYTES or time.monotonic() > self._flushed_at + FLUSH_S:
                self._flush()

    def flush(self) -> None:
        """Send what is there."""
        with self._lock:
            self._flush()

    def flush_late(self) -> None:
        """The same, where something waits for longer than it should: a guest takes its time."""
        if self._rows and time.monotonic() > self._flushed_at + FLUSH_S:
            self.flush()

    def give_back(self, tasks: list[int], why: str) -> None:
        """Tasks that were not started."""
        with self._lock:
            self._flush()
            self._channel.sendall(encode(Returned(self._batch, tasks, why)))

    def _flush(self) -> None:
        self._flushed_at = time.monotonic()
        if not self._rows:
            return
        rows, self._rows, self._bytes = self._rows, [], 0
        self._channel.sendall(encode(Finished(self._batch, len(rows), body=Rows.encode(rows))))
        self._sent += len(rows)
        self._page.report(self._sent)


def _size(row: Row) -> int:
    """Bytes in a frame, about."""
    size = _ROW_BYTES + len(row.stdout) + len(row.stderr) + sum(map(len, row.files)) + len(row.value or b"")
    if row.detail is not None:
        # A letter may become \uXXXX.
        size += 6 * len(row.detail.text) + sum(6 * len(output.path) + 120 for output in row.detail.outputs)
    return size
