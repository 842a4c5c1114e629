"""What is taken as an argument, what is refused, and with which words; lists of numbers out of every buffer."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import fractions
import math
import struct
import tracemalloc
import types
from array import array
from collections.abc import Sequence
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.functions.types import Type
from batchwasm.functions.values import BadArgument, encoder
from tests.functions.kinds import POINT, encode, kind_of, kinds, param, sent

Named = collections.namedtuple("Named", "x y")


@dataclasses.dataclass
class Point:
    x: float
    y: float
    note: str = "not a field of the record"


class Index:
    def __index__(self) -> int:
        return 7


class Number(enum.IntEnum):
    SEVEN = 7


@pytest.mark.parametrize(
    ("kind", "given", "meant"),
    [
        ("bool", np.True_, True),
        ("u8", np.int64(7), 7),
        ("u8", np.uint8(7), 7),
        ("u8", Index(), 7),
        ("u8", Number.SEVEN, 7),
        ("u8", np.array(7), 7),
        ("f64", 7, 7.0),
        ("f64", 2**1000, 2.0**1000),
        ("f64", np.float32(0.5), 0.5),
        ("f64", np.float64(0.1), 0.1),
        ("f64", np.float16(0.5), 0.5),
        ("f64", np.longdouble(0.5), 0.5),
        ("f64", np.int8(-7), -7.0),
        ("f32", 0.1, 0.10000000149011612),
        ("f32", 2**24, 2.0**24),
        ("f32", -math.inf, -math.inf),
        ("string", np.str_("a"), "a"),
        ("list<u8>", bytearray(b"ab"), b"ab"),
        ("list<u8>", memoryview(b"abcd")[::2], b"ac"),
        ("list<u8>", memoryview(b"ab").cast("c"), b"ab"),
        ("list<u8>", memoryview(array("b", [1, 2])), b"\1\2"),
        ("list<u8>", array("B", [1, 2]), b"\1\2"),
        ("list<u8>", array("q", [1, 2]), b"\1\2"),
        ("list<u8>", np.array([1, 2], np.uint8), b"\1\2"),
        ("list<u8>", np.array([1, 2], ">i8"), b"\1\2"),
        ("list<u8>", [1, np.int64(2)], b"\1\2"),
        ("list<u8>", range(3), b"\0\1\2"),
        ("list<u8>", (), b""),
        ("list<f64>", [1, 2.5, np.float32(0.5)], [1.0, 2.5, 0.5]),
        ("list<f64>", (2**53, 0.5), [2.0**53, 0.5]),
        ("list<f64>", range(3), [0.0, 1.0, 2.0]),
        ("list<f64>", array("d", [1, 2]), [1.0, 2.0]),
        ("list<f64>", array("f", [1, 2]), [1.0, 2.0]),
        ("list<f64>", array("q", [1, 2]), [1.0, 2.0]),
        ("list<f64>", array("d"), []),
        ("list<f64>", memoryview(array("d", [1, 2, 3]))[::-2], [3.0, 1.0]),
        ("list<f64>", np.array([1, None])[:1], [1.0]),
        ("list<f64>", collections.deque([1, 2]), [1.0, 2.0]),
        ("list<f64>", collections.UserList([1, 2]), [1.0, 2.0]),
        ("list<f32>", [0.1, 1], [0.10000000149011612, 1.0]),
        ("list<s16>", array("l", [-1, 2]), [-1, 2]),
        ("list<u64>", [2**64 - 1], [2**64 - 1]),
        ("list<bool>", np.array([True, False]), [True, False]),
        ("list<string>", np.array(["a", "b"]), ["a", "b"]),
        ("list<list<u8>>", np.array([[1, 2], [3, 4]], np.uint8), [b"\1\2", b"\3\4"]),
        ("list<list<s32>>", [range(2), np.array([5])], [[0, 1], [5]]),
        ("list<list<s32>>", np.array([[1, 2], None], dtype=object)[:1], [[1, 2]]),
        ("list<tuple<f64, f64>>", np.array([[1.0, 2.0]]), [(1.0, 2.0)]),
        ("list<option<f64>>", np.array([1.0]), [1.0]),
        ("tuple<u8, string>", [1, "a"], (1, "a")),
        (
            "map<u8>",
            types.MappingProxyType({"\U00010000": 1, "\uffff": 2, "": 3}),
            {"": 3, "\uffff": 2, "\U00010000": 1},
        ),
        (POINT, {"y": 2, "x": 1}, {"x": 1.0, "y": 2.0}),
        (POINT, Point(1, 2), {"x": 1.0, "y": 2.0}),
        (POINT, Named(1, 2), {"x": 1.0, "y": 2.0}),
        (POINT, types.SimpleNamespace(x=1, y=2), {"x": 1.0, "y": 2.0}),
        ("option<geo::Point>", None, None),
    ],
)
def test_what_python_has_for_a_type_is_taken(kind: str | Type, given: object, meant: Any) -> None:
    assert encode(kind, given) == sent(kind_of(kind), meant)


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("bool", 1, "x: expected bool, found 1"),
        ("bool", None, "x: expected bool, found None"),
        ("u8", 300, "x: 300 does not fit u8 (0 to 255)"),
        ("s64", 2**63, "x: 9223372036854775808 does not fit s64 (-9223372036854775808 to 9223372036854775807)"),
        ("s64", 10**999, "x: an integer of 3319 bits does not fit s64 (-9223372036854775808 to 9223372036854775807)"),
        ("u8", True, "x: expected u8, found True"),
        ("u8", np.True_, "x: expected u8, found a bool"),
        ("u8", 1.0, "x: expected u8, found 1.0; write 1"),
        ("u8", 1.5, "x: expected u8, found 1.5"),
        ("u8", math.inf, "x: expected u8, found inf"),
        ("u8", np.float64(1), "x: expected u8, found 1.0; write 1"),
        ("u8", "1", "x: expected u8, found '1'"),
        ("u8", np.array([1]), "x: expected u8, found a ndarray"),
        ("f64", True, "x: expected f64, found True"),
        ("f64", np.True_, "x: expected f64, found a bool"),
        ("f64", "a" * 100, f"x: expected f64, found '{'a' * 56}..."),
        ("f64", fractions.Fraction(1, 2), "x: expected f64, found a Fraction"),
        ("f64", 2**53 + 1, "x: 9007199254740993 has no exact f64; write it as a float, rounded"),
        ("f64", np.uint64(2**64 - 1), "x: 18446744073709551615 has no exact f64; write it as a float, rounded"),
        ("f64", 10**400, "x: an integer of 1329 bits does not fit f64 (at most 1.7976931e+308)"),
        ("f32", 2**24 + 1, "x: 16777217 has no exact f32; write it as a float, rounded"),
        ("f32", 1e39, "x: 1e+39 does not fit f32 (at most 3.4028235e+38)"),
        ("f32", 10**39, f"x: {10**39} does not fit f32 (at most 3.4028235e+38)"),
        ("string", b"a", "x: expected string, found b'a'"),
        ("string", "ab\udc80", "x: character 2 is '\\udc80', half of a surrogate pair, which is no text by itself"),
        ("list<u8>", "text", "x: expected list<u8>, found 'text'"),
        ("list<u8>", [1, 2, 3, 300], "x[3]: 300 does not fit u8 (0 to 255)"),
        ("list<u8>", array("b", [-1]), "x[0]: -1 does not fit u8 (0 to 255)"),
        ("list<u8>", memoryview(array("d", [1])), "x[0]: expected u8, found 1.0; write 1"),
        ("list<f64>", 5, "x: expected list<f64>, found 5"),
        ("list<f64>", "1,2", "x: expected list<f64>, found '1,2'"),
        ("list<f64>", {1.0}, "x: expected list<f64>, found a set; write list(...)"),
        ("list<f64>", {}, "x: expected list<f64>, found a dict"),
        ("list<f64>", iter([1.0]), "x: expected list<f64>, found a list_iterator; write list(...)"),
        (
            "list<f64>",
            bytes(8),
            f"x: expected list<f64>, found {bytes(8)!r}; say what its bytes mean: memoryview(...).cast('d'), "
            "or numpy.frombuffer",
        ),
        ("list<f64>", [1.0, "a"], "x[1]: expected f64, found 'a'"),
        ("list<f64>", [1.0, True], "x[1]: expected f64, found True"),
        ("list<f64>", [1.0, 2**53 + 1], "x[1]: 9007199254740993 has no exact f64; write it as a float, rounded"),
        ("list<f64>", [1, 10**400], "x[1]: an integer of 1329 bits does not fit f64 (at most 1.7976931e+308)"),
        ("list<f64>", np.float64(1), "x: expected list<f64>, found 1.0"),
        ("list<f64>", np.array(1.0), "x: expected list<f64>, found a ndarray"),
        ("list<f64>", np.eye(2), "x: expected list<f64>, found an array of shape (2, 2); it needs one dimension"),
        ("list<f64>", memoryview(bytes(16)).cast("d", (1, 2)), "x: expected list<f64>, found a buffer of 2 dimensions"),
        (
            "list<f64>",
            np.array([1j]),
            "x: expected list<f64>, found an array of complex128; convert it with .astype('float64')",
        ),
        (
            "list<s16>",
            np.array([1.0]),
            "x: expected list<s16>, found an array of float64; convert it with .astype('int16')",
        ),
        (
            "list<u8>",
            np.array([True]),
            "x: expected list<u8>, found an array of bool; convert it with .astype('uint8')",
        ),
        (
            "list<s64>",
            np.array(["2020-01-01"], "datetime64[D]"),
            "x: expected list<s64>, found an array of datetime64[D]; convert it with .astype('int64')",
        ),
        ("list<f64>", np.array([1.0, "a"], dtype=object), "x[1]: expected f64, found 'a'"),
        ("list<list<s8>>", np.array([[1, 2], [3, 128]]), "x[1][1]: 128 does not fit s8 (-128 to 127)"),
        ("list<list<s8>>", np.zeros((2, 2, 2), int), "x[0]: expected list<s8>, found an array of shape (2, 2); "),
        ("list<list<s8>>", [[1], [2, "a"]], "x[1][1]: expected s8, found 'a'"),
        ("list<string>", "abc", "x: expected list<string>, found 'abc'"),
        ("list<string>", (word for word in "abc"), "x: expected list<string>, found a generator; write list(...)"),
        ("list<string>", {"a": 1}, "x: expected list<string>, found a dict"),
        ("list<string>", np.array("a"), "x: expected list<string>, found a ndarray"),
        ("tuple<u8, u8>", (1,), "x: expected tuple<u8, u8>, found 1 value"),
        ("tuple<u8, u8>", (1, 2, 3), "x: expected tuple<u8, u8>, found 3 values"),
        ("tuple<u8, u8>", (1, "a"), "x[1]: expected u8, found 'a'"),
        ("tuple<u8, u8>", {1: 2}, "x: expected tuple<u8, u8>, found a dict"),
        ("map<u8>", {"a": 1, "b": 256}, "x['b']: 256 does not fit u8 (0 to 255)"),
        ("map<u8>", {1: 1}, "x: expected map<u8>, found the key 1; keys are strings"),
        ("map<u8>", [("a", 1)], "x: expected map<u8>, found a list"),
        (POINT, {"x": 1, "y": "a"}, "x.y: expected f64, found 'a'"),
        (POINT, {"x": 1}, "x: geo::Point lacks y (f64)"),
        (POINT, {}, "x: geo::Point lacks x (f64), y (f64)"),
        (POINT, {"x": 1, "y": 2, "z": 3}, "x: geo::Point has no field 'z'; it has x, y"),
        (POINT, {"x": 1, 2: 2}, "x: geo::Point has no field 2; it has x, y"),
        ("Place", {"at": Point(1, 2), "nmes": []}, "x: Place has no field 'nmes'; did you mean names?"),
        ("Place", {"at": Point(1, "a"), "names": []}, "x.at.y: expected f64, found 'a'"),  # type: ignore[arg-type]
        ("Place", {"at": {"x": 1, "y": 1}, "names": ["a", 1]}, "x.names[1]: expected string, found 1"),
        (POINT, types.SimpleNamespace(x=1), "x: geo::Point lacks y (f64)"),
        (POINT, (1, 2), "x: expected geo::Point, found a tuple; write a dict with x, y"),
        (POINT, None, "x: expected geo::Point, found None; write a dict with x, y"),
        ("option<u8>", 300, "x: 300 does not fit u8 (0 to 255)"),
    ],
)
def test_what_does_not_fit_is_refused_by_where_what_and_what_would_do(
    kind: str | Type, value: object, problem: str
) -> None:
    with pytest.raises(BadArgument) as error:
        encode(kind, value)
    assert str(error.value).startswith(problem)
    assert not problem.endswith(")") or str(error.value) == problem


def test_a_wrong_number_of_arguments_is_told_with_the_parameters() -> None:
    encode_two = encoder([param("f64", "a"), param("list<u8>", "b")])
    with pytest.raises(BadArgument, match=r"^it takes 2 arguments \(a: f64, b: list<u8>\), found 1$"):
        encode_two([1.0])
    with pytest.raises(BadArgument, match=r"^it takes no arguments, found 1$"):
        encoder([])([1])
    assert encoder([])([]) == b"\x80"


def test_the_second_argument_is_named_where_it_is_wrong() -> None:
    with pytest.raises(BadArgument, match=r"^b\[0\]: expected string"):
        encoder([param("f64", "a"), param("list<string>", "b")])([1.0, [2]])


NUMBERS = ["s8", "u8", "s16", "u16", "s32", "u32", "s64", "u64", "f32", "f64"]
DTYPES = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"]


def numbers_of(dtype: str) -> st.SearchStrategy[Any]:
    if dtype[0] == "f":
        return st.floats(width={"2": 16, "4": 32, "8": 64}[dtype[1]])  # type: ignore[arg-type]
    info = np.iinfo(dtype)
    near = st.sampled_from([0, 7, 8, 15, 16, 24, 31, 32, 53, 63, 64]).flatmap(
        lambda bits: st.sampled_from([sign * 2**bits + more for sign in (1, -1) for more in (-1, 0, 1)])
    )
    return st.integers(int(info.min), int(info.max)) | near.filter(lambda n: info.min <= n <= info.max)


@st.composite
def ndarrays(draw: st.DrawFn) -> Any:
    """Of one dimension, of every dtype; in either byte order, with gaps, backwards."""
    dtype = draw(st.sampled_from(DTYPES))
    values = draw(st.lists(numbers_of(dtype), max_size=5))
    found = np.repeat(np.array(values, draw(st.sampled_from("<>")) + dtype), 2)[::2]
    return draw(st.sampled_from([found, found.copy(), found[::-1]]))


def outcome(kind: str, value: object) -> bytes | str:
    try:
        return encode(kind, value)
    except BadArgument as error:
        return str(error)


@given(st.sampled_from(NUMBERS), ndarrays())
def test_an_array_of_any_kind_is_what_the_list_of_its_numbers_is(item: str, value: Any) -> None:
    kind = f"list<{item}>"
    found = outcome(kind, value)
    if item[0] != "f" and value.dtype.kind == "f" and value.size:
        assert f"found an array of {value.dtype}; convert it" in str(found)
    else:
        assert found == outcome(kind, value.tolist())


@given(
    st.sampled_from(NUMBERS),
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 3), min_size=2, max_size=4),
    st.booleans(),
    st.data(),
)
def test_an_array_of_several_dimensions_is_the_list_of_lists(
    item: str, dtype: str, shape: list[int], transposed: bool, data: st.DataObject
) -> None:
    count = math.prod(shape)
    value = np.array(data.draw(st.lists(st.integers(0, 127), min_size=count, max_size=count)), dtype).reshape(shape)
    value = value.T if transposed else value
    kind = "list<" * len(shape) + item + ">" * len(shape)
    if item[0] != "f" and dtype[0] == "f" and value.size:
        assert "convert it" in str(outcome(kind, value))
    else:
        assert outcome(kind, value) == outcome(kind, value.tolist())


@given(st.sampled_from(NUMBERS), st.sampled_from("bBhHiIlLqQfd"), st.lists(st.integers(0, 127), max_size=5))
def test_a_buffer_is_the_list_of_its_numbers(item: str, code: str, values: list[int]) -> None:
    value = array(code, values)
    assert outcome(f"list<{item}>", value) == outcome(f"list<{item}>", value.tolist())
    assert outcome(f"list<{item}>", memoryview(value)[::-1]) == outcome(f"list<{item}>", value.tolist()[::-1])


SIZE = 200_000


def buffers() -> list[Any]:
    floats = np.arange(SIZE, dtype=np.float64)
    return [floats, array("d", floats.tobytes()), memoryview(floats), floats.reshape(2, -1), floats.astype(np.float32)]


@pytest.mark.parametrize("value", buffers(), ids=lambda value: f"{type(value).__name__}{getattr(value, 'shape', '')}")
def test_no_object_is_made_of_a_number_in_a_buffer(value: Any) -> None:
    kind = "list<list<f64>>" if getattr(value, "ndim", 1) == 2 else "list<f64>"
    encode_one = encoder([param(kind)])
    tracemalloc.start()
    data = encode_one([value])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3.1 * 8 * SIZE  # what is sent, and at most two copies on the way; a list of objects is 4 of them more
    assert data[-8:] == struct.pack("<d", SIZE - 1)


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from(
        [np.float32(1), np.int8(1), np.zeros(2), np.zeros((2, 2), int), array("d", [1]), range(2), object()]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(kinds, max_size=3), st.lists(junk, max_size=3))
def test_any_value_is_refused_or_sent_as_well_formed_cbor(some: Sequence[Type], arguments: list[object]) -> None:
    encode_all = encoder([param(kind, f"p{n}") for n, kind in enumerate(some)])
    with contextlib.suppress(BadArgument):
        assert len(cbor2.loads(encode_all(arguments))) == len(some)
