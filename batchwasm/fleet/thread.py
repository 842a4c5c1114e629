"""The thread that has a fleet's scheduler: calls go in from any thread, their endings come out in this one.

The event loop is ours alone, so a fleet works in a script, in a notebook, and beside somebody else's event loop.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from itertools import groupby
from queue import SimpleQueue

from batchwasm.core.events import (
    BatchGivenUp,
    Event,
    HostJoined,
    HostLeft,
    Record,
    TasksAdded,
    TasksCancelled,
    TasksFinished,
    TasksReturned,
    TasksWithdrawn,
)
from batchwasm.core.state import State
from batchwasm.engine import manifest
from batchwasm.engine.arguments import KEPT_BYTES, Given
from batchwasm.engine.loop import Loop
from batchwasm.engine.plan import Plan, Watcher
from batchwasm.errors import BatchwasmError, Problem, SpecError, WorldError
from batchwasm.fleet.outcome import Ending, discard
from batchwasm.journal import Journal
from batchwasm.model import Artifact, Job, Outcome
from batchwasm.results import RunFolder

Done = Callable[[int, Ending | BaseException], None]
"""Told once how a call ended, with the number it was given; in the scheduler's thread, so it must not block."""


class Batch:
    """Calls of one function that go in together, and who hears of their ends."""

    __slots__ = ("arguments", "done", "first", "job", "tasks")

    def __init__(self, job: int, arguments: Sequence[Given], done: Done, first: int) -> None:
        """The n-th call's end is told by `done(first + n, ...)`."""
        self.job, self.arguments, self.done, self.first = job, arguments, done, first
        self.tasks = -1
        """Index of the first call's task; -1 until it has one."""


