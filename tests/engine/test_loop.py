"""A whole run against hosts that the test speaks for: how it ends, whatever ends it, and what the journal then says."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from batchwasm.artifacts import Store
from batchwasm.core import invariants
from batchwasm.core.events import BatchPlaced, Event, HostAway, HostJoined
from batchwasm.core.policy import CRASH_LIMIT
from batchwasm.core.state import RUNNING, WAITING, State
from batchwasm.engine.loop import Loop
from batchwasm.engine.plan import Plan, Watcher
from batchwasm.errors import BatchwasmError, HostError, SourceError, SpecError, WorldError
from batchwasm.journal import Journal
from batchwasm.model import Host, Input, Inventory, Job, Outcome, Request, RunSpec, Source, Template
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import Acknowledge, Attached, Detach, Detail, Kill, Output, Start, Tail
from batchwasm.spec.sweep import Axis, Combinations
from tests.engine.fake_host import FakeHost, until
from tests.guests import HELLO_WAT

AWAY = HostError("unreachable", "connection refused", "is it on?")
NO_KEY = HostError("key", "its key is not known", "batchwasm hosts trust")


class Seen(Watcher):
    """A Watcher that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notes: list[str] = []

    def happened(self, event: Event) -> None:
        self.events.append(event)

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Running:
    loop: Loop
    ending: asyncio.Task[State]
    journal: Journal
    seen: Seen

    async def end(self) -> State:
        async with asyncio.timeout(10):
            return await self.ending

    async def fails(self, kind: type[BatchwasmError]) -> str:
        """The text of the error that the run ends with."""
        with pytest.raises(kind) as raised:
            await self.end()
        return str(raised.value)

    def replayed(self) -> State:
        """What the journal says, event by event."""
        state = State()
        for _, at, event in self.journal.replay():
            state.apply(event, at)
        return state


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    return FakeHost(monkeypatch)


def job(folder: Path, tasks: int = 3, *, name: str = "j", text: str = HELLO_WAT, **fields: Any) -> Job:
    source = folder / f"{name}.wat"
    source.write_text(text)
    sweep = Combinations(axes=(Axis(names=("n",), columns=(range(tasks),)),))
    return Job(name=name, source=Source(language="wat", paths=(source,)), sweep=sweep, **fields)


@asynccontextmanager
async def running(
    tmp_path: Path, *jobs: Job, hosts: tuple[str, ...] = ("h",), max_failures: int | None = None, **fields: Any
) -> AsyncIterator[Running]:
    folder = RunFolder(path=tmp_path / "run-1")
    folder.path.mkdir()
    plan = Plan(
        run="0123",
        spec=RunSpec(name="run", folder=tmp_path, jobs=jobs, max_failures=max_failures),
        inventory=Inventory(hosts=[Host(name=name) for name in hosts]),
        store=Store(tmp_path / "store"),
        **fields,
    )
    journal, seen = Journal.create(folder.journal), Seen()
    loop = Loop(plan, folder, journal, seen)
    run = Running(loop, asyncio.ensure_future(loop.run()), journal, seen)
    try:
        yield run
        assert run.ending.done(), "the test left the run alone"
    finally:
        run.ending.cancel()
        await asyncio.gather(run.ending, return_exceptions=True)
        journal.close()


def attached(cpus: int = 2, memory_bytes: int = 8 * 1024**3) -> Attached:
    return Attached("s1", "boot", cpus, memory_bytes, "/spool/run")


async def test_every_task_has_its_result_and_the_host_is_told_the_end(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 3)) as run:
        runner = await host.life()
        done = [task.task for _ in range(3) for task in (await runner.finish()).tasks]
        state = await run.end()
        assert (sorted(done), state.counts[Outcome.SUCCEEDED], state.finished) == ([0, 1, 2], 3, True)
        await runner.order(Detach)
        assert max(order.seq for order in runner.orders if isinstance(order, Acknowledge)) == 3
        assert run.replayed().counts == state.counts
        assert run.journal.state().finished
        *_, (_, last) = run.journal.progress()
        assert (last.succeeded, last.waiting, last.running) == (3, 0, 0)


