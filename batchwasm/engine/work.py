"""A job's tasks as the runner wants them: templates rendered, files named by digest. It sends nothing."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from batchwasm.core.events import Ranges, Record, indexes, ranges_of
from batchwasm.engine.arguments import Arguments
from batchwasm.engine.collect import Answers
from batchwasm.engine.files import LocalFile
from batchwasm.engine.secrets import NO_SECRETS, Secrets
from batchwasm.engine.taking import Taken, Taking
from batchwasm.engine.upstream import NotGiven
from batchwasm.errors import BatchwasmError, SpecError
from batchwasm.functions.values import BadArgument
from batchwasm.journal import InputFile
from batchwasm.model import NO_VALUES, Digest, Job, Outcome, RunSpec, Scalar, Template, jobs_in, names_in
from batchwasm.runner.protocol import TaskWork, Work
from batchwasm.spec.inputs import TaskInput, output_globs, stdin_path, task_inputs, together
from batchwasm.toolchains.wasm import NotWasm, parse

T = TypeVar("T")
CALLS_BYTES = 32 * 1024**2  # of arguments in one message: half of what a frame's body may have
KNOWN_LIMIT = 10_000  # digests kept: a file that only one task reads is not wanted again


DIGEST_BYTES = 72  # of an input beside its name, as JSON
INPUTS_BYTES = 16 * 1024**2  # of names of inputs, and of texts that are other jobs' values, in one message


class InputChanged(BatchwasmError):
    """An input vanished, or changed while the run goes on."""

    code = "input_changed"


class Refusal(NamedTuple):
    """A task that can't be sent: what belongs to it alone is not right."""

    task: int
    number: int
    code: str
    """Of the reason."""
    text: str


