"""What tasks left for those of other jobs: output files and values, looked up in the journal when they are wanted.

The journal has them before a task that takes them is placed. Of a job whose tasks all go to one task it is read once
and kept; of one that is taken element by element, only the tasks of a batch are. It is read in threads, by connections
of their own: a million rows take seconds, in which hosts must be listened to.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from batchwasm.core.events import Ranges, count
from batchwasm.errors import BatchwasmError
from batchwasm.functions import Signature, of_module
from batchwasm.functions.json_values import dumps
from batchwasm.functions.types import Type
from batchwasm.functions.values import decoder
from batchwasm.journal import Journal, Left
from batchwasm.model import Digest, Job, JobName
from batchwasm.results import RunFolder
from batchwasm.spec import globs

T = TypeVar("T")
SHOWN = 5  # paths in a sentence about what there is
TEXT_BYTES = 100_000  # of a value as an argument of a program; a thousand tasks of a batch may have one each


class NotGiven(BatchwasmError):
    """A task takes of another job what that did not leave, or what does not fit; `code` is that of its reason."""

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        super().__init__(text)


class Found(NamedTuple):
    """An output of a task."""

    task: int
    path: str
    """In that task's folder."""
    digest: Digest


class Listing:
    """Outputs of some tasks of a job, by their path: many tasks leave files of one name."""

    def __init__(self, whose: str) -> None:
        """`whose` is `prep`, or `prep/3`."""
        self._whose = whose
        self._by_path: dict[str, list[tuple[int, Digest]]] = {}

    def add(self, left: Left) -> None:
        for output in json.loads(left.outputs or "[]"):
            self._by_path.setdefault(output["path"], []).append((left.task, output["sha256"]))

    def matching(self, written: str, pattern: str) -> list[Found]:
        """Those that a glob matches, or the path that is called exactly as `written`; by task and path.

        Raises NotGiven where there is none.
        """
        if written in self._by_path:
            paths: Sequence[str] = [written]
        else:
            match = globs.compiled(pattern).match
            paths = [path for path in self._by_path if match(path)]
        if not paths:
            raise NotGiven("input_missing", f"no output of {self._whose} matches {written!r}; {self._there()}")
        return sorted(Found(task, path, digest) for path in paths for task, digest in self._by_path[path])

    def _there(self) -> str:
        if not self._by_path:
            return "it left none; declare them in its `outputs`"
        paths = sorted(self._by_path)
        more = f" and {len(paths) - SHOWN:,} more" if len(paths) > SHOWN else ""
        return f"it left {', '.join(paths[:SHOWN])}{more}"


