"""A run that goes on, seen from another process: whether it does, and how to ask something of its scheduler.

There is no daemon to talk to: a request is a row in the run's journal, where its scheduler finds it.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from batchwasm.core.again import have_again
from batchwasm.core.events import Ranges, RunStopped, TasksRetried
from batchwasm.core.state import State
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Journal
from batchwasm.model import HostName, JobName
from batchwasm.results import RunFolder
from batchwasm.rows import HostHit, shallow

CANCEL_SCHEMA, RETRY_SCHEMA, PAUSE_SCHEMA = "cancel/1", "retry/1", "pause/1"

ANSWER_S = 60.0  # a scheduler looks every 0.4 s; after a minute it is stopped, or its disk does not answer
LOOK_S = 0.05  # between two looks for the answer
LIFE_S = 1.0  # between two looks whether the scheduler lives
_TAKES_REQUESTS = 3  # the layout of journals since when they have a table for them
_LAST_WORDS = ("RunFinished", "RunStopped")


def is_alive(held: bool | None, state: State) -> bool:
    """Whether the scheduler that opened the run last still works on it, as far as can be told from here.

    `held` is what RunFolder.is_held says.
    """
    opened = state.opened
    if opened is None:
        return False
    if opened.machine != socket.gethostname():
        return time.time() - state.last_at < 60  # another machine's process can't be seen: go by what it wrote last
    if held is not None:
        return held
    try:
        os.kill(opened.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


GONE = RunStopped(
    code="gone",
    text="its scheduler ended without a word; what its hosts were sent goes on there: 'batchwasm resume' takes it in, "
    "'batchwasm hosts clean --force' ends it",
    guests_stopped=False,
)
"""What a scheduler that was killed could not write itself."""


def judge(held: bool | None, state: State) -> bool:
    """Whether the run goes on, by `is_alive`; one whose scheduler was killed has stopped from then on, in `state`, too.

    `held` was asked for before `state` was read: a run that ends in between must not look abandoned.
    """
    alive = is_alive(held, state)
    if not alive and not state.finished and state.stopped is None:
        state.apply(GONE, state.last_at)
    return alive


def ask(folder: RunFolder, kind: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the run's scheduler answers to a request; see engine/requests.py.

    Raises RunError where it refuses, WorldError where the run is over or nobody answers.
    """
    _check(folder, kind)
    with closing(Journal.visit(folder.journal)) as journal:
        answer = _answer(journal, journal.ask(kind, body, time.time()), folder)
    if "error" in answer:
        raise RunError(str(answer["error"]))
    return answer


def _check(folder: RunFolder, kind: str) -> None:
    """Raises WorldError where a request would be in vain, before anything is written."""
    held = folder.is_held()
    with closing(Journal.open(folder.journal, read_only=True)) as journal:
        version, state = journal.version, journal.state()
    if state.finished:
        raise WorldError(f"{folder.name} has finished: nothing of it waits or runs, so there is nothing to {kind}")
    if state.stopped is not None or not is_alive(held, state):
        told = state.stopped is not None and state.stopped.guests_stopped
        runs = "nothing runs" if told else "nobody looks after it"
        raise WorldError(
            f"{folder.name} has stopped: {runs}; what waits starts only with 'batchwasm resume {folder.name}'"
        )
    if state.opened is not None and state.opened.machine != socket.gethostname():
        raise WorldError(f"{folder.name} goes on on {state.opened.machine}: give the command there")
    if version < _TAKES_REQUESTS:
        raise WorldError(f"the scheduler of {folder.name} is an earlier batchwasm, which takes no requests")


def _answer(journal: Journal, asked: int, folder: RunFolder) -> Mapping[str, Any]:
    give_up_at = time.monotonic() + ANSWER_S
    look_at = 0.0
    while True:
        now, is_over = time.monotonic(), journal.last() in _LAST_WORDS
        if now >= look_at:
            look_at, is_over = now + LIFE_S, is_over or not _lives(folder)
        answer = journal.answer(asked)  # after it was seen that the run is over: its last words may be this answer
        if answer is not None:
            return answer
        if is_over:
            raise WorldError(f"{folder.name} ended before its scheduler saw the request: nothing was done")
        if now >= give_up_at:
            raise WorldError(
                f"the scheduler of {folder.name} has not answered for {ANSWER_S:.0f} s; is it stopped (Ctrl-Z)? "
                "the request is carried out when it goes on"
            )
        time.sleep(LOOK_S)


def _lives(folder: RunFolder) -> bool:
    held = folder.is_held()
    if held is not None:
        return held
    with closing(Journal.open(folder.journal, read_only=True)) as journal:
        return is_alive(held, journal.state())


