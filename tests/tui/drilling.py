"""A run that is made up, with all that the screens of a job, a task and a host show; the same at every look."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from batchwasm.core.explain import Hosts, Place
from batchwasm.core.reasons import Reason
from batchwasm.core.sizing import Measure, Sizing
from batchwasm.explained import AttemptRow, Explained
from batchwasm.following.output import News, Printed
from batchwasm.rows import ResultReason, ResultRow
from batchwasm.views.model import (
    Attempted,
    Cell,
    FailureGroup,
    HostView,
    JobView,
    Load,
    Moment,
    Said,
    TaskLine,
    TaskView,
)
from tests.tui.synthetic import GIB, NOW, Fixed, counts, host, job, overview

MIB = 1024**2


def sizing() -> Sizing:
    return Sizing(
        attempts=2410,
        cpus=Measure(asked=1, used=0.94, next=1),
        memory_bytes=Measure(asked=512 * MIB, used=120 * MIB, next=160 * MIB),
        time_s=Measure(asked=60.0, used=57.5, next=90.0),
        mean_s=4.2,
        disk_bytes=Measure(asked=None, used=3 * MIB, next=4 * MIB),
    )


class Typed:
    """A TaskOutput that tells each list of news at a look of its own, then nothing."""

    def __init__(self, *looks: Sequence[News]) -> None:
        self._looks = list(looks)
        self.closed = False

    def look(self) -> Iterator[News]:
        yield from self._looks.pop(0) if self._looks else ()

    def close(self) -> None:
        self.closed = True


def printed(stream: Any, data: bytes) -> Printed:
    return Printed(stream, io.BytesIO(data))


STATES = ("succeeded", "succeeded", "succeeded", "failed", "succeeded", "out_of_memory", "succeeded", "timed_out")


def state_of(index: int, tasks: int) -> str:
    """First those that ended, nearly all of them well; then some that run, then those that wait."""
    if index * 10 < tasks * 6:
        return STATES[index // 29 % len(STATES)] if index % 29 == 3 else "succeeded"
    return "running" if index * 100 < tasks * 63 else "waiting"


REASONS = {
    "failed": "exit code 3: no such file: [red]in/\x1b[31m7.dat",
    "out_of_memory": "its memory would have grown beyond 512 MiB",
    "timed_out": "it ran longer than 60 s",
}


def line(index: int, tasks: int, name: str = "sim") -> TaskLine:
    state = state_of(index, tasks)
    ended, waits = state not in ("waiting", "running"), state == "waiting"
    return TaskLine(
        job=name,
        index=index,
        state=state,
        params={"n": index, "mode": ("fast", "exact")[index % 2]},
        host=None if waits else f"lab{index % 7 + 1:02d}",
        attempts=0 if waits else 1 + (index % 31 == 0),
        reason=REASONS.get(state),
        queued_s=None if waits else 0.2 + index % 13,
        wall_s=None if waits else 1.0 + index * 7919 % 5900 / 100,
        cpu_s=0.9 + index * 7919 % 5900 / 110 if ended else None,
        peak_memory_bytes=(20 + index * 104729 % 490) * MIB if ended else None,
        started_at=None if waits else NOW - 900 + index % 800,
    )


@dataclass
class Drilled(Fixed):
    """One job, "sim", of so many tasks, and hosts; `outputs` are what its tasks print."""

    size: int = 400
    outputs: dict[int, Typed] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    views: dict[int, TaskView] = field(default_factory=dict)
    fixed_host: HostView | None = None
    later: dict[int, float] = field(default_factory=dict)
    """How long tasks take by now."""
    hidden: str = ""
    """An outcome of which no failure is told."""

    def state(self, index: int) -> str:
        return state_of(index, self.size)

    def job(self, name: str) -> JobView:
        some = [line(index, self.size) for index in range(min(self.size, 3000))]
        failed = [row for row in some if row.state in REASONS]
        groups = [
            FailureGroup(
                job=name,
                outcome=state,
                code="x",
                text=text,
                count=sum(row.state == state for row in failed),
                examples=tuple(row.index for row in failed if row.state == state)[:5],
                by_host=Counter(str(row.host) for row in failed if row.state == state),
            )
            for state, text in REASONS.items()
            if state != self.hidden and any(row.state == state for row in failed)
        ]
        ended = [row for row in some if row.wall_s is not None]
        bounds = [0, 5, 10, 20, 30, 40, 50, 60]
        return JobView(
            line=next(found for found in self.overview.jobs if found.row.name == name),
            params=("n", "mode"),
            slowest=tuple(sorted(ended, key=lambda row: -(row.wall_s or 0))[:8]),
            failures=tuple(groups),
            durations=tuple(
                (float(low), float(high), sum(low <= (row.wall_s or 0) < high for row in ended))
                for low, high in pairwise(bounds)
            )
            if ended
            else (),
            advice=("sim: ask for 160 MiB instead of 512 MiB: no attempt took more than 120 MiB",) if ended else (),
        )

    def cells(self, name: str, cells: int, first: int = 0, stop: int | None = None) -> tuple[Cell, ...]:
        self.asked.append(("cells", cells, first, stop))
        end = self.size if stop is None else stop
        step = -(-(end - first) // max(cells, 1))
        return tuple(
            Cell(
                first=start,
                stop=min(start + step, end),
                counts=Counter(self.state(index) for index in range(start, min(start + step, end))),
            )
            for start in range(first, end, step)
        )

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
        self.asked.append(("tasks", tuple(states), text, sort, descending, offset, limit))
        if not states and not text and sort == "index":
            found = range(self.size - 1, -1, -1) if descending else range(self.size)
            return tuple(line(index, self.size) for index in found[offset : offset + limit]), self.size
        rows = [line(index, self.size) for index in range(self.size)]
        rows = [replace(row, wall_s=self.later.get(row.index, row.wall_s)) for row in rows]
        rows = [row for row in rows if not states or row.state in states]
        rows = [row for row in rows if text in f"{dict(row.params)} {row.host} {row.reason}"]
        if sort != "index":
            rows.sort(key=lambda row: getattr(row, sort) or 0, reverse=descending)
        return tuple(rows[offset : offset + limit]), len(rows)

    def task(self, name: str, index: int) -> TaskView:
        return self.views[index]

    def host(self, name: str) -> HostView:
        return self.fixed_host or super().host(name)

    def output(self, name: str, index: int) -> Any:
        return self.outputs.setdefault(index, Typed())


def run_of(size: int = 400, **given: Any) -> Drilled:
    states = Counter(state_of(index, size) for index in range(size))
    failed = sum(states[state] for state in REASONS)
    tally = counts(size, running=states["running"], succeeded=states["succeeded"], failed=failed)
    known = overview((job("sim", tally, usage=sizing(), retried=2),), (host("lab01"), host("lab02")))
    return Drilled(known, size=size, **given)


class Waiting(Drilled):
    """Nothing of it has started."""

    def state(self, index: int) -> str:
        return "waiting"

    def job(self, name: str) -> JobView:
        return JobView(line=self.overview.jobs[0], params=("n",), slowest=(), failures=(), durations=(), advice=())

    def tasks(self, name: str, *, states: Collection[str] = (), **how: Any) -> tuple[tuple[TaskLine, ...], int]:
        if states and "waiting" not in states:
            return (), 0
        waits = replace(line(self.size - 1, self.size), attempts=0)
        rows = [replace(waits, index=index, params={"n": index}) for index in range(self.size)]
        return tuple(rows[how["offset"] : how["offset"] + how["limit"]]), self.size


def waiting_run(size: int = 40) -> Waiting:
    return Waiting(
        overview((job("sim", counts(size), "waiting", "comes after prep: 3 of 5 tasks left", None),), ()), size=size
    )


# ------------------------------------------------------------------------------------------------- tasks and hosts


def task_view(index: int, state: str = "succeeded", **given: object) -> TaskView:
    """A task that was tried twice, unless it waits."""
    waits, runs = state == "waiting", state == "running"
    reason = REASONS.get(state)
    row = TaskLine(
        job="sim",
        index=index,
        state=state,
        params={"n": index, "mode": "fast"},
        host=None if waits else "lab03",
        attempts=0 if waits else 2,
        reason=reason,
        queued_s=None if waits else 1.5,
        wall_s=None if waits else 41.0,
        cpu_s=None if waits or runs else 39.8,
        peak_memory_bytes=None if waits or runs else 120 * MIB,
        started_at=None if waits else NOW - 60,
    )
    lost = Attempted(
        number=1, host="lab07", outcome="lost", final=False, reason="nothing was heard of lab07 for 60 s",
        exit_code=None, queued_s=0.4, started_at=NOW - 200, wall_s=None, cpu_s=None, peak_memory_bytes=None,
        disk_bytes=None,
    )  # fmt: skip
    last = Attempted(
        number=2, host="lab03", outcome=state, final=not runs, reason=reason,
        exit_code=None if runs else 3 if state == "failed" else 0, queued_s=1.5, started_at=NOW - 60, wall_s=41.0,
        cpu_s=row.cpu_s, peak_memory_bytes=row.peak_memory_bytes, disk_bytes=None if runs else 3 * MIB,
    )  # fmt: skip
    explained = Explained(
        run="tour-3",
        folder="/runs/tour-3",
        job="sim",
        index=index,
        state=state,
        reasons=(Reason(code="later", text="tasks 0 to 39 of sim are before it"),) if waits else (),
        hosts=(
            Hosts(
                names=("lab01", "lab02", "lab03"), reasons=(Reason(code="cpus", text="all 16 cpus are taken by sim"),)
            ),
            Hosts(names=("lab04",), reasons=(Reason(code="drained", text="drained by ada: new [bold]disk"),)),
        )
        if waits
        else (),
        places=(Place(host="lab03", number=2, since=NOW - 60, before=0, double=False, doubted=False, late=True),)
        if runs
        else (),
        attempts=()
        if waits or runs
        else (
            AttemptRow(
                number=2,
                host="lab03",
                outcome=state,
                final=True,
                reason_code=None,
                reason=reason,
                exit_code=3,
                started_at=NOW - 60,
                wall_s=41.0,
                cpu_s=39.8,
                peak_memory_bytes=120 * MIB,
                disk_bytes=3 * MIB,
            ),
        ),
    )
    result = ResultRow(
        run="tour-3",
        job="sim",
        index=index,
        params=row.params,
        outcome=state,
        reason=ResultReason(code="exit_code", text=reason, limit=None, used=None) if reason else None,
        exit_code=3 if state == "failed" else 0,
        value={"mean": 0.25, "label": "[b]x[/b]\x1b[2J"},
        host="lab03",
        attempts=2,
        cached=False,
        taken_from=None,
        queued_s=1.5,
        wall_s=41.0,
        cpu_s=39.8,
        peak_memory_bytes=120 * MIB,
        started_at=NOW - 60,
        stdout=None,
        stdout_path="/runs/tour-3/tasks/sim/90/stdout",
        stderr=None,
        stderr_path=None,
        outputs=({"path": "out/field.csv", "bytes": 48_000, "sha256": "0" * 64},),
        artifact="5f2a" * 16,
    )
    memory, disk = (None, None) if waits or runs else (120.0 * MIB, 3.0 * MIB)
    return TaskView(
        line=row,
        explained=explained,
        attempts=() if waits else (lost, last),
        result=None if waits or runs else result,
        limits={
            "memory_bytes": (512.0 * MIB, memory),
            "time_s": (60.0, None if waits else 41.0),
            "cpus": (1.0, None if waits or runs else 0.97),
            "disk_bytes": (None, disk),
        },
        replay=f"batchwasm replay -r tour-3 sim/{index}",
    )


def host_view() -> HostView:
    spans = 60
    return HostView(
        line=host("lab01", by_job={"sim": 10, "render": 2}, gpus=("render", None), suspended=1, done=310),
        history=tuple(
            Moment(at=NOW - 600 + n * 10, cpus=16, cpus_busy=12, waiting=100 - n, running=12, done=n)
            for n in range(spans)
        ),
        occupancy={
            "sim": tuple(min(10.0, n / 2) for n in range(spans)),
            "render": tuple(2.0 if n % 20 > 8 else 0.0 for n in range(spans)),
            "a-job-with-a-long-name": tuple(4.0 if n < 20 else 0.0 for n in range(spans)),
        },
        since=NOW - 600,
        span_s=10.0,
        ran=tuple(line(index, 400) for index in range(100, 60, -1)),
        facts={
            "os": "Linux 6.8.0-49-generic",
            "machine": "x86_64",
            "python": "3.12.3",
            "hostname": "lab01.cs.example.edu\x1b]0;pwned\x07",
            "cpus": 16,
            "memory_bytes": 32 * GIB,
            "booted_at": NOW - 86400 * 12,
        },
        owner=("at most 12 cpus from 08:00 to 18:00", "it is left alone while ada is at its keyboard"),
        errors=(
            Said(at=NOW - 500, tone="warning", text="it was silent for 31 s", host="lab01"),
            Said(at=NOW - 90, tone="bad", text="sim/90 failed there: exit code 3: [red]no such file", host="lab01"),
        ),
        by_outcome={"succeeded": 306, "failed": 4},
        loads=tuple(
            Load(at=NOW - 600 + n * 10, cpu_share=0.2 + n / 100, memory_share=0.4 + n % 9 / 30, load=n / 5)
            for n in range(spans)
        ),
    )


class Vast(Drilled):
    """A million tasks; whoever asks for more than a screen and its surroundings of them is refused."""

    def cells(self, name: str, cells: int, first: int = 0, stop: int | None = None) -> tuple[Cell, ...]:
        end = self.size if stop is None else stop
        step = -(-(end - first) // max(cells, 1))
        return tuple(
            Cell(first=start, stop=min(start + step, end), counts={"waiting": min(start + step, end) - start})
            for start in range(first, end, step)
        )

    def tasks(self, name: str, **how: Any) -> tuple[tuple[TaskLine, ...], int]:  # type: ignore[override]
        assert how["limit"] < 300
        found = range(how["offset"], min(how["offset"] + how["limit"], self.size))
        return tuple(line(index, self.size) for index in found), self.size


def vast_run() -> Vast:
    tally = counts(1_000_000, running=30_000, succeeded=580_000, failed=20_000)
    return Vast(overview((job("sim", tally),), ()), size=1_000_000)
