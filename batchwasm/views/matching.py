"""Which tasks of a job a text is found in, a byte a task; a million of them in a fraction of a second.

Parameters are looked through axis by axis, not task by task: what matches on an axis matches in all its combinations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from batchwasm.core.state import State
from batchwasm.journal import Journal
from batchwasm.model import Scalar
from batchwasm.spec.sweep import Axis, Combinations
from batchwasm.views.sums import Sums


class Matching(Sums):
    """Tasks of a job whose parameters, host or reason have the text in them, whatever its case."""

    def __init__(self, job: int, text: str, sweep: Any) -> None:
        """`sweep` is None where it is not known."""
        super().__init__()
        self._job, self._text = job, text.casefold()
        self._by_params = _of_sweep(sweep, self._text) if isinstance(sweep, Combinations) else b""
        self._by_attempts = bytearray()

    def clear(self) -> None:
        self._by_attempts = bytearray()

    def add(self, journal: Journal, state: State, after: int, upto: int) -> None:
        """By reason, and by host of those that ended: a task that ran elsewhere before matches by that, too."""
        names = self._hosts(state)
        host = f"host IN ({', '.join('?' * len(names))})"
        if 2 * len(names) > len(state.hosts):  # SQLite takes a bounded number of them
            names = [name for name in state.hosts if name not in set(names)]
            host = f"host NOT IN ({', '.join('?' * len(names))})"
        query = (
            "SELECT task FROM attempts NOT INDEXED WHERE id > ? AND id <= ? AND job = ? "
            f"AND ({host} OR instr(lower(reason_text), ?))"
        )
        self._by_attempts += bytes(len(state.jobs[self._job].codes) - len(self._by_attempts))
        for (task,) in journal.rows(query, (after, upto, self._job, *names, self._text)):
            self._by_attempts[task] = 1

    def _hosts(self, state: State) -> list[str]:
        return [name for name in state.hosts if self._text in name.casefold()]

    def mask(self, state: State) -> bytes:
        """As of the last look, with those that run."""
        tasks = len(state.jobs[self._job].codes)
        found = bytearray(self._by_attempts.ljust(tasks, b"\0"))
        for name in self._hosts(state):
            for batch in state.batches_on(name):
                if batch.job == self._job:
                    for task in batch.remaining:
                        found[task] = 1
        return either(bytes(found), self._by_params[:tasks].ljust(tasks, b"\0"))


def both(these: bytes, those: bytes) -> bytes:
    """1 where both have it."""
    return (int.from_bytes(these, "big") & int.from_bytes(those, "big")).to_bytes(len(these), "big")


def either(these: bytes, those: bytes) -> bytes:
    return (int.from_bytes(these, "big") | int.from_bytes(those, "big")).to_bytes(len(these), "big")


def _of_sweep(sweep: Combinations, text: str) -> bytes:
    """Of all its tasks: `name=value` of any parameter has the text in it."""
    product = b"" if sweep.include_names else _of_axes(sweep.axes, text)
    if sweep.omitted:
        kept, start = [], 0
        for position in sweep.omitted:
            kept.append(product[start:position])
            start = position + 1
        product = b"".join([*kept, product[start:]])
    names = sweep.names
    included = (_has(dict(zip(names, values, strict=True)), text) for values in sweep.included)
    return product + bytes(included)


def _of_axes(axes: Sequence[Axis], text: str) -> bytes:
    """Of all combinations; the last axis varies fastest."""
    mask = b"\0"
    for axis in reversed(axes):
        ones = b"\1" * len(mask)
        rows = zip(*axis.columns, strict=True)
        mask = b"".join(ones if _has(dict(zip(axis.names, values, strict=True)), text) else mask for values in rows)
    return mask


def _has(params: Mapping[str, Scalar], text: str) -> bool:
    return any(text in f"{name}={value}".casefold() for name, value in params.items())
