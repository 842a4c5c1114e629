"""A run, from first event to last: news -> scheduler -> journal -> act on decisions. The one with timers and signals.

Each pass takes all news there is, applies it, lets the scheduler decide, appends news and decisions to the journal in
one transaction, and only then acts. What hosts are told is therefore always in the journal already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from batchwasm import disk
from batchwasm.core.events import (
    BatchGivenUp,
    BatchPlaced,
    BatchRecalled,
    Event,
    HostAdded,
    HostJoined,
    HostLeft,
    HostRemoved,
    HostReserved,
    HostSetAside,
    JobAdded,
    Ranges,
    Record,
    RunClosed,
    RunFinished,
    RunStopped,
    TasksAdded,
    TasksCancelled,
    TasksReturned,
    TasksWithdrawn,
)
from batchwasm.core.state import RUNNING, WAITING, State
from batchwasm.engine.arguments import KEPT_BYTES, Given
from batchwasm.engine.asleep import Clock, Sleep
from batchwasm.engine.building import Building, Earlier, built
from batchwasm.engine.groups import the_one
from batchwasm.engine.inbox import Reporter
from batchwasm.engine.inventory import LiveInventory
from batchwasm.engine.keeping import Keeping
from batchwasm.engine.live import Live
from batchwasm.engine.lookups import Looked, Lookups
from batchwasm.engine.opening import opening, stopped_by
from batchwasm.engine.plan import Plan, Watcher, host_plan
from batchwasm.engine.pool import Pool
from batchwasm.engine.requests import Requests, reply
from batchwasm.engine.session import Session
from batchwasm.engine.syncing import Syncing, sync_file_system
from batchwasm.engine.wanted import Wanted
from batchwasm.engine.work import Digests
from batchwasm.engine.world import World
from batchwasm.errors import Problem, SourceError, SpecError, WorldError
from batchwasm.functions import Signature
from batchwasm.journal import Answered, Asked, InputFile, Journal
from batchwasm.model import Artifact, Host, HostName, Job
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import Beat, Output

TICK_S = 1.0  # how often deadlines are looked at when nothing happens
SHOWN_HOSTS = 3  # named of many
SHOW_S = 0.1  # between two looks of a watcher at the whole state


@dataclass(frozen=True, slots=True)
class _Report:
    """Attempts that a host, or we in its place, say ended."""

    session: Reporter
    seq: int | None
    batch: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class _Return:
    session: Reporter
    seq: int | None
    event: TasksReturned


_News = Event | Asked | Looked | _Report | _Return


class Loop(Wanted):
    """One life of a scheduler over a run."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        journal: Journal,
        watcher: Watcher,
        *,
        earlier: Earlier | None = None,
        before: Sequence[Event] = (),
    ) -> None:
        """Of a new run, or of one that an `earlier` life left; `before` is done before all else."""
        self._plan, self._folder, self._journal, self._watcher = plan, folder, journal, watcher
        self._earlier, self._before = earlier or Earlier(), before
        self.jobs = list(plan.spec.jobs)
        """By their numbers; those that were added, too."""
        self._inputs: list[InputFile] = []
        """Read, and not in the journal yet."""
        self._digests = Digests(self._earlier.inputs, self._note_input)
        building = Building(plan.spec, plan.store, folder, self._digests, watcher.compiling, plan.secrets)
        super().__init__(self._earlier.state, building)
        self._tasks: dict[int, int] = {}
        """Of the jobs that were added: how many calls each has."""
        self.facts: dict[HostName, Mapping[str, Any]] = dict(self._earlier.facts)
        """What each host that joined said it is."""
        self._news: list[_News] = []
        self._wake = asyncio.Event()
        self._pool = Pool(self.state, self._session, self._add)
        self._requests = Requests(journal)
        self._clock = Clock(self.state.last_at)
        self._live = Live(self.state, folder, self.jobs, self._pool.tail, plan.secrets, clock=self._clock.now)
        self._group: asyncio.TaskGroup | None = None
        self._stop: RunStopped | None = None
        self._error: Exception | None = None
        """What ended a session or a build that nobody there could deal with: a full disk here, a bug."""
        self._world = World(plan, watcher)
        self._lookups = Lookups(plan, self.state, folder, tell=self._add, note=watcher.note)
        self._keeping = Keeping(journal)
        self._sleep = Sleep()
        self._syncing = Syncing(folder.path)
        self._shown_at = 0.0
        self._leaves_guests = False
        """What runs on hosts goes on when this life ends."""
        self.untold: list[HostName] = []
        """Hosts that may have something of the run still, and could not be told that it is over."""

    @property
    def signatures(self) -> Mapping[int, Signature]:
        """Of the functions that are built."""
        return self._building.signatures

    @property
    def artifacts(self) -> Mapping[int, Artifact]:
        """Of the jobs that are built."""
        return self._building.artifacts

    # --------------------------------------------------------------------------------- Inbox, for sessions

    def post(self, event: Event) -> None:
        self._add(event)

    def report(self, session: Reporter, seq: int | None, batch: int, records: Sequence[Record]) -> None:
        self._add(_Report(session, seq, batch, records))

    def returned(self, session: Reporter, seq: int | None, batch: int, ranges: Ranges, why: str) -> None:
        self._add(_Return(session, seq, TasksReturned(batch=batch, ranges=ranges, why=why)))

    def twin_of(self, host: str, supervisor: str) -> HostName | None:
        return self._pool.twin_of(host, supervisor)

    def beat(self, host: str, beat: Beat) -> None:
        self._watcher.sampled(self._keeping.beat(self.state, host, beat))

    def output(self, host: str, output: Output) -> None:
        self._live.take(host, output)

    def shipping(self, host: str, text: str) -> None:
        self._watcher.shipping(host, text)

    def _session(self, host: Host) -> Session:
        return Session(host, self._plan.run, self.state.incarnation, self._folder, self)

    def stop(self, code: str, text: str) -> None:
        """Let go of the run: guests are stopped, what has not finished stays waiting."""
        self._stop = self._stop or RunStopped(code=code, text=text)
        self._wake.set()

    async def on_disk(self) -> None:
        if not self._plan.open:  # a run that nobody can resume is over with the power
            await self._syncing.done()

    def _note_input(self, file: InputFile) -> None:
        self._inputs.append(file)
        self._wake.set()

    def _add(self, news: _News) -> None:
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
        self._group = group
        self.state.look_up(self._lookups.jobs)
        adding = self._spawn(self._lookups.keep, self._building.works)
        inventory = LiveInventory(self._plan.inventory, self._folder, self, self._watcher.note)
        for n, artifact in self._earlier.artifacts.items():  # before any host tells what it has of them
            counts, calls = self.state.jobs[n].counts, self._earlier.arguments.get(n)
            is_over = not counts[WAITING] and not counts[RUNNING]
            await self._building.take(n, self.jobs[n], artifact, calls, is_over=is_over)
        missing = [(n, job) for n, job in enumerate(self.jobs) if n not in self._earlier.artifacts]
        self._building.pending = len(missing)
        aside = [self._spawn(self._build, n, job) for n, job in missing]
        aside += [self._spawn(self._requests.watch, self._add), *map(self._spawn, (inventory.watch, self._live.watch))]
        for host in self._plan.hosts():
            self._pool.add(host, self._spawn)
        try:
            await self._passes()
            self._lookups.end()
        except BaseException:
            adding.cancel()
            raise
        finally:
            self._building.end()
            for task in aside:
                task.cancel()
            self.untold = await self._pool.end(stop_guests=not self._leaves_guests)
            if self.untold:
                self._watcher.note(_untold(self.untold))

    def _spawn(self, part: Callable[..., Coroutine[Any, Any, None]], *args: object) -> asyncio.Task[None]:
        assert self._group is not None
        return self._group.create_task(self._guard(part, *args))

    async def _guard(self, part: Callable[..., Coroutine[Any, Any, None]], *args: object) -> None:
        """Its error ends the run in order: were it left to the group, no host would be told to stop its guests."""
        try:
            await part(*args)
        except Exception as error:
            self._error = self._error or disk.told(error, self._folder.path)
            self._wake.set()

    def _open(self) -> None:
        """Durably, so that no other life of a scheduler ever gives orders in this one's name, and with the files that
        the next one will want."""
        if not self._plan.open:
            sync_file_system(self._folder.path)
        now = self._clock.now()
        events = opening(self._plan, self._folder.name, self.state, self._before)
        for event in events:
            self._scheduler.observe(event, now)
        seq = self._journal.append(events, now, durable=True)
        left_out = [event.host for event in events if isinstance(event, HostLeft)]
        if left_out:
            self._watcher.note(
                f"{', '.join(left_out)}: not among the hosts any more; what was sent there is done again elsewhere, "
                "and ends there within a day, or by 'batchwasm hosts clean --force'"
            )
        self._requests.turn_away(now)
        self._watcher.opened()
        self._watcher.journaled(events, seq, now)

    async def _passes(self) -> None:
        try:
            while not self.state.finished and self.state.stopped is None:
                await self._news_or_tick()
                self._pass(self._clock.now())
                self._look()
        except Exception as error:
            can_be_resumed = not (self._plan.open or isinstance(error, SourceError | SpecError))
            self._leaves_guests = can_be_resumed  # then what they give is there
            told = (WorldError, SourceError, SpecError) if self._plan.kept else WorldError
            if isinstance(error, told) and self.state.stopped is None:
                with suppress(WorldError):  # a full disk takes this no more than what was before it
                    self._append([stopped_by(error)], self._clock.now())
            raise
        self._keeping.end(self.state)
        self._watcher.passed(self.state)

    def _look(self) -> None:
        """Whether the run goes on after this pass; raises what it ends with where it ends badly."""
        if self.state.finished:
            return
        if self._error is not None:
            raise self._error
        if self._building.errors and not self._building.pending:
            raise SourceError("\n\n".join(map(str, self._building.errors)))
        if self._stop is not None:
            self._append([self._stop], self._clock.now())
        else:
            self._check_world()

    async def _news_or_tick(self) -> None:
        wake_at = self._scheduler.wake_at
        wait_s = TICK_S if wake_at is None else min(TICK_S, max(0.0, wake_at - self._clock.now()))
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _pass(self, now: float) -> None:
        news, self._news = self._news, []
        events, settled, answers = self._observe(news, now)
        decisions = [] if self._building.errors else self._scheduler.decide(now)
        if events or decisions or answers or self._inputs:
            seq = self._journal.append([*events, *decisions], now, answers=answers, inputs=self._inputs)
            self._watcher.journaled([*events, *decisions], seq, now)
            self._inputs.clear()
        for session, seqs in settled.items():
            session.settled(seqs)
        if events or decisions:
            self._building.forget_arguments([*events, *decisions], self.state)
            self._lookups.journaled(events)
            for event in decisions:
                self._act(event)
            for event in (*events, *decisions):
                self._watcher.happened(event)
        self._lookups.look(self.state, self._building.works, self._spawn)
        self._pool.settle()
        slept_s = self._sleep.slept_s()
        if slept_s:
            self._watcher.note(f"this machine was asleep for {slept_s:,.0f} s; connecting to the hosts again")
            self._pool.renew()
        self._housekeep(now)

    def _observe(
        self, news: Sequence[_News], now: float
    ) -> tuple[list[Event], dict[Reporter, list[int]], list[Answered]]:
        events: list[Event] = []
        settled: dict[Reporter, list[int]] = {}
        answers: list[Answered] = []
        for item in news:
            event: Event | None = None
            match item:
                case Asked():
                    said = self._live.heard(item.kind, reply(item, self.state, now), self.facts, now)
                    answers.append(Answered(item.id, said.answer))
                    for each in said.events:
                        self._scheduler.observe(each, now)
                    events += said.events
                case _Report():
                    event = self._scheduler.admit(item.session.host.name, item.batch, item.records)
                    if item.seq is not None:
                        self.disclaim(item.session.host.name, item.batch, item.seq)
                        settled.setdefault(item.session, []).append(item.seq)
                case _Return():
                    event = self._scheduler.admit_return(item.session.host.name, item.event)
                    if item.seq is not None:
                        settled.setdefault(item.session, []).append(item.seq)
                case Looked():
                    event = self._lookups.looked(item, self.state)
                case HostJoined():
                    event, self.facts[item.host] = item, item.facts
                case _:
                    event = item
            if event is not None:
                self._scheduler.observe(event, now)
                events.append(event)
        return events, settled, answers

    def _append(self, events: Sequence[Event], now: float) -> None:
        for event in events:
            self._scheduler.observe(event, now)
        self._watcher.journaled(events, self._journal.append(events, now), now)
        for event in events:
            self._watcher.happened(event)

    def _act(self, decision: Event) -> None:
        match decision:
            case BatchPlaced():
                numbers = list(self.state.batches[decision.batch].remaining.values())
                session = self._pool[decision.host]
                session.start(decision.batch, self._building.works[decision.job], decision.ranges, numbers)
            case BatchRecalled():
                self._pool[self.state.batches[decision.batch].host].recall(decision.batch)
            case BatchGivenUp():
                self._pool[decision.host].kill(decision.batch)
            case HostSetAside() | HostReserved():
                pass  # it is given nothing, which is all
            case TasksCancelled() | RunFinished():
                pass  # what runs is stopped when the sessions end
            case _:
                raise AssertionError(f"not a decision: {decision}")

    def _housekeep(self, now: float) -> None:
        if now - self._shown_at >= SHOW_S:
            self._shown_at = now
            self._watcher.passed(self.state)
        self._keeping.look(self.state, now)

    async def _build(self, n: int, job: Job) -> None:
        if await self._building.build(n, job):
            artifact = self._building.artifacts[n]
            self._watcher.compiled(job.name, artifact)
            await self.on_disk()
            self._add(built(n, artifact))
        self._wake.set()

    # ------------------------------------------------------------------------------ Members, for the inventory

    def come(self, host: Host) -> bool:
        is_new = self._pool.add(self._plan.as_wanted(host), self._spawn)
        self._add(HostAdded(plan=host_plan(host) if is_new else self.state.hosts[host.name].plan))
        return is_new

    def go(self, name: HostName) -> None:
        self._pool.remove(name)
        self._add(HostRemoved(host=name))

    # ----------------------------------------------------------------------------- an open run, in this thread

    async def add_job(self, job: Job, artifact: Artifact) -> int:
        """One more job of an open run, whose calls are added later; its number. Raises WorldError."""
        n = len(self.jobs)
        self.jobs.append(job)
        self._tasks[n] = 0
        self._add(JobAdded(plan=self._plan.job_plan(job, tasks=0)))
        await self._building.take(n, job, artifact)
        self._add(built(n, artifact))
        return n

    def add_calls(self, n: int, arguments: Sequence[Given]) -> int:
        """Calls of job `n` with these arguments; the index of the first."""
        first, held = self._tasks[n], self._building.works[n].arguments
        assert held is not None
        held.add(first, arguments)
        self._tasks[n] = first + len(arguments)
        kept = [each if isinstance(each, bytes) and len(each) <= KEPT_BYTES else None for each in arguments]
        inline = sum(len(each) for each in arguments if isinstance(each, bytes))
        self._add(TasksAdded(job=n, first=first, count=len(kept), argument_bytes=inline, arguments=kept))
        return first

    def withdraw(self, n: int, tasks: Sequence[int], why: str = "") -> None:
        """Calls that are not wanted any more: those that wait don't run, those that run are stopped."""
        if tasks:
            self._add(TasksWithdrawn(job=n, tasks=tuple(tasks), why=why))

    def _waiting(self, n: int) -> list[int]:
        codes = self.state.jobs[n].codes
        return [task for task in range(len(codes)) if codes[task] == WAITING]

    def close(self) -> None:
        """The run ends with its last call."""
        self._add(RunClosed())

    # ------------------------------------------------------------------------------------------ the world

    def _check_world(self) -> None:
        """Raises where the run can't go on: at once where waiting can't mend it, else after `wait_hosts_s`."""
        if self._lookups.busy or not self._world.is_due(self.state):
            return
        hopeless = self._world.impossible(self.state)
        if hopeless and self._plan.open:
            for n, sentence in hopeless.items():  # the other functions go on
                self.withdraw(n, self._waiting(n), why=sentence)
            return
        stopped = None
        if not hopeless:
            stopped = self._world.stop(self.state, building=bool(self._building.pending))
        elif self._has_results():  # a host was late, or came back smaller: what is done is not thrown away for that
            if not self.state.batches:  # and what goes on does so
                stopped = RunStopped(code="impossible", text="\n".join(hopeless.values()), guests_stopped=False)
        else:
            raise SpecError([Problem(file="", line=None, key="", text=text) for text in hopeless.values()])
        if stopped is not None:
            self._append([stopped], self._clock.now())
            raise WorldError(stopped.text)

    def _has_results(self) -> bool:
        counts = self.state.counts
        return sum(counts) > counts[WAITING] + counts[RUNNING]


def _untold(names: Sequence[HostName]) -> str:
    more = f" and {len(names) - SHOWN_HOSTS} more" if len(names) > SHOWN_HOSTS else ""
    return (
        f"{', '.join(names[:SHOWN_HOSTS])}{more} could not be told that the run is over: what it still has of it goes "
        "by itself within a week, or by 'batchwasm hosts clean --force'"
    )
