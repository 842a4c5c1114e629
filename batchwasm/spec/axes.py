"""The keys sweep, zip, include and omit of a job, read into Combinations; files that sweeps name are read here."""

from __future__ import annotations

import glob
import itertools
import math
import os
from array import array
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from batchwasm.model import Scalar
from batchwasm.spec import rows
from batchwasm.spec.nodes import Node, did_you_mean, is_text
from batchwasm.spec.quantities import shown
from batchwasm.spec.sweep import LARGEST, Axis, Combinations, Spaced
from batchwasm.spec.template import wrong_parameter

KEYS = ("sweep", "zip", "include", "omit")
_LARGEST_EXPONENT = 308  # 10.0**309 is no float
_FORMS = "a list, or { range = [start, stop] }, { linspace = [a, b, n] }, { logspace = [a, b, n] }, " + (
    '{ glob = "*.csv" }, { lines = "params.txt" } or { rows = "params.csv" }'
)


def read(nodes: Mapping[str, Node], folder: Path) -> Combinations | None:
    """The sweep that the keys of a job describe; None where one of them is wrong."""
    books = [nodes[key].report.found for key in KEYS if key in nodes]
    before = sum(map(len, books))
    found = _combinations(nodes, folder)
    return found if sum(map(len, books)) == before else None


def _combinations(nodes: Mapping[str, Node], folder: Path) -> Combinations:
    """The same; where a key is wrong, what is left."""
    axes = _axes(nodes["sweep"], folder) if "sweep" in nodes else []
    if "zip" in nodes:
        axes = _zipped(axes, nodes["zip"])
    whole = Combinations(axes=tuple(axes))
    if "sweep" in nodes and not _small_enough(axes, nodes["sweep"]):
        return Combinations()
    omitted = _omitted(axes, nodes["omit"]) if "omit" in nodes else array("I")
    included, names = _included(whole, nodes["include"]) if "include" in nodes else ((), ())
    if omitted and len(omitted) == len(whole) and not included:
        nodes["omit"].wrong("leaves no combination; omit fewer")
    return Combinations(
        axes=whole.axes, omitted=omitted, included=tuple(included), include_names=names if not axes else ()
    )


def _small_enough(axes: Sequence[Axis], node: Node) -> bool:
    count = math.prod(map(len, axes))
    if count > LARGEST:
        node.wrong(f"makes {count:,} tasks; a job has at most {LARGEST:,}, so split it or sweep less")
    return count <= LARGEST


# ------------------------------------------------------------------------------------------------------ axes


def _axes(node: Node, folder: Path) -> list[Axis]:
    """One axis a key, in the order written; keys that are wrong are left out."""
    if isinstance(node.value, dict) and isinstance(node.value.get("rows"), str):
        found = [_rows(n, folder) if k == "rows" else _axis(k, n, folder) for k, n in node.fields.items()]
    else:
        found = [_axis(name, field, folder) for name, field in node.fields.items()]
    axes: list[Axis] = []
    for axis in found:
        if axis is None:
            continue
        twice = {name for a in axes for name in a.names} & set(axis.names)
        if twice:
            node.wrong(f"{', '.join(sorted(twice))} comes twice; rename the column or the key")
        else:
            axes.append(axis)
    return axes


def _axis(name: str, node: Node, folder: Path) -> Axis | None:
    if isinstance(node.value, dict) and set(node.value) == {"rows"}:
        return _rows(node.fields["rows"], folder)
    wrong = wrong_parameter(name)
    if wrong:
        node.wrong(wrong)
    values = _values(node, folder)
    if values is not None and not len(values):
        node.wrong("has no values, so the job would have no task; give it at least one")
    return Axis(names=(name,), columns=(values,)) if values and not wrong else None


def _values(node: Node, folder: Path) -> Sequence[Scalar] | None:
    if isinstance(node.value, list):
        scalars = [item.scalar() for item in node.items]
        return tuple(s for s in scalars if s is not None) if None not in scalars else None
    if not isinstance(node.value, dict):
        node.wrong(f"{shown(node.value)} is not a sweep's values; write {_FORMS}")
        return None
    if len(node.value) != 1:
        node.wrong(f"has {len(node.value)} keys and needs one; write {_FORMS}")
        return None
    ((form, field),) = node.fields.items()
    if form not in FORMS:
        field.wrong(f"unknown form of values{did_you_mean(form, [*FORMS, 'rows'])}; write {_FORMS}")
        return None
    return FORMS[form](field, folder)


