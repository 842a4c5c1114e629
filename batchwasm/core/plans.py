"""What the scheduler is told of jobs and hosts before it starts. Plain JSON values, as events are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchwasm.model import Request


@dataclass(frozen=True, kw_only=True, slots=True)
class AfterJob:
    """Another job by its number, which has to succeed first; with `each` only task i, for task i."""

    job: int
    each: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class JobPlan:
    """What the scheduler must know of a job: how many tasks, what each reserves, where and when it may run."""

    name: str
    tasks: int
    needs: tuple[Request, ...] = (Request(),)
    """Alternatives; the first that fits is taken."""
    hosts: tuple[str, ...] | None = None
    """Names of the hosts it may use; None is all."""
    exclude: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """What a host must have, `!x` what it must not have."""
    mounts: tuple[str, ...] = ()
    """Names of folders that a host must offer."""
    priority: int = 0
    after: tuple[AfterJob, ...] = ()
    max_parallel: int | None = None
    max_parallel_by_label: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    retry_on: tuple[str, ...] = ()
    """Words of outcomes, or `exit:75`."""
    memory_growth: float = 1.0
    isolate: bool = False
    """Each attempt in a process of its own: it is a batch of its own, too."""
    input_bytes: int = 0
    """Of the files that all its tasks share: what a host that had none of them yet must be sent."""
    time_s: float | None = None
    """Limit of an attempt; this and the next one decide nothing, and are told beside what was used."""
    disk_bytes: int | None = None
    """What an attempt may write; None where nobody knows."""
    verify: int = 1
    """On how many different hosts each task runs, to compare what they give."""
    cache: bool = False
    """Results that are known from earlier runs are taken."""
    first_number: int = 1
    """Of a task's first attempt: above 1 where one is repeated that was not the first."""

    @property
    def cpus(self) -> float:
        return self.needs[0].cpus

    @property
    def memory_bytes(self) -> int:
        return self.needs[0].memory_bytes

    def allows(self, host: HostPlan) -> bool:
        """Whether it may use the host at all, by its name, labels and mounts."""
        return (
            (self.hosts is None or host.name in self.hosts)
            and host.name not in self.exclude
            and set(self.mounts) <= set(host.mounts)
            and all(
                (label[1:] not in host.labels) if label[0] == "!" else (label in host.labels) for label in self.labels
            )
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPlan:
    """What the inventory says of a host; what is None is found out there."""

    name: str
    labels: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    cpus: int | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    resources: Mapping[str, float] = field(default_factory=dict)
