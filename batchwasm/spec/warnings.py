"""What is right in the files and yet does nothing: told, and then run."""

from __future__ import annotations

from collections.abc import Iterator

from batchwasm.model import Inventory, Job, RunSpec
from batchwasm.spec.lines import KeyPath, scan
from batchwasm.spec.nodes import Report, did_you_mean
from batchwasm.spec.quantities import amount_text

SHOWN = 10  # of many jobs alike; the rest are counted


def warnings(spec: RunSpec, inventory: Inventory) -> list[str]:
    """Each with the path of its key, as `jobs.pi.cpus: ...`; once where it stands in the defaults."""
    report = Report(file="", lines=scan(spec.text))
    labels = sorted({label for host in inventory.hosts for label in host.labels})
    for job in spec.jobs:
        for path, text in (*_unused(job), *_not_cached(job), *_shared(job), *_unknown_labels(job, labels, inventory)):
            report.add_to_job(job.name, path, text)
    found = list(dict.fromkeys(f"{problem.key}: {problem.text}" for problem in report.problems))
    more = len(found) - SHOWN
    return found if more <= 0 else [*found[:SHOWN], f"and {more:,} more like these"]


def _unused(job: Job) -> Iterator[tuple[KeyPath, str]]:
    """A module has one thread and sees no device, whatever it is made of."""
    for number, request in enumerate(job.requests):
        within: KeyPath = () if len(job.requests) == 1 else ("any", number)
        if request.cpus > 1:
            text = f"a WebAssembly module has one thread, so it can't use {amount_text(request.cpus)} cpus; the others"
            yield (*within, "cpus"), f"{text} stay idle for it"
        if request.gpus > 0:
            yield (
                (*within, "gpus"),
                "no WebAssembly module can reach a gpu yet: the indexes of those reserved are in BATCHWASM_GPUS and "
                "CUDA_VISIBLE_DEVICES of the task, and that is all",
            )


def _not_cached(job: Job) -> Iterator[tuple[KeyPath, str]]:
    if job.cache and job.mounts:
        yield (
            ("cache",),
            "does nothing for a job with mounts: nobody can tell whether what is in them is still the same",
        )
    elif job.cache and job.verify > 1:
        yield ("cache",), "does nothing for a job with verify: what is to be compared must run"


def _shared(job: Job) -> Iterator[tuple[KeyPath, str]]:
    if job.deterministic and job.reuse and job.source.function is not None:
        text = "calls that share an instance see what others left there, so deterministic or not, what they give can"
        yield ("reuse",), f"{text} depend on which come before them; leave it out where that matters"


def _unknown_labels(job: Job, labels: list[str], inventory: Inventory) -> Iterator[tuple[KeyPath, str]]:
    """With --hosts or without an inventory they may well be missing, so this is no error."""
    if inventory.path is not None:
        for label in job.max_parallel_by_label:
            if label not in labels:
                near = did_you_mean(label, labels)
                yield ("max_parallel", label), f"no host has the label {label!r}, so it limits nothing{near}"
