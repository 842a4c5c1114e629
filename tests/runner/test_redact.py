"""Values of secrets in bytes: all that is there of them is replaced, wherever they begin and end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchwasm.runner.redact import Redaction

SHORT = st.text(alphabet="ab", max_size=7)


def test_each_value_becomes_three_stars() -> None:
    redact = Redaction(["sesame", "grüße"])
    assert redact("open sesame, sesame: grüße!".encode()) == b"open ***, ***: ***!"
    assert redact.text("open sesame") == "open ***"


def test_values_of_fewer_than_four_bytes_are_left() -> None:
    redact = Redaction(["abc", ""])
    assert not redact
    assert redact(b"abcdef") == b"abcdef"
    assert Redaction(["aü!"])  # four bytes of three characters


def test_no_part_of_values_that_overlap_is_left() -> None:
    redact = Redaction(["abcdef", "defghi", "cdef"])
    assert redact(b"-abcdefghi-cdef-abcdefabcdef") == b"-***-***-******"


def test_where_it_was_cut_no_part_of_four_bytes_or_more_is_left() -> None:
    redact = Redaction(["0123456789"])
    assert redact(b"456789 x 0123456", cut_before=True, cut_after=True) == b"*** x ***"
    assert redact(b"456789 x 0123456") == b"456789 x 0123456"
    assert redact(b"789 x 012", cut_before=True, cut_after=True) == b"789 x 012"


def test_text_that_is_not_unicode_passes_through() -> None:
    redact = Redaction(["sesame"])
    assert redact(b"\xff\x00sesame\xfe") == b"\xff\x00***\xfe"
    assert redact.text("\ud800sesame") == "\ud800***"


@given(st.lists(SHORT, max_size=3), st.lists(SHORT.map(str.encode), max_size=12))
def test_in_pieces_it_comes_out_as_in_one(values: list[str], pieces: list[bytes]) -> None:
    redact = Redaction(values)
    stream = redact.stream()
    assert b"".join([*map(stream.feed, pieces), stream.end()]) == redact(b"".join(pieces))


@given(st.lists(SHORT, min_size=1, max_size=3), SHORT.map(str.encode))
def test_no_value_is_left(values: list[str], text: bytes) -> None:
    left = Redaction(values)(text)
    assert not any(value.encode() in left for value in values if len(value) >= 4)
