"""What is summed over all attempts of a run: once, by pages, and later over what came since only.

A page is read in some 50 ms, so that the log of the run's writer goes on being emptied; a million attempts take half a
second the first time that somebody asks. NOT INDEXED: the index by job would be gone through as a whole for each page.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice

from batchwasm.core.state import State
from batchwasm.journal import Journal, Known
from batchwasm.journalfile import BAD
from batchwasm.model import Outcome
from batchwasm.rows import Because
from batchwasm.views.model import FailureGroup

PAGE_ROWS = 100_000
EXAMPLES = 10  # tasks of a group of failures
SLOWEST = 10
RANKED = 1_000  # tasks of an order that are kept at least: some pages of it
SORTED_BY = {
    "wall_s": "wall_s",
    "queued_s": "queued_s",
    "cpu_s": "cpu_s",
    "peak_memory_bytes": "peak_memory_bytes",
    "attempts": "number",
}
"""Columns by what tasks are sorted by."""
_UNTOLD = f"({int(Outcome.LOST)}, {int(Outcome.INVALID)})"
"""Outcomes of attempts that say nothing of what a job takes."""


def _counts(state: State, job: int, task: int, outcome: int) -> bool:
    """Whether a result of that outcome can be the task's: one that a person had again waits, until there is another."""
    codes = state.jobs[job].codes
    return task < len(codes) and codes[task] == outcome


_LAST = "NOT EXISTS (SELECT 1 FROM attempts WHERE job = a.job AND task = a.task AND final = 1 AND id > a.id)"
"""Of results `a`: what a person had again has several, of which the last counts."""


class Sums(ABC):
    """Of attempts up to a row."""

    def __init__(self) -> None:
        self._upto = 0
        self._retries = 0

    def look(self, journal: Journal, known: Known, retries: int) -> None:
        """Take in all up to what is `known`; where more was tried again than before, all is summed anew."""
        if retries != self._retries or known.attempt < self._upto:
            self._retries, self._upto = retries, 0
            self.clear()
        while self._upto < known.attempt:
            stop = min(self._upto + PAGE_ROWS, known.attempt)
            self.add(journal, known.state, self._upto, stop)
            self._upto = stop

    @property
    def _last(self) -> str:
        """Where nothing was tried again each task has one result, and there is nothing to look up."""
        return f"AND {_LAST}" if self._retries else ""

    def _ranked(
        self, journal: Journal, state: State, job: int, column: str, ranked: str, given: tuple[int, ...], most: int
    ) -> list[tuple[float, int]]:
        """The first `most` of a page's results that count, in the order that `ranked` says: figure, task."""
        limit = "" if self._retries else f" LIMIT {most}"  # else those that wait again might be all that is read
        found = journal.rows(f"SELECT {column}, task, outcome {ranked}{limit}", given)
        return [(figure, task) for figure, task, outcome in found if _counts(state, job, task, outcome)][:most]

    @abstractmethod
    def clear(self) -> None:
        """Nothing is summed any more."""

    @abstractmethod
    def add(self, journal: Journal, state: State, after: int, upto: int) -> None:
        """Those of rows beyond `after` and up to `upto`."""


# ----------------------------------------------------------------------------------------------- durations

_EDGES = tuple(step * 10.0**power for power in range(-3, 6) for step in (1, 2, 5))
"""Seconds: from a millisecond to five days."""


def _bucket(low: int, high: int) -> str:
    """SQL that finds in which interval wall_s is, by halves; 0 is below the first edge."""
    if low == high:
        return str(low)
    middle = (low + high) // 2
    return f"CASE WHEN wall_s < {_EDGES[middle]!r} THEN {_bucket(low, middle)} ELSE {_bucket(middle + 1, high)} END"


class Durations(Sums):
    """How long attempts of a job took, and which tasks took longest."""

    def __init__(self, job: int) -> None:
        super().__init__()
        self._job = job
        self._counts: list[int] = []
        self._slowest: list[tuple[float, int]] = []
        self.clear()

    def clear(self) -> None:
        self._counts = [0] * (len(_EDGES) + 1)
        self._slowest = []

    def add(self, journal: Journal, state: State, after: int, upto: int) -> None:
        ran = "AND cached IS NULL" if journal.version >= 4 else ""
        where = (
            f"FROM attempts AS a NOT INDEXED WHERE id > ? AND id <= ? AND job = ? AND outcome NOT IN {_UNTOLD} {ran}"
        )
        given = (after, upto, self._job)
        for bucket, count in journal.rows(
            f"SELECT {_bucket(0, len(_EDGES))} AS bucket, count(*) {where} GROUP BY bucket", given
        ):
            self._counts[bucket] += count
        ranked = f"{where} AND final = 1 {self._last} ORDER BY wall_s DESC, task DESC"
        slowest = self._ranked(journal, state, self._job, "wall_s", ranked, given, SLOWEST)
        self._slowest = sorted({*self._slowest, *slowest}, reverse=True)[:SLOWEST]

    @property
    def histogram(self) -> tuple[tuple[float, float, int], ...]:
        """Intervals from the first to the last that has any: from, to (seconds), how many."""
        used = [n for n, count in enumerate(self._counts) if count]
        if not used:
            return ()
        edges = (0.0, *_EDGES, _EDGES[-1] * 2)
        return tuple((edges[n], edges[n + 1], self._counts[n]) for n in range(used[0], used[-1] + 1))

    @property
    def slowest(self) -> list[int]:
        """Tasks, the slowest first."""
        return list(dict.fromkeys(task for _, task in self._slowest))


