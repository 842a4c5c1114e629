"""All jobs of a run: what their tasks are at, who waits for whom, and the queue of those that have tasks to start.

A task is one byte in its job's `codes`. Indexes over the tasks (counts, what may start, the queue) change here alone.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Set

from batchwasm.core.events import JobPlan, Ranges, TasksCancelled
from batchwasm.core.jobstate import CODES, MAY_SUCCEED, RUNNING, WAITING, JobState, Retry
from batchwasm.model import Outcome


class Jobs:
    """The half of a State that knows no hosts."""

    def __init__(self) -> None:
        self.jobs: list[JobState] = []
        self.dependents: list[list[tuple[int, bool]]] = []
        """Of each job: who waits for it, and whether task by task."""
        self.queue: list[tuple[int, int]] = []
        """Jobs that have tasks to start, by (-priority, number): who is first in it goes first."""
        self.cancelled: TasksCancelled | None = None
        self.forgiven = 0
        """Failures from before a person had tasks again: `max_failures` counts anew."""
        self.urgent: Set[int] = frozenset()
        """Jobs that decide when the run ends, as whoever places them sees it; no snapshot has it, either."""
        self.fresh: set[int] = set()
        """Jobs that could start a task where they could not before, for whoever places them to look at all hosts and
        empty it. Nobody else's business: no snapshot has it."""
        self.looked_up: Set[int] = frozenset()
        """Jobs whose tasks are held back when they are released, until `seen`; no snapshot has it."""
        self._ended: deque[tuple[int, int, int]] = deque()
        """Tasks whose dependents are still to be told: a chain may be longer than the stack is deep."""

    @property
    def counts(self) -> list[int]:
        """Tasks by code, over all jobs."""
        totals = [0] * CODES
        for job in self.jobs:
            for code, n in enumerate(job.counts):
                totals[code] += n
        return totals

    @property
    def tasks(self) -> int:
        return sum(job.plan.tasks for job in self.jobs)

    @property
    def failures(self) -> int:
        """Those that `max_failures` counts."""
        return self.all_failures - self.forgiven

    @property
    def all_failures(self) -> int:
        """Tasks that ended and did not succeed, but for those that never had their chance."""
        not_failed = (WAITING, RUNNING, Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.SKIPPED)
        return sum(n for code, n in enumerate(self.counts) if code not in not_failed)

    def skipped_because(self, n: int, task: int) -> tuple[int, int] | None:
        """Job and task that did not succeed, so that task of job `n` was skipped; None where nobody knows.

        It may go through all tasks of another job, but for those where that is the answer element by element.
        """
        afters = self.jobs[n].plan.after
        for after in sorted(afters, key=lambda after: not after.each):
            codes = self.jobs[after.job].codes
            if after.each:
                if codes[task] not in MAY_SUCCEED:
                    return after.job, task
                continue
            failed = next((before for before, code in enumerate(codes) if code not in MAY_SUCCEED), None)
            if failed is not None:
                return after.job, failed
        return None

    def _add_job(self, plan: JobPlan) -> None:
        self.jobs.append(JobState.new(plan))
        self.dependents.append([])

    def _link(self) -> None:
        """Who waits for whom, of all jobs."""
        self.dependents = [[] for _ in self.jobs]
        for n, job in enumerate(self.jobs):
            for after in job.plan.after:
                self.dependents[after.job].append((n, after.each))

    def _release(self, n: int) -> None:
        """What waits for nothing any more may start."""
        job = self.jobs[n]
        if job.blockers:
            return
        if job.waiting == job.plan.tasks and not any(after.each for after in job.plan.after):
            self._let_go(n, 0, job.plan.tasks)
        else:  # some wait for others still, or were withdrawn while they waited
            for task in range(job.plan.tasks):
                if job.codes[task] == WAITING and self.is_released(job, task):
                    self._let_go(n, task, task + 1)
        self._queue(n)

    def _let_go(self, n: int, start: int, stop: int) -> None:
        """These wait for no other task any more."""
        if n in self.looked_up:
            self.jobs[n].unseen.add(start, stop)
        else:
            self._make_ready(n, start, stop)

    def _make_ready(self, n: int, start: int, stop: int) -> None:
        ready = self.jobs[n].ready
        if not ready.count:
            self.fresh.add(n)
        ready.add(start, stop)

    def look_up(self, jobs: Set[int]) -> None:
        """From now on someone looks whether the results of these jobs' tasks are known, before they start."""
        self.looked_up = jobs
        for n in jobs:
            if n < len(self.jobs):
                job = self.jobs[n]
                for start, stop in job.ready.ranges:
                    job.unseen.add(start, stop)
                job.ready.clear()
                self._queue(n)

    def seen(self, n: int, ranges: Ranges) -> None:
        """Tasks of job `n` were looked up: those that still wait may start."""
        unseen = self.jobs[n].unseen
        for start, stop in ranges:
            for first, last in unseen.within(start, stop):
                unseen.remove(first, last)
                self._make_ready(n, first, last)
        self._queue(n)

    def is_released(self, job: JobState, task: int) -> bool:
        """Whether all that it waits for element by element has succeeded."""
        return all(self.jobs[a.job].codes[task] == Outcome.SUCCEEDED for a in job.plan.after if a.each)

    def _tell_dependents(self, n: int, task: int, outcome: int) -> None:
        """Task of job `n` has its result: what waited for it may start, or never will."""
        self._ended.append((n, task, outcome))
        if len(self._ended) == 1:  # else whoever began goes on with it
            while self._ended:
                self._tell(*self._ended[0])
                self._ended.popleft()

    def _tell(self, n: int, task: int, outcome: int) -> None:
        for other, each in self.dependents[n]:
            job = self.jobs[other]
            if outcome != Outcome.SUCCEEDED:
                self._skip(other, task if each else None)
            elif each:
                if job.codes[task] == WAITING and not job.blockers and self.is_released(job, task):
                    self._let_go(other, task, task + 1)
                    self._queue(other)
            elif self.jobs[n].succeeded:
                job.blockers -= 1
                self._release(other)

    def _skip(self, n: int, task: int | None) -> None:
        """Task of job `n`, or all of its tasks, won't run: something before did not succeed."""
        job = self.jobs[n]
        if task is not None:
            if job.codes[task] == WAITING:
                self._move(n, task, Outcome.SKIPPED)
        elif job.counts[WAITING]:
            turned = job.turn_waiting(Outcome.SKIPPED)
            self._queue(n)
            self._tell_of_many(n, turned, Outcome.SKIPPED)

    def _tell_of_many(self, n: int, turned: Ranges, outcome: int) -> None:
        """These tasks of job `n` have their result, and did not succeed."""
        if not turned:
            return
        if any(each for _, each in self.dependents[n]):
            for start, stop in turned:
                for task in range(start, stop):
                    self._tell_dependents(n, task, outcome)
        elif self.dependents[n]:
            self._tell_dependents(n, turned[0][0], outcome)

    def _queue(self, n: int) -> None:
        """Job `n` stands in the queue exactly while it has tasks to start."""
        job = self.jobs[n]
        key = (-job.plan.priority, n)
        at = bisect_left(self.queue, key)
        there = at < len(self.queue) and self.queue[at] == key
        wanted = job.digest is not None and job.startable > 0
        if wanted and not there:
            insort(self.queue, key)
            self.fresh.add(n)
        elif there and not wanted:
            del self.queue[at]

    def _retry(self, n: int, task: int, retry: Retry) -> None:
        """A task that waits again does so under conditions of its own."""
        job = self.jobs[n]
        if job.codes[task] == WAITING:
            job.ready.remove(task, task + 1)
            job.retries[task] = retry
            self._queue(n)

    def _move(self, n: int, task: int, code: int) -> None:
        """The only way a single task changes."""
        job = self.jobs[n]
        before = job.codes[task]
        if before == WAITING:
            job.ready.remove(task, task + 1)
            job.unseen.remove(task, task + 1)
            job.retries.pop(task, None)
        if code == WAITING and (self.cancelled is not None or task in job.unwanted):
            code = Outcome.CANCELLED  # it, or all the rest, was cancelled while this one was out
        job.codes[task] = code
        job.counts[before] -= 1
        job.counts[code] += 1
        if code == WAITING:
            self._make_ready(n, task, task + 1)
            self._queue(n)
        elif code != RUNNING:
            if before == WAITING:
                self._queue(n)
            if job.tries:
                if code == Outcome.SUCCEEDED or (code != Outcome.CANCELLED and job.tries.get(task) == 1):
                    job.tries.pop(task, None)
                job.losses.pop(task, None)
                job.spared.pop(task, None)
            if job.gave:
                job.gave.pop(task, None)
            job.unwanted.discard(task)
            if self.dependents[n]:
                self._tell_dependents(n, task, code)
