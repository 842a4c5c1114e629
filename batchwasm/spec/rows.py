"""Files that a sweep takes its values from: one value a line, or a table with named columns (CSV, JSON lines)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from batchwasm.model import Scalar
from batchwasm.spec import sweep, template
from batchwasm.spec.nodes import Node, did_you_mean, siblings


def lines(path: Path, node: Node) -> Sequence[Scalar] | None:
    """The lines of a text, without their ends; empty ones are left out."""
    text = _text(path, node)
    if text is None:
        return None
    found = tuple(line.removesuffix("\r") for line in text.split("\n") if line.strip())
    if not found:
        node.wrong(f"{path} has no line with a value")
        return None
    return found


def table(path: Path, node: Node) -> sweep.Axis | None:
    """The rows of a .csv (first line names the columns, cells are strings) or .jsonl (an object a line)."""
    if path.suffix not in TABLES:
        node.wrong(f"{path.name!r} is neither .csv nor .jsonl; write a file with one of these endings")
        return None
    text = _text(path, node)
    if text is None:
        return None
    try:
        names, found = TABLES[path.suffix](text)
    except (ValueError, csv.Error) as error:
        node.wrong(f"{path}: {error}")
        return None
    if not found:
        node.wrong(f"{path} has no row")
        return None
    return sweep.Axis(names=names, columns=tuple(zip(*found, strict=True)))


def _text(path: Path, node: Node) -> str | None:
    """The file's text, or None and a problem."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        near = did_you_mean(path.name, siblings(path))
        node.wrong(f"there is no file {path}{near}")
        return None
    except OSError as error:
        node.wrong(f"{path} can't be read: {error.strerror}")
        return None
    except UnicodeDecodeError as error:
        node.wrong(f"{path} is not UTF-8 text (byte {error.start})")
        return None
    if "\0" in text:
        node.wrong(f"{path} has a NUL character, which can't be passed on")
        return None
    return text


Table = tuple[tuple[str, ...], list[tuple[Scalar, ...]]]


def _csv(text: str) -> Table:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    names = tuple(cell.strip() for cell in next(reader, []))
    _check(names)
    found: list[tuple[Scalar, ...]] = []
    for cells in reader:
        if cells and len(cells) != len(names):
            raise ValueError(f"line {reader.line_num} has {len(cells)} cells, the first line {len(names)}")
        if cells:
            found.append(tuple(cells))
    return names, found


def _jsonl(text: str) -> Table:
    names: tuple[str, ...] = ()
    found: list[tuple[Scalar, ...]] = []
    for number, line in _filled(text):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"line {number} is not JSON: {error}") from None
        if not isinstance(row, dict) or not all(isinstance(value, str | int | float) for value in row.values()):
            raise ValueError(f"line {number} is not an object of strings, numbers and bools")
        if not names:
            names = tuple(row)
            _check(names)
        if set(row) != set(names):
            raise ValueError(f"line {number} has the keys {', '.join(row)}, the first line {', '.join(names)}")
        found.append(tuple(row[name] for name in names))
    return names, found


def _filled(text: str) -> Iterator[tuple[int, str]]:
    """Lines with something on them, and their numbers."""
    return ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _check(names: Sequence[str]) -> None:
    """Columns are names that a template can hold, each once."""
    for name in names:
        wrong = template.wrong_parameter(name)
        if wrong:
            raise ValueError(f"column {wrong}")
    if len(set(names)) < len(names):
        raise ValueError(f"the first line has a column twice: {', '.join(names)}")
    if not names:
        raise ValueError("the first line names no column")


TABLES = {".csv": _csv, ".jsonl": _jsonl}
