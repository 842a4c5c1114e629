"""A signature in WIT. The texts here were taken by a real WIT parser (componentize-py 0.25.1)."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from batchwasm.functions import Param, Signature
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Option, Record, String, Tuple, Type
from batchwasm.functions.wit import wit
from tests.functions.kinds import POINT, kinds, param

WORLD = """\
// geo::Area2D(xs: list<option<geo::Place>>, lambda: map<list<u8>>, from: tuple<s8, geo::Place>) -> geo::Place
//
// For reading: the module is no component. It is called as batchwasm's docs/abi.md says, and by the names
// of the source.
package batchwasm:functions;

interface geo-area2-d {
    record geo-place {
        x: f64,
        is-valid: bool,
        is-valid-v2: bool,
        %type: string,
        http-code2: u8,
        x2-y3: list<u8>,
    }

    /// The area.
    ///
    /// Of */ things.
    // A list<tuple<string, T>> that is marked so is a map: each key is there once.
    geo-area2-d: func(xs: list<option<geo-place>>, lambda: /* map */ list<tuple<string, list<u8>>>, \
%from: tuple<s8, geo-place>) -> result<geo-place, string>;
}
"""
PLACE = Record(
    "geo::Place",
    (
        ("x", Float(64)),
        ("isValid", Bool()),
        ("is_valid", Bool()),
        ("type", String()),
        ("HTTPCode2", Int(8, False)),
        ("_x_2_y3", Bytes()),
    ),
)


def signature(name: str, params: list[Param], result: Type | None, raises: bool = False, doc: str = "") -> Signature:
    return Signature(language="cpp", name=name, params=tuple(params), result=result, raises=raises, doc=doc)


def test_a_signature_is_an_interface_with_records_in_wits_manner() -> None:
    params = [
        Param(name="xs", type=List(Option(PLACE))),
        param("map<list<u8>>", "lambda"),
        Param(name="from", type=Tuple((Int(8, True), PLACE))),
    ]
    doc = "The area.\n\nOf */ things.\x00\u202e"
    assert wit(signature("geo::Area2D", params, PLACE, raises=True, doc=doc)) == WORLD


def last_line(made: Signature) -> str:
    return wit(made).splitlines()[-2].strip()


def test_a_function_may_give_nothing_and_may_fail() -> None:
    assert last_line(signature("f", [], None)) == "f: func();"
    assert last_line(signature("f", [], None, raises=True)) == "f: func() -> result<_, string>;"
    assert last_line(signature("f", [param("f32")], POINT)) == "f: func(x: f32) -> geo-point;"


def test_names_that_wit_has_for_itself_are_escaped() -> None:
    text = wit(signature("list", [param("f64", "from")], Record("result", (("record", Bool()),))))
    assert "interface %list {" in text
    assert "    record %result {\n        %record: bool," in text
    assert last_line(signature("list", [param("f64", "from")], None)) == "%list: func(%from: f64);"


def test_a_record_called_like_the_function_gets_another_name() -> None:
    text = wit(signature("point", [Param(name="p", type=Record("Point", (("x", Bool()),)))], None))
    assert "record point-v2 {" in text
    assert "point: func(p: point-v2);" in text


names = st.text(st.sampled_from("aBcXY_0129:é"), min_size=1, max_size=8) | st.sampled_from(["type", "_", "2d", "été"])
NAME = re.compile(r"%?[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*")


@given(st.lists(st.tuples(names, kinds), max_size=4), names, st.none() | kinds, st.text())
def test_all_names_are_wits_and_each_is_once_in_its_scope(
    params: list[tuple[str, Type]], name: str, result: Type | None, doc: str
) -> None:
    made = signature(name, [Param(name=each, type=kind) for each, kind in params], result, doc=doc)
    *_, line, end = wit(made).splitlines()
    assert end == "}"
    found = re.fullmatch(r"    (\S+): func\((.*)\)( -> [^()]*)?;", line)
    assert found is not None
    assert NAME.fullmatch(found[1])
    assert line.count("<") == line.count(">") - (1 if found[3] else 0)
    taken = re.findall(r"(?:^|, )([^ <>,]+): ", found[2])
    assert len(taken) == len(set(taken)) == len(params)
    assert all(NAME.fullmatch(each) for each in taken)
    assert all(
        line.startswith(("    ", "//", "package", "interface", "}")) or not line for line in wit(made).splitlines()
    )
