"""A job's tasks as the runner wants them: templates rendered, files named by digest. It sends nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from batchwasm.core.events import Ranges, indexes, ranges_of
from batchwasm.engine.arguments import Arguments
from batchwasm.engine.collect import Answers
from batchwasm.engine.files import LocalFile
from batchwasm.errors import BatchwasmError, SpecError
from batchwasm.functions.values import BadArgument
from batchwasm.model import Digest, Job, RunSpec, Scalar, Template, names_in
from batchwasm.runner.protocol import TaskWork, Work
from batchwasm.spec.inputs import output_globs, stdin_path, task_inputs

T = TypeVar("T")
CALLS_BYTES = 32 * 1024**2  # of arguments in one message: half of what a frame's body may have
KNOWN_LIMIT = 10_000  # digests kept: a file that only one task reads is not wanted again


class InputChanged(BatchwasmError):
    """An input vanished, or changed while the run goes on."""


class Refusal(NamedTuple):
    """A task that can't be sent: what belongs to it alone is not right."""

    task: int
    number: int
    code: str
    """Of the reason."""
    text: str


class Digests:
    """sha256 of local files, each read once however many tasks want it at once: by path, size and time of change."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int, int], asyncio.Task[Digest]] = {}

    async def of(self, path: Path) -> Digest:
        """Raises InputChanged where the file can't be read."""
        try:
            key = _identity(path)
            reading = self._known.get(key)
            if reading is None:
                if len(self._known) >= KNOWN_LIMIT:
                    self._known.pop(next(iter(self._known)))
                reading = self._known[key] = asyncio.ensure_future(asyncio.to_thread(_sha256, path))
            return await asyncio.shield(reading)  # who waits may be cancelled with its host, the others still wait
        except OSError as error:
            raise InputChanged(f"{path}: {error.strerror}; it was there when the run started") from error


def _identity(path: Path) -> tuple[Path, int, int]:
    stat = path.stat()
    return path, stat.st_size, stat.st_mtime_ns


def _sha256(path: Path) -> Digest:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Made(NamedTuple):
    """What is sent to a host for a batch."""

    work: Work
    files: list[LocalFile]
    """That must be there before."""
    left: Ranges
    """Tasks whose arguments no longer fit into one message: they go back."""
    refused: list[Refusal]
    """Tasks that are not in `work`, and won't be."""

    def tasks_with(self, digest: Digest) -> set[int]:
        """Those that need the file alone; all where what they share has it."""
        shared = (self.work.artifact, self.work.stdin, *(d for _, d in self.work.inputs))
        return {
            task.task
            for task in self.work.tasks
            if digest in shared
            or digest in (task.stdin, task.arguments_file)
            or any(digest == own for _, own in task.inputs or ())
        }


