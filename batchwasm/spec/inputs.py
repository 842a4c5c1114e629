"""The files that a task is given: globs expanded, targets checked. Reads folders, never contents.

Values of parameters are literal in a glob: a sweep over `a[1].txt` means that file. What other jobs leave is not known
before they ran; who knows it then brings it `together` with the rest.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from batchwasm.errors import Problem, SpecError
from batchwasm.model import Digest, Input, Job, RunSpec, Scalar, Template, text_of
from batchwasm.spec import globs
from batchwasm.spec.lines import KeyPath, scan
from batchwasm.spec.nodes import Report, did_you_mean, is_text, siblings
from batchwasm.spec.sweep import Combinations

SHOWN = 10  # problems of one key, task by task; the rest are counted


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskInput:
    path: Path
    """A readable regular file on this machine."""
    to: str
    """Where it goes: relative to the task's folder, normal, never outside it."""
    digest: Digest | None = None
    """Of its content, where that is known."""


class _Wrong(Exception):
    """One key of one task; the text says what."""


def task_inputs(spec: RunSpec, job: Job, index: int, known: Collection[str] | None = None) -> list[TaskInput]:
    """The files of a task, in the order written, but for those of other jobs. Raises SpecError with all that are
    missing or land on another.

    `known` are the paths of all files there are; else they are looked for on this machine, as they are now.
    """
    params = job.params(index)
    found: dict[str, TaskInput] = {}
    problems: list[Problem] = []
    for number, wanted in enumerate(job.inputs):
        try:
            if wanted.job is None:
                _place(found, _expand(wanted, params, spec.folder, known), job)
            else:  # its files are not there yet
                _check_other(wanted, params)
            if number == len(job.inputs) - 1:
                _check_folders(found)
        except _Wrong as wrong:
            key = f"jobs.{job.name}.inputs[{number}]"
            problems.append(Problem(file="", line=None, key=key, text=f"task {job.name}/{index}: {wrong}"))
    if problems:
        raise SpecError(problems)
    return list(found.values())


def other_glob(wanted: Input, params: Mapping[str, Scalar]) -> tuple[str, str]:
    """What an input means among the outputs of another job: as written, which may be a name as it is, and as a glob."""
    return wanted.source.render(params), _literal(wanted.source, params)


def together(job: Job, files: Iterable[TaskInput]) -> list[TaskInput]:
    """All files of a task, each once. Raises ValueError where two have one target."""
    found: dict[str, TaskInput] = {}
    try:
        _place(found, files, job)
        _check_folders(found)
    except _Wrong as wrong:
        raise ValueError(str(wrong)) from None
    return list(found.values())


def stdin_path(spec: RunSpec, job: Job, index: int, known: Collection[str] | None = None) -> Path | None:
    """The file a task reads on stdin, None where it is empty; `known` as in `task_inputs`. Raises SpecError where it is
    missing."""
    if job.stdin is None:
        return None
    try:
        return _stdin(job.stdin, job.params(index), spec.folder, known)
    except _Wrong as wrong:
        problem = Problem(file="", line=None, key=f"jobs.{job.name}.stdin", text=f"task {job.name}/{index}: {wrong}")
        raise SpecError([problem]) from None


def output_globs(job: Job, index: int) -> tuple[str, ...]:
    """The globs of a task's outputs; values of parameters are literal in them, as in inputs."""
    params = job.params(index)
    return tuple(_literal(output, params) for output in job.outputs)


def check_inputs(spec: RunSpec) -> list[Problem]:
    """What is wrong with the inputs and stdin of all tasks; once a job where they are the same for all."""
    report = Report(file="jobs.toml", lines=scan(spec.text))
    check(spec, report)
    return report.problems


def check(spec: RunSpec, report: Report) -> None:
    """Write the same into the book of the jobs file."""
    for job in spec.jobs:
        _check_key(spec, job, "inputs", frozenset().union(*map(_names, job.inputs)), report)
        _check_key(spec, job, "stdin", job.stdin.names if job.stdin else frozenset(), report)


def _names(wanted: Input) -> frozenset[str]:
    """Names of parameters that an input depends on."""
    return wanted.source.names | (wanted.to.names if wanted.to else frozenset())


def _check_key(spec: RunSpec, job: Job, key: str, names: frozenset[str], report: Report) -> None:
    """Try one key for every combination of the parameters that it depends on. What many tasks share is told once."""
    if not (job.inputs if key == "inputs" else job.stdin):
        return
    shown: set[tuple[str, str]] = set()
    more = 0
    sweep = job.sweep
    for index in sweep.covering(names) if isinstance(sweep, Combinations) else range(len(sweep)):
        try:
            task_inputs(spec, job, index) if key == "inputs" else stdin_path(spec, job, index)
        except SpecError as error:
            for problem in error.problems:
                said = (problem.key, problem.text.partition(": ")[2])  # without the task
                if said in shown:
                    continue
                if len(shown) == SHOWN:
                    more += 1
                    continue
                shown.add(said)
                _note(report, job, problem)
    if more:
        report.add_to_job(job.name, (key,), f"and {more:,} more like these")


def _note(report: Report, job: Job, problem: Problem) -> None:
    """Into the book, under the line of the key, be it the job's own or the defaults'."""
    path = _path(job, problem.key)
    names = _names(job.inputs[int(path[1])]) if len(path) > 1 else job.stdin.names if job.stdin else frozenset()
    text = problem.text if names - {"job"} else problem.text.partition(": ")[2]
    report.add_to_job(job.name, path, text)


def _path(job: Job, key: str) -> KeyPath:
    """`jobs.pi.inputs[2]` as a path below the job's table."""
    name, _, number = key.removeprefix(f"jobs.{job.name}.").partition("[")
    return (name, int(number.rstrip("]"))) if number else (name,)


