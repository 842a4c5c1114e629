"""What a function's module says of itself is read with care: errors in any form of CBOR, and what looks like one."""

from __future__ import annotations

import io
import os
from pathlib import Path

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.runner.abi import BadAnswer, Said, error_of, fill, is_value, size_of
from tests.runner.reactors import error


def head(major: int, number: int, width: int) -> bytes:
    """The same head in a longer form than need be."""
    return bytes([major << 5 | 24 + width]) + number.to_bytes(1 << width, "big")


@given(st.sampled_from(["raised", "argument"]), st.text(max_size=50))
def test_an_error_is_read_as_it_was_said(kind: str, text: str) -> None:
    assert error_of(error(kind, text)) == Said(kind, text)
    assert error_of(memoryview(error(kind, text))) == Said(kind, text)


@given(st.integers(1, 3), st.integers(0, 3), st.integers(0, 3))
def test_heads_may_be_longer_than_need_be(tag: int, array: int, text: int) -> None:
    answer = head(6, 25207, tag) + head(4, 2, array) + head(3, 6, text) + b"raised" + head(3, 2, text) + b"no"
    assert error_of(answer) == Said("raised", "no")


@given(st.integers(-(2**63), 2**63) | st.floats() | st.text() | st.binary() | st.lists(st.integers()) | st.none())
def test_a_value_is_no_error(value: object) -> None:
    answer = cbor2.dumps(value)
    assert is_value(answer)
    assert error_of(answer) is None


@given(st.binary(min_size=1, max_size=40) | st.binary(max_size=40).map(lambda end: b"\xd9\x62\x77" + end))
def test_any_answer_is_a_value_an_error_or_a_bad_one(answer: bytes) -> None:
    try:
        said = error_of(answer)
    except BadAnswer:
        said = Said("raised", "")
    assert said is None or not is_value(answer)


@pytest.mark.parametrize(
    "rest",
    [
        b"",
        b"\x82",
        b"\x80",
        b"\x81\x66raised",
        b"\x83\x66raised\x60\x60",
        b"\x82\x66raised",
        b"\x82\x66raised\x61",
        b"\x82\x66raised\x40",
        b"\x82\x66raised\x01",
        b"\x82\x66raised\x7f\x60\xff",
        b"\x82\x66raised\x7b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x82\x66raised\x60\x00",
        b"\x82\x66wailed\x60",
        b"\x9f\x66raised\x60\xff",
        b"\x62no",
    ],
)
def test_an_error_that_is_broken_is_named_as_such(rest: bytes) -> None:
    with pytest.raises(BadAnswer):
        error_of(b"\xd9\x62\x77" + rest)


def test_of_a_long_text_no_more_is_read_than_is_shown() -> None:
    said = error_of(error("raised", "x" * 10_000_000))
    assert said is not None
    assert 2000 < len(said.text) < 100_000


def test_a_text_that_is_no_unicode_does_no_harm() -> None:
    assert error_of(b"\xd9\x62\x77\x82\x66raised\x62\xff\xfe") == Said("raised", "\ufffd\ufffd")


def test_a_file_that_got_shorter_is_trouble_and_not_zeros(tmp_path: Path) -> None:
    path = tmp_path / "arguments"
    path.write_bytes(b"12345")
    with io.FileIO(path) as file:
        assert size_of(file) == 5
        room = memoryview(bytearray(5))
        fill(room, file)
        assert bytes(room) == b"12345"
    with io.FileIO(path) as file:
        os.truncate(path, 3)
        with pytest.raises(OSError, match="3 of 5 bytes"):
            fill(memoryview(bytearray(5)), file)