class JobWork:
    """Makes `Work` of a job's tasks; what all of them share is rendered once."""

    def __init__(
        self,
        spec: RunSpec,
        job: Job,
        artifact: LocalFile,
        run: str,
        digests: Digests,
        *,
        arguments: Arguments | None = None,
        answers: Answers | None = None,
    ) -> None:
        """Of calls of a function, `arguments` has theirs, and `answers` says what may come back."""
        self._spec, self._job, self._artifact, self._run, self._digests = spec, job, artifact, run, digests
        self.arguments, self.answers = arguments, answers
        self._args_vary = any(map(names_in, job.args))
        self._env_varies = _vary(job.env.values())
        self._outputs_vary = _vary(job.outputs)
        self._stdin_varies = job.stdin is not None and _vary([job.stdin])
        self._inputs_vary = _vary(t for i in job.inputs for t in (i.source, i.to) if t is not None)
        self._shared: dict[str, Any] = {}
        self._shared_files: list[LocalFile] = []

    @property
    def files_vary(self) -> bool:
        """True where each task has files of its own, which must be read before it can be sent."""
        return self._inputs_vary or self._stdin_varies

    async def load(self) -> None:
        """Read what all tasks share. Raises InputChanged."""
        job, params = self._job, self._job.params(0)
        shared: dict[str, Any] = {}
        if not self._args_vary:
            shared["args"] = _argv(job, params)
        if not self._env_varies:
            shared["env"] = _rendered(job, params)
        if not self._outputs_vary:
            shared["outputs"] = list(output_globs(job, 0))
        if not self._stdin_varies:
            shared["stdin"] = await self._stdin(0, self._shared_files)
        if not self._inputs_vary:
            shared["inputs"] = await self._inputs(0, self._shared_files)
        self._shared_files.append(self._artifact)
        self._shared = shared

    def work(self, batch: int, ranges: Ranges, numbers: Iterable[int], spool: str, mounts: dict[str, str]) -> Made:
        """The batch's work and the files it needs, where no task has inputs of its own."""
        tasks = [self._task(task, number) for task, number in zip(indexes(ranges), numbers, strict=True)]
        return self._made(batch, tasks, spool, mounts, self._shared_files, [])

    async def work_with_files(
        self, batch: int, ranges: Ranges, numbers: Iterable[int], spool: str, mounts: dict[str, str]
    ) -> Made:
        """As `work`, where tasks have inputs of their own."""
        files = list(self._shared_files)
        tasks, refused = [], []
        for index, number in zip(indexes(ranges), numbers, strict=True):
            task = self._task(index, number)
            try:
                if self._stdin_varies:
                    task = task._replace(stdin=await self._stdin(index, files))
                if self._inputs_vary:
                    task = task._replace(inputs=await self._inputs(index, files))
                tasks.append(task)
            except InputChanged as error:
                refused.append(Refusal(index, number, "input_changed", str(error)))
        return self._made(batch, tasks, spool, mounts, files, refused)

    def _made(
        self,
        batch: int,
        tasks: list[TaskWork],
        spool: str,
        mounts: dict[str, str],
        files: list[LocalFile],
        refused: list[Refusal],
    ) -> Made:
        """Arguments are added to the calls, until a message is full."""
        if self.arguments is None:
            return Made(self._work(batch, tasks, spool, mounts), files, (), refused)
        called: list[TaskWork] = []
        left: list[int] = []
        size, own = 0, list[LocalFile]()
        for task in tasks:
            try:
                given = self.arguments.of(task.task)
            except BadArgument as error:
                refused.append(Refusal(task.task, task.number, "argument", str(error)))
                continue
            if isinstance(given, LocalFile):
                own.append(given)
                called.append(task._replace(arguments_file=given.digest))
                continue
            size += len(given)
            if size > CALLS_BYTES:
                left.append(task.task)
            else:
                called.append(TaskWork(*task[:7], given))
        return Made(
            self._work(batch, called, spool, mounts), [*files, *own] if own else files, ranges_of(left), refused
        )

    def _work(self, batch: int, tasks: list[TaskWork], spool: str, mounts: dict[str, str]) -> Work:
        limits = self._job.limits
        return Work(
            batch=batch,
            run=self._run,
            job=self._job.name,
            artifact=self._artifact.digest,
            spool=spool,
            memory_bytes=limits.memory_bytes,
            stdout_bytes=limits.stdout_bytes,
            disk_bytes=limits.disk_bytes,
            files=limits.files,
            time_s=limits.time_s,
            mounts={name: mounts[name] for name in self._job.mounts},
            tasks=tasks,
            call=self.arguments is not None,
            reuse=self._job.reuse,
            **self._shared,
        )

    def _task(self, index: int, number: int) -> TaskWork:
        job = self._job
        if not (self._args_vary or self._env_varies or self._outputs_vary):
            return TaskWork(index, number)
        params = job.params(index)
        args = _argv(job, params) if self._args_vary else None
        env = _rendered(job, params) if self._env_varies else None
        outputs = list(output_globs(job, index)) if self._outputs_vary else None
        return TaskWork(index, number, args, env, None, None, outputs)

    async def _stdin(self, index: int, files: list[LocalFile]) -> Digest | None:
        path = _still(lambda: stdin_path(self._spec, self._job, index))
        return None if path is None else await self._file(path, files)

    async def _inputs(self, index: int, files: list[LocalFile]) -> list[tuple[str, Digest]]:
        found = _still(lambda: task_inputs(self._spec, self._job, index))
        return [(i.to, await self._file(i.path, files)) for i in found]

    async def _file(self, path: Path, files: list[LocalFile]) -> Digest:
        file = LocalFile("files", await self._digests.of(path), path, path.name)
        files.append(file)
        return file.digest


def _still(look: Callable[[], T]) -> T:
    """What was right when the run started; what is wrong now changed since. Raises InputChanged."""
    try:
        return look()
    except SpecError as error:
        raise InputChanged(f"{error}; it was there when the run started") from error


def _vary(templates: Iterable[Template]) -> bool:
    return any(template.names for template in templates)


def _argv(job: Job, params: dict[str, Scalar]) -> list[str]:
    return [argument.render(params) for argument in job.args if isinstance(argument, Template)]


def _rendered(job: Job, params: dict[str, Scalar]) -> dict[str, str]:
    return {name: template.render(params) for name, template in job.env.items()}
