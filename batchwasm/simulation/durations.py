"""How long tasks last: `lognormal(mean=30s)` in, seconds for (job, task) out, the same ones every time.

5s                               every task alike, as fixed(5s)
uniform(10s, 60s)
exponential(mean=30s)
lognormal(mean=30s, sigma=1.0)   the mean is that of the durations, sigma that of their logarithm
from RUN                         as the tasks of a run lasted, by the names of its jobs
prep=5s, sim=from RUN            a job each; what names no job is for all others
"""

from __future__ import annotations

import difflib
import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import NamedTuple

from batchwasm.errors import Problem, SpecError
from batchwasm.spec.quantities import duration_s

DEFAULT_S = 60.0
"""Of a task where nobody said anything: times are then in units of a task."""
SIGMA = 1.0  # of a lognormal that states none: two thirds of the tasks within a factor of e from the median
SHORTEST_S = 1e-6  # no task takes no time at all
_JOB = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*(.*)", re.DOTALL)
_FROM = re.compile(r"\s*from(?:\s*:\s*|\s+)(\S.*?)\s*", re.DOTALL)
_CALL = re.compile(r"\s*([a-z]+)\s*\((.*)\)\s*", re.DOTALL)
_NORMAL = NormalDist().inv_cdf
_MASK = 2**64 - 1

Draw = Callable[[float], float]
"""A number in (0, 1) -> seconds."""


class Distribution(NamedTuple):
    """A way to draw durations. `quantile` gives the shortest one for 0, the longest for 1."""

    text: str
    """As users write it."""
    quantile: Draw


class FromRun(NamedTuple):
    """The durations of a run that was, whose times the caller reads."""

    run: str
    """Its name or path."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Walls:
    """How long the tasks of a job took in a run."""

    by_task: Sequence[float]
    """Of the tasks 0, 1, ... of the same sweep; what is not known is 0, and drawn from the others."""
    others: Sequence[float]
    """To draw from: all that are known."""


@dataclass(frozen=True, slots=True)
class Durations:
    """What was asked for."""

    every: Distribution | FromRun | None = None
    """Of jobs that are not named; None where nothing was said."""
    jobs: Mapping[str, Distribution | FromRun] = field(default_factory=dict)

    def of(self, job: str) -> Distribution | FromRun | None:
        return self.jobs.get(job, self.every)


DEFAULT = Distribution("fixed(1m)", lambda share: DEFAULT_S)


def parse(texts: Iterable[str], jobs: Sequence[str]) -> Durations:
    """The values of --durations, for jobs of these names; later ones win. Raises SpecError with all problems."""
    problems: list[Problem] = []
    every: Distribution | FromRun | None = None
    by_job: dict[str, Distribution | FromRun] = {}
    for text in texts:
        for part in _parts(text):
            try:
                job, found = _part(part, jobs)
            except ValueError as error:
                problems.append(Problem(file="", line=None, key="--durations", text=str(error)))
                continue
            if job is None:
                every = found
            else:
                by_job[job] = found
    if problems:
        raise SpecError(problems)
    return Durations(every, by_job)


def _parts(text: str) -> Iterator[str]:
    """Between the commas that are not in brackets; a run's name takes the rest, whatever is in it."""
    depth = start = 0
    for at, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0 and not _names_a_run(text[start:at]):
            yield text[start:at]
            start = at + 1
    yield text[start:]


def _names_a_run(part: str) -> bool:
    named = _JOB.fullmatch(part)
    return _FROM.fullmatch(named[2] if named else part) is not None


def _part(part: str, jobs: Sequence[str]) -> tuple[str | None, Distribution | FromRun]:
    named = _JOB.fullmatch(part)
    if named is None:
        return None, _model(part)
    job, text = named[1], named[2]
    if job not in jobs:
        near = difflib.get_close_matches(job, jobs, n=1)
        raise ValueError(
            f"there is no job {job!r}; {f'did you mean {near[0]!r}?' if near else f'jobs are {_list(jobs)}'}"
        )
    return job, _model(text)


def _model(text: str) -> Distribution | FromRun:
    run = _FROM.fullmatch(text)
    if run is not None:
        return FromRun(run[1])
    call = _CALL.fullmatch(text)
    if call is None:
        if not text.strip():
            raise ValueError(f"nothing is written where {_FORMS} should be")
        try:
            return _fixed({"value": duration_s(text.strip())})
        except ValueError as error:
            raise ValueError(f"{text.strip()!r} says no durations; write {_FORMS}") from error
    name, inside = call[1], call[2]
    if name not in _SHAPES:
        near = difflib.get_close_matches(name, _SHAPES, n=1)
        raise ValueError(f"{name!r} is no distribution; {f'did you mean {near[0]!r}?' if near else f'write {_FORMS}'}")
    shape = _SHAPES[name]
    return shape.make(_arguments(name, inside, shape))


