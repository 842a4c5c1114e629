"""What a person, or a limit, wants of tasks that wait, run or ended: that they don't run, or that they run again.

Many tasks are changed at once where that can be done: a job may have a million of them.
"""

from __future__ import annotations

from batchwasm.core.batches import Batches
from batchwasm.core.events import Ranges, TasksCancelled, TasksRetried, TasksWithdrawn, ranges_of
from batchwasm.core.hoststate import Batch
from batchwasm.core.jobstate import MAY_SUCCEED, RUNNING, WAITING, JobState, runs_of
from batchwasm.core.taskset import TaskSet
from batchwasm.model import Outcome

RUN_AGAIN = frozenset(map(int, Outcome)) - {int(Outcome.SUCCEEDED), int(Outcome.SKIPPED)}
"""Codes of tasks that can be had again; of skipped ones that depends on others."""
_HAD_A_RECORD = RUN_AGAIN - {int(Outcome.CANCELLED)}
PERSON = "person"
"""Code of a TasksCancelled that a person asked for."""


def cancelled_by(who: str) -> tuple[str, str]:
    """Code and text of the reason that results give."""
    return "cancelled", f"cancelled by {who}"


class Acts(Batches):
    """The part of a State that does as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.paused: str | None = None
        """Who wants that nothing new is started, or why; None where nobody does."""

    @property
    def a_person_cancelled(self) -> bool:
        """Whether a task did not run since a person said so."""
        if self.cancelled is not None and self.cancelled.code == PERSON:
            return True
        return any(
            code == "cancelled" and any(Outcome.CANCELLED in job.codes[start:stop] for start, stop in tasks.ranges)
            for job in self.jobs
            for (code, _), tasks in job.because.items()
        )

    def why_cancelled(self, n: int, task: int) -> tuple[str, str]:
        """Code and text for a task of job `n` that was."""
        for reason, tasks in self.jobs[n].because.items():
            if task in tasks:
                return reason
        return ("withdrawn", "its caller did not want it any more") if self.cancelled is None else _said(self.cancelled)

    # ------------------------------------------------------------------------------------------- don't run

    def _cancel(self, event: TasksCancelled) -> None:
        self.cancelled = event
        for n, job in enumerate(self.jobs):
            job.turn_waiting(Outcome.CANCELLED)
            self._queue(n)
        if event.running:
            for batch in self.batches.values():
                self._stop(batch)

    def _stop(self, batch: Batch) -> None:
        """Nothing of it is wanted any more; the batch itself is over when the scheduler gave it up."""
        job = self.jobs[batch.job]
        for task, number in batch.remaining.items():
            if job.doubles.pop(task, None) is None:
                job.note_try(task, number)
                self._move(batch.job, task, Outcome.CANCELLED)
        batch.remaining.clear()
        batch.superseded = True
        self.superseded.add(batch.id)

    def _withdraw(self, event: TasksWithdrawn) -> None:
        job = self.jobs[event.job]
        for task in event.tasks:
            if job.codes[task] == WAITING:
                self._move(event.job, task, Outcome.CANCELLED)
            elif job.codes[task] == RUNNING:
                job.unwanted.add(task)
        for start, stop in event.ranges:
            turned = job.turn_waiting(Outcome.CANCELLED, start, stop)
            self._queue(event.job)
            for id_ in job.on_hosts:
                job.unwanted.update(task for task in self.batches[id_].remaining if start <= task < stop)
            self._tell_of_many(event.job, turned, Outcome.CANCELLED)
        if event.by:
            job.note_because(cancelled_by(event.by), (*ranges_of(sorted(event.tasks)), *event.ranges))

    # ------------------------------------------------------------------------------------------- run again

    def _have_again(self, event: TasksRetried) -> None:
        self._lift()
        job = self.jobs[event.job]
        asked = TaskSet(event.ranges)
        job.unwanted -= {task for task in job.unwanted if task in asked}
        again = tuple(run for start, stop in asked.ranges for run in runs_of(job.codes, RUN_AGAIN, start, stop))
        self._wait_again(event.job, again)
        self._skip_hopeless(event.job, again)
        self._unskip(event.job, again)
        self.forgiven = self.all_failures

    def _lift(self) -> None:
        """The rest of the run is not cancelled any more; what was so far stays so, and for that reason."""
        if self.cancelled is None:
            return
        for job in self.jobs:
            job.note_because(_said(self.cancelled), runs_of(job.codes, (Outcome.CANCELLED,), 0, len(job.codes)))
        self.cancelled = None

    def _wait_again(self, n: int, again: Ranges) -> None:
        """All of these ended, and wait as if they had not; the numbers of their attempts go on."""
        job = self.jobs[n]
        ran = [
            task
            for start, stop in again
            for run in runs_of(job.codes, _HAD_A_RECORD, start, stop)
            for task in range(*run)
        ]
        for task in ran:
            job.note_try(task, 1)
        if job.tries:
            tasks = TaskSet(again)
            job.spared.update((task, number) for task, number in job.tries.items() if task in tasks)
        each = any(after.each for after in job.plan.after)
        for start, stop in again:
            job.wait_again(start, stop)
            if job.blockers:
                continue
            if not each:
                self._let_go(n, start, stop)
                continue
            for task in range(start, stop):
                if self.is_released(job, task):
                    self._let_go(n, task, task + 1)
        self._queue(n)
        self.fresh.add(n)

    def _skip_hopeless(self, n: int, again: Ranges) -> None:
        """Of these, what comes after something that did not succeed either."""
        job = self.jobs[n]
        befores = [(self.jobs[after.job], after.each) for after in job.plan.after]
        if not all(each or before.may_succeed for before, each in befores):
            for start, stop in again:
                job.turn_waiting(Outcome.SKIPPED, start, stop)
            self._queue(n)
            return
        for before in [before for before, each in befores if each]:
            for task in (task for start, stop in again for task in range(start, stop)):
                if before.codes[task] not in MAY_SUCCEED and job.codes[task] == WAITING:
                    self._move(n, task, Outcome.SKIPPED)

    def _unskip(self, n: int, again: Ranges) -> None:
        """What was skipped because of these waits again, unless something else before it did not succeed."""
        told = [(n, again)]
        while told:
            n, again = told.pop()
            for other, each in self.dependents[n]:
                found = self._may_run_again(self.jobs[other], again if each else ((0, self.jobs[other].plan.tasks),))
                if found:
                    self._wait_again(other, found)
                    told.append((other, found))

    def _may_run_again(self, job: JobState, within: Ranges) -> Ranges:
        """Tasks of these that were skipped, while all before them may still succeed."""
        befores = [(self.jobs[after.job], after.each) for after in job.plan.after]
        if not all(each or before.may_succeed for before, each in befores):
            return ()
        skipped = [run for start, stop in within for run in runs_of(job.codes, (Outcome.SKIPPED,), start, stop)]
        elementwise = [before for before, each in befores if each]
        if not elementwise:
            return tuple(skipped)
        return ranges_of(
            [t for run in skipped for t in range(*run) if all(b.codes[t] in MAY_SUCCEED for b in elementwise)]
        )


def _said(event: TasksCancelled) -> tuple[str, str]:
    """Code and text of the reason that results give."""
    return ("cancelled" if event.code == PERSON else event.code), event.text
