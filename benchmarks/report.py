"""What `batchwasm report` takes for a large run: seconds, memory, and the size of the page.

    python benchmarks/report.py                              1,000 hosts and a million tasks: a minute, to make them
    python benchmarks/report.py --hosts 20 --tasks 100000
    python benchmarks/report.py --keep FOLDER                leaves the run folder there

The run is made up: hosts of 16 cpus, four jobs whose tasks take seconds to minutes and travel in batches, of which some
fail, trap, time out or run again; some hosts are lost and come back, some never answer.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batchwasm.core.events import (
    ArtifactBuilt,
    BatchPlaced,
    Event,
    HostJoined,
    HostLeft,
    HostPlan,
    HostRefused,
    JobPlan,
    Record,
    RunFinished,
    RunOpened,
    RunPlanned,
    TasksFinished,
    batch_id,
)
from batchwasm.core.state import State
from batchwasm.journal import Journal
from batchwasm.model import GIB, MIB, Outcome, Request
from batchwasm.results import RunFolder
from batchwasm.version import __version__
from benchmarks.host import machine

CPUS = 16
BEGAN = 1_790_000_000.0
JOBS = (("prepare", 0.05, 4.0), ("simulate", 0.75, 90.0), ("score", 0.15, 12.0), ("plot", 0.05, 30.0))
"""Name, its part of the tasks, and the median of their seconds."""
WAYS = (
    (Outcome.FAILED, "exit_code", "exited with code 3: no such column: temperature", 3),
    (Outcome.TRAPPED, "unreachable", "it aborted, or reached code that it must not reach", None),
    (Outcome.TIMED_OUT, "time_limit", "ran longer than its time_limit of 10 min", None),
    (Outcome.OUT_OF_MEMORY, "memory", "wanted more than its 512 MiB of memory", None),
)


class Made:
    """A journal that is being made, and the state that its events make."""

    def __init__(self, folder: RunFolder) -> None:
        self.journal, self.state = Journal.create(folder.journal), State()

    def tell(self, event: Event, at: float) -> None:
        self.state.apply(event, at)
        self.journal.append([event], at)

    def finish(self, at: float) -> None:
        self.tell(RunFinished(), at)
        self.journal.checkpoint(self.state)
        self.journal.close()


def make(path: Path, *, hosts: int, tasks: int, seed: int = 1) -> RunFolder:
    """A run folder at `path`, which must not exist."""
    path.mkdir(parents=True)
    folder, dice = RunFolder(path=path), random.Random(seed)
    names = [f"lab{n:04}" for n in range(1, hosts + 1)]
    folder.jobs.write_text("# made up\n")
    folder.inventory.write_text(f'[hosts."lab[0001-{hosts:04}]"]\naddress = "{{name}}.cs.example.edu"\ncpus = {CPUS}\n')
    folder.manifest.write_text(json.dumps({"batchwasm": __version__, "wasmtime": "50.0.1", "jobs": []}))
    made = Made(folder)
    counts = [max(1, round(tasks * part)) for _, part, _ in JOBS]
    needs = (Request(cpus=1, memory_bytes=512 * MIB),)
    plans = tuple(JobPlan(name=name, tasks=n, needs=needs) for (name, _, _), n in zip(JOBS, counts, strict=True))
    pool = tuple(HostPlan(name=name, cpus=CPUS, memory_bytes=64 * GIB) for name in names)
    made.journal._db.execute("PRAGMA synchronous = OFF")
    made.tell(RunPlanned(run="0" * 16, name=path.name, jobs=plans, hosts=pool), BEGAN)
    made.tell(RunOpened(incarnation=1, pid=1, machine="head", version=__version__), BEGAN)
    for n, plan in enumerate(plans):
        built = ArtifactBuilt(
            job=n, digest=f"{n}" * 64, bytes=30_000, language="rust", toolchain="rustc 1.63", cached=False, wall_s=2.0
        )
        made.tell(built, BEGAN + 2.0 + n)
        del plan
    end = _run(made, dice, names, counts)
    made.finish(end)
    return folder


def _run(made: Made, dice: random.Random, names: list[str], counts: list[int]) -> float:
    """All tasks; when the last one ended."""
    todo = _batches(counts)
    again: list[tuple[int, list[int]]] = []
    free: list[tuple[float, str, int]] = []
    away = {name: BEGAN + dice.uniform(200, 4000) for name in names if dice.random() < 0.02}
    for name in names:
        at = BEGAN + dice.uniform(3, 30)
        if len(names) > 50 and dice.random() < 0.01:
            text = f"{name}.cs.example.edu: connection refused; is sshd running there?"
            made.tell(HostRefused(host=name, code="refused", text=text, waiting_may_help=True), at)
            continue
        _join(made, name, at)
        free.extend((at, name, cpu) for cpu in range(CPUS))
    heapq.heapify(free)
    batch, end = 0, BEGAN
    while free:
        at, name, cpu = heapq.heappop(free)
        work = again.pop() if again else next(todo, None)
        if work is None:
            break
        batch += 1
        job, tasks = work
        placed = BatchPlaced(
            batch=batch_id(1, batch), job=job, host=name, ranges=tuple((task, task + 1) for task in tasks)
        )
        made.tell(placed, at)
        records, stop = _records(made, dice, job, tasks, at)
        if name in away and stop > away[name]:
            gone = max(at, away.pop(name))
            made.tell(HostLeft(host=name, code="lost", text="no answer for 60 s"), gone)
            _join(made, name, gone + 120)
            again.append((job, tasks))
            heapq.heappush(free, (gone + 120, name, cpu))
            continue
        made.tell(TasksFinished(batch=batch_id(1, batch), job=job, host=name, records=records), stop)
        failed = [record.task for record in records if not record.final]
        if failed:
            again.append((job, failed))
        heapq.heappush(free, (stop + 0.01, name, cpu))
        end = max(end, stop)
    return end + 1


def _batches(counts: list[int]) -> Iterator[tuple[int, list[int]]]:
    for job, count in enumerate(counts):
        size = 8 if count > 1000 else 1
        for first in range(0, count, size):
            yield job, list(range(first, min(count, first + size)))


def _join(made: Made, name: str, at: float) -> None:
    facts = {"os": "linux", "machine": "x86_64", "libc": "glibc 2.36", "python": "3.11.2"}
    joined = HostJoined(host=name, supervisor=f"{name}-{at}", cpus=CPUS, memory_bytes=64 * GIB, facts=facts, batches=())
    made.tell(joined, at)


def _records(made: Made, dice: random.Random, job: int, tasks: list[int], at: float) -> tuple[list[Record], float]:
    records = []
    for task in tasks:
        wall = dice.lognormvariate(0, 0.5) * JOBS[job][2]
        number = made.state.jobs[job].tries.get(task, 1)
        outcome, reason, text, code = Outcome.SUCCEEDED, None, None, 0
        if dice.random() < 0.01:
            outcome, reason, text, code = dice.choice(WAYS)  # type: ignore[assignment]
        final = outcome == Outcome.SUCCEEDED or number > 1 or dice.random() < 0.3
        memory = int(dice.uniform(0.5, 1) * 100 * MIB)
        records.append(
            Record(task, number, outcome, final, code, at, 0.0, wall, wall * 0.97, memory, b"done\n", b"", reason, text)
        )
        at += wall
    return records, at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000, metavar="N")
    parser.add_argument("--tasks", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchwasm-bench-", dir="/var/tmp") as place:
        began = time.monotonic()
        folder = make(options.keep or Path(place) / "large-1", hosts=options.hosts, tasks=options.tasks)
        print(
            f"made in {time.monotonic() - began:.0f} s: {folder.journal.stat().st_size / 1e6:.0f} MB", file=sys.stderr
        )
        began = time.monotonic()
        command = [sys.executable, "-m", "batchwasm", "report", "-r", str(folder.path)]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        took_s = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s, peak_mb = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6
        page_kb = (folder.path / "report.html").stat().st_size / 1e3
    print(f"{machine()}\n")
    print("| hosts | tasks | s | cpu s | peak, MB | page, KB |\n|---|---|---|---|---|---|")
    print(f"| {options.hosts:,} | {options.tasks:,} | {took_s:.1f} | {cpu_s:.1f} | {peak_mb:.0f} | {page_kb:.0f} |")


if __name__ == "__main__":
    main()
