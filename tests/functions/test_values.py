"""Answers of modules that may be hostile, there and back with the encoder; and the two together."""

from __future__ import annotations

import math
import random
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import cbor2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchwasm.functions.types import NAMES, Map, Record, Tuple, Type
from batchwasm.functions.values import BadValue, checker, decoder, encoder, error_of
from tests.functions.kinds import PLACE, POINT, encode, in_order, kind_of, kinds, param, same, sent, values

ROOT = Path(__file__).parent.parent.parent


@given(values)
def test_a_value_is_sent_as_the_abi_says_and_comes_back(pair: tuple[Type, object]) -> None:
    kind, value = pair
    data = sent(kind, value)
    assert encode(kind, value) == data
    assert checker(kind)(data) is None
    assert same(decoder(kind)(data), in_order(kind, value))


@given(st.lists(values, max_size=4))
def test_arguments_are_one_array(pairs: list[tuple[Type, object]]) -> None:
    encoded = encoder([param(kind, f"p{n}") for n, (kind, _) in enumerate(pairs)])([value for _, value in pairs])
    assert encoded == cbor2.dumps([0] * len(pairs))[:1] + b"".join(sent(kind, value) for kind, value in pairs)
    assert len(cbor2.loads(encoded)) == len(pairs)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("f64", -0.0),
        ("f32", math.inf),
        ("f64", 5e-324),
        ("u64", 2**64 - 1),
        ("s64", -(2**63)),
        ("s8", -128),
        ("list<u64>", [2**64 - 1, 0]),
        ("list<s64>", [-(2**63), 2**63 - 1]),
        ("list<f64>", []),
        ("list<string>", []),
        ("list<list<f32>>", [[], [1.0]]),
        ("map<bool>", {}),
        ("list<u8>", b""),
        ("string", "a\0b"),
        ("string", "\ufeff\U0010ffff"),
        ("list<option<u8>>", [None, 0] * 200),
        ("list<string>", ["x" * n for n in (0, 23, 24, 255, 256, 65535, 65536)]),
    ],
)
def test_values_at_the_edges_come_back(kind: str, value: object) -> None:
    data = sent(kind_of(kind), value)
    assert encode(kind, value) == data
    assert checker(kind_of(kind))(data) is None
    assert same(decoder(kind_of(kind))(data), value)


@pytest.mark.parametrize("bits", [0x7FF8000000000001, 0xFFF8000000000000, 0x7FF8DEADBEEF0000])
def test_a_nan_keeps_its_bits(bits: int) -> None:
    (value,) = struct.unpack("<d", struct.pack("<Q", bits))
    assert encode("f64", value) == b"\xfb" + struct.pack(">Q", bits)
    assert struct.pack("<d", decoder(kind_of("f64"))(encode("f64", value))) == struct.pack("<Q", bits)  # type: ignore[arg-type]
    assert encode("list<f64>", [value])[-8:] == struct.pack("<Q", bits)


def test_a_function_that_gives_nothing_gives_null() -> None:
    assert decoder(None)(b"\xf6") is None
    assert checker(None)(b"\xf6") is None
    for data in (b"", b"\xf7", b"\x00", b"\xf6\xf6"):
        assert checker(None)(data) is not None
        with pytest.raises(BadValue):
            decoder(None)(data)


def agree(kind: Type, data: bytes) -> None:
    """The checker and the decoder take the same; what they take is the one form of its value."""
    problem = checker(kind)(data)
    if problem is not None:
        with pytest.raises(BadValue) as error:
            decoder(kind)(data)
        assert str(error.value) == problem
        return
    value = decoder(kind)(data)
    if "nan" not in repr(value):  # an f32's NaN may be made a quiet one
        assert encode(kind, value) == data


