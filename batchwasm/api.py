"""Everything the command line can do with runs, as functions: run one, and read what one left.

spec, inventory = batchwasm.spec.load(Path("jobs.toml"))
ran = api.run(spec, inventory)
for row in api.results(ran.folder):
    print(row.job, row.index, row.outcome, row.stdout)
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from batchwasm import calls, explained, reading, rows
from batchwasm import results as folders
from batchwasm import spec as spec_files
from batchwasm.artifacts import Store, examine
from batchwasm.asking import GONE, judge
from batchwasm.asking import cancel as cancel
from batchwasm.asking import drain as drain
from batchwasm.asking import pause as pause
from batchwasm.asking import retry as retry
from batchwasm.asking import to_retry as to_retry
from batchwasm.asking import undrain as undrain
from batchwasm.asking import unpause as unpause
from batchwasm.core.events import Event
from batchwasm.core.state import State
from batchwasm.engine import differences, manifest
from batchwasm.engine.building import Earlier
from batchwasm.engine.interrupts import to_its_end
from batchwasm.engine.loop import Loop
from batchwasm.engine.plan import Plan, Watcher
from batchwasm.engine.preview import PlannedJob, preview
from batchwasm.engine.secrets import hidden
from batchwasm.engine.secrets import read as read_secrets
from batchwasm.engine.simulating import Simulated
from batchwasm.engine.simulating import simulate as simulated
from batchwasm.errors import (
    EXIT_BAD_INPUT,
    EXIT_CANCELLED,
    EXIT_INTERRUPTED,
    EXIT_SUCCEEDED,
    EXIT_TASKS_FAILED,
    EXIT_WORLD,
    DiskFull,
    Problem,
    RunError,
    SourceError,
    SpecError,
    WorldError,
)
from batchwasm.explained import Explained
from batchwasm.journal import Journal, never_began
from batchwasm.model import Inventory, Job, JobName, Outcome, RunSpec
from batchwasm.reopening import is_of_calls, machines, reopen
from batchwasm.results import RunFolder
from batchwasm.rows import ResultRow, Status
from batchwasm.spec.lines import KeyPath
from batchwasm.version import __version__


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A run that was left, finished or not."""

    status: Status
    folder: RunFolder
    exit_code: int

    def as_dict(self) -> dict[str, Any]:
        """What `run --json` prints."""
        tasks = self.status.tasks.as_dict()
        return {
            "schema": rows.RUN_SCHEMA,
            "run": self.status.run,
            "folder": self.status.folder,
            "tasks": {key: tasks[key] for key in ("total", "succeeded", "failed", "cancelled", "skipped")},
            "by_outcome": dict(self.status.by_outcome),
            "wall_s": round(self.status.wall_s, 6),
        }


def load(jobs: Path, *, inventory: Path | None = None, hosts: str | None = None) -> tuple[RunSpec, Inventory]:
    """The run that a jobs.toml describes, and its machines; modules that are ready made are checked, too.

    Raises SpecError with all problems of both files.
    """
    return spec_files.load(jobs, inventory=inventory, hosts=hosts, check_job=_check_job)


def from_source(
    source: Path,
    args: Sequence[str],
    *,
    sweep: Sequence[str] = (),
    settings: Mapping[str, object] | None = None,
    inventory: Path | None = None,
    hosts: str | None = None,
) -> tuple[RunSpec, Inventory]:
    """The run of one source without a file; see spec.from_source. Raises SpecError."""
    return spec_files.from_source(
        source,
        args,
        sweep=sweep,
        settings=settings,
        inventory=inventory,
        hosts=hosts,
        check_job=_check_job,
    )


def _check_job(job: Job, spec: RunSpec) -> Iterator[tuple[KeyPath, str]]:
    """What no host could run is told with the other problems, where no compiler is needed to see it."""
    if job.source.language in ("wasm", "wat"):
        try:
            examine(job.name, job.source, Store())
        except SourceError as error:
            yield ("source",), str(error).removeprefix(f"{job.name}: ")
            return
    if job.source.function is not None:
        yield from calls.check(job, spec)