async def test_a_batch_is_in_the_journal_before_its_host_hears_of_it(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 1)) as run:
        runner = await host.life()
        start = await runner.order(Start)
        assert start.batch in run.replayed().batches
        runner.orders.append(start)
        await runner.finish()
        await run.end()


async def test_all_sources_that_do_not_compile_are_told_and_the_hosts_let_go(host: FakeHost, tmp_path: Path) -> None:
    jobs = [job(tmp_path, name=name, text="(module (oops))") for name in ("a", "b")]
    async with running(tmp_path, job(tmp_path), *jobs) as run:
        runner = await host.life()
        text = await run.fails(SourceError)
        assert "a" in text
        assert "b" in text
        await runner.order(Detach)


async def test_a_request_beyond_all_hosts_names_the_nearest(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, requests=(Request(cpus=64),)), hosts=("g", "h")) as run:
        lives = [await host.life(attached(cpus)) for cpus in (2, 8)]
        assert f"nearest is {lives[1].host} with 8 cpus" in await run.fails(SpecError)
        for runner in lives:
            await runner.order(Detach)


@pytest.mark.parametrize(("error", "wait_s"), [(AWAY, 0.0), (NO_KEY, 600.0)], ids=["after the wait", "at once"])
async def test_without_a_host_it_ends_and_can_be_resumed(
    host: FakeHost, tmp_path: Path, error: HostError, wait_s: float
) -> None:
    host.error = error
    async with running(tmp_path, job(tmp_path), wait_hosts_s=wait_s) as run:
        text = await run.fails(WorldError)
        assert "the 3 tasks that wait" in text
        assert error.cause in text
        stopped = run.replayed()
        assert stopped.stopped is not None
        assert (stopped.stopped.code, stopped.counts[WAITING]) == ("no_hosts", 3)


async def test_a_job_that_waits_for_a_host_that_is_still_connecting_is_told(host: FakeHost, tmp_path: Path) -> None:
    jobs = (job(tmp_path, 1), job(tmp_path, 1, name="large", requests=(Request(cpus=16),)))
    async with running(tmp_path, *jobs, hosts=("g", "h")) as run:
        small = await host.life(attached(2))
        await small.finish()
        waits = "large waits: no host that is there can take it, but "
        await until(lambda: any(note.startswith(waits) for note in run.seen.notes))
        other = await host.life(attached(16))
        await other.finish()
        assert (await run.end()).finished


async def test_what_is_done_is_kept_when_the_last_host_turns_out_too_small(host: FakeHost, tmp_path: Path) -> None:
    jobs = (job(tmp_path, 1), job(tmp_path, 1, name="large", requests=(Request(cpus=16),)))
    async with running(tmp_path, *jobs, hosts=("g", "h")) as run:
        small = await host.life(attached(2))
        await small.finish()
        await until(lambda: run.journal.state().counts[Outcome.SUCCEEDED] == 1)
        await host.life(attached(4))
        assert "jobs.large: asks for 16 cpus" in await run.fails(WorldError)
        kept = run.journal.state()
        assert kept.stopped is not None
        assert (kept.stopped.code, kept.counts[WAITING]) == ("impossible", 1)


async def test_a_host_too_small_for_what_waits_is_no_hope(host: FakeHost, tmp_path: Path) -> None:
    """The one that would do is away: that another is connected must not make the run wait for ever."""
    host.errors["large"] = AWAY
    jobs = job(tmp_path, 1, requests=(Request(cpus=16),))
    async with running(tmp_path, jobs, hosts=("large", "small"), wait_hosts_s=0.0) as run:
        await host.life(attached(2))
        text = await run.fails(WorldError)
        assert "large: connection refused" in text
        assert "small:" not in text
        assert "asks for 16 cpus, more than any host that answered has; nearest is small with 2 cpus" in text


