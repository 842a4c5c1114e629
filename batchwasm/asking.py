"""A run that goes on, seen from another process: whether it does, and how to ask something of its scheduler.

There is no daemon to talk to: a request is a row in the run's journal, where its scheduler finds it.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from batchwasm.core.state import State
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Journal
from batchwasm.results import RunFolder

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
    if state.finished or state.stopped is not None or not is_alive(held, state):
        raise WorldError(f"{folder.name} is over: there is no scheduler that could {kind} anything")
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
