"""Hosts of a run at a glance: what its state knows of them, and what they last said of themselves. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from batchwasm.core.hoststate import Batch, HostState
from batchwasm.core.room import MILLI, whole
from batchwasm.core.state import State
from batchwasm.journal import Sample
from batchwasm.model import HostName
from batchwasm.rows import HostRow
from batchwasm.views.model import HostLine


@dataclass(slots=True)
class Held:
    """What a host has of a run."""

    by_job: dict[str, int] = field(default_factory=dict)
    gpus: dict[int, str] = field(default_factory=dict)


def held(state: State, batches: Iterable[Batch]) -> dict[HostName, Held]:
    """What these are of, by their hosts."""
    names = [job.plan.name for job in state.jobs]
    found: dict[HostName, Held] = {}
    for batch in batches:
        has = found.get(batch.host)
        if has is None:
            has = found[batch.host] = Held()
        name = names[batch.job]
        has.by_job[name] = has.by_job.get(name, 0) + len(batch.remaining)
        for gpu in batch.gpus:
            has.gpus[gpu] = name
    return found


def line(
    host: HostState, row: HostRow, sample: Sample | None, held: Held | None, transport: str, *, is_past: bool
) -> HostLine:
    """Of a host, whose row this is; `sample` is the newest of it."""
    held = held or Held()
    offer, room = host.capacity, host.room
    busy = None if room is None else room.taken_cpus / MILLI
    if room is not None and sample is not None and sample.cpus_busy is not None:
        busy = float(sample.cpus_busy)
    is_there = room is not None and sample is not None
    available_bytes = (sample.memory_available_bytes or None) if sample is not None and is_there else None
    return HostLine(
        row=row,
        transport=transport,
        cpus=None if offer is None else offer.cpus,
        cpus_busy=None if busy is None else whole(busy),
        cpu_share=sample.cpu_share if sample is not None and is_there else None,
        load=sample.load if sample is not None and is_there else None,
        memory_bytes=None if offer is None else offer.memory_bytes,
        memory_available_bytes=available_bytes,
        disk_free_bytes=sample.disk_free_bytes if sample is not None and is_there else None,
        gpus=tuple(held.gpus.get(n) for n in range(offer.gpus)) if offer is not None else (),
        by_job=held.by_job,
        suspended=(sample.suspended or 0) if sample is not None and is_there else 0,
        heard_at=None if sample is None else sample.at,
        is_past=is_past,
    )
