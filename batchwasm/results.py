"""The run folder: makes it, finds it, and owns every path in it. Knows nothing of what the journal says.

    batchwasm-runs/NAME-N/          the user's alone (0700)
        journal.db                  what happened (batchwasm.journal reads and writes it)
        jobs.toml  inventory.toml   as given; inventory.first.toml where the inventory changed while the run went on
        manifest.json               all that is needed to reproduce the run
        scheduler.json              while a scheduler works on it: who (batchwasm.holding)
        scheduler.log               what the scheduler of a detached run says
        report.html                 where 'batchwasm report' wrote one
        live/JOB/INDEX/ATTEMPT/     stdout, stderr of a task that runs, while somebody follows it
        wasm/JOB.wasm
        inputs/SHA256  sources/...  in a bundle: what tasks were given, what was compiled (batchwasm.bundling)
        tasks/JOB/INDEX/out/PATH    declared outputs; beside `out`: stdout, stderr, value too large for the journal

Runs are indexed in `$XDG_STATE_HOME/batchwasm/runs/`, so that a name finds its folder from anywhere: one small file a
run, because a file can be made by many runs at once, on any file system, without a lock. The index is a convenience: a
run works without it, and an entry whose folder is gone is passed over.

Paths of outputs come from hosts, which are not trusted: `output()` checks them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchwasm import disk, holding
from batchwasm.errors import HostLost, RunError, WorldError
from batchwasm.holding import Holder
from batchwasm.model import JobName

RUNS_VARIABLE = "BATCHWASM_RUNS"
RUNS_FOLDER = "batchwasm-runs"
NAME_LIMIT_BYTES = 255  # of one path component, on every file system we know
PATH_LIMIT_BYTES = os.pathconf("/", "PC_PATH_MAX") - 1
"""Without a NUL: 4095 on Linux, 1023 on macOS."""
_FOLDER_NAME = re.compile(r"(.+)-([1-9][0-9]*)", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFolder:
    """One run's folder."""

    path: Path
    """Absolute."""

    @property
    def name(self) -> str:
        """`NAME-N`, which is also the run's name."""
        return self.path.name

    @property
    def journal(self) -> Path:
        return self.path / "journal.db"

    @property
    def jobs(self) -> Path:
        return self.path / "jobs.toml"

    @property
    def inventory(self) -> Path:
        return self.path / "inventory.toml"

    @property
    def first_inventory(self) -> Path:
        """As the run started with it, where it changed since."""
        return self.path / "inventory.first.toml"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def scheduler_log(self) -> Path:
        """What a scheduler without a terminal says."""
        return self.path / "scheduler.log"

    @property
    def started_at(self) -> float:
        """When the run began (unix time); 0 where that can't be told."""
        return _started(self.path)

    def held(self, *, announced: bool = True) -> AbstractContextManager[None]:
        """While this is open, the run is this process's alone; one that dies lets go of it.

        Raises WorldError where another has it, saying which on what machine. Not `announced` it writes nothing.
        """
        return holding.held(self.path, self.jobs, announced=announced)

    def is_held(self) -> bool | None:
        """Whether a scheduler works on the run now; None where that can't be told."""
        return holding.is_held(self.jobs)

    def holder(self) -> Holder | None:
        """Who works on the run, where `is_held`; else who did last, if it died."""
        return holding.holder(self.path)

    def forget_holder(self) -> None:
        """What it left undone was done: nobody is named any more as having died."""
        with suppress(OSError):
            (self.path / holding.FILE).unlink()

    def wasm(self, job: JobName) -> Path:
        return self.path / "wasm" / f"{job}.wasm"

    @property
    def live(self) -> Path:
        """What tasks that are followed have printed so far; it goes when nobody follows any."""
        return self.path / "live"

    def live_attempt(self, job: JobName, index: int, number: int) -> Path:
        """The same of one attempt: a folder with `stdout` and `stderr`."""
        return self.live / job / str(index) / str(number)

    def wit(self, job: JobName) -> Path:
        """What a function takes and gives, for people."""
        return self.path / "wasm" / f"{job}.wit"

    def input(self, digest: str) -> Path:
        """A file that tasks were given; there only in a bundle."""
        return self.path / "inputs" / digest

    def task(self, job: JobName, index: int) -> Path:
        return self.path / "tasks" / job / str(index)

    def forget_task(self, job: JobName, index: int) -> None:
        """Files that an earlier attempt left, where the last one left none."""
        folder = self.task(job, index)
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                folder.parent.rmdir()

    def stdout(self, job: JobName, index: int) -> Path:
        """There only where it was too large for the journal."""
        return self.task(job, index) / "stdout"

    def stderr(self, job: JobName, index: int) -> Path:
        return self.task(job, index) / "stderr"

    def value(self, job: JobName, index: int) -> Path:
        """What a function gave, as CBOR; there only where it was too large for the journal."""
        return self.task(job, index) / "value"

    def arguments(self, job: JobName) -> Path:
        """Folder of arguments that are too large for a message, while their calls run."""
        return self.path / "arguments" / job

    def outputs(self, job: JobName, index: int) -> Path:
        """The folder of a task's declared outputs; it is not there where there are none."""
        return self.task(job, index) / "out"

    def output(self, job: JobName, index: int, path: str) -> Path:
        """Where the output that a host calls `path` goes; its folders are not made yet.

        Raises HostLost unless that is inside the task's own `out`, whatever the path says and whatever symbolic links
        lie there.
        """
        parts = _checked_parts(path)
        folder = self.outputs(job, index)
        target = folder.joinpath(*parts)
        if len(os.fsencode(target)) > PATH_LIMIT_BYTES:
            raise HostLost(
                f"it sent an output whose path is longer than {PATH_LIMIT_BYTES} bytes here: {path[:80]!a}..."
            )
        for place in (folder, *(folder.joinpath(*parts[: i + 1]) for i in range(len(parts)))):
            if place.is_symlink():
                raise HostLost(f"the output {path!a} would go through the symbolic link {place}; remove the link")
        return target

    def write_text(self, path: Path, text: str) -> None:
        """Write one of the run's files, whole or not at all. Raises WorldError where the disk refuses."""
        beside = path.with_name(f".{path.name}.part")
        try:
            beside.write_text(text, encoding="utf-8", newline="")
            beside.replace(path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise disk.unwritable(path, error, size_bytes=len(text)) from error

    def replace_inventory(self, text: str) -> None:
        """`text` is what the run goes by from now on; what it started with is kept. Raises WorldError."""
        if not self.first_inventory.exists():
            with suppress(OSError):
                shutil.copyfile(self.inventory, self.first_inventory)
        self.write_text(self.inventory, text)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """`manifest` as JSON, indented for people. Raises WorldError as `write_text`."""
        self.write_text(self.manifest, json.dumps(manifest, indent=2, allow_nan=False) + "\n")

    def add_wasm(self, job: JobName, source: Path) -> None:
        """Keep `source` as the run's `wasm/JOB.wasm`. Raises WorldError where the disk refuses."""
        target = self.wasm(job)
        if source == target:
            return  # it is kept already
        try:
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(source, target)
        except OSError as error:
            raise disk.unwritable(target, error, size_bytes=_size(source)) from error

    def export_task(
        self, dest: Path, job: JobName, index: int, *, stdout: bytes | None = None, stderr: bytes | None = None
    ) -> int:
        """Copy what a task left to `dest/tasks/JOB/INDEX`; how many files that were.

        `stdout` and `stderr` are what the journal has; where the run folder has a file, that is taken. What is empty
        makes no file. Raises RunError where `dest` can't be written, DiskFull where there is no room.
        """
        source = self.task(job, index)
        target = dest / source.relative_to(self.path)
        try:
            count = sum(_write(target / name, data) for name, data in (("stdout", stdout), ("stderr", stderr)) if data)
            return count + sum(_copy(path, target / path.relative_to(source)) for path in files_below(source))
        except OSError as error:
            if error.errno in disk.FULL:
                raise disk.unwritable(target, error, size_bytes=sum(map(_size, files_below(source)))) from error
            raise RunError(f"{error.filename or target} can't be written: {error.strerror}") from error

    def remove(self) -> OSError | None:
        """Take the run away, as one that never started: its folder, its entry, and the runs' folder if empty now.

        What stood in the way, where something is left of it.
        """
        for part in ("tasks", "wasm", "arguments", "."):  # the journal last: what is left of a run is still one
            try:
                shutil.rmtree(self.path / part)
            except FileNotFoundError:
                pass
            except OSError as error:
                return error
        entry = _entry(self.path)
        if entry is not None:
            with suppress(OSError):  # an entry whose folder is gone is passed over anyway
                entry.unlink(missing_ok=True)
        if self.path.parent.name == RUNS_FOLDER:
            with suppress(OSError):  # not empty: other runs
                self.path.parent.rmdir()
        return None


def create(spec_name: str, runs_dir: Path, *, indexed: bool = True) -> RunFolder:
    """A new folder `runs_dir/SPEC_NAME-N`, N one above the highest there; several at once get one each.

    Raises WorldError where the file system refuses.
    """
    runs_dir = Path(os.path.abspath(runs_dir))
    name = re.sub(r"[^\w.-]|^[.-]", "_", spec_name)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        number = 1 + max((n for found, n in _numbered(runs_dir) if found == name), default=0)
        while True:
            with suppress(FileExistsError):
                path = runs_dir / f"{name}-{number}"
                path.mkdir(mode=0o700)
                break
            number += 1
    except OSError as error:
        place = error.filename or runs_dir
        if error.errno in disk.FULL:
            raise disk.unwritable(Path(place), error) from error
        raise WorldError(f"{place} can't be made: {error.strerror}; choose another place with --runs-dir") from error
    if indexed:
        _index(path)
    return RunFolder(path=path)


def calls_dir() -> Path | None:
    """Where runs of call, map and Fleet go, which are found by name only; None for a user without a home."""
    state = state_dir()
    return None if state is None else state / "calls"


def prune_calls(keep: int) -> None:
    """Remove the oldest runs of calls_dir() that nobody works on, so that `keep` stay."""
    folder = calls_dir()
    for path in _newest_first(folder)[keep:] if folder is not None else ():
        found = RunFolder(path=path)
        if found.is_held() is False:  # not where that can't be told
            found.remove()


def runs_dir(jobs_folder: Path) -> Path:
    """Where runs of a jobs.toml in `jobs_folder` go: BATCHWASM_RUNS, else beside it."""
    return Path(os.environ.get(RUNS_VARIABLE) or jobs_folder / RUNS_FOLDER)


def find(run: str | None, cwd: Path) -> RunFolder:
    """The run that a user means by `run`: a path, a name, or None for the newest.

    The newest is that of BATCHWASM_RUNS or `cwd`/batchwasm-runs, else of the index. Raises RunError where there is
    none, or several of that name.
    """
    if run is None:
        return _newest(cwd)
    found = _named(run, cwd)
    if not found:
        raise RunError(_not_found(run, cwd))
    if len(found) > 1:
        listed = "\n".join(f"  {path}" for path in found)
        raise RunError(f"{run!r} names {len(found)} runs; give the path of one of them:\n{listed}")
    return RunFolder(path=found[0])


def reference(run: RunFolder, cwd: Path) -> str:
    """What means this run, and no other, to a shell in `cwd`: its name, else its path."""
    if [os.path.realpath(path) for path in _named(run.name, cwd)] == [os.path.realpath(run.path)]:
        return run.name
    return re.sub(r"[^\w@%+=:,./-]", r"\\\g<0>", os.path.relpath(run.path, cwd))


def names(cwd: Path) -> list[str]:
    """Names of the runs that `find` would know, newest first."""
    here = [path.name for path in _newest_first(runs_dir(cwd))]
    return list(dict.fromkeys([*here, *(path.name for path in _indexed())]))


def here(cwd: Path) -> list[RunFolder]:
    """Runs of BATCHWASM_RUNS or `cwd`/batchwasm-runs, newest first."""
    return [RunFolder(path=path) for path in _newest_first(runs_dir(cwd))]


def everywhere(cwd: Path, *, calls: bool = True) -> list[RunFolder]:
    """All runs that are known: those here, those of call, map and Fleet (`calls`), those of the index; each once."""
    of_calls = calls_dir() if calls else None
    places = [*_newest_first(runs_dir(cwd)), *(_newest_first(of_calls) if of_calls else ()), *_indexed()]
    return [RunFolder(path=path) for path in {os.path.realpath(path): path for path in reversed(places)}.values()][::-1]


def files_below(folder: Path) -> Iterator[Path]:
    """All regular files below `folder`, sorted; nothing where it is not there. Links are not followed."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (path for name in sorted(files) if not (path := Path(place, name)).is_symlink())


def _checked_parts(path: str) -> tuple[str, ...]:
    parts = tuple(path.split("/"))
    try:
        too_long = any(len(part.encode()) > NAME_LIMIT_BYTES for part in parts)
    except UnicodeEncodeError as error:
        raise HostLost(f"it sent an output whose name is not Unicode: {path[:200]!a}") from error
    if too_long:
        raise HostLost(f"it sent an output with a name of over {NAME_LIMIT_BYTES} bytes: {path[:80]!a}...")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise HostLost(f"it sent an output that does not lie in its task's folder: {path[:200]!a}")
    return parts


def _size(path: Path) -> int:
    """Of a file, for words about it."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _write(path: Path, data: bytes) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return 1


def _copy(source: Path, target: Path) -> int:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    return 1


def _numbered(folder: Path) -> Iterator[tuple[str, int]]:
    for name in os.listdir(folder):
        if match := _FOLDER_NAME.fullmatch(name):
            yield match[1], int(match[2])


def _is_run(path: Path) -> bool:
    return os.path.isfile(path / "journal.db")  # False, too, where we may not look: for a run of somebody else


def _started(path: Path) -> float:
    """When the run began: its jobs.toml is written once, at the start. 0 where that can't be told."""
    for place in (path / "jobs.toml", path):
        with suppress(OSError):
            return place.stat().st_mtime
    return 0.0


def _newest_first(folder: Path) -> list[Path]:
    """The run folders in `folder`; none where it is not there or not ours to read."""
    try:
        numbers = {f"{name}-{number}": number for name, number in _numbered(folder)}
    except OSError:
        return []
    paths = [Path(os.path.abspath(folder), name) for name in numbers]
    runs = [path for path in paths if _is_run(path)]
    return sorted(runs, key=lambda path: (_started(path), numbers[path.name]), reverse=True)


def _newest(cwd: Path) -> RunFolder:
    for path in _newest_first(runs_dir(cwd)):
        return RunFolder(path=path)
    for path in _indexed():
        return RunFolder(path=path)
    raise RunError(f"there is no run in {runs_dir(cwd)}, nor in the index; start one with 'batchwasm run jobs.toml'")


def _named(run: str, cwd: Path) -> list[Path]:
    """Folders of runs that `run` can mean, each once."""
    as_path = Path(os.path.abspath(cwd / Path(run).expanduser()))
    places = [as_path]
    if run and "/" not in run and run not in (".", "..", "~"):
        calls = calls_dir()
        places += [Path(os.path.abspath(runs_dir(cwd) / run)), *([calls / run] if calls else []), *_indexed(run)]
    found = {os.path.realpath(path): path for path in reversed(places) if _is_run(path)}
    return list(reversed(found.values()))


def _not_found(run: str, cwd: Path) -> str:
    import difflib

    if "/" in run:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.stat(cwd / Path(run).expanduser() / "journal.db")
        return f"{run} is not a run folder: it has no journal.db"
    near = difflib.get_close_matches(run, names(cwd), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "give the path of its folder"
    return f"there is no run named {run!r} in {runs_dir(cwd)}, nor in the index; {hint}"


# ---------------------------------------------------------------------------------------------------- the index


def state_dir() -> Path | None:
    """`$XDG_STATE_HOME/batchwasm`, else ~/.local/state/batchwasm; None for a user without a home."""
    given = os.environ.get("XDG_STATE_HOME", "")
    if os.path.isabs(given):
        return Path(given, "batchwasm")
    home = os.path.expanduser("~")
    return Path(home, ".local", "state", "batchwasm") if os.path.isabs(home) else None


def _entry(path: Path) -> Path | None:
    """The index's file for the run folder `path`."""
    state = state_dir()
    if state is None:
        return None
    # A name may be up to 255 bytes by itself; the digest tells runs of one name apart.
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return state / "runs" / f"{_short(path.name)}@{digest}"


def _short(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:200])


def _index(path: Path) -> None:
    entry = _entry(path)
    if entry is None:
        return
    beside = entry.with_name(f".{entry.name}")
    with suppress(OSError):  # a read-only or full home must not stop a run; it is found by its path then
        entry.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside.write_bytes(os.fsencode(path))
        beside.replace(entry)


def _indexed(name: str | None = None) -> Iterator[Path]:
    """Run folders of the index, those of `name` only where it is given, newest first."""
    state = state_dir()
    if state is None:
        return
    try:
        with os.scandir(state / "runs") as entries:
            found = [(entry.stat().st_mtime_ns, entry.path) for entry in entries if _is_entry(entry.name, name)]
    except OSError:
        return
    for _, entry in sorted(found, reverse=True):
        try:
            path = Path(os.fsdecode(Path(entry).read_bytes()))
        except OSError:
            continue  # removed since we listed it
        if path.is_absolute() and (name is None or path.name == name) and _is_run(path):
            yield path


def _is_entry(entry: str, name: str | None) -> bool:
    its_name, at, _ = entry.rpartition("@")
    return bool(at) and not entry.startswith(".") and (name is None or its_name == _short(name))
