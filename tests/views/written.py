"""A run that nobody ran: its events are written by the tests, and looked at."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from batchwasm.core.events import (
    AfterJob,
    ArtifactBuilt,
    BatchPlaced,
    Event,
    HostJoined,
    HostPlan,
    JobPlan,
    Record,
    RunOpened,
    RunPlanned,
    TasksFinished,
)
from batchwasm.core.state import State
from batchwasm.journal import Journal
from batchwasm.model import GIB, MIB, Outcome, Request
from batchwasm.results import RunFolder
from batchwasm.spec import stored
from batchwasm.spec.sweep import Axis, Combinations

START = 1_000.0
TASKS = 20
JOBS = (
    JobPlan(name="sim", tasks=TASKS, needs=(Request(cpus=1, memory_bytes=GIB),), retries=1, time_s=60.0),
    JobPlan(name="fit", tasks=1, needs=(Request(cpus=2, memory_bytes=GIB),), after=(AfterJob(job=0),)),
)
PLANNED = RunPlanned(run="0a", name="run-1", jobs=JOBS, hosts=(HostPlan(name="lab1"), HostPlan(name="lab2")))
OPENED = RunOpened(incarnation=1, pid=os.getpid(), machine=socket.gethostname(), version="0")
SWEEP = Combinations(axes=(Axis(names=("n",), columns=(range(10),)), Axis(names=("kind",), columns=(("ab", "cd"),))))
FACTS = {"os": "linux", "rules": ["cpus = 4", "hours = 20:00-08:00"]}


def built(job: int) -> ArtifactBuilt:
    return ArtifactBuilt(job=job, digest="d", bytes=9, language="c", toolchain="zig", cached=False, wall_s=1.0)


def joined(host: str, cpus: int = 4) -> HostJoined:
    return HostJoined(host=host, supervisor=host, cpus=cpus, memory_bytes=16 * GIB, facts=FACTS)


def record(task: int, outcome: Outcome = Outcome.SUCCEEDED, *, wall_s: float = 2.0, **fields: Any) -> Record:
    usual = Record(task, 1, outcome, True, 0, START, 0.5, wall_s, wall_s / 2, 5 * MIB, b"out", b"", disk_bytes=7)
    if outcome != Outcome.SUCCEEDED:
        usual = usual._replace(exit_code=3, reason_code="exit_code", reason_text="exited with code 3")
    return usual._replace(**fields)


class Written:
    """The scheduler's side."""

    def __init__(self, folder: RunFolder, begin: Sequence[Event] = (PLANNED, OPENED, built(0), joined("lab1"))) -> None:
        self.folder = folder
        folder.jobs.touch()
        folder.inventory.write_text("[hosts.lab1]\n[hosts.lab2]\ntransport = 'local'\n")
        jobs = [{"name": job.name, "sweep": stored.to_json(sweep)} for job, sweep in zip(JOBS, (SWEEP, Combinations()))]  # noqa: B905
        folder.write_manifest({"inventory": {"path": None, "hosts": None}, "jobs": jobs})
        self.journal = Journal.create(folder.journal)
        self.state = State()
        self.now = START
        self._batch = 0
        self.append(*begin)

    def append(self, *events: Event) -> None:
        for event in events:
            self.state.apply(event, self.now)
        self.journal.append(events, self.now)

    def place(self, *tasks: int, host: str = "lab1", job: int = 0) -> int:
        self._batch += 1
        ranges = tuple((task, task + 1) for task in tasks)
        self.append(BatchPlaced(batch=1 << 40 | self._batch, job=job, host=host, ranges=ranges))
        return 1 << 40 | self._batch

    def end(self, *records: Record, host: str = "lab1", job: int = 0) -> None:
        """A batch of these, from its start to its end."""
        batch = self.place(*(each.task for each in records), host=host, job=job)
        self.now += max(each.wall_s for each in records)
        self.append(TasksFinished(batch=batch, job=job, host=host, records=records))
