"""A run to be, and who looks on while it goes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from batchwasm.artifacts import Store
from batchwasm.core.events import Event, JobPlan
from batchwasm.core.state import State
from batchwasm.model import Artifact, Host, HostName, Inventory, Job, JobName, RunSpec


class Watcher:
    """Who looks on: progress displays override what they show. Called from the loop, so nothing here may block."""

    def compiling(self, job: JobName, hint: str) -> None:
        """`hint` says why it takes long, where it does."""

    def compiled(self, job: JobName, artifact: Artifact) -> None: ...

    def shipping(self, host: HostName, text: str) -> None: ...

    def happened(self, event: Event) -> None:
        """`event` is in the journal."""

    def passed(self, state: State) -> None:
        """Some passes are over, or the run is; `state` is the loop's own, to read and not to keep."""

    def note(self, text: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A run to be: what, where, and how patiently."""

    run: str
    """Unique id."""
    spec: RunSpec
    inventory: Inventory
    store: Store
    fail_fast: bool = False
    wait_hosts_s: float = 600.0
    version: str = ""
    open: bool = False
    """Jobs and calls are added until the loop is told to close."""

    def job_plans(self) -> tuple[JobPlan, ...]:
        return tuple(self.job_plan(job, tasks=len(job)) for job in self.spec.jobs)

    def job_plan(self, job: Job, *, tasks: int) -> JobPlan:
        return JobPlan(
            name=job.name,
            tasks=tasks,
            cpus=job.request.cpus,
            memory_bytes=job.request.memory_bytes,
            hosts=self._allowed(job),
        )

    def hosts(self) -> list[Host]:
        """Of the inventory, each with the mounts that jobs ask for: no other needs to be there for this run."""
        wanted = {name for job in self.spec.jobs for name in job.mounts}
        return [
            replace(host, mounts={name: path for name, path in host.mounts.items() if name in wanted})
            for host in self.inventory.hosts
        ]

    def _allowed(self, job: Job) -> tuple[str, ...] | None:
        if job.hosts is None and not job.exclude and not job.mounts:
            return None
        return tuple(
            host.name
            for host in self.inventory.hosts
            if (job.hosts is None or host.name in job.hosts)
            and host.name not in job.exclude
            and all(mount in host.mounts for mount in job.mounts)
        )
