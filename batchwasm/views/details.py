"""A task and a host in all detail, out of their rows in the journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from batchwasm import explained, reading
from batchwasm.core.events import HostJoined
from batchwasm.core.state import RUNNING, WAITING, State
from batchwasm.explained import AttemptRow, CacheWord, Explained
from batchwasm.following import Following
from batchwasm.journal import Attempt, Journal, Known
from batchwasm.journalfile import RARE
from batchwasm.model import Outcome, Scalar
from batchwasm.reading import Kept
from batchwasm.rows import ResultRow
from batchwasm.units import size_text
from batchwasm.views import tails, words
from batchwasm.views.model import Attempted, HostLine, HostView, Moment, Said, TaskLine, TaskView
from batchwasm.views.story import of_attempt
from batchwasm.views.sums import OfHost

RAN = 50  # tasks that ended on a host last
OCCUPIED = 2_000  # attempts that its occupancy is made of
SPANS = 60
ERRORS = 50

Params = Callable[[int, list[int]], list[Mapping[str, Scalar]]]
"""Of tasks of a job."""


class TaskDetails:
    """Of tasks of one run."""

    def __init__(self, run: Following) -> None:
        self._run = run
        self._ended: tuple[object, list[AttemptRow], CacheWord | None, ResultRow | None] | None = None
        """Of the last task, under all that these depend on: some are dear."""

    def view(self, n: int, line: TaskLine, reference: str, now: float, kept: Kept | None) -> TaskView:
        """Task `line` of job `n`."""
        assert self._run.state is not None
        state, journal = self._run.state, self._run.journal
        job, task = state.jobs[n], line.index
        records = list(journal.attempts(job=n, task=task))
        key = (n, task, job.codes[task], len(records), job.tries.get(task), job.losses.get(task))
        if self._ended is None or self._ended[0] != key:
            attempts = reading.attempts_of(journal, state, n, task)
            cache = self._cache_word(state, n, task) if job.plan.cache else None
            self._ended = (key, attempts, cache, self._result(state, n, task, records, kept))
        _, attempts, cache, result = self._ended
        folder = str(self._run.folder.path)
        found = explained.of_task(state, n, task, folder, attempts=attempts, now=now, cache=cache)
        name = job.plan.name if job.plan.tasks == 1 else f"{job.plan.name}/{task}"
        return TaskView(
            line=line,
            explained=found,
            attempts=tuple(_attempts(found, {attempt.record.number: attempt for attempt in records}, now)),
            result=result,
            limits=_limits(state, n, task, records),
            replay=f"batchwasm replay {name} -r {reference}",
        )

    def _result(
        self, state: State, n: int, task: int, records: Sequence[Attempt], kept: Kept | None
    ) -> ResultRow | None:
        code = state.jobs[n].codes[task]
        if code in (WAITING, RUNNING) or kept is None:
            return None
        last = next((each for each in reversed(records) if each.record.final and each.record.outcome == code), None)
        return reading.row_of(self._run.folder, kept, state, n, task, last)

    def _cache_word(self, state: State, n: int, task: int) -> CacheWord | None:
        from batchwasm.engine import differences, secrets  # with half of the engine behind them, for few jobs
        from batchwasm.reopening import reopen

        def again() -> differences.Again:
            reopened = reopen(self._run.folder, self._run.journal, state)
            return differences.Again(reopened.spec, reopened.artifacts, secrets.read(reopened.spec))

        return differences.told(self._run.folder, self._run.journal, state, n, task, again)


def _attempts(found: Explained, records: Mapping[int, Attempt], now: float) -> Iterator[Attempted]:
    for ended in found.attempts:
        record = records.get(ended.number)
        yield Attempted(
            number=ended.number,
            host=ended.host,
            outcome=ended.outcome,
            final=ended.final,
            reason=ended.reason,
            exit_code=ended.exit_code,
            queued_s=None if record is None else record.record.queued_s,
            started_at=ended.started_at,
            wall_s=ended.wall_s,
            cpu_s=ended.cpu_s,
            peak_memory_bytes=ended.peak_memory_bytes,
            disk_bytes=ended.disk_bytes,
        )
    for place in found.places:
        runs = not place.before
        yield Attempted(
            number=place.number,
            host=place.host,
            outcome="running",
            final=False,
            reason=None,
            exit_code=None,
            queued_s=None,
            started_at=place.since if runs else None,
            wall_s=max(0.0, now - place.since) if runs else None,
            cpu_s=None,
            peak_memory_bytes=None,
            disk_bytes=None,
        )


def _limits(
    state: State, n: int, task: int, records: Sequence[Attempt]
) -> Mapping[str, tuple[float | None, float | None]]:
    """The limit of each thing, and the most that an attempt used of it."""
    job = state.jobs[n]
    retry = job.retries.get(task)
    memory = job.plan.memory_bytes if retry is None or retry.memory_bytes is None else retry.memory_bytes
    ran = [attempt.record for attempt in records]
    return {
        "memory_bytes": (memory, _most(record.peak_memory_bytes for record in ran)),
        "time_s": (job.plan.time_s, _most(record.wall_s for record in ran)),
        "disk_bytes": (job.plan.disk_bytes, _most(record.disk_bytes for record in ran)),
        "cpus": (job.plan.cpus, _most(record.cpu_s / record.wall_s for record in ran if record.wall_s > 0)),
    }


def _most(found: Iterable[float | None]) -> float | None:
    return max((each for each in found if each is not None), default=None)


# ---------------------------------------------------------------------------------------------------- a host


class _Ran(NamedTuple):
    """An attempt that ended on it."""

    job: int
    task: int
    number: int
    outcome: int
    reason: str | None
    queued_s: float
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    started_at: float


_COLUMNS = "job, task, number, outcome, reason_text, queued_s, wall_s, cpu_s, peak_memory_bytes, started_at"


class HostDetails(OfHost):
    """Of one host."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self._ran: list[_Ran] = []
        """The last ones, oldest first."""
        self._bad: list[tails.Bad] = []
        """The last ones that did not succeed."""

    def clear(self) -> None:
        super().clear()
        self._ran, self._bad = [], []

    def add(self, journal: Journal, state: State, after: int, upto: int) -> None:
        super().add(journal, state, after, upto)
        query = f"SELECT {_COLUMNS} FROM attempts WHERE id > ? AND id <= ? AND host = ? ORDER BY id DESC LIMIT ?"
        new = [_Ran(*row) for row in journal.rows(query, (after, upto, self._host, OCCUPIED))]
        self._ran = [*self._ran, *reversed(new)][-OCCUPIED:]
        bad = tails.bad_among(journal, after, upto, host=self._host, limit=ERRORS)
        self._bad = [*self._bad, *bad][-ERRORS:]

    def view(
        self, line: HostLine, journal: Journal, known: Known, *, history: tuple[Moment, ...], params: Params, now: float
    ) -> HostView:
        state = known.state
        running = [batch for batch in state.batches_on(self._host) if batch.remaining]
        spans = [(ran.job, ran.started_at, ran.started_at + ran.wall_s) for ran in self._ran]
        spans += [(batch.job, batch.since, max(batch.since, now)) for batch in running]
        since = min((started for _, started, _ in spans), default=now)
        span_s = max(1e-3, (now - since) / SPANS)
        facts = self._facts(journal)
        return HostView(
            line=line,
            history=history,
            occupancy=_occupancy(state, spans, since, span_s),
            since=since,
            span_s=span_s,
            ran=tuple(self._lines(state, params)),
            facts=facts,
            owner=tuple(_owner(state, self._host, facts)),
            errors=self._errors(journal, known),
            by_outcome=dict(self.by_outcome),
        )

    def _lines(self, state: State, params: Params) -> Iterator[TaskLine]:
        for ran in self._ran[: -RAN - 1 : -1]:
            yield TaskLine(
                job=state.jobs[ran.job].plan.name,
                index=ran.task,
                state=Outcome(ran.outcome).word,
                params=params(ran.job, [ran.task])[0],
                host=self._host,
                attempts=ran.number,
                reason=ran.reason,
                queued_s=ran.queued_s,
                wall_s=ran.wall_s,
                cpu_s=ran.cpu_s,
                peak_memory_bytes=ran.peak_memory_bytes,
                started_at=ran.started_at,
            )

    def _facts(self, journal: Journal) -> Mapping[str, Any]:
        """As it said when it last joined."""
        query = (
            f"SELECT body FROM events WHERE {RARE} AND kind = '{HostJoined.__name__}' "
            "AND json_extract(body, '$.host') = ? ORDER BY seq DESC LIMIT 1"
        )
        found = journal.rows(query, (self._host,))
        if not found:
            return {}
        body = json.loads(found[0][0])
        return {**body["facts"], "cpus": body["cpus"], "memory_bytes": body["memory_bytes"]}

    def _errors(self, journal: Journal, known: Known) -> tuple[Said, ...]:
        """The last ones, oldest first."""
        names = words.Jobs((job.plan.name, job.plan.tasks) for job in known.state.jobs)
        found: list[tuple[int, Said]] = []
        for rare in tails.rare_events(journal, after=0, upto=known.seq, limit=4 * ERRORS, host=self._host):
            sentence = words.said(rare.event, rare.at, names)
            if sentence is not None and sentence.tone in ("bad", "warning"):
                found.append((rare.seq, sentence))
        found += [(bad.seq, of_attempt(bad, names)) for bad in self._bad]
        return tuple(sentence for _, sentence in sorted(found, key=lambda pair: pair[0])[-ERRORS:])


