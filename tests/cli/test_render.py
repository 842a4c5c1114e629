"""Rows as tables, columns and JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import count, islice

import pytest

from batchwasm.cli.render import Column, fit, json_line, print_json, print_table, table_lines

COLUMNS = (Column(title="task"), Column(title="wall", right=True), Column(title="outcome", words=True))


def test_json_has_strings_for_floats_that_it_does_not_know() -> None:
    value = {"a": [float("nan"), (float("inf"), -float("inf"))], "b": {"c": 0.1}, "n": 2**70, "none": None}
    line = json_line(value)
    assert (
        line == '{"a": ["NaN", ["Infinity", "-Infinity"]], "b": {"c": 0.1}, "n": 1180591620717411303424, "none": null}'
    )


def test_json_lines_are_ascii_and_one_line_whatever_is_in_them() -> None:
    line = json_line({"text": "ü\n\x1b\x9b\u2028\ud800\x7f"})
    line.encode("ascii")
    assert "\n" not in line
    assert json.loads(line) == {"text": "ü\n\x1b\x9b\u2028\ud800\x7f"}


def test_json_is_an_object_a_line() -> None:
    stream = io.StringIO()
    print_json(({"n": n} for n in range(2)), stream)
    assert stream.getvalue() == '{"n": 0}\n{"n": 1}\n'


def test_a_pipe_gets_whole_columns_separated_by_tabs() -> None:
    stream = io.StringIO()
    print_table(COLUMNS, [["pi/0", "1 s", "x" * 500], ["a\tb\n", "", "\x1b[m"]], stream)
    assert stream.getvalue() == f"task\twall\toutcome\npi/0\t1 s\t{'x' * 500}\na\\x09b\\x0a\t\t\\x1b[m\n"


def test_a_table_whose_first_row_can_not_be_had_is_not_begun() -> None:
    def broken() -> Iterator[list[str]]:
        raise OSError
        yield []

    stream = io.StringIO()
    with pytest.raises(OSError):
        print_table(COLUMNS, broken(), stream)
    assert stream.getvalue() == ""
    print_table(COLUMNS, [], stream)
    assert stream.getvalue() == "task\twall\toutcome\n"


def test_columns_are_aligned() -> None:
    rows = [["pi/0", "1 s", "succeeded"], ["mandelbrot/10", "10 min 00 s", "failed"]]
    assert list(table_lines(COLUMNS, rows, width=80, coloured=False)) == [
        "task                  wall  outcome",
        "pi/0                   1 s  succeeded",
        "mandelbrot/10  10 min 00 s  failed",
    ]


def test_words_of_a_state_have_colours_and_nothing_else_has() -> None:
    lines = list(table_lines(COLUMNS, [["failed", "1 s", "failed"]], width=80, coloured=True))
    assert lines == ["\x1b[1mtask    wall  outcome\x1b[0m", "failed   1 s  \x1b[31mfailed \x1b[0m"]


def test_a_narrow_terminal_gets_no_line_that_is_too_long() -> None:
    lines = list(table_lines(COLUMNS, [["pi/0", "x" * 100, "東京" * 50]], width=40, coloured=False))
    assert lines[1].count("…") == 2
    assert all(len(line) + sum("\u3000" <= c <= "\u9fff" for c in line) <= 40 for line in lines)


def test_a_table_without_rows_shows_its_titles() -> None:
    assert list(table_lines(COLUMNS, [], width=80, coloured=False)) == ["task  wall  outcome"]


def test_a_table_is_printed_as_its_rows_come() -> None:
    lines = table_lines(COLUMNS, ([str(n), "", ""] for n in count()), width=80, coloured=False)
    assert next(islice(lines, 5000, None)).startswith("4999")


def test_texts_are_cut_to_cells_not_characters() -> None:
    assert fit("東京都", 6) == "東京都"
    assert fit("東京都", 5) == "東京…"
    assert fit("東京都", 4) == "東 …"
    assert fit("abc", 5) == "abc  "
