"""Why nothing of a run can go on, as far as its hosts are the reason. Pure: a state in, words out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from batchwasm.core import placement
from batchwasm.core.impossible import unplaced
from batchwasm.core.state import RUNNING, HostState, JobState, State


@dataclass(frozen=True, kw_only=True, slots=True)
class Blocked:
    """No host takes any task that has no result yet."""

    text: str
    """With what is wrong with each host that could."""
    held: bool
    """Some of them are there, and kept free by a person or for others: it goes on when they are given free."""
    hopeless: bool
    """None of them comes back by itself."""


def blocked(state: State, inventory: Path | None) -> Blocked | None:
    """None while some waiting job has a host, or none waits. Into `inventory` hosts may still be written.

    What hosts run that can't be reached waits, too. The caller has seen that no other host runs anything.
    """
    # Not those that wait for others: whoever these are is in the way, and is what must be told.
    waiting = [job for job in state.jobs if job.on_hosts or (job.waiting and (job.startable or job.digest is None))]
    gone = [h for h in state.hosts.values() if h.removed and any(job.plan.allows(h.plan) for job in waiting)]
    there = [h for h in state.hosts.values() if not h.removed and any(_takes(h, job) for job in waiting)]
    if not waiting or any(not host.answered or (host.connected and not _is_held(host)) for host in there):
        return None
    tasks = sum(job.waiting + job.counts[RUNNING] for job in waiting)
    what = "the task that waits" if tasks == 1 else f"the {tasks:,} tasks that wait"
    lines = [f"  {host.name}: {host.why_closed(state.last_at)}" for host in (*there, *gone)]
    held = [host for host in there if host.connected]
    if held:
        text = "\n".join([f"no host is free for {what}:", *lines, *_cures(held)])
        return Blocked(text=text, held=True, hopeless=False)
    small = [f"  {sentence}" for sentence in unplaced(state).values()]
    text = "\n".join([f"no host is left that could run {what}:", *lines, *small])
    if gone and inventory is not None:
        text += f"\nwrite one into {inventory}"
        return Blocked(text=text, held=False, hopeless=False)
    return Blocked(text=text, held=False, hopeless=not any(host.waiting_may_help for host in there))


def _takes(host: HostState, job: JobState) -> bool:
    return placement.may_take(host, job) and job.has_use_of(host.name)


def _is_held(host: HostState) -> bool:
    return host.drained is not None or host.busy is not None


def _cures(held: Sequence[HostState]) -> Iterator[str]:
    drained = [host.name for host in held if host.drained is not None]
    if drained:
        yield f"the run waits until it may use one; 'batchwasm hosts undrain {drained[0]}' lets it"
    else:
        yield "the run waits until one is free"
