"""A run that is made up: rows that never change, for pictures of screens and for tests of what is shown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batchwasm.core.sizing import Sizing
from batchwasm.results import RunFolder
from batchwasm.rows import HostRow, JobRow, Status, TaskCounts
from batchwasm.views.model import (
    Cell,
    FailureGroup,
    HostLine,
    HostView,
    JobLine,
    JobView,
    Moment,
    Overview,
    Pace,
    Said,
    TaskLine,
    TaskView,
)

NOW = 1_800_000_000.0
GIB = 1024**3


@dataclass
class Fixed:
    """A Source that always shows the same; `looks` counts how often it was asked."""

    overview: Overview
    is_over: bool = False
    folder: RunFolder = field(default_factory=lambda: RunFolder(path=Path("/runs/tour-3")))
    looks: int = 0
    closed: bool = False

    def look(self) -> Overview:
        self.looks += 1
        return self.overview

    def job(self, name: str) -> JobView:
        line = next(job for job in self.overview.jobs if job.row.name == name)
        return JobView(line=line, params=(), slowest=(), failures=(), durations=(), advice=())

    def cells(self, name: str, cells: int, first: int = 0, stop: int | None = None) -> tuple[Cell, ...]:
        return ()

    def tasks(
        self,
        name: str,
        *,
        states: Collection[str] = (),
        text: str = "",
        sort: str = "index",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[tuple[TaskLine, ...], int]:
        return (), 0

    def failures(self, name: str | None = None) -> tuple[FailureGroup, ...]:
        return ()

    def task(self, name: str, index: int) -> TaskView:
        raise NotImplementedError

    def host(self, name: str) -> HostView:
        line = next(host for host in self.overview.hosts if host.row.name == name)
        return HostView(
            line=line,
            history=(),
            occupancy={},
            since=NOW - 600,
            span_s=10,
            ran=(),
            facts={},
            owner=(),
            errors=(),
        )

    def output(self, name: str, index: int) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


def counts(
    total: int, running: int = 0, succeeded: int = 0, failed: int = 0, cancelled: int = 0, skipped: int = 0
) -> TaskCounts:
    ended = running + succeeded + failed + cancelled + skipped
    return TaskCounts(
        total=total,
        waiting=total - ended,
        running=running,
        succeeded=succeeded,
        failed=failed,
        cancelled=cancelled,
        skipped=skipped,
    )


def job(
    name: str,
    tasks: TaskCounts,
    phase: str = "running",
    detail: str | None = None,
    mean_s: float | None = 4.2,
    retried: int = 0,
    usage: Sizing | None = None,
) -> JobLine:
    row = JobRow(name=name, tasks=tasks, usage=usage)
    return JobLine(row=row, phase=phase, detail=detail, mean_s=mean_s, retried=retried)


def host(name: str, state: str = "ready", reason: str | None = None, **given: Any) -> HostLine:
    """A host of 16 cpus of which 12 are busy, unless said otherwise."""
    there = state not in ("connecting", "down", "unused")
    found: dict[str, Any] = {
        "transport": "ssh",
        "cpus": 16.0,
        "cpus_busy": 12.0,
        "cpu_share": 0.74,
        "load": 11.8,
        "memory_bytes": 32 * GIB,
        "memory_available_bytes": 12 * GIB,
        "disk_free_bytes": 200 * GIB,
        "gpus": (),
        "by_job": {"sim": 12},
        "suspended": 0,
        "heard_at": NOW - 1,
    }
    if not there:
        found |= dict.fromkeys(found, None) | {"transport": "ssh", "gpus": (), "by_job": {}, "suspended": 0}
    found |= given
    row = HostRow(
        name=name,
        state=state,
        reason=reason,
        cpus=found["cpus"],
        running=sum(found["by_job"].values()),
        done=found.pop("done", 310 if there else 0),
    )
    return HostLine(row=row, **found)


def overview(
    jobs: tuple[JobLine, ...],
    hosts: tuple[HostLine, ...],
    *,
    state: str = "running",
    paused: str | None = None,
    reason: str | None = None,
    wall_s: float = 1234.0,
    said: tuple[Said, ...] = (),
    pace: Pace | None = None,
    history: tuple[Moment, ...] = (),
    limits: tuple[str, ...] = (),
    run: str = "tour-3",
) -> Overview:
    words = ("total", "waiting", "running", "succeeded", "failed", "cancelled", "skipped")
    total = TaskCounts(**{word: sum(getattr(job.row.tasks, word) for job in jobs) for word in words})
    status = Status(
        run=run,
        folder=f"/runs/{run}",
        state=state,
        tasks=total,
        jobs=tuple(job.row for job in jobs),
        hosts=tuple(host.row for host in hosts),
        by_outcome={"succeeded": total.succeeded, "failed": total.failed},
        reason=reason,
        wall_s=wall_s,
        paused=paused,
    )
    none = Pace(rate=None, rates=(), span_s=2.0, left_s=None, left_low_s=None, left_high_s=None)
    return Overview(
        at=NOW, status=status, pace=pace or none, jobs=jobs, hosts=hosts, history=history, said=said, limits=limits
    )


def tour() -> Overview:
    """Eight jobs and ten hosts in all states there are."""
    jobs = (
        job("prep", counts(1, succeeded=1), "done", mean_s=12.0),
        job("sim", counts(4000, running=96, succeeded=2310, failed=14), mean_s=4.2, retried=3),
        job("render", counts(500, running=16, succeeded=120, cancelled=20), mean_s=31.0),
        job("stats", counts(64), "waiting", "after sim", None),
        job("fit", counts(1200, running=2, succeeded=800, skipped=30), mean_s=0.08),
        job("check", counts(20, failed=20), "done", mean_s=1.5),
        job("pack", counts(1), "compiling", "zig: its first C++", None),
        job("publish", counts(1), "waiting", "after pack, stats", None),
    )
    hosts = (
        host("lab01", by_job={"sim": 10, "render": 2}),
        host("lab02", by_job={"sim": 16}, cpus_busy=16.0, cpu_share=0.99, load=16.2),
        host("lab03", by_job={"sim": 14, "fit": 2}, gpus=("render", None)),
        host("lab04", "drained", "by ada: new disk", by_job={"sim": 3}, cpus_busy=3.0, cpu_share=0.2),
        host("lab05", "busy", "4 cpus are used by others", by_job={}, cpus_busy=0.0, suspended=2),
        host("lab06", "connecting"),
        host("lab07", "lost", "nothing heard for 41 s", by_job={"sim": 16}, heard_at=NOW - 41),
        host("lab08", "down", "no Python 3.9 or later; install python3", done=0),
        host("lab09", "aside", "8 of its last 10 tasks failed", by_job={}, cpus_busy=0.0),
        host(
            "gpu-box.cs.example.edu", by_job={"render": 4, "sim": 21}, gpus=("render",) * 4, cpus=64.0, cpus_busy=25.0
        ),
    )
    said = (
        Said(at=NOW - 900, tone="plain", text="the run began: 8 jobs, 5,787 tasks, 10 hosts"),
        Said(at=NOW - 880, tone="good", text="lab01 is ready: 16 cpus, 32 GiB", host="lab01"),
        Said(at=NOW - 300, tone="bad", text="check/3 failed on lab02: exit code 1", job="check", task=3, host="lab02"),
        Said(at=NOW - 120, tone="warning", text="lab09 is set aside: 8 of its last 10 tasks failed", host="lab09"),
        Said(at=NOW - 41, tone="bad", text="lab07 is silent: its 16 tasks may run again elsewhere", host="lab07"),
        Said(at=NOW - 12, tone="warning", text="lab04 is drained by ada: new disk", host="lab04"),
    )
    rates = tuple(8.0 + (n * 7 % 11) / 2 for n in range(30))
    pace = Pace(rate=11.4, rates=rates, span_s=2.0, left_s=720.0, left_low_s=540.0, left_high_s=1080.0)
    history = tuple(
        Moment(
            at=NOW - 1234 + n * 10,
            cpus=176,
            cpus_busy=min(176, 4 * n) * 0.9,
            waiting=5000 - n,
            running=100,
            done=n * 30,
        )
        for n in range(124)
    )
    return overview(jobs, hosts, said=said, pace=pace, history=history, limits=("cpus: 112 of 176 are busy",))
