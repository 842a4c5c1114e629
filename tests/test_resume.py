"""A run whose scheduler ended before it goes on: what finished stays, what its hosts run is taken in."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from batchwasm.core import invariants
from batchwasm.core.events import (
    BatchPlaced,
    Event,
    HostAway,
    HostJoined,
    HostLeft,
    RunOpened,
    TasksFinished,
    indexes,
)
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Journal
from tests.command import Cli
from tests.guests import HELLO_WAT, STARTED_WAT, WORK_C
from tests.sshd import Sshd

WORK = """
[jobs.work]
source = "work.c"
args = ["{n}", "1500"]
sweep = { n = { range = [0, 12] } }
"""
SQUARES = {n: f"{n * n}\n" for n in range(12)}
INVENTORY = """
[defaults]
cpus = 2
[hosts.sshd-a]
[hosts.sshd-b]
"""


@pytest.fixture
def folder(batchwasm: Cli, ssh_pool: list[Sshd]) -> Path:
    """Two hosts of two cpus each, and twelve tasks of a second and a half."""
    (batchwasm.folder / "inventory.toml").write_text(INVENTORY)
    (batchwasm.folder / "work.c").write_text(WORK_C)
    (batchwasm.folder / "jobs.toml").write_text(WORK)
    return batchwasm.folder


@contextmanager
def opened(folder: Path, run: str = "jobs-1") -> Iterator[Journal]:
    journal = Journal.open(folder / "batchwasm-runs" / run / "journal.db", read_only=True)
    try:
        yield journal
    finally:
        journal.close()


def events_of(folder: Path) -> list[Event]:
    with opened(folder) as journal:
        return [event for _, _, event in journal.replay()]


def until(condition: Callable[[], bool]) -> None:
    """Another process makes it so."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def placed(folder: Path) -> list[BatchPlaced]:
    try:
        return [event for event in events_of(folder) if isinstance(event, BatchPlaced)]
    except (OSError, RunError, WorldError):
        return []  # there is no run yet, or no table in its journal


def running(folder: Path, tasks: int) -> Callable[[], bool]:
    def is_so() -> bool:
        found = list((folder / "batchwasm-runs").glob("jobs-1/journal.db"))
        return bool(found) and sum(event.ranges[0][1] - event.ranges[0][0] for event in placed(folder)) >= tasks

    return is_so


def attempts_of(folder: Path) -> Counter[int]:
    """How often each task came to a host, but for second attempts of what was late, which are meant to be.

    What was placed just as a connection was cut may never have left here: the same supervisor, heard again, neither has
    it nor a report of it.
    """
    came: dict[int, BatchPlaced] = {}
    supervisors: dict[str, str] = {}
    events = events_of(folder)
    reported = {event.batch for event in events if isinstance(event, TasksFinished)}
    for event in events:
        if isinstance(event, BatchPlaced):
            came[event.batch] = event
        elif isinstance(event, HostJoined):
            if supervisors.get(event.host) == event.supervisor:
                sent = {batch for batch, placed in came.items() if placed.host == event.host}
                for batch in sent - reported - set(event.batches or ()):
                    del came[batch]
            supervisors[event.host] = event.supervisor
    return Counter(task for batch in came.values() if not batch.double for task in indexes(batch.ranges))


def check(batchwasm: Cli, expected: dict[int, str]) -> None:
    """Every task has one result, and the right one; the journal is whole."""
    rows = batchwasm("results", "--json").rows
    assert {row["index"]: row["stdout"] for row in rows} == expected
    assert all(row["outcome"] == "succeeded" for row in rows)
    with opened(batchwasm.folder) as journal:
        finals = Counter((attempt.job, attempt.record.task) for attempt in journal.attempts(final=True))
        invariants.check(journal.state())
    assert set(finals.values()) == {1}


def test_a_killed_run_goes_on_and_runs_nothing_twice(batchwasm: Cli, folder: Path) -> None:
    process = batchwasm.start("run", "jobs.toml")
    until(running(folder, 6))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    status = batchwasm("status", "--json").json
    assert (status["state"], status["tasks"]["running"]) == ("stopped", 4)
    (folder / "work.c").write_text("this does not compile")
    again = batchwasm("resume", "--json")
    assert again.json["tasks"]["succeeded"] == 12
    assert attempts_of(folder) == dict.fromkeys(range(12), 1)
    check(batchwasm, SQUARES)
    opens = [event.incarnation for event in events_of(folder) if isinstance(event, RunOpened)]
    assert opens == [1, 2]
    assert batchwasm("resume").code == 0, "a run that is over is told as it ended"


