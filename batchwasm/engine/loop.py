"""A run, from first event to last: news -> scheduler -> journal -> act on decisions. The one with timers and signals.

Each pass takes all news there is, applies it, lets the scheduler decide, appends news and decisions to the journal in
one transaction, and only then acts. What hosts are told is therefore always in the journal already.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from batchwasm.artifacts import Store, build
from batchwasm.core import placement
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchPlaced,
    BatchRecalled,
    Event,
    HostJoined,
    JobPlan,
    Ranges,
    Record,
    RunFinished,
    RunOpened,
    RunPlanned,
    RunStopped,
    TasksCancelled,
    TasksReturned,
    indexes,
)
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import State
from batchwasm.engine.groups import the_one
from batchwasm.engine.session import Session
from batchwasm.engine.work import Digests, InputChanged, JobWork, LocalFile
from batchwasm.errors import Problem, SourceError, SpecError, WorldError
from batchwasm.journal import Journal, Sample
from batchwasm.model import Artifact, HostName, Inventory, JobName, RunSpec
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import Beat

TICK_S = 1.0  # how often deadlines are looked at when nothing happens
CHECKPOINT_S = 5.0  # a reader replays about this much
CHECKPOINT_SHARE = 0.05  # of our time for them: with 1,000 hosts at work a state takes 250 ms to dump
SAMPLE_S = 5.0
SHOW_S = 0.1  # between two looks of a watcher at the whole state
END_S = 10.0  # for the hosts to stop their guests and say goodbye
BUILDS = os.cpu_count() or 1  # at once: a compiler takes a core


class Watcher:
    """Who looks on: progress displays override what they show. Called from the loop, so nothing here may block."""

    def compiling(self, job: JobName, hint: str) -> None:
        """`hint` says why it takes long, where it does."""

    def compiled(self, job: JobName, artifact: Artifact) -> None: ...

    def shipping(self, host: HostName, text: str) -> None: ...

    def happened(self, event: Event) -> None:
        """`event` is in the journal."""

    def passed(self, state: State) -> None:
        """Some passes are over, or the run is; `state` is the loop's own, to read and not to keep."""

    def note(self, text: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A run to be: what, where, and how patiently."""

    run: str
    """Unique id."""
    spec: RunSpec
    inventory: Inventory
    store: Store
    fail_fast: bool = False
    wait_hosts_s: float = 600.0
    version: str = ""

    def job_plans(self) -> tuple[JobPlan, ...]:
        return tuple(
            JobPlan(
                name=job.name,
                tasks=len(job),
                cpus=job.request.cpus,
                memory_bytes=job.request.memory_bytes,
                hosts=self._allowed(n),
            )
            for n, job in enumerate(self.spec.jobs)
        )

    def _allowed(self, n: int) -> tuple[str, ...] | None:
        job = self.spec.jobs[n]
        if job.hosts is None and not job.exclude and not job.mounts:
            return None
        return tuple(
            host.name
            for host in self.inventory.hosts
            if (job.hosts is None or host.name in job.hosts)
            and host.name not in job.exclude
            and all(mount in host.mounts for mount in job.mounts)
        )


@dataclass(frozen=True, slots=True)
class _Report:
    """Attempts that a host, or we in its place, say ended."""

    session: Session
    seq: int | None
    batch: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class _Return:
    session: Session
    seq: int
    event: TasksReturned


class Loop:
    """One life of a scheduler over a run."""

    def __init__(self, plan: Plan, folder: RunFolder, journal: Journal, watcher: Watcher) -> None:
        self._plan, self._folder, self._journal, self._watcher = plan, folder, journal, watcher
        self.state = State()
        self.artifacts: dict[int, Artifact] = {}
        self.facts: dict[HostName, Mapping[str, Any]] = {}
        """What each host that joined said it is."""
        self._scheduler = Scheduler(self.state)
        self._news: list[Event | _Report | _Return] = []
        self._wake = asyncio.Event()
        self._digests = Digests()
        self._works: dict[int, JobWork] = {}
        self._sessions: dict[str, Session] = {}
        self._session_tasks: list[asyncio.Task[None]] = []
        self._source_errors: list[SourceError] = []
        self._building = 0
        self._end_builds = threading.Event()
        self._stop: RunStopped | None = None
        self._error: Exception | None = None
        """What ended a session or a build that nobody there could deal with: a full disk here, a bug."""
        self._stuck_since: float | None = None
        self._latest: dict[str, tuple[float, Beat]] = {}
        self._checkpoint_at = self._sample_at = self._checked_at = self._shown_at = self._checkpoint_due = 0.0

    # --------------------------------------------------------------------------------- Inbox, for sessions

    def post(self, event: Event) -> None:
        self._add(event)

    def report(self, session: Session, seq: int | None, batch: int, records: Sequence[Record]) -> None:
        self._add(_Report(session, seq, batch, records))

    def returned(self, session: Session, seq: int, batch: int, ranges: Ranges, why: str) -> None:
        self._add(_Return(session, seq, TasksReturned(batch=batch, ranges=ranges, why=why)))

    def beat(self, host: str, beat: Beat) -> None:
        self._latest[host] = (time.time(), beat)

    def shipping(self, host: str, text: str) -> None:
        self._watcher.shipping(host, text)

    def awaited(self, host: str, batch: int, task: int, number: int) -> JobName | None:
        found = self._scheduler.batch_of(host, batch)
        if found is None or not self._scheduler.awaits(found, task, number):
            return None
        return self.state.jobs[found.job].plan.name

    def request_of(self, batch: int) -> tuple[int, int]:
        found = self.state.batches.get(batch)
        if found is None:
            return (1, 0)  # given up while its files were on the way; whatever it reports will be dropped
        plan = self.state.jobs[found.job].plan
        return plan.cpus, plan.memory_bytes

    def stop(self, code: str, text: str) -> None:
        """Let go of the run: guests are stopped, what has not finished stays waiting."""
        self._stop = self._stop or RunStopped(code=code, text=text)
        self._wake.set()

    def _add(self, news: Event | _Report | _Return) -> None:
        self._news.append(news)
        self._wake.set()

    # ----------------------------------------------------------------------------------------- the run

    async def run(self) -> State:
        """Until every task has its result, or someone stops it.

        Raises SourceError or SpecError (then nothing of the run is worth keeping), WorldError (it can be resumed).
        """
        self._open()
        try:
            async with asyncio.TaskGroup() as group:
                await self._work(group)
        except BaseExceptionGroup as errors:
            raise the_one(errors) from errors
        return self.state

    async def _work(self, group: asyncio.TaskGroup) -> None:
        limit = asyncio.Semaphore(BUILDS)
        self._building = len(self._plan.spec.jobs)
        builds = [group.create_task(self._guard(self._build, n, limit)) for n in range(self._building)]
        for host in self._plan.inventory.hosts:
            session = Session(host, self._plan.run, self.state.incarnation, self._folder, self)
            self._sessions[host.name] = session
            self._session_tasks.append(group.create_task(self._guard(session.run)))
        try:
            await self._passes()
        finally:
            self._end_builds.set()
            for task in builds:
                task.cancel()
            await self._end_sessions()

    async def _guard(self, part: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Its error ends the run in order: were it left to the group, no host would be told to stop its guests."""
        try:
            await part(*args)
        except Exception as error:
            self._error = self._error or error
            self._wake.set()

    def _open(self) -> None:
        spec, plan = self._plan.spec, self._plan
        planned = RunPlanned(
            run=plan.run,
            name=self._folder.name,
            jobs=plan.job_plans(),
            hosts=tuple(host.name for host in plan.inventory.hosts),
            max_failures=spec.max_failures,
            fail_fast=plan.fail_fast,
        )
        opened = RunOpened(incarnation=1, pid=os.getpid(), machine=socket.gethostname(), version=plan.version)
        now = time.time()
        for event in (planned, opened):
            self._scheduler.observe(event, now)
        self._journal.append([planned, opened], now, durable=True)

    async def _passes(self) -> None:
        try:
            while not self.state.finished and self.state.stopped is None:
                await self._news_or_tick()
                self._pass(time.time())
                self._look()
        except WorldError as error:
            if self.state.stopped is None:
                with suppress(WorldError):  # a full disk takes this no more than what was before it
                    self._append([RunStopped(code="world", text=str(error))], time.time())
            raise
        with suppress(WorldError):  # derived: readers do without it
            self._journal.checkpoint(self.state)
        self._watcher.passed(self.state)

    def _look(self) -> None:
        """Whether the run goes on after this pass; raises what it ends with where it ends badly."""
        if self.state.finished:
            return
        if self._error is not None:
            raise self._error
        if self._source_errors and not self._building:
            raise SourceError("\n\n".join(map(str, self._source_errors)))
        if self._stop is not None:
            self._append([self._stop], time.time())
        else:
            self._check_world()

    async def _news_or_tick(self) -> None:
        wake_at = self._scheduler.wake_at
        wait_s = TICK_S if wake_at is None else min(TICK_S, max(0.0, wake_at - time.time()))
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _pass(self, now: float) -> None:
        news, self._news = self._news, []
        events, settled = self._observe(news, now)
        decisions = [] if self._source_errors else self._scheduler.decide(now)
        if events or decisions:
            self._journal.append([*events, *decisions], now)
            for session, seqs in settled.items():
                session.settled(seqs)
            for event in decisions:
                self._act(event)
            for event in (*events, *decisions):
                self._watcher.happened(event)
        self._housekeep(now)

    def _observe(
        self, news: Sequence[Event | _Report | _Return], now: float
    ) -> tuple[list[Event], dict[Session, list[int]]]:
        events: list[Event] = []
        settled: dict[Session, list[int]] = {}
        for item in news:
            event: Event | None
            match item:
                case _Report():
                    event = self._scheduler.admit(item.session.host.name, item.batch, item.records)
                    if item.seq is not None:
                        settled.setdefault(item.session, []).append(item.seq)
                case _Return():
                    batch = self._scheduler.batch_of(item.session.host.name, item.event.batch)
                    event = None if batch is None else item.event
                    settled.setdefault(item.session, []).append(item.seq)
                case HostJoined():
                    event, self.facts[item.host] = item, item.facts
                case _:
                    event = item
            if event is not None:
                self._scheduler.observe(event, now)
                events.append(event)
        return events, settled

    def _append(self, events: Sequence[Event], now: float) -> None:
        for event in events:
            self._scheduler.observe(event, now)
        self._journal.append(events, now)
        for event in events:
            self._watcher.happened(event)

    def _act(self, decision: Event) -> None:
        match decision:
            case BatchPlaced():
                job = self.state.jobs[decision.job]
                numbers = [job.number(task) for task in indexes(decision.ranges)]
                session = self._sessions[decision.host]
                session.start(decision.batch, self._works[decision.job], decision.ranges, numbers)
            case BatchRecalled():
                self._sessions[self.state.batches[decision.batch].host].recall(decision.batch)
            case TasksCancelled() | RunFinished():
                pass  # what runs is stopped when the sessions end
            case _:
                raise AssertionError(f"not a decision: {decision}")

    def _housekeep(self, now: float) -> None:
        if now - self._shown_at >= SHOW_S:
            self._shown_at = now
            self._watcher.passed(self.state)
        with suppress(WorldError):  # none of it is missed; what must be written down tells of a full disk soon enough
            self._keep_samples(now)

    def _keep_samples(self, now: float) -> None:
        if now - self._sample_at >= SAMPLE_S and self._latest:
            self._sample_at = now
            samples = [_sample(host, at, beat) for host, (at, beat) in self._latest.items()]
            self._latest.clear()
            self._journal.sample(samples)
        if now >= self._checkpoint_due and self.state.last_at > self._checkpoint_at:
            self._checkpoint_at, since = now, time.perf_counter()
            self._journal.checkpoint(self.state)
            took_s = time.perf_counter() - since
            self._checkpoint_due = now + max(CHECKPOINT_S, took_s / CHECKPOINT_SHARE)

    # ------------------------------------------------------------------------------------------- building

    async def _build(self, n: int, limit: asyncio.Semaphore) -> None:
        job = self._plan.spec.jobs[n]
        try:
            async with limit:
                self._watcher.compiling(job.name, "")
                talk = self._talk(job.name)
                artifact = await asyncio.to_thread(
                    build, job.name, job.source, self._plan.store, talk=talk, stop=self._end_builds
                )
            self._folder.add_wasm(job.name, artifact.path)
            wasm = LocalFile("wasm", artifact.digest, artifact.path, f"{job.name}.wasm")
            work = JobWork(self._plan.spec, job, wasm, self._folder.name, self._digests)
            await work.load()
        except SourceError as error:
            self._source_errors.append(error)
        except InputChanged as error:
            self._source_errors.append(SourceError(f"jobs.{job.name}: {error}"))
        else:
            self.artifacts[n], self._works[n] = artifact, work
            self._watcher.compiled(job.name, artifact)
            self._add(_built(n, artifact))
        finally:
            self._building -= 1
            self._wake.set()

    def _talk(self, job: JobName) -> Callable[[str], None]:
        """What the build, which runs in a thread, tells while it takes long."""
        loop = asyncio.get_running_loop()

        def talk(text: str) -> None:
            loop.call_soon_threadsafe(lambda: self._watcher.compiling(job, text))

        return talk

    # ------------------------------------------------------------------------------------------ the world

    def _check_world(self) -> None:
        """Raises where the run can't go on: at once where waiting can't mend it, else after `wait_hosts_s`."""
        if self.state.batches and time.monotonic() - self._checked_at < TICK_S:
            return  # it goes on, and a look at every host for every report would cost more than the reports
        self._checked_at = time.monotonic()
        sentences = placement.impossible(self.state)
        if sentences:
            raise SpecError([Problem(file="", line=None, key="", text=sentence) for sentence in sentences])
        blocked = None if self.state.batches or self._building else self._blocked()
        if blocked is None:
            self._stuck_since = None
            return
        hopeless, text = blocked
        now = time.monotonic()
        if self._stuck_since is None:
            self._stuck_since = now
            if not hopeless and self._plan.wait_hosts_s > 0:
                self._watcher.note(
                    f"{text}\nwaiting up to {self._plan.wait_hosts_s:,.0f} s for one; --wait-hosts sets that"
                )
        if hopeless or now - self._stuck_since >= self._plan.wait_hosts_s:
            self._append([RunStopped(code="no_hosts", text=text)], time.time())
            raise WorldError(text)

    def _blocked(self) -> tuple[bool, str] | None:
        """None while some waiting job has a host; else whether waiting is hopeless, and what is wrong with each."""
        waiting = [job for job in self.state.jobs if job.waiting]
        hosts = [h for h in self.state.hosts.values() if any(placement.may_take(h, job) for job in waiting)]
        if not waiting or any(host.capacity is not None or not host.answered for host in hosts):
            return None
        tasks = sum(job.waiting for job in waiting)
        what = "the task that waits" if tasks == 1 else f"the {tasks:,} tasks that wait"
        lines = [f"  {host.name}: {host.reason}" for host in hosts]
        hopeless = not any(host.waiting_may_help for host in hosts)
        return hopeless, "\n".join([f"no host is left that could run {what}:", *lines])

    async def _end_sessions(self) -> None:
        for session in self._sessions.values():
            session.end()
        if self._session_tasks:
            _, late = await asyncio.wait(self._session_tasks, timeout=END_S)
            for task in late:
                task.cancel()


def _built(n: int, artifact: Artifact) -> ArtifactBuilt:
    return ArtifactBuilt(
        job=n,
        digest=artifact.digest,
        bytes=artifact.size_bytes,
        language=artifact.language,
        toolchain=artifact.toolchain,
        cached=artifact.cached,
        wall_s=artifact.wall_s,
    )


def _sample(host: str, at: float, beat: Beat) -> Sample:
    return Sample(
        at,
        host,
        beat.load,
        beat.memory_available_bytes,
        beat.cpus_busy,
        beat.running,
        beat.queued,
        beat.disk_free_bytes,
    )
