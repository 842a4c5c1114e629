"""What keeps a whole run from being faster now, as sentences, the weightiest first. Pure.

A sentence weighs as much as tasks wait because of it. Costs by the jobs looked at times the hosts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from batchwasm.core import placement, reasons
from batchwasm.core.explain import at_limit, compares, is_late, label_limits, paused, waits_for
from batchwasm.core.hoststate import HostState
from batchwasm.core.jobstate import WAITING, JobState
from batchwasm.core.reasons import Reason, Shortage, counted, listed, memory_text, task_name
from batchwasm.core.reserving import may_pass
from batchwasm.core.room import MILLI
from batchwasm.core.state import State

JOBS_LOOKED_AT = 64  # of the queue: what comes behind these waits for the same
SENTENCES = 12  # more is no answer

_CLOSED = {
    "connecting": "connecting",
    "lost": "lost",
    "down": "down",
    "drained": "drained",
    "busy": "left to others",
    "silent": "silent",
    "aside": "set aside",
    "probation": "on probation",
}
"""Words of closed hosts as a sentence has them; one that the inventory has no longer is no host of the run."""


class _Weighed(NamedTuple):
    weight: float
    reason: Reason


def limits(state: State, now: float) -> tuple[Reason, ...]:
    """What limits the run at unix time `now`; at least one sentence."""
    if state.finished:
        return (Reason(code="done", text="nothing: it is done"),)
    if state.stopped is not None:
        return (Reason(code="stopped", text=f"it does not go on: {state.stopped.text}"),)
    found = list(_of_waiting(state, now)) if state.counts[WAITING] else list(_of_the_rest(state))
    if state.paused is not None:
        found.append(_Weighed(2 * state.tasks, paused(state)))
    found += _late(state, now)
    found.sort(key=lambda weighed: -weighed.weight)
    told = tuple(dict.fromkeys(weighed.reason for weighed in found))
    return told[:SENTENCES] or (Reason(code="nothing", text="nothing: what can start is being started"),)


def _of_the_rest(state: State) -> Iterator[_Weighed]:
    """Where nothing waits."""
    if state.cancelled is not None:
        yield _Weighed(2, Reason(code=state.cancelled.code, text=f"the rest is cancelled: {state.cancelled.text}"))
    if state.batches:
        running = [
            f"{task_name(state.jobs[batch.job].plan, task)} on {batch.host}"
            for batch in list(state.batches.values())[: reasons.NAMES + 1]
            for task in batch.remaining
        ]
        count = sum(job.running for job in state.jobs)
        tasks = "its last task runs" if count == 1 else f"its last {count:,} tasks run"
        names = ", ".join(running[: reasons.NAMES])
        text = f"nothing waits any more: {tasks} ({names}{' and others' if len(running) > reasons.NAMES else ''})"
        yield _Weighed(0.5, Reason(code="last", text=text))
    elif state.open:
        yield _Weighed(1, Reason(code="open", text="nothing is to be done: it waits for more tasks"))


def _late(state: State, now: float) -> Iterator[_Weighed]:
    """Running tasks that take much longer than others of their job."""
    found = []
    for batch in state.batches.values():
        job = state.jobs[batch.job]
        if batch.remaining and is_late(job, batch, now):
            found.append(f"{task_name(job.plan, next(iter(batch.remaining)))} on {batch.host}")
    if found:
        verb = "takes" if len(found) == 1 else "take"
        text = f"{listed(found)} {verb} much longer than others of the same job"
        yield _Weighed(len(found), Reason(code="late", text=text))


# ---------------------------------------------------------------------------------------------- of what waits


def _of_waiting(state: State, now: float) -> Iterator[_Weighed]:
    for n, job in enumerate(state.jobs):
        if job.waiting:
            yield from _of_job(state, n, now)
    unbuilt = [job for job in state.jobs if job.digest is None and job.waiting]
    if unbuilt:
        verb = "is" if len(unbuilt) == 1 else "are"
        text = f"{listed([job.plan.name for job in unbuilt])} {verb} not compiled yet"
        yield _Weighed(sum(job.waiting for job in unbuilt), Reason(code="not_built", text=text))
    queued = [n for _, n in state.queue[:JOBS_LOOKED_AT]]
    yield from _of_room(state, queued, now)
    yield from _of_hosts(state, now)


def _of_job(state: State, n: int, now: float) -> Iterator[_Weighed]:
    """What holds up all of a job, or many of its tasks, wherever they would run."""
    job = state.jobs[n]
    name, held = job.plan.name, job.waiting - job.startable
    for reason in waits_for(state, n, None):
        yield _Weighed(job.waiting, Reason(code=reason.code, text=f"{name} {reason.text}"))
    if held and not job.blockers:
        others = listed([state.jobs[after.job].plan.name for after in job.plan.after if after.each])
        verb = "waits" if held == 1 else "wait"
        text = f"{counted(held, 'task')} of {name} {verb} for {others}, task by task"
        yield _Weighed(held, Reason(code="after", text=text))
    limit = at_limit(job)
    if limit is not None and job.startable:
        yield _Weighed(job.startable, limit)
    compared = compares(job)
    if compared is not None:
        yield _Weighed(len(job.gave), compared)
    resting = [retry.at for retry in job.retries.values() if now < retry.at]
    if resting:
        verb = "waits" if len(resting) == 1 else "wait"
        text = f"{counted(len(resting), 'task')} of {name} {verb} to be tried again"
        yield _Weighed(len(resting), Reason(code="retry", text=text, until=min(resting)))


def _of_hosts(state: State, now: float) -> Iterator[_Weighed]:
    """Hosts that are given nothing new; each counts under its weightiest cause."""
    names: dict[str, list[HostState]] = {}
    for host in state.hosts.values():
        word = host.standing(now)
        if word in _CLOSED:
            names.setdefault(word, []).append(host)
    total = sum(not host.removed for host in state.hosts.values())
    for word, hosts in names.items():
        verb = "is" if len(hosts) == 1 else "are"
        text = f"{len(hosts):,} of {counted(total, 'host')} {verb} {_CLOSED[word]}: "
        text += listed([host.name for host in hosts])
        until = min(host.aside_until for host in hosts) if word == "aside" else None
        yield _Weighed(state.counts[WAITING] * len(hosts) / total, Reason(code=word, text=text, until=until))


# ----------------------------------------------------------------------------------------------------- of room


def _of_room(state: State, queued: list[int], now: float) -> Iterator[_Weighed]:
    """What the open hosts are short of for tasks that could start; each thing is told once, of the heaviest job."""
    open_hosts = [host for host in state.hosts.values() if host.is_open(now)]
    heaviest: dict[str, tuple[float, Shortage, int]] = {}
    weights: dict[str, float] = {}
    for n in queued:
        job = state.jobs[n]
        due = job.startable - sum(now < retry.at for retry in job.retries.values())
        if not due or at_limit(job) is not None:
            continue
        hosts = [host for host in open_hosts if placement.may_take(host, job)]
        if open_hosts and not hosts:
            text = f"no host that is open now may run {job.plan.name}"
            yield _Weighed(due, Reason(code="no_host", text=text))
        yield from _of_keeping(state, n, job, hosts, due, now)
        for short, share in _short(state, job, hosts):
            weight = due * share
            weights[short.what] = weights.get(short.what, 0.0) + weight
            if short.what not in heaviest or weight > heaviest[short.what][0]:
                heaviest[short.what] = (weight, short, n)
    for what, (_, short, n) in heaviest.items():
        where = short.hosts == len(open_hosts)
        yield _Weighed(weights[what], Reason(code=short.kind, text=_room_text(state, short, n, everywhere=where)))


def _of_keeping(
    state: State, n: int, job: JobState, hosts: list[HostState], due: int, now: float
) -> Iterator[_Weighed]:
    """Hosts that are kept for others, and labels whose share of the job is used up."""
    kept: dict[int, list[str]] = {}
    for host in hosts:
        if host.reserved is not None and not any(may_pass(state, host, n, amount, now) for amount in job.amounts):
            kept.setdefault(host.reserved, []).append(host.name)
    for other, names in kept.items():
        verb = "is" if len(names) == 1 else "are"
        text = f"{listed(names)} {verb} kept for a large task of {state.jobs[other].plan.name}"
        yield _Weighed(due * len(names) / len(hosts), Reason(code="reserved", text=text))
    for host in hosts:
        for reason in label_limits(job, host):
            yield _Weighed(due / len(hosts), reason)


def _short(state: State, job: JobState, hosts: list[HostState]) -> Iterator[tuple[Shortage, float]]:
    """What the hosts together lack for one more task of the job, and on which share of them; nothing where it fits."""
    by_what: dict[str, Shortage] = {}
    for host in hosts:
        found = reasons.lacks(state, host, job, job.amounts)
        for shortage in {shortage.what: shortage for shortage in reversed(found)}.values():
            known = by_what.get(shortage.what)
            by_what[shortage.what] = shortage if known is None else known + shortage
    yield from ((shortage, shortage.hosts / len(hosts)) for shortage in by_what.values())


def _room_text(state: State, short: Shortage, n: int, *, everywhere: bool) -> str:
    """`all 32 cpus are taken`, `30 of 32 cpus are taken, and big asks for 4 a task`."""
    job, name = state.jobs[n], state.jobs[n].plan.name
    where = "" if everywhere else f" of the {counted(short.hosts, 'open host')} that {name} may use"
    taken = sum(short.taken.values())
    if short.what == "memory":
        has, of, asked = map(memory_text, (taken, short.offered, short.asked))
        used = f", of which it used {memory_text(job.usage.memory_most_bytes)} at most" if job.usage.count else ""
        return f"{has} of {of} of memory{where} are taken, and {name} asks for {asked} a task{used}"
    offered, what = f"{short.offered / MILLI:g}", f"of {short.what}" if short.kind == "resource" else short.what
    if taken >= short.offered == MILLI:
        one = short.what if short.kind == "resource" else short.what.removesuffix("s")
        return f"the only {one}{where} is taken"
    if taken >= short.offered:
        return f"all {offered} {what}{where} are taken"
    return f"{taken / MILLI:g} of {offered} {what}{where} are taken, and {name} asks for {short.asked / MILLI:g}"