def _range(node: Node, folder: Path) -> Sequence[Scalar] | None:
    numbers = _numbers(node, (2, 3), "[start, stop] or [start, stop, step]")
    if numbers is None:
        return None
    start, stop, step = (*numbers, 1)[:3]
    if not step:
        node.wrong("has a step of 0; write one that leads from start to stop")
        return None
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        return range(start, stop, step)
    low, high, by = exact(start), exact(stop), exact(step)
    return Spaced(start=low, step=by, length=max(0, math.ceil((high - low) / by)))


def _linspace(node: Node, folder: Path) -> Sequence[Scalar] | None:
    numbers = _numbers(node, (3,), "[first, last, how many]")
    if numbers is None:
        return None
    first, last, count = numbers
    if not isinstance(count, int) or not 1 <= count <= LARGEST:
        node.wrong(f"how many is {count!r}; write a whole number from 1 to {LARGEST:,}")
        return None
    step = (exact(last) - exact(first)) / (count - 1) if count > 1 else Fraction(0)
    return Spaced(start=exact(first), step=step, length=count)


def _logspace(node: Node, folder: Path) -> Sequence[Scalar] | None:
    exponents = _linspace(node, folder)
    if not isinstance(exponents, Spaced):
        return None
    if any(abs(float(end)) > _LARGEST_EXPONENT for end in (exponents[0], exponents[-1])):
        node.wrong(f"first and last are exponents of ten, from -{_LARGEST_EXPONENT} to {_LARGEST_EXPONENT}")
        return None
    return Spaced(start=exponents.start, step=exponents.step, length=len(exponents), log=True)


def exact(number: int | float) -> Fraction:
    """The number as it is written: 0.1 is a tenth, not the double next to it."""
    return Fraction(repr(number))


def _numbers(node: Node, counts: tuple[int, ...], form: str) -> list[int | float] | None:
    """A list of finite numbers of one of these lengths."""
    value = node.value
    if not isinstance(value, list) or len(value) not in counts:
        node.wrong(f"{shown(value)} does not fit; write {form}")
        return None
    for item in node.items:
        number = item.value
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            item.wants("a finite number")
            return None
        if abs(number) > 2**63:
            item.wrong(f"{number!r} is too large; stay within 64 bits")
            return None
    return value


def _glob(node: Node, folder: Path) -> Sequence[Scalar] | None:
    pattern = node.text()
    if pattern is None:
        return None
    absolute = os.path.join(folder, pattern)
    base = "" if os.path.isabs(pattern) else os.path.join(glob.escape(str(folder)), "")
    matches = glob.iglob(base + pattern, recursive=True)
    found = sorted(path for path in matches if os.path.isfile(path))
    if not found:
        node.wrong(f"no file matches {absolute}")
        return None
    unwritable = next((path for path in found if not is_text(path)), None)
    if unwritable:
        node.wrong(f"{unwritable!r} has a name that is not UTF-8; rename it")
        return None
    return tuple(path[len(os.path.join(folder, "")) :] if base else path for path in found)


def _lines(node: Node, folder: Path) -> Sequence[Scalar] | None:
    pattern = node.text()
    return None if pattern is None else rows.lines(folder / pattern, node)


def _rows(node: Node, folder: Path) -> Axis | None:
    pattern = node.text()
    return None if pattern is None else rows.table(folder / pattern, node)


FORMS: dict[str, Callable[[Node, Path], Sequence[Scalar] | None]] = {
    "range": _range,
    "linspace": _linspace,
    "logspace": _logspace,
    "glob": _glob,
    "lines": _lines,
}


# ------------------------------------------------------------------------------------- zip, include and omit


