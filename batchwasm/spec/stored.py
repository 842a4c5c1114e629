"""A sweep as JSON and back: what a manifest keeps, so that a run's parameters are known however files change."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from batchwasm.model import Scalar
from batchwasm.spec.sweep import Added, Axis, Combinations, Spaced


def to_json(sweep: Combinations | Added) -> dict[str, Any]:
    """Ranges stay ranges: as small as the sweep was written."""
    if isinstance(sweep, Added):
        return {"added": True}
    return {
        "axes": [{"names": axis.names, "columns": [_column(c) for c in axis.columns]} for axis in sweep.axes],
        "omitted": list(sweep.omitted),
        "included": sweep.included,
        "include_names": sweep.include_names,
    }


def from_json(fields: Mapping[str, Any]) -> Combinations | Added:
    """Raises KeyError, TypeError or ValueError for what `to_json` did not write."""
    if fields.get("added") is True:
        return Added()
    axes = (
        Axis(names=tuple(axis["names"]), columns=tuple(_load_column(c) for c in axis["columns"]))
        for axis in fields["axes"]
    )
    return Combinations(
        axes=tuple(axes),
        omitted=array("I", fields["omitted"]),
        included=tuple(tuple(values) for values in fields["included"]),
        include_names=tuple(fields["include_names"]),
    )


def _column(values: Sequence[Scalar]) -> Any:
    if isinstance(values, range):
        return {"range": [values.start, values.stop, values.step]}
    if isinstance(values, Spaced):
        return {"spaced": [str(values.start), str(values.step), values.length, values.log]}
    return list(values)


def _load_column(column: Any) -> Sequence[Scalar]:
    match column:
        case {"range": [start, stop, step]}:
            return range(start, stop, step)
        case {"spaced": [start, step, length, log]}:
            return Spaced(start=Fraction(start), step=Fraction(step), length=length, log=log)
        case list():
            return tuple(column)
        case _:
            raise ValueError(f"not a column of values: {column!r:.80}")
