"""Arguments out of JSON, command lines and CSV; results as JSON, the same for every language."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.functions.json_values import argument, cell, dumps, from_json, to_json
from batchwasm.functions.types import Type
from batchwasm.functions.values import BadArgument, decoder
from tests.functions.kinds import POINT, encode, in_order, kind_of, kinds, param, same, values


def strictly(text: str) -> Any:
    """What a reader that takes nothing but RFC 8259 reads."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(text, parse_constant=refuse)


@given(values)
def test_a_result_as_json_is_an_argument_again(pair: tuple[Type, Any]) -> None:
    kind, value = pair
    text = dumps(kind, value)
    assert dumps(kind, in_order(kind, value)) == text
    again = [from_json(kind, strictly(text))]
    if str(kind) != "string":
        again.append(argument(param(kind), text))
    for one in again:
        assert dumps(kind, decoder(kind)(encode(kind, one))) == text  # not the same bytes: a NaN may be another one


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (None, None, "null"),
        ("f64", 1.0, "1.0"),
        ("f64", -0.0, "-0.0"),
        ("f64", 1e22, "1e+22"),
        ("f64", math.nan, '"NaN"'),
        ("f64", -math.inf, '"-Infinity"'),
        ("list<f32>", [math.inf, 0.5], '["Infinity",0.5]'),
        ("list<f32>", np.array([math.inf, 0.5], np.float32), '["Infinity",0.5]'),
        ("list<u64>", np.array([2**64 - 1], np.uint64), "[18446744073709551615]"),
        ("u64", 2**64 - 1, "18446744073709551615"),
        ("string", 'é"\0', '"é\\"\\u0000"'),
        ("list<u8>", b"hello", '"aGVsbG8="'),
        ("list<list<u8>>", [b"", b"\xff"], '["","/w=="]'),
        ("tuple<bool, option<s8>>", (True, None), "[true,null]"),
        (
            "map<f64>",
            {"b": 1.0, "a": 2.0, "\uffff": 3.0, "\U00010000": 4.0},
            '{"a":2.0,"b":1.0,"\uffff":3.0,"\U00010000":4.0}',
        ),
        (POINT, {"y": math.nan, "x": 1.0}, '{"x":1.0,"y":"NaN"}'),
        ("list<geo::Point>", [{"x": 1.0, "y": 2.0}], '[{"x":1.0,"y":2.0}]'),
    ],
)
def test_a_result_is_compact_rfc_8259(kind: str | Type | None, value: Any, text: str) -> None:
    assert dumps(None if kind is None else kind_of(kind), value) == text
    strictly(text)


