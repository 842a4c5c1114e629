"""Runs the commands of a recipe in a scratch folder that goes afterwards; a compiler's error stays as it wrote it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from batchwasm import disk
from batchwasm.errors import DiskFull, SourceError
from batchwasm.locks import locked
from batchwasm.model import Glue, JobName, Source
from batchwasm.toolchains.base import Inputs, Language, Request, Step, Tool, Unclear

KEEP_S = 30 * 24 * 3600.0
"""Cargo's folder of one project is 10 to 1000 MB; a month without a build, and it is likely forgotten."""
STOP_S = 0.2
"""How soon a compiler is killed when nobody wants its module any more."""
ERROR_BYTES = 64 * 1024
"""Of a compiler's words; C++ templates can write megabytes, and the first error is what helps."""
KILLED = "was killed by signal"
LITTLE_BYTES = 1024**2
"""Less room than that is none for a compiler."""
_NO_ROOM = re.compile(r"No space left on device|\bNoSpaceLeft\b|\bos error 28\b|Disk quota exceeded|\bDiskQuota\b")
"""What compilers say where the disk is full, which is nothing that is wrong with a source."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """What came out, and what it was made of."""

    wasm: bytes
    inputs: Inputs


def compile_source(
    name: JobName,
    source: Source,
    language: Language,
    tool: Tool,
    *,
    cache: Path,
    talk: Callable[[str], None],
    stop: threading.Event,
    glue: Glue | None = None,
) -> Compiled:
    """Blocks until the module is there. Raises SourceError with the compiler's words under the job's name; DiskFull.

    Once `stop` is set, compilers are killed within STOP_S and SourceError is raised.
    """
    with _scratch() as scratch:
        request = Request(source=source, tool=tool, scratch=scratch, cache=cache, glue=glue)
        _write_glue(request)
        with _first_use(language, tool, cache, talk):
            for _, group in groupby(_steps(name, language, request), key=lambda step: step.group):
                _run(name, request, list(group), stop)
        return Compiled(wasm=_module(name, language, request), inputs=language.inputs(request))


def _write_glue(request: Request) -> None:
    for name, text in request.glue.files.items() if request.glue else ():
        path = request.glue_folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        if text.startswith("#!/bin/"):
            path.chmod(0o755)  # a script that a tool starts


def commands(
    name: JobName, source: Source, language: Language, tool: Tool, *, cache: Path, glue: Glue | None = None
) -> list[str]:
    """What would be run, without the names of this folder and of the scratch folder: part of the build's key.

    So whatever changes a command, in the source's table or in a later version of ours, makes another build.
    """
    request = Request(source=source, tool=tool, scratch=Path("/scratch"), cache=cache, glue=glue)
    steps = _steps(name, language, request)
    return [shlex.join(step.argv).replace(str(request.folder), ".") + repr(sorted(step.env.items())) for step in steps]


def _steps(name: JobName, language: Language, request: Request) -> list[Step]:
    try:
        return sorted(language.recipe(request), key=lambda step: step.group)
    except Unclear as error:
        raise SourceError(f"{name}: {error}") from error


def _module(name: JobName, language: Language, request: Request) -> bytes:
    try:
        return language.module(request).read_bytes()
    except Unclear as error:
        raise SourceError(f"{name}: {error}") from error
    except FileNotFoundError:
        raise SourceError(f"{name}: {request.tool.title} ended well but wrote no module") from None


def prune(cache: Path, *, now: float) -> None:
    """Remove what cargo kept of projects that were not built for a long time; another build makes it again."""
    for project in (cache / "cargo").glob("*"):
        made = [path.stat().st_mtime for path in (project, *project.glob("target/*/release"))]
        if now - max(made) > KEEP_S:
            shutil.rmtree(project, ignore_errors=True)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="batchwasm-build-", ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


@contextmanager
def _first_use(language: Language, tool: Tool, cache: Path, talk: Callable[[str], None]) -> Iterator[None]:
    """Say what takes so long, the first time; a mark in the cache remembers that it was done."""
    mark = _tool_caches(cache)["ZIG_GLOBAL_CACHE_DIR"] / f"batchwasm-{language.name}-{tool.version}"
    first = tool.first_use_s > 0 and not mark.exists()
    if first:
        talk(f"first {language.title} compile: building {language.library} once, about {tool.first_use_s:.0f} s")
    yield
    if first:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _run(name: JobName, request: Request, steps: Sequence[Step], stop: threading.Event) -> None:
    """All steps at the same time; the first one that failed, in their order, is told."""
    with ThreadPoolExecutor(max_workers=min(len(steps), os.cpu_count() or 1)) as pool:
        results = list(pool.map(lambda step: _execute(request, step, stop), steps))
    failed = [text for code, text in results if code != 0]
    if failed:
        _check_room(name, request, failed)
        raise SourceError(
            f"{name}: {_title(request.source)} does not compile ({request.tool.title}):\n" + "\n".join(failed)
        )


def _check_room(name: JobName, request: Request, failed: Sequence[str]) -> None:
    """Raises DiskFull where that is why a compiler failed."""
    places = [request.scratch, *_tool_caches(request.cache).values()]
    fullest = min(places, key=lambda place: disk.free(place) or 0)
    died = any(KILLED in text for text in failed) and (disk.free(fullest) or 0) < LITTLE_BYTES  # zig, without a word
    if died or any(_NO_ROOM.search(text) for text in failed):
        raise DiskFull(f"{name}: {failed[0].strip()}\n{disk.full(fullest)}")


def _execute(request: Request, step: Step, stop: threading.Event) -> tuple[int, str]:
    """Exit code and what was said, by one command."""
    with _alone(step.lock):
        return _execute_now(request, step, stop)


@contextmanager
def _alone(lock: Path | None) -> Iterator[None]:
    if lock is None:
        yield
        return
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "a", encoding="utf-8") as file, locked(file.fileno()):
        yield


def _execute_now(request: Request, step: Step, stop: threading.Event) -> tuple[int, str]:
    """Its output goes through a pipe: zig can't append to a file."""
    for path, text in step.writes.items():
        path.write_text(text, encoding="utf-8")
    to_file = step.stdout.open("wb") if step.stdout else nullcontext(subprocess.PIPE)
    try:
        with to_file as stdout:
            process = subprocess.Popen(
                step.argv,
                cwd=request.folder,
                env=environment(step.env, request),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=subprocess.PIPE if step.stdout else subprocess.STDOUT,
                start_new_session=True,  # compilers start others, which must end with them
            )
    except OSError as error:
        return 127, f"{shlex.join(step.argv[:1])}: {error.strerror}"
    out, err = _wait(process, stop)
    said = _said(step, process.returncode, err if step.stdout else out)
    return process.returncode, _about_originals(said, request)


