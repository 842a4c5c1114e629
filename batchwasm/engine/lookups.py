"""What a run takes from earlier runs before its tasks are placed, and what it leaves for later ones.

    tasks are released > their keys are made > known ones get their results, the others may start
    tasks succeed, it is in the journal > their keys are made again, and kept with where the results are

Both happen beside the loop, a chunk of tasks at a time. A cache that can't be used is told once, and the run goes on
without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

from batchwasm.core.events import Ranges, Record, TasksFinished, TasksKnown, count, ranges_of
from batchwasm.core.state import WAITING, State
from batchwasm.engine.keys import Key, Keys
from batchwasm.engine.originals import Gone, Originals, digests
from batchwasm.engine.plan import Plan
from batchwasm.engine.work import JobWork, Made
from batchwasm.errors import WorldError
from batchwasm.known import Hit, Known, Origin, Success
from batchwasm.model import Outcome
from batchwasm.results import RunFolder

T = TypeVar("T")
CHUNK = 4000  # tasks looked up at once: some 200 ms, after which those that are not known may start
CHUNK_WITH_FILES = 100  # where each has files of its own, which are read for it


Left = tuple[str, ...] | None
"""Of a task that ended: files that it left beside its outputs, by their paths; None where it did not succeed."""


class Looked(NamedTuple):
    """Tasks that were looked up: those with a record are known, the others may start."""

    job: int
    ranges: Ranges
    records: Sequence[Record] = ()


@dataclass(slots=True)
class _Found:
    records: list[Record] = field(default_factory=list)
    wrong: list[bytes] = field(default_factory=list)
    """Keys whose results are not there."""
    gone: set[Origin] = field(default_factory=set)


class Lookups:
    """Of one life of a scheduler."""

    def __init__(
        self,
        plan: Plan,
        state: State,
        folder: RunFolder,
        *,
        tell: Callable[[Looked], None],
        note: Callable[[str], None],
    ) -> None:
        """`state` is what another life left of the run. `tell` hears of what was looked up, `note` what a person
        should know."""
        self._known, self._folder, self._run, self._name = Known(), folder, plan.run, plan.spec.name
        wanted = {n for n, job in enumerate(plan.spec.jobs) if plan.may_be_known(job)}
        self._takes = set[int]() if plan.spec.fresh else wanted
        """Jobs that take what is known; the others of `jobs` run, for later runs to know."""
        if state.run:
            self._takes = {n for n, job in enumerate(state.jobs) if job.plan.cache}
        self._jobs = {n: plan.spec.jobs[n] for n in wanted | self._takes}
        self._tell, self._note = tell, note
        self._busy: set[int] = set()
        """Jobs of which tasks are being looked up."""
        self._keys: dict[tuple[int, int], bytes] = {}
        """Of tasks that have files of their own, which may change before they are sent."""
        self._hits: dict[tuple[int, int], bytes] = {}
        """Keys of results that were found and are not in the journal yet."""
        self._ended: dict[int, dict[int, Left]] = {}
        """Of each job, what ended and was not kept yet, by task."""
        self._taken: list[tuple[int, list[tuple[bytes, int]]]] = []
        """Of each job, what is in the journal and was not told yet: keys and tasks."""
        self._wake = asyncio.Event()
        self._seal: bytes | None = None
        self._broken = False
        self._over = False

    @property
    def jobs(self) -> Set[int]:
        return self._jobs.keys()

    @property
    def busy(self) -> bool:
        """Whether results that are known may be on their way: nobody needs a host before."""
        return bool(self._busy)

    # ------------------------------------------------------------------------------------- told by the loop

    def look(self, state: State, works: Mapping[int, JobWork], spawn: Callable[..., object]) -> None:
        """Start looking for what was released, of jobs whose work is there."""
        for n in self._jobs.keys() & works.keys() - self._busy:
            job = state.jobs[n]
            if job.unseen and job.digest is not None:
                self._busy.add(n)
                some = job.unseen.first(CHUNK_WITH_FILES if works[n].own_files else CHUNK)
                spawn(self._look, n, works[n], some, job.unseen.ranges)

    def looked(self, found: Looked, state: State) -> TasksKnown | None:
        """What is news of it: of tasks that still wait."""
        self._busy.discard(found.job)
        state.seen(found.job, found.ranges)
        codes = state.jobs[found.job].codes
        records = [record for record in found.records if codes[record.task] == WAITING]
        return TasksKnown(job=found.job, records=records) if records else None

    def journaled(self, events: Iterable[object]) -> None:
        """These are in the journal: what succeeded may be known from now on."""
        for event in events:
            match event:
                case TasksFinished() if event.job in self._jobs:
                    self._ended.setdefault(event.job, {}).update(
                        (record.task, _left(record)) for record in event.records if record.final
                    )
                case TasksKnown():
                    found = [(self._hits.pop((event.job, record.task)), record.task) for record in event.records]
                    self._taken.append((event.job, found))
                case _:
                    continue
            self._wake.set()

    async def keep(self, works: Mapping[int, JobWork]) -> None:
        """Keep what succeeds, until the end."""
        while not self._over:
            await self._wake.wait()
            self._wake.clear()
            await self._keep(works)
        if self._jobs:
            await self._safely(self._known.settle, self._run)

    def end(self) -> None:
        """Nothing more comes, and the run's folder stays: `keep` returns when all is kept."""
        self._over = True
        self._wake.set()

    # -------------------------------------------------------------------------------------------- looking

    async def _look(self, n: int, work: JobWork, some: Ranges, whole: Ranges) -> None:
        """`some` of `whole`, which may all start where nothing is known of their module."""
        wanted = n in self._takes and bool(await self._safely(self._known.has, work.digest))
        if not wanted and not work.own_files:
            self._tell(Looked(n, whole))
            return
        keys = await self._keys_of(work, some)
        records = await self._find(n, keys) if wanted else []
        if work.own_files:
            hit = {record.task for record in records}
            self._keys.update({(n, task): key.key for task, key in keys.items() if task not in hit})
        self._tell(Looked(n, some, records))

    async def _find(self, n: int, keys: Mapping[int, Key]) -> list[Record]:
        found = await self._safely(self._read, n, keys)
        if found is None:
            return []
        if found.wrong or found.gone:
            await self._safely(self._known.drop, found.wrong, found.gone)
        self._hits.update(((n, record.task), keys[record.task].key) for record in found.records)
        return found.records

    def _read(self, n: int, keys: Mapping[int, Key]) -> _Found:
        """In a thread: what is known of these, copied here."""
        tasks: dict[bytes, list[int]] = {}
        for task, key in keys.items():
            tasks.setdefault(key.key, []).append(task)
        found = _Found()
        originals = Originals(self._folder)
        try:
            for hit in self._known.find(list(tasks)).values():
                if hit.origin.run != self._run:
                    self._copy(originals, hit, n, tasks[hit.key], found)
        finally:
            originals.close()
        found.gone = originals.gone
        found.records.sort(key=itemgetter(0))
        return found

    def _copy(self, originals: Originals, hit: Hit, n: int, tasks: Sequence[int], found: _Found) -> None:
        try:
            found.records.extend(originals.take(hit, self._jobs[n].name, task) for task in tasks)
        except Gone:
            found.wrong.append(hit.key)

    # -------------------------------------------------------------------------------------------- keeping

    async def _keep(self, works: Mapping[int, JobWork]) -> None:
        while self._ended or self._taken:
            ended, self._ended = self._ended, {}
            taken, self._taken = self._taken, []
            for n, found in taken:
                await self._safely(self._known.take, self._origin(n, works[n]), found)
            for n, each in ended.items():
                tasks = sorted(each)
                for at in range(0, len(tasks), CHUNK):
                    await self._keep_some(n, works[n], {task: each[task] for task in tasks[at : at + CHUNK]})

    async def _keep_some(self, n: int, work: JobWork, ended: Mapping[int, Left]) -> None:
        before = {task: self._keys.pop((n, task), None) for task in ended} if work.own_files else {}
        succeeded = [task for task, left in ended.items() if left is not None]
        if self._broken or not succeeded:
            return
        keys = await self._keys_of(work, ranges_of(succeeded))
        if work.arguments is not None:
            work.arguments.forget(succeeded)
        if work.own_files:  # nobody knows which content was read where it has changed since
            keys = {task: key for task, key in keys.items() if before[task] == key.key}
        if keys:
            await self._safely(self._write, n, work, keys, ended)

    def _write(self, n: int, work: JobWork, keys: Mapping[int, Key], ended: Mapping[int, Left]) -> None:
        """In a thread."""
        successes = []
        lists: dict[bytes, Mapping[str, str]] = {}
        for task, key in keys.items():
            try:
                files = digests(self._folder, ended[task] or ())
            except OSError:
                continue  # somebody took it away
            successes.append(Success(key.key, task, key.parts, files))
            lists.update(key.lists)
        self._known.add(self._origin(n, work), successes, lists)

    # ---------------------------------------------------------------------------------------------- keys

    async def _keys_of(self, work: JobWork, tasks: Ranges) -> dict[int, Key]:
        """Of tasks that can be sent; the others run, or fail, as if nothing were known."""
        if self._seal is None:
            self._seal = await self._safely(self._known.seal)
        return {} if self._seal is None else await keys_of(work, tasks, self._seal)

    def _origin(self, n: int, work: JobWork) -> Origin:
        return Origin(str(self._folder.path), self._run, self._name, self._jobs[n].name, work.digest, work.how)

    async def _safely(self, do: Callable[..., T], *args: Any) -> T | None:
        """In a thread; None where the cache can't be used."""
        if self._broken:
            return None
        try:
            return await asyncio.to_thread(do, *args)
        except WorldError as error:
            self._broken = True
            self._note(f"warning: {error}; the run goes on without it")
            return None


def _left(record: Record) -> Left:
    if record.outcome != Outcome.SUCCEEDED:
        return None
    return tuple(path for path in (record.stdout_path, record.stderr_path, record.value_path) if path is not None)


async def keys_of(work: JobWork, tasks: Ranges, seal: bytes) -> dict[int, Key]:
    """Of those that can be sent."""
    keys: dict[int, Key] = {}
    while tasks:
        numbers = [1] * count(tasks)
        if work.files_vary:
            made = await work.work_with_files(0, tasks, numbers, "", {})
        else:
            made = await asyncio.to_thread(work.work, 0, tasks, numbers, "", {})
        keys.update(await asyncio.to_thread(_digested, made, work.how, seal))
        tasks = made.left
    return keys


def _digested(made: Made, how: str, seal: bytes) -> dict[int, Key]:
    keys = Keys(made.work, how, seal)
    return {task.task: keys.of(task) for task in made.work.tasks}
