"""A run in virtual time: what hosts report -> the scheduler -> what hosts are to do. The scheduler is the real one."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    BatchPlaced,
    BatchRecalled,
    Event,
    HostJoined,
    HostPlan,
    JobPlan,
    RunOpened,
    RunPlanned,
    TasksReturned,
    ranges_of,
)
from batchwasm.core.impossible import impossible
from batchwasm.core.room import MILLI
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import State
from batchwasm.errors import Problem, SpecError
from batchwasm.simulation.durations import Distribution, Walls, drawn
from batchwasm.simulation.limits import Bound, bounds, offer
from batchwasm.simulation.meters import Meters
from batchwasm.simulation.pool import Machine, Pool, Report, Work

WATCH_EVERY = 2000  # reports between two calls of `watch`

Model = Distribution | Walls


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedJob:
    """What became of a job; times in seconds from the start of the run."""

    name: str
    tasks: int
    started_s: float
    ended_s: float
    mean_s: float
    """Of the tasks' durations."""
    longest_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class SimulatedHost:
    """What a host did."""

    name: str
    cpus: float
    tasks: int
    busy: float
    """Mean share of its cpus that tasks held."""
    memory_busy: float
    """Mean share of its memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulation:
    """A run that was not."""

    makespan_s: float
    tasks: int
    cpu_s: float
    """Of all attempts, the cpus they held times how long they held them."""
    second_attempts: int
    """Of tasks that took long, where there was room."""
    bounds: Sequence[Bound]
    """What it can't be faster than, the largest first."""
    shares: Mapping[str, float]
    """Of cpus, memory, gpus and each custom resource: the mean share that was in use."""
    jobs: Sequence[SimulatedJob]
    hosts: Sequence[SimulatedHost]
    step_s: float
    busy_cpus: Sequence[float]
    """Mean of each `step_s`."""

    @property
    def bound_s(self) -> float:
        """The largest of the bounds."""
        return self.bounds[0].seconds if self.bounds else 0.0


def simulate(
    jobs: Sequence[JobPlan],
    hosts: Sequence[HostPlan],
    models: Sequence[Model],
    *,
    watch: Callable[[State], None] | None = None,
    scheduler: Scheduler | None = None,
) -> Simulation:
    """The run of `jobs`, each with its model of durations, on `hosts`, whose cpus and memory are stated.

    `watch` is called now and then with the state. Raises SpecError where a job fits on no host.
    """
    return _Run(jobs, hosts, models, scheduler or Scheduler(State())).to_its_end(watch or (lambda state: None))