# ------------------------------------------------------------------------------------------------ one task


def _literal(text: Template, params: Mapping[str, Scalar]) -> str:
    """A template rendered with values that no glob reads anything into."""
    return text.render({name: glob.escape(text_of(params[name])) for name in text.names})


def _expand(
    wanted: Input, params: Mapping[str, Scalar], folder: Path, known: Collection[str] | None
) -> list[TaskInput]:
    """The files that one input means, and where they go."""
    written = wanted.source.render(params)
    path = os.path.normpath(os.path.join(folder, written))
    if _is_file(path, known):  # the file that is called exactly so, whatever characters of globs are in its name
        files, root = [path], os.path.dirname(path)
    else:
        files, root = _matches(written, _literal(wanted.source, params), folder, known)
    if not files:
        raise _Wrong(_missing(path, written, known))
    target = wanted.to.render(params) if wanted.to else None
    return [TaskInput(path=Path(_usable(file, known)), to=_target(file, target, root, folder)) for file in files]


def _is_file(path: str, known: Collection[str] | None) -> bool:
    return os.path.isfile(path) if known is None else path in known


def _check_other(wanted: Input, params: Mapping[str, Scalar]) -> None:
    """As far as it can be before the other job ran."""
    try:
        globs.compiled(_literal(wanted.source, params))
    except ValueError as error:
        raise _Wrong(str(error)) from None


def _matches(written: str, pattern: str, folder: Path, known: Collection[str] | None) -> tuple[list[str], str]:
    """Regular files that a glob matches, sorted, and the folder that it starts from."""
    if not glob.has_magic(written):
        return [], ""
    whole = os.path.join(glob.escape(str(folder)), pattern)
    found = glob.iglob(whole, recursive=True) if known is None else _among(known, os.path.normpath(whole))
    files = sorted(os.path.normpath(path) for path in found if _is_file(path, known))
    return files, os.path.normpath(os.path.join(folder, _fixed(written, pattern)))


def _among(known: Collection[str], pattern: str) -> Iterator[str]:
    """Those of these absolute paths that a glob means."""
    match = globs.compiled(pattern.lstrip("/")).match
    last = pattern.rpartition("/")[2]
    for path in known:
        if match(path.lstrip("/")) and (not globs.is_plain(last) or path.endswith(f"/{last}")):  # files, not folders
            yield path


def _usable(path: str, known: Collection[str] | None) -> str:
    """The path of a file that can be read and named."""
    if known is None and not os.access(path, os.R_OK):
        raise _Wrong(f"{path} can't be read; check its permissions")
    if not is_text(path):
        raise _Wrong(f"{path!r} has a name that is not UTF-8; rename it")
    return path


def _missing(path: str, written: str, known: Collection[str] | None) -> str:
    if known is not None:
        return f"no file that was read is {path}"
    if os.path.isdir(path):
        return f"{path} is a folder; write '{written.rstrip('/')}/**' for all files in it"
    if os.path.exists(path):
        return f"{path} is not a regular file"
    if glob.has_magic(written):
        return f"no file matches {path}"
    return f"there is no file {path}{did_you_mean(os.path.basename(path), siblings(path))}"


def _fixed(written: str, pattern: str) -> str:
    """The folders in front of a glob's first part that matches more than one name, or of its file."""
    parts = list(zip(written.split("/"), pattern.split("/"), strict=True))[:-1]
    is_fixed = [not glob.has_magic(text) or glob.escape(text) == part for text, part in parts]
    count = is_fixed.index(False) if False in is_fixed else len(parts)
    return "/".join(text for text, _ in parts[:count]) + ("/" if count else "")


def _target(path: str, to: str | None, root: str, folder: Path) -> str:
    """Where a file goes: its own path below the folder of jobs.toml, or `to`; below `to` where that ends in '/'."""
    if to is None:
        inside = os.path.join(folder, "")
        if not path.startswith(inside):
            raise _Wrong(f"{path} is outside the folder of jobs.toml; write {{ from = ..., to = 'NAME' }}")
        return path[len(inside) :]
    whole = to + os.path.relpath(path, root) if to.endswith("/") else to
    target = os.path.normpath(whole)
    if whole.startswith("/") or target in (".", "..") or target.startswith("../") or "\0" in whole:
        raise _Wrong(f"to is {to!r}; write a path inside the task's folder, such as 'data/in.txt'")
    return target


def _place(found: dict[str, TaskInput], files: Iterable[TaskInput], job: Job) -> None:
    """Add files to those of the task, or say which two are on one target."""
    for file in files:
        there = found.get(file.to)
        if there and there.path != file.path:
            raise _Wrong(f"{there.path} and {file.path} would both become {file.to!r}; give one another `to`")
        if file.to.split("/")[:1] == ["mnt"] and set(file.to.split("/")[1:2]) & set(job.mounts):
            raise _Wrong(f"{file.to!r} is inside a mount; give it another `to`")
        found[file.to] = file


def _check_folders(found: Mapping[str, TaskInput]) -> None:
    """No target may be a file to one input and a folder to another."""
    for target in found:
        folder = os.path.dirname(target)
        while folder:
            if folder in found:
                raise _Wrong(f"{folder!r} would be a file and a folder ({target!r}); give one another `to`")
            folder = os.path.dirname(folder)


def _stdin(text: Template, params: Mapping[str, Scalar], folder: Path, known: Collection[str] | None) -> Path:
    path = os.path.normpath(os.path.join(folder, text.render(params)))
    if not _is_file(path, known):
        is_folder = known is None and os.path.isdir(path)
        raise _Wrong(f"{path} is a folder; name a file" if is_folder else _missing(path, "", known))
    return Path(_usable(path, known))
