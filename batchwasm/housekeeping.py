"""The run folders that a user keeps: which there are and what they take, taking some away, results as a table.

What a run is and says is batchwasm.api's.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, TextIO

from batchwasm import api
from batchwasm import results as folders
from batchwasm.errors import BatchwasmError, RunError, WorldError
from batchwasm.journal import Journal
from batchwasm.results import RunFolder
from batchwasm.rows import ResultRow, TaskCounts, shallow
from batchwasm.spec import stored

RUNS_SCHEMA, REMOVED_SCHEMA = "runs/1", "removed/1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A run folder at a glance."""

    run: str
    folder: str
    state: str
    """running, finished, stopped; or unreadable."""
    why: str | None
    """Why it stopped, why the rest was cancelled, or what is wrong with it."""
    started_at: float | None
    """Unix time."""
    tasks: TaskCounts | None
    """None where it can't be read."""
    bytes: int
    """On disk."""

    def as_dict(self) -> dict[str, Any]:
        tasks = None if self.tasks is None else {**self.tasks.as_dict(), "done": self.tasks.done}
        return {"schema": RUNS_SCHEMA, **shallow(self), "tasks": tasks}


def kept(cwd: Path, *, calls: bool = False) -> Iterator[Kept]:
    """All runs that are known here and in the index, newest first; with `calls` those of call, map and Fleet, too."""
    found = folders.everywhere(cwd, calls=calls)
    for folder in sorted(found, key=lambda folder: (folder.started_at, folder.name), reverse=True):
        yield _glance(folder)


def _glance(folder: RunFolder) -> Kept:
    state, why, tasks = "unreadable", None, None
    try:
        status = api.status(folder)
        state, why, tasks = status.state, status.reason, status.tasks
    except BatchwasmError as error:
        why = str(error)
    except OSError as error:  # taken away under our hands
        why = f"{error.filename or folder.path}: {error.strerror}"
    return Kept(
        run=folder.name,
        folder=str(folder.path),
        state=state,
        why=why,
        started_at=folder.started_at or None,
        tasks=tasks,
        bytes=size_of(folder.path),
    )


def size_of(path: Path) -> int:
    """Bytes on disk of a folder and all below it, as far as they can be seen; links are not followed."""
    total = 0
    inside = (os.path.join(place, name) for place, names, files in os.walk(path) for name in (*names, *files))
    for each in chain([str(path)], inside):
        with suppress(OSError):
            total += os.lstat(each).st_blocks * 512
    return total


# -------------------------------------------------------------------------------------------------- taking away


@dataclass(frozen=True, kw_only=True, slots=True)
class Removed:
    """A run that was taken away, or would be."""

    run: str
    folder: str
    bytes: int
    """What it took on disk."""

    def as_dict(self) -> dict[str, Any]:
        return {"schema": REMOVED_SCHEMA, **shallow(self)}


def named(names: Sequence[str], cwd: Path, *, force: bool = False) -> list[RunFolder]:
    """The runs that these names mean, each once, where all of them may be taken away.

    Raises RunError where a name is wrong, else WorldError where a run goes on, or may on its hosts; with all problems.
    """
    wrong, busy, found = [], [], dict[str, RunFolder]()
    for name in names:
        try:
            folder = folders.find(name, cwd)
            if folder.path.is_symlink():
                folder = RunFolder(path=folder.path.resolve())
            problem = in_the_way(folder, force=force)
            if problem is not None:
                busy.append(problem)
            found[os.path.realpath(folder.path)] = folder
        except RunError as error:
            wrong.append(str(error))
    if wrong:
        raise RunError("\n".join([*wrong, *busy, *_nothing_done(names)]))
    if busy:
        raise WorldError("\n".join([*busy, *_nothing_done(names)]))
    return list(found.values())


def _nothing_done(names: Sequence[str]) -> list[str]:
    return ["nothing was removed"] if len(names) > 1 else []


def old(cwd: Path, *, older_than_s: float | None, keep: int | None, now: float) -> list[RunFolder]:
    """Runs of the runs folder here that ended before that, but for the newest `keep`; oldest first."""
    runs = folders.here(cwd)[keep or 0 :]
    return [run for run in reversed(runs) if older_than_s is None or now - last_written(run) > older_than_s]


def last_written(folder: RunFolder) -> float:
    """Unix time of the last word in its journal."""
    times = [folder.started_at]
    for path in (folder.journal, folder.journal.with_name("journal.db-wal")):
        with suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


