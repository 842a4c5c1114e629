"""From what happens in a run to what a person sees: feeds a Progress, shows what a small run's tasks print."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from batchwasm.cli.progress import Counts, HostState, Progress, make
from batchwasm.core.events import (
    Event,
    FileShipped,
    HostAdded,
    HostAway,
    HostBusy,
    HostDrained,
    HostFree,
    HostJoined,
    HostLeft,
    HostRefused,
    HostRemoved,
    HostSetAside,
    HostUndrained,
    Record,
    RunPaused,
    RunUnpaused,
    TasksCancelled,
    TasksFinished,
    TasksKnown,
    TasksRetried,
    TasksWithdrawn,
)
from batchwasm.core.state import State
from batchwasm.engine.plan import Watcher
from batchwasm.escape import copy
from batchwasm.model import Artifact, HostName, JobName, Outcome, RunSpec
from batchwasm.rows import TaskCounts
from batchwasm.views import words

SHOWN_TASKS = 16  # a run of up to so many tasks shows what each printed: more would hide each other
TOLD_FAILURES = 10  # failures told one by one while the run goes on; the rest are in `results --failed`


_TOLD = (
    *(HostAdded, HostRemoved, HostSetAside, HostDrained, HostUndrained),
    *(TasksCancelled, RunPaused, RunUnpaused),
)
"""Events that are noted in the words that a dashboard has for them, too."""


class Silent:
    """A Progress that shows nothing."""

    def compiling(self, job: JobName, hint: str) -> None: ...

    def compiled(self, job: JobName, artifact: Artifact) -> None: ...

    def host(self, name: HostName, state: HostState, text: str = "") -> None: ...

    def counts(self, counts: Counts) -> None: ...

    def note(self, text: str) -> None: ...

    def give_way(self) -> None: ...

    def close(self) -> None: ...


@contextmanager
def shown(quiet: bool) -> Iterator[Progress]:
    """A display on stderr, taken down at the end."""
    progress: Progress = Silent() if quiet else make()
    try:
        yield progress
    finally:
        progress.close()


class CallsWatcher(Watcher):
    """Tells a Progress of compilers, hosts and counts; what ends how is its caller's to tell."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def compiling(self, job: JobName, hint: str) -> None:
        self._progress.compiling(job, hint)

    def compiled(self, job: JobName, artifact: Artifact) -> None:
        self._progress.compiled(job, artifact)

    def shipping(self, host: HostName, text: str) -> None:
        self._progress.host(host, "shipping", text)

    def note(self, text: str) -> None:
        self._progress.note(text)

    def happened(self, event: Event) -> None:
        match event:
            case HostJoined():
                self._progress.host(event.host, "ready")
                for warning in event.facts.get("warnings", ()):
                    self._progress.note(f"host {event.host}: {warning}")
            case FileShipped() if event.kind == "python":
                sent = f"{event.bytes / 2**20:.0f} MiB, kept there"
                self._progress.note(f"host {event.host}: has no Python of 3.9 or later: it was sent one ({sent})")
            case FileShipped() if event.kind != "runner":
                self._progress.host(event.host, "ready")
            case HostRefused():
                self._progress.host(event.host, "down", event.text)
            case HostAway():
                self._progress.host(event.host, "lost", f"{event.text}; what it was sent goes on there")
            case HostLeft(code="removed"):
                self._progress.host(event.host, "removed", "left")
            case HostLeft():
                self._progress.host(event.host, "lost", event.text)
            case HostBusy():
                self._progress.host(event.host, "busy", f"left to others: {event.text}")
            case HostFree():
                self._progress.host(event.host, "ready")
            case _ if isinstance(event, _TOLD):
                self._note(event, words.Jobs(()))
            case _:
                pass  # counted in `passed`, or told by the loop itself

    def _note(self, event: Event, jobs: words.Jobs) -> None:
        said = words.said(event, 0.0, jobs)
        if said is not None:
            self._progress.note(said.text)

    def passed(self, state: State) -> None:
        if not state.tasks:
            return  # calls are still to come, or nothing was to be done
        jobs = {job.plan.name: _counts(job.counts) for job in state.jobs}
        known = sum(sum(job.taken.values()) for job in state.jobs)
        self._progress.counts(replace(_counts(state.counts, jobs), paused=state.paused is not None, known=known))


class RunWatcher(CallsWatcher):
    """Of a run of jobs. `show` prints the stdout of tasks as they end, where the run is small."""

    def __init__(self, progress: Progress, spec: RunSpec, *, show: bool) -> None:
        super().__init__(progress)
        self._show = show and spec.tasks <= SHOWN_TASKS
        self._names = words.Jobs((job.name, len(job)) for job in spec.jobs)
        self._failures = 0

    def happened(self, event: Event) -> None:
        match event:
            case TasksFinished():
                self._tell_ended(event)
            case TasksKnown():
                self._tell_known(event)
            case TasksRetried() | TasksWithdrawn() if event.by:
                self._note(event, self._names)
            case _:
                super().happened(event)

    def _tell_ended(self, event: TasksFinished) -> None:
        for record in event.records if self._show else ():
            self._show_task(event, record)
        for record in event.records if not self._show else ():
            if record.final and record.outcome != Outcome.SUCCEEDED:
                self._failures += 1
                if self._failures <= TOLD_FAILURES:
                    self._progress.note(self._sentence(event, record))
                if self._failures == TOLD_FAILURES:
                    self._progress.note("more failures are not told here; see 'batchwasm results --failed'")

    def _tell_known(self, event: TasksKnown) -> None:
        for record in event.records if self._show else ():
            self._progress.note(f"{self._names.task(event.job, record.task)} is known from {record.cached}")
            self._show_stdout(record)

    def _show_task(self, event: TasksFinished, record: Record) -> None:
        self._progress.note(self._sentence(event, record))
        if record.stderr and record.outcome != Outcome.SUCCEEDED:
            self._progress.note(record.stderr.decode("utf-8", "replace").rstrip("\n"))
        self._show_stdout(record)

    def _show_stdout(self, record: Record) -> None:
        if record.stdout and sys.stdout.isatty():
            self._progress.note(record.stdout.decode("utf-8", "replace").rstrip("\n"))
        elif record.stdout:
            copy(io.BytesIO(record.stdout), sys.stdout)
        elif record.stdout_path:
            self._progress.note(f"its stdout is in {record.stdout_path} of the run folder")

    def _sentence(self, event: TasksFinished, record: Record) -> str:
        return words.attempt_text(
            self._names.task(event.job, record.task),
            outcome=record.outcome,
            final=record.final,
            host=event.host,
            wall_s=record.wall_s,
            reason=record.reason_text,
        )


def _counts(codes: list[int], jobs: Mapping[JobName, Counts] | None = None) -> Counts:
    counts = TaskCounts.of(codes)
    return Counts(
        total=counts.total,
        running=counts.running,
        succeeded=counts.succeeded,
        failed=counts.failed,
        cancelled=counts.cancelled,
        skipped=counts.skipped,
        jobs=jobs or {},
    )
