"""A job's calls: the arguments of each, made of its table and its sweep by the function's signature, and encoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import cast

from batchwasm import functions
from batchwasm.functions import NoFunction, Signature
from batchwasm.functions.fits import may_fit
from batchwasm.functions.json_values import cell, sample
from batchwasm.functions.types import U8, Bytes, List, Map, Option, Record, String, Tuple, Type
from batchwasm.functions.values import BadArgument, encoder
from batchwasm.model import NO_VALUES, Job, JobName, RunSpec, Template, Value, ValueOf, jobs_in, names_in, render

CHECKED = 20_000
"""Tasks whose arguments are looked at before a run starts; the others' are looked at when it is their turn."""


class JobCalls:
    """Encodes the arguments of a job's tasks."""

    def __init__(self, job: Job, signature: Signature) -> None:
        self._job, self._params = job, signature.params
        self._encode = encoder(signature.params)
        varies = any(names_in(value) or jobs_in(value) for value in job.values)
        self._same = None if varies else self._encode([render(v, {}) for v in job.values])

    def arguments(self, index: int, values: Mapping[JobName, object] = NO_VALUES) -> bytes:
        """Of task `index`, as CBOR; `values` are those that it takes of other jobs. Raises BadArgument."""
        if self._same is not None:
            return self._same
        params = self._job.params(index)
        given = [self._typed(n, value, render(value, params, values)) for n, value in enumerate(self._job.values)]
        return self._encode(given)

    def _typed(self, n: int, value: Value, given: object) -> object:
        """A cell of a table or a line of a file is text, whatever it says: it takes the parameter's type."""
        if not isinstance(given, str) or not isinstance(value, Template) or value.only_name is None:
            return given
        if n >= len(self._params) or isinstance(self._params[n].type, String):
            return given
        return cell(self._params[n], given)


def check(job: Job, spec: RunSpec) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with a job's function or its arguments, each with the path of its key.

    Values of other jobs of the run are not there yet: what is said of them is whether their types fit.
    """
    try:
        signature = functions.read(job.source)
    except NoFunction as error:
        yield from ((("function",), problem) for problem in error.problems)
        return
    except OSError as error:
        yield ("source",), f"{error.filename} can't be read: {error.strerror}"
        return
    references = _References(job, spec)
    stand_ins = references.replaced(signature)
    yield from references.problems
    index = 0
    try:
        calls = JobCalls(replace(job, values=stand_ins), signature)
        for index in range(min(len(job), CHECKED)):
            calls.arguments(index)
    except BadArgument as error:
        yield ("args",), f"{error}" if len(job) == 1 else f"task {index}: {error}"


class _References:
    """What a job's arguments take of other jobs, against the parameters of its function."""

    def __init__(self, job: Job, spec: RunSpec) -> None:
        self._job = job
        self._jobs = {other.name: other for other in spec.jobs}
        self._each = {after.job for after in job.after if after.each}
        self._results: dict[JobName, Signature | None] = {}
        self.problems: list[tuple[tuple[str | int, ...], str]] = []

    def replaced(self, signature: Signature) -> tuple[Value, ...]:
        """The arguments with a value that its parameter takes in place of each that is not there yet."""
        found = []
        for n, value in enumerate(self._job.values):
            param = signature.params[n] if n < len(signature.params) else None
            found.append(self._replaced(n, value, *(("", None) if param is None else (param.name, param.type))))
        return tuple(found)

    def _replaced(self, n: int, value: Value, name: str, kind: Type | None) -> Value:
        """`name` is that of the parameter, with the way to the value: `p.x[0]`; `kind` is None where that leads
        nowhere, which is told where all of the arguments are looked at."""
        if not jobs_in(value):
            return value
        inner = kind.item if isinstance(kind, Option) else kind
        match value:
            case ValueOf():
                self._check(n, value.job, name, kind)
                return cast(Value, None if kind is None else sample(kind))
            case tuple():
                return tuple(
                    self._replaced(n, part, f"{name}[{at}]", _item(inner, at)) for at, part in enumerate(value)
                )
            case Mapping():
                return {
                    key: self._replaced(n, part, f"{name}.{key}", _field(inner, key)) for key, part in value.items()
                }
            case _:
                return value

    def _check(self, n: int, job: JobName, name: str, kind: Type | None) -> None:
        signature = self._signature(job)
        if kind is None or signature is None:
            return  # told elsewhere
        many = len(self._jobs[job]) > 1 and job not in self._each
        given = signature.result
        if given is None:
            self.problems.append((("args", n), f"the function of {job} gives nothing: {signature}"))
        elif not may_fit(List(given) if many else given, kind):
            gives = f"{given}, and as a list that of each of its {len(self._jobs[job]):,} tasks" if many else given
            self.problems.append((("args", n), f"{job} gives {gives}; {name} takes {kind}"))

    def _signature(self, name: JobName) -> Signature | None:
        """Of another job's function; None where it has none that can be read."""
        if name not in self._results:
            self._results[name] = None
            other = self._jobs.get(name)
            if other is not None and other.source.function is not None:
                with suppress(NoFunction, OSError):
                    self._results[name] = functions.read(other.source)
        return self._results[name]


def _item(kind: Type | None, n: int) -> Type | None:
    match kind:
        case List(item):
            return item
        case Bytes():
            return U8
        case Tuple(items) if n < len(items):
            return items[n]
        case _:
            return None


def _field(kind: Type | None, name: str) -> Type | None:
    match kind:
        case Map(value):
            return value
        case Record(_, fields):
            return dict(fields).get(name)
        case _:
            return None
