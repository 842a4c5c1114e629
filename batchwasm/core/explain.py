"""Why a task is where it is: what keeps it from starting, where it runs, why it ended without an attempt. Pure.

All causes are told, not the first alone. Hosts with the same causes are told together: a thousand of them are a few
groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from batchwasm.core import placement, policy, reasons
from batchwasm.core.hoststate import Batch, HostState
from batchwasm.core.jobstate import RUNNING, WAITING, JobState
from batchwasm.core.reasons import Reason, Shortage, counted, task_name
from batchwasm.core.reserving import may_pass
from batchwasm.core.room import Amount
from batchwasm.core.state import State
from batchwasm.core.urgency import Urgency
from batchwasm.model import Outcome

LOOKED_AT = 1000  # tasks whose hosts are named
_WORDS = {WAITING: "waits", RUNNING: "runs"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Hosts:
    """Hosts that are alike."""

    names: tuple[str, ...]
    reasons: tuple[Reason, ...]
    """Why the task does not run there; none where it could start at once, if nothing else keeps it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An attempt that is on a host now."""

    host: str
    number: int
    since: float
    """Unix time at which it was given to the host; where it is the first of its batch, when the one before it ended."""
    before: int
    """Tasks of its batch that run before it."""
    double: bool
    """It was started beside another attempt of the same task."""
    doubted: bool
    """Its host is silent, or can't be reached."""
    late: bool
    """It takes much longer than others of its job."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    reasons: tuple[Reason, ...]
    """Wherever it would run."""
    hosts: tuple[Hosts, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    places: tuple[Place, ...]
    reasons: tuple[Reason, ...] = ()
    """Why nobody would hear of its end now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    outcome: Outcome
    reasons: tuple[Reason, ...]
    """Where the result is no attempt's own word."""


Explanation = Waiting | Running | Ended


def explain(state: State, n: int, task: int, now: float) -> Explanation:
    """Of one task of job `n`, at unix time `now`."""
    job = state.jobs[n]
    code = job.codes[task]
    if code == WAITING:
        return Waiting(reasons=tuple(_everywhere(state, n, task, now)), hosts=_by_host(state, n, task, now))
    if code == RUNNING:
        return Running(places=tuple(_places(state, n, task, now)), reasons=tuple(_stopped(state)))
    return Ended(outcome=Outcome(code), reasons=tuple(_why_ended(state, n, task)))


# ----------------------------------------------------------------------------------------- wherever it would run


def _everywhere(state: State, n: int, task: int, now: float) -> Iterator[Reason]:
    job = state.jobs[n]
    yield from _stopped(state)
    if state.stopped is None and state.paused is not None:
        yield paused(state)
    yield from waits_for(state, n, task)
    if job.digest is None:
        yield Reason(code="not_built", text=f"{job.plan.name} is not compiled yet")
    retry = job.retries.get(task)
    if retry is not None and now < retry.at:
        yield Reason(code="retry", text=f"tried again after a while; {_last_try(job, task)}", until=retry.at)
    if task in job.gave:
        hosts = " and ".join(host for host, _ in job.gave[task])
        yield Reason(code="verify", text=f"ran on {hosts}, waits for another host to compare")
    limit = at_limit(job)
    if limit is not None:
        yield limit
    if job.digest is not None and (task in job.ready or retry is not None):
        yield from _before_it(state, n, task)


def _stopped(state: State) -> Iterator[Reason]:
    if state.stopped is not None:
        yield Reason(code="stopped", text=f"the run does not go on: {state.stopped.text}")


def paused(state: State) -> Reason:
    """Of a run that is."""
    by = f" {state.paused}" if state.paused else ""
    text = f"the run is paused{by}: nothing new is started until 'batchwasm unpause -r {state.name}'"
    return Reason(code="paused", text=text)


def compares(job: JobState) -> Reason | None:
    """Its tasks that ran, and wait to run on another host, too."""
    waiting = [task for task in job.gave if task in job.retries]
    if not waiting:
        return None
    hosts = reasons.listed(sorted({host for task in waiting[:LOOKED_AT] for host, _ in job.gave[task]}))
    verb = "waits" if len(waiting) == 1 else "wait"
    text = f"{counted(len(waiting), 'task')} of {job.plan.name} ran on {hosts}, {verb} for another host to compare"
    return Reason(code="verify", text=text)