def run(
    spec: RunSpec,
    inventory: Inventory,
    *,
    runs_dir: Path | None = None,
    store: Store | None = None,
    jobs: Sequence[JobName] = (),
    fail_fast: bool = False,
    wait_hosts_s: float = 600.0,
    watcher: Watcher | None = None,
    started: Any = None,
    signals: bool = False,
    kept: bool = False,
) -> Ran:
    """Compile, ship, run, collect; returns when every task has its result, or when it was interrupted.

    `jobs` are names; none means all. `started` is called with the RunFolder as soon as there is one. `signals` lets
    SIGINT and SIGTERM stop the run (in the main thread only). Raises SpecError and SourceError (the run folder is gone
    again, unless it is to be `kept` and to tell why), WorldError (it can be resumed, unless it never began).
    """
    spec = only(spec, jobs)
    watcher = watcher or Watcher()
    secret_values = read_secrets(spec, watcher.note)
    folder = folders.create(spec.name, runs_dir or folders.runs_dir(spec.folder))
    try:
        folder.write_text(folder.jobs, spec.text)
        folder.write_text(folder.inventory, inventory.text)
        journal = Journal.create(folder.journal)
        if started is not None:
            started(folder)
        plan = Plan(
            run=secrets.token_hex(8),
            spec=spec,
            inventory=inventory,
            store=store or Store(),
            fail_fast=fail_fast,
            wait_hosts_s=wait_hosts_s,
            version=__version__,
            kept=kept,
            secrets=secret_values,
        )
        with closing(journal), folder.held():
            return _carried_out(Loop(plan, folder, journal, watcher), plan, folder, signals)
    except (SpecError, SourceError):
        if not kept:
            folder.remove()
        raise
    except DiskFull:
        if never_began(folder.journal) and not kept:
            folder.remove()
        raise


def resume(
    folder: RunFolder,
    *,
    inventory: Path | None = None,
    hosts: str | None = None,
    store: Store | None = None,
    before: Sequence[Event] = (),
    wait_hosts_s: float = 600.0,
    watcher: Callable[[RunSpec], Watcher] | None = None,
    signals: bool = False,
) -> Ran:
    """Go on with a run whose scheduler ended before it: what finished stays, what runs on its hosts is found there.

    `inventory` and `hosts` replace the run's own; `before` are events of a person, applied before all else. Of a run
    that is over, where nothing is `before`, it says how it ended, and tells the hosts if nobody did. Raises SpecError,
    SourceError, WorldError as `run` does (and the run folder stays), RunError where the folder is not whole.
    """
    # What marks a run whose hosts were not told stays until that is done.
    says_goodbye = not before and folder.holder() is not None and _owes_goodbyes(folder, _state(folder))
    with (
        folder.held(announced=not says_goodbye),
        closing(Journal.open(folder.journal, read_only=False)) as journal,
    ):
        state = journal.state()
        if state.finished and not before and not says_goodbye:
            return _ran(state, folder)
        reopened = reopen(folder, journal, state)
        looks_on = Watcher() if watcher is None else watcher(reopened.spec)
        secret_values = {} if says_goodbye else read_secrets(reopened.spec, looks_on.note)
        now = machines(folder, inventory=inventory, hosts=hosts)
        if now.text and now.text != folder.inventory.read_text(encoding="utf-8"):
            folder.replace_inventory(now.text)
        plan = Plan(
            run=state.run,
            spec=reopened.spec,
            inventory=now,
            store=store or Store(),
            fail_fast=state.fail_fast,
            wait_hosts_s=wait_hosts_s,
            version=__version__,
            kept=True,
            secrets=secret_values,
        )
        earlier = Earlier(state=state, artifacts=reopened.artifacts, inputs=journal.inputs(), facts=reopened.facts)
        gave = {host.name for host in state.hosts.values() if host.done}
        loop = Loop(plan, folder, journal, looks_on, earlier=earlier, before=before)
        ran = _carried_out(loop, plan, folder, signals)
        if says_goodbye and not loop.untold and gave <= {host.name for host in now.hosts}:
            folder.forget_holder()
        return ran