def _about_originals(said: str, request: Request) -> str:
    """A copy of a user's file in the glue lies there as the original lies here; compilers write paths in two ways."""
    for folder in (str(request.glue_folder), os.path.relpath(request.glue_folder, os.path.realpath(request.folder))):
        said = said.replace(f"{folder}/", "./")
    return said


def _wait(process: subprocess.Popen[bytes], stop: threading.Event) -> tuple[bytes, bytes]:
    while True:
        try:
            return process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            if stop.is_set():
                with suppress(PermissionError):  # macOS, of a group of which only zombies are left
                    os.killpg(process.pid, signal.SIGKILL)


def _said(step: Step, code: int, output: bytes) -> str:
    said = output[:ERROR_BYTES].decode(errors="replace").rstrip()
    if len(output) > ERROR_BYTES:
        said += f"\n... and {len(output) - ERROR_BYTES} bytes more"
    if code < 0:
        said += f"\n{step.argv[0]} was killed by signal {-code}"
    return said or f"{shlex.join(step.argv)}: exit code {code} without a word"


def environment(changes: Mapping[str, str | None], request: Request) -> dict[str, str]:
    """This process's environment with the step's changes; compilers speak English, plain, and keep to their caches."""
    env = {**os.environ, "LC_ALL": "C.UTF-8", "TERM": "dumb", "TMPDIR": str(request.scratch)}
    for key, folder in _tool_caches(request.cache).items():
        folder.mkdir(parents=True, exist_ok=True)
        env[key] = str(folder)
    env["ZIG_LOCAL_CACHE_DIR"] = str(request.scratch / "zig")
    for key, value in changes.items():
        env.pop(key, None)
        if value is not None:
            env[key] = value
    return env


def _tool_caches(cache: Path) -> dict[str, Path]:
    """Where tools keep their libraries: the variables as they are set; else zig's is ours, the others' in HOME."""
    ours = {"ZIG_GLOBAL_CACHE_DIR": cache / "zig"}
    if not _home_is_usable():
        ours |= {"GOCACHE": cache / "go", "GOMODCACHE": cache / "go-modules", "CARGO_HOME": cache / "cargo-home"}
    return {key: Path(os.environ.get(key) or folder) for key, folder in ours.items()}


def _home_is_usable() -> bool:
    home = os.path.expanduser("~")
    return "HOME" in os.environ and os.path.isabs(home) and os.access(home, os.W_OK)


def _title(source: Source) -> str:
    """The source as a person in this folder would name it."""
    names = [os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path) for path in source.paths]
    return " ".join(names)