class _Shape(NamedTuple):
    parameters: tuple[str, ...]
    defaults: Mapping[str, float]
    example: str
    make: Callable[[Mapping[str, float]], Distribution]


def _arguments(name: str, inside: str, shape: _Shape) -> dict[str, float]:
    found: dict[str, float] = {}
    pieces = [piece.strip() for piece in inside.split(",")] if inside.strip() else []
    for n, piece in enumerate(pieces):
        key, equals, value = (each.strip() for each in piece.partition("="))
        if not equals:
            if n >= len(shape.parameters):
                raise ValueError(f"{name}({inside}) has too many values; write such as {shape.example}")
            key, value = shape.parameters[n], piece
        if key not in shape.parameters:
            raise ValueError(
                f"{name} has no {key!r}, but {' and '.join(shape.parameters)}; write such as {shape.example}"
            )
        if key in found:
            raise ValueError(f"{name}({inside}) says {key} twice; write such as {shape.example}")
        found[key] = _number(name, key, value)
    for key in shape.parameters:
        if key not in found and key not in shape.defaults:
            raise ValueError(f"{name}({inside}) does not say {key}; write such as {shape.example}")
    return {**shape.defaults, **found}


def _number(name: str, key: str, value: str) -> float:
    if key == "sigma":
        try:
            found = float(value)
        except ValueError:
            found = -1.0
        if not 0 <= found <= 10:
            raise ValueError(f"{name}: sigma is {value!r}; write a number from 0 to 10, such as 1.0")
        return found
    try:
        return duration_s(value)
    except ValueError as error:
        raise ValueError(f"{name}: {key} is {error}") from error


def _fixed(given: Mapping[str, float]) -> Distribution:
    value = max(given["value"], SHORTEST_S)
    return Distribution(f"fixed({_s(given['value'])})", lambda share: value)


def _uniform(given: Mapping[str, float]) -> Distribution:
    low, high = given["low"], given["high"]
    if low > high:
        raise ValueError(f"uniform({_s(low)}, {_s(high)}) goes down; write uniform({_s(high)}, {_s(low)})")
    return Distribution(f"uniform({_s(low)}, {_s(high)})", lambda share: low + (high - low) * share)


def _exponential(given: Mapping[str, float]) -> Distribution:
    mean = given["mean"]
    return Distribution(f"exponential(mean={_s(mean)})", lambda share: -mean * math.log1p(-share))


def _lognormal(given: Mapping[str, float]) -> Distribution:
    mean, sigma = max(given["mean"], SHORTEST_S), given["sigma"]
    mu = math.log(mean) - sigma**2 / 2
    text = f"lognormal(mean={_s(given['mean'])}, sigma={sigma:g})"
    return Distribution(text, lambda share: math.exp(mu + sigma * _NORMAL(share)))


_SHAPES = {
    "fixed": _Shape(("value",), {}, "fixed(30s)", _fixed),
    "uniform": _Shape(("low", "high"), {}, "uniform(10s, 60s)", _uniform),
    "exponential": _Shape(("mean",), {}, "exponential(mean=30s)", _exponential),
    "lognormal": _Shape(("mean", "sigma"), {"sigma": SIGMA}, "lognormal(mean=30s, sigma=1.0)", _lognormal),
}
_FORMS = f"{', '.join(shape.example for shape in _SHAPES.values())}, a duration such as 30s, or from RUN"


def _s(seconds: float) -> str:
    """`90s`, as it can be read again."""
    return f"{seconds:.15g}s"


def _list(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


# ------------------------------------------------------------------------------------------------- of one task


def drawn(job: str, model: Distribution | Walls) -> Callable[[int], float]:
    """How long task `index` of the job lasts, in seconds. It hangs on job and index alone."""
    seed = int.from_bytes(hashlib.blake2b(job.encode(), digest_size=8).digest())
    if isinstance(model, Distribution):
        quantile = model.quantile
        return lambda index: max(SHORTEST_S, quantile(_share(seed, index)))
    by_task, others = model.by_task, model.others

    def of(index: int) -> float:
        known = by_task[index] if index < len(by_task) else 0.0
        return max(SHORTEST_S, known or others[int(_share(seed, index) * len(others))])

    return of


def _share(seed: int, index: int) -> float:
    """A number in (0, 1) by splitmix64: as good as random, and there for every task without those before it."""
    mixed = (seed + 0x9E3779B97F4A7C15 * (index + 1)) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return (((mixed ^ (mixed >> 31)) >> 12) + 0.5) / 2**52
