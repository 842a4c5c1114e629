"""Files that sweeps take values from."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.model import Scalar
from batchwasm.spec import rows
from batchwasm.spec.nodes import Node, Report
from tests.spec.folder import Folder


def node() -> Node:
    return Node(value="x", path=("x",), report=Report(file="jobs.toml"))


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("p.txt", "", "'p.txt' is neither .csv nor .jsonl"),
        ("p.csv", "", "the first line names no column"),
        ("p.csv", "a,b\n", "has no row"),
        ("p.csv", "a,b\n1\n", "line 2 has 1 cells, the first line 2"),
        ("p.csv", "a,a\n1,2\n", "the first line has a column twice: a, a"),
        ("p.csv", "a,b c\n1,2\n", "column 'b c' can't be written as {name}"),
        ("p.csv", "a,index\n1,2\n", "column 'index' always means the task's number"),
        ("p.csv", 'a\n"x\n', "unexpected end of data"),
        ("p.csv", "a\n\0\n", "has a NUL character"),
        ("p.jsonl", "", "has no row"),
        ("p.jsonl", '{"a": 1}\n{"a"\n', "line 2 is not JSON"),
        ("p.jsonl", "[1]\n", "line 1 is not an object of strings, numbers and bools"),
        ("p.jsonl", '{"a": null}\n', "line 1 is not an object of strings, numbers and bools"),
        ("p.jsonl", '{"a": 1}\n\n{"b": 1}\n', "line 3 has the keys b, the first line a"),
    ],
)
def test_a_table_that_is_wrong_says_why(folder: Folder, name: str, text: str, says: str) -> None:
    where = node()
    assert rows.table(folder.write(name, text), where) is None
    [problem] = where.report.problems
    assert says in problem.text


def test_a_missing_file_names_the_nearest(folder: Folder) -> None:
    folder.write("params.csv", "a\n1\n")
    where = node()
    assert rows.table(folder.path / "parms.csv", where) is None
    assert "did you mean 'params.csv'?" in where.report.problems[0].text


def test_a_file_that_is_no_text_is_a_problem(folder: Folder) -> None:
    path = folder.write("p.txt")
    path.write_bytes(b"ab\xff")
    where = node()
    assert rows.lines(path, where) is None
    assert "is not UTF-8 text (byte 2)" in where.report.problems[0].text


def test_empty_lines_only_are_a_problem(folder: Folder) -> None:
    where = node()
    assert rows.lines(folder.write("p.txt", "\n\n \n"), where) is None
    assert "has no line with a value" in where.report.problems[0].text


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
TABLES = st.integers(1, 3).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=4))


@given(TABLES)
def test_cells_come_back_as_the_csv_module_wrote_them(
    tmp_path_factory: pytest.TempPathFactory, table: list[list[str]]
) -> None:
    text = io.StringIO(newline="")
    names = [f"n{i}" for i in range(len(table[0]))]
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([names, *table])
    path = tmp_path_factory.mktemp("rows") / "p.csv"
    path.write_bytes(text.getvalue().encode())
    found = rows.table(path, node())
    assert found is not None
    assert list(zip(*found.columns, strict=True)) == [tuple(row) for row in table]


SCALARS = st.one_of(st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), CELLS)


@given(st.lists(st.tuples(SCALARS, SCALARS), min_size=1, max_size=4))
def test_values_of_json_lines_keep_their_types(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[Scalar, Scalar]]
) -> None:
    path: Path = tmp_path_factory.mktemp("rows") / "p.jsonl"
    path.write_text("".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in table))
    found = rows.table(path, node())
    assert found is not None
    assert found.columns == (tuple(a for a, _ in table), tuple(b for _, b in table))
    assert [type(a) for a in found.columns[0]] == [type(a) for a, _ in table]
