"""Hosts of a run at a glance: what its state knows of them, and what they last said of themselves. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from batchwasm.core.hoststate import HostState
from batchwasm.core.room import MILLI, whole
from batchwasm.core.state import State
from batchwasm.journal import Sample
from batchwasm.rows import HostRow
from batchwasm.views.model import HostLine


@dataclass(slots=True)
class _Held:
    """What a host has of a run."""

    by_job: dict[str, int] = field(default_factory=dict)
    gpus: dict[int, str] = field(default_factory=dict)


def lines(
    state: State, rows: Sequence[HostRow], samples: Mapping[str, Sample], transport: Callable[[str], str]
) -> Iterator[HostLine]:
    """Of all hosts; `rows` are theirs, `samples` the newest of each by its name."""
    held = _held(state)
    nothing = _Held()
    for host, row in zip(state.hosts.values(), rows, strict=True):
        yield line(host, row, samples.get(host.name), held.get(host.name, nothing), transport(host.name))


def _held(state: State) -> dict[str, _Held]:
    names = [job.plan.name for job in state.jobs]
    found: dict[str, _Held] = {}
    for batch in state.batches.values():
        held = found.get(batch.host)
        if held is None:
            held = found[batch.host] = _Held()
        name = names[batch.job]
        held.by_job[name] = held.by_job.get(name, 0) + len(batch.remaining)
        for gpu in batch.gpus:
            held.gpus[gpu] = name
    return found


def line(host: HostState, row: HostRow, sample: Sample | None, held: _Held, transport: str) -> HostLine:
    offer, room = host.capacity, host.room
    busy = None if room is None else room.taken_cpus / MILLI
    if room is not None and sample is not None and sample.cpus_busy is not None:
        busy = float(sample.cpus_busy)
    is_there = room is not None and sample is not None
    return HostLine(
        row=row,
        transport=transport,
        cpus=None if offer is None else offer.cpus,
        cpus_busy=None if busy is None else whole(busy),
        cpu_share=sample.cpu_share if sample is not None and is_there else None,
        load=sample.load if sample is not None and is_there else None,
        memory_bytes=None if offer is None else offer.memory_bytes,
        memory_available_bytes=sample.memory_available_bytes if sample is not None and is_there else None,
        disk_free_bytes=sample.disk_free_bytes if sample is not None and is_there else None,
        gpus=tuple(held.gpus.get(n) for n in range(offer.gpus)) if offer is not None else (),
        by_job=held.by_job,
        suspended=(sample.suspended or 0) if sample is not None and is_there else 0,
        heard_at=None if sample is None else sample.at,
    )
