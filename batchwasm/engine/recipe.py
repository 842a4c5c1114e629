"""All that one task of an earlier run was made of, in full: rendered, looked up, checked against what was read then.

It says what the task was, and runs nothing. What it took of other jobs comes from the journal and folder of its run.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from batchwasm.calls import JobCalls
from batchwasm.engine.taking import Taken, Taking
from batchwasm.engine.upstream import NotGiven, Upstream
from batchwasm.errors import RunError
from batchwasm.functions import Signature
from batchwasm.functions.values import BadArgument
from batchwasm.journal import InputFile
from batchwasm.model import NO_VALUES, Digest, Job, RunSpec, Template
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import seed_of
from batchwasm.spec.inputs import TaskInput, output_globs, stdin_path, task_inputs, together


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """A file that a task was given, where it is now."""

    path: Path
    """On this machine; its content was looked at and is what it was."""
    digest: Digest
    to: str = ""
    """Where it goes in the task's folder; '' of stdin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A task in full."""

    run: str
    """The run's name, as the guest was told."""
    job: Job
    """With its own limits of memory: those that this attempt had."""
    index: int
    number: int
    """Of the attempt."""
    args: tuple[str, ...]
    """argv[1..] of a program."""
    env: Mapping[str, str]
    """As written: without secrets, and without what the runner adds."""
    stdin: Given | None
    inputs: tuple[Given, ...]
    outputs: tuple[str, ...]
    """Globs."""
    arguments: bytes | None
    """Of a function, as CBOR."""
    seed: int
    """BATCHWASM_SEED."""

    def files(self) -> Iterator[Given]:
        if self.stdin is not None:
            yield self.stdin
        yield from self.inputs


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """What there is of the run that a task belongs to."""

    name: str
    """Of the run, when it ran."""
    folder: RunFolder
    spec: RunSpec
    """With all its jobs, by their numbers."""
    known: Mapping[str, InputFile] | None
    """Files that were read for tasks, by path; None in a run that did not note them."""


def recipe(
    origin: Origin, job: Job, index: int, number: int, signature: Signature | None, arguments: bytes | None
) -> Recipe:
    """What that task of `job` was made of; `arguments` are those of a call that did not come from jobs.toml.

    Raises RunError, with all files that are not what they were; SpecError where what it was can't be told.
    """
    taken = _taken(origin, job, index)
    files = [TaskInput(path=file.path, to=file.to) for file in task_inputs(origin.spec, job, index, origin.known)]
    stdin = stdin_path(origin.spec, job, index, origin.known)
    params = job.params(index)
    try:
        if taken is not None:
            files = together(job, [*files, *taken.inputs(index)])
        if signature is not None and arguments is None:
            values = NO_VALUES if taken is None else taken.values(index)
            arguments = JobCalls(job, signature).arguments(index, values)
        args = [a.render(params) if isinstance(a, Template) else _text(taken, a.job, index) for a in job.args]
    except (NotGiven, BadArgument, ValueError) as error:
        raise RunError(f"{job.name}/{index} can't be had again: {error}") from error
    found = _Files(origin)
    given = Recipe(
        run=origin.name,
        job=job,
        index=index,
        number=number,
        args=tuple(args),
        env={name: template.render(params) for name, template in job.env.items()},
        stdin=None if stdin is None else found.given(TaskInput(path=stdin, to="")),
        inputs=tuple(map(found.given, files)),
        outputs=output_globs(job, index),
        arguments=arguments,
        seed=seed_of(job.name, index),
    )
    if found.problems:
        count = len(found.problems)
        one = "a file that it was given is not here as it was:"
        what = one if count == 1 else f"{count} files that it was given are not here as they were:"
        raise RunError("\n".join([f"{job.name}/{index}: {what}", *found.problems]))
    return given


def _taken(origin: Origin, job: Job, index: int) -> Taken | None:
    """What it takes of other jobs; None for nothing."""
    taking = Taking(job, Upstream(origin.spec.jobs, origin.folder))
    if not taking:
        return None
    try:
        return asyncio.run(taking.of(((index, index + 1),)))
    except NotGiven as error:
        raise RunError(f"{job.name}/{index} can't be had again: {error}") from error


def _text(taken: Taken | None, job: str, index: int) -> str:
    assert taken is not None, f"it takes the value of {job}"
    return taken.text(job, index)


class _Files:
    """Finds what a task was given, by digest first, and notes all that is not there as it was."""

    def __init__(self, origin: Origin) -> None:
        self._known, self._folder = origin.known or {}, origin.folder
        self._digests: dict[Path, Digest | None] = {}
        self.problems: list[str] = []

    def given(self, file: TaskInput) -> Given:
        known = self._known.get(str(file.path))
        wanted = file.digest or (known and known.sha256)
        if wanted is not None:
            kept = self._folder.input(wanted)
            if self._digest(kept) == wanted:
                return Given(path=kept, digest=wanted, to=file.to)
        found = self._digest(file.path)
        if found is None or (wanted is not None and found != wanted):
            what = "it is gone" if found is None else f"it has sha256 {found} now"
            size = f", and {known.bytes:,} bytes" if known else ""
            wish = f"; put back the one that had sha256 {wanted}{size}" if wanted else ""
            problem = f"  {file.path}: {what}{wish}"
            if problem not in self.problems:
                self.problems.append(problem)
        return Given(path=file.path, digest=found or wanted or "", to=file.to)

    def _digest(self, path: Path) -> Digest | None:
        """None where it can't be read."""
        if path not in self._digests:
            try:
                with path.open("rb") as file:
                    self._digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                self._digests[path] = None
        return self._digests[path]
