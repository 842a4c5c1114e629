"""What `help()` shows of a function that is called from Python."""

from __future__ import annotations

import inspect
import pydoc
import typing

from hypothesis import given
from hypothesis import strategies as st

from batchwasm.functions import Param, Signature
from batchwasm.functions.as_python import docstring, python_signature
from batchwasm.functions.types import Type
from tests.functions.kinds import POINT, kind_of, kinds, param

MOVE = Signature(
    language="cpp",
    name="geo::move",
    params=(
        Param(name="points", type=kind_of("list<geo::Point>")),
        param("option<f64>", "lambda"),
        param("map<tuple<u8, string>>", "names"),
        param("list<u8>", "raw"),
    ),
    result=kind_of("geo::Point"),
    raises=True,
    doc="Moves points.\n\nAll of them.",
)
HELP = """\
move(points: list[geo.Point], lambda_: float | None, names: dict[str, tuple[int, str]], raw: bytes) -> geo.Point
    Moves points.

    All of them.

    Takes
        points: list<geo::Point>
        lambda: option<f64>
        names: map<tuple<u8, string>>
        raw: list<u8>
    Gives geo::Point, or fails
    Written in C++

    geo::Point is a dict with
        x: f64
        y: f64
"""


def test_help_shows_parameters_with_pythons_types_and_the_exact_ones() -> None:
    def move(*arguments: object) -> None: ...

    move.__signature__ = python_signature(MOVE)  # type: ignore[attr-defined]
    move.__doc__ = docstring(MOVE)
    move.__qualname__ = "move"
    shown = pydoc.render_doc(move, renderer=pydoc.plaintext)
    lines = [line.rstrip() for line in shown.split("\n", 2)[2].splitlines()]
    assert "\n".join(lines).rstrip() == HELP.rstrip()


def test_a_record_is_a_typed_dict_with_its_fields() -> None:
    made = python_signature(MOVE).return_annotation
    assert typing.is_typeddict(made)
    assert typing.get_type_hints(made) == {"x": float, "y": float}


def test_arguments_are_bound_by_place_and_by_name() -> None:
    bound = python_signature(MOVE).bind([POINT], raw=b"", names={}, lambda_=1.0)
    assert bound.args == ([POINT], 1.0, {}, b"")


def test_a_function_that_takes_and_gives_nothing_says_so() -> None:
    nothing = Signature(language="go", name="Go", params=(), result=None)
    assert str(python_signature(nothing)) == "() -> None"
    assert docstring(nothing) == "Gives nothing\nWritten in Go"


@given(st.lists(st.tuples(st.text(max_size=4), kinds), max_size=4), st.none() | kinds)
def test_whatever_names_a_source_has_python_has_a_signature_for_them(
    params: list[tuple[str, Type]], result: Type | None
) -> None:
    made = Signature(
        language="rust", name="f", params=tuple(Param(name=name, type=kind) for name, kind in params), result=result
    )
    found = python_signature(made)
    assert len(found.parameters) == len(params)
    assert str(found)
    assert inspect.cleandoc(docstring(made))