# -------------------------------------------------------------------------------------------- what can be asked

Tasks = Mapping[JobName, Ranges]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancelled:
    """What `cancel` did."""

    run: str
    folder: str
    waiting: int
    """Tasks that would have started, and won't."""
    running: int
    """Tasks that ran, and are stopped."""
    over: int
    """Tasks that had ended: they stay as they are."""
    jobs: tuple[Mapping[str, Any], ...]
    """The same by job."""

    def as_dict(self) -> dict[str, Any]:
        return {"schema": CANCEL_SCHEMA, **shallow(self), "jobs": list(self.jobs)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Retried:
    """What `retry` did."""

    run: str
    folder: str
    again: int
    """Tasks that wait again."""
    jobs: tuple[Mapping[str, Any], ...]
    """By job: `again`, and of those asked for that stay as they are `skipped`, `unfinished`, `succeeded`."""

    @classmethod
    def of(cls, folder: RunFolder, jobs: Sequence[Mapping[str, Any]]) -> Retried:
        again = sum(job["again"] for job in jobs)
        return cls(run=folder.name, folder=str(folder.path), again=again, jobs=tuple(jobs))

    def as_dict(self) -> dict[str, Any]:
        return {"schema": RETRY_SCHEMA, **shallow(self), "jobs": list(self.jobs)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Paused:
    """What `pause` or `unpause` did."""

    run: str
    folder: str
    paused: bool
    was: str | None
    """Who had paused it before; None where nobody had."""
    waiting: int
    running: int

    def as_dict(self) -> dict[str, Any]:
        return {"schema": PAUSE_SCHEMA, **shallow(self)}


def drain(folder: RunFolder, hosts: Sequence[HostName], why: str = "") -> list[HostHit]:
    """Have a run that goes on give these hosts nothing new; what runs there ends.

    Raises RunError for hosts that it has not (then nothing was done), WorldError where it is over, or does not answer.
    """
    answer = ask(folder, "drain", {"hosts": list(hosts), "why": why, "by": _user()})
    return [HostHit.of(folder.name, str(folder.path), hit, drained=True) for hit in answer["hosts"]]


def undrain(folder: RunFolder, hosts: Sequence[HostName]) -> list[HostHit]:
    """Have it use these hosts again: drained ones, and those that were set aside. Raises as `drain`."""
    answer = ask(folder, "undrain", {"hosts": list(hosts)})
    return [HostHit.of(folder.name, str(folder.path), hit, drained=False) for hit in answer["hosts"]]


def cancel(folder: RunFolder, tasks: Tasks | None) -> Cancelled:
    """Have these tasks of a run that goes on, or all, not run: those that run are stopped. Raises as `drain`."""
    jobs = ask(folder, "cancel", _body(tasks))["jobs"]
    sums = {word: sum(job[word] for job in jobs) for word in ("waiting", "running", "over")}
    return Cancelled(run=folder.name, folder=str(folder.path), jobs=tuple(jobs), **sums)


def retry(folder: RunFolder, tasks: Tasks | None) -> Retried:
    """Have those of these tasks of a run that goes on, or of all, run again that did not succeed. Raises as `drain`."""
    return Retried.of(folder, ask(folder, "retry", _body(tasks))["jobs"])


def to_retry(folder: RunFolder, tasks: Tasks | None) -> tuple[Sequence[TasksRetried], Retried]:
    """The same of a run without a scheduler: nothing is done yet, the events are for who resumes it."""
    with closing(Journal.open(folder.journal, read_only=True)) as journal:
        state = journal.state()
    numbers = {job.plan.name: n for n, job in enumerate(state.jobs)}
    chosen = None if tasks is None else {numbers[name]: ranges for name, ranges in tasks.items()}
    found = have_again(state, chosen, _user())
    return found.events, Retried.of(folder, [hit._asdict() for hit in found.hits])


def pause(folder: RunFolder) -> Paused:
    """Have a run that goes on start nothing new; what runs ends. Raises as `drain`."""
    answer = ask(folder, "pause", {"by": _user()})
    return Paused(run=folder.name, folder=str(folder.path), paused=True, **answer)


def unpause(folder: RunFolder) -> Paused:
    """Have it go on. Raises as `drain`."""
    answer = ask(folder, "unpause", {"by": _user()})
    return Paused(run=folder.name, folder=str(folder.path), paused=False, **answer)


def _body(tasks: Tasks | None) -> dict[str, Any]:
    return {"by": _user(), **({"all": True} if tasks is None else {"tasks": tasks})}


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "a user without a name"
