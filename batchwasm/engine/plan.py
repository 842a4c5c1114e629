"""A run to be, and who looks on while it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from batchwasm.artifacts import Store
from batchwasm.core.events import AfterJob, Event, HostPlan, JobPlan
from batchwasm.core.state import State
from batchwasm.engine.secrets import Secrets
from batchwasm.errors import SpecError
from batchwasm.journalrows import Sample
from batchwasm.model import Artifact, Host, HostName, Inventory, Job, JobName, RunSpec
from batchwasm.spec.inputs import task_inputs


class Watcher:
    """Who looks on: progress displays override what they show. Called from the loop, so nothing here may block."""

    def opened(self) -> None:
        """The run is in the journal, and in hand. Called once, before anything else happens."""

    def compiling(self, job: JobName, hint: str) -> None:
        """`hint` says why it takes long, where it does."""

    def compiled(self, job: JobName, artifact: Artifact) -> None: ...

    def shipping(self, host: HostName, text: str) -> None: ...

    def happened(self, event: Event) -> None:
        """`event` is in the journal."""

    def journaled(self, events: Sequence[Event], seq: int, at: float) -> None:
        """The same of all events of a run, its first ones too: rows of the journal, the last one `seq`, written at unix
        time `at`. What they decide is not acted on yet."""

    def sampled(self, sample: Sample) -> None:
        """A host said this of itself, as each does every few seconds."""

    def passed(self, state: State) -> None:
        """Some passes are over, or the run is; `state` is the loop's own, to read and not to keep."""

    def note(self, text: str) -> None: ...


class Watchers(Watcher):
    """Several who look on, told in this order."""

    def __init__(self, *watchers: Watcher) -> None:
        self._watchers = watchers

    def opened(self) -> None:
        for watcher in self._watchers:
            watcher.opened()

    def compiling(self, job: JobName, hint: str) -> None:
        for watcher in self._watchers:
            watcher.compiling(job, hint)

    def compiled(self, job: JobName, artifact: Artifact) -> None:
        for watcher in self._watchers:
            watcher.compiled(job, artifact)

    def shipping(self, host: HostName, text: str) -> None:
        for watcher in self._watchers:
            watcher.shipping(host, text)

    def happened(self, event: Event) -> None:
        for watcher in self._watchers:
            watcher.happened(event)

    def journaled(self, events: Sequence[Event], seq: int, at: float) -> None:
        for watcher in self._watchers:
            watcher.journaled(events, seq, at)

    def sampled(self, sample: Sample) -> None:
        for watcher in self._watchers:
            watcher.sampled(sample)

    def passed(self, state: State) -> None:
        for watcher in self._watchers:
            watcher.passed(state)

    def note(self, text: str) -> None:
        for watcher in self._watchers:
            watcher.note(text)


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
    first_number: int = 1
    """Of each task's first attempt."""
    open: bool = False
    """Jobs and calls are added until the loop is told to close."""
    kept: bool = False
    """Nobody waits for the run: if it ends for its sources or jobs, the journal is where that is told."""
    secrets: Mapping[JobName, Secrets] = field(default_factory=dict)
    """Of all jobs that name some."""

    def job_plans(self) -> tuple[JobPlan, ...]:
        return tuple(self.job_plan(job, tasks=len(job)) for job in self.spec.jobs)

    def job_plan(self, job: Job, *, tasks: int) -> JobPlan:
        numbers = {other.name: n for n, other in enumerate(self.spec.jobs)}
        return JobPlan(
            name=job.name,
            tasks=tasks,
            needs=job.requests,
            hosts=None if job.hosts is None else tuple(sorted(job.hosts)),
            exclude=tuple(sorted(job.exclude)),
            labels=job.labels,
            mounts=job.mounts,
            priority=job.priority,
            after=tuple(AfterJob(job=numbers[after.job], each=after.each) for after in job.after),
            max_parallel=job.max_parallel,
            max_parallel_by_label=job.max_parallel_by_label,
            retries=job.retries.count,
            retry_on=tuple(sorted(job.retries.on)),
            memory_growth=job.retries.memory_growth,
            isolate=job.isolate,
            input_bytes=_shared_bytes(self.spec, job),
            time_s=job.limits.time_s,
            disk_bytes=job.limits.disk_bytes,
            verify=job.verify,
            cache=self.may_be_known(job) and not self.spec.fresh,
            first_number=self.first_number,
        )

    def may_be_known(self, job: Job) -> bool:
        """Whether it wants results of earlier runs, and they can be told apart: nobody knows what is in a mount."""
        return job.cache and not job.mounts and job.verify == 1 and not self.open

    def host_plans(self) -> tuple[HostPlan, ...]:
        return tuple(map(host_plan, self.inventory.hosts))

    def hosts(self) -> list[Host]:
        """Of the inventory, each with the mounts that jobs ask for: no other needs to be there for this run."""
        return list(map(self.as_wanted, self.inventory.hosts))

    def as_wanted(self, host: Host) -> Host:
        wanted = {name for job in self.spec.jobs for name in job.mounts}
        return replace(host, mounts={name: path for name, path in host.mounts.items() if name in wanted})


def host_plan(host: Host) -> HostPlan:
    return HostPlan(
        name=host.name,
        labels=tuple(sorted(host.labels)),
        mounts=tuple(sorted(host.mounts)),
        cpus=host.cpus,
        memory_bytes=host.memory_bytes,
        gpus=host.gpus,
        resources=dict(host.resources),
    )


def _shared_bytes(spec: RunSpec, job: Job) -> int:
    """Size of the files that all tasks of the job are given: a host that has them already is the better one.

    Those of single tasks are not looked at: there may be a million of them.
    """
    shared = tuple(i for i in job.inputs if i.job is None and not i.source.names and not (i.to and i.to.names))
    if not shared:
        return 0
    try:
        found = task_inputs(spec, replace(job, inputs=shared), 0)
        return sum(file.path.stat().st_size for file in found)
    except (SpecError, OSError):
        return 0  # it vanished since it was checked; who sends it says so
