"""`How long would this take on that pool, and what limits it?`: a plan and an inventory in virtual time.

The scheduler is the real one; hosts and durations are made up (simulation/). Nothing is compiled, connected or written.
"""

from __future__ import annotations

import os
import sys
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchwasm import results, rows, simulation
from batchwasm.core.events import HostPlan, JobPlan
from batchwasm.core.reasons import listed, memory_text
from batchwasm.core.state import State
from batchwasm.engine.plan import Plan
from batchwasm.errors import Problem, RunError, SpecError
from batchwasm.journal import Journal
from batchwasm.model import Host, JobName
from batchwasm.simulation import Bound, Distribution, FromRun, Simulation, Walls
from batchwasm.spec.hostlist import fold

SCHEMA = "simulate/1"
NEAR = 0.6  # of the time that the run takes: bounds below that limit nothing
TOLD = 3  # bounds
TIGHT = 0.9  # of the time: what bounds it so closely is the reason; else it is how the tasks happen to fall


@dataclass(frozen=True, kw_only=True, slots=True)
class Simulated:
    """What a run would be like."""

    run: str
    simulation: Simulation
    durations: tuple[tuple[JobName, str], ...]
    """Of each job, as they were asked for."""
    assumed: bool
    """Nobody said how long some tasks take."""
    limits: tuple[str, ...]
    """What it can't be faster than, for people; what weighs most comes first."""

    def as_dict(self) -> dict[str, Any]:
        """What `run --simulate --json` prints."""
        made = self.simulation
        return {
            "schema": SCHEMA,
            "run": self.run,
            "tasks": made.tasks,
            "makespan_s": round(made.makespan_s, 6),
            "bound_s": round(made.bound_s, 6),
            "cpu_s": round(made.cpu_s, 6),
            "second_attempts": made.second_attempts,
            "durations": dict(self.durations),
            "limits": list(self.limits),
            "bounds": [_bound(bound) for bound in made.bounds],
            "shares": {name: round(share, 6) for name, share in made.shares.items()},
            "jobs": [rows.shallow(job) for job in made.jobs],
            "hosts": [rows.shallow(host) for host in made.hosts],
            "step_s": made.step_s,
            "busy_cpus": [round(busy, 3) for busy in made.busy_cpus],
        }


def _bound(bound: Bound) -> dict[str, Any]:
    return {**rows.shallow(bound), "jobs": list(bound.jobs), "hosts": list(bound.hosts)}


def simulate(
    plan: Plan,
    name: str,
    durations: Sequence[str],
    text: Callable[[float], str],
    watch: Callable[[State], None] | None = None,
    cwd: Path | None = None,
) -> Simulated:
    """The run of `plan`, with durations as users write them; `text` writes seconds for people.

    Raises SpecError with all that is wrong, RunError where a run whose times are wanted can't be read.
    """
    jobs = plan.job_plans()
    wanted = simulation.parse(durations, [job.name for job in jobs])
    hosts = _hosts(plan)
    told = [wanted.of(job.name) for job in jobs]
    read: dict[str, _Times] = {}
    models: list[Distribution | Walls] = []
    for job, model in zip(jobs, told, strict=True):
        if isinstance(model, FromRun):
            if model.run not in read:
                read[model.run] = _Times(model.run, cwd or Path.cwd())
            models.append(read[model.run].of(job))
        else:
            models.append(model or simulation.DEFAULT)
    made = simulation.simulate(jobs, hosts, models, watch=watch)
    return Simulated(
        run=name,
        simulation=made,
        durations=tuple(
            (job.name, f"from {m.run}" if isinstance(m, FromRun) else (m or simulation.DEFAULT).text)
            for job, m in zip(jobs, told, strict=True)
        ),
        assumed=any(model is None for model in told),
        limits=_limits(made, text),
    )


# ---------------------------------------------------------------------------------------------------- the pool


