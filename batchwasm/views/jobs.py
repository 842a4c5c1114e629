"""Jobs of a run at a glance, and the cells of their grids. Pure; a million tasks are counted as bytes."""

from __future__ import annotations

from batchwasm.core import explain
from batchwasm.core.jobstate import CODES, RUNNING, WAITING, JobState
from batchwasm.core.state import State
from batchwasm.model import Outcome
from batchwasm.rows import JobRow
from batchwasm.views.model import Cell, JobLine

WORDS = {WAITING: "waiting", RUNNING: "running", **{int(outcome): outcome.word for outcome in Outcome}}
"""Of the codes of tasks."""
CODES_OF = {word: code for code, word in WORDS.items()}


def line(state: State, n: int, row: JobRow, *, goes_on: bool) -> JobLine:
    """Of job `n`, whose row this is."""
    job = state.jobs[n]
    phase = _phase(job, goes_on=goes_on)
    return JobLine(
        row=row,
        phase=phase,
        detail=_detail(state, n, phase),
        mean_s=job.usage.mean_s if job.usage.count else None,
        retried=_retried(state, job),
    )


def _phase(job: JobState, *, goes_on: bool) -> str:
    if not job.waiting and not job.running:
        return "done"
    if job.running:
        return "running"
    return "compiling" if job.digest is None and goes_on else "waiting"


def _detail(state: State, n: int, phase: str) -> str | None:
    job = state.jobs[n]
    if job.waiting:
        reasons = [reason.text for reason in explain.waits_for(state, n, None)]
        if reasons:
            return "; ".join(reasons)
        limit = explain.at_limit(job) if job.startable else None
        if limit is not None:
            return limit.text
        if job.digest is None and phase != "compiling":
            return "it is not compiled yet"
    names = [state.jobs[after.job].plan.name for after in job.plan.after]
    return f"after {', '.join(names)}" if names else None


def _retried(state: State, job: JobState) -> int:
    if len(job.tries) < job.running:
        return len(job.retries) + sum(job.codes[task] == RUNNING for task in job.tries)
    first = job.plan.first_number
    running = sum(number > first for id_ in job.on_hosts for number in state.batches[id_].remaining.values())
    return len(job.retries) + running


def cells(job: JobState, most: int, first: int = 0, stop: int | None = None) -> tuple[Cell, ...]:
    """Its tasks, or some of them, in at most so many cells, all but the last of as many tasks."""
    codes = job.codes
    end = len(codes) if stop is None else min(stop, len(codes))
    size = max(1, -(-(end - first) // max(1, most)))
    present = [code for code in range(CODES) if job.counts[code]]
    if size == 1:
        ones = {code: {WORDS[code]: 1} for code in present}
        return tuple(Cell(first=n, stop=n + 1, counts=ones[codes[n]]) for n in range(first, end))
    found = []
    for start in range(first, end, size):
        last = min(start + size, end)
        counts = {WORDS[code]: count for code in present if (count := codes.count(code, start, last))}
        found.append(Cell(first=start, stop=last, counts=counts))
    return tuple(found)