def test_json_keeps_no_numpy() -> None:
    assert type(to_json(kind_of("list<f32>"), np.ones(1, np.float32))[0]) is float  # type: ignore[index]


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", "1", "1"),
        ("string", '"quoted"', '"quoted"'),
        ("string", "", ""),
        ("option<string>", '"a"', "a"),
        ("option<string>", "null", None),
        ("bool", "true", True),
        ("s64", " -5 ", -5),
        ("u64", "18446744073709551615", 2**64 - 1),
        ("f64", "1", 1),
        ("f64", '"-Infinity"', -math.inf),
        ("f64", "-Infinity", -math.inf),
        ("f64", "1" + "0" * 308 + ".0", 1e308),
        ("list<f64>", '[1, 2.5, "Infinity"]', [1, 2.5, math.inf]),
        ("list<u8>", '"aGk="', b"hi"),
        ("list<u8>", "[1, 2]", [1, 2]),
        ("list<list<u8>>", '["aGk=", [1]]', [b"hi", [1]]),
        ("tuple<f64, list<u8>>", '["Infinity", ""]', [math.inf, b""]),
        ("map<option<f64>>", '{"a": null, "b": "Infinity"}', {"a": None, "b": math.inf}),
        (POINT, '{"y": 1, "x": "Infinity"}', {"y": 1, "x": math.inf}),
    ],
)
def test_an_argument_is_json_but_a_string_is_taken_as_it_is(kind: str | Type, text: str, value: Any) -> None:
    assert same(argument(param(kind), text), value)


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        ("list<f64>", "1,2", "xs: '1,2' is not JSON; write a list such as [1.0, 2.5]"),
        ("list<f64>", "", "xs: '' is not JSON; write a list such as [1.0, 2.5]"),
        ("list<f64>", "5", "xs: expected list<f64>, found 5; write a list such as [1.0, 2.5]"),
        ("list<f64>", '[1, "a"]', "xs[1]: expected f64, found 'a'; the only texts are 'NaN', 'Infinity', '-Infinity'"),
        ("list<f64>", "[1, true]", "xs[1]: expected f64, found True"),
        ("list<u8>", "[1, 300]", "xs[1]: 300 does not fit u8 (0 to 255)"),
        ("list<u8>", "3", "xs: expected list<u8>, found 3; write base64 text"),
        (
            "list<u8>",
            '"a"',
            "xs: 'a' is not base64: Invalid base64-encoded string: number of data characters (1) cannot be 1 more than "
            'a multiple of 4; write base64 text in double quotes such as "aGVsbG8="',
        ),
        ("list<string>", '["a"', 'xs: \'["a"\' is not JSON; write a list such as ["abc", "def"]'),
        ("s32", "1.0", "xs: expected s32, found 1.0; write 1"),
        ("s32", "x", "xs: 'x' is not JSON; write a whole number such as 1"),
        ("s8", "128", "xs: 128 does not fit s8 (-128 to 127)"),
        ("f64", "1e400", "xs: 1e400 is beyond all floats; write a number such as 1.0"),
        ("f64", "9" * 5000, f"xs: {'9' * 57}... has 5000 digits; write a number such as 1.0"),
        ("bool", "True", "xs: 'True' is not JSON; write true or false"),
        ("bool", "1", "xs: expected bool, found 1; write true or false"),
        ("option<string>", "abc", "xs: 'abc' is not JSON; write null, or a text in double quotes such as \"abc\""),
        ("option<bool>", "0", "xs: expected bool, found 0; write null, or true or false"),
        ("tuple<s8, f32>", "[1]", "xs: expected tuple<s8, f32>, found 1 value; write a list of 2 such as [1, 2.5]"),
        ("map<u8>", "[]", 'xs: expected map<u8>, found a list; write an object such as {"abc": 1}'),
        (POINT, '{"x": 1}', 'xs: geo::Point lacks y (f64); write an object such as {"x": 1.0, "y": 2.5}'),
        ("Place", '{"at": {"x": 1, "y": "u"}, "names": []}', "xs.at.y: expected f64, found 'u'; the only texts are"),
        ("list<list<bool>>", "[[true, 1]]", "xs[0][1]: expected bool, found 1"),
        ("string", "a\udcff", "xs: character 1 is '\\udcff', half of a surrogate pair"),
        ("list<f64>", "[" * 100_000, f"xs: '{'[' * 56}... is nested too deeply; write a list such as [1.0, 2.5]"),
        (
            "list<f64>",
            "[" + "1, " * 30 + "\n1,, 2]",
            f"xs: '[{'1, ' * 18}1... is not JSON (line 2, column 3); write a list such as [1.0, 2.5]",
        ),
    ],
)
def test_an_argument_that_is_wrong_is_quoted_with_what_would_be_right(
    kind: str | Type, text: str, problem: str
) -> None:
    with pytest.raises(BadArgument) as error:
        argument(param(kind, "xs"), text)
    assert str(error.value).startswith(problem)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", " a b ", " a b "),
        ("string", "1", "1"),
        ("option<string>", "", None),
        ("option<string>", "null", "null"),
        ("option<s8>", " ", None),
        ("option<s8>", "+5", 5),
        ("s8", " -12 ", -12),
        ("u64", "18446744073709551615", 2**64 - 1),
        ("f64", "1", 1.0),
        ("f64", "-1.5e3", -1500.0),
        ("f64", ".5", 0.5),
        ("f64", "5.", 5.0),
        ("f64", "-inf", -math.inf),
        ("f64", "NaN", math.nan),
        ("bool", "TRUE", True),
        ("bool", "false", False),
        ("list<u8>", "aGk=", b"hi"),
        ("list<u8>", '"aGk="', b"hi"),
        ("list<u8>", "[1]", [1]),
        ("list<f64>", "[1.5]", [1.5]),
        (POINT, '{"x": 1, "y": 2}', {"x": 1, "y": 2}),
    ],
)
def test_a_cell_takes_the_type_of_its_parameter(kind: str | Type, text: str, value: Any) -> None:
    found = cell(param(kind), text)
    assert same(found, value)
    encode(kind, found)


@pytest.mark.parametrize(
    ("kind", "text", "problem"),
    [
        ("s8", "a", "n: expected s8, found 'a'; write a whole number such as 1"),
        ("s8", "", "n: expected s8, found ''; write a whole number such as 1"),
        ("s8", "1.0", "n: expected s8, found '1.0'; write a whole number such as 1"),
        ("s8", "1_0", "n: expected s8, found '1_0'; write a whole number such as 1"),
        ("s8", "128", "n: 128 does not fit s8 (-128 to 127)"),
        ("f32", "1e39", "n: 1e+39 does not fit f32 (at most 3.4028235e+38)"),
        ("f64", "1e400", "n: '1e400' is beyond all floats"),
        ("f64", "1,5", "n: expected f64, found '1,5'; write a number such as 1.0"),
        ("f64", "٣", "n: expected f64, found '٣'; write a number such as 1.0"),
        ("bool", "1", "n: expected bool, found '1'; write true or false"),
        ("list<u8>", "?", "n: '?' is not base64"),
        ("list<f64>", "1;2", "n: '1;2' is not JSON; write a list such as [1.0, 2.5]"),
    ],
)
def test_a_cell_that_does_not_fit_is_refused(kind: str, text: str, problem: str) -> None:
    with pytest.raises(BadArgument) as error:
        cell(param(kind, "n"), text)
    assert str(error.value).startswith(problem)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(kinds, json_like)
def test_whatever_json_there_is_it_fits_or_is_refused(kind: Type, value: Any) -> None:
    try:
        found = argument(param(kind), json.dumps(value))
    except BadArgument as error:
        assert error.path.startswith("x")  # noqa: PT017
        return
    encode(kind, found)


@given(kinds, st.text(max_size=20))
def test_whatever_text_there_is_it_fits_or_is_refused(kind: Type, text: str) -> None:
    for read in (argument, cell):
        try:
            found = read(param(kind), text)
        except BadArgument as error:
            assert error.path.startswith("x")  # noqa: PT017
        else:
            encode(kind, found)
