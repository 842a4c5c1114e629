"""What a run folder says of its run, read again: the jobs as they were, their modules, the machines.

Nothing of it depends on files that may have changed since, where the folder has what they gave: modules, parameters.
Inputs are files of this machine still; the journal knows which they were.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from batchwasm import spec as spec_files
from batchwasm.core.events import ArtifactBuilt
from batchwasm.core.state import State
from batchwasm.errors import RunError
from batchwasm.journal import Journal
from batchwasm.model import Artifact, Build, HostName, Inventory, Job, Limits, Request, RunSpec, Source, Template
from batchwasm.results import RunFolder
from batchwasm.spec import stored
from batchwasm.spec.again import KeptJob, again
from batchwasm.spec.sweep import Axis, Combinations

_LIMITS = {field.name for field in fields(Limits)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reopened:
    """A run that was started before."""

    spec: RunSpec
    """With the jobs that take part, by their numbers."""
    artifacts: Mapping[int, Artifact]
    """Of the jobs that were built: the run folder's own modules."""
    facts: Mapping[HostName, Mapping[str, Any]]
    """What each host said that it is."""


def reopen(folder: RunFolder, journal: Journal, state: State) -> Reopened:
    """Raises RunError where the folder is not whole, SpecError where its jobs.toml is right no longer."""
    if state.open or not state.run:
        raise RunError(
            f"{folder.name} is a run of calls, whose functions and arguments came from a program: call them again"
            if state.open
            else f"{folder.name} never began: there is nothing to go on with"
        )
    manifest = read_manifest(folder)
    artifacts = _artifacts(folder, journal, state)
    numbers = {job.plan.name: n for n, job in enumerate(state.jobs)}
    try:
        jobs = {job["name"]: job for job in manifest["jobs"]}
        kept = {name: _kept(jobs[name], artifacts.get(n)) for name, n in numbers.items()}
        base, facts = Path(manifest["folder"]), dict(manifest["hosts"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{folder.manifest} can't be read: {error!r}") from error
    try:
        text = folder.jobs.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{folder.jobs} can't be read: {error}") from error
    return Reopened(spec=again(text, str(folder.jobs), base, kept), artifacts=artifacts, facts=facts)


def reopen_calls(folder: RunFolder, journal: Journal, state: State) -> Reopened:
    """The same of a run whose functions and calls a program gave, as far as its folder has them: what makes a call, but
    not where it might run. Their arguments are in the journal. Raises RunError."""
    manifest = read_manifest(folder)
    artifacts = _artifacts(folder, journal, state)
    try:
        jobs = tuple(_called(job, state.jobs[n].plan.tasks, artifacts.get(n)) for n, job in enumerate(manifest["jobs"]))
        base, facts = Path(manifest["folder"]), dict(manifest["hosts"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise RunError(f"{folder.manifest} can't be read: {error!r}") from error
    return Reopened(spec=RunSpec(name=state.name, folder=base, jobs=jobs), artifacts=artifacts, facts=facts)


def is_of_calls(folder: RunFolder) -> bool:
    """Whether a program gave the run its calls, as call, map and Fleet do. Raises RunError."""
    return any(job.get("sweep", {}).get("added") is True for job in read_manifest(folder).get("jobs", ()))


def _called(job: Mapping[str, Any], tasks: int, artifact: Artifact | None) -> Job:
    paths = () if artifact is None else (artifact.path,)
    limits = Limits(**{key: value for key, value in job["limits"].items() if key in _LIMITS})
    return Job(
        name=job["name"],
        source=Source(language=job["language"], paths=paths, function=job["function"]),
        sweep=Combinations(axes=(Axis(names=("call",), columns=(range(tasks),)),)),
        reuse=job["reuse"],
        env={name: Template(parts=tuple(parts)) for name, parts in job.get("env", {}).items()},
        mounts=tuple(job.get("mounts", ())),
        requests=(Request(memory_bytes=limits.memory_bytes),),
        limits=limits,
        isolate=job.get("isolate", False),
        deterministic=job.get("deterministic", False),
        secret=tuple(job.get("secret", ())),
    )


def machines(folder: RunFolder, *, inventory: Path | None = None, hosts: str | None = None) -> Inventory:
    """Those that are given, else the run's own: as its inventory has them now, or had them. Raises SpecError."""
    if inventory is not None or hosts is not None:
        return spec_files.load_inventory(None, inventory=inventory, hosts=hosts)
    said = read_manifest(folder).get("inventory") or {}
    path, picked = said.get("path"), said.get("hosts")
    if path is not None and Path(path).is_file():
        return spec_files.load_inventory(None, inventory=Path(path), hosts=picked)
    has_copy = folder.inventory.is_file() and folder.inventory.stat().st_size > 0
    if has_copy or picked is not None:
        return spec_files.load_inventory(None, inventory=folder.inventory if has_copy else None, hosts=picked)
    return spec_files.this_machine()


def read_manifest(folder: RunFolder) -> dict[str, Any]:
    """Raises RunError."""
    try:
        found = json.loads(folder.manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder.manifest} can't be read: {error}") from error
    if not isinstance(found, dict):
        raise RunError(f"{folder.manifest} is no manifest")
    return found


def _kept(job: Mapping[str, Any], artifact: Artifact | None) -> KeptJob:
    sweep = stored.from_json(job["sweep"])
    if not isinstance(sweep, Combinations):
        raise TypeError(f"{job['name']} has calls that were added")
    return KeptJob(sweep=sweep, source=source_of(job), wasm=None if artifact is None else artifact.path)


def source_of(job: Mapping[str, Any]) -> Source:
    """Of a job in a manifest: what it was compiled from, whatever is there now. Raises KeyError, TypeError."""
    build = job["build"]
    return Source(
        language=job["language"],
        paths=tuple(map(Path, job["sources"])),
        build=Build(
            flags=tuple(build["flags"]),
            defines=tuple(sorted(build["defines"].items())),
            include=tuple(map(Path, build["include"])),
            optimize=build["optimize"],
        ),
        function=job["function"],
    )


def _artifacts(folder: RunFolder, journal: Journal, state: State) -> dict[int, Artifact]:
    """Raises RunError where a module is not the one that ran before."""
    found: dict[int, Artifact] = {}
    names = [job.plan.name for job in state.jobs]
    for event in journal.of_kind(ArtifactBuilt):
        path = folder.wasm(names[event.job])
        try:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise RunError(f"{path} can't be read: {error.strerror}; it is what the run's tasks are") from error
        if digest != event.digest:
            raise RunError(f"{path} is not what ran before: its sha256 was {event.digest}; put that back")
        found[event.job] = Artifact(
            digest=digest,
            path=path,
            size_bytes=event.bytes,
            language=event.language,
            toolchain=event.toolchain,
            cached=True,
            wall_s=0.0,
        )
    return found
