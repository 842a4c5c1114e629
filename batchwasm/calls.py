"""A job's calls: the arguments of each, made of its table and its sweep by the function's signature, and encoded."""

from __future__ import annotations

from collections.abc import Iterator

from batchwasm import functions
from batchwasm.functions import NoFunction, Signature
from batchwasm.functions.json_values import cell
from batchwasm.functions.types import String
from batchwasm.functions.values import BadArgument, encoder
from batchwasm.model import Job, Template, Value, names_in, render

CHECKED = 20_000
"""Tasks whose arguments are looked at before a run starts; the others' are looked at when it is their turn."""


class JobCalls:
    """Encodes the arguments of a job's tasks."""

    def __init__(self, job: Job, signature: Signature) -> None:
        self._job, self._params = job, signature.params
        self._encode = encoder(signature.params)
        self._same = None if any(map(names_in, job.values)) else self._encode([render(v, {}) for v in job.values])

    def arguments(self, index: int) -> bytes:
        """Of task `index`, as CBOR. Raises BadArgument."""
        if self._same is not None:
            return self._same
        params = self._job.params(index)
        values = [self._typed(n, value, render(value, params)) for n, value in enumerate(self._job.values)]
        return self._encode(values)

    def _typed(self, n: int, value: Value, given: object) -> object:
        """A cell of a table or a line of a file is text, whatever it says: it takes the parameter's type."""
        if not isinstance(given, str) or not isinstance(value, Template) or value.only_name is None:
            return given
        if n >= len(self._params) or isinstance(self._params[n].type, String):
            return given
        return cell(self._params[n], given)


def check(job: Job) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with a job's function or its arguments, each with the path of its key."""
    try:
        signature = functions.read(job.source)
    except NoFunction as error:
        yield from ((("function",), problem) for problem in error.problems)
        return
    except OSError as error:
        yield ("source",), f"{error.filename} can't be read: {error.strerror}"
        return
    index = 0
    try:
        calls = JobCalls(job, signature)
        for index in range(min(len(job), CHECKED)):
            calls.arguments(index)
    except BadArgument as error:
        yield ("args",), f"{error}" if len(job) == 1 else f"task {index}: {error}"
