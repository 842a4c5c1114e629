"""What other processes ask of a run that goes on: each request becomes events and an answer.

A request is a row of the journal's `requests`, which any process of the user may add: its kind, one of REQUESTS, and a
body that is checked here. All of it is done or nothing. An answer is `{"error": TEXT}`, or what was hit. Nothing here
acts: what follows from the events is the scheduler's.
"""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from batchwasm.core.acts import PERSON, cancelled_by
from batchwasm.core.again import all_of, have_again
from batchwasm.core.events import (
    Event,
    HostDrained,
    HostUndrained,
    Ranges,
    RunPaused,
    RunUnpaused,
    TasksCancelled,
    TasksWithdrawn,
    count,
)
from batchwasm.core.state import RUNNING, WAITING, HostState, JobState, State
from batchwasm.core.taskset import TaskSet
from batchwasm.errors import WorldError
from batchwasm.journal import Answered, Asked, Journal
from batchwasm.model import HostName

POLL_S = 0.4  # who asks waits half of it on average, and nobody notices 10 microseconds that often
TEXT_LIMIT = 500  # characters of a reason: it is a sentence, and every reader of the run carries it

Body = Mapping[str, Any]
Answer = Mapping[str, Any]


class Reply(NamedTuple):
    """What becomes of a request."""

    events: Sequence[Event]
    answer: Answer


class Refused(Exception):
    """A request that can't be carried out; the text is for who asked."""