async def test_a_host_that_comes_late_takes_part(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 4), hosts=("g", "h")) as run:
        first = await host.life(attached(1))
        await until(lambda: any(isinstance(event, HostJoined) for event in run.seen.events))
        second = await host.life(attached(3))
        for _ in range(3):
            await second.finish()
        await first.finish()
        assert (await run.end()).hosts[second.host].done == 3


async def test_tasks_of_a_host_that_goes_are_run_elsewhere(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 1), hosts=("g", "h")) as run:
        lives = {runner.host: runner for runner in [await host.life(attached(1)), await host.life(attached(1))]}
        await until(lambda: any(isinstance(o, Start) for runner in lives.values() for o in runner.orders))
        holder = next(runner for runner in lives.values() if any(isinstance(o, Start) for o in runner.orders))
        host.errors[holder.host] = AWAY
        holder.say(b"")
        (other,) = [runner for runner in lives.values() if runner is not holder]
        work = await other.finish()
        assert work.tasks[0].number == 2
        state = await run.end()
        assert (state.hosts[other.host].done, state.counts[Outcome.SUCCEEDED]) == (1, 1)


async def test_fail_fast_cancels_all_that_waits_and_runs(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 5), fail_fast=True) as run:
        runner = await host.life()
        await runner.finish(Outcome.FAILED)
        state = await run.end()
        assert (state.counts[Outcome.FAILED], state.counts[Outcome.CANCELLED]) == (1, 4)
        await runner.order(Detach)


async def test_max_failures_lets_what_runs_end(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 5), max_failures=1) as run:
        runner = await host.life()
        await runner.finish(Outcome.FAILED)
        await runner.finish()
        state = await run.end()
        assert [state.counts[o] for o in (Outcome.FAILED, Outcome.SUCCEEDED, Outcome.CANCELLED)] == [1, 1, 3]


async def test_an_interrupted_run_leaves_its_tasks_waiting(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 3)) as run:
        runner = await host.life()
        await runner.finish()
        await runner.order(Start)
        run.loop.stop("interrupted", "interrupted")
        await run.end()
        await runner.order(Detach)
        state = run.replayed()
        assert (state.counts[Outcome.SUCCEEDED] + state.counts[WAITING], state.batches) == (3, {})
        assert state.stopped is not None
        assert run.journal.state().counts == state.counts


async def test_an_interruption_does_not_wait_for_files_on_their_way(host: FakeHost, tmp_path: Path) -> None:
    getting = asyncio.Event()

    async def slow_get(*args: object, **kwargs: object) -> None:
        getting.set()
        await asyncio.Event().wait()

    host.depot.get = slow_get  # type: ignore[method-assign]
    async with running(tmp_path, job(tmp_path, 1)) as run:
        runner = await host.life()
        await runner.finish(detail=Detail(stdout_spooled=(1, "0" * 64)))
        await getting.wait()
        run.loop.stop("interrupted", "interrupted")
        async with asyncio.timeout(5):
            await run.ending


def _full_journal(run: Running) -> None:
    def append(*args: object, **kwargs: object) -> int:
        raise WorldError("journal.db: database or disk is full")

    run.journal.append = append  # type: ignore[method-assign]


@pytest.mark.parametrize("where", ["journal", "outputs"])
async def test_a_full_disk_ends_the_run_and_what_runs_goes_on(host: FakeHost, tmp_path: Path, where: str) -> None:
    async def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    host.depot.get = full  # type: ignore[method-assign]
    detail = Detail(stdout_spooled=(1, "0" * 64)) if where == "outputs" else None
    async with running(tmp_path, job(tmp_path, 9), hosts=("g", "h")) as run:
        lives = [await host.life(), await host.life()]
        for runner in lives:
            start = await runner.order(Start)
            runner.orders.append(start)
        if where == "journal":
            _full_journal(run)
        await lives[0].finish(detail=detail)
        text = await run.fails(WorldError)
        assert "full" in text or "No space left" in text
        for runner in lives:
            assert not [order for order in runner.orders if isinstance(order, Detach | Kill)]
        kept = run.journal.state()
        assert kept.counts[Outcome.SUCCEEDED] == 0, "what could not be written down did not happen"
        assert kept.counts[RUNNING] == 4
        invariants.check(kept)
        if where == "outputs":
            assert kept.stopped is not None
            assert kept.stopped.code == "world"


