"""What a request to a run's scheduler hit, in words: for a terminal, and for the dashboard."""

from __future__ import annotations

from collections.abc import Iterator

from batchwasm.asking import Cancelled, Paused, Retried
from batchwasm.rows import HostHit
from batchwasm.units import count_text, tasks_text

SHOWN_JOBS = 10
_STAY = (
    ("succeeded", "had succeeded and stays as it is", "had succeeded and stay as they are"),
    ("unfinished", "waits or runs anyway", "wait or run anyway"),
    ("skipped", "stays skipped, after one that did not succeed", "stay skipped, after others that did not succeed"),
)
"""Of tasks that were asked for and do not wait again: the word of the answer, and what is said of one and of many."""


def cancelled(done: Cancelled) -> str:
    return ", ".join(_cancelled(done))


def _cancelled(done: Cancelled) -> Iterator[str]:
    if done.waiting:
        yield f"{tasks_text(done.waiting, 'that waits', 'that wait')} won't run"
    if done.running:
        yield f"{tasks_text(done.running, 'that runs is', 'that run are')} stopped"
    if not done.waiting and not done.running:
        yield "nothing to cancel"
    if done.over:
        yield f"{tasks_text(done.over, 'had ended and stays as it is', 'had ended and stay as they are')}"


def retried(done: Retried) -> str:
    return "; ".join(_retried(done))


def _retried(done: Retried) -> Iterator[str]:
    if done.again:
        hit = [job for job in done.jobs if job["again"]]
        jobs = [f"{count_text(job['again'])} of {job['job']}" for job in hit[:SHOWN_JOBS]]
        more = ", ..." if len(hit) > SHOWN_JOBS else ""
        named = f"({', '.join(jobs)}{more})" if len(hit) > 1 else f"(of {hit[0]['job']})"
        yield f"{tasks_text(done.again, 'waits again', 'wait again')} {named}"
    else:
        yield "nothing is to be run again"
    for word, one, many in _STAY:
        number = sum(job[word] for job in done.jobs)
        if number:
            yield tasks_text(number, one, many)


def paused(done: Paused, again: str = "") -> str:
    """Of `pause` and `unpause`; `again` says how a paused run goes on."""
    return "; ".join(_paused(done, again) if done.paused else _unpaused(done))


def _paused(done: Paused, again: str) -> Iterator[str]:
    yield "paused: nothing new is started" if done.was is None else f"was paused already ({done.was})"
    if done.running:
        yield f"{tasks_text(done.running, 'goes on to its end', 'go on to their end')}"
    yield tasks_text(done.waiting, "waits", "wait")
    if again:
        yield again


def _unpaused(done: Paused) -> Iterator[str]:
    yield "was not paused" if done.was is None else f"goes on; it was paused {done.was}"
    yield f"{tasks_text(done.waiting, 'waits', 'wait')}, {tasks_text(done.running, 'runs', 'run')}"


def drained(hit: HostHit) -> str:
    """Of `drain` and `undrain`, with the host's name."""
    return f"{hit.host} {'; '.join(_drained(hit) if hit.drained else _undrained(hit))}"


def _drained(hit: HostHit) -> Iterator[str]:
    yield "takes no new tasks" if hit.was is None else f"took no new tasks already{f' ({hit.was})' if hit.was else ''}"
    if not hit.running:
        yield "nothing runs there"
    else:
        yield f"{count_text(hit.running)} {'task still runs' if hit.running == 1 else 'tasks still run'} there"


def _undrained(hit: HostHit) -> Iterator[str]:
    yield "takes tasks again" if hit.was is not None else "was not drained"
    if hit.busy is not None:
        yield f"but it is left to others now: {hit.busy}"