class SchedulerThread:
    """Runs a Loop until it is closed or broken."""

    def __init__(self, plan: Plan, folder: RunFolder, watcher: Watcher) -> None:
        self._plan, self._folder = plan, folder
        self.pid = os.getpid()
        self.closed = False
        """No more calls are to come; those that were made end."""
        self._watcher = _Listener(self, watcher)
        self._incoming: deque[Batch] = deque()
        self._waiting: dict[tuple[int, int], tuple[Done, int]] = {}
        self._woken = False
        self._failed: BaseException | None = None
        self._lock = threading.Lock()
        self._started = threading.Event()
        self.broken: BaseException | None = None
        """Why no call can be made any more."""
        self._events: asyncio.AbstractEventLoop | None = None
        self._loop: Loop | None = None
        self._endings: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._finisher = threading.Thread(target=self._finish, name=f"batchwasm {folder.name} futures", daemon=True)
        self.thread = threading.Thread(target=self._serve, name=f"batchwasm {folder.name}", daemon=True)
        self._finisher.start()
        self.thread.start()
        self._started.wait()

    # ------------------------------------------------------------------------------------ from any thread

    def push(self, batch: Batch) -> None:
        """Raises what broke the fleet."""
        with self._lock:
            if self.broken is not None:
                raise self.broken
            self._incoming.append(batch)
            if not self._woken:
                self._woken = True
                self._soon(self._drain)  # inside the lock: whatever is said of this batch later comes after it

    def add_job(self, job: Job, artifact: Artifact) -> int:
        """Raises WorldError, and what broke the fleet."""
        self.check_caller()
        if self.broken is not None or self._events is None or self._loop is None:
            raise self.broken or WorldError("the fleet has ended")
        adding = self._add_job(self._loop, job, artifact)
        try:
            added = asyncio.run_coroutine_threadsafe(adding, self._events)
        except RuntimeError as error:  # its loop has ended
            adding.close()
            raise self._why() from error
        try:
            return added.result()
        except CancelledError as error:  # it ended meanwhile
            raise self._why() from error

    def _why(self) -> BaseException:
        """What broke the fleet, whose loop has ended."""
        self.thread.join()
        assert self.broken is not None
        return self.broken

    def check_caller(self) -> None:
        """Raises RuntimeError where waiting would wait for itself."""
        if threading.current_thread() in (self.thread, self._finisher):
            raise RuntimeError(
                "a callback of a Fleet's future can't wait for another call; submit it, and wait elsewhere"
            )

    def finish(self, call: Callable[[], None]) -> None:
        """In a thread of its own: what sets futures may decode for minutes, and runs its users' callbacks."""
        self._endings.put(call)

    def withdraw(self, batch: Batch, numbers: Sequence[int]) -> None:
        """These calls of the batch are not wanted any more."""
        self._soon(lambda: self._withdraw(batch, numbers))

    def close(self) -> None:
        """The run ends with its last call."""
        self.closed = True
        self._soon(self._close)

    def stop(self) -> None:
        """The run ends now: guests are stopped, calls that have not ended never will."""
        self._soon(self._stop)

    def _soon(self, call: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # its loop has ended: all calls were told
            if self._events is not None:
                self._events.call_soon_threadsafe(call)

    # --------------------------------------------------------------------------------------- in its thread

    def _serve(self) -> None:
        error: BaseException = WorldError("the fleet was shut down before this call ended")
        try:
            asyncio.run(self._run())
            error = self._failed or error
        except BaseException as raised:
            error = raised
        finally:
            if not isinstance(error, BatchwasmError):
                cause, error = error, WorldError(f"the fleet broke: {error!r}")
                error.__cause__ = cause
            with self._lock:
                self.broken = error
                left = list(self._incoming)
                self._incoming.clear()
            self._started.set()
            for batch in left:
                self._tell_all(batch, self.broken)
            for done, number in list(self._waiting.values()):
                done(number, self.broken)
            self._waiting.clear()
            self._endings.put(None)

    def _finish(self) -> None:
        while (call := self._endings.get()) is not None:
            call()
            del call  # it holds its future, and that the fleet, which may be dropped meanwhile

    def join(self, timeout_s: float | None = None) -> None:
        """Until all calls ended, and were told."""
        self.thread.join(timeout_s)
        self._finisher.join(timeout_s)

    async def _run(self) -> None:
        self._events = asyncio.get_running_loop()
        journal = Journal.create(self._folder.journal, keep_values=KEPT_BYTES)
        try:
            loop = self._loop = Loop(self._plan, self._folder, journal, self._watcher)
            manifest.write(self._folder, self._plan, loop)
            with self._folder.held():
                self._events.call_soon(self._started.set)
                await loop.run()
            manifest.write(self._folder, self._plan, loop)
        finally:
            journal.close()

    async def _add_job(self, loop: Loop, job: Job, artifact: Artifact) -> int:
        number = await loop.add_job(job, artifact)
        manifest.write(self._folder, self._plan, loop)
        return number

    def _close(self) -> None:
        if self._loop is not None:
            self._loop.close()

    def _stop(self) -> None:
        if self._loop is not None:
            self._loop.stop("closed", "the fleet was shut down")

    def _drain(self) -> None:
        try:
            self._take_in()
        except BaseException as error:  # asyncio would only log it, and calls would wait for ever
            self._failed = error
            self._stop()

    def _take_in(self) -> None:
        with self._lock:
            batches = list(self._incoming)
            self._incoming.clear()
            self._woken = False
        assert self._loop is not None
        for job, group in groupby(batches, key=lambda batch: batch.job):
            together = list(group)
            at = self._loop.add_calls(job, [each for batch in together for each in batch.arguments])
            for batch in together:
                batch.tasks = at
                for n in range(len(batch.arguments)):
                    self._waiting[job, at + n] = (batch.done, batch.first + n)
                at += len(batch.arguments)

    @staticmethod
    def _tell_all(batch: Batch, error: BaseException) -> None:
        for n in range(len(batch.arguments)):
            batch.done(batch.first + n, error)

    def _withdraw(self, batch: Batch, numbers: Sequence[int]) -> None:
        if batch.tasks >= 0 and self._loop is not None:
            tasks = [batch.tasks + number - batch.first for number in numbers]
            self._loop.withdraw(batch.job, [task for task in tasks if (batch.job, task) in self._waiting])

    def finished(self, event: TasksFinished) -> None:
        waiting, job, host = self._waiting, event.job, event.host
        for record in event.records:
            if record.final:
                found = waiting.pop((job, record.task), None)
                if found is not None:
                    found[0](found[1], Ending(record, host))
                elif record.value_path is not None:
                    discard(self._folder, record.value_path)  # nobody wants it any more

    def settle(self, why: str = "") -> None:
        """Calls that ended without a report: withdrawn, perhaps by us (`why`), or lost with their host too often."""
        jobs = self.state.jobs
        for (job, task), (done, number) in list(self._waiting.items()):
            if task >= jobs[job].plan.tasks:
                continue  # it just came, and is not in the state yet
            code = jobs[job].codes[task]
            if code == Outcome.CANCELLED and why:
                done(number, SpecError([Problem(file="", line=None, key="", text=why)]))
            elif code == Outcome.CANCELLED and self.state.why_cancelled(job, task)[0] != "withdrawn":
                done(number, Ending(_ended(task, Outcome.CANCELLED, *self.state.why_cancelled(job, task)), ""))
            elif code == Outcome.LOST:
                text = "the host or worker was lost under it again and again"
                done(number, Ending(_ended(task, Outcome.LOST, "crash_limit", text), ""))
            if code in (Outcome.CANCELLED, Outcome.LOST):
                del self._waiting[job, task]

    @property
    def state(self) -> State:
        assert self._loop is not None
        return self._loop.state


class _Listener(Watcher):
    """Hears of ends first, then tells the caller's own watcher."""

    def __init__(self, thread: SchedulerThread, then: Watcher) -> None:
        self._thread, self._then = thread, then

    def compiling(self, job: str, hint: str) -> None:
        self._then.compiling(job, hint)

    def compiled(self, job: str, artifact: Artifact) -> None:
        self._then.compiled(job, artifact)

    def shipping(self, host: str, text: str) -> None:
        self._then.shipping(host, text)

    def passed(self, state: State) -> None:
        self._then.passed(state)

    def note(self, text: str) -> None:
        self._then.note(text)

    def happened(self, event: Event) -> None:
        match event:
            case TasksFinished():
                self._thread.finished(event)
            case TasksWithdrawn():
                self._thread.settle(event.why)
            case HostLeft() | HostJoined() | TasksReturned() | BatchGivenUp() | TasksCancelled():
                self._thread.settle()
            case TasksAdded() if self._thread.state.cancelled is not None:
                self._thread.settle()
            case _:
                pass
        self._then.happened(event)


def _ended(task: int, outcome: Outcome, code: str, text: str) -> Record:
    """Of a call whose end no host could tell."""
    return Record(task, 0, outcome, True, None, 0.0, 0.0, 0.0, 0.0, 0, b"", b"", code, text)