@given(kinds, st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_the_one_form_of_a_value(kind: Type, data: bytes) -> None:
    agree(kind, data)


@given(values, st.randoms(use_true_random=False), st.integers(1, 4))
def test_a_tampered_value_is_refused_or_the_one_form_of_another(
    pair: tuple[Type, object], random: random.Random, times: int
) -> None:
    kind, value = pair
    data = bytearray(sent(kind, value))
    for _ in range(times):
        at = random.randrange(len(data) + 1)
        match random.randrange(4):
            case 0:
                del data[at : at + random.choice([1, 1, 8])]
            case 1:
                data.insert(at, random.randrange(256))
            case 2:
                data[at : at + 1] = bytes([random.choice([0x18, 0x1B, 0x5F, 0x7F, 0x9B, 0x9F, 0xBF, 0xD8, 0xF6, 0xFF])])
            case _:
                data[at : at + 1] = bytes([random.randrange(256)])
    agree(kind, bytes(data))


@given(values, st.data())
def test_a_value_that_is_cut_or_has_more_behind_it_is_refused(pair: tuple[Type, object], data: st.DataObject) -> None:
    kind, value = pair
    whole = sent(kind, value)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for wrong in (cut, whole + b"\0", whole + whole):
        assert checker(kind)(wrong) is not None
        agree(kind, wrong)


HUGE = b"\x7f" + b"\xff" * 7
ALL = [*NAMES.values(), *map(kind_of, ("list<u8>", "list<f64>", "list<string>", "list<list<string>>", "map<f64>"))]
ALL += [kind_of("list<list<u8>>"), kind_of("option<string>"), POINT, PLACE, Tuple((POINT, Map(POINT)))]


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x9b" + HUGE,  # an array, a map, a byte string, a text of 2**63 - 1
        b"\xbb" + HUGE,
        b"\x5b" + HUGE,
        b"\x7b" + HUGE,
        b"\xd8\x56\x5b" + HUGE,
        b"\x81" * 1_000_000,
        b"\x9f" * 1_000_000,
        b"\xd8\x56" * 1_000_000,
        b"\xbf\x61a" * 1_000_000,
        b"\x9f\xff",  # of indefinite length
        b"\xbf\xff",
        b"\x5f\x41a\xff",
        b"\x7f\x61a\xff",
        b"\xd8\x56\x5f\x48" + bytes(8) + b"\xff",
        b"\xc2\x5a\x00\x10\x00\x00" + b"\xff" * 2**20,  # a bignum
        b"\xc1\x1a\x51\x4b\x67\xb0",  # a date, a shared value and its use, a decimal, a regular expression
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xc4\x82\x3b" + b"\xff" * 8 + b"\x01",
        b"\xd8\x23\x68((a+)+)$",
        b"\xd9\xd9\xf7\x00",  # "this is CBOR"
        b"\xfc",
        b"\xf8\x20",
        b"\xff",
        b"\x1c",
    ],
    ids=lambda bomb: bomb[:6].hex(),
)
def test_no_type_takes_a_bomb_or_needs_memory_for_it(bomb: bytes) -> None:
    tracemalloc.start()
    for kind in ALL:
        with pytest.raises(BadValue):
            decoder(kind)(bomb)
        assert checker(kind)(bomb) is not None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000 + 2 * len(bomb)


