"""`run --dry-run`: what a run would do, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from batchwasm.cli.render import wrapped
from batchwasm.engine.preview import in_order
from batchwasm.escape import visible
from batchwasm.model import Limits
from batchwasm.spec.hostlist import fold
from batchwasm.spec.quantities import amount_text
from batchwasm.units import count_text, duration_text, size_text

if TYPE_CHECKING:
    from batchwasm.engine.preview import PlannedJob
    from batchwasm.model import HostName, Job, Request

LABEL_WIDTH = 10


def show(name: str, planned: Sequence[PlannedJob], hosts: Sequence[HostName]) -> None:
    """Jobs in the order in which they would start; what is as always is left out."""
    tasks = sum(job.tasks for job in planned)
    click.echo(visible(f"plan of {name}: {_count(tasks, 'task')} of {_count(len(planned), 'job')}"))
    text = f"hosts: {fold(hosts)}; one that has not yet the runner of this version gets it first"
    for line in wrapped(text, ""):
        click.echo(line)
    for job in in_order(planned):
        click.echo()
        click.echo(visible(f"{job.name}: {_count(job.tasks, 'task')} of {job.job.source.language}"))
        for label, said in _facts(job):
            for line in wrapped(said, f"  {label:<{LABEL_WIDTH}}"):
                click.echo(line)


def _facts(planned: PlannedJob) -> Iterator[tuple[str, str]]:
    job = planned.job
    yield "asks for", _request(job.requests[0])
    for request in job.requests[1:]:
        yield "or for", _request(request)
    yield "runs on", fold(planned.hosts) or "no host"
    for refused in planned.refused:
        yield "not on", f"{fold(refused.hosts)}: {', '.join(reason.text for reason in refused.reasons)}"
    yield _compiles(planned)
    yield from _ships(planned)
    yield from _limits(job)
    yield from _order(job)


def _request(request: Request) -> str:
    parts = [_amount(request.cpus, "cpu"), f"{size_text(request.memory_bytes)} of memory"]
    if request.gpus:
        parts.append(_amount(request.gpus, "gpu"))
    parts += [f"{amount_text(count)} of {name}" for name, count in sorted(request.resources.items())]
    return ", ".join(parts)


def _compiles(planned: PlannedJob) -> tuple[str, str]:
    artifact, toolchain = planned.built.artifact, planned.built.toolchain
    if planned.built.problem:
        return "compiles", f"not on this machine: {planned.built.problem}"
    if artifact is None:
        return "compiles", f"with {toolchain}"
    return "compiled", f"already: {size_text(artifact.size_bytes)}, {toolchain}, sha256 {artifact.digest[:12]}"


def _ships(planned: PlannedJob) -> Iterator[tuple[str, str]]:
    files = planned.files
    parts = []
    if files.count:
        many = _count(files.count, "file")
        least = "" if files.all else "more than "
        whose = "those of its tasks to each host" if files.vary else "to each host that runs it"
        parts.append(f"{least}{many}, {size_text(files.bytes)} together: {whose}")
    if files.jobs:
        parts.append(f"what {', '.join(files.jobs)} left")
    if parts:
        yield "ships", "; ".join(parts)
    if planned.job.mounts:
        yield "mounts", ", ".join(planned.job.mounts)


def _limits(job: Job) -> Iterator[tuple[str, str]]:
    limits, usual = job.limits, Limits()
    parts = [] if limits.time_s is None else [f"{duration_text(limits.time_s)} of time"]
    if limits.stdout_bytes != usual.stdout_bytes:
        parts.append(f"{size_text(limits.stdout_bytes)} of output")
    if limits.disk_bytes != usual.disk_bytes:
        parts.append(f"{size_text(limits.disk_bytes)} on disk")
    if limits.files != usual.files:
        parts.append(_count(limits.files, "file"))
    if parts:
        yield "at most", ", ".join(parts)


def _order(job: Job) -> Iterator[tuple[str, str]]:
    if job.after:
        yield "after", ", ".join(after.job + (", task by task" if after.each else "") for after in job.after)
    if job.priority:
        yield "priority", str(job.priority)
    at_once = [] if job.max_parallel is None else [f"at most {count_text(job.max_parallel)}"]
    at_once += [f"{count_text(n)} on hosts with the label {label}" for label, n in job.max_parallel_by_label.items()]
    if at_once:
        yield "at once", ", ".join(at_once)
    if job.retries.count:
        growth = (
            f"; memory times {job.retries.memory_growth:g} after out_of_memory" if job.retries.memory_growth > 1 else ""
        )
        yield "retries", f"{count_text(job.retries.count)} after {', '.join(sorted(job.retries.on))}{growth}"
    if job.isolate:
        yield "isolated", "each attempt in a process of its own"
    if job.verify > 1:
        yield "verified", f"each task on {count_text(job.verify)} hosts, and what they give is compared"
    if job.deterministic:
        yield "fixed", "clocks, and random numbers that follow from each task's seed"
    if job.secret:
        yield "secrets", f"{', '.join(job.secret)} of this machine's environment"


def _amount(count: float, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{amount_text(count)} {what}s"


def _count(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count_text(count)} {what}s"
