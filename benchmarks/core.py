"""What a task costs in the scheduler's core, by the number of hosts and of tasks, and how much memory it takes.

    python benchmarks/core.py                                   the tables; about ten minutes
    python benchmarks/core.py --hosts 10 --tasks 10000          one line of the first
    python benchmarks/core.py --only memory --tasks 100000      the second alone

Hosts of 16 cpus and their tasks are simulated, as by `run --simulate`; only what the core does is timed (admitting and
observing what was reported, deciding), in processor time, from the first decision to the last. `long` tasks take 10 to
50 s, so each is a batch of its own; `short` ones 0.5 to 1.5 ms, so they travel in batches. Memory is that of a process
of its own with the whole scheduler loaded, which writes a real journal, with checkpoints, as a run does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import batchwasm.api  # noqa: F401  (all that a run loads, for the memory)
from batchwasm.core.events import Event, HostPlan, JobPlan, Record, TasksFinished
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import State
from batchwasm.journal import Journal
from batchwasm.model import GIB, Request
from batchwasm.simulation import Distribution, parse, simulate
from benchmarks.host import machine

CPUS = 16
KINDS = {"long": "uniform(10s, 50s)", "short": "uniform(0.0005s, 0.0015s)"}
CHECKPOINT_S = 5.0  # as the engine's loop does
T = TypeVar("T")


class Timed(Scheduler):
    """A scheduler that adds up the processor time of all that is asked of it once it has begun to decide."""

    def __init__(self) -> None:
        super().__init__(State())
        self.begun = False
        self.calls = 0
        self.spent_s = 0.0

    def admit(self, host: str, batch_id: int, records: Sequence[Record]) -> TasksFinished | None:
        return self._timed(lambda: super(Timed, self).admit(host, batch_id, records))

    def observe(self, event: Event, now: float) -> None:
        self._timed(lambda: super(Timed, self).observe(event, now))

    def decide(self, now: float) -> list[Event]:
        self.begun = True
        return self._timed(lambda: super(Timed, self).decide(now))

    def _timed(self, call: Callable[[], T]) -> T:
        began = time.process_time()
        found = call()
        if self.begun:
            self.calls += 1
            self.spent_s += time.process_time() - began
        return found


def clock_s() -> float:
    """What the measuring itself adds to each call."""
    timed = Timed()
    timed.begun = True
    for _ in range(20_000):
        timed._timed(lambda: None)
    return timed.spent_s / timed.calls


def model(text: str) -> Distribution:
    found = parse([text], []).every
    assert isinstance(found, Distribution)
    return found


def pool(hosts: int) -> list[HostPlan]:
    return [HostPlan(name=f"h{n:04}", cpus=CPUS, memory_bytes=64 * GIB) for n in range(hosts)]


def job(tasks: int) -> JobPlan:
    return JobPlan(name="job", tasks=tasks, needs=(Request(cpus=1, memory_bytes=GIB),))


def us_per_task(hosts: int, tasks: int, kind: str, clock: float) -> float:
    scheduler = Timed()
    simulate([job(tasks)], pool(hosts), [model(KINDS[kind])], scheduler=scheduler)
    return 1e6 * (scheduler.spent_s - clock * scheduler.calls) / tasks


# ------------------------------------------------------------------------------------------------------- memory


class Written(Scheduler):
    """A scheduler whose events go into a journal before they are acted on, as the engine's loop does it."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(State())
        self._journal = journal
        self._news: list[Event] = []
        self._kept_at = time.monotonic()

    def observe(self, event: Event, now: float) -> None:
        super().observe(event, now)
        self._news.append(event)

    def decide(self, now: float) -> list[Event]:
        decisions = super().decide(now)
        self._journal.append([*self._news, *decisions], now)
        self._news.clear()
        if time.monotonic() > self._kept_at + CHECKPOINT_S:
            self._kept_at = time.monotonic()
            self._journal.checkpoint(self.state)
        return decisions


def peak_mb() -> float:
    """Of this process, since it began."""
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1e6


def memory_here(hosts: int, tasks: int, kind: str) -> dict[str, Any]:
    """To be run in a process of its own."""
    before = peak_mb()
    with tempfile.TemporaryDirectory(prefix="batchwasm-bench-", dir="/var/tmp") as folder:
        journal = Journal.create(Path(folder) / "journal.db")
        simulate([job(tasks)], pool(hosts), [model(KINDS[kind])], scheduler=Written(journal))
        journal.close()
        size = (Path(folder) / "journal.db").stat().st_size
    return {
        "hosts": hosts,
        "tasks": tasks,
        "kind": kind,
        "peak_mb": peak_mb(),
        "loaded_mb": before,
        "journal_mb": size / 1e6,
    }


def memory(hosts: int, tasks: int, kind: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--memory-here", str(hosts), str(tasks), kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# -------------------------------------------------------------------------------------------------------- tables


def cost_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| hosts | tasks | long, µs/task | short, µs/task |", "|---|---|---|---|"]
    lines += [f"| {row['hosts']:,} | {row['tasks']:,} | {row['long']:.1f} | {row['short']:.1f} |" for row in rows]
    return "\n".join(lines)


def memory_table(rows: Sequence[dict[str, Any]]) -> str:
    lines = ["| hosts | tasks | | peak, MB | of it loaded before, MB | journal, MB |", "|---|---|---|---|---|---|"]
    for row in rows:
        numbers = f"{row['peak_mb']:.0f} | {row['loaded_mb']:.0f} | {row['journal_mb']:.0f}"
        lines.append(f"| {row['hosts']:,} | {row['tasks']:,} | {row['kind']} | {numbers} |")
    return "\n".join(lines)


def costs(hosts: Sequence[int], tasks: Sequence[int]) -> list[dict[str, Any]]:
    clock = clock_s()
    rows = []
    for host_count in hosts:
        for task_count in tasks:
            row: dict[str, Any] = {"hosts": host_count, "tasks": task_count}
            for kind in KINDS:
                row[kind] = us_per_task(host_count, task_count, kind, clock)
                print(f"{host_count:,} hosts, {task_count:,} tasks, {kind}: {row[kind]:.1f} µs", file=sys.stderr)
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, nargs="+", default=[10, 100, 1000], metavar="N")
    parser.add_argument("--tasks", type=int, nargs="+", default=[1000, 10_000, 100_000, 1_000_000], metavar="N")
    parser.add_argument("--only", choices=["cost", "memory"])
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    parser.add_argument("--memory-here", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory_here:
        hosts, tasks, kind = options.memory_here
        print(json.dumps(memory_here(int(hosts), int(tasks), kind)))
        return

    found: dict[str, Any] = {"machine": machine()}
    if options.only != "memory":
        found["cost"] = costs(options.hosts, options.tasks)
        print(cost_table(found["cost"]))
    if options.only != "cost":
        found["memory"] = [memory(max(options.hosts), max(options.tasks), kind) for kind in KINDS]
        print(memory_table(found["memory"]))
    print(", ".join(found["machine"].values()))
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
