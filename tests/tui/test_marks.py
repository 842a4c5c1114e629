"""States as shapes: each its own, in a legend, and the worst of many for a cell."""

from __future__ import annotations

from batchwasm.model import Outcome
from batchwasm.tui.marks import MARKS, PARTLY, RULE, legend, of_cell, tally


def test_every_state_has_a_shape_of_its_own() -> None:
    words = {"waiting", "running", *(outcome.word for outcome in Outcome)}
    assert MARKS.keys() == words
    shapes = [found.glyph for found in MARKS.values()] + [PARTLY.glyph]
    assert len(set(shapes) | {shape.lower() for shape in shapes if shape.isalpha()}) == len(shapes) + sum(
        shape.isalpha() for shape in shapes
    )


def test_a_cell_shows_the_worst_of_its_tasks() -> None:
    assert of_cell({"succeeded": 90, "failed": 10}).glyph == "F"
    assert of_cell({"succeeded": 99, "failed": 1}).glyph == "f"
    assert of_cell({"succeeded": 5, "trapped": 2, "out_of_memory": 3, "running": 9}).glyph == "M"
    assert of_cell({"succeeded": 99, "running": 1}).glyph == "▶"
    assert of_cell({"succeeded": 5, "waiting": 5}) == PARTLY
    assert of_cell({"waiting": 5}).glyph == "·"
    assert of_cell({"succeeded": 1, "cancelled": 5}).glyph == "-"


def test_the_legend_has_the_states_that_there_are_and_the_rule() -> None:
    told = legend({"succeeded": 3, "waiting": 2}, 100, mixed=True).plain
    assert told == f"· waiting  ■ succeeded  ▒ partly succeeded  {RULE}"
    assert RULE not in legend({"succeeded": 3}, 100, mixed=False).plain


def test_the_legend_breaks_between_states_alone() -> None:
    states = dict.fromkeys(MARKS, 1)
    for width in (20, 40, 76):
        rows = legend(states, width, mixed=False).plain.split("\n")
        assert max(map(len, rows)) <= width
        assert len("  ".join(rows).split("  ")) == len(MARKS)


def test_a_tally_is_in_words() -> None:
    assert tally({"out_of_memory": 2, "succeeded": 1200}) == "1,200 succeeded, 2 out of memory"
