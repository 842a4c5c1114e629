"""A run folder of a large run that never ran: events through the core's state into a journal, as a scheduler does it.

    python benchmarks/large_run.py FOLDER --rate 5000      goes on with a run that was left by `make`, at that rate

Hosts of 16 slots have batches of a few tasks each; of a hundred attempts one fails, and half of these are tried again.
It is faster than the scheduler (nothing is decided), so that a million tasks take a minute or two.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batchwasm import rows
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchPlaced,
    Event,
    HostJoined,
    HostPlan,
    JobPlan,
    Record,
    RunFinished,
    RunOpened,
    RunPlanned,
    TasksFinished,
    batch_id,
)
from batchwasm.core.state import WAITING, State
from batchwasm.journal import Journal, Sample
from batchwasm.model import GIB, MIB, Outcome, Request
from batchwasm.results import RunFolder
from batchwasm.spec import stored
from batchwasm.spec.sweep import Axis, Combinations

VERSION = 1  # of what is made: a run that was kept is made anew after a change
CPUS = 16
BATCH = 4  # tasks
JOBS = (("sweep", 0.7), ("fit", 0.25), ("rank", 0.05))
"""Their shares of the tasks."""
MEAN_S = 20.0
GROUP = 500  # batches whose ends are appended at once
CHECKPOINT_S, SAMPLE_S = 5.0, 5.0  # as the engine keeps them


class Large:
    """A scheduler's side that decides nothing: what ends is replaced by the next tasks in order."""

    def __init__(self, journal: Journal, state: State) -> None:
        self._journal, self.state = journal, state
        self._dice = random.Random(1)
        # Behind the last that was given to a host: what waits before it is to be tried again.
        self._next = [len(job.codes.rstrip(bytes([WAITING]))) for job in state.jobs]
        self._batch = max((id_ for id_ in state.batches), default=batch_id(1, 0))
        self._flight: deque[int] = deque(state.batches)
        self._again: list[deque[int]] = [deque() for _ in state.jobs]
        """Tasks of each job that are to be tried again."""
        self.now = state.last_at
        self._kept_at = self._sampled_at = 0.0

    def append(self, events: list[Event]) -> None:
        for event in events:
            self.state.apply(event, self.now)
        self._journal.append(events, self.now)

    def fill(self) -> None:
        """Every slot of every host."""
        placed = [event for host in list(self.state.hosts) for _ in range(CPUS) if (event := self._place(host))]
        self.append(placed)

    def _place(self, host: str) -> Event | None:
        for n, job in enumerate(self.state.jobs):
            first = self._next[n]
            if first < job.plan.tasks:
                stop = min(first + BATCH, job.plan.tasks)
                self._next[n] = stop
            elif self._again[n]:
                first = self._again[n].popleft()
                stop = first + 1
            else:
                continue
            self._batch += 1
            self._flight.append(self._batch)
            return BatchPlaced(batch=self._batch, job=n, host=host, ranges=((first, stop),))
        return None

    def step(self) -> int:
        """The oldest batches end, others take their place; how many tasks ended."""
        ended: list[Event] = []
        hosts: list[str] = []
        count = 0
        for _ in range(min(GROUP, len(self._flight))):
            batch = self.state.batches[self._flight.popleft()]
            records = [self._record(batch.job, task, number) for task, number in batch.remaining.items()]
            ended.append(TasksFinished(batch=batch.id, job=batch.job, host=batch.host, records=records))
            hosts.append(batch.host)
            count += len(records)
        self.append(ended)
        self._again = [deque(job.retries) for job in self.state.jobs]
        self.append([event for host in hosts if (event := self._place(host))])
        return count

    def _record(self, job: int, task: int, number: int) -> Record:
        wall_s = self._dice.lognormvariate(2.9, 0.4)
        started_at = self.now - wall_s
        text = f"task {task}: residual {self._dice.random():.12f} after {self._dice.randrange(1000)} steps\n".encode()
        usual = (started_at, 1.0, wall_s, wall_s * 0.98, 40 * MIB + task % 1000 * 4096, text, b"")
        if self._dice.random() < 0.01:
            final = number > 1 or self._dice.random() < 0.5
            failed = (Outcome.FAILED, "exit_code", "exited with code 3")
            trapped = (Outcome.TRAPPED, "unreachable", "it ran into unreachable code")
            outcome, code, why = failed if task % 3 else trapped
            return Record(task, number, outcome, final, 3, *usual, code, why)
        return Record(task, number, Outcome.SUCCEEDED, True, 0, *usual)

    def keep(self, *, at_once: bool = False) -> None:
        """Samples and a checkpoint, when they are due."""
        if at_once or self.now - self._sampled_at >= SAMPLE_S:
            self._sampled_at = self.now
            samples = [
                Sample(self.now, name, 15.5, 30 * GIB, CPUS, CPUS, 0, 200 * GIB, 0.97, 64 * GIB, 0, CPUS, host.done)
                for name, host in self.state.hosts.items()
            ]
            self._journal.sample(samples, rows.progress(self.state, self.now))
        if at_once or self.now - self._kept_at >= CHECKPOINT_S:
            self._kept_at = self.now
            self._journal.checkpoint(self.state)

    @property
    def ended(self) -> int:
        counts = self.state.counts
        return sum(counts) - counts[0] - counts[1]