class Order(Sums):
    """The first tasks of a job by one of their figures, of those in some states or of all that have ended."""

    def __init__(self, job: int, states: Collection[str], by: str, *, descending: bool, most: int) -> None:
        super().__init__()
        self._job, self._column, self._descending = job, SORTED_BY[by], descending
        codes = [int(outcome) for outcome in Outcome if outcome.word in states or not states]
        self._outcomes = f"outcome IN ({', '.join(map(str, codes))})"
        self.most = max(RANKED, most)
        """How many are kept."""
        self._first: list[tuple[float, int]] = []

    def clear(self) -> None:
        self._first = []

    def add(self, journal: Journal, state: State, after: int, upto: int) -> None:
        order = "DESC" if self._descending else "ASC"
        ranked = (
            "FROM attempts AS a NOT INDEXED WHERE id > ? AND id <= ? AND job = ? AND final = 1 "
            f"AND {self._outcomes} {self._last} ORDER BY {self._column} {order}, task {order}"
        )
        found = self._ranked(journal, state, self._job, self._column, ranked, (after, upto, self._job), self.most)
        self._first = list(islice(merge(self._first, found, reverse=self._descending), self.most))

    @property
    def tasks(self) -> list[int]:
        return list(dict.fromkeys(task for _, task in self._first))


# ------------------------------------------------------------------------------------------------ failures


@dataclass(slots=True)
class _Group:
    text: str | None
    count: int = 0
    examples: list[int] = field(default_factory=list)
    by_host: dict[str, int] = field(default_factory=dict)


class Failures(Sums):
    """Of all jobs: tasks whose result is an attempt that did not succeed, by how it ended."""

    def __init__(self) -> None:
        super().__init__()
        self._groups: dict[tuple[int, int, str | None], _Group] = {}

    def clear(self) -> None:
        self._groups = {}

    def add(self, journal: Journal, state: State, after: int, upto: int) -> None:
        query = (
            "SELECT job, task, host, outcome, reason_code, reason_text FROM attempts AS a "
            f"WHERE id > ? AND id <= ? AND {BAD} AND final = 1 AND {_LAST} ORDER BY id"
        )
        for n, task, host, outcome, code, text in journal.rows(query, (after, upto)):
            if not _counts(state, n, task, outcome):
                continue
            key = (n, outcome, code)
            group = self._groups.get(key)
            if group is None:
                group = self._groups[key] = _Group(text)
            group.count += 1
            group.by_host[host] = group.by_host.get(host, 0) + 1
            if len(group.examples) < EXAMPLES:
                group.examples.append(task)

    def groups(self, state: State, job: int | None) -> list[FailureGroup]:
        """Of one job, or of all, the largest first."""
        found = [
            FailureGroup(
                job=state.jobs[n].plan.name,
                outcome=Outcome(outcome).word,
                code=code,
                text=group.text,
                count=group.count,
                examples=tuple(group.examples),
                by_host=dict(sorted(group.by_host.items(), key=lambda pair: -pair[1])),
            )
            for (n, outcome, code), group in self._groups.items()
            if job in (None, n)
        ]
        told: dict[tuple[int, int], int] = {}
        for (n, outcome, _), group in self._groups.items():
            told[n, outcome] = told.get((n, outcome), 0) + group.count
        for n, state_job in enumerate(state.jobs):
            if job in (None, n):
                found += _untold(state, n, {o: told.get((n, o), 0) for o in range(len(state_job.counts))})
        return sorted(found, key=lambda group: -group.count)


def _untold(state: State, n: int, told: Mapping[int, int]) -> Iterable[FailureGroup]:
    """Tasks that ended without an attempt of their own: cancelled, skipped, lost once too often."""
    job = state.jobs[n]
    for outcome in Outcome:
        count = job.counts[outcome] - told[outcome]
        if outcome != Outcome.SUCCEEDED and count > 0:
            code, text = None, None
            first = job.codes.find(outcome)
            if outcome == Outcome.CANCELLED:
                code, text = state.why_cancelled(n, first)
            elif outcome == Outcome.SKIPPED:
                text = Because(state, job)[first]
            yield FailureGroup(
                job=job.plan.name,
                outcome=outcome.word,
                code=code or _CODES.get(outcome),
                text=text,
                count=count,
                examples=tuple(_first(job.codes, outcome)),
                by_host={},
            )


_CODES = {Outcome.SKIPPED: "skipped", Outcome.LOST: "crash_limit"}


def _first(codes: bytearray, code: int) -> Iterable[int]:
    at = -1
    for _ in range(EXAMPLES):
        at = codes.find(code, at + 1)
        if at < 0:
            return
        yield at


# -------------------------------------------------------------------------------------------------- a host


class OfHost(Sums):
    """How attempts on one host ended."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host
        self.by_outcome: dict[str, int] = {}

    def clear(self) -> None:
        self.by_outcome = {}

    def add(self, journal: Journal, state: State, after: int, upto: int) -> None:
        query = "SELECT outcome, count(*) FROM attempts WHERE id > ? AND id <= ? AND host = ? GROUP BY outcome"
        for outcome, count in journal.rows(query, (after, upto, self._host)):
            word = Outcome(outcome).word
            self.by_outcome[word] = self.by_outcome.get(word, 0) + count
