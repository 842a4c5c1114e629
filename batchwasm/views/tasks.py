"""Tasks of a job in lists: rows of some, and which of them a page has. A million of them are bytes, not objects."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from batchwasm.core.hoststate import Batch
from batchwasm.core.state import RUNNING, WAITING, State
from batchwasm.journal import Journal
from batchwasm.model import Scalar
from batchwasm.views.jobs import CODES_OF, WORDS
from batchwasm.views.model import TaskLine
from batchwasm.views.sums import SORTED_BY

_BLOCK = 4096  # tasks that are counted at once to find where a page begins

_LOOKED_UP = 500  # at once
_COLUMNS = "task, host, number, outcome, final, reason_text, queued_s, wall_s, cpu_s, peak_memory_bytes, started_at"


def lines(
    journal: Journal, state: State, n: int, tasks: Sequence[int], params: Mapping[int, Mapping[str, Scalar]], now: float
) -> Iterator[TaskLine]:
    """Of these tasks of job `n`, in their order: so few that they are read one by one."""
    marks = ", ".join("?" * len(tasks))
    last: dict[int, tuple[object, ...]] = {}
    for row in journal.rows(
        f"SELECT {_COLUMNS} FROM attempts WHERE job = ? AND task IN ({marks}) ORDER BY id", (n, *tasks)
    ):
        last[row[0]] = row
    batches = _batches(state, n, {task for task in tasks if state.jobs[n].codes[task] == RUNNING})
    for task in tasks:
        code = state.jobs[n].codes[task]
        if code == RUNNING:
            yield _running(state, n, task, batches.get(task), params[task], now)
        else:
            yield _line(state, n, task, last.get(task), params[task])


def _batches(state: State, n: int, tasks: set[int]) -> dict[int, Batch]:
    """Of tasks that run."""
    found: dict[int, Batch] = {}
    if tasks:
        for id_ in state.jobs[n].on_hosts:
            batch = state.batches[id_]
            for task in tasks & batch.remaining.keys():
                found.setdefault(task, batch)
    return found


def _running(
    state: State, n: int, task: int, batch: Batch | None, params: Mapping[str, Scalar], now: float
) -> TaskLine:
    """Of one that is sent behind others of its batch nobody knows yet when it starts."""
    is_first = batch is not None and next(iter(batch.remaining)) == task
    return TaskLine(
        job=state.jobs[n].plan.name,
        index=task,
        state="running",
        params=params,
        host=None if batch is None else batch.host,
        attempts=0 if batch is None else batch.remaining[task],
        reason=None,
        queued_s=None,
        wall_s=max(0.0, now - batch.since) if batch is not None and is_first else None,
        cpu_s=None,
        peak_memory_bytes=None,
        started_at=batch.since if batch is not None and is_first else None,
    )


def _line(state: State, n: int, task: int, row: tuple[object, ...] | None, params: Mapping[str, Scalar]) -> TaskLine:
    """Of one that waits or has ended; `row` is its last attempt."""
    job = state.jobs[n]
    code = job.codes[task]
    counts = row is not None and code == row[3]
    _, host, number, _, _, reason, queued_s, wall_s, cpu_s, peak, started_at = row or (None,) * 11
    return TaskLine(
        job=job.plan.name,
        index=task,
        state=WORDS[code],
        params=params,
        host=(host or None) if counts else None,  # type: ignore[arg-type]
        attempts=number if counts else max(job.tries.get(task, 0), number or 0),  # type: ignore[arg-type, call-overload]
        reason=reason if counts or code == WAITING else None,  # type: ignore[arg-type]
        queued_s=queued_s if counts else None,  # type: ignore[arg-type]
        wall_s=wall_s if counts else None,  # type: ignore[arg-type]
        cpu_s=cpu_s if counts else None,  # type: ignore[arg-type]
        peak_memory_bytes=peak if counts else None,  # type: ignore[arg-type]
        started_at=started_at if counts else None,  # type: ignore[arg-type]
    )


# --------------------------------------------------------------------------------------------------- choosing


def chosen(codes: bytearray, states: Collection[str]) -> bytes:
    """A byte a task: 1 where it is in one of these states, or where none is given."""
    if not states:
        return b"\1" * len(codes)
    wanted = {CODES_OF[word] for word in states if word in CODES_OF}
    return bytes(codes.translate(bytes(code in wanted for code in range(256))))


def without(mask: bytes, tasks: Sequence[int]) -> bytes:
    """The same but for these."""
    found = bytearray(mask)
    for task in tasks:
        found[task] = 0
    return bytes(found)


def in_order(
    journal: Journal, state: State, n: int, tasks: Sequence[int], by: str, *, descending: bool
) -> Sequence[int]:
    """Those of these tasks that have ended, by their figure."""
    codes = state.jobs[n].codes
    figures: dict[int, float] = {}
    for start in range(0, len(tasks), _LOOKED_UP):
        some = tasks[start : start + _LOOKED_UP]
        marks = ", ".join("?" * len(some))
        query = f"SELECT task, outcome, {SORTED_BY[by]} FROM attempts WHERE job = ? AND task IN ({marks}) AND final = 1"
        for task, outcome, figure in journal.rows(f"{query} ORDER BY id", (n, *some)):
            if codes[task] == outcome:
                figures[task] = figure
    return sorted(figures, key=lambda task: (figures[task], task), reverse=descending)


def page(mask: bytes, offset: int, limit: int, *, descending: bool) -> list[int]:
    """Tasks that are chosen, by index: `limit` of them from the `offset`-th on."""
    if descending:
        total = mask.count(1)
        start = max(0, total - offset - limit)
        return page(mask, start, total - offset - start, descending=False)[::-1]
    at = 0
    while at < len(mask):  # whole blocks before the page are only counted
        count = mask.count(1, at, at + _BLOCK)
        if count > offset:
            break
        offset -= count
        at += _BLOCK
    found: list[int] = []
    at -= 1
    while len(found) < limit:
        at = mask.find(1, at + 1)
        if at < 0:
            break
        if offset:
            offset -= 1
        else:
            found.append(at)
    return found
