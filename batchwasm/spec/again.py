"""A jobs.toml that was right when its run started, read again for what is left of the run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchwasm.errors import SpecError
from batchwasm.model import Job, JobName, RunSpec, Source
from batchwasm.spec import document
from batchwasm.spec import jobs as job_files
from batchwasm.spec.nodes import Node
from batchwasm.spec.sweep import Combinations

_SWEEP_KEYS = ("sweep", "zip", "include", "omit")


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptJob:
    """What a run folder has of one of its jobs, whatever became of the files that it was made of."""

    sweep: Combinations
    source: Source
    """What it was compiled from."""
    wasm: Path | None
    """Its module, where it was built."""


def again(text: str, file: str, folder: Path, kept: Mapping[JobName, KeptJob]) -> RunSpec:
    """The spec that `text` was, with the jobs of `kept` in their order; relative paths start in `folder`.

    The sweep is what it was, and a job that was built needs its source no more. Raises SpecError, all problems at once,
    where the rest is right no longer.
    """
    found = document.parse(text, file)
    if found.root is not None:
        found = replace(found, root=Node(value=_reduced(found.root.value, kept), path=(), report=found.report))
    spec = job_files.read(found, folder / "jobs.toml")
    if spec is None or found.report.problems:
        raise SpecError(found.report.problems)
    jobs = {job.name: _as_kept(job, kept[job.name]) for job in spec.jobs if job.name in kept}
    return replace(spec, jobs=tuple(jobs[name] for name in kept), text=text)


def _reduced(value: Any, kept: Mapping[JobName, KeptJob]) -> Any:
    """Without jobs that were left out, without sources that are modules now, and with sweeps of the same names."""
    top = copy.copy(value)
    top["defaults"] = {key: item for key, item in top.get("defaults", {}).items() if key not in _SWEEP_KEYS}
    top["jobs"] = {name: _table(table, kept[name]) for name, table in top.get("jobs", {}).items() if name in kept}
    return top


def _table(table: Mapping[str, Any], kept: KeptJob) -> dict[str, Any]:
    found = {key: item for key, item in table.items() if key not in _SWEEP_KEYS}
    if kept.sweep.names:
        found["sweep"] = {name: [0] for name in kept.sweep.names}
    if kept.wasm is not None:
        found["source"] = str(kept.wasm)
        found["build"] = {"include": []}  # whose folders need not be there any more
    return found


def _as_kept(job: Job, kept: KeptJob) -> Job:
    source = kept.source if kept.wasm is not None else replace(job.source, language=kept.source.language)
    return replace(job, sweep=kept.sweep, source=source)