def waits_for(state: State, n: int, task: int | None) -> Iterator[Reason]:
    """Other jobs that have to succeed first: of one task, or as far as they hold up all of the job."""
    for after in state.jobs[n].plan.after:
        other = state.jobs[after.job]
        if after.each:
            if task is not None and other.codes[task] != Outcome.SUCCEEDED:
                word = _WORDS.get(other.codes[task]) or f"is {Outcome(other.codes[task]).word}"
                yield Reason(code="after", text=f"waits for {task_name(other.plan, task)}, which {word}")
        elif not other.succeeded:
            left = other.plan.tasks - other.counts[Outcome.SUCCEEDED]
            running = f", {other.running:,} of them running" if other.running else ""
            text = f"waits for {other.plan.name}: {left:,} of {counted(other.plan.tasks, 'task')} left{running}"
            yield Reason(code="after", text=text)


def at_limit(job: JobState) -> Reason | None:
    """`max_parallel` of the job, where it is reached."""
    most = job.plan.max_parallel
    if most is None or job.batches < most:
        return None
    return Reason(code="max_parallel", text=f"max_parallel of {job.plan.name} is reached: {most:,} at once")


def _last_try(job: JobState, task: int) -> str:
    losses, failures = job.losses.get(task, 0), job.failures(task)
    parts = [f"it failed {_times(failures)}"] if failures else []
    if losses:
        parts.append(f"it was lost with its host or worker {_times(losses)}, and {policy.CRASH_LIMIT} is the limit")
    return " and ".join(parts) or "it was given back"


def _times(count: int) -> str:
    return "once" if count == 1 else "twice" if count == 2 else f"{count} times"


def _before_it(state: State, n: int, task: int) -> Iterator[Reason]:
    """Who goes first where there is room for one."""
    job = state.jobs[n]
    urgency = Urgency()
    urgency.look(state)
    order = urgency.ranked(state)
    ahead = order[: order.index(n)]
    if ahead:
        names = [
            f"{state.jobs[other].plan.name} ({counted(state.jobs[other].startable, 'task')}, {_rank(state, other, n)})"
            for other in ahead[: reasons.NAMES]
        ]
        more = f" and {counted(len(ahead) - reasons.NAMES, 'more job')}" if len(ahead) > reasons.NAMES else ""
        yield Reason(code="queue", text=f"behind {', '.join(names)}{more} in the queue")
    own = 0
    if task in job.ready:  # what is tried again goes before what never ran
        own = len(job.retries) + sum(max(0, min(stop, task) - start) for start, stop in job.ready.ranges)
    if own:
        yield Reason(
            code="queue", text=f"{counted(own, 'task')} of {job.plan.name} {'goes' if own == 1 else 'go'} first"
        )


def _rank(state: State, other: int, n: int) -> str:
    """Why one job goes before another."""
    priority = state.jobs[other].plan.priority
    if priority != state.jobs[n].plan.priority:
        return f"priority {priority}"
    return "older" if other < n else "which decides when the run ends"


# ------------------------------------------------------------------------------------------------ host by host


def _by_host(state: State, n: int, task: int, now: float) -> tuple[Hosts, ...]:
    """Grouped by their reasons; what is short counts as one where it is the same things."""
    job = state.jobs[n]
    retry = job.retries.get(task)
    amounts = job.amounts
    if retry is not None and retry.memory_bytes is not None:
        amounts = tuple(amount._replace(memory_bytes=retry.memory_bytes) for amount in amounts)
    names: dict[tuple[object, ...], list[str]] = {}
    told: dict[tuple[object, ...], list[Reason]] = {}
    short: dict[tuple[object, ...], list[Shortage]] = {}
    for host in state.hosts.values():
        fixed = list(_of_host(state, host, n, task, amounts, now))
        able = host.room is not None and not any(reason.code in _NEVER for reason in fixed)
        lacks = reasons.lacks(state, host, job, amounts) if able else []
        key = (
            *((reason.text, reason.until) for reason in fixed),
            *((each.what, each.asked, each.ahead) for each in lacks),
        )
        names.setdefault(key, []).append(host.name)
        told[key] = fixed
        known = short.get(key)
        short[key] = lacks if known is None else [a + b for a, b in zip(known, lacks, strict=True)]
    return tuple(
        Hosts(names=tuple(found), reasons=(*told[key], *(each.reason(state) for each in short[key])))
        for key, found in names.items()
    )


