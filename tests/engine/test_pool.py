"""Hosts that come, go, are drained and given free while a run goes on, against hosts that the test speaks for."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm.core.events import BatchPlaced, HostAdded, HostBusy, HostFree, HostJoined, HostLeft, HostRefused
from batchwasm.engine import requests
from batchwasm.errors import WorldError
from batchwasm.journal import Journal
from batchwasm.model import Host, Outcome, Request
from batchwasm.runner.protocol import Detach, Start
from tests.engine.fake_host import FakeHost, FakeRunner, until
from tests.engine.test_loop import AWAY, NO_KEY, Running, attached, job, running


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    monkeypatch.setattr(requests, "POLL_S", 0.002)
    return FakeHost(monkeypatch)


async def lives(host: FakeHost, *names: str, cpus: int = 1) -> dict[str, FakeRunner]:
    """The next connections, which are of these hosts."""
    found = [await host.life(attached(cpus)) for _ in names]
    assert sorted(runner.host for runner in found) == sorted(names)
    return {runner.host: runner for runner in found}


async def finish(runner: FakeRunner) -> None:
    """Its next batch, which took so long that one task is sent at a time."""
    await runner.finish(wall_us=1_000_000)


def starts(runner: FakeRunner) -> int:
    """Batches that it was sent and has not ended."""
    return sum(isinstance(order, Start) for order in runner.orders)


async def ask(run: Running, kind: str, **body: object) -> dict[str, object]:
    """As another process does."""
    with closing(Journal.open(run.journal.path, read_only=False)) as other:
        asked = other.ask(kind, body, time.time())
        await until(lambda: other.answer(asked) is not None)
        return dict(other.answer(asked) or {})


async def test_a_host_that_comes_takes_part(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 3), hosts=("g",)) as run:
        g = await host.life(attached(1))
        await until(lambda: starts(g) == 1)
        assert run.loop.come(Host(name="h", labels=frozenset({"new"})))
        h = await host.life(attached(1))
        for runner in (h, h, g):
            await finish(runner)
        state = await run.end()
        assert (state.hosts["h"].done, state.hosts["h"].plan.labels) == (2, ("new",))
        assert run.replayed().hosts["h"].done == 2


async def test_a_host_that_goes_ends_what_it_has_gets_nothing_new_and_is_left(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 4), hosts=("g", "h")) as run:
        there = await lives(host, "g", "h")
        await until(lambda: starts(there["g"]) == starts(there["h"]) == 1)
        run.loop.go("h")
        await until(lambda: run.loop.state.hosts["h"].removed)
        await finish(there["g"])
        assert not any(isinstance(order, Detach) for order in there["h"].orders), "its task still runs"
        await finish(there["h"])
        await there["h"].order(Detach)
        assert starts(there["h"]) == 0
        for _ in range(2):
            await finish(there["g"])
        state = await run.end()
        assert (state.hosts["g"].done, state.hosts["h"].done) == (3, 1)
        (left,) = [event for event in run.seen.events if isinstance(event, HostLeft)]
        assert (left.host, left.code) == ("h", "removed")
        assert state.hosts["h"].capacity is None
        assert state.jobs[0].losses == {}


async def test_a_host_that_comes_back_before_it_is_left_goes_on(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 3), hosts=("h",)) as run:
        h = await host.life(attached(1))
        await until(lambda: starts(h) == 1)
        run.loop.go("h")
        await until(lambda: run.loop.state.hosts["h"].removed)
        assert not run.loop.come(Host(name="h", cpus=7))
        for _ in range(3):
            await finish(h)
        state = await run.end()
        assert (state.hosts["h"].done, state.hosts["h"].plan.cpus) == (3, None)
        assert sum(isinstance(event, HostJoined) for event in run.seen.events) == 1


async def test_a_host_that_comes_back_later_is_met_anew(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 4), hosts=("g", "h")) as run:
        there = await lives(host, "g", "h")
        await finish(there["h"])
        await until(lambda: starts(there["h"]) == 1)
        run.loop.go("h")
        await finish(there["h"])
        await there["h"].order(Detach)
        await until(lambda: run.loop.state.hosts["h"].capacity is None)
        assert run.loop.come(Host(name="h", cpus=1))
        h = await host.life(attached(1))
        assert h.host == "h"
        await finish(h)
        await finish(there["g"])
        state = await run.end()
        assert (state.hosts["h"].done, state.hosts["h"].plan.cpus) == (3, 1)


async def test_a_host_that_comes_back_while_it_says_goodbye_is_met_after_it(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 3), hosts=("g", "h")) as run:
        there = await lives(host, "g", "h")
        gone, close = asyncio.Event(), there["h"].close

        async def slow_close() -> int | None:
            await gone.wait()
            return await close()

        there["h"].close = slow_close  # type: ignore[method-assign]
        await finish(there["h"])
        await until(lambda: starts(there["h"]) == 1)
        run.loop.go("h")
        await finish(there["h"])
        await there["h"].order(Detach)
        assert run.loop.come(Host(name="h"))
        await until(lambda: any(isinstance(event, HostAdded) for event in run.seen.events))
        assert host.lives.empty()
        gone.set()
        h = await host.life(attached(1))
        assert (h.host, starts(there["h"])) == ("h", 0)
        await finish(there["g"])
        state = await run.end()
        assert state.counts[Outcome.SUCCEEDED] == 3
        assert state.jobs[0].losses == {}


async def test_a_host_without_hope_is_met_anew_when_it_is_written_again(host: FakeHost, tmp_path: Path) -> None:
    host.errors["h"] = NO_KEY
    async with running(tmp_path, job(tmp_path, 2), hosts=("g", "h")) as run:
        g = await host.life(attached(1))
        await until(lambda: any(isinstance(event, HostRefused) for event in run.seen.events))
        run.loop.go("h")
        await until(lambda: run.loop.state.hosts["h"].removed)
        del host.errors["h"]
        assert run.loop.come(Host(name="h"))
        h = await host.life(attached(1))
        await finish(h)
        await finish(g)
        assert (await run.end()).hosts["h"].done == 1


async def test_the_last_host_that_goes_is_waited_for_and_then_the_run_can_be_resumed(
    host: FakeHost, tmp_path: Path
) -> None:
    async with running(tmp_path, job(tmp_path, 2), hosts=("h",), wait_hosts_s=0.0) as run:
        h = await host.life(attached(1))
        await until(lambda: starts(h) == 1)
        run.loop.go("h")
        await finish(h)
        assert "h: the inventory has it no longer" in await run.fails(WorldError)
        assert run.replayed().counts[Outcome.SUCCEEDED] == 1


async def test_results_outlive_the_only_host_that_was_large_enough_for_what_waits(
    host: FakeHost, tmp_path: Path
) -> None:
    """A request that is too large from the start takes its run folder with it."""
    large = job(tmp_path, 2, requests=(Request(cpus=4),))
    async with running(tmp_path, large, hosts=("g", "h"), wait_hosts_s=0.0) as run:
        big, _ = await host.life(attached(4)), await host.life(attached(1))
        await until(lambda: starts(big) == 1)
        run.loop.go(big.host)
        await until(lambda: run.loop.state.hosts[big.host].removed)
        await finish(big)
        assert f"{big.host}: the inventory has it no longer" in await run.fails(WorldError)
        assert run.replayed().counts[Outcome.SUCCEEDED] == 1


# ------------------------------------------------------------------------------------------------------ drained


async def test_a_drained_host_gets_nothing_until_it_is_given_free(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 5), hosts=("g", "h")) as run:
        there = await lives(host, "g", "h")
        await until(lambda: starts(there["g"]) == starts(there["h"]) == 1)
        answer = await ask(run, "drain", hosts=["h"], why="exam")
        assert answer == {"hosts": [{"host": "h", "running": 1, "was": None, "busy": None}]}
        await finish(there["h"])
        await finish(there["g"])
        await until(lambda: starts(there["g"]) == 1)
        assert starts(there["h"]) == 0
        await ask(run, "undrain", hosts=["h"])
        for runner in (there["h"], there["h"], there["g"]):
            await finish(runner)
        state = await run.end()
        assert (state.hosts["h"].done, state.hosts["g"].done) == (3, 2)


async def test_a_run_whose_hosts_are_all_drained_says_so_once_and_waits(host: FakeHost, tmp_path: Path) -> None:
    """However short it would wait for hosts that are away."""
    async with running(tmp_path, job(tmp_path, 2), hosts=("g", "h"), wait_hosts_s=0.0) as run:
        host.errors["g"] = AWAY
        h = await host.life(attached(1))
        await until(lambda: starts(h) == 1)
        await ask(run, "drain", hosts=["h"], why="exam")
        await finish(h)
        await until(lambda: bool(run.seen.notes))
        await ask(run, "drain", hosts=["h"], why="fire")  # a pass or two more
        await ask(run, "undrain", hosts=["h"])
        await finish(h)
        await run.end()
        (note,) = run.seen.notes
        assert note.splitlines()[0] == "no host is free for the task that waits:"
        assert "  g: connection refused; is it on?" in note
        assert "  h: drained: exam" in note
        assert "batchwasm hosts undrain h" in note


async def test_a_run_whose_hosts_are_left_to_others_waits_until_one_is_free(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 2), hosts=("h",), wait_hosts_s=0.0) as run:
        h = await host.life(attached(1))
        await until(lambda: starts(h) == 1)
        run.loop.post(HostBusy(host="h", text="load 0.93 over 0.8"))
        await finish(h)
        await until(lambda: bool(run.seen.notes))
        run.loop.post(HostFree(host="h"))
        await finish(h)
        await run.end()
        (note,) = run.seen.notes
        assert "  h: left to others: load 0.93 over 0.8\nthe run waits until one is free" in note


async def test_a_request_that_makes_no_sense_is_answered_and_the_run_goes_on(host: FakeHost, tmp_path: Path) -> None:
    async with running(tmp_path, job(tmp_path, 1), hosts=("h",)) as run:
        h = await host.life(attached(1))
        await until(lambda: starts(h) == 1)
        assert "no host of run-1" in str(await ask(run, "drain", hosts=["g"]))
        assert "knows no request" in str(await ask(run, "dance"))
        await finish(h)
        await run.end()
        assert sum(isinstance(event, BatchPlaced) for event in run.seen.events) == 1


async def test_a_machine_under_two_names_works_under_one_of_them(host: FakeHost, tmp_path: Path) -> None:
    host.one_machine = True
    async with running(tmp_path, job(tmp_path, 2), hosts=("g", "h")) as run:
        first = await host.life(attached(1))
        await until(lambda: starts(first) == 1)
        second = await host.life(attached(1))
        await until(lambda: any(isinstance(event, HostRefused) for event in run.seen.events))
        assert not any(isinstance(order, Detach) for order in second.orders), "it would end the run of the first one"
        (refused,) = [event for event in run.seen.events if isinstance(event, HostRefused)]
        assert (refused.host, refused.waiting_may_help) == (second.host, False)
        assert refused.text == f"it is the same machine as {first.host}; take one of them out of the inventory"
        for _ in range(2):
            await finish(first)
        await run.end()
