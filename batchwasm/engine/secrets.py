"""What jobs take from this machine's environment: read once when a run starts, sent to hosts, told to nobody else.

The names are in jobs.toml and in the manifest; the values are in memory alone, here and in the workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

from batchwasm.errors import SpecError
from batchwasm.model import Job, JobName, RunSpec
from batchwasm.runner.protocol import Redaction
from batchwasm.spec.lines import KeyPath, scan
from batchwasm.spec.nodes import Report, is_text


class Secrets:
    """Those of one job."""

    __slots__ = ("redact", "values")

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = MappingProxyType(dict(values))
        """By name; for the guest's environment only."""
        self.redact = Redaction(values.values())
        """Bytes that a guest printed without these values: `redact(data)`, and `redact.stream()` for what comes in
        pieces."""

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self.values)})"


NO_SECRETS = Secrets({})


def read(
    spec: RunSpec, note: Callable[[str], None] = lambda _: None, environ: Mapping[str, str] = os.environ
) -> dict[JobName, Secrets]:
    """Of the jobs that have some; `note` hears of those that can't be redacted. Raises SpecError with all that are
    missing."""
    wrong = Report(file="", lines=scan(spec.text))
    for job in spec.jobs:
        for path, text in _problems(job, environ):
            wrong.add_to_job(job.name, path, text)
    if wrong.problems:
        raise SpecError([replace(problem, line=None) for problem in wrong.problems])  # of a file that has no name here
    for text in _unredacted(spec, environ):
        note(f"warning: {text}")
    return {job.name: Secrets({name: environ[name] for name in job.secret}) for job in spec.jobs if job.secret}


def _unredacted(spec: RunSpec, environ: Mapping[str, str]) -> list[str]:
    """A sentence for each variable whose value is too short to be found in what a guest prints."""
    names = {name for job in spec.jobs for name in job.secret if not Redaction([environ[name]])}
    return [
        f"the value of {name} is shorter than 4 bytes: it can't be redacted in what a guest prints"
        for name in sorted(names)
    ]


def _problems(job: Job, environ: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
    for n, name in enumerate(job.secret):
        value = environ.get(name)
        if value is None:
            yield ("secret", n), f"{name} is not set in this environment; set it and export it (export {name}=...)"
        elif not is_text(value):
            yield ("secret", n), f"the value of {name} is not UTF-8, so no guest can be given it; set another one"


@contextmanager
def hidden(secrets: Mapping[JobName, Secrets], environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """This process's environment without them, for as long as it starts others: compilers, this machine's runner. Where
    it ends it is as it was."""
    names = {name for each in secrets.values() for name in each.values}
    taken = {name: environ.pop(name) for name in names if name in environ}
    try:
        yield
    finally:
        environ.update(taken)
