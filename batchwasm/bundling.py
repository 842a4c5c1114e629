"""A run folder with all that its tasks were given, as one archive or folder: it replays on another machine.

    NAME/                       named as the run was
        jobs.toml  inventory.toml  manifest.json  wasm/...  tasks/...    as the run folder has them
        journal.db              a consistent copy, complete by itself
        inputs/SHA256           every file that a task was given, stdin too
        sources/JOB/...         what the module was compiled from, where that is still what it was

Secrets are in none of these. Nothing of it depends on paths of this machine.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from batchwasm import artifacts, disk
from batchwasm.artifacts import Store
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import InputFile, Journal
from batchwasm.model import Digest, Source
from batchwasm.reopening import read_manifest, source_of
from batchwasm.results import RunFolder, files_below
from batchwasm.toolchains.base import source_folder

ARCHIVES = (".tar.gz", ".tgz")
INPUTS_SINCE = 4  # version of the journal


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundled:
    """What was written."""

    path: Path
    name: str
    """Of the folder in an archive."""
    files: int
    inputs: int
    bytes: int
    """Of the files together, before they were compressed."""
    notes: tuple[str, ...]
    """What is not in it, in sentences."""


class Member(NamedTuple):
    """A file of the bundle."""

    name: str
    """Relative to the bundle's folder."""
    path: Path
    """On this machine."""


def bundle(folder: RunFolder, output: Path | None, *, force: bool = False) -> Bundled:
    """Write the run to `output`: an archive where that ends in .tar.gz or .tgz, else a folder; None is NAME.tar.gz.

    Raises RunError where the folder is there already, or, unless `force`, where an input or a module is not what it
    was; WorldError where the run goes on, or it can't be written.
    """
    if folder.is_held():
        raise WorldError(f"{folder.name} goes on; bundle it when it is over")
    with tempfile.TemporaryDirectory(prefix="batchwasm-bundle-") as place:
        with closing(Journal.open(folder.journal, read_only=True)) as journal:
            name = journal.state().name or folder.name
            known = journal.inputs() if journal.version >= INPUTS_SINCE else None
            copy = Path(place, "journal.db")
            journal.copy(copy)
        _same_time(copy, folder.journal)
        inputs, problems = _inputs(folder, known)
        problems += _modules(folder)
        if problems and not force:
            raise RunError("\n".join([*problems, "nothing was written; with --force the rest is"]))
        sources, notes = _sources(folder)
        members = [*_own(folder), Member("journal.db", copy), *inputs, *sources]
        path = _written(members, name, output or Path(f"{name}.tar.gz"))
        return Bundled(
            path=path,
            name=name,
            files=len(members),
            inputs=len(inputs),
            bytes=sum(member.path.stat().st_size for member in members),
            notes=(*problems, *notes),
        )


# ------------------------------------------------------------------------------------------------ what is in it


def _own(folder: RunFolder) -> Iterator[Member]:
    """What the run folder has of its own, but for its journal and what a scheduler needs while it works."""
    single = (folder.jobs, folder.inventory, folder.first_inventory, folder.manifest)
    yield from (Member(path.name, path) for path in single if path.is_file())
    for below in ("wasm", "tasks"):
        yield from (Member(str(path.relative_to(folder.path)), path) for path in files_below(folder.path / below))


def _inputs(folder: RunFolder, known: Mapping[str, InputFile] | None) -> tuple[list[Member], list[str]]:
    """One for each content, and what is wrong with the others."""
    if known is None:
        return [], [f"{folder.name} was made by a version that did not note what its inputs were: it has none of them"]
    found: dict[Digest, Member] = {}
    problems = []
    for file in known.values():
        if file.sha256 in found:
            continue
        for path in (folder.input(file.sha256), Path(file.path)):
            if _digest(path) == file.sha256:
                found[file.sha256] = Member(f"inputs/{file.sha256}", path)
                break
    for file in known.values():
        if file.sha256 not in found:
            what = "changed" if Path(file.path).is_file() else "is gone"
            problems.append(f"{file.path} {what}: the run read {file.bytes:,} bytes with sha256 {file.sha256}")
    return list(found.values()), problems


def _modules(folder: RunFolder) -> Iterator[str]:
    """What is wrong with those that the run folder should have."""
    for job in read_manifest(folder).get("jobs", ()):
        path, digest = folder.wasm(job["name"]), job.get("artifact")
        if digest is not None and _digest(path) != digest:
            what = "changed" if path.is_file() else "is gone"
            yield f"{path} {what}: the run's tasks are what had sha256 {digest}"


def _digest(path: Path) -> Digest | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _sources(folder: RunFolder) -> tuple[list[Member], list[str]]:
    """Those that made the modules, by the word of the store; and of which jobs there are none."""
    kept = [
        Member(str(path.relative_to(folder.path)), path) for path in files_below(folder.path / "sources")
    ]  # of a bundle that is bundled again
    if kept:
        return kept, []
    found: list[Member] = []
    missing: list[str] = []
    for job in read_manifest(folder).get("jobs", ()):
        if job.get("artifact") is None:
            continue
        source = source_of(job)
        files = artifacts.sources(job["name"], source, job["artifact"], Store()) if source.paths else None
        if files is None:
            missing.append(job["name"])
            continue
        found += (Member(f"sources/{job['name']}/{name}", path) for name, path in _placed(source, files))
    words = f"the sources of {', '.join(missing)} are left out: nobody knows whether they are what they were"
    return found, [words] if missing else []


def _placed(source: Source, files: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Where sources go: as they lie in the source's folder, or in one of those for headers. Others are not the
    user's."""
    places = [("", source_folder(source))]
    places += [(f"include-{n}/", include) for n, include in enumerate(source.build.include)]
    for path in files:
        for prefix, place in places:
            if path.is_relative_to(place):
                yield f"{prefix}{path.relative_to(place)}", path
                break


# ----------------------------------------------------------------------------------------------------- writing


def _written(members: list[Member], name: str, output: Path) -> Path:
    members = sorted(members)
    if output.name.endswith(ARCHIVES):
        with _whole(output) as file:
            _archive(members, name, file)
        return output
    if output.is_dir():
        output = output / name
    if output.exists():
        raise RunError(f"{output} is there already; name another place")
    try:
        output.mkdir(parents=True, mode=0o700)
        for member in members:
            target = output / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(member.path, target)
            _same_time(target, member.path)
    except OSError as error:
        shutil.rmtree(output, ignore_errors=True)
        raise disk.unwritable(output, error) from error
    return output


def _archive(members: Iterable[Member], name: str, file: BinaryIO) -> None:
    """In the given order, without users, groups and what else says where it was made."""
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        top = tarfile.TarInfo(name)
        top.type, top.mode = tarfile.DIRTYPE, 0o700
        archive.addfile(top)
        for member in members:
            with member.path.open("rb") as content:
                stat = os.fstat(content.fileno())
                info = tarfile.TarInfo(f"{name}/{member.name}")
                info.size, info.mtime, info.mode = stat.st_size, int(stat.st_mtime), 0o600
                archive.addfile(info, content)


@contextmanager
def _whole(output: Path) -> Iterator[BinaryIO]:
    """All of the file or nothing; for this user alone, as a run folder is."""
    part = output.with_name(f".{output.name}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
        part.replace(output)
    except OSError as error:
        raise disk.unwritable(output, error) from error
    finally:
        with suppress(OSError):
            part.unlink()


def _same_time(target: Path, source: Path) -> None:
    stat = source.stat()
    os.utime(target, ns=(stat.st_atime_ns, stat.st_mtime_ns))
