"""What a run would do, job by job, told before anything is done: nothing is compiled, connected or written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from batchwasm.artifacts import Peek, peek
from batchwasm.core import reasons
from batchwasm.core.events import HostPlan, JobPlan
from batchwasm.core.reasons import Reason
from batchwasm.core.room import amount_of
from batchwasm.engine.plan import Plan
from batchwasm.model import HostName, Job, JobName, RunSpec
from batchwasm.spec.inputs import stdin_path, task_inputs
from batchwasm.spec.sweep import Combinations

PLAN_SCHEMA = "plan/1"
LOOKED_AT = 2000  # combinations of parameters whose files are counted: about a second


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """Hosts that can't run a job, all for the same reasons."""

    hosts: tuple[HostName, ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """What tasks of a job are given of this machine's files, each counted once however many take it."""

    count: int
    bytes: int
    all: bool
    """False where there are more: only LOOKED_AT combinations of parameters were looked at."""
    vary: bool
    """Tasks have different ones."""
    jobs: tuple[JobName, ...]
    """Jobs whose outputs come in addition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedJob:
    """What a run would do with a job."""

    job: Job
    hosts: tuple[HostName, ...]
    """Those that it may use, as far as the inventory tells."""
    refused: tuple[Refused, ...]
    built: Peek
    files: Files

    @property
    def name(self) -> JobName:
        return self.job.name

    @property
    def tasks(self) -> int:
        return len(self.job)

    def as_dict(self) -> dict[str, Any]:
        """A line of `run --dry-run --json`."""
        job, artifact = self.job, self.built.artifact
        return {
            "schema": PLAN_SCHEMA,
            "name": job.name,
            "tasks": len(job),
            "language": job.source.language,
            "cpus": job.request.cpus,
            "memory_bytes": job.request.memory_bytes,
            "time_limit_s": job.limits.time_s,
            "hosts": list(self.hosts),
            "requests": [{**asdict(request), "resources": dict(request.resources)} for request in job.requests],
            "refused": [
                {"hosts": list(each.hosts), "reasons": [{"code": r.code, "text": r.text} for r in each.reasons]}
                for each in self.refused
            ],
            "compile": {
                "cached": artifact is not None,
                "toolchain": self.built.toolchain,
                "artifact": None if artifact is None else artifact.digest,
                "bytes": None if artifact is None else artifact.size_bytes,
                "problem": self.built.problem or None,
            },
            "ship": {**asdict(self.files), "jobs": list(self.files.jobs)},
            "priority": job.priority,
            "after": [asdict(after) for after in job.after],
            "max_parallel": job.max_parallel,
            "max_parallel_by_label": dict(job.max_parallel_by_label),
            "retries": {**asdict(job.retries), "on": sorted(job.retries.on)},
            "limits": asdict(job.limits),
            "isolate": job.isolate,
            "verify": job.verify,
            "cache": job.cache,
            "deterministic": job.deterministic,
            "secret": list(job.secret),
        }


def preview(plan: Plan) -> list[PlannedJob]:
    """The jobs in the order of the spec."""
    hosts = plan.host_plans()
    return [_planned(plan, job, hosts) for job in plan.spec.jobs]


def in_order(planned: Sequence[PlannedJob]) -> list[PlannedJob]:
    """As they would start: none before those that it waits for, then by priority, then by age."""
    depths: dict[JobName, int] = {}
    by_name = {each.name: each.job for each in planned}

    def depth(name: JobName) -> int:
        if name not in depths:
            depths[name] = max((depth(after.job) + 1 for after in by_name[name].after), default=0)
        return depths[name]

    return sorted(planned, key=lambda each: (depth(each.name), -each.job.priority))


def _planned(plan: Plan, job: Job, hosts: Sequence[HostPlan]) -> PlannedJob:
    mine = plan.job_plan(job, tasks=len(job))
    allowed: list[HostName] = []
    refused: dict[tuple[Reason, ...], list[HostName]] = {}
    for host in hosts:
        why = tuple(_refusal(mine, host))
        (refused.setdefault(why, []) if why else allowed).append(host.name)
    return PlannedJob(
        job=job,
        hosts=tuple(allowed),
        refused=tuple(Refused(hosts=tuple(names), reasons=why) for why, names in refused.items()),
        built=peek(job.name, job.source, plan.store),
        files=_files(plan.spec, job),
    )


def _refusal(job: JobPlan, host: HostPlan) -> Iterator[Reason]:
    yield from reasons.not_allowed(job, host)
    yield from reasons.too_large(tuple(map(amount_of, job.needs)), reasons.stated(host))


def _files(spec: RunSpec, job: Job) -> Files:
    """Each combination of those parameters that the files depend on is looked at once, up to LOOKED_AT of them."""
    templates = [t for each in job.inputs if each.job is None for t in (each.source, each.to) if t is not None]
    names = frozenset[str]().union(*(t.names for t in [*templates, *([job.stdin] if job.stdin else [])]))
    sweep = job.sweep
    indexes = iter(sweep.covering(names) if isinstance(sweep, Combinations) else range(len(sweep)))
    found: set[Path] = set()
    if templates or job.stdin is not None:
        for index in islice(indexes, LOOKED_AT):
            found |= {file.path for file in task_inputs(spec, job, index)}
            stdin = stdin_path(spec, job, index)
            if stdin is not None:
                found.add(stdin)
        more = next(indexes, None) is not None
    else:
        more = False
    return Files(
        count=len(found),
        bytes=sum(map(_size, found)),
        all=not more,
        vary=bool(names - {"job"}),
        jobs=tuple(dict.fromkeys(each.job for each in job.inputs if each.job is not None)),
    )


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0  # it vanished just now, which the run itself will tell
