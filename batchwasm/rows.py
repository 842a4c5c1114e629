"""State and attempts -> the rows that people and programs see. Pure: no files, no journal, no terminal.

`Status` and `ResultRow` have exactly the fields of `status --json` and `results --json` (a contract); the CLI, the
dashboard and the reports show these and nothing else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchwasm.core.events import Record
from batchwasm.core.explain import compares
from batchwasm.core.room import MILLI
from batchwasm.core.sizing import Sizing, advice, sizing
from batchwasm.core.state import RUNNING, WAITING, HostState, JobState, State
from batchwasm.journalrows import Progress
from batchwasm.model import Outcome, Scalar

TEXT_LIMIT_BYTES = 64 * 1024
STATUS_SCHEMA, RESULT_SCHEMA, RUN_SCHEMA, DRAIN_SCHEMA = "status/1", "result/1", "run/1", "host-drain/1"


def shallow(row: Any) -> dict[str, Any]:
    """A dataclass's fields by name, their values as they are (`dataclasses.asdict` would copy every output's list)."""
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskCounts:
    """How many tasks are in which state; `failed` is all that ended otherwise than the named ways."""

    total: int
    waiting: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    skipped: int

    @classmethod
    def of(cls, counts: list[int]) -> TaskCounts:
        named = {
            "waiting": counts[WAITING],
            "running": counts[RUNNING],
            "succeeded": counts[Outcome.SUCCEEDED],
            "cancelled": counts[Outcome.CANCELLED],
            "skipped": counts[Outcome.SKIPPED],
        }
        return cls(total=sum(counts), failed=sum(counts) - sum(named.values()), **named)

    @property
    def done(self) -> int:
        return self.total - self.waiting - self.running

    def as_dict(self) -> dict[str, int]:
        return shallow(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobRow:
    name: str
    tasks: TaskCounts
    usage: Sizing | None = None
    """What it asked for against what it took; None before anything ended."""

    def as_dict(self) -> dict[str, Any]:
        return {"name": self.name, **self.tasks.as_dict(), "usage": usage_dict(self.usage)}


def usage_dict(found: Sizing | None) -> dict[str, Any] | None:
    """`asked` (null where there is no limit), `used` and `next` of each thing that is asked for."""
    if found is None:
        return None
    return {
        "attempts": found.attempts,
        "cpus": shallow(found.cpus),
        "memory_bytes": shallow(found.memory_bytes),
        "time_s": {**shallow(found.time_s), "mean": found.mean_s},
        "disk_bytes": shallow(found.disk_bytes),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class HostRow:
    name: str
    state: str
    """connecting, ready, down (can't be used), lost (worked, now away), unused (the run ended before it answered).

    It gets nothing new while it is drained, busy (left to others), aside (too much failed there), silent, or removed
    (from the inventory), and one task at a time on probation. Of a run that has finished or stopped it is what it was
    then.
    """
    reason: str | None
    cpus: float | None
    running: int
    """Tasks that it has, whether they run or wait there for a slot."""
    done: int

    def as_dict(self) -> dict[str, Any]:
        return shallow(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """A run at a glance."""

    run: str
    folder: str
    state: str
    """running, finished or stopped."""
    tasks: TaskCounts
    jobs: tuple[JobRow, ...]
    hosts: tuple[HostRow, ...]
    by_outcome: Mapping[str, int]
    reason: str | None
    """Why it stopped, or why the rest was cancelled."""
    wall_s: float
    """From the run's first event to its last, or to now while it goes on; without the time between two lives of its
    scheduler."""
    paused: str | None = None
    """Who has paused it, or why; None where nobody has, or it does not go on."""
    comparing: tuple[str, ...] = ()
    """Of each job whose tasks wait for another host to compare: how many, and where they ran."""
    advice: tuple[str, ...] = ()
    """What to ask for next time, a sentence each, where that is worth one."""
    taken: Mapping[str, int] = field(default_factory=dict)
    """How many results are of each earlier run, by its name."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "schema": STATUS_SCHEMA,
            "run": self.run,
            "folder": self.folder,
            "state": self.state,
            "tasks": self.tasks.as_dict(),
            "jobs": [job.as_dict() for job in self.jobs],
            "hosts": [host.as_dict() for host in self.hosts],
            "paused": self.paused,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class HostHit:
    """What `hosts drain` or `undrain` did to a host of a run."""

    run: str
    folder: str
    host: str
    drained: bool
    was: str | None
    """Why it got nothing new before; None where it did."""
    running: int
    """Tasks that it has, whether they run or wait there for a slot."""
    busy: str | None
    """Why it is left to others now."""

    @classmethod
    def of(cls, run: str, folder: str, hit: Mapping[str, Any], *, drained: bool) -> HostHit:
        """From what the run's scheduler answered."""
        return cls(
            run=run,
            folder=folder,
            host=hit["host"],
            drained=drained,
            was=hit["was"],
            running=hit["running"],
            busy=hit["busy"],
        )

    def as_dict(self) -> dict[str, Any]:
        return {"schema": DRAIN_SCHEMA, **shallow(self)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultReason:
    code: str
    text: str
    limit: float | None
    used: float | None

    def as_dict(self) -> dict[str, Any]:
        return shallow(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultRow:
    """How a task ended."""

    run: str
    job: str
    index: int
    params: Mapping[str, Scalar]
    outcome: str
    reason: ResultReason | None
    exit_code: int | None
    value: Any
    """What a function gave, as JSON has it."""
    host: str | None
    attempts: int
    cached: bool
    """It did not run in this run."""
    taken_from: str | None
    """`RUN JOB/INDEX` of the earlier run, then; --json does without it."""
    queued_s: float | None
    wall_s: float | None
    cpu_s: float | None
    peak_memory_bytes: int | None
    started_at: float | None
    stdout: str | None
    stdout_path: str | None
    stderr: str | None
    stderr_path: str | None
    outputs: tuple[Mapping[str, Any], ...]
    artifact: str | None

    def as_dict(self) -> dict[str, Any]:
        fields = shallow(self)
        del fields["taken_from"]
        fields["params"] = dict(self.params)
        fields["outputs"] = [dict(output) for output in self.outputs]
        fields["reason"] = None if self.reason is None else self.reason.as_dict()
        return {"schema": RESULT_SCHEMA, **fields}


def status(state: State, folder: str, *, alive: bool, now: float = 0.0) -> Status:
    """`alive`: whether a scheduler works on the run now, which is `now` (unix time)."""
    counts = state.counts
    running = alive and state.stopped is None and not state.finished
    return Status(
        run=state.name,
        folder=folder,
        state="finished" if state.finished else "running" if running else "stopped",
        tasks=TaskCounts.of(counts),
        jobs=tuple(map(job_row, state.jobs)),
        hosts=tuple(host_row(state, host, max(now, state.last_at)) for host in state.hosts.values()),
        by_outcome=by_outcome(counts),
        reason=state.stopped.text if state.stopped else state.cancelled.text if state.cancelled else None,
        wall_s=max(0.0, max(state.last_at, now if running else 0.0) - state.first_at - state.idle_s),
        paused=state.paused if running else None,
        comparing=tuple(found.text for job in state.jobs if job.gave and (found := compares(job)) is not None),
        advice=tuple(advice(state)),
        taken=sum((Counter(job.taken) for job in state.jobs), Counter[str]()),
    )


def progress(state: State, now: float) -> Progress:
    """How far a run is at unix time `now`, as the journal keeps it."""
    counts = TaskCounts.of(state.counts)
    connected = [host.room for host in state.hosts.values() if host.room is not None]
    ended_s = sum(job.usage.wall_s * job.plan.cpus for job in state.jobs)
    running_s = sum(
        max(0.0, now - batch.since) * batch.amount.cpus
        for batch in state.batches.values()
        if batch.firm and batch.remaining
    )
    return Progress(
        at=now,
        hosts=len(connected),
        cpus=state.milli_cpus / MILLI,
        cpus_busy=sum(room.taken_cpus for room in connected) / MILLI,
        waiting=counts.waiting,
        running=counts.running,
        succeeded=counts.succeeded,
        failed=counts.failed,
        dropped=counts.cancelled + counts.skipped,
        work_s=ended_s + running_s / MILLI,
    )


def by_outcome(counts: list[int]) -> dict[str, int]:
    """Outcomes that occurred, by their words."""
    return {outcome.word: counts[outcome] for outcome in Outcome if counts[outcome]}


def job_row(job: JobState) -> JobRow:
    return JobRow(name=job.plan.name, tasks=TaskCounts.of(job.counts), usage=sizing(job))


def host_row(state: State, host: HostState, now: float) -> HostRow:
    word, reason = _standing(state, host, now)
    return HostRow(
        name=host.name,
        state=word,
        reason=reason or None,
        cpus=host.limits.cpus if host.limits else None,
        running=sum(len(batch.remaining) for batch in state.batches_on(host.name)),
        done=host.done,
    )


def _standing(state: State, host: HostState, now: float) -> tuple[str, str | None]:
    """A host's state in one word, and why."""
    closed, word = dict(host.closed_by(now)), host.standing(now)
    if word == "drained":
        return "drained", "; ".join(filter(None, (closed["drained"], closed.get("lost"), closed.get("down"))))
    if word == "connecting":
        return ("unused" if state.finished or state.stopped is not None else word), None
    return word, closed.get(word)


@dataclass(frozen=True, slots=True)
class Ended:
    """A task's last attempt, as the journal has it."""

    task: int
    host: str
    record: Record


def results(
    run: str,
    state: State,
    job: JobState,
    params: Params,
    ended: Iterable[Ended],
    only: int | None = None,
    value: Callable[[Record], Any] = lambda record: None,
) -> Iterator[ResultRow]:
    """Rows of one job's tasks (or of task `only`) that have a result, by index.

    `ended` are their final attempts, by task; `value` reads a record's value, as JSON has it.
    """
    because = Because(state, job)
    waiting_for = iter(ended)
    current = next(waiting_for, None)
    for task in range(job.plan.tasks) if only is None else (only,):
        while current is not None and current.task < task:
            current = next(waiting_for, None)
        if not 0 <= task < job.plan.tasks or job.codes[task] in (WAITING, RUNNING):
            continue
        # A task that a person had again may have ended without a report the last time.
        if current is not None and current.task == task and current.record.outcome == job.codes[task]:
            yield result(run, job, params[task], current, value(current.record))
        else:
            yield untold(run, state, job, task, params[task], because)


class Params:
    """`params[index]` of a job's tasks, made on demand."""

    def __init__(self, sweep: Any) -> None:
        self.sweep = sweep

    def __getitem__(self, index: int) -> Mapping[str, Scalar]:
        found: dict[str, Scalar] = self.sweep.params(index)
        return found


def result(run: str, job: JobState, params: Mapping[str, Scalar], ended: Ended, value: Any) -> ResultRow:
    record = ended.record
    reason = None
    if record.reason_code:
        reason = ResultReason(
            code=record.reason_code, text=record.reason_text or "", limit=record.limit, used=record.used
        )
    return ResultRow(
        run=run,
        job=job.plan.name,
        index=record.task,
        params=params,
        outcome=Outcome(record.outcome).word,
        reason=reason,
        exit_code=record.exit_code,
        value=value,
        host=ended.host or None,
        attempts=record.number,
        cached=record.cached is not None,
        taken_from=record.cached,
        queued_s=round(record.queued_s, 6),
        wall_s=record.wall_s,
        cpu_s=record.cpu_s,
        peak_memory_bytes=record.peak_memory_bytes,
        started_at=record.started_at,
        stdout=_text(record.stdout),
        stdout_path=record.stdout_path,
        stderr=_text(record.stderr),
        stderr_path=record.stderr_path,
        outputs=tuple(json.loads(record.outputs)) if record.outputs else (),
        artifact=job.digest,
    )


def untold(
    run: str, state: State, job: JobState, task: int, params: Mapping[str, Scalar], because: Because
) -> ResultRow:
    """A task whose result is no attempt's own word: cancelled, or lost with its host once too often."""
    outcome = Outcome(job.codes[task])
    if outcome == Outcome.SKIPPED:
        reason = ResultReason(code="skipped", text=because[task], limit=None, used=None)
    elif outcome == Outcome.CANCELLED:
        code, text = state.why_cancelled(because.n, task)
        reason = ResultReason(code=code, text=text, limit=None, used=None)
    else:
        text = "the host or worker was lost under it again and again"
        reason = ResultReason(code="crash_limit", text=text, limit=None, used=None)
    return ResultRow(
        run=run,
        job=job.plan.name,
        index=task,
        params=params,
        outcome=outcome.word,
        reason=reason,
        exit_code=None,
        value=None,
        host=None,
        attempts=job.tries.get(task, 0),
        cached=False,
        taken_from=None,
        queued_s=None,
        wall_s=None,
        cpu_s=None,
        peak_memory_bytes=None,
        started_at=None,
        stdout=None,
        stdout_path=None,
        stderr=None,
        stderr_path=None,
        outputs=(),
        artifact=job.digest,
    )


class Because:
    """`because[task]`: which task before it did not succeed, so that one of `job` was skipped; for people."""

    def __init__(self, state: State, job: JobState) -> None:
        self._state, self._job = state, job
        self.n = next(n for n, other in enumerate(state.jobs) if other is job)
        self._each = any(after.each for after in job.plan.after)
        self._same: str | None = None

    def __getitem__(self, task: int) -> str:
        if self._same is None or self._each:
            self._same = self._sentence(task)
        return self._same

    def _sentence(self, task: int) -> str:
        found = self._state.skipped_because(self.n, task)
        if found is None:
            return "something before it did not succeed"
        before = self._state.jobs[found[0]]
        name = before.plan.name if before.plan.tasks == 1 else f"{before.plan.name}/{found[1]}"
        return f"it comes after {name}, which did not succeed ({Outcome(before.codes[found[1]]).word})"


def _text(data: bytes | None) -> str | None:
    return None if data is None or len(data) > TEXT_LIMIT_BYTES else data.decode("utf-8", "replace")
