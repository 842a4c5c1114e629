"""Parameter combinations, counted and made on demand: the product of axes, less what is omitted, plus what is included.

An axis is one or several names whose values advance together. A column of values may be any sequence, and ranges stay
ranges, so that a million combinations are a few numbers.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import overload

from batchwasm.model import Scalar

LARGEST = 10_000_000  # tasks of a job: ten times what we test; each is a row in the journal


@dataclass(frozen=True, kw_only=True, slots=True)
class Spaced(Sequence[Scalar]):
    """`length` floats from `start` in steps of `step`, each nearest to the exact value; powers of ten where `log`."""

    start: Fraction
    step: Fraction
    length: int
    log: bool = False

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, at: int) -> Scalar: ...
    @overload
    def __getitem__(self, at: slice) -> list[Scalar]: ...
    def __getitem__(self, at: int | slice) -> Scalar | list[Scalar]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(self.length))]
        if not -self.length <= at < self.length:
            raise IndexError(at)
        exact = self.start + self.step * (at % self.length)
        if not self.log:
            return float(exact)
        return float(f"1e{exact}") if exact.denominator == 1 else 10.0 ** float(exact)


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    names: tuple[str, ...]
    columns: tuple[Sequence[Scalar], ...]
    """One a name, all of one length."""

    def __len__(self) -> int:
        return len(self.columns[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class Combinations:
    """A model.Sweep. The product of no axes is one combination without names: the job that has no sweep."""

    axes: tuple[Axis, ...] = ()
    omitted: array[int] = field(default_factory=lambda: array("I"))
    """Positions in the product that are left out, rising."""
    included: tuple[tuple[Scalar, ...], ...] = ()
    """Combinations after those of the product, values in the order of `names`."""
    include_names: tuple[str, ...] = ()
    """Names where there are no axes and `included` alone is the sweep: then the product counts nothing."""

    @property
    def names(self) -> tuple[str, ...]:
        return self.include_names or tuple(name for axis in self.axes for name in axis.names)

    @property
    def _product(self) -> int:
        """How many combinations of the axes are left."""
        return 0 if self.include_names else math.prod(map(len, self.axes)) - len(self.omitted)

    def __len__(self) -> int:
        return self._product + len(self.included)

    def params(self, index: int) -> dict[str, Scalar]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        beyond = index - self._product
        if beyond >= 0:
            return dict(zip(self.names, self.included[beyond], strict=True))
        return self._at(self._position(index))

    def _position(self, index: int) -> int:
        """Where the `index`-th combination that is not omitted stands in the product."""
        if not self.omitted:
            return index
        omitted = self.omitted  # omitted[j] - j combinations before the j-th gap are kept
        return index + bisect_right(range(len(omitted)), index, key=lambda j: omitted[j] - j)

    def _at(self, position: int) -> dict[str, Scalar]:
        """The combination at a position of the product; the last axis varies fastest."""
        chosen = []
        for axis in reversed(self.axes):
            position, row = divmod(position, len(axis))
            chosen.append(row)
        return {
            name: column[row]
            for axis, row in zip(self.axes, reversed(chosen), strict=True)
            for name, column in zip(axis.names, axis.columns, strict=True)
        }

    def covering(self, names: frozenset[str]) -> Iterator[int]:
        """Indexes of tasks that together show every combination of `names`: few where few axes matter."""
        if self.omitted or "index" in names:
            yield from range(len(self))
            return
        steps = [0]
        stride = 1
        for axis in reversed(self.axes):
            if names & set(axis.names):
                steps = [base + row * stride for row in range(len(axis)) for base in steps]
            stride *= len(axis)
        yield from sorted(steps) if self._product else ()
        yield from range(self._product, len(self))


@dataclass(frozen=True, slots=True)
class Added:
    """A model.Sweep of tasks that are added one by one while the run goes on: they have no parameters."""

    @property
    def names(self) -> tuple[str, ...]:
        return ()

    def __len__(self) -> int:
        return 0

    def params(self, index: int) -> dict[str, Scalar]:
        return {}
