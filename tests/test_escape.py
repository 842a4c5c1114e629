"""What guests, hosts and files say never commands a terminal."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.escape import for_stream, visible, visible_text
from tests.cli.terminal import on_a_terminal


class Screen(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_control_characters_are_shown_as_escapes() -> None:
    assert visible("a\x1b[31mb\x07\r\n\t\x7f\x9b") == r"a\x1b[31mb\x07\x0d\x0a\x09\x7f\x9b"
    assert visible("abc\u202edef\u2028\ud800") == r"abc\u202edef\u2028\ud800"


def test_ordinary_text_stays_as_it_is() -> None:
    for text in ("plain", "ünï 東京 🎉", "a\\x1b", ""):
        assert visible(text) == text


@given(st.text(st.characters(max_codepoint=0x2100)))
def test_whatever_is_given_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    assert all(c.isprintable() or c in " \xa0\xad\u1680\u180e" or c >= "\u0100" for c in visible(text))
    assert "\x1b" not in visible_text(text)
    assert "\r" not in visible_text(text)


def test_several_lines_keep_their_ends_and_tabs() -> None:
    assert visible_text("a\tb\r\nc\nd\re") == "a\tb\nc\nd\\x0de"


def test_a_pipe_gets_text_as_it_is_as_far_as_it_can_be_encoded() -> None:
    assert for_stream("a\x1b[m", io.StringIO()) == "a\x1b[m"
    assert for_stream("a\x1b[m", Screen()) == "a\\x1b[m"
    ascii_stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert for_stream("ü\ud800", ascii_stream) == r"\xfc\ud800"


COPY = "import io, sys; from batchwasm.escape import copy; copy(open(sys.argv[1], 'rb'), sys.stdout)"


def test_bytes_are_copied_exactly_into_a_pipe(tmp_path: Path) -> None:
    data = os.urandom(300_000) + b"\r\n\x1b[2J\xff"
    (tmp_path / "data").write_bytes(data)
    done = subprocess.run([sys.executable, "-c", COPY, tmp_path / "data"], capture_output=True, check=True)
    assert done.stdout == data


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"a\r\nb\n", "a\nb\n"),
        (b"no end", "no end\n"),
        (b"", ""),
        (b"\x1b]0;title\x07", "\\x1b]0;title\\x07\n"),
        (b"\xff\xc3", "\ufffd\ufffd\n"),
        # A test's name is in the environment of all that it starts.
        pytest.param(b"x" * 65535 + "ü".encode(), "x" * 65535 + "ü\n", id="a letter at the end of a block"),
    ],
    ids=["lines", "no end", "nothing", "title", "no text", "two chunks"],
)
def test_bytes_are_shown_harmlessly_on_a_terminal(tmp_path: Path, data: bytes, shown: str) -> None:
    (tmp_path / "data").write_bytes(data)
    assert on_a_terminal("-c", COPY, "data", cwd=tmp_path) == (0, shown)
