"""A job while its run goes on: a byte a task, ranges of those that may start, and what was learned of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from batchwasm.core.events import HostPlan, JobPlan, Ranges, Record
from batchwasm.core.room import Amount, amount_of
from batchwasm.core.taskset import TaskSet
from batchwasm.model import Outcome

WAITING, RUNNING = 0, 1
CODES = max(Outcome) + 1
MAY_SUCCEED = frozenset({WAITING, RUNNING, int(Outcome.SUCCEEDED)})
_UNTOLD = frozenset({int(Outcome.LOST), int(Outcome.INVALID)})
"""Outcomes of attempts that say nothing of what the job takes."""
SHORT_S = 0.025  # tasks below this are sent ahead
SMOOTHING = 0.3  # weight of the newest batch in a job's mean duration: follows a drift within a few batches
_WAITING_TO = {
    code: bytes([code if byte == WAITING else byte for byte in range(256)])
    for code in (Outcome.CANCELLED, Outcome.SKIPPED)
}
"""Tables for bytes.translate: all tasks that wait become that, at once."""


def runs_of(codes: bytearray, wanted: Iterable[int], start: int, stop: int) -> Ranges:
    """Tasks start to stop that have one of these codes, as ranges. Costs little for a million of them."""
    pattern = b"[" + b"".join(re.escape(bytes([code])) for code in sorted(wanted)) + b"]+"
    return tuple(match.span() for match in re.compile(pattern).finditer(codes, start, stop))


class Retry(NamedTuple):
    """A task that failed or was lost and is to run again."""

    at: float
    """Unix time before which it does not start."""
    avoid: str
    """The host where that happened: another one is better."""
    memory_bytes: int | None = None
    """Where it has more than its job asked for."""


@dataclass(slots=True)
class Usage:
    """What the attempts of a job took that ended by themselves."""

    count: int = 0
    wall_s: float = 0.0
    """Of all together."""
    wall_squares: float = 0.0
    wall_most_s: float = 0.0
    cpu_s: float = 0.0
    memory_most_bytes: int = 0
    disk_most_bytes: int = 0

    @property
    def mean_s(self) -> float:
        return self.wall_s / self.count if self.count else 0.0

    @property
    def deviation_s(self) -> float:
        """Standard deviation of the durations."""
        if not self.count:
            return 0.0
        return math.sqrt(max(0.0, self.wall_squares / self.count - self.mean_s * self.mean_s))


@dataclass(slots=True, eq=False)
class JobState:
    """A job's tasks and what was learned of them."""

    plan: JobPlan
    codes: bytearray
    counts: list[int]
    digest: str | None = None
    """Of its artifact; None until it is built, and then nothing of it starts."""
    ready_at: float = 0.0
    ready: TaskSet = field(default_factory=TaskSet)
    """Tasks that may start now."""
    unseen: TaskSet = field(default_factory=TaskSet)
    """Tasks that may start when someone has looked whether their results are known; no snapshot has it, there they are
    ready."""
    taken: dict[str, int] = field(default_factory=dict)
    """How many results it has of each earlier run, by its name."""
    retries: dict[int, Retry] = field(default_factory=dict)
    """Tasks that may start again, each under its own conditions."""
    blockers: int = 0
    """Whole jobs that it still waits for."""
    tries: dict[int, int] = field(default_factory=dict)
    """Number of the latest attempt of the tasks that were tried and wait or run again; of those that ended and did not
    succeed where it is above 1, or they were stopped."""
    losses: dict[int, int] = field(default_factory=dict)
    lost: int = 0
    """Attempts that were lost while this process looked on, with their hosts or workers; no snapshot has it."""
    spared: dict[int, int] = field(default_factory=dict)
    """Attempts of the tasks that wait or run which are no failures that count: from before a person had them again, and
    those that succeeded and are compared."""
    gave: dict[int, tuple[tuple[str, str | None], ...]] = field(default_factory=dict)
    """Tasks that succeeded, but not yet on as many hosts as `verify` wants: on which, and the digest of each."""
    because: dict[tuple[str, str], TaskSet] = field(default_factory=dict)
    """Why tasks of it were cancelled where that was not the whole run: code and text. Others may be in it, too."""
    mean_s: float | None = None
    """Smoothed duration of its tasks; None while unknown."""
    argument_bytes: int = 0
    """Of all tasks that were added to it, together."""
    unwanted: set[int] = field(default_factory=set)
    """Tasks that are on a host and were withdrawn: they do not wait again."""
    doubles: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Tasks of which two attempts run, and their batches."""
    on_hosts: dict[int, None] = field(default_factory=dict)
    """Ids of its batches that are on hosts now, in the order of when something last happened in each."""
    by_label: dict[str, int] = field(default_factory=dict)
    """Of those, how many are on hosts with a label that `max_parallel` counts."""
    good_host: str = ""
    """Where it succeeded last."""
    placed_at: float = 0.0
    """When a task of it was last given to a host."""
    usage: Usage = field(default_factory=Usage)
    amounts: tuple[Amount, ...] = ()
    _allowed: dict[str, bool] = field(default_factory=dict)
    """By name of a host: what `allows` found."""

    @classmethod
    def new(cls, plan: JobPlan) -> JobState:
        counts = [0] * CODES
        counts[WAITING] = plan.tasks
        return cls(plan, bytearray(plan.tasks), counts, amounts=tuple(map(amount_of, plan.needs)))

    @property
    def waiting(self) -> int:
        return self.counts[WAITING]

    @property
    def running(self) -> int:
        return self.counts[RUNNING]

    @property
    def kind(self) -> object:
        """Equal for jobs that the same hosts can take."""
        plan = self.plan
        return self.amounts, plan.hosts, plan.exclude, plan.labels, plan.mounts

    @property
    def startable(self) -> int:
        """How many tasks could start but for room (or, of retries, the time)."""
        return self.ready.count + len(self.retries)

    @property
    def batches(self) -> int:
        """How many are on hosts now."""
        return len(self.on_hosts)

    @property
    def is_short(self) -> bool:
        return self.mean_s is not None and self.mean_s <= SHORT_S

    @property
    def succeeded(self) -> bool:
        """Every task of it did."""
        return self.counts[Outcome.SUCCEEDED] == self.plan.tasks

    @property
    def may_succeed(self) -> bool:
        """Every task of it did, or still may."""
        return sum(self.counts[code] for code in MAY_SUCCEED) == self.plan.tasks

    def failures(self, task: int) -> int:
        """Attempts that count against its retries."""
        return self.tries.get(task, 0) - self.losses.get(task, 0) - self.spared.get(task, 0)

    def has_run(self, task: int, host: str) -> bool:
        """Whether it succeeded there, so that it is to run elsewhere now."""
        return task in self.gave and any(name == host for name, _ in self.gave[task])

    def has_use_of(self, host: str) -> bool:
        """Whether a task that may start could run there: one that is compared does not where it ran."""
        return (
            not self.gave
            or bool(self.ready)
            or not self.retries
            or not all(self.has_run(t, host) for t in self.retries)
        )

    def note_try(self, task: int, number: int) -> None:
        self.tries[task] = max(self.tries.get(task, 0), number)

    def note_because(self, reason: tuple[str, str], ranges: Ranges) -> None:
        for start, stop in ranges:
            self.because.setdefault(reason, TaskSet()).add(start, stop)

    def number(self, task: int) -> int:
        """The number of the attempt that would run next."""
        return self.tries.get(task, self.plan.first_number - 1) + 1

    def amount(self, need: int, memory_bytes: int | None) -> Amount:
        """What a batch of it reserves."""
        found = self.amounts[need]
        return found if memory_bytes is None else found._replace(memory_bytes=memory_bytes)

    def allows(self, host: HostPlan) -> bool:
        """As its plan does, which takes longer. Whoever changes a host's plan calls `forget_host`."""
        found = self._allowed.get(host.name)
        if found is None:
            found = self._allowed[host.name] = self.plan.allows(host)
        return found

    def may_take_more(self, host: HostPlan) -> bool:
        """Whether its own limits let one more batch of it go to this host."""
        plan = self.plan
        if plan.max_parallel is not None and self.batches >= plan.max_parallel:
            return False
        for label, most in plan.max_parallel_by_label.items():
            if label in host.labels and self.by_label.get(label, 0) >= most:
                return False
        return self.allows(host)

    def forget_host(self, name: str) -> None:
        self._allowed.pop(name, None)

    def learn(self, records: Iterable[Record]) -> None:
        """What attempts of it took."""
        usage, count, total = self.usage, 0, 0.0
        for record in records:
            if record.outcome in _UNTOLD:
                continue
            wall = record.wall_s
            count += 1
            total += wall
            usage.wall_squares += wall * wall
            usage.cpu_s += record.cpu_s
            if wall > usage.wall_most_s:
                usage.wall_most_s = wall
            if record.peak_memory_bytes > usage.memory_most_bytes:
                usage.memory_most_bytes = record.peak_memory_bytes
            if record.disk_bytes and record.disk_bytes > usage.disk_most_bytes:
                usage.disk_most_bytes = record.disk_bytes
        if count:
            mean = total / count
            self.mean_s = mean if self.mean_s is None else self.mean_s + SMOOTHING * (mean - self.mean_s)
            usage.count += count
            usage.wall_s += total

    def turn_waiting(self, outcome: Outcome, start: int = 0, stop: int | None = None) -> Ranges:
        """Tasks start to stop that wait end so; which those are."""
        stop = len(self.codes) if stop is None else stop
        turned = runs_of(self.codes, (WAITING,), start, stop)
        for facts in (self.losses, self.spared, self.gave, self.retries):
            for task in [task for task in facts if start <= task < stop and self.codes[task] == WAITING]:
                del facts[task]
        if turned:
            self.codes[start:stop] = self.codes[start:stop].translate(_WAITING_TO[outcome])
            count = sum(last - first for first, last in turned)
            self.counts[WAITING] -= count
            self.counts[outcome] += count
        self.ready.remove(start, stop)
        self.unseen.remove(start, stop)
        return turned

    def wait_again(self, start: int, stop: int) -> None:
        """All of these tasks ended, and wait as if they had not; none may start yet."""
        for code in set(self.codes[start:stop]):
            self.counts[code] -= self.codes.count(code, start, stop)
        self.counts[WAITING] += stop - start
        self.codes[start:stop] = bytes(stop - start)
        for reason, tasks in list(self.because.items()):
            tasks.remove(start, stop)
            if not tasks:
                del self.because[reason]
