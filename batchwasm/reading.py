"""The results of a run as rows: what the journal says of a task, with what the run's manifest says of its job."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from batchwasm import explained, functions, rows
from batchwasm.core.events import Record
from batchwasm.core.history import unheard
from batchwasm.core.state import State
from batchwasm.errors import RunError
from batchwasm.explained import AttemptRow
from batchwasm.functions.json_values import to_json
from batchwasm.functions.values import decoder
from batchwasm.journal import Attempt, Journal
from batchwasm.model import JobName
from batchwasm.results import RunFolder
from batchwasm.rows import Because, Ended, Params, ResultRow
from batchwasm.spec import stored


def results(
    folder: RunFolder, *, job: JobName | None = None, index: int | None = None, outcome: Sequence[str] = ()
) -> Iterator[ResultRow]:
    """Rows of the tasks that have a result, in the order of the jobs and of their tasks."""
    with closing(Journal.open(folder.journal, read_only=True)) as journal:
        state = journal.state()
        kept = Kept(folder)
        for n, found in enumerate(state.jobs):
            if job is None or found.plan.name == job:
                for row in _rows_of(journal, state, n, kept[found.plan.name], index):
                    if not outcome or row.outcome in outcome:
                        yield _absolute(folder, row)


def _rows_of(journal: Journal, state: State, n: int, kept: KeptJob, index: int | None) -> Iterator[ResultRow]:
    attempts = journal.attempts(job=n, task=index, final=True)
    ended = (Ended(attempt.record.task, attempt.host, attempt.record) for attempt in attempts)
    return rows.results(state.name, state, state.jobs[n], kept.params, ended, only=index, value=kept.value)


def row_of(folder: RunFolder, kept: Kept, state: State, n: int, task: int, attempt: Attempt | None) -> ResultRow:
    """Of a task of job `n` that ended: in `attempt`, or without one."""
    job = state.jobs[n]
    known = kept[job.plan.name]
    params = known.params[task]
    if attempt is None:
        return rows.untold(state.name, state, job, task, params, Because(state, job))
    ended = Ended(task, attempt.host, attempt.record)
    return _absolute(folder, rows.result(state.name, job, params, ended, known.value(attempt.record)))


def attempts_of(journal: Journal, state: State, n: int, task: int) -> list[AttemptRow]:
    """All that ended of one task of job `n`, also where no report tells of it: then all events are gone through."""
    found = list(journal.attempts(job=n, task=task))
    rows_ = [explained.recorded(attempt.host, attempt.record) for attempt in found]
    if explained.has_gaps(state, n, task, [attempt.record for attempt in found]):
        known = {attempt.batch: attempt.record.number for attempt in found}
        rows_ += map(explained.unrecorded, unheard(journal.life(n), n, task, known))
    return rows_


def _absolute(folder: RunFolder, row: ResultRow) -> ResultRow:
    """The journal's paths are relative, so that a run folder can be moved; what is shown opens from anywhere."""
    if row.stdout_path is None and row.stderr_path is None:
        return row
    stdout, stderr = (path and str(folder.path / path) for path in (row.stdout_path, row.stderr_path))
    return replace(row, stdout_path=stdout, stderr_path=stderr)


@dataclass(frozen=True, slots=True)
class KeptJob:
    """What a manifest says of a job."""

    params: Params
    value: Callable[[Record], Any]
    """A record's value, as JSON has it."""


class Kept:
    """What a run's manifest says of its jobs, by name."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._jobs = self._read()

    def __getitem__(self, name: JobName) -> KeptJob:
        """Raises RunError where the manifest does not know it."""
        if name not in self._jobs:
            self._jobs = self._read()  # it was added while the run went on
        if name not in self._jobs:
            raise RunError(f"{self._folder.manifest} does not know the job {name}")
        return self._jobs[name]

    def _read(self) -> dict[JobName, KeptJob]:
        try:
            manifest = json.loads(self._folder.manifest.read_text(encoding="utf-8"))
            return {
                job["name"]: KeptJob(Params(stored.from_json(job["sweep"])), _Values(self._folder, job))
                for job in manifest["jobs"]
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{self._folder.manifest} can't be read: {error}") from error


class _Values:
    """Reads the values of a job. While its run goes on, the manifest may not know the function's type; its module
    does."""

    def __init__(self, folder: RunFolder, job: Any) -> None:
        self._folder = folder
        self._name: JobName = job["name"]
        self._is_function = job.get("function") is not None
        self._read: Callable[[bytes], Any] | None = None
        if job.get("signature") is not None:
            self._read = _reader(functions.from_json(json.dumps(job["signature"])))

    def __call__(self, record: Record) -> Any:
        encoded = record.value
        if encoded is None and record.value_path is not None:
            try:
                encoded = (self._folder.path / record.value_path).read_bytes()
            except OSError:
                return None  # a fleet's large value, which was handed over
        if encoded is None:
            return None
        if self._read is None and self._is_function:
            self._read = _reader(self._signature())
        return None if self._read is None else self._read(encoded)

    def _signature(self) -> functions.Signature | None:
        try:
            return functions.of_module(self._folder.wasm(self._name).read_bytes())
        except (OSError, ValueError):
            return None


def _reader(signature: functions.Signature | None) -> Callable[[bytes], Any]:
    result = None if signature is None else signature.result
    if result is None:
        return lambda encoded: None
    decode = decoder(result)
    return lambda encoded: to_json(result, decode(encoded))
