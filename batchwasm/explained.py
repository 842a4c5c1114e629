"""State and attempts -> why a task waits, where it runs, how it ended; and what limits a run. Pure.

`Explained` has exactly the fields of `explain --json` (a contract).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from batchwasm.core import reasons
from batchwasm.core.bottleneck import limits
from batchwasm.core.events import Record
from batchwasm.core.explain import Ended, Hosts, Place, Running, Waiting, explain
from batchwasm.core.history import Unheard
from batchwasm.core.reasons import Reason
from batchwasm.core.state import State
from batchwasm.model import Outcome

EXPLAIN_SCHEMA = "explain/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptRow:
    """An attempt that ended."""

    number: int
    host: str
    outcome: str
    final: bool
    """It made the task's result."""
    reason_code: str | None
    reason: str | None
    exit_code: int | None
    started_at: float
    """Where it left no report: when it was given to the host."""
    wall_s: float | None
    cpu_s: float | None
    peak_memory_bytes: int | None
    disk_bytes: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class CacheWord:
    """What the cache of results has to say of a task that may be taken from it."""

    taken_from: str | None
    """`RUN JOB/INDEX` of the earlier run that has its result."""
    nearest: str | None
    """The same of the known result that comes nearest, where it was not taken."""
    differs: tuple[str, ...]
    """What is different there, a sentence each."""
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """A task, or a whole run where `job` and `index` are None."""

    run: str
    folder: str
    job: str | None
    index: int | None
    state: str
    """Of a task waiting, running, or its outcome; of a run running, finished or stopped."""
    reasons: tuple[Reason, ...]
    """Of a task: why it waits wherever it would run, or why it ended without an attempt; of a run: what limits it."""
    hosts: tuple[Hosts, ...]
    """Of a task that waits: what keeps it from each; of a run: why each is given nothing new, if it is not."""
    places: tuple[Place, ...]
    """Where it runs now."""
    attempts: tuple[AttemptRow, ...]
    """Those that ended, by number."""
    cache: CacheWord | None = None
    """None for a task that takes nothing from earlier runs."""

    def as_dict(self) -> dict[str, Any]:
        return {
            "schema": EXPLAIN_SCHEMA,
            "run": self.run,
            "folder": self.folder,
            "job": self.job,
            "index": self.index,
            "state": self.state,
            "reasons": [asdict(reason) for reason in self.reasons],
            "hosts": [
                {"hosts": list(group.names), "reasons": [asdict(reason) for reason in group.reasons]}
                for group in self.hosts
            ],
            "places": [asdict(place) for place in self.places],
            "attempts": [asdict(attempt) for attempt in self.attempts],
            "cache": None if self.cache is None else asdict(self.cache),
        }


def of_run(state: State, folder: str, *, word: str, now: float) -> Explained:
    """`word` is the run's state as its status has it."""
    groups: dict[tuple[Reason, ...], list[str]] = {}
    for host in state.hosts.values():
        groups.setdefault(tuple(reasons.closed(host, now)), []).append(host.name)
    return Explained(
        run=state.name,
        folder=folder,
        job=None,
        index=None,
        state=word,
        reasons=limits(state, now),
        hosts=() if state.finished else tuple(Hosts(names=tuple(n), reasons=key) for key, n in groups.items()),
        places=(),
        attempts=(),
    )


def of_task(
    state: State,
    n: int,
    task: int,
    folder: str,
    *,
    attempts: Iterable[AttemptRow],
    now: float,
    cache: CacheWord | None = None,
) -> Explained:
    """Task of job `n`; `attempts` are those that ended."""
    found = explain(state, n, task, now)
    match found:
        case Waiting():
            word = "waiting"
        case Running():
            word = "running"
        case Ended():
            word = found.outcome.word
    return Explained(
        run=state.name,
        folder=folder,
        job=state.jobs[n].plan.name,
        index=task,
        state=word,
        reasons=found.reasons,
        hosts=found.hosts if isinstance(found, Waiting) else (),
        places=found.places if isinstance(found, Running) else (),
        attempts=tuple(sorted(attempts, key=lambda attempt: attempt.number)),
        cache=cache,
    )


def has_gaps(state: State, n: int, task: int, records: Sequence[Record]) -> bool:
    """Whether some attempts of the task left no record."""
    job = state.jobs[n]
    numbers = {record.number for record in records}
    latest = max([job.tries.get(task, 0), *numbers])
    return latest > len(numbers) or (job.codes[task] == Outcome.LOST and not any(record.final for record in records))


def recorded(host: str, record: Record) -> AttemptRow:
    return AttemptRow(
        number=record.number,
        host=host,
        outcome=Outcome(record.outcome).word,
        final=bool(record.final),
        reason_code=record.reason_code,
        reason=record.reason_text,
        exit_code=record.exit_code,
        started_at=record.started_at,
        wall_s=record.wall_s,
        cpu_s=record.cpu_s,
        peak_memory_bytes=record.peak_memory_bytes,
        disk_bytes=record.disk_bytes,
    )


def unrecorded(attempt: Unheard) -> AttemptRow:
    return AttemptRow(
        number=attempt.number,
        host=attempt.host,
        outcome=(Outcome.LOST if attempt.lost else Outcome.CANCELLED).word,
        final=False,
        reason_code="host_lost" if attempt.lost else "stopped",
        reason=attempt.text,
        exit_code=None,
        started_at=attempt.placed_at,
        wall_s=None,
        cpu_s=None,
        peak_memory_bytes=None,
        disk_bytes=None,
    )