async def test_a_bug_in_one_session_ends_the_run_in_order_and_costs_no_guest(host: FakeHost, tmp_path: Path) -> None:
    def broken(*args: object) -> None:
        raise ZeroDivisionError

    async with running(tmp_path, job(tmp_path, 9), hosts=("g", "h")) as run:
        lives = [await host.life(), await host.life()]
        for runner in lives:
            runner.orders.append(await runner.order(Start))
        run.loop.report = broken  # type: ignore[method-assign, assignment]
        await lives[0].finish()
        with pytest.raises(ZeroDivisionError):
            await run.end()
        for runner in lives:
            assert not [order for order in runner.orders if isinstance(order, Detach | Kill)]


async def test_an_input_that_vanished_costs_its_task_and_not_the_run(host: FakeHost, tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.txt").write_text("x")
    inputs = (Input(source=Template(parts=("", "n", "*.txt"))),)
    async with running(tmp_path, job(tmp_path, 3, inputs=inputs)) as run:
        (tmp_path / "1.txt").unlink()
        runner = await host.life()
        for _ in range(2):
            await runner.finish()
        state = await run.end()
        assert (state.counts[Outcome.SUCCEEDED], state.counts[Outcome.INVALID]) == (2, 1)
        (lost,) = [a.record for a in run.journal.attempts() if a.record.outcome == Outcome.INVALID]
        assert (lost.task, lost.reason_code) == (1, "input_changed")


async def test_a_host_that_is_started_anew_again_and_again_loses_no_task(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 1)) as run:
        for n in range(3):
            runner = await host.life(replace(attached(), supervisor=f"s{n}"))
            await runner.order(Start)
            runner.say(b"")
        runner = await host.life(replace(attached(), supervisor="last"))
        assert (await runner.finish()).tasks[0].number == 4
        state = await run.end()
        assert state.counts[Outcome.SUCCEEDED] == 1
        assert sum(isinstance(event, HostAway) for event in run.seen.events) == 3


async def test_what_a_host_runs_while_its_connection_breaks_is_its_result(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 1)) as run:
        first = await host.life()
        start = await first.order(Start)
        first.say(b"")
        second = await host.life(replace(attached(), batches=[start.batch], left=[1]))
        second.orders.append(start)
        await second.finish()
        assert (await run.end()).counts[Outcome.SUCCEEDED] == 1
        assert sum(isinstance(event, BatchPlaced) for event in run.seen.events) == 1


async def test_an_order_that_was_lost_with_the_connection_is_given_again_and_counts_for_no_loss(
    host: FakeHost, tmp_path: Path
) -> None:
    async with running(tmp_path, job(tmp_path, 1)) as run:
        for _ in range(CRASH_LIMIT):
            runner = await host.life()
            await runner.order(Start)
            runner.say(b"")
        runner = await host.life()
        assert (await runner.finish()).tasks[0].number == 1
        assert (await run.end()).counts[Outcome.SUCCEEDED] == 1


async def test_what_a_task_prints_is_asked_for_while_another_process_follows_it(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 1)) as run:
        runner = await host.life()
        start = await runner.order(Start)
        asked = run.journal.ask("follow", {"job": "j", "task": 0}, 1.0)
        order = await runner.order(Tail)
        assert (order.batch, order.task, order.stdout_from, order.stderr_from) == (start.batch, 0, 0, 0)
        assert run.journal.answer(asked) == {"job": 0, "task": 0, "host": "h", "os": "fake"}
        runner.say(Output(start.batch, 0, 0, 0, 3, b"outerr"))
        live = tmp_path / "run-1/live/j/0/1"
        await until(lambda: (live / "stderr").exists())
        assert ((live / "stdout").read_bytes(), (live / "stderr").read_bytes()) == (b"out", b"err")
        runner.orders.insert(0, start)
        await runner.finish()
        await run.end()
        assert not (tmp_path / "run-1/live").exists()
