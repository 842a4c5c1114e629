"""`replay`: one task of an earlier run, run again with all that it was given, and what is different then.

A replay is a small run of its own, in a folder that goes when it is over; its one job is the task in full (a Recipe),
under its own index. What it takes of other jobs comes from the journal and folder of the earlier run.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex

from batchwasm import disk
from batchwasm import spec as spec_files
from batchwasm.artifacts import Store
from batchwasm.comparing import Compared, Place, compare
from batchwasm.core.events import Record, TasksWithdrawn
from batchwasm.core.jobstate import RUNNING, WAITING
from batchwasm.core.state import State
from batchwasm.engine import manifest, secrets
from batchwasm.engine.building import Earlier, built
from batchwasm.engine.interrupts import to_its_end
from batchwasm.engine.loop import Loop
from batchwasm.engine.plan import Plan, Watcher
from batchwasm.engine.recipe import Given, Origin, Recipe, recipe
from batchwasm.errors import RunError, WorldError
from batchwasm.functions import of_module
from batchwasm.journal import Attempt, InputFile, Journal
from batchwasm.model import (
    Artifact,
    Courtesy,
    Host,
    Input,
    Inventory,
    Job,
    JobName,
    Outcome,
    Request,
    Retries,
    RunSpec,
    Template,
)
from batchwasm.reopening import Reopened, is_of_calls, machines, read_manifest, reopen, reopen_calls
from batchwasm.results import RunFolder
from batchwasm.version import __version__

WAIT_HOSTS_S = 60.0  # somebody sits and waits for one task


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A task that has its result, and all that made it."""

    folder: RunFolder
    recipe: Recipe
    artifact: Artifact
    attempt: Attempt
    """The one that counts."""
    others: tuple[Attempt, ...]
    """Of a mismatch, those that it was compared with."""
    notes: tuple[str, ...]
    """What a replay can't have as it was."""

    def mounts(self) -> dict[str, str]:
        """Folders by name, of the host where it ran, else as others have them. Raises SpecError."""
        hosts = machines(self.folder).hosts if self.recipe.job.mounts else ()
        there = [host for host in hosts if host.name == self.attempt.host]
        return {name: path for host in (*hosts, *there) for name, path in host.mounts.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """How it went."""

    found: Found
    host: str
    compared: Compared
    kept: Path | None
    """The replay's own run folder."""


def find(folder: RunFolder, job: JobName, index: int) -> Found:
    """What that task was made of, and what it gave.

    Raises RunError where it has no result or can't be had again, with all files that are not what they were.
    """
    with closing(Journal.open(folder.journal, read_only=True)) as journal:
        state = journal.state()
        n = next((n for n, each in enumerate(state.jobs) if each.plan.name == job), None)
        if n is None or not 0 <= index < state.jobs[n].plan.tasks:
            raise RunError(f"there is no task {job}/{index} in this run")
        *others, attempt = _results(journal, state, n, index)
        calls = is_of_calls(folder)
        reopened = reopen_calls(folder, journal, state) if calls else reopen(folder, journal, state)
        arguments = _call(journal, state, n, index) if calls else None
        artifact = reopened.artifacts[n]
        wanted = _with_memory(journal, reopened, n, attempt)
        known = journal.inputs() if journal.version >= INPUTS_SINCE else None
    origin = Origin(name=state.name, folder=folder, spec=reopened.spec, known=known)
    signature = None if wanted.source.function is None else of_module(artifact.path.read_bytes())
    made = recipe(origin, wanted, index, attempt.record.number, signature, arguments)
    return Found(
        folder=folder,
        recipe=made,
        artifact=artifact,
        attempt=attempt,
        others=tuple(others),
        notes=(*_notes(made, known, attempt), *_other_engine(folder)),
    )


INPUTS_SINCE = 4  # version of the journal


def _results(journal: Journal, state: State, n: int, index: int) -> list[Attempt]:
    """The attempts that gave the task its result, the one that counts last: several where they are a mismatch.

    Raises RunError.
    """
    name = f"{state.jobs[n].plan.name}/{index}"
    code = state.jobs[n].codes[index]
    if code in (WAITING, RUNNING):
        raise RunError(f"{name} has not ended; there is nothing to compare with")
    attempts = list(journal.attempts(job=n, task=index))
    final = [attempt for attempt in attempts if attempt.record.final]
    if not final or code in _NEVER_RAN:
        word = Outcome(code).word.replace("_", " ")
        raise RunError(f"{name} is {word}, so it has no result that it could be compared with")
    if code != Outcome.MISMATCH:
        return final[-1:]
    return [*(a for a in attempts if a.record.outcome == Outcome.SUCCEEDED and not a.record.final), final[-1]]


_NEVER_RAN = frozenset({int(Outcome.CANCELLED), int(Outcome.SKIPPED), int(Outcome.LOST)})


def _call(journal: Journal, state: State, n: int, index: int) -> bytes:
    arguments = journal.arguments(n, index)
    if arguments is None:
        raise RunError(
            f"the arguments of {state.jobs[n].plan.name}/{index} were too large to be kept; call it again with them"
        )
    return arguments


def _with_memory(journal: Journal, reopened: Reopened, n: int, attempt: Attempt) -> Job:
    """The job with the memory that this attempt had: that of an alternative, or more after it ran out."""
    job = reopened.spec.jobs[n]
    placed = journal.placed(attempt.batch)
    if placed is None:
        return job
    need = job.requests[placed.need] if placed.need < len(job.requests) else job.request
    memory = placed.memory_bytes or need.memory_bytes or job.limits.memory_bytes
    return replace(job, limits=replace(job.limits, memory_bytes=memory))


def _notes(made: Recipe, known: Mapping[str, InputFile] | None, attempt: Attempt) -> Iterator[str]:
    if attempt.record.outcome == Outcome.MISMATCH:
        yield f"the task is a mismatch: what counts here is what attempt {made.number} on {attempt.host} gave"
    if known is None and any(made.files()):
        yield "the run did not note what its inputs were: those of now are taken"
    if made.job.reuse:
        yield "the task ran in an instance that may have had calls before (reuse = true); the replay has a fresh one"


def _other_engine(folder: RunFolder) -> Iterator[str]:
    before, now = read_manifest(folder).get("wasmtime"), version("wasmtime")
    if before is not None and before != now:
        yield f"it ran with wasmtime {before}, and a replay does with {now}"


# -------------------------------------------------------------------------------------------------------- again


def replay(
    found: Found,
    *,
    host: str | None = None,
    keep: Path | None = None,
    watcher: Watcher | None = None,
    signals: bool = False,
) -> Replayed:
    """Run the task again, on this machine or on a host of the run's inventory, and compare.

    What it makes goes into a folder below `keep`, which must be new or empty, and stays; else it goes. Raises RunError,
    SpecError, WorldError where it can't be run, KeyboardInterrupt where somebody wants no more of it.
    """
    inventory = _machine(found, host)
    with _folder(found, keep) as folder:
        state = _run(found, folder, inventory, watcher or Watcher(), signals)
        if state.stopped is not None:
            raise KeyboardInterrupt
        with closing(Journal.open(folder.journal, read_only=True)) as journal:
            again = next(iter(journal.attempts(job=0, task=found.recipe.index, final=True)), None)
        if again is None:
            raise WorldError("the replay came to no result")
        compared = _compared(found, folder, again)
        return Replayed(found=found, host=again.host, compared=compared, kept=None if keep is None else folder.path)


def _compared(found: Found, folder: RunFolder, again: Attempt) -> Compared:
    job, index, is_call = found.recipe.job.name, found.recipe.index, found.recipe.arguments is not None
    where, there = (Place(folder=each, job=job, index=index) for each in (found.folder, folder))
    signature = of_module(found.artifact.path.read_bytes()) if is_call else None
    result = None if signature is None else signature.result
    compared = compare(_as_given(found.attempt), where, again.record, there, result)
    notes = []
    for other in found.others:
        if other.record.stdout is not None and other.record.value_path is None:  # else its files were written over
            word = "not what" if compare(other.record, where, again.record, there, result).differences else "what"
            notes.append(f"it is {word} attempt {other.record.number} on {other.host} gave")
    return replace(compared, notes=(*notes, *compared.notes))


def _as_given(attempt: Attempt) -> Record:
    """What the attempt itself gave: a mismatch is what was found out about it later."""
    record = attempt.record
    if record.outcome != Outcome.MISMATCH:
        return record
    return record._replace(outcome=int(Outcome.SUCCEEDED), reason_code=None, reason_text=None)


def _machine(found: Found, name: str | None) -> Inventory:
    """The one host to run on. Raises RunError, SpecError."""
    job = found.recipe.job
    if name is None:
        if job.mounts:
            raise RunError(f"{job.name} reads mounts ({', '.join(job.mounts)}) that hosts offer: give one with --host")
        return spec_files.this_machine()
    inventory = machines(found.folder)
    host = next((host for host in inventory.hosts if host.name == name), None)
    if host is None:
        names = [host.name for host in inventory.hosts]
        more = f" and {len(names) - SHOWN_HOSTS} more" if len(names) > SHOWN_HOSTS else ""
        raise RunError(f"{name!r} is no host of this run; those are {', '.join(names[:SHOWN_HOSTS])}{more}")
    return Inventory(hosts=(_for_one(host),), path=inventory.path, text=inventory.text, picked=name)


SHOWN_HOSTS = 10


def _for_one(host: Host) -> Host:
    """Somebody waits for it: it is not put off because others are at work there, which the owner's own rules may do."""
    return replace(host, courtesy=Courtesy())


@contextmanager
def _folder(found: Found, keep: Path | None) -> Iterator[RunFolder]:
    """A run folder of the run's own name, which guests are told, in a place that goes or in `keep`."""
    if keep is not None:
        yield _made(keep, found)
        return
    with tempfile.TemporaryDirectory(prefix="batchwasm-replay-") as place:
        yield _made(Path(place), found)


def _made(place: Path, found: Found) -> RunFolder:
    path = Path(os.path.abspath(place)) / found.recipe.run
    try:
        place.mkdir(parents=True, exist_ok=True)
        if any(place.iterdir()):
            raise RunError(f"{place} is not empty; name a new folder for what the replay makes")
        path.mkdir(mode=0o700)
    except OSError as error:
        raise disk.unwritable(path, error) from error
    folder = RunFolder(path=path)
    folder.write_text(folder.jobs, _jobs_text(found.folder))
    folder.write_text(folder.inventory, "")
    return folder


def _jobs_text(folder: RunFolder) -> str:
    try:
        return folder.jobs.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""  # for people: nothing is read from it


def _run(found: Found, folder: RunFolder, inventory: Inventory, watcher: Watcher, signals: bool) -> State:
    made, job = found.recipe, _alone(found.recipe)
    spec = RunSpec(name=made.run, folder=folder.path, jobs=(job,))
    plan = Plan(
        run=token_hex(8),
        spec=spec,
        inventory=inventory,
        store=Store(),
        wait_hosts_s=WAIT_HOSTS_S,
        version=__version__,
        first_number=made.number,
        secrets=secrets.read(spec),
    )
    earlier = Earlier(
        artifacts={0: found.artifact},
        inputs={file.path: file for file in map(_as_read, made.files())},
        arguments={} if made.arguments is None else {0: {made.index: made.arguments}},
    )
    others = ((0, made.index), (made.index + 1, len(job)))
    only = TasksWithdrawn(job=0, tasks=(), ranges=tuple(r for r in others if r[0] < r[1]), why="it is not replayed")
    with closing(Journal.create(folder.journal)) as journal, folder.held(), secrets.hidden(plan.secrets):
        loop = Loop(plan, folder, journal, watcher, earlier=earlier, before=[built(0, found.artifact), only])
        state = asyncio.run(to_its_end(loop, signals))
        manifest.write(folder, plan, loop)
    return state


def _as_read(file: Given) -> InputFile:
    stat = file.path.stat()
    return InputFile(str(file.path), stat.st_size, stat.st_mtime_ns, file.digest)


def _alone(made: Recipe) -> Job:
    """The task's job, of which everything is said by now, and nothing else counts: not where it may run, not how often,
    and not after what."""
    job = made.job
    return replace(
        job,
        args=tuple(map(_constant, made.args)),
        values=(),
        env={name: _constant(text) for name, text in made.env.items()},
        stdin=None if made.stdin is None else _constant(str(made.stdin.path)),
        inputs=tuple(Input(source=_constant(str(file.path)), to=_constant(file.to)) for file in made.inputs),
        outputs=tuple(map(_constant, made.outputs)),
        requests=(Request(memory_bytes=job.limits.memory_bytes),),
        hosts=None,
        exclude=frozenset(),
        labels=(),
        priority=0,
        after=(),
        max_parallel=None,
        max_parallel_by_label={},
        retries=Retries(),
        cache=False,
        verify=1,
    )


def _constant(text: str) -> Template:
    return Template(parts=(text,))
