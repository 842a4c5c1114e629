"""Why the result of a task was taken from an earlier run, or was not: which parts of its key are different there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from batchwasm.artifacts import Store
from batchwasm.core.state import State
from batchwasm.engine.building import Building
from batchwasm.engine.lookups import keys_of
from batchwasm.engine.secrets import Secrets
from batchwasm.engine.work import Digests, InputChanged
from batchwasm.errors import BatchwasmError
from batchwasm.explained import CacheWord
from batchwasm.journal import Journal
from batchwasm.known import Entry, Known, Origin
from batchwasm.model import Artifact, JobName, RunSpec
from batchwasm.results import RunFolder
from batchwasm.toolchains.wasm import NotWasm, parse

SHOWN = 5  # names of what changed
READS = {"clock_time_get": "the clock", "random_get": "random numbers"}
"""Imports of WASI through which a module gets what is in no key."""

Lists = dict[bytes, Mapping[str, str]]


class Again(NamedTuple):
    """What a run was, read again from its folder."""

    spec: RunSpec
    artifacts: Mapping[int, Artifact]
    secrets: Mapping[JobName, Secrets]


def told(
    folder: RunFolder, journal: Journal, state: State, n: int, task: int, again: Callable[[], Again]
) -> CacheWord | None:
    """Of a task of job `n`; None where it takes nothing from earlier runs. `again` reads what the run was."""
    job = state.jobs[n]
    if not job.plan.cache:
        return None
    known = Known()
    records = [attempt.record for attempt in journal.attempts(job=n, task=task)]
    taken = next((record.cached for record in records if record.cached is not None), None)
    mine, lists = known.entry(str(folder.path), state.run, job.plan.name, task), Lists()
    if mine is None and taken is None:
        with suppress(BatchwasmError, OSError):  # a file that is there no longer, say: nothing to compare
            mine, lists = asyncio.run(_made(folder, journal, state, n, task, again(), known.seal()))
    near = None if mine is None or taken is not None else known.nearest(mine)
    notes = list(_notes(folder.wasm(job.plan.name), "" if mine is None else mine.origin.how))
    if taken is None and near is None:
        notes.insert(0, "nothing is known of another run of this job" if mine else "its key can't be made now")
    return CacheWord(
        taken_from=taken,
        nearest=None if near is None else f"{Path(near.origin.folder).name} {near.origin.job}/{near.task}",
        differs=() if near is None or mine is None else tuple(_differences(known, mine, lists, near)),
        notes=tuple(notes),
    )


async def _made(
    folder: RunFolder, journal: Journal, state: State, n: int, task: int, again: Again, seal: bytes
) -> tuple[Entry | None, Lists]:
    """As an entry would have it if the task had succeeded."""
    building = Building(again.spec, Store(), folder, Digests(journal.inputs()), lambda job, hint: None, again.secrets)
    job, artifact = again.spec.jobs[n], again.artifacts.get(n)
    if artifact is None:
        return None, {}
    with suppress(InputChanged):
        work = await building.work(job, artifact)
        key = (await keys_of(work, ((task, task + 1),), seal)).get(task)
        if work.arguments is not None:
            work.arguments.forget([task])
        if key is not None:
            origin = Origin(str(folder.path), state.run, again.spec.name, job.name, work.digest, work.how)
            return Entry(key.key, origin, task, key.parts), dict(key.lists)
    return None, {}


def _differences(known: Known, mine: Entry, lists: Lists, near: Entry) -> Iterator[str]:
    if mine.origin.artifact != near.origin.artifact:
        yield "artifact changed: its source, its build, or the compiler"
    if mine.origin.how != near.origin.how:
        yield f"it runs as {mine.origin.how}, and ran as {near.origin.how}"
    for name in mine.parts._fields:
        here, there = getattr(mine.parts, name), getattr(near.parts, name)
        if here == there:
            continue
        if name not in ("env", "inputs"):
            yield f"{name} changed"
            continue
        now, before = lists.get(here) or known.listing(here), known.listing(there)
        changes = list(_changes(now or {}, before or {})) if now is not None or before is not None else []
        more = f" and {len(changes) - SHOWN:,} more" if len(changes) > SHOWN else ""
        yield f"{name}: {', '.join(changes[:SHOWN])}{more}" if changes else f"{name} changed"


def _changes(now: Mapping[str, str], before: Mapping[str, str]) -> Iterator[str]:
    for name, digest in now.items():
        if name not in before:
            yield f"{name} is new"
        elif before[name] != digest:
            yield f"{name} changed"
    yield from (f"{name} is gone" for name in before if name not in now)


def _notes(wasm: Path, how: str) -> Iterator[str]:
    if "deterministic" in how.split():
        return
    try:
        imports = {found.name for found in parse(wasm.read_bytes()).imports}
    except (OSError, NotWasm):
        return
    reads = [f"{what} ({name})" for name, what in READS.items() if name in imports]
    if reads:
        yield (
            f"its module can read {' and '.join(reads)}, which is in no key: where its result depends on that, a known "
            "one is not what it would give now"
        )
