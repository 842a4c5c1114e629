"""Requests that no host can ever satisfy, told with the nearest host and what it lacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from batchwasm.core.hoststate import HostState
from batchwasm.core.jobstate import JobState
from batchwasm.core.placement import cpus_text
from batchwasm.core.room import MILLI, Amount, Offer
from batchwasm.core.state import State
from batchwasm.model import GIB, MIB


def impossible(state: State) -> dict[int, str]:
    """Of each job that fits on no host that it may use: a sentence with the numbers and the nearest host.

    Hosts that have not answered yet count as able to take anything.
    """
    few = _sentences(state, lambda allowed: True, _too_few)
    return few | _sentences(
        state,
        lambda allowed: not any(map(_may_answer, allowed)),
        lambda job, allowed: _sentence(job, allowed, "it may use has"),
    )


def unplaced(state: State) -> dict[int, str]:
    """Of each job that fits on no host that has answered, while others may answer yet: the same."""
    return _sentences(
        state,
        lambda allowed: any(map(_may_answer, allowed)),
        lambda job, allowed: _sentence(job, allowed, "that answered has"),
    )


def _sentences(
    state: State,
    wanted: Callable[[Sequence[HostState]], bool],
    sentence: Callable[[JobState, Sequence[HostState]], str | None],
) -> dict[int, str]:
    """For jobs whose hosts are as `wanted`."""
    sentences: dict[int, str] = {}
    known: dict[object, str | None] = {}
    for n, job in enumerate(state.jobs):
        if not job.waiting:
            continue
        plan, kind = job.plan, (job.kind, job.plan.verify)
        if kind not in known:
            allowed = [host for host in state.hosts.values() if not host.removed and plan.allows(host.plan)]
            known[kind] = sentence(job, allowed) if wanted(allowed) else None
        if known[kind] is not None:
            sentences[n] = f"jobs.{plan.name}: {known[kind]}"
    return sentences


def _sentence(job: JobState, allowed: Sequence[HostState], these: str) -> str | None:
    offers = [(host.limits, host.name) for host in allowed if host.limits is not None]
    if not offers or any(limits.fits(amount) for limits, _ in offers for amount in job.amounts):
        return None
    amount, limits, nearest = _nearest(job.amounts, offers)
    missing = list(lacking(amount, limits))
    alone = all(_same(amount, other, missing) for other, _ in offers)
    told = missing if alone else [(asks, there) for asks, there, _ in _compared(amount, limits)]
    asked, has = _list([asks for asks, _ in told]), _list([there for _, there in told])
    if alone:
        return f"{_asks(job)}{asked}, more than any host {these}; nearest is {nearest} with {has}"
    what = "both" if len(told) == 2 else "all of it"
    return f"{_asks(job)}{asked}, and no host {these} {what}; nearest is {nearest} with {has}"


def _too_few(job: JobState, allowed: Sequence[HostState]) -> str | None:
    """Where it is to be compared on more hosts than there are, whoever answers."""
    if job.plan.verify == 1:
        return None
    able = [
        host.name
        for host in allowed
        if (_may_answer(host) if host.limits is None else any(map(host.limits.fits, job.amounts)))
    ]
    refused = any(host.limits is None and not _may_answer(host) for host in allowed)
    if len(able) >= job.plan.verify or refused:  # one that can't be used is the world's, not the user's mistake
        return None
    return too_few_text(job.plan.verify, able)


def too_few_text(verify: int, able: Sequence[str]) -> str:
    """Of the hosts that can take a task."""
    there = f"only {_list(able)} can take one" if able else "none can take one"
    return f"verify = {verify} runs each task on {verify} different hosts, and {there}"


def _may_answer(host: HostState) -> bool:
    return not host.answered or (host.limits is None and host.waiting_may_help)


def _asks(job: JobState) -> str:
    return "asks for " if len(job.amounts) == 1 else "asks, of its alternatives the nearest, for "


def _nearest(amounts: Sequence[Amount], offers: Sequence[tuple[Offer, str]]) -> tuple[Amount, Offer, str]:
    """The request and the host that are least apart."""
    found = [(_nearness(amount, limits), amount, limits, name) for amount in amounts for limits, name in offers]
    _, amount, limits, name = max(found, key=lambda item: item[0])
    return amount, limits, name


def _nearness(amount: Amount, limits: Offer) -> float:
    shares = [limits.milli_cpus / amount.cpus, limits.memory_bytes / max(1, amount.memory_bytes)]
    if amount.gpus:
        shares.append(limits.gpus * MILLI / amount.gpus)
    shares += [dict(limits.resources).get(name, 0) / count for name, count in amount.resources]
    return sum(min(1.0, share) for share in shares)


def _same(amount: Amount, other: Offer, missing: Sequence[tuple[str, str]]) -> bool:
    """Whether what the nearest host lacks is lacking there, too."""
    asked = {asks for asks, _ in lacking(amount, other)}
    return all(asks in asked for asks, _ in missing)


def lacking(amount: Amount, limits: Offer) -> Iterator[tuple[str, str]]:
    """What is asked for and more than the host has; each as asked, and as it is there."""
    return ((asks, there) for asks, there, lacks in _compared(amount, limits) if lacks)


def _compared(amount: Amount, limits: Offer) -> Iterator[tuple[str, str, bool]]:
    """All that is asked for, what the host has of it, and whether that is less."""
    has = dict(limits.resources)
    yield cpus_text(amount.cpus), cpus_text(limits.milli_cpus), amount.cpus > limits.milli_cpus
    # Rounded away from each other: what does not fit must not look as if it did.
    there = _size(limits.memory_bytes, math.floor)
    yield f"{_size(amount.memory_bytes, math.ceil)} of memory", there, amount.memory_bytes > limits.memory_bytes
    if amount.gpus:
        yield _gpus(amount.gpus / MILLI), _gpus(limits.gpus), -(-amount.gpus // MILLI) > limits.gpus
    for name, count in amount.resources:
        found = has.get(name, 0)
        yield f"{count / MILLI:g} of {name}", f"{found / MILLI:g} of {name}", count > found


def _gpus(count: float) -> str:
    return "1 gpu" if count == 1 else f"{count:g} gpus"


def _list(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _size(size_bytes: int, rounded: Callable[[float], int]) -> str:
    unit, name = (GIB, "GiB") if size_bytes >= GIB else (MIB, "MiB")
    return f"{rounded(size_bytes * 100 / unit) / 100:,.2f}".rstrip("0").rstrip(".") + f" {name}"
