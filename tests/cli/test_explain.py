"""`explain` of tasks that wait, as people read it: every line fits, every cause is there."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from batchwasm.core.events import (
    Event,
    HostLeft,
    HostPlan,
    HostRefused,
    HostSetAside,
    HostSilent,
    JobPlan,
    RunOpened,
    RunPlanned,
    TasksFinished,
)
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import State
from batchwasm.journal import Journal
from batchwasm.model import Request
from batchwasm.results import RunFolder
from batchwasm.views.explaining import clock
from tests.cli.terminal import on_a_terminal
from tests.command import Cli
from tests.core.test_scheduler import built, joined, placed, plan, record
from tests.guests import HELLO_WAT

REFUSED = "127.0.0.1 port 9: connection refused; is sshd running there, and is the port right?"


@pytest.fixture
def folder(batchwasm: Cli) -> RunFolder:
    """A run that goes on: forty hosts, a few of them closed."""
    found = RunFolder(path=batchwasm.folder / "run-1")
    found.path.mkdir()
    found.jobs.write_text("")
    names = [f"lab{n:02}" for n in range(1, 41)]
    jobs = (
        JobPlan(name="sim", tasks=200, needs=(Request(cpus=2, memory_bytes=1),)),
        plan(100, name="mean", memory=1),
    )
    now = time.time()
    scheduler = Scheduler(State())
    journal = Journal.create(found.journal)

    def observe(*events: Event) -> None:
        for event in events:
            scheduler.observe(event, now)
        journal.append(events, now)

    observe(
        RunPlanned(run="r", name="run-1", jobs=jobs, hosts=tuple(HostPlan(name=name) for name in names)),
        RunOpened(incarnation=1, pid=1, machine=socket.gethostname(), version="0"),
        *(built(0), built(1)),
        *(joined(name, cpus=4) for name in names[:-1]),
        HostRefused(host="lab40", code="connect", text=REFUSED, waiting_may_help=True),
    )
    decisions = scheduler.decide(now)
    journal.append(decisions, now)
    first = next(batch for batch in placed(decisions) if batch.host == "lab05")
    event = scheduler.admit(first.host, first.batch, [record(first.ranges[0][0], wall_s=9.0)])
    assert isinstance(event, TasksFinished)
    observe(event)
    observe(
        HostSetAside(host="lab05", until=now + 60.0, text="5 tasks in a row failed there that succeed elsewhere"),
        HostSilent(host="lab06"),
        HostLeft(host="lab07", code="lost", text="connection reset"),
    )
    journal.close()
    return found


def test_a_task_that_waits_says_why_on_eighty_columns(batchwasm: Cli, folder: RunFolder) -> None:
    with folder.held():
        shown = batchwasm("explain", "mean/99", "-r", folder.path).out
        code, on_screen = on_a_terminal(
            "-m", "batchwasm", "explain", "mean/99", "-r", str(folder.path), cwd=batchwasm.folder, columns=60
        )
    lines = shown.splitlines()
    assert lines[:3] == [
        "mean/99 of run-1 waits",
        "  behind sim (124 tasks, older) in the queue",
        "  99 tasks of mean go first",
    ]
    assert max(map(len, lines)) <= 80
    assert "  lab[01-04,08-39]  cpus: " in shown
    assert "  lab05             set aside: 5 tasks in a row failed there that succeed" in shown
    assert f"(until {clock(time.time() + 60.0)})" in shown or "(until" in shown
    assert "  lab40             127.0.0.1 port 9: connection refused;" in shown
    assert code == 0
    assert max(map(len, on_screen.splitlines())) <= 60


def test_a_run_says_what_limits_it_and_which_hosts_get_nothing(batchwasm: Cli, folder: RunFolder) -> None:
    with folder.held():
        lines = batchwasm("explain", "-r", folder.path).out.splitlines()
    assert lines[0] == "run run-1 is running; what limits it:"
    assert "  1 of 40 hosts is silent: lab06" in lines
    assert "  1 of 40 hosts is lost: lab07" in lines
    assert lines.index("hosts that get nothing new") > 3
    assert "  lab06  silent; it may be gone" in lines


def test_times_of_another_day_have_their_date() -> None:
    now = time.time()
    assert len(clock(now)) == len("10:42")
    assert clock(now - 3 * 86400) == time.strftime("%Y-%m-%d %H:%M", time.localtime(now - 3 * 86400))


def test_a_task_after_one_that_failed_says_so_in_a_real_run(batchwasm: Cli) -> None:
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    (batchwasm.folder / "trap.wat").write_text(
        '(module (memory (export "memory") 1) (func (export "_start") unreachable))'
    )
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.prep]\nsource = "trap.wat"\nretries = 1\n[jobs.sim]\nsource = "hello.wat"\nafter = "prep"\n'
        '[jobs.fat]\nsource = "hello.wat"\nsweep = { n = [1, 2, 3] }\nmemory = "2GiB"\n'
    )
    shown = batchwasm("run", "jobs.toml", "--dry-run").out
    assert "prep: 1 task of wat\n" in shown
    assert "  after     prep\n" in shown
    assert "  retries   1 after " in shown
    ended = batchwasm("run", "jobs.toml", code=1)
    assert 'fat: asks for 2 GiB of memory and used at most 64 KiB; memory = "4MiB"' in ended.err
    assert batchwasm("explain", "sim").out == (
        "sim of jobs-1 ended: skipped\n  it comes after prep, which did not succeed (trapped)\n"
    )
    assert batchwasm("explain", "prep").out.count("trapped on localhost") == 2
    found = batchwasm("explain", "prep", "--json").json
    assert [(attempt["number"], attempt["final"]) for attempt in found["attempts"]] == [(1, False), (2, True)]
    assert Path(found["folder"]).name == "jobs-1"