def _carried_out(loop: Loop, plan: Plan, folder: RunFolder, signals: bool) -> Ran:
    """One life of a scheduler, with the manifest of what it knows before it and after it."""
    try:
        if not loop.state.run:  # else it is there, and knows more by now
            manifest.write(folder, plan, loop)
        with hidden(plan.secrets):
            state = asyncio.run(to_its_end(loop, signals))
        manifest.write(folder, plan, loop)
    except BaseException:
        with suppress(WorldError):  # what went wrong before it is the news
            manifest.write(folder, plan, loop)
        raise
    return _ran(state, folder)


def _ran(state: State, folder: RunFolder) -> Ran:
    status = rows.status(state, str(folder.path), alive=False)
    return Ran(status=status, folder=folder, exit_code=_exit_code(state))


def _exit_code(state: State) -> int:
    if state.stopped is not None:
        return _STOPPED_EXITS.get(state.stopped.code, EXIT_WORLD)
    if state.counts[Outcome.SUCCEEDED] == state.tasks:
        return EXIT_SUCCEEDED
    return EXIT_CANCELLED if state.a_person_cancelled else EXIT_TASKS_FAILED


_STOPPED_EXITS = {"interrupted": EXIT_INTERRUPTED, "source": EXIT_BAD_INPUT, "spec": EXIT_BAD_INPUT}
"""Of a run that was stopped, by the code of the reason; others are the world's."""


def only(spec: RunSpec, chosen: Sequence[JobName]) -> RunSpec:
    """The run with these jobs and all that they wait for; all jobs where none is chosen.

    Raises SpecError for names it has not.
    """
    if not chosen:
        return spec
    names = [job.name for job in spec.jobs]
    unknown = [name for name in chosen if name not in names]
    if unknown:
        problems = [
            Problem(file="", line=None, key="--only", text=f"there is no job {name!r}; jobs are {', '.join(names)}")
            for name in unknown
        ]
        raise SpecError(problems)
    return replace(spec, jobs=tuple(spec_files.needed(spec.jobs, chosen)))


def caching(spec: RunSpec, cache: bool | None) -> RunSpec:
    """The run with the cache of results for all of its jobs, or with none that is taken from it; None: as they say."""
    if cache is None:
        return spec
    if not cache:
        return replace(spec, fresh=True)
    return replace(spec, jobs=tuple(replace(job, cache=True) for job in spec.jobs))


def plan(
    spec: RunSpec, inventory: Inventory, *, jobs: Sequence[JobName] = (), store: Store | None = None
) -> list[PlannedJob]:
    """What `run` would do; nothing is compiled, connected or written. Raises SpecError."""
    chosen = only(spec, jobs)
    read_secrets(chosen)
    return preview(Plan(run="", spec=chosen, inventory=inventory, store=store or Store()))


def simulate(
    spec: RunSpec,
    inventory: Inventory,
    durations: Sequence[str] = (),
    *,
    jobs: Sequence[JobName] = (),
    text: Callable[[float], str] = "{:.0f} s".format,
    watch: Callable[[State], None] | None = None,
) -> Simulated:
    """How long the run would take on these hosts, and what limits it, in virtual time; nothing is compiled or written.

    `durations` are such as `lognormal(mean=30s)`, `from RUN` or `prep=5s`; `text` writes seconds in the sentences.
    Raises SpecError, and RunError where a run whose times are wanted can't be read.
    """
    planned = Plan(run="", spec=only(spec, jobs), inventory=inventory, store=Store())
    return simulated(planned, spec.name, durations, text, watch)


# ------------------------------------------------------------------------------------------- acting on live runs