def _hosts(plan: Plan) -> list[HostPlan]:
    """As the inventory states them; this machine is looked at. Raises SpecError for those that state too little."""
    found, short = [], []
    for host, planned in zip(plan.inventory.hosts, plan.host_plans(), strict=True):
        known = _looked_at(host, planned)
        if known.cpus is None or known.memory_bytes is None:
            short.append(host.name)
        found.append(known)
    where = str(plan.inventory.path) if plan.inventory.path else ""
    if short:
        some = listed(short)
        text = (
            f"{some} state{'s' if len(short) == 1 else ''} no cpus or no memory, and nobody is asked in a simulation; "
            "write cpus = ... and memory = ... ('batchwasm hosts check' says what they have)"
        )
        raise SpecError([Problem(file=where, line=None, key="hosts", text=text)])
    needing = [job.name for job in plan.spec.jobs if all(request.gpus for request in job.requests)]
    if needing and all(host.gpus is None for host in found):
        text = f"no host states any gpus, which {listed(needing)} asks for; write gpus = ... where some are"
        raise SpecError([Problem(file=where, line=None, key="hosts", text=text)])
    return found


def _looked_at(host: Host, planned: HostPlan) -> HostPlan:
    if host.transport != "local":
        return planned
    pages = os.sysconf("SC_PHYS_PAGES") if "SC_PHYS_PAGES" in os.sysconf_names else 0  # not every Mac has that name
    memory = os.sysconf("SC_PAGE_SIZE") * pages
    return replace(
        planned,
        cpus=planned.cpus or _cpus(),
        memory_bytes=planned.memory_bytes or memory or None,
    )


def _cpus() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    else:
        return os.cpu_count() or 1


# ---------------------------------------------------------------------------------------------------- durations


class _Times:
    """How long the tasks of a run took, by job."""

    def __init__(self, run: str, cwd: Path) -> None:
        self._run = run
        folder = results.find(run, cwd)
        journal = Journal.open(folder.journal, read_only=True)
        try:
            state = journal.state()
            self._walls = {job.plan.name: self._read(journal, n, job.plan.tasks) for n, job in enumerate(state.jobs)}
        finally:
            journal.close()

    @staticmethod
    def _read(journal: Journal, n: int, tasks: int) -> array[float]:
        walls = array("d", [0.0]) * tasks
        for task, wall_s in journal.walls(n):
            walls[task] = wall_s
        return walls

    def of(self, job: JobPlan) -> Walls:
        """Those of the job of that name, task by task where it has as many. Raises RunError where there are none."""
        walls = self._walls.get(job.name, array("d"))
        known = [wall for wall in walls if wall > 0]
        if not known:
            jobs = ", ".join(name for name, times in self._walls.items() if any(times)) or "none"
            raise RunError(
                f"run {self._run} has no task of {job.name} that succeeded; its jobs with some: {jobs}. "
                f"Say how long it takes: --durations '{job.name}=lognormal(mean=30s)'"
            )
        return Walls(by_task=walls if len(walls) == job.tasks else (), others=known)


# ---------------------------------------------------------------------------------------------- what limits it


def _limits(made: Simulation, text: Callable[[float], str]) -> tuple[str, ...]:
    """The bounds that come near, in words; where none does, that."""
    near = [bound for bound in made.bounds if bound.seconds >= NEAR * made.makespan_s]
    told = list(dict.fromkeys(_sentence(bound, text) for bound in near))[:TOLD]
    if not made.bounds or made.bounds[0].seconds < TIGHT * made.makespan_s:
        rest = "the last tasks do not end together" if told else "no single thing: the last tasks do not end together"
        told.append(f"{rest}, and some cpus are idle meanwhile")
    return tuple(told)


def _sentence(bound: Bound, text: Callable[[float], str]) -> str:
    takes, jobs = text(bound.seconds), listed(list(bound.jobs))
    on = f" of {fold(bound.hosts)}" if bound.hosts else ""
    match bound.kind:
        case "task":
            return f"the longest task of {jobs} takes {takes}"
        case "chain":
            return f"what waits for each other ({' > '.join(bound.jobs)}) takes {takes}, task after task"
        case "stages":
            return f"{' > '.join(bound.jobs)}, each after all of the one before, take {takes}"
        case "max_parallel":
            return f"max_parallel = {bound.amount:g} of {jobs}: {takes}"
        case "fit":
            why = f", for want of {bound.resource}" if bound.resource != "cpus" else ""
            used = f"{bound.usable_cpus:g} of the {bound.cpus:g} cpus{on}"
            return f"{bound.amount:g} tasks of {jobs} fit at once, which can use {used}{why}: {takes}"
        case _:
            has = memory_text(bound.amount) if bound.resource == "memory" else f"{bound.amount:g} {bound.resource}"
            return f"{bound.resource}: all that is asked of the {has}{on} takes {takes}"