def _zipped(axes: list[Axis], node: Node) -> list[Axis]:
    """The axes with those of each group merged into one, at the place of the group's first."""
    for group in node.items:
        names = [(item, item.text()) for item in group.items]
        chosen: list[Axis] = []
        for item, name in names:
            axis = next((a for a in axes if name in a.names), None)
            if axis is None and name is not None:
                known = [n for a in axes for n in a.names]
                item.wrong(f"{name!r} is not a key of this job's sweep{did_you_mean(name, known)}")
            elif axis is not None and axis not in chosen:
                chosen.append(axis)
        lengths = {", ".join(a.names): len(a) for a in chosen}
        if len(set(lengths.values())) > 1:
            group.wrong(
                "lists that advance together need one length; "
                + ", ".join(f"{name} has {count}" for name, count in lengths.items())
            )
        elif len(chosen) > 1:
            axes = _merged(axes, [a for a in axes if a in chosen])
    return axes


def _merged(axes: list[Axis], group: list[Axis]) -> list[Axis]:
    merged = Axis(
        names=tuple(n for a in group for n in a.names),
        columns=tuple(c for a in group for c in a.columns),
    )
    return [merged if a is group[0] else a for a in axes if a is group[0] or a not in group]


def _included(sweep: Combinations, node: Node) -> tuple[list[tuple[Scalar, ...]], tuple[str, ...]]:
    """Combinations that `include` adds, and their names: the first table's where there is no sweep."""
    found: list[tuple[Scalar, ...]] = []
    names = sweep.names
    for item in node.items:
        fields = item.fields
        if not names:
            names = tuple(fields)
            for name in names:
                wrong = wrong_parameter(name)
                if wrong:
                    fields[name].wrong(wrong)
        values = {name: field.scalar() for name, field in fields.items()}
        for name in set(fields) - set(names):
            fields[name].wrong(f"{name!r} is not in the other combinations{did_you_mean(name, names)}")
        missing = [name for name in names if name not in fields]
        if missing:
            item.wrong(f"misses {', '.join(missing)}; a combination gives every name a value")
        elif not fields:
            item.wrong("is empty; write { NAME = VALUE }")
        else:
            found.append(tuple(v for v in (values[name] for name in names) if v is not None))
    return found, names


def _omitted(axes: Sequence[Axis], node: Node) -> array[int]:
    """Positions in the product that the tables of `omit` match, rising."""
    mask = bytearray(math.prod(map(len, axes)) if axes else 0)
    known = [name for axis in axes for name in axis.names]
    for item in node.items:
        fields = item.fields
        for name in set(fields) - set(known):
            fields[name].wrong(f"{name!r} is not a key of this job's sweep{did_you_mean(name, known)}")
        if not fields:
            item.wrong("is empty, which would omit everything; write { NAME = VALUE }")
        elif set(fields) <= set(known):
            wanted = {name: field.value for name, field in fields.items()}
            if not _mark(mask, [_matching(axis, wanted) for axis in axes], [len(axis) for axis in axes]):
                item.wrong("matches no combination; check values and types (cells of a CSV file are strings)")
    return array("I", itertools.compress(range(len(mask)), mask))


def _matching(axis: Axis, wanted: Mapping[str, object]) -> Sequence[int]:
    """Rows of an axis that have the wanted values; all of them where none is wanted of its names."""
    columns = [(c, wanted[n]) for n, c in zip(axis.names, axis.columns, strict=True) if n in wanted]
    if not columns:
        return range(len(axis))
    return [row for row in range(len(axis)) if all(same(column[row], value) for column, value in columns)]


def same(one: object, other: object) -> bool:
    """Equal as TOML sees it: 1 and 1.0 are, true and 1 are not."""
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _mark(mask: bytearray, rows: Sequence[Sequence[int]], lengths: Sequence[int]) -> bool:
    """Mark the product of these rows; True where there is one. Trailing axes taken whole are marked as one block."""
    cut = len(rows)
    while cut and len(rows[cut - 1]) == lengths[cut - 1]:
        cut -= 1
    block = math.prod(lengths[cut:])
    for chosen in itertools.product(*rows[:cut]):
        position = 0
        for row, length in zip(chosen, lengths, strict=False):
            position = position * length + row
        mask[position * block : (position + 1) * block] = b"\1" * block
    return all(rows)
