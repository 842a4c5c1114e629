"""The runs of a host, its workers, and who of them works for whom: starting, recalling, killing, collecting.

Owns runs, workers and the spool; knows no connection: `tell` is told that a run has a report.
"""

from __future__ import annotations

import functools
import os
import selectors
import signal
import time
from typing import Callable

from . import local, room
from .capacity import WHOLE, Host, Room
from .local import Place
from .page import WorkerSettings
from .protocol import Finished, Message, Output, ProtocolError, Returned, Start, Tail
from .runs import Batch, Run
from .slots import Serve, Worker
from .tail import tail
from .verdicts import Reports, given_back, not_started, of_an_end

Tell = Callable[[Run], None]
Gone = Callable[[Run, str], None]


class Pool:
    """All that works on this host. `tell` hears of a run's new report, `gone` says that a run is over here."""

    def __init__(
        self, selector: selectors.BaseSelector, at: Place, room: Room, serve: Serve, tell: Tell, gone: Gone
    ) -> None:
        self.runs: dict[str, Run] = {}
        self.workers: list[Worker] = []
        """The busiest last: an idle one is taken from the end, which has what it needs still warm."""
        self._selector = selector
        self._at = at
        self._host: Host[Run] = Host(room)
        self._serve = serve
        self._tell = tell
        self._gone = gone
        self._served = 0
        self._forked = 0

    # ------------------------------------------------------------------------------------------------- orders

    def start(self, run: Run, order: Start) -> None:
        """Queues a batch and starts what can be started."""
        batch = run.add(order, time.monotonic())
        if batch is None:
            return
        if not run.cap.fits(batch.needs):
            run.drop(batch)
            why = f"it needs {batch.needs}, but this run may have {run.cap} on this host"
            self._report(run, given_back(batch, why))
        elif run.mood.busy:
            run.drop(batch)
            self._report(run, given_back(batch, run.mood.busy))
        self.dispatch()

    def recall(self, run: Run, number: int) -> None:
        """Gives back what a batch has not started; nothing where it is over."""
        batch = run.queued(number)
        if batch is not None:
            run.drop(batch)
            self._report(run, given_back(batch, "taken back before it started"))
        elif (worker := self._holder(run, number)) is not None:
            worker.page.recall(number)

    def kill(self, run: Run, number: int) -> None:
        """Stops a batch at once; nothing where it is over."""
        batch = run.queued(number)
        if batch is not None:
            run.drop(batch)
            self._report(run, given_back(batch, "stopped on request"))
        elif (worker := self._holder(run, number)) is not None:
            worker.kill()

    def tail(self, run: Run, order: Tail) -> Output | None:
        """What the guest that is at this task has written; None where none is."""
        worker = self._holder(run, order.batch)
        return None if worker is None else tail(worker, order)

    def acknowledge(self, run: Run, seq: int) -> None:
        """Forgets reports and removes what was spooled for them."""
        for number in run.acknowledge(seq):
            local.remove_tree(f"{run.spool}/{number}")
        self.dispatch()

    def end(self, run: Run, why: str = "", code: str = "protocol") -> None:
        """Kills what a run still has and forgets it; `gone` follows when the last of its workers is dead."""
        if run.ending is None:
            run.ending, run.ending_code = why, code
            run.drop_all()
            for worker in self._of(run):
                worker.kill()
            self._bury(run)

    # --------------------------------------------------------------------------------------------- courtesy

    def give_back(self, run: Run, why: str) -> None:
        """All that a run has not started, also what a worker has of it."""
        try:
            for batch in run.drop_all():
                self._report(run, given_back(batch, why))
        except ProtocolError as error:
            self.end(run, str(error))
        for worker in self._of(run):
            assert worker.batch is not None
            worker.page.recall(worker.batch.number)

    def suspend(self, run: Run) -> None:
        """Stops its workers and their time."""
        for worker in self._of(run):
            worker.suspend()

    def resume(self, run: Run) -> None:
        """Lets them go on."""
        for worker in self._of(run):
            worker.resume()

    def leave(self, run: Run, why: str) -> None:
        """Stops what runs and gives it back."""
        for worker in self._of(run):
            worker.kill(why)

    def leave_unlimited(self, run: Run, why: str) -> None:
        """The same for what would run for ever."""
        for worker in self._of(run):
            if worker.batch is not None and worker.batch.start.time_s is None:
                worker.kill(why)

    def suspended(self, run: Run) -> int:
        return sum(worker.suspended for worker in self._of(run))

    def _of(self, run: Run) -> list[Worker]:
        return [worker for worker in self.workers if worker.run is run]

    # -------------------------------------------------------------------------------------------------- flow

    def dispatch(self) -> None:
        """Starts what has its turn and fits."""
        now = time.monotonic()
        while (turn := self._host.next(self.runs.values(), now)) is not None:
            run = turn.run
            self._served += 1
            batch = run.take(turn.needs, turn.gpus, self._served, now)
            try:
                worker = self._new_worker() if batch.start.isolate else self._idle_worker()
                worker.give(run, batch, now)
            except OSError as error:
                text = f"this host can't start a worker ({room.words(error, self._at.scratch)})"
                self._over(run, batch, functools.partial(not_started, batch, text))

    def look(self, now: float) -> float:
        """Ends guests whose time is over; returns the monotonic time of the next look."""
        for worker in self.workers:
            if worker.check_at <= now:
                worker.look(now)
        return min((worker.check_at for worker in self.workers), default=float("inf"))

    @property
    def cpus_busy(self) -> int:
        """Slots that are taken, even in part."""
        return -(-sum(run.used.cpus for run in self.runs.values()) // WHOLE)

    def kill_all(self) -> None:
        """Kills every worker, waits for their end, shortly."""
        for worker in self.workers:
            worker.kill()
        for worker in self.workers:
            worker.bury()
        self.workers.clear()

    # ------------------------------------------------------------------------------------------------ workers

    def _idle_worker(self) -> Worker:
        """The idle worker that worked last, else a new one. Raises OSError where the host has no room for one."""
        for at in range(len(self.workers) - 1, -1, -1):
            if self.workers[at].idle and self.workers[at].lives():
                worker = self.workers.pop(at)
                self.workers.append(worker)
                return worker
        return self._new_worker()

    def _new_worker(self) -> Worker:
        """Raises OSError where the host has no room for one."""
        self._forked += 1
        settings = WorkerSettings(
            cache=self._at.cache, scratch=f"{self._at.scratch}/w{self._forked}", locks=self._at.locks
        )
        worker = Worker(self._selector, self._serve, settings, self._receive, self._ended)
        self.workers.append(worker)
        return worker

    def _holder(self, run: Run, number: int) -> Worker | None:
        for worker in self.workers:
            if worker.run is run and worker.batch is not None and worker.batch.number == number:
                return worker
        return None

    def _receive(self, worker: Worker, message: Message) -> None:
        """A report of a worker. Raises ProtocolError for what no worker of ours sends."""
        run, batch = worker.run, worker.batch
        if run is None or batch is None or not isinstance(message, (Finished, Returned)):
            raise ProtocolError(f"a worker sent {message.kind}")
        if message.batch != batch.number:
            raise ProtocolError(f"a worker that holds batch {batch.number} reports on {message.batch}")
        batch.note(message)
        if batch.over:
            worker.release()
            if batch.start.isolate:
                worker.kill()  # its process was for this batch alone
            self._over(run, batch, lambda: [message])
            self.dispatch()
        else:
            self._report(run, [message] if run.ending is None else [])

    def _ended(self, worker: Worker, cause: str) -> None:
        """A worker's channel is at its end: it died, or said what nobody understands."""
        if cause:
            os.kill(worker.pid, signal.SIGKILL)
        self.workers.remove(worker)
        status = worker.reap()
        run, batch = worker.run, worker.batch
        if run is not None and batch is not None:
            last_words = cause or worker.last_words(status)
            self._over(run, batch, lambda: of_an_end(worker, batch, status, last_words))
        worker.remove()
        self.dispatch()

    # ------------------------------------------------------------------------------------------------ reports

    def _over(self, run: Run, batch: Batch, reports: Callable[[], Reports]) -> None:
        """A running batch ended. Where its body can't be read to say how, the run ends too."""
        run.end(batch)
        if run.ending is None:
            try:
                self._report(run, reports())
            except ProtocolError as error:
                self.end(run, str(error))
        if run.ending is not None:
            self._bury(run)

    def _report(self, run: Run, reports: Reports) -> None:
        for report in reports:
            run.report(report)
            self._tell(run)

    def _bury(self, run: Run) -> None:
        if not run.running and self.runs.pop(run.id, None) is not None:
            run.retained.close()
            local.remove_tree(run.spool)
            self._gone(run, run.ending or "")
