"""A run's jobs become modules and the work that is sent: compiled several at a time, or made already."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchwasm.artifacts import Store, build
from batchwasm.calls import JobCalls
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    Event,
    HostJoined,
    HostLeft,
    TasksCancelled,
    TasksFinished,
    TasksKnown,
    TasksReturned,
    TasksWithdrawn,
)
from batchwasm.core.state import RUNNING, WAITING, State
from batchwasm.engine.arguments import Arguments, given
from batchwasm.engine.collect import Answers
from batchwasm.engine.files import LocalFile
from batchwasm.engine.secrets import NO_SECRETS, Secrets
from batchwasm.engine.taking import Taking
from batchwasm.engine.upstream import Upstream
from batchwasm.engine.work import Digests, InputChanged, JobWork
from batchwasm.errors import SourceError
from batchwasm.functions import Signature, of_module
from batchwasm.functions.values import checker
from batchwasm.functions.wit import wit
from batchwasm.journal import InputFile
from batchwasm.model import Artifact, HostName, Job, JobName, RunSpec
from batchwasm.results import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Earlier:
    """What another life of a scheduler left of a run."""

    state: State = field(default_factory=State)
    artifacts: Mapping[int, Artifact] = field(default_factory=dict)
    """Of the jobs that were built."""
    inputs: Mapping[str, InputFile] = field(default_factory=dict)
    """Files that were read for tasks, by path."""
    facts: Mapping[HostName, Mapping[str, Any]] = field(default_factory=dict)
    """What each host said that it is."""
    arguments: Mapping[int, Mapping[int, bytes]] = field(default_factory=dict)
    """Of calls by job and task, as CBOR, where the job itself does not say them."""


BUILDS = os.cpu_count() or 1  # at once: a compiler takes a core


class Building:
    """Artifacts and work of a run's jobs, by their numbers, as they get ready."""

    def __init__(
        self,
        spec: RunSpec,
        store: Store,
        folder: RunFolder,
        digests: Digests,
        talk: Callable[[JobName, str], None],
        secrets: Mapping[JobName, Secrets],
    ) -> None:
        """`talk` hears, in the loop's thread, that a job is being compiled, and why that takes long where it does;
        `secrets` has those of all jobs that name some."""
        self._spec, self._store, self._folder, self._talk, self._secrets = spec, store, folder, talk, secrets
        self.artifacts: dict[int, Artifact] = {}
        self.signatures: dict[int, Signature] = {}
        """Of the functions among them."""
        self.works: dict[int, JobWork] = {}
        self.errors: list[SourceError] = []
        """What does not compile; more may follow while `pending`."""
        self.pending = len(spec.jobs)
        self._limit = asyncio.Semaphore(BUILDS)
        self._end = threading.Event()
        self._digests = digests
        self._upstream = Upstream(spec.jobs, folder)

    def end(self) -> None:
        """Compilers still at work are killed."""
        self._end.set()

    async def build(self, n: int, job: Job) -> bool:
        """Compile job `n`; False where that failed, with the reason in `errors`."""
        try:
            async with self._limit:
                self._talk(job.name, "")
                hint = self._hint(job.name)
                artifact = await asyncio.to_thread(build, job.name, job.source, self._store, talk=hint, stop=self._end)
            await self.take(n, job, artifact)
        except SourceError as error:
            self.errors.append(error)
        except InputChanged as error:
            self.errors.append(SourceError(f"jobs.{job.name}: {error}"))
        finally:
            self.pending -= 1
        return n in self.artifacts

    async def take(
        self,
        n: int,
        job: Job,
        artifact: Artifact,
        calls: Mapping[int, bytes] | None = None,
        *,
        is_over: bool = False,
    ) -> None:
        """A module that is there already, as job `n`'s; `calls` are arguments by task. Raises InputChanged, unless the
        job `is_over` and needs no inputs any more."""
        self._folder.add_wasm(job.name, artifact.path)
        signature = _signature(job, artifact)
        if signature is not None:
            self.signatures[n] = signature
            self._folder.write_text(self._folder.wit(job.name), wit(signature))
        work = await self.work(job, artifact, is_over=is_over)
        if work.arguments is not None:
            for task, encoded in (calls or {}).items():
                work.arguments.add(task, [given(self._folder.arguments(job.name), encoded)])
        self.artifacts[n], self.works[n] = artifact, work

    async def work(self, job: Job, artifact: Artifact, *, is_over: bool = False) -> JobWork:
        """That of a job with this module. Raises InputChanged, as JobWork.load does."""
        work = self._work(job, artifact, _signature(job, artifact))
        await work.load(is_over=is_over)
        return work

    def _work(self, job: Job, artifact: Artifact, signature: Signature | None) -> JobWork:
        wasm = LocalFile("wasm", artifact.digest, artifact.path, f"{job.name}.wasm")
        spec, run, taking = self._spec, self._folder.name, Taking(job, self._upstream)
        secrets = self._secrets.get(job.name, NO_SECRETS)
        if signature is None:
            return JobWork(spec, job, wasm, run, self._digests, taking=taking, secrets=secrets)
        folder: Path = self._folder.arguments(job.name)
        # Values that jobs.toml gives; those of calls that are added come with them.
        encode = JobCalls(job, signature).arguments if job.values or not signature.params else None
        answers = Answers(checker(signature.result), job.limits.memory_bytes)
        arguments = Arguments(folder, encode)
        return JobWork(
            *(spec, job, wasm, run, self._digests),
            arguments=arguments,
            answers=answers,
            taking=taking,
            secrets=secrets,
        )

    def forget_arguments(self, events: Sequence[Event], state: State) -> None:
        """Of tasks that have their results; all are looked at where some may have ended without a report.

        Files that an earlier attempt of a task left go, where the last one left none.
        """
        for event in events:
            match event:
                case TasksFinished() | TasksKnown():
                    arguments = self.works[event.job].arguments
                    if arguments is not None:
                        arguments.forget([record.task for record in event.records if record.final])
                    for record in event.records:
                        left = record.outputs or record.stdout_path or record.stderr_path or record.value_path
                        if record.number > 1 and not left:
                            self._folder.forget_task(state.jobs[event.job].plan.name, record.task)
                case TasksWithdrawn() | TasksReturned() | BatchGivenUp() | HostLeft() | HostJoined() | TasksCancelled():
                    for n, work in self.works.items():
                        if work.arguments is not None:
                            codes = state.jobs[n].codes
                            work.arguments.forget(t for t in work.arguments.held if codes[t] not in (WAITING, RUNNING))
                case _:
                    pass

    def _hint(self, job: JobName) -> Callable[[str], None]:
        """What the build, which runs in a thread, tells while it takes long."""
        loop = asyncio.get_running_loop()

        def hint(text: str) -> None:
            loop.call_soon_threadsafe(lambda: self._talk(job, text))

        return hint


def _signature(job: Job, artifact: Artifact) -> Signature | None:
    return None if job.source.function is None else of_module(artifact.path.read_bytes())


def built(n: int, artifact: Artifact) -> ArtifactBuilt:
    return ArtifactBuilt(
        job=n,
        digest=artifact.digest,
        bytes=artifact.size_bytes,
        language=artifact.language,
        toolchain=artifact.toolchain,
        cached=artifact.cached,
        wall_s=artifact.wall_s,
    )
