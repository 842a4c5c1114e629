"""The run without a file: a source, its arguments and a few options, written as the jobs.toml they stand for."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from batchwasm.errors import Problem, SpecError
from batchwasm.model import Inventory, RunSpec, Scalar
from batchwasm.spec import document, loading
from batchwasm.spec.jobs import run_name
from batchwasm.spec.nodes import NAME, quoted
from batchwasm.spec.references import escaped

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_RANGE = re.compile(rf"({_INTEGER.pattern})\.\.({_INTEGER.pattern})", re.ASCII)
_WRITTEN = re.compile(r"jobs\.[^.]+\.(?P<key>\w+)(?:\.(?P<name>.*)|(?P<rest>.*))", re.DOTALL)
_OPTIONS = {"source": "SOURCE", "args": "ARGS", "labels": "--label"}


def from_source(
    source: Path,
    args: Sequence[object],
    *,
    sweep: Sequence[str] = (),
    settings: Mapping[str, object] | None = None,
    inventory: Path | None = None,
    hosts: str | None = None,
    check_job: loading.CheckJob | None = None,
) -> tuple[RunSpec, Inventory]:
    """The run of one source with `args` as argv, sweeps such as `n=1..100`, and any other keys of a job as `settings`.

    Paths are relative to the working folder. `text` of the spec is its jobs.toml: loaded there, it gives an equal spec.
    Settings that are None are left out. Raises SpecError with all problems, named as on the command line.
    """
    folder = Path.cwd()
    job = run_name(Path(os.path.abspath(source)).name if os.path.isdir(source) else source.stem)
    problems: list[Problem] = []
    text = to_toml(job, _relative(source, folder), args, _sweeps(sweep, problems), settings or {})
    try:
        spec = loading.checked(
            document.parse(text, ""),
            folder / "jobs.toml",
            inventory=inventory,
            hosts=hosts,
            check_job=check_job,
        )
    except SpecError as error:
        problems += [_as_option(problem) for problem in error.problems]
    if problems:
        raise SpecError(problems)
    return spec


def to_toml(
    job: str, source: str, args: Sequence[object], sweep: Mapping[str, object], settings: Mapping[str, object]
) -> str:
    """A jobs.toml with one job, named `job` as the run is."""
    texts = [escaped(arg) if isinstance(arg, str) else arg for arg in args]
    keys: dict[str, object] = {"source": source, "args": texts, "sweep": sweep, **settings}
    lines = [f"{_key(key)} = {value_toml(value)}" for key, value in keys.items() if value not in (None, [], {}, ())]
    return "\n".join([f"name = {quoted(job)}", "", f"[jobs.{_key(job)}]", *lines, ""])


def value_toml(value: object) -> str:
    """A value as TOML writes it, tables inline."""
    match value:
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            return repr(value)  # nan, inf and -inf are TOML too
        case int() | float():
            return repr(value)
        case Mapping():
            return "{ " + ", ".join(f"{_key(str(key))} = {value_toml(item)}" for key, item in value.items()) + " }"
        case list() | tuple():
            return "[" + ", ".join(value_toml(item) for item in value) + "]"
        case _:
            return quoted(str(value))


def _key(key: str) -> str:
    return key if NAME.fullmatch(key) else quoted(key)


def _relative(source: Path, folder: Path) -> str:
    """The source below the working folder, or its absolute path."""
    path = Path(os.path.abspath(folder / source))
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _sweeps(texts: Sequence[str], problems: list[Problem]) -> dict[str, object]:
    """Sweep options as the values of a sweep table; what is wrong with them goes to `problems`."""
    found: dict[str, object] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        try:
            if not equals or not name:
                raise ValueError(f"{text!r} has no NAME=VALUES; write such as n=1..100 or n=1,2,3")
            if name in found:
                raise ValueError(f"{name!r} is swept twice; write all its values in one --sweep")
            found[name] = _values(values)
        except ValueError as error:
            problems.append(Problem(file="", line=None, key="--sweep", text=str(error)))
    return found


def _values(text: str) -> object:
    """`1..100` (both ends) as a range, `1,2,a` as a list. Raises ValueError."""
    ends = _RANGE.fullmatch(text)
    if ends:
        first, last = int(ends[1]), int(ends[2])
        if first > last:
            raise ValueError(f"{text!r} goes down; write {last}..{first}")
        return {"range": [first, last + 1]}
    items = text.split(",")
    for item in items:
        if _RANGE.fullmatch(item):
            raise ValueError(f"{text!r} is a range and a list; write one, such as n=1..100 or n=1,2,3")
    return [_scalar(item) for item in items]


def _scalar(text: str) -> Scalar:
    """A number or bool where it reads as one, else the text."""
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text == "true" if text in ("true", "false") else text


def _as_option(problem: Problem) -> Problem:
    """A problem of the jobs.toml that nobody wrote, as one of the command line."""
    match = _WRITTEN.fullmatch(problem.key)
    if problem.file or match is None:
        return problem
    option = _OPTIONS.get(match["key"]) or f"--{match['key'].replace('_', '-')}"
    key = option + (f" {match['name']}" if match["name"] else match["rest"])
    return Problem(file="", line=None, key=key, text=problem.text)