def _occupancy(
    state: State, spans: Sequence[tuple[int, float, float]], since: float, span_s: float
) -> dict[str, tuple[float, ...]]:
    """By job: cpus that attempts took on average in each span of time."""
    found: dict[str, list[float]] = {}
    for job, started, ended in spans:
        plan = state.jobs[job].plan
        taken = found.setdefault(plan.name, [0.0] * SPANS)
        first, last = int((started - since) / span_s), int((ended - since) / span_s)
        for n in range(max(0, first), min(SPANS - 1, last) + 1):
            start = since + n * span_s
            share = (min(ended, start + span_s) - max(started, start)) / span_s
            taken[n] += max(0.0, share) * plan.cpus
    return {name: tuple(taken) for name, taken in found.items()}


def _owner(state: State, name: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """What the owner of the machine allows, and what the inventory and people leave of that."""
    host = state.hosts[name]
    rules = facts.get("rules")
    yield from (str(rule) for rule in rules) if isinstance(rules, list) else ()
    if host.limits is not None:
        cpus = "1 cpu" if host.limits.cpus == 1 else f"{host.limits.cpus:g} cpus"
        yield f"offers {cpus} and {size_text(host.limits.memory_bytes)}"
    if host.busy is not None:
        yield f"left to others now: {host.busy}"
    if host.drained is not None:
        yield f"drained: {host.drained}" if host.drained else "drained"
    if host.plan.labels:
        yield f"labels: {', '.join(host.plan.labels)}"
