"""Run folders that never ran: journals with what a test wants to see reported."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from batchwasm.core.events import (
    ArtifactBuilt,
    BatchPlaced,
    Event,
    HostDrained,
    HostJoined,
    HostLeft,
    HostPlan,
    HostRefused,
    JobPlan,
    Record,
    RunFinished,
    RunOpened,
    RunPlanned,
    TasksCancelled,
    TasksFinished,
)
from batchwasm.journal import Journal
from batchwasm.model import MIB, Outcome, Request
from batchwasm.results import RunFolder

BEGAN = 1_790_000_000.0
HOSTILE = '</script><script>alert("x")</script><img src="http://x.test/a.png" onerror="alert(1)"> & \x1b[31m \u202eback'
"""What a guest, a host or a file may say."""


def folder(path: Path, events: Iterable[tuple[float, Event]], inventory: str = '[hosts."h[1-3]"]\n') -> RunFolder:
    """With these events, their times in seconds since the start."""
    path.mkdir(parents=True)
    found = RunFolder(path=path)
    found.jobs.write_text("")
    found.inventory.write_text(inventory)
    found.manifest.write_text(json.dumps({"batchwasm": "1.2.3", "wasmtime": "50.0.1", "jobs": []}))
    with closing(Journal.create(found.journal)) as journal:
        for at, event in events:
            journal.append([event], BEGAN + at)
    return found


def planned(
    jobs: dict[str, int], hosts: Iterable[str] = ("h1", "h2", "h3"), cpus: float = 1
) -> list[tuple[float, Event]]:
    """Jobs with so many tasks each, compiled and ready."""
    needs = (Request(cpus=cpus, memory_bytes=64 * MIB),)
    plans = tuple(JobPlan(name=name, tasks=tasks, needs=needs, time_s=10) for name, tasks in jobs.items())
    return [
        (0, RunPlanned(run="0123", name="made-1", jobs=plans, hosts=tuple(HostPlan(name=name) for name in hosts))),
        (0, RunOpened(incarnation=1, pid=7, machine="head", version="1.2.3")),
        *((1, built(n)) for n in range(len(plans))),
    ]


def built(job: int) -> Event:
    return ArtifactBuilt(job=job, digest="d" * 64, bytes=9, language="c", toolchain="zig 1", cached=False, wall_s=1.0)


def joined(host: str, cpus: int = 2) -> Event:
    facts = {"os": "linux", "machine": "x86_64", "python": "3.11.2"}
    return HostJoined(host=host, supervisor=f"s-{host}", cpus=cpus, memory_bytes=2**33, facts=facts, batches=())


def placed(batch: int, job: int, host: str, tasks: range) -> Event:
    return BatchPlaced(batch=batch, job=job, host=host, ranges=((tasks.start, tasks.stop),))


def ended(
    task: int,
    start: float,
    wall: float,
    outcome: Outcome = Outcome.SUCCEEDED,
    *,
    number: int = 1,
    final: bool = True,
    reason: tuple[str, str] | tuple[None, None] = (None, None),
    stderr: bytes = b"",
    cpu: float | None = None,
) -> Record:
    started = BEGAN + start
    code = 3 if reason[0] == "exit_code" else 0
    used = wall if cpu is None else cpu
    return Record(task, number, outcome, final, code, started, 0.0, wall, used, MIB, b"", stderr, *reason)


def finished(batch: int, job: int, host: str, *records: Record) -> Event:
    return TasksFinished(batch=batch, job=job, host=host, records=records)


def troubled(path: Path) -> RunFolder:
    """Three hosts, one of them never there and one lost; failures of several kinds, in hostile words."""
    return folder(
        path,
        [
            *planned({"pi": 6, "mean": 2}),
            (2, HostRefused(host="h3", code="key", text=f"no key: {HOSTILE}", waiting_may_help=False)),
            (2, joined("h1")),
            (3, joined("h2", cpus=1)),
            (3, placed(1, 0, "h1", range(2))),
            (3, placed(2, 0, "h2", range(2, 4))),
            (9, finished(1, 0, "h1", ended(0, 3, 5), ended(1, 8, 1, Outcome.FAILED, reason=("exit_code", HOSTILE)))),
            (
                10,
                finished(
                    2, 0, "h2", ended(2, 3, 2, Outcome.FAILED, reason=("exit_code", HOSTILE), stderr=HOSTILE.encode())
                ),
            ),
            (10, HostLeft(host="h2", code="lost", text=HOSTILE)),
            (11, placed(3, 0, "h1", range(4, 5))),
            (
                14,
                finished(
                    3, 0, "h1", ended(4, 11, 3, Outcome.TIMED_OUT, final=False, reason=("time_limit", "too long"))
                ),
            ),
            (15, HostDrained(host="h1", text=HOSTILE)),
            (16, placed(4, 1, "h1", range(2))),
            (20, finished(4, 1, "h1", ended(0, 16, 2), ended(1, 18, 2))),
            (21, TasksCancelled(code="person", text=f"cancelled by {HOSTILE}", running=True)),
            (22, RunFinished()),
        ],
        inventory=f'# {HOSTILE}\n[hosts."h[1-3]"]\n',
    )