_NEVER = frozenset({"hosts", "exclude", "labels", "mounts", "too_large", "removed"})
"""Codes of hosts where it can't run whatever happens: what is free there does not matter."""


def _of_host(
    state: State, host: HostState, n: int, task: int, amounts: tuple[Amount, ...], now: float
) -> Iterator[Reason]:
    """What one host has against a task of job `n`, but for its room."""
    job = state.jobs[n]
    retry = job.retries.get(task)
    yield from reasons.closed(host, now)
    yield from reasons.not_allowed(job.plan, host.plan)
    yield from reasons.too_large(amounts, host.limits or reasons.stated(host.plan))
    yield from label_limits(job, host)
    if job.has_run(task, host.name):
        yield Reason(code="verify", text="it ran here already, and is compared with another host")
    if host.reserved == n and host.reserved_bytes is not None and (retry is None or retry.memory_bytes is None):
        yield Reason(code="reserved", text="kept for a task of this job that needs more memory than it asked for")
    if host.reserved is not None and not any(may_pass(state, host, n, amount, now) for amount in amounts):
        kept_for = state.jobs[host.reserved].plan.name
        yield Reason(code="reserved", text=f"kept for a task of {kept_for}, which waited too long")
    if (
        retry is not None
        and retry.avoid == host.name
        and now < retry.at + policy.AVOID_S
        and placement.has_another(state, job, host, now, task)
    ):
        text = "the last attempt ended badly here, so another host is tried first"
        yield Reason(code="avoided", text=text, until=retry.at + policy.AVOID_S)


def label_limits(job: JobState, host: HostState) -> Iterator[Reason]:
    """`max_parallel` of the job by a label that the host has, where it is reached."""
    for label, most in job.plan.max_parallel_by_label.items():
        if label in host.plan.labels and job.by_label.get(label, 0) >= most:
            text = f"max_parallel of {job.plan.name} is reached on hosts with the label {label}: {most:,} at once"
            yield Reason(code="max_parallel", text=text)


# ------------------------------------------------------------------------------------------------ where it runs


def _places(state: State, n: int, task: int, now: float) -> Iterator[Place]:
    job = state.jobs[n]
    for batch in state.batches.values():
        if batch.job == n and task in batch.remaining:
            before = _before(batch, task)
            yield Place(
                host=batch.host,
                number=batch.remaining[task],
                since=batch.placed_at if before else batch.since,
                before=before,
                double=batch.double,
                doubted=state.hosts[batch.host].silent,
                late=not before and is_late(job, batch, now),
            )


def is_late(job: JobState, batch: Batch, now: float) -> bool:
    """Whether the task that runs in the batch takes much longer than others of its job."""
    usual_s = policy.usual_s(job)
    return usual_s is not None and now >= batch.since + usual_s


def _before(batch: Batch, task: int) -> int:
    return next(at for at, other in enumerate(batch.remaining) if other == task)


# ------------------------------------------------------------------------------------------------ why it ended


def _why_ended(state: State, n: int, task: int) -> Iterator[Reason]:
    job = state.jobs[n]
    match Outcome(job.codes[task]):
        case Outcome.SKIPPED:
            yield Reason(code="skipped", text=_before_it_failed(state, n, task))
        case Outcome.CANCELLED:
            code, text = state.why_cancelled(n, task)
            yield Reason(code=code, text=text)
        case Outcome.LOST:
            text = f"it was lost with its host or worker {policy.CRASH_LIMIT} times, which is the limit"
            yield Reason(code="crash_limit", text=text)
        case _:
            pass


def _before_it_failed(state: State, n: int, task: int) -> str:
    """Back to the first task that did not succeed by itself: a skipped one was itself after another."""
    said: list[str] = []
    at: tuple[int, int] | None = (n, task)
    while at is not None and len(said) < len(state.jobs):
        at = state.skipped_because(*at)
        if at is not None:
            other = state.jobs[at[0]]
            outcome = Outcome(other.codes[at[1]])
            said.append(f"{task_name(other.plan, at[1])}, which did not succeed ({outcome.word})")
            if outcome != Outcome.SKIPPED:
                break
    return f"it comes after {', after '.join(said)}" if said else "something before it did not succeed"