def going_on(cwd: Path | None = None) -> list[tuple[RunFolder, Status]]:
    """All runs of this user that a scheduler works on now, as far as they are known here or in the index."""
    found = []
    for folder in folders.everywhere(cwd or Path.cwd()):
        if folder.is_held() is not False:
            with suppress(RunError, WorldError):  # one that can't be read is none that can be asked
                now = status(folder)
                if now.state == "running":
                    found.append((folder, now))
    return found


# --------------------------------------------------------------------------------------------------- reading


def find(name: str | None, cwd: Path | None = None) -> RunFolder:
    """The run that a user means: a path, a name, or None for the newest. Raises RunError."""
    return folders.find(name, cwd or Path.cwd())


def status(folder: RunFolder) -> Status:
    """How far a run is, live or finished."""
    return _looked_at(folder)[0]


def ran(folder: RunFolder) -> Ran:
    """What came of a run that is over; WorldError's exit code where its scheduler died."""
    now, state = _looked_at(folder)
    return Ran(status=now, folder=folder, exit_code=_exit_code(state))


def _looked_at(folder: RunFolder) -> tuple[Status, State]:
    held = folder.is_held()
    state = _state(folder)
    alive = judge(held, state)
    status = rows.status(state, str(folder.path), alive=alive, now=time.time())
    if not alive and status.reason is None and _owes_goodbyes(folder, state):
        status = replace(status, reason=_UNTOLD)
    return status, state


HOSTS_FORGET_S = 7 * 24 * 3600.0
"""As long as a host keeps results for a scheduler that is away: the runner's Patience."""
_UNTOLD = (
    "its scheduler was killed before it had told all its hosts, which forget the run within a week: "
    "'batchwasm resume' tells them"
)


def _owes_goodbyes(folder: RunFolder, state: State) -> bool:
    """Whether the last scheduler died after the run's last word, perhaps before its hosts heard of it, and they may
    have something of it still."""
    if not state.finished or time.time() - state.last_at > HOSTS_FORGET_S or folder.holder() is None:
        return False
    with suppress(RunError):  # what is wrong with its folder is another's to tell
        return not is_of_calls(folder)
    return False


def results(
    folder: RunFolder, *, job: JobName | None = None, index: int | None = None, outcome: Sequence[str] = ()
) -> Iterator[ResultRow]:
    """Rows of the tasks that have a result, in the order of the jobs and of their tasks."""
    return reading.results(folder, job=job, index=index, outcome=outcome)


def explain(folder: RunFolder, *, job: JobName | None = None, index: int = 0) -> Explained:
    """Why a task waits, where it runs, how its attempts ended; without `job`, what limits the run now.

    Raises RunError where there is no such task.
    """
    word = status(folder).state
    journal = Journal.open(folder.journal, read_only=True)
    try:
        state = journal.state()
        if word == "stopped" and state.stopped is None:
            state.apply(GONE, state.last_at)
        now = time.time() if word == "running" else state.last_at
        if job is None:
            return explained.of_run(state, str(folder.path), word=word, now=now)
        n = next((n for n, found in enumerate(state.jobs) if found.plan.name == job), None)
        if n is None or not 0 <= index < state.jobs[n].plan.tasks:
            raise RunError(f"there is no task {job}/{index} in this run")
        attempts = reading.attempts_of(journal, state, n, index)
        cache = differences.told(folder, journal, state, n, index, lambda: _again(folder, journal, state))
        return explained.of_task(state, n, index, str(folder.path), attempts=attempts, now=now, cache=cache)
    finally:
        journal.close()


def _again(folder: RunFolder, journal: Journal, state: State) -> differences.Again:
    reopened = reopen(folder, journal, state)
    return differences.Again(reopened.spec, reopened.artifacts, read_secrets(reopened.spec))


def _state(folder: RunFolder) -> State:
    journal = Journal.open(folder.journal, read_only=True)
    try:
        return journal.state()
    finally:
        journal.close()