def test_a_connection_that_drops_leaves_tasks_running(batchwasm: Cli, folder: Path, ssh_pool: list[Sshd]) -> None:
    process = batchwasm.start("run", "jobs.toml", "--json")
    until(running(folder, 6))
    for server in ssh_pool[:2]:
        server.cut()
    assert process.wait(60) == 0
    process.communicate()
    events = events_of(folder)
    assert {event.host for event in events if isinstance(event, HostAway)} == {"sshd-a", "sshd-b"}
    assert not [event for event in events if isinstance(event, HostLeft)]
    assert attempts_of(folder) == dict.fromkeys(range(12), 1)
    check(batchwasm, SQUARES)


def test_what_a_supervisor_took_with_it_runs_again(batchwasm: Cli, folder: Path, ssh_pool: list[Sshd]) -> None:
    process = batchwasm.start("run", "jobs.toml", "--json")
    until(running(folder, 6))
    ssh_pool[0].kill()
    ssh_pool[0].start()
    assert process.wait(60) == 0
    process.communicate()
    joined = [event.supervisor for event in events_of(folder) if isinstance(event, HostJoined)]
    assert len(joined) == len(set(joined)) == 3
    assert max(attempts_of(folder).values()) == 2
    check(batchwasm, SQUARES)


def test_a_second_scheduler_is_refused_with_the_first_ones_pid(batchwasm: Cli, folder: Path) -> None:
    process = batchwasm.start("run", "jobs.toml")
    until(running(folder, 1))
    refused = batchwasm("resume", code=3)
    assert str(process.pid) in refused.err
    assert os.uname().nodename in refused.err
    assert "goes on with the run when that is mended" not in refused.err, "nothing is to be mended"
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert process.returncode == 130
    assert batchwasm("resume", "--json").json["tasks"]["succeeded"] == 12
    check(batchwasm, SQUARES)


def test_an_input_that_changed_meanwhile_is_told_and_mended(batchwasm: Cli) -> None:
    folder = batchwasm.folder
    (folder / "loop.wat").write_text(STARTED_WAT)
    (folder / "in.txt").write_text("one")
    (folder / "jobs.toml").write_text(
        '[jobs.loop]\nsource = "loop.wat"\ninputs = ["in.txt"]\ntime_limit = "2s"\nsweep = { n = [1, 2, 3, 4] }\n'
    )
    process = batchwasm.start("run", "jobs.toml")
    until(lambda: bool(list((folder / "batchwasm-runs").glob("jobs-1"))) and bool(placed(folder)))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    (folder / "in.txt").write_text("two")
    refused = batchwasm("resume", code=2)
    assert "in.txt is not what it was" in refused.err
    (folder / "in.txt").write_text("one")
    assert batchwasm("resume", "--json", code=1).json["by_outcome"] == {"timed_out": 4}


@pytest.mark.parametrize("gone", [False, True])
def test_an_input_of_a_job_that_is_over_is_needed_no_more(batchwasm: Cli, gone: bool) -> None:
    folder = batchwasm.folder
    (folder / "hello.wat").write_text(HELLO_WAT)
    (folder / "loop.wat").write_text(STARTED_WAT)
    (folder / "in.txt").write_text("one")
    (folder / "jobs.toml").write_text(
        '[jobs.pre]\nsource = "hello.wat"\ninputs = ["in.txt"]\n'
        '[jobs.loop]\nafter = ["pre"]\nsource = "loop.wat"\ntime_limit = "1s"\n'
    )
    process = batchwasm.start("run", "jobs.toml")
    until(lambda: bool(list((folder / "batchwasm-runs").glob("jobs-1"))) and len(placed(folder)) == 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    if gone:
        (folder / "in.txt").unlink()
    else:
        (folder / "in.txt").write_text("two")
    assert batchwasm("resume", "--json", code=1).json["by_outcome"] == {"succeeded": 1, "timed_out": 1}
