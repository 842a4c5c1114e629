"""What a run tells while it goes on, by the events that it is told of."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from batchwasm.cli.progress import Plain
from batchwasm.cli.watch import RunWatcher
from batchwasm.core.events import Event, HostBusy, HostFree, HostJoined, HostSetAside, Record, TasksFinished
from batchwasm.model import Job, Outcome, RunSpec, Source
from batchwasm.spec.sweep import Axis, Combinations


def ended(*, final: bool) -> TasksFinished:
    return TasksFinished(
        batch=1,
        job=0,
        host="lab01",
        records=[Record(0, 1, Outcome.FAILED, final, 75, 0.0, 0.0, 0.02, 0.0, 0, b"", b"", "exit_code", "exited so")],
    )


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
    ],
)
def test_what_becomes_of_hosts_and_attempts_is_told(event: Event, says: str) -> None:
    stream = io.StringIO()
    sweep = Combinations(axes=(Axis(names=("n",), columns=((1, 2),)),))
    job = Job(name="pi", source=Source(language="wat", paths=(Path("/pi.wat"),)), sweep=sweep)
    watcher = RunWatcher(Plain(stream), RunSpec(name="r", folder=Path("/"), jobs=(job,)), show=True)
    watcher.happened(HostJoined(host="lab01", supervisor="s", cpus=1, memory_bytes=1, facts={}))
    watcher.happened(event)

    assert stream.getvalue().splitlines()[-1] == says
