"""What a task prints as rows: harmless, whole, bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from batchwasm.tui.printed import OPEN_CHARS, ROW_CHARS, Piece, Reader, Rows

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def fed(*data: bytes) -> tuple[list[str], list[str]]:
    """Rows of stdout that have ended, and those that have not, without tags."""
    reader, rows, piece = Reader(), [], Piece((), (), 0)
    for chunk in data:
        piece = reader.feed("stdout", chunk)
        rows += piece.rows
    return [row[1:] for row in rows], [row[1:] for row in piece.open]


def test_control_characters_are_shown_and_not_obeyed() -> None:
    rows, _ = fed(b"\x1b[2J\x1b]52;c;aGk=\x07 \x00 \xe2\x80\xae \xc2\x9b31m [red]x[/red]\n")
    assert rows == [r"\x1b[2J\x1b]52;c;aGk=\x07 \x00 \u202e \x9b31m [red]x[/red]"]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_control_character_gets_through_however_bytes_come(chunks: list[bytes]) -> None:
    rows, open_rows = fed(*chunks)
    assert not [row for row in rows + open_rows if CONTROL.search(row)]


def test_a_character_that_comes_in_two_pieces_is_one() -> None:
    assert fed(b"gr\xc3", b"\xbc\xc3\x9fe\n")[0] == ["grüße"]


def test_bytes_that_are_no_text_are_marked() -> None:
    assert fed(b"a\xffb\n")[0] == ["a\ufffdb"]


def test_a_progress_bar_shows_its_last_state() -> None:
    rows, open_rows = fed(b"10 %\r20 %\r", b"30 %", b"\r\ndone\n40 %\r50 %\r")
    assert rows == ["30 %", "done"]
    assert open_rows == ["50 %"]


def test_a_line_that_has_not_ended_is_shown_and_goes_on() -> None:
    assert fed(b"is it") == ([], ["is it"])
    assert fed(b"is it", b" so?\n") == (["is it so?"], [])


def test_a_line_of_a_megabyte_goes_on_in_more_rows_of_which_none_is_lost() -> None:
    rows, _ = fed(b"x" * 1_000_000 + b"\n")
    assert "".join(rows) == "x" * 1_000_000
    assert max(map(len, rows)) <= ROW_CHARS


def test_a_line_that_never_ends_is_not_kept_whole() -> None:
    reader, shown = Reader(), 0
    for _ in range(8):
        piece = reader.feed("stdout", b"x" * OPEN_CHARS)
        shown += sum(len(row) - 1 for row in piece.rows)
    assert shown + sum(len(row) - 1 for row in piece.open) == 8 * OPEN_CHARS
    assert sum(map(len, piece.open)) <= 2 * OPEN_CHARS


def test_streams_do_not_break_each_others_lines() -> None:
    reader = Reader()
    rows = [*reader.feed("stdout", b"out ").rows, *reader.feed("stderr", b"err\n").rows]
    rows += reader.feed("stdout", b"put\n").rows
    assert rows == ["eerr", "oout put"]


def test_a_note_ends_the_lines_before_it() -> None:
    reader = Reader()
    reader.feed("stdout", b"half")
    assert reader.note("attempt 2 on lab\x1b01") == Piece(["ohalf", r"nattempt 2 on lab\x1b01"], [], 22)


def numbered(count: int, tags: str = "o") -> Iterator[str]:
    for n in range(count):
        yield f"{tags[n % len(tags)]}line {n}"


def test_a_million_rows_are_found_by_number_and_by_text() -> None:
    rows = Rows(keep_chars=16 * 2**20)
    rows.extend(list(numbered(1_000_000)))
    assert len(rows) == 1_000_000
    assert (rows[0], rows[512], rows[999_999]) == ("oline 0", "oline 512", "oline 999999")
    assert list(rows.found(re.compile("LINE 77777$", re.IGNORECASE | re.MULTILINE))) == [77_777]
    assert list(rows.found(re.compile("ine 99999"), since=500_000)) == list(range(999_990, 1_000_000))


def test_only_the_last_are_kept_and_numbers_stay() -> None:
    rows = Rows(keep_chars=50_000)
    for n in range(0, 20_000, 100):
        rows.extend([f"oline {m}" for m in range(n, n + 100)])
    assert rows.dropped > 10_000
    assert rows[rows.first] == f"oline {rows.first}"
    assert rows[19_999] == "oline 19999"
    assert list(rows.found(re.compile("line 10$"))) == []


def test_rows_of_one_stream_alone() -> None:
    rows = Rows()
    rows.extend(list(numbered(2000, "ooe")))
    assert list(rows.numbers("e")) == list(range(2, 2000, 3))
    assert len(rows.numbers("oen")) == 2000