@pytest.mark.parametrize(
    ("kind", "answer", "problem"),
    [
        ("f64", b"\x61a", "byte 0: expected f64, found a text string"),
        ("f64", b"\xfa\0\0\0\0", "byte 0: expected f64, found f32"),
        ("f64", b"\x01", "byte 0: expected f64, found an integer"),
        ("f32", b"\xf9\0\0", "byte 0: expected f32, found a 16-bit float"),
        ("u8", b"\x19\x01\x2c", "byte 0: 300 does not fit u8 (0 to 255)"),
        ("u8", b"\x20", "byte 0: -1 does not fit u8 (0 to 255)"),
        ("s8", b"\x38\x80", "byte 0: -129 does not fit s8 (-128 to 127)"),
        ("u8", b"\x18\x05", "byte 0: 5 is written in more bytes than it needs"),
        ("bool", b"\xf6", "byte 0: expected bool, found null"),
        ("string", b"\x62\xc3\x28", "byte 1: the text is not UTF-8"),
        ("string", b"\x63\xed\xa0\x80", "byte 1: the text is not UTF-8"),
        ("string", b"\x62a", "it is cut short after 2 bytes"),
        ("list<f64>", b"\x80", "byte 0: expected list<f64> (a typed array, tag 86), found an array"),
        ("list<f64>", b"\xd8\x55\x40", "byte 0: expected list<f64> (a typed array, tag 86), found a tag"),
        (
            "list<f64>",
            b"\xd8\x56\x49" + bytes(9),
            "byte 0: expected list<f64> (a typed array, tag 86), found 9 bytes, which are no whole numbers",
        ),
        ("list<u8>", b"\xd8\x40\x40", "byte 0: expected list<u8>, found a tag"),
        ("list<string>", b"\x82\x61a\x01", "byte 3: expected string, found an integer"),
        ("list<string>", b"\x81\xd9\x62\x77\x82\x60\x60", "byte 1: expected string, found an error"),
        ("list<string>", b"\x9f\xff", "byte 0: expected list<string> of a definite length"),
        ("tuple<u8, u8>", b"\x81\x01", "byte 0: expected tuple<u8, u8> (an array of 2), found an array"),
        (
            "map<u8>",
            b"\xa2\x61b\x01\x61a\x01",
            "byte 4: a map's key is there twice, or its keys are not sorted by their bytes",
        ),
        (
            "map<u8>",
            b"\xa2\x61a\x01\x61a\x01",
            "byte 4: a map's key is there twice, or its keys are not sorted by their bytes",
        ),
        (POINT, b"\xa1\x61x", "byte 0: expected geo::Point (a map of 2), found a map"),
        (POINT, sent(Record("", POINT.fields[::-1]), {"x": 1.0, "y": 2.0}), None),
        (POINT, b"\xa2\x61z", "byte 1: expected the field x of geo::Point, found b'z'"),
        ("bool", b"\xf4\xf4\xf4", "byte 1: the value ends here, and 2 more came"),
        ("bool", b"", "it is cut short after 0 bytes"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(kind: str | Type, answer: bytes, problem: str | None) -> None:
    if problem is None:
        problem = "byte 1: expected the field x of geo::Point, found b'y'"
    assert checker(kind_of(kind))(answer) == problem
    with pytest.raises(BadValue) as error:
        decoder(kind_of(kind))(answer)
    assert str(error.value) == problem


ERROR = 25207  # its tag


@pytest.mark.parametrize("kind", ["raised", "argument"])
@given(st.text(st.characters(exclude_categories=("Cs",))))
@example("")
def test_an_error_has_a_kind_and_a_text(kind: str, text: str) -> None:
    assert error_of(cbor2.dumps(cbor2.CBORTag(ERROR, [kind, text]))) == (kind, text)


@given(values)
def test_no_value_is_an_error_and_no_error_a_value(pair: tuple[Type, object]) -> None:
    kind, value = pair
    assert error_of(sent(kind, value)) is None
    assert checker(kind)(cbor2.dumps(cbor2.CBORTag(ERROR, ["raised", "no"]))) is not None


@pytest.mark.parametrize(
    "answer",
    [
        cbor2.dumps(cbor2.CBORTag(ERROR, ["other", "x"])),
        cbor2.dumps(cbor2.CBORTag(ERROR, ["raised", 1])),
        cbor2.dumps(cbor2.CBORTag(ERROR, [b"raised", "x"])),
        cbor2.dumps(cbor2.CBORTag(ERROR, ["raised", "x"])) + b"\0",
        cbor2.dumps(cbor2.CBORTag(ERROR, ["raised", "xyz"]))[:-1],
        b"\xd9\x62\x77\x82",
        b"\xd9\x62\x77\x82\x66raised\x61\xff",
        b"\xd9\x62\x77\x82\x66raised\x7b" + HUGE,
    ],
)
def test_an_error_that_is_none_of_the_abis_is_refused(answer: bytes) -> None:
    with pytest.raises(BadValue):
        error_of(answer)


@given(st.binary(max_size=40))
def test_bytes_that_begin_like_an_error_never_surprise(rest: bytes) -> None:
    try:
        found = error_of(b"\xd9\x62\x77\x82" + rest)
    except BadValue:
        return
    assert found is not None
    assert found[0] in ("raised", "argument")


@pytest.mark.parametrize("kind", ["s8", "u16", "s16", "u32", "s32", "u64", "s64", "f32", "f64"])
def test_lists_of_numbers_become_arrays_that_one_can_write_to(kind: str) -> None:
    array = np.arange(100, dtype={"s": "int", "u": "uint", "f": "float"}[kind[0]] + kind[1:])
    found = decoder(kind_of(f"list<{kind}>"), numpy=True)(encode(f"list<{kind}>", array))
    assert isinstance(found, np.ndarray)
    assert found.dtype == array.dtype
    assert found.tolist() == array.tolist() == decoder(kind_of(f"list<{kind}>"))(encode(f"list<{kind}>", array))
    found[0] = 1


def test_arrays_inside_of_other_values_become_arrays_too() -> None:
    kind = kind_of("map<list<list<f32>>>")
    found = decoder(kind, numpy=True)(encode(kind, {"a": np.ones((2, 3))}))
    assert [row.tolist() for row in found["a"]] == [[1.0] * 3] * 2  # type: ignore[index]
    assert all(isinstance(row, np.ndarray) for row in found["a"])  # type: ignore[index]


def test_100_mb_of_floats_come_back_exactly_and_are_copied_once_each_way() -> None:
    array = np.random.default_rng(1).integers(0, 2**64, 12_500_000, dtype=np.uint64).view(np.float64)
    kind = kind_of("list<f64>")
    encode_, decode, check = encoder([param(kind)]), decoder(kind, numpy=True), checker(kind)
    tracemalloc.start()
    data = encode_([array])
    assert tracemalloc.get_traced_memory()[1] < 1.01 * array.nbytes
    answer = data[1:]
    del data
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    assert check(answer) is None
    assert tracemalloc.get_traced_memory()[1] - before < 10_000
    found = decode(answer)
    assert tracemalloc.get_traced_memory()[1] - before < 1.01 * array.nbytes
    tracemalloc.stop()
    assert np.array_equal(found.view(np.uint64), array.view(np.uint64))  # type: ignore[attr-defined]


def test_numpy_is_not_imported_where_nobody_asks_for_it() -> None:
    program = """
import sys
from batchwasm.functions.types import parse
from batchwasm.functions import Param, json_values
from batchwasm.functions.values import checker, decoder, encoder
from array import array
kinds = [parse(text, {}) for text in ("list<f64>", "bool", "f32", "s8", "list<list<u16>>", "list<u8>")]
params = [Param(name="x", type=kind) for kind in kinds]
data = encoder(params)([array("d", [1, 2]), True, 1, 2, [[1], array("B", [2])], b""])
for kind, param, value in zip(kinds, params, [[1, 2.5], True, 1.0, 2, [[1]], b""]):
    answer = encoder([param])([value])[1:]
    assert checker(kind)(answer) is None
    assert decoder(kind)(answer) == value
    json_values.dumps(kind, value)
assert "numpy" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