def in_the_way(folder: RunFolder, *, force: bool = False) -> str | None:
    """Why a run must not be taken away, and what to do about it; None where it may be.

    Raises RunError where the folder is no run's.
    """
    held, holder = folder.is_held(), folder.holder()
    if held or (held is None and not force and holder is not None and holder.may_live):
        by = f" (by {holder})" if holder is not None else ""
        return (
            f"{folder.name} is being worked on{by}: end it with 'batchwasm cancel --all -r {folder.name}', "
            "or Ctrl-C where it runs, then remove it"
        )
    try:
        with closing(Journal.open(folder.journal, read_only=True)) as journal:
            state = journal.state()
    except WorldError as error:
        return None if force else f"{folder.name} can't be read: {error}; --force removes it all the same"
    except RunError as error:
        if not (folder.jobs.is_file() and folder.inventory.is_file()):
            raise RunError(f"{folder.path} does not look like a run folder, so it is left alone: {error}") from error
        return None if force else f"{folder.name} can't be read: {error}; --force removes it all the same"
    if force or state.finished or not state.batches:
        return None
    hosts = list(dict.fromkeys(batch.host for batch in state.batches.values()))
    count = sum(len(batch.remaining) for batch in state.batches.values())
    where = ", ".join(hosts[:5]) + (f" and {len(hosts) - 5} more hosts" if len(hosts) > 5 else "")
    tasks = "1 task" if count == 1 else f"{count} tasks"
    return (
        f"{folder.name} was left with {tasks} on {where}, which may still run there: 'batchwasm resume {folder.name}' "
        "takes in what they give; --force removes the run all the same"
    )


def would_remove(folder: RunFolder) -> Removed:
    """What `remove` would say."""
    return Removed(run=folder.name, folder=str(folder.path), bytes=size_of(folder.path))


def remove(folder: RunFolder) -> Removed:
    """Take a run away. Raises WorldError where another process has it, or not all of it can be removed."""
    removed = would_remove(folder)
    with folder.held(announced=False) if folder.jobs.exists() else nullcontext():
        left = folder.remove()
    if left is not None:
        raise WorldError(f"{left.filename or folder.path} can't be removed: {left.strerror}")
    return removed


# ------------------------------------------------------------------------------------------------------ a table

FIXED = ("job", "index")
COLUMNS = (
    *("outcome", "reason_code", "reason", "exit_code", "value", "host", "attempts", "cached", "queued_s", "wall_s"),
    *(
        "cpu_s",
        "peak_memory_bytes",
        "started_at",
        "stdout",
        "stdout_path",
        "stderr",
        "stderr_path",
        "outputs",
        "artifact",
    ),
)


def write_csv(folder: RunFolder, rows: Iterable[ResultRow], stream: TextIO) -> None:
    """A line for each row under one header: job, index, its parameters, then COLUMNS, always all of them.

    A parameter of the name of a column is `param.NAME`. What is text is as it is; values of functions that are neither
    text nor number, and outputs, are JSON; what does not apply is empty. Raises RunError where the manifest is damaged.
    """
    names = _param_names(folder)
    rows = iter(rows)
    first = list(islice(rows, 1))  # before the header, which alone would look like an answer where it can't be had
    writer = csv.writer(stream, lineterminator="\n")
    taken = {*FIXED, *COLUMNS}
    writer.writerow([*FIXED, *(f"param.{name}" if name in taken else name for name in names), *COLUMNS])
    for row in chain(first, rows):
        fields = row.as_dict()
        reason = fields["reason"] or {"code": None, "text": None}
        fields |= {"reason_code": reason["code"], "reason": reason["text"], "outputs": fields["outputs"] or None}
        params = [row.params.get(name) for name in names]
        writer.writerow(map(_cell, (row.job, row.index, *params, *(fields[name] for name in COLUMNS))))


def _param_names(folder: RunFolder) -> list[str]:
    """Of all jobs, in their order."""
    try:
        manifest = json.loads(folder.manifest.read_text(encoding="utf-8"))
        sweeps = [stored.from_json(job["sweep"]) for job in manifest["jobs"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder.manifest} can't be read: {error}") from error
    return list(dict.fromkeys(name for sweep in sweeps for name in getattr(sweep, "names", ())))


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool() | list() | dict():
            return json.dumps(value)
        case _:
            return str(value)