def make(path: Path, tasks: int, hosts: int, share: float) -> RunFolder:
    """A run in the new folder `path` of which that share has ended; all of it where that is 1."""
    path.mkdir(parents=True)
    folder = RunFolder(path=path)
    plans = [
        JobPlan(name=name, tasks=int(tasks * part), needs=(Request(cpus=1, memory_bytes=GIB),), retries=1)
        for name, part in JOBS
    ]
    folder.write_text(folder.jobs, "")
    names = [f"lab{n:03}" for n in range(hosts)]
    folder.write_text(folder.inventory, "".join(f"[hosts.{name}]\n" for name in names))
    folder.write_manifest(
        {"inventory": {"path": None, "hosts": None}, "jobs": [_manifest(plan.name, plan.tasks) for plan in plans]}
    )
    pace_s = MEAN_S / BATCH  # between two rounds over all slots
    with closing(Journal.create(folder.journal)) as journal:
        large = Large(journal, State())
        large.now = time.time() - tasks / (hosts * CPUS) * pace_s
        planned = RunPlanned(
            run="1a", name=path.name.removesuffix(".part"), jobs=tuple(plans), hosts=tuple(map(_host, names))
        )
        opened = RunOpened(incarnation=1, pid=os.getpid(), machine=socket.gethostname(), version="0")
        large.append([planned, opened])
        large = _begun(journal, large.state, names)
        rounds = hosts * CPUS / GROUP
        while large.ended < share * tasks and large.step():
            large.now += pace_s / rounds
            large.keep()
        if share >= 1:
            large.append([RunFinished()])
        large.keep(at_once=True)
    return folder


def _begun(journal: Journal, state: State, names: list[str]) -> Large:
    large = Large(journal, state)
    large.append([_built(n) for n in range(len(state.jobs))])
    large.append([_joined(name) for name in names])
    large.fill()
    return large


def _manifest(name: str, tasks: int) -> dict[str, object]:
    columns = Axis(names=("alpha",), columns=(range(tasks // 10),)), Axis(names=("seed",), columns=(range(10),))
    sweep = Combinations(axes=columns)
    return {"name": name, "sweep": stored.to_json(sweep)}


def _host(name: str) -> HostPlan:
    return HostPlan(name=name, cpus=CPUS, memory_bytes=64 * GIB)


def _built(n: int) -> ArtifactBuilt:
    return ArtifactBuilt(job=n, digest="d", bytes=90_000, language="rust", toolchain="rustc", cached=False, wall_s=3.0)


def _joined(name: str) -> HostJoined:
    return HostJoined(host=name, supervisor=name, cpus=CPUS, memory_bytes=64 * GIB, facts={"os": "linux"})


def go_on(folder: RunFolder, rate: float) -> Iterator[float]:
    """Write on at `rate` tasks a second, as the scheduler of the run; yields how long each append of a group took."""
    with folder.held(), closing(Journal.open(folder.journal, read_only=False)) as journal:
        large = Large(journal, journal.state())
        due = time.monotonic()
        while True:
            large.now, began = time.time(), time.monotonic()
            count = large.step()
            large.keep()
            if not count:
                return
            yield time.monotonic() - began
            due = max(due + count / rate, time.monotonic() - 1.0)
            time.sleep(max(0.0, due - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rate", type=float, default=5000.0, metavar="N", help="tasks a second")
    options = parser.parse_args()
    for took_s in go_on(RunFolder(path=options.folder), options.rate):
        print(json.dumps(took_s), flush=True)


if __name__ == "__main__":
    main()