class Requests:
    """Those to one life of a scheduler, as its journal gets them."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._seen = 0

    def turn_away(self, now: float) -> None:
        """Those that an earlier life left: who asked was told that the run is over, so nothing may come of them."""
        over = {"error": "the run's scheduler had ended; another one has just taken the run in hand: ask again"}
        while left := self._journal.asked(0):
            self._journal.append([], now, answers=[Answered(asked.id, over) for asked in left])

    async def watch(self, hear: Callable[[Asked], None]) -> None:
        """Tell each once; until cancelled."""
        while True:
            with suppress(WorldError):  # what must be written tells of a journal that can't be used
                for asked in self._journal.asked(self._seen):
                    self._seen = asked.id
                    hear(asked)
            await asyncio.sleep(POLL_S)


def reply(asked: Asked, state: State, now: float) -> Reply:
    """What becomes of a request to a run that is as `state` says; whatever is in it, nothing is raised."""
    try:
        carry_out = REQUESTS.get(asked.kind)
        if carry_out is None:
            known = ", ".join(REQUESTS)
            raise Refused(f"the run's scheduler knows no request {asked.kind!r:.80}; it knows {known}")
        return carry_out(_body(asked), state, now)
    except Refused as why:
        return Reply([], {"error": str(why)})


def _body(asked: Asked) -> Body:
    try:
        body = json.loads(asked.body)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(f"the body of a request {asked.kind} is a JSON object")
    return body


# -------------------------------------------------------------------------------------------------------- hosts


def _drain(body: Body, state: State, now: float) -> Reply:
    """`hosts` get nothing new: `why`, or what was said before, else `by` whom."""
    why, by = body.get("why", ""), body.get("by", "")
    if not isinstance(why, str) or not isinstance(by, str):
        raise Refused("the reason of a request drain is a text")
    hosts = _hosts(body, state)
    texts = [(why or host.drained or (f"by {by}" if by else ""))[:TEXT_LIMIT] for host in hosts]
    events = [HostDrained(host=h.name, text=text) for h, text in zip(hosts, texts, strict=True) if h.drained != text]
    return Reply(events, {"hosts": [_hit(state, host, host.drained) for host in hosts]})


def _undrain(body: Body, state: State, now: float) -> Reply:
    """`hosts` get tasks again: those that a person drained, and those that were set aside."""
    hosts = _hosts(body, state)
    held = [host for host in hosts if host.drained is not None or host.aside_until > now]
    hit = [_hit(state, host, _was(host, now)) for host in hosts]
    return Reply([HostUndrained(host=host.name) for host in held], {"hosts": hit})


def _was(host: HostState, now: float) -> str | None:
    """Why it got nothing; None where it did."""
    if host.drained is not None:
        return host.drained
    return host.aside_text if host.aside_until > now else None


def _hit(state: State, host: HostState, was: str | None) -> Answer:
    running = sum(len(batch.remaining) for batch in state.batches_on(host.name))
    return {"host": host.name, "running": running, "was": was, "busy": host.busy}


def _hosts(body: Body, state: State) -> list[HostState]:
    """The hosts that a body names, each once."""
    names = body.get("hosts")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise Refused("the hosts of a request are a list of names")
    wrong = "\n".join(wrong_names(names, state))
    if wrong:
        raise Refused(wrong)
    return [state.hosts[name] for name in dict.fromkeys(names)]


def wrong_names(names: Sequence[HostName], state: State) -> Iterator[str]:
    """What is wrong with each name that is no host of the run, with those that are near."""
    there = [host.name for host in state.hosts.values() if not host.removed]
    for name in names:
        host = state.hosts.get(name)
        if host is not None and host.removed:
            yield f"{name} is in the inventory of {state.name} no longer"
        elif host is None:
            near = " or ".join(difflib.get_close_matches(name, there, n=2))
            yield f"{name} is no host of {state.name}{f'; did you mean {near}?' if near else ''}"


# -------------------------------------------------------------------------------------------------------- tasks


def _cancel(body: Body, state: State, now: float) -> Reply:
    """`tasks`, or `all` of the run, won't run: those that wait don't start, those that run are stopped."""
    by = _by(body)
    everything = body.get("all") is True
    chosen = all_of(state) if everything else _tasks(body, state)
    hits = [_cancelled(state.jobs[n], ranges) for n, ranges in chosen.items()]
    left = sum(hit["waiting"] + hit["running"] for hit in hits)
    if not left and not (everything and state.open):
        return Reply([], {"jobs": hits})
    if everything:
        return Reply([TasksCancelled(code=PERSON, text=cancelled_by(by)[1], running=True)], {"jobs": hits})
    return Reply(
        [TasksWithdrawn(job=n, tasks=(), ranges=ranges, by=by) for n, ranges in chosen.items()], {"jobs": hits}
    )


def _cancelled(job: JobState, ranges: Ranges) -> dict[str, Any]:
    waiting, running = (sum(job.codes.count(code, *run) for run in ranges) for code in (WAITING, RUNNING))
    over = count(ranges) - waiting - running
    return {"job": job.plan.name, "waiting": waiting, "running": running, "over": over}


def _retry(body: Body, state: State, now: float) -> Reply:
    """`tasks`, or `all` of the run: those that did not succeed wait again, and what was skipped because of them."""
    by = _by(body)
    if state.open:
        raise Refused("calls are not had again by their number; make them again")
    said = have_again(state, None if body.get("all") is True else _tasks(body, state), by)
    return Reply(said.events, {"jobs": [hit._asdict() for hit in said.hits]})


def _tasks(body: Body, state: State) -> dict[int, Ranges]:
    """The tasks that a body names, by the number of their job: `{"tasks": {JOB: [[START, STOP], ...]}}`."""
    tasks = body.get("tasks")
    if not isinstance(tasks, dict) or not tasks:
        raise Refused("the tasks of a request are an object: lists of [start, stop] by the name of their job")
    numbers = {job.plan.name: n for n, job in enumerate(state.jobs)}
    return {_number(name, numbers, state): _ranges(name, ranges, numbers, state) for name, ranges in tasks.items()}


def _number(name: str, numbers: Mapping[str, int], state: State) -> int:
    if name not in numbers:
        near = " or ".join(difflib.get_close_matches(name, numbers, n=2))
        raise Refused(f"{name:.80} is no job of {state.name}{f'; did you mean {near}?' if near else ''}")
    return numbers[name]


def _ranges(name: str, ranges: object, numbers: Mapping[str, int], state: State) -> Ranges:
    total = state.jobs[_number(name, numbers, state)].plan.tasks
    if not isinstance(ranges, list):
        raise Refused(f"the tasks of {name} are a list of [start, stop]")
    for each in ranges:
        whole = isinstance(each, list) and len(each) == 2 and all(type(end) is int for end in each)
        if not whole or not 0 <= each[0] < each[1] <= total:
            raise Refused(f"{each!r:.80} are no tasks of {name}, which has {total:,}")
    return TaskSet(tuple((start, stop) for start, stop in ranges)).ranges


# ---------------------------------------------------------------------------------------------------- the whole run


def _pause(body: Body, state: State, now: float) -> Reply:
    """Nothing new is started; what runs goes on."""
    events = [] if state.paused is not None else [RunPaused(text=f"by {_by(body)}")]
    return Reply(events, _standing(state))


def _unpause(body: Body, state: State, now: float) -> Reply:
    return Reply([] if state.paused is None else [RunUnpaused()], _standing(state))


def _standing(state: State) -> Answer:
    """`was`: who had paused it."""
    return {"was": state.paused, "waiting": state.counts[WAITING], "running": state.counts[RUNNING]}


def _by(body: Body) -> str:
    by = body.get("by")
    if not isinstance(by, str) or not by:
        raise Refused("a request says by whom it is")
    return by[:TEXT_LIMIT]


def _follow(body: Body, state: State, now: float) -> Reply:
    """What `task` of `job`, by its name, prints is wanted for a while; engine/live.py sees to it."""
    name, task = body.get("job"), body.get("task")
    n = next((n for n, job in enumerate(state.jobs) if job.plan.name == name), None)
    if n is None or type(task) is not int or not 0 <= task < state.jobs[n].plan.tasks:
        raise Refused(f"there is no task {name!r:.80}/{task!r:.80} to follow")
    return Reply([], {"job": n, "task": task})


REQUESTS: Mapping[str, Callable[[Body, State, float], Reply]] = {
    "drain": _drain,
    "undrain": _undrain,
    "cancel": _cancel,
    "retry": _retry,
    "pause": _pause,
    "unpause": _unpause,
    "follow": _follow,
}
"""What can be asked."""