class Digests:
    """sha256 of local files, each read once however many tasks want it at once: by path, size and time of change."""

    def __init__(
        self, before: Mapping[str, InputFile] | None = None, read: Callable[[InputFile], None] | None = None
    ) -> None:
        """`before` are files as an earlier life of the scheduler saw them; `read` hears of each that is read."""
        self._before, self._read = before or {}, read
        self._known: dict[tuple[Path, int, int], asyncio.Task[Digest]] = {}

    async def of(self, path: Path) -> Digest:
        """Raises InputChanged where the file can't be read, or is another one than before."""
        try:
            key = _identity(path)
            reading = self._known.get(key)
            if reading is None:
                if len(self._known) >= KNOWN_LIMIT:
                    self._known.pop(next(iter(self._known)))
                reading = self._known[key] = asyncio.ensure_future(self._look(path, key))
            return await asyncio.shield(reading)  # who waits may be cancelled with its host, the others still wait
        except OSError as error:
            raise InputChanged(f"{path}: {error.strerror}; it was there when the run started") from error

    async def _look(self, path: Path, key: tuple[Path, int, int]) -> Digest:
        digest = await asyncio.to_thread(_sha256, path)
        before = self._before.get(str(path))
        if before is not None and before.sha256 != digest:
            raise InputChanged(f"{path} is not what it was when the run started; put that back, or start a new run")
        if before is None and self._read is not None:
            self._read(InputFile(str(path), key[1], key[2], digest))
        return digest


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

    def refusals(self, now: float) -> list[Record]:
        """What becomes of the tasks that can't be sent."""
        outcome = int(Outcome.INVALID)
        return [
            Record(r.task, r.number, outcome, True, None, now, 0.0, 0.0, 0.0, 0, b"", b"", r.code, r.text)
            for r in self.refused
        ]

    def without(self, digest: Digest, why: str) -> Made:
        """The batch without the tasks that need this file, which are refused."""
        hit = self.tasks_with(digest)
        refused = [Refusal(t.task, t.number, "input_changed", why) for t in self.work.tasks if t.task in hit]
        work = replace(self.work, tasks=[task for task in self.work.tasks if task.task not in hit])
        return self._replace(work=work, refused=[*self.refused, *refused])


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
        taking: Taking | None = None,
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        """Of calls of a function, `arguments` has theirs, and `answers` says what may come back; `taking` has what is
        taken of other jobs."""
        self._spec, self._job, self._artifact, self._run, self._digests = spec, job, artifact, run, digests
        self.arguments, self.answers, self.secrets = arguments, answers, secrets
        self._taking = taking or None
        """None where it takes nothing."""
        self._args_vary = any(map(names_in, job.args)) or bool(taking and taking.vary(job.args))
        self._env_varies = _vary(job.env.values())
        self._outputs_vary = _vary(job.outputs)
        self._stdin_varies = job.stdin is not None and _vary([job.stdin])
        named = _vary(t for i in job.inputs for t in (i.source, i.to) if t is not None)
        self._inputs_vary = named or bool(taking and taking.files_vary)
        self._args_late = not self._args_vary and any(map(jobs_in, job.args))
        self._inputs_late = not self._inputs_vary and any(wanted.job is not None for wanted in job.inputs)
        self._late = asyncio.Lock()
        self._never: NotGiven | None = None
        """Why what is late can't be given: to no task, ever."""
        self._shared: dict[str, Any] = {}
        self._shared_files: list[LocalFile] = []
        self._changed: InputChanged | None = None
        """Why no task can be sent any more."""

    @property
    def files_vary(self) -> bool:
        """True where something must be read before a task can be sent: files of its own, what other jobs left."""
        return self._inputs_vary or self._stdin_varies or self._taking is not None or self._changed is not None

    @property
    def own_files(self) -> bool:
        """True where tasks have files of their own, which are read when it is their turn."""
        return self._inputs_vary or self._stdin_varies

    @property
    def digest(self) -> Digest:
        """Of its module."""
        return self._artifact.digest

    @property
    def how(self) -> str:
        """How its module is used, as far as what a task gives follows from that; `seeded` where its random numbers
        are those of the task's index."""
        words = {"reuse": self._job.reuse, "deterministic": self._job.deterministic, "seeded": self._is_seeded}
        kind = "program" if self.arguments is None else "call"
        return " ".join([kind, *(word for word, so in words.items() if so)])

    @cached_property
    def _is_seeded(self) -> bool:
        if not self._job.deterministic:
            return False
        try:
            return any(each.name == "random_get" for each in parse(self._artifact.path.read_bytes()).imports)
        except (OSError, NotWasm):
            return True

    async def load(self, *, is_over: bool = False) -> None:
        """Read what all tasks share, but for what other jobs leave. Raises InputChanged; not for a job that `is_over`,
        of which tasks are refused for that reason if a person wants them again."""
        try:
            await self._load()
        except InputChanged as error:
            if not is_over:
                raise
            self._changed = error

    async def _load(self) -> None:
        job, params = self._job, self._job.params(0)
        shared: dict[str, Any] = {}
        if not self._args_vary and not self._args_late:
            shared["args"] = self._args(0, params, None)
        if not self._env_varies:
            shared["env"] = self._env(params)
        if not self._outputs_vary:
            shared["outputs"] = list(output_globs(job, 0))
        if not self._stdin_varies:
            shared["stdin"] = await self._stdin(0, self._shared_files)
        if not self._inputs_vary and not self._inputs_late:
            shared["inputs"] = await self._inputs(0, self._shared_files, None)
        self._shared_files.append(self._artifact)
        self._shared = shared

    async def _load_late(self, taken: Taken) -> None:
        """What all tasks share of other jobs; once. Raises InputChanged, NotGiven."""
        async with self._late:
            if self._never is not None:
                raise self._never
            try:
                if self._args_late and "args" not in self._shared:
                    self._shared["args"] = await asyncio.to_thread(self._args, 0, self._job.params(0), taken)
                if self._inputs_late and "inputs" not in self._shared:
                    files: list[LocalFile] = []
                    self._shared["inputs"] = await self._inputs(0, files, taken)
                    self._shared_files += files
            except NotGiven as error:
                self._never = error
                raise

    def work(self, batch: int, ranges: Ranges, numbers: Iterable[int], spool: str, mounts: dict[str, str]) -> Made:
        """The batch's work and the files it needs, where no task has inputs of its own."""
        tasks = [self._task(task, number) for task, number in zip(indexes(ranges), numbers, strict=True)]
        return self._made(batch, tasks, spool, mounts, self._shared_files, [])

    async def work_with_files(
        self, batch: int, ranges: Ranges, numbers: Iterable[int], spool: str, mounts: dict[str, str]
    ) -> Made:
        """As `work`, where something must be read first."""
        taken, wanted = None, list(zip(indexes(ranges), numbers, strict=True))
        try:
            if self._changed is not None:
                raise self._changed
            if self._taking is not None:
                taken = await self._taking.of(ranges)
                await self._load_late(taken)
        except (InputChanged, NotGiven) as error:
            refusals = [Refusal(index, number, error.code, str(error)) for index, number in wanted]
            return self._made(batch, [], spool, mounts, [], refusals)
        files, size = list(self._shared_files), 0
        tasks, refused, left = list[TaskWork](), list[Refusal](), list[int]()
        for index, number in wanted:
            try:
                own, task = await self._task_with_files(index, number, taken)
            except (InputChanged, NotGiven) as error:
                refused.append(Refusal(index, number, error.code, str(error)))
                continue
            size += sum(len(to) + DIGEST_BYTES for to, _ in task.inputs or ()) + sum(map(len, task.args or ()))
            if size > INPUTS_BYTES and tasks:
                left.append(index)
            else:
                tasks.append(task)
                files += own
        if taken is None or self.arguments is None:
            made = self._made(batch, tasks, spool, mounts, files, refused, taken)
        else:  # other jobs' values may be large, and hosts must be listened to
            made = await asyncio.to_thread(self._made, batch, tasks, spool, mounts, files, refused, taken)
        return made._replace(left=ranges_of(sorted([*indexes(made.left), *left]))) if left else made

    async def _task_with_files(self, index: int, number: int, taken: Taken | None) -> tuple[list[LocalFile], TaskWork]:
        """A task and the files that it alone needs. Raises InputChanged, NotGiven."""
        files: list[LocalFile] = []
        task = self._task(index, number, taken)
        if self._stdin_varies:
            task = task._replace(stdin=await self._stdin(index, files))
        if self._inputs_vary:
            task = task._replace(inputs=await self._inputs(index, files, taken))
        return files, task

    def _made(
        self,
        batch: int,
        tasks: list[TaskWork],
        spool: str,
        mounts: dict[str, str],
        files: list[LocalFile],
        refused: list[Refusal],
        taken: Taken | None = None,
    ) -> Made:
        """Arguments are added to the calls, until a message is full."""
        if self.arguments is None:
            return Made(self._work(batch, tasks, spool, mounts), files, (), refused)
        called: list[TaskWork] = []
        left: list[int] = []
        size, own = 0, list[LocalFile]()
        for task in tasks:
            try:
                given = self.arguments.of(task.task, taken.values(task.task) if taken else NO_VALUES)
            except BadArgument as error:
                text = f"{error}; {taken.taking.described()}" if taken and taken.values(task.task) else str(error)
                refused.append(Refusal(task.task, task.number, "argument", text))
                continue
            except NotGiven as error:
                refused.append(Refusal(task.task, task.number, error.code, str(error)))
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
            deterministic=self._job.deterministic,
            secret=list(self.secrets.values),
            **self._shared,
        )

    def _task(self, index: int, number: int, taken: Taken | None = None) -> TaskWork:
        job = self._job
        if not (self._args_vary or self._env_varies or self._outputs_vary):
            return TaskWork(index, number)
        params = job.params(index)
        args = self._args(index, params, taken) if self._args_vary else None
        env = self._env(params) if self._env_varies else None
        outputs = list(output_globs(job, index)) if self._outputs_vary else None
        return TaskWork(index, number, args, env, None, None, outputs)

    def _env(self, params: dict[str, Scalar]) -> dict[str, str]:
        return {name: template.render(params) for name, template in self._job.env.items()} | dict(self.secrets.values)

    def _args(self, index: int, params: dict[str, Scalar], taken: Taken | None) -> list[str]:
        """Of a program. Raises NotGiven."""
        args = []
        for argument in self._job.args:
            if isinstance(argument, Template):
                args.append(argument.render(params))
            else:
                assert taken is not None, f"{self._job.name} takes the value of {argument.job}"
                args.append(taken.text(argument.job, index))
        return args

    async def _stdin(self, index: int, files: list[LocalFile]) -> Digest | None:
        path = _still(lambda: stdin_path(self._spec, self._job, index))
        return None if path is None else await self._file(path, files)

    async def _inputs(self, index: int, files: list[LocalFile], taken: Taken | None) -> list[tuple[str, Digest]]:
        found = _still(lambda: task_inputs(self._spec, self._job, index))
        if taken is not None and self._inputs_late:  # of all tasks of a job, which may be many
            found = await asyncio.to_thread(_with_others, self._job, found, taken, index)
        elif taken is not None:
            found = _with_others(self._job, found, taken, index)
        return [(i.to, await self._file(i.path, files, i.digest)) for i in found]

    async def _file(self, path: Path, files: list[LocalFile], digest: Digest | None = None) -> Digest:
        file = LocalFile("files", digest or await self._digests.of(path), path, path.name)
        files.append(file)
        return file.digest


def _with_others(job: Job, files: list[TaskInput], taken: Taken, index: int) -> list[TaskInput]:
    """The files of a task with those that it takes of other jobs. Raises NotGiven."""
    try:
        found = together(job, [*files, *taken.inputs(index)])
    except ValueError as error:
        raise NotGiven("input_conflict", str(error)) from None
    if (size := sum(len(file.to) + DIGEST_BYTES for file in found)) > INPUTS_BYTES:
        text = f"it has {len(found):,} inputs, and their names alone take {size:,} bytes; let fewer files hold the same"
        raise NotGiven("input_missing", text)
    return found


def _still(look: Callable[[], T]) -> T:
    """What was right when the run started; what is wrong now changed since. Raises InputChanged."""
    try:
        return look()
    except SpecError as error:
        raise InputChanged(f"{error}; it was there when the run started") from error


def _vary(templates: Iterable[Template]) -> bool:
    return any(template.names for template in templates)
