"""Events of a run in words, a sentence each. Pure; names and texts of guests and hosts stay as they came."""

from __future__ import annotations

import time
from collections.abc import Iterable

from batchwasm.core.events import (
    ArtifactBuilt,
    Event,
    HostAdded,
    HostAway,
    HostBusy,
    HostDrained,
    HostFree,
    HostHeard,
    HostJoined,
    HostLeft,
    HostRefused,
    HostRemoved,
    HostSetAside,
    HostSilent,
    HostUndrained,
    JobAdded,
    Ranges,
    RunClosed,
    RunFinished,
    RunOpened,
    RunPaused,
    RunPlanned,
    RunStopped,
    RunUnpaused,
    TasksCancelled,
    TasksRetried,
    TasksWithdrawn,
    count,
    ranges_of,
)
from batchwasm.core.reasons import counted
from batchwasm.model import HostName, JobName, Outcome
from batchwasm.units import count_text, duration_text, size_text
from batchwasm.views.model import Said, Tone


class Jobs:
    """Names of the jobs of a run and of their tasks."""

    def __init__(self, jobs: Iterable[tuple[JobName, int]]) -> None:
        """Each with the number of its tasks."""
        self._jobs = list(jobs)

    def name(self, job: int) -> JobName:
        return self._jobs[job][0] if job < len(self._jobs) else f"job {job}"

    def task(self, job: int, task: int) -> str:
        """`sim/3`; `sim` where that has one task."""
        name = self.name(job)
        return name if job < len(self._jobs) and self._jobs[job][1] == 1 else f"{name}/{task}"

    def some(self, job: int, ranges: Ranges, many: str) -> str:
        """`sim/3`, `many` 2 tasks of sim, `many` sim for all of them; `sim` where that has one."""
        number = count(ranges)
        if number == 1:
            return self.task(job, ranges[0][0])
        name, tasks = self.name(job), self._jobs[job][1] if job < len(self._jobs) else None
        return f"{many}{name}" if number == tasks else f"{many}{count_text(number)} tasks of {name}"


def said(event: Event, at: float, jobs: Jobs) -> Said | None:
    """None for what is no news to a person. Of tasks that ended see `ended`."""
    found = _of_host(event, at) or _of_run(event, jobs)
    if found is None:
        return None
    tone, text = found
    number = getattr(event, "job", None)
    host = getattr(event, "host", None)
    if isinstance(event, HostAdded):
        host = event.plan.name
    return Said(at=at, tone=tone, text=text, host=host, job=None if number is None else jobs.name(number))


def ended(
    *,
    at: float,
    jobs: Jobs,
    job: int,
    task: int,
    outcome: int,
    final: bool,
    host: HostName,
    wall_s: float,
    reason: str | None,
) -> Said:
    """Of an attempt."""
    text = attempt_text(jobs.task(job, task), outcome=outcome, final=final, host=host, wall_s=wall_s, reason=reason)
    tone: Tone = "good" if outcome == Outcome.SUCCEEDED else "bad" if final else "warning"
    return Said(at=at, tone=tone, text=text, job=jobs.name(job), task=task, host=host or None)


def attempt_text(name: str, *, outcome: int, final: bool, host: HostName, wall_s: float, reason: str | None) -> str:
    """How an attempt of the task `name` ended."""
    why = f": {reason}" if reason else ""
    if final:
        again = ""
    elif outcome == Outcome.SUCCEEDED:  # of a task that is verified
        again = "; it runs on another host, too, to be compared"
    else:
        again = "; it is tried again"
    return f"{name} {Outcome(outcome).word.replace('_', ' ')} on {host} in {duration_text(wall_s)}{why}{again}"


def _of_host(event: Event, at: float) -> tuple[Tone, str] | None:
    match event:
        case HostJoined():
            gpus = f", {counted(event.gpus, 'gpu')}" if event.gpus else ""
            offers = f"{counted(event.cpus, 'cpu')}, {size_text(event.memory_bytes)}{gpus}"
            return "good", f"host {event.host}: ready, {offers}"
        case HostRefused():
            return "bad", f"host {event.host}: down: {event.text}"
        case HostAway():
            return "warning", f"host {event.host}: lost: {event.text}; what it was sent goes on there"
        case HostLeft(code="removed"):
            return "plain", f"host {event.host}: left; the inventory has it no longer"
        case HostLeft():
            return "bad", f"host {event.host}: lost, and what ran there with it: {event.text}"
        case HostAdded():
            return "plain", f"host {event.plan.name}: the inventory has it now"
        case HostRemoved():
            return "plain", f"host {event.host}: the inventory has it no longer; it takes no new tasks"
        case HostBusy():
            return "warning", f"host {event.host}: left to others: {event.text}"
        case HostFree():
            return "good", f"host {event.host}: free again"
        case HostSilent():
            return "warning", f"host {event.host}: says nothing; what it runs is doubted"
        case HostHeard():
            return "good", f"host {event.host}: speaks again"
        case HostSetAside() if event.until <= at:  # no host does better than it
            return "plain", f"host {event.host}: not set aside any more: tasks fail on the other hosts, too"
        case HostSetAside():
            until = time.strftime("%H:%M:%S", time.localtime(event.until))
            return "warning", f"host {event.host}: set aside until {until}: {event.text}"
        case HostDrained():
            why = f" ({event.text})" if event.text else ""
            return "plain", f"host {event.host}: drained{why}; it takes no new tasks"
        case HostUndrained():
            return "plain", f"host {event.host}: takes tasks again"
        case _:
            return None


def _of_run(event: Event, jobs: Jobs) -> tuple[Tone, str] | None:
    match event:
        case RunPlanned():
            tasks = sum(plan.tasks for plan in event.jobs)
            return "plain", f"{event.name} has {counted(tasks, 'task')} and {counted(len(event.hosts), 'host')}"
        case RunOpened(incarnation=number) if number > 1:
            return "plain", f"taken in hand again on {event.machine}"
        case RunOpened():
            return "plain", f"started on {event.machine}"
        case ArtifactBuilt():
            took = "was compiled before" if event.cached else f"is compiled, in {duration_text(event.wall_s)}"
            return "good", f"{jobs.name(event.job)} {took} ({event.toolchain}, {size_text(event.bytes)})"
        case JobAdded():
            return "plain", f"{event.plan.name} was added"
        case TasksCancelled(code="person"):
            return "warning", f"{event.text}: the run ends"
        case TasksCancelled():
            return "bad", f"the rest is cancelled: {event.text}"
        case TasksWithdrawn() if event.by:
            ranges = (*ranges_of(event.tasks), *event.ranges)
            return "warning", f"cancelled by {event.by}: {jobs.some(event.job, ranges, 'what waits or runs of ')}"
        case TasksWithdrawn() if event.why:
            return "bad", f"{jobs.name(event.job)} can't run: {event.why}"
        case TasksRetried():
            what = jobs.some(event.job, event.ranges, "what did not succeed of ")
            return "plain", f"to be run again, by {event.by}: {what}"
        case RunPaused():
            why = f" {event.text}" if event.text else ""
            return "warning", f"paused{why}: nothing new is started until 'batchwasm unpause'"
        case RunUnpaused():
            return "plain", "not paused any more: it goes on"
        case RunClosed():
            return "plain", "nothing more is added to it"
        case RunStopped():
            return "bad", f"it does not go on: {' '.join(event.text.split())}"  # a compiler's lines
        case RunFinished():
            return "good", "finished: every task has ended"
        case _:
            return None