class _Run:
    def __init__(
        self, jobs: Sequence[JobPlan], hosts: Sequence[HostPlan], models: Sequence[Model], scheduler: Scheduler
    ) -> None:
        self._scheduler = scheduler
        self._plans, self._hosts = jobs, hosts
        self._times = [
            array("d", map(drawn(job.name, model), range(job.tasks))) for job, model in zip(jobs, models, strict=True)
        ]
        offers = {host.name: offer(host) for host in hosts}
        self._meters = Meters(list(offers.values()))
        self._pool = Pool(offers, self._meters.changed)
        self._started = array("d", [float("inf")]) * len(jobs)
        self._ended = array("d", [0.0]) * len(jobs)
        self._second = 0
        self._begin()

    def _begin(self) -> None:
        plans, hosts = tuple(self._plans), tuple(self._hosts)
        built = [
            ArtifactBuilt(job=n, digest="0", bytes=0, language="", toolchain="", cached=True, wall_s=0.0)
            for n in range(len(plans))
        ]
        events: list[Event] = [
            RunPlanned(run="simulated", name="simulated", jobs=plans, hosts=hosts),
            RunOpened(incarnation=1, pid=0, machine="", version=""),
            *built,
            *map(_joined, hosts),
        ]
        for event in events:
            self._scheduler.observe(event, 0.0)
        sentences = impossible(self._scheduler.state)
        if sentences:
            raise SpecError([Problem(file="", line=None, key="", text=text) for text in sentences.values()])

    def to_its_end(self, watch: Callable[[State], None]) -> Simulation:
        scheduler, pool = self._scheduler, self._pool
        state, now, reports = scheduler.state, 0.0, 0
        while True:
            for decision in scheduler.decide(now):
                self._act(decision, now)
            if state.finished:
                break
            wake_at = float("inf") if scheduler.wake_at is None else scheduler.wake_at
            now = max(now, min(pool.next_at, wake_at))
            assert now < float("inf"), "the scheduler waits for nothing, and is not done"
            for report in pool.reports(now):
                self._observe(report, now)
                reports += 1
                if reports % WATCH_EVERY == 0:
                    watch(state)
        self._meters.advance(now)
        watch(state)
        return self._result(now)

    def _observe(self, report: Report, now: float) -> None:
        scheduler = self._scheduler
        finished = scheduler.admit(report.host, report.batch, report.records)
        if finished is not None:
            scheduler.observe(finished, now)
            self._ended[finished.job] = now
        if report.returned and scheduler.batch_of(report.host, report.batch) is not None:
            scheduler.observe(TasksReturned(batch=report.batch, ranges=ranges_of(report.returned)), now)

    def _act(self, decision: Event, now: float) -> None:
        match decision:
            case BatchPlaced():
                batch = self._scheduler.state.batches[decision.batch]
                tasks, times = list(batch.remaining.items()), self._times[batch.job]
                self._pool.start(decision.host, Work(batch.id, batch.amount, tasks, times), now)
                if now < self._started[batch.job]:
                    self._started[batch.job] = now
                self._second += decision.double
            case BatchRecalled():
                host = self._scheduler.state.batches[decision.batch].host
                self._pool.recall(host, decision.batch, now)
            case BatchGivenUp():
                self._pool.kill(decision.host, decision.batch, now)
            case _:
                pass  # a host is kept for a job, or the run is over

    # -------------------------------------------------------------------------------------------- what it was

    def _result(self, makespan_s: float) -> Simulation:
        jobs = [self._job(n, job) for n, job in enumerate(self._plans)]
        meters = self._meters
        return Simulation(
            makespan_s=makespan_s,
            tasks=sum(job.tasks for job in jobs),
            cpu_s=meters.used["cpus"] / MILLI,
            second_attempts=self._second,
            bounds=bounds(self._plans, self._hosts, self._times),
            shares=meters.shares(),
            jobs=jobs,
            hosts=[self._host(self._pool.machines[host.name], makespan_s) for host in self._hosts],
            step_s=meters.line.step_s,
            busy_cpus=meters.line.means(makespan_s),
        )

    def _job(self, n: int, plan: JobPlan) -> SimulatedJob:
        times = self._times[n]
        return SimulatedJob(
            name=plan.name,
            tasks=plan.tasks,
            started_s=self._started[n] if plan.tasks else 0.0,
            ended_s=self._ended[n],
            mean_s=fsum(times) / len(times) if times else 0.0,
            longest_s=max(times, default=0.0),
        )

    @staticmethod
    def _host(machine: Machine, makespan_s: float) -> SimulatedHost:
        has = machine.room.offer
        cpus, memory = has.milli_cpus * makespan_s, has.memory_bytes * makespan_s
        return SimulatedHost(
            name=machine.name,
            cpus=has.cpus,
            tasks=machine.done,
            busy=machine.cpu_s / cpus if cpus else 0.0,
            memory_busy=machine.memory_byte_s / memory if memory else 0.0,
        )


def _joined(host: HostPlan) -> HostJoined:
    return HostJoined(
        host=host.name,
        supervisor="",
        cpus=host.cpus or 0,
        memory_bytes=host.memory_bytes or 0,
        facts={},
        gpus=host.gpus or 0,
    )
