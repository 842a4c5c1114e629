"""A run that is looked at: catches up with its journal, and makes the rows that a dashboard shows when it is asked."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from batchwasm import results, rows
from batchwasm.asking import GONE, judge
from batchwasm.core.bottleneck import limits
from batchwasm.core.hoststate import HostState
from batchwasm.core.sizing import advice
from batchwasm.core.state import State
from batchwasm.errors import BatchwasmError, RunError
from batchwasm.following import Following, TaskOutput
from batchwasm.journal import Known
from batchwasm.model import HostName, JobName, Scalar
from batchwasm.reading import Kept, KeptJob
from batchwasm.reopening import machines
from batchwasm.results import RunFolder
from batchwasm.rows import HostRow
from batchwasm.views import hosts, jobs, over_time, tasks
from batchwasm.views.details import HostDetails, TaskDetails
from batchwasm.views.hosts import Held
from batchwasm.views.matching import Matching, both
from batchwasm.views.model import Cell, FailureGroup, HostLine, HostView, JobView, Overview, TaskLine, TaskView
from batchwasm.views.over_time import OverTime
from batchwasm.views.pace import pace
from batchwasm.views.story import Story
from batchwasm.views.sums import SORTED_BY, Durations, Failures, Order

FEW = 2_000  # tasks whose figures are looked up one by one: 10 ms
KEPT = 8  # hosts, and orders of tasks, of which what was summed is kept: those that are switched between
MANY = 50_000  # of an order in which a text is looked for: where it is so rare nobody looks on, and it costs a few MB
PAUSES = 50  # what limits a run is looked for again when so many times as long has passed as that takes
K = TypeVar("K")
V = TypeVar("V")


class View:
    """A run, open for as long as one looks on. Used by one thread at a time. What it can't read it says in words:
    RunError, WorldError."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._run = Following(folder, may_jump=True)
        self._journal = self._run.journal
        self.overview: Overview | None = None
        """Of the last look."""
        self._seen: int | None = None
        """The last event of a run that does not go on, once it was shown."""
        self._alive = False
        self._over_time = OverTime(self._journal)
        self._story = Story(self._journal)
        self._failures = Failures()
        self._durations: dict[int, Durations] = {}
        self._orders: dict[tuple[int, frozenset[str], str, bool], Order] = {}
        self._text: tuple[int, str, Matching] | None = None
        self._kept: Kept | None = None
        self._transports: dict[HostName, str] | None = None
        self._limits: tuple[str, ...] = ()
        self._limits_due = 0.0
        self._task_details = TaskDetails(self._run)
        self._host_details: dict[HostName, HostDetails] = {}
        self._reference: str | None = None

    def close(self) -> None:
        self._journal.close()

    def __enter__(self) -> View:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------------------------------------- the run

    @property
    def is_alive(self) -> bool:
        """Whether a scheduler worked on it at the last look."""
        return self._alive

    @property
    def is_over(self) -> bool:
        """Whether it was finished or stopped then, or its scheduler dead."""
        return self._run.state is not None and not self._alive

    def look(self) -> Overview:
        """What is new since the last look, and all that the first screen shows."""
        known = self._catch_up()
        state = known.state
        if self.overview is not None and not self._alive and known.seq == self._seen:
            return self.overview  # nothing changes any more
        self._seen = known.seq if not self._alive else None
        now = self._now(state)
        status = rows.status(state, str(self.folder.path), alive=self._alive, now=now)
        self._over_time.look(len(state.hosts), rows.progress(state, now))
        points = self._over_time.points
        self.overview = Overview(
            at=now,
            status=status,
            pace=pace(state, points, goes_on=self._alive),
            jobs=tuple(jobs.line(state, n, row, goes_on=self._alive) for n, row in enumerate(status.jobs)),
            hosts=self._host_lines(state, status.hosts),
            history=over_time.moments(points),
            said=self._story.look(known),
            limits=self._what_limits(state, now),
        )
        return self.overview

    def _host_lines(self, state: State, found: Sequence[HostRow]) -> tuple[HostLine, ...]:
        held = hosts.held(state, state.batches.values())
        return tuple(
            self._host_line(host, row, held.get(row.name))
            for host, row in zip(state.hosts.values(), found, strict=True)
        )

    def _host_line(self, host: HostState, row: HostRow, held: Held | None) -> HostLine:
        sample, transport = self._over_time.hosts.get(row.name), self._transport(row.name)
        return hosts.line(host, row, sample, held, transport, is_past=not self._alive)

    def _catch_up(self) -> Known:
        held = self.folder.is_held()
        before = self._run.state
        if before is not None and before.stopped is GONE:
            before.stopped = None  # that was said of it here, and no event takes it back
        known = self._run.look()
        state = known.state
        if state.opened is None and held is not False:  # it begins
            self._alive = True
        else:
            self._alive = judge(held, state) and not state.finished and state.stopped is None
        return known

    def _known(self) -> Known:
        """As of the last look."""
        return self._run.known or self._catch_up()

    def _now(self, state: State) -> float:
        return max(time.time(), state.last_at) if self._alive else state.last_at

    def _what_limits(self, state: State, now: float) -> tuple[str, ...]:
        """A large run is as it was a second ago."""
        began = time.perf_counter()
        if began >= self._limits_due or not self._alive:
            self._limits = tuple(reason.text for reason in limits(state, now))
            ended = time.perf_counter()
            self._limits_due = ended + PAUSES * (ended - began)
        return self._limits

    def _transport(self, name: HostName) -> str:
        """As the inventory has it; it may have changed since where the host is new."""
        if self._transports is None or name not in self._transports:
            found: dict[HostName, str] = {}
            with suppress(BatchwasmError):  # a file that is gone, say: the run goes on without it
                found = {host.name: host.transport for host in machines(self.folder).hosts}
            self._transports = {**dict.fromkeys(self._known().state.hosts, "ssh"), **found}
        return self._transports.get(name, "ssh")

    # ----------------------------------------------------------------------------------------------- a job

    def job(self, name: JobName) -> JobView:
        """All of it but its tasks."""
        known = self._known()
        state, n = known.state, self._number(name)
        durations = self._durations.setdefault(n, Durations(n))
        durations.look(self._journal, known, self._story.retries)
        prefix = f"{name}: "
        return JobView(
            line=jobs.line(state, n, rows.job_row(state.jobs[n]), goes_on=self._alive),
            params=tuple(self._params(n, [0])[0]) if state.jobs[n].plan.tasks else (),
            slowest=self._lines(n, durations.slowest),
            failures=self.failures(name),
            durations=durations.histogram,
            advice=tuple(text.removeprefix(prefix) for text in advice(state) if text.startswith(prefix)),
        )

    def cells(self, name: JobName, cells: int, first: int = 0, stop: int | None = None) -> tuple[Cell, ...]:
        """Its tasks, or those from `first` to `stop`, which is excluded, by state, in at most so many cells: one a
        task where they fit."""
        return jobs.cells(self._known().state.jobs[self._number(name)], cells, first, stop)

    def tasks(
        self,
        name: JobName,
        *,
        states: Collection[str] = (),
        text: str = "",
        sort: str = "index",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[tuple[TaskLine, ...], int]:
        """A page of those that match, and how many these are. `states` are words, none is all; `text` is looked for in
        parameters, hosts and reasons. Sorted by a figure, those come last that have none yet."""
        n = self._number(name)
        codes = self._known().state.jobs[n].codes
        mask = tasks.chosen(codes, states)
        if text:
            mask = both(mask, self._matching(n, text))
        total = mask.count(1)
        if sort == "index":
            found = tasks.page(mask, offset, limit, descending=descending)
        else:
            order = self._order(n, mask, frozenset(states), sort, descending, offset + limit)
            found = list(order[offset : offset + limit])
            if len(found) < limit:  # those that have no figure yet
                rest = tasks.without(mask, order)
                more = limit - len(found)
                found += tasks.page(rest, max(0, offset - len(order)), more, descending=False)
        return self._lines(n, found), total

    def _order(
        self, n: int, mask: bytes, states: frozenset[str], sort: str, descending: bool, most: int
    ) -> Sequence[int]:
        """Chosen tasks that have this figure, in its order; all of them, or `most` at least."""
        if sort not in SORTED_BY:
            raise ValueError(f"tasks are not sorted by {sort!r}")
        if mask.count(1) <= FEW:
            few = tasks.page(mask, 0, FEW, descending=False)
            return tasks.in_order(self._journal, self._known().state, n, few, sort, descending=descending)
        key = (n, states, sort, descending)
        while True:
            order = self._orders.get(key)
            if order is None or order.most < most:
                order = Order(n, states, sort, descending=descending, most=2 * most)
                _keep(self._orders, key, order)
            order.look(self._journal, self._known(), self._story.retries)
            found = [task for task in order.tasks if mask[task]]
            if len(found) >= most or len(order.tasks) < order.most or order.most > MANY:
                return found
            most = max(most, 2 * order.most)

    def _matching(self, n: int, text: str) -> bytes:
        """Which tasks have it; what was looked for last is kept."""
        known = self._known()
        if self._text is None or self._text[:2] != (n, text):
            kept = self._kept_job(n)
            self._text = (n, text, Matching(n, text, None if kept is None else kept.params.sweep))
        matching = self._text[2]
        matching.look(self._journal, known, self._story.retries)
        return matching.mask(known.state)

    def failures(self, name: JobName | None = None) -> tuple[FailureGroup, ...]:
        """Tasks without success by how they ended, of a job or of all."""
        known = self._known()
        self._failures.look(self._journal, known, self._story.retries)
        return tuple(self._failures.groups(known.state, None if name is None else self._number(name)))

    def _number(self, name: JobName) -> int:
        """Raises RunError where there is no such job."""
        found = next((n for n, job in enumerate(self._known().state.jobs) if job.plan.name == name), None)
        if found is None:
            raise RunError(f"there is no job {name} in this run")
        return found

    def _lines(self, n: int, found: list[int]) -> tuple[TaskLine, ...]:
        state = self._known().state
        params = dict(zip(found, self._params(n, found), strict=True))
        return tuple(tasks.lines(self._journal, state, n, found, params, self._now(state)))

    def _params(self, n: int, found: list[int]) -> list[Mapping[str, Scalar]]:
        """Of these tasks; none while the run has no manifest that knows them."""
        kept = self._kept_job(n)
        with suppress(LookupError):
            return [{} if kept is None else kept.params[task] for task in found]
        return [{} for _ in found]

    def _kept_job(self, n: int) -> KeptJob | None:
        """What the manifest says of it; None while there is none that knows it."""
        with suppress(RunError):
            if self._kept is None:
                self._kept = Kept(self.folder)
            return self._kept[self._known().state.jobs[n].plan.name]
        return None

    # ------------------------------------------------------------------------------------- a task, and a host

    def task(self, name: JobName, index: int) -> TaskView:
        """All of it but its output. Raises RunError where there is no such task."""
        n = self._number(name)
        state = self._known().state
        if not 0 <= index < state.jobs[n].plan.tasks:
            raise RunError(f"there is no task {name}/{index} in this run")
        (line,) = self._lines(n, [index])
        if self._reference is None:
            self._reference = results.reference(self.folder, Path.cwd())
        return self._task_details.view(n, line, self._reference, self._now(state), self._kept)

    def output(self, name: JobName, index: int) -> TaskOutput:
        """What it prints, as it prints it."""
        return TaskOutput(self._run, name, index)

    def host(self, name: HostName) -> HostView:
        """All of it. Raises RunError where there is no such host."""
        known = self._known()
        state = known.state
        if name not in state.hosts:
            raise RunError(f"there is no host {name} in this run")
        now = self._now(state)
        row = rows.host_row(state, state.hosts[name], now)
        held = hosts.held(state, state.batches_on(name)).get(name)
        line = self._host_line(state.hosts[name], row, held)
        details = self._host_details.get(name) or HostDetails(name)
        _keep(self._host_details, name, details)
        details.look(self._journal, known, self._story.retries)
        found = details.view(
            line,
            self._journal,
            known,
            history=self._over_time.of_host(name, row.cpus or 0.0),
            params=self._params,
            now=now,
        )
        return replace(found, loads=self._over_time.loads(name))


def _keep(kept: dict[K, V], key: K, value: V) -> None:
    """As the newest; the oldest go."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > KEPT:
        del kept[next(iter(kept))]
