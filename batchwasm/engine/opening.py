"""The first events of a scheduler's life over a run, a new one or one that another life left; and the last, if it ends
badly."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence

from batchwasm.core.events import Event, HostAdded, HostLeft, HostRemoved, RunOpened, RunPlanned, RunStopped
from batchwasm.core.state import State
from batchwasm.engine.plan import Plan, host_plan
from batchwasm.engine.pool import LEFT
from batchwasm.errors import BatchwasmError, SourceError, WorldError

TEXT_LIMIT = 20_000  # characters of why a run ended, which every reader of it carries


def opening(plan: Plan, name: str, state: State, before: Sequence[Event]) -> list[Event]:
    """`state` is what there is of the run called `name`; `before` is what a person wants of it before all else."""
    incarnation = state.incarnation + 1
    opened = RunOpened(incarnation=incarnation, pid=os.getpid(), machine=socket.gethostname(), version=plan.version)
    if state.run:
        return [opened, *before, *_changed_hosts(plan, state)]
    planned = RunPlanned(
        run=plan.run,
        name=name,
        jobs=plan.job_plans(),
        hosts=plan.host_plans(),
        max_failures=plan.spec.max_failures,
        fail_fast=plan.fail_fast,
        open=plan.open,
    )
    return [planned, opened, *before]


def _changed_hosts(plan: Plan, state: State) -> Iterator[Event]:
    """What the inventory says otherwise now."""
    hosts = {host.name: host_plan(host) for host in plan.inventory.hosts}
    for name, wanted in hosts.items():
        there = state.hosts.get(name)
        if there is None or there.removed or there.plan != wanted:
            yield HostAdded(plan=wanted)
    for name, there in state.hosts.items():
        if name not in hosts and not there.removed:
            yield HostRemoved(host=name)
        if name not in hosts and there.batches:
            yield HostLeft(host=name, code="removed", text=LEFT)


def stopped_by(error: BatchwasmError) -> RunStopped:
    """What ended the run, for those who read it later: the world (hosts go on), a `source`, or what it asks for."""
    of_world = isinstance(error, WorldError)
    code = "world" if of_world else "source" if isinstance(error, SourceError) else "spec"
    return RunStopped(code=code, text=str(error)[:TEXT_LIMIT], guests_stopped=not of_world)