class Upstream:
    """Reads what a run's jobs left."""

    def __init__(self, jobs: Sequence[Job], folder: RunFolder) -> None:
        self._jobs = {job.name: (n, job) for n, job in enumerate(jobs)}
        self._folder = folder
        self._kept: dict[tuple[JobName, str], asyncio.Future[Any]] = {}
        self._signatures: dict[JobName, Signature | None] = {}

    def is_many(self, job: JobName) -> bool:
        """Whether it has several tasks."""
        return len(self._jobs[job][1]) > 1

    # -------------------------------------------------------------------------------------------- files

    def path(self, job: JobName, found: Found) -> Path:
        """Where an output is on this machine."""
        return self._folder.outputs(job, found.task) / found.path

    async def listing(self, job: JobName) -> Listing:
        """What all tasks of a job left. Raises WorldError, RunError."""

        def read() -> Listing:
            listing = Listing(job)
            for left in self._read(job, ((0, len(self._jobs[job][1])),)):
                listing.add(left)
            return listing

        return await self._once(job, "files", read)

    async def listings(self, job: JobName, tasks: Ranges) -> dict[int, Listing]:
        """What each of these tasks left. Raises WorldError, RunError."""

        def read() -> dict[int, Listing]:
            found = {}
            for left in self._read(job, tasks):
                found[left.task] = Listing(f"{job}/{left.task}")
                found[left.task].add(left)
            return found

        return await asyncio.to_thread(read)

    # ------------------------------------------------------------------------------------------- values

    async def value(self, job: JobName) -> object:
        """What the function of a job gave: of all tasks a list, in their order, unless there is only one.

        Raises NotGiven where one is missing.
        """

        def read() -> object:
            total = len(self._jobs[job][1])
            found = list(self._decoded(job, ((0, total),)).values())
            wrong = next((value for value in found if isinstance(value, NotGiven)), None)
            if wrong is not None:
                raise wrong
            return found if total > 1 else found[0]

        return await self._once(job, "value", read)

    async def values(self, job: JobName, tasks: Ranges) -> dict[int, object]:
        """What the function of a job gave in each of these tasks; a NotGiven where that can't be had."""
        return await asyncio.to_thread(self._decoded, job, tasks)

    def as_text(self, job: JobName, value: object, *, is_list: bool) -> str:
        """A value as an argument of a program: JSON, a text as it is. Raises NotGiven where it is too large."""
        kind = self._result(job)
        if isinstance(value, str):
            text = value
        elif is_list and isinstance(value, list):
            text = f"[{','.join(dumps(kind, item) for item in value)}]"
        else:
            text = dumps(kind, value)
        size = len(text.encode())
        if size > TEXT_BYTES:
            raise NotGiven(
                "argument",
                f"the value of {job} has {size:,} bytes as a text, and an argument may have {TEXT_BYTES:,}; "
                "take it as an argument of a function, or have it written to a file and take that as an input",
            )
        if "\0" in text:
            raise NotGiven("argument", f"the value of {job} has a NUL character, which no argument may have")
        return text

    def described(self, job: JobName, *, is_list: bool) -> str:
        """For a sentence about a value that does not fit: `@mean gives a list of f64`."""
        kind = self._result(job)
        return f"@{job} gives {'a list of ' if is_list else ''}{'nothing' if kind is None else kind}"

    def _result(self, job: JobName) -> Type | None:
        """The type of a job's values, as its module in the run folder says. Raises NotGiven."""
        if job not in self._signatures:
            try:
                self._signatures[job] = of_module(self._folder.wasm(job).read_bytes())
            except (OSError, ValueError) as error:
                raise NotGiven("input_missing", f"{self._folder.wasm(job)} can't be read: {error}") from error
        signature = self._signatures[job]
        if signature is None:
            raise NotGiven("input_missing", f"{job} is a program, which gives no value")
        return signature.result

    def _decoded(self, job: JobName, tasks: Ranges) -> dict[int, object]:
        """Values; a NotGiven where there is none, which may matter to one task alone. Raises NotGiven."""
        decode = decoder(self._result(job))
        found: dict[int, object] = {}
        for left in self._read(job, tasks):
            try:
                found[left.task] = decode(self._encoded(left))
            except (OSError, ValueError) as error:
                found[left.task] = NotGiven("input_missing", f"the value of {job}/{left.task} can't be read: {error}")
        return found

    def _encoded(self, left: Left) -> bytes:
        if left.value is not None:
            return left.value
        if left.value_path is None:
            raise ValueError("there is none")
        return (self._folder.path / left.value_path).read_bytes()

    # ------------------------------------------------------------------------------------------ journal

    def _read(self, job: JobName, tasks: Ranges) -> Iterator[Left]:
        """In the thread that calls; all that these tasks left."""
        journal = Journal.open(self._folder.journal, read_only=True)
        try:
            found = 0
            for start, stop in tasks:
                for left in journal.left(self._jobs[job][0], start, stop):
                    found += 1
                    yield left
            if found != count(tasks):  # nobody takes anything of a task before it succeeded
                raise NotGiven("input_missing", f"{count(tasks) - found:,} tasks of {job} did not succeed")
        finally:
            journal.close()

    async def _once(self, job: JobName, what: str, read: Callable[[], T]) -> T:
        """What `read` gives, read once however many ask, now or later."""
        reading = self._kept.get((job, what))
        if reading is None:
            reading = self._kept[job, what] = asyncio.ensure_future(asyncio.to_thread(read))
        found: T = await asyncio.shield(reading)  # who waits may be cancelled with its host, the others still wait
        return found
