"""What a run tells while it goes on, by the events that it is told of."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from batchwasm.cli.progress import Plain
from batchwasm.cli.watch import RunWatcher
from batchwasm.core.events import (
    Event,
    HostBusy,
    HostFree,
    HostJoined,
    HostSetAside,
    Record,
    TasksFinished,
    TasksRetried,
    TasksWithdrawn,
)
from batchwasm.model import Job, Outcome, RunSpec, Source
from batchwasm.spec.sweep import Axis, Combinations


def ended(*, final: bool, outcome: Outcome = Outcome.FAILED) -> TasksFinished:
    reason = ("", "") if outcome == Outcome.SUCCEEDED else ("exit_code", "exited so")
    record = Record(0, 1, outcome, final, 75, 0.0, 0.0, 0.02, 0.0, 0, b"", b"", *reason)
    return TasksFinished(batch=1, job=0, host="lab01", records=[record])


def withdrawn(*ranges: tuple[int, int]) -> TasksWithdrawn:
    return TasksWithdrawn(job=0, tasks=(), ranges=ranges, by="alice")


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (HostBusy(host="lab01", text="used 3 s ago"), "host lab01: busy, left to others: used 3 s ago"),
        (HostFree(host="lab01"), "host lab01: ready"),
        (
            HostSetAside(host="lab01", until=61.0, text="5 tasks in a row failed there"),
            f"host lab01: set aside until {time.strftime('%H:%M:%S', time.localtime(61))}: "
            "5 tasks in a row failed there",
        ),
        (ended(final=False), "pi/0 failed on lab01 in 20 ms: exited so; it is tried again"),
        (ended(final=True), "pi/0 failed on lab01 in 20 ms: exited so"),
        (
            ended(final=False, outcome=Outcome.SUCCEEDED),
            "pi/0 succeeded on lab01 in 20 ms; it runs on another host, too, to be compared",
        ),
        (withdrawn((1, 2)), "cancelled by alice: pi/1"),
        (withdrawn((0, 1), (2, 3)), "cancelled by alice: what waits or runs of 2 tasks of pi"),
        (withdrawn((0, 3)), "cancelled by alice: what waits or runs of pi"),
        (
            TasksRetried(job=0, ranges=((0, 2),), by="alice"),
            "to be run again, by alice: what did not succeed of 2 tasks of pi",
        ),
    ],
)
def test_what_becomes_of_hosts_and_attempts_is_told(event: Event, says: str) -> None:
    stream = io.StringIO()
    sweep = Combinations(axes=(Axis(names=("n",), columns=((1, 2, 3),)),))
    job = Job(name="pi", source=Source(language="wat", paths=(Path("/pi.wat"),)), sweep=sweep)
    watcher = RunWatcher(Plain(stream), RunSpec(name="r", folder=Path("/"), jobs=(job,)), show=True)
    watcher.happened(HostJoined(host="lab01", supervisor="s", cpus=1, memory_bytes=1, facts={}))
    watcher.happened(event)

    assert stream.getvalue().splitlines()[-1] == says
