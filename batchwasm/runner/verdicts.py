"""Reports that a supervisor writes itself, because no worker is left to: of a worker that died, or had to be killed."""

from __future__ import annotations

import os
import time
from typing import Union

from .page import GAVE_UP, GUEST
from .protocol import Detail, Finished, Returned, Row, Rows, TaskWork, Work
from .rescue import keep
from .runs import Batch
from .slots import COMPILE_S, TimeUp, Worker, how_it_died

TIMED_OUT, LOST = 5, 12
"""model.Outcome, which this package can't import."""


Reports = list[Union[Finished, Returned]]


def of_an_end(worker: Worker, batch: Batch, status: int, last_words: str) -> Reports:
    """What is to be said of the batch that an ended worker held: its current task's end, the rest goes back.

    Raises ProtocolError where the batch's body can't be read.
    """
    work = batch.work()
    left = batch.left(work)
    if worker.time_up is not None:
        row = _time_up(worker.time_up, batch, work)
    elif worker.compiles_for_ever:
        text = f"its module was not compiled to native code within {COMPILE_S:.0f} s on this host"
        row = _lost(worker, work, left, text)
    elif worker.killed:
        return _reports(batch, left, None, worker.why_killed)
    elif os.WIFEXITED(status) and os.WEXITSTATUS(status) == GAVE_UP:
        row = None  # it reported the task that it gave up; a batch that was handed over just then never started
    elif worker.died_idle:
        row = None  # the batch reached it too late, so none of its tasks can be to blame
    else:
        text = f"the worker that ran it {how_it_died(status)}" + (f" ({last_words})" if last_words else "")
        row = _lost(worker, work, left, text)
    return _reports(batch, left, row, "its worker ended")


def not_started(batch: Batch, text: str) -> Reports:
    """No worker could be had: the first task is lost, which counts as one of its crashes; the rest goes back."""
    work = batch.work()
    return _reports(batch, work.tasks, _lost(None, work, work.tasks, text), text)


def given_back(batch: Batch, why: str) -> Reports:
    """A batch that never started. Raises ProtocolError where its body can't be read."""
    return _reports(batch, batch.work().tasks, None, why)


def _reports(batch: Batch, left: list[TaskWork], row: Row | None, why: str) -> Reports:
    reports: Reports = []
    if row is not None and any(task.task == row.task for task in left):
        reports.append(Finished(batch=batch.number, count=1, body=Rows.encode([row])))
        left = [task for task in left if task.task != row.task]
    if left:
        reports.append(Returned(batch=batch.number, tasks=[task.task for task in left], why=why))
    return reports


def _time_up(end: TimeUp, batch: Batch, work: Work) -> Row | None:
    task = _at(work, end.view.position)
    if task is None:
        return None
    folder = f"{work.spool}/{task.task}"
    stdout, stdout_spooled = keep(end.captured.stdout, work.stdout_bytes, f"{folder}/stdout")
    stderr, stderr_spooled = keep(end.captured.stderr, work.stdout_bytes, f"{folder}/stderr")
    end.captured.close()
    limit = batch.start.time_s
    text = f"ran for {end.used_s:.1f} s, time_limit is {limit:g} s; it was asleep and had to be killed"
    detail = Detail("time_limit", text, limit, end.used_s, [], stdout_spooled, stderr_spooled)
    return _row(task, TIMED_OUT, end.used_s, detail, stdout, stderr)


def _lost(worker: Worker | None, work: Work, left: list[TaskWork], text: str) -> Row | None:
    """The task in hand; without one the first that is left, so that a batch no worker survives ends some time."""
    view = worker.current() if worker is not None else None
    task = _at(work, view.position) if view is not None else None
    if task not in left:
        task = left[0] if left else None
    if task is None:
        return None
    used_s = 0.0
    if worker is not None and view is not None and view.phase == GUEST and view.started_ns > 0:
        used_s = worker.used_s(view)
    return _row(task, LOST, used_s, Detail("worker_died", text))


def _row(
    task: TaskWork,
    outcome: int,
    used_s: float,
    detail: Detail,
    stdout: bytes = b"",
    stderr: bytes = b"",
) -> Row:
    return Row(
        task=task.task,
        number=task.number,
        outcome=outcome,
        exit_code=None,
        started_at=time.time() - used_s,
        wall_us=int(used_s * 1e6),
        cpu_us=0,
        peak_memory_bytes=0,
        stdout=stdout,
        stderr=stderr,
        detail=detail,
    )


def _at(work: Work, position: int) -> TaskWork | None:
    return work.tasks[position] if position < len(work.tasks) else None
