"""docs/abi.md from the host's side: what a function's module must export, and what of its answers holds water.

Nothing that a guest gives is believed: pointers and lengths are looked at before memory is, and an error that it
reports is read as far as needed and no further.
"""

from __future__ import annotations

import io
import os
from typing import NamedTuple, Union

EXPORTS = {
    "bw_alloc": (("i32",), ("i32",)),
    "bw_call": (("i32", "i32"), ("i64",)),
    "_initialize": ((), ()),
    "bw_init": ((), ()),
}
"""Functions: parameters and results. `memory` comes on top."""
FIRST = ("_initialize", "bw_init")
"""The first of these that is there is called before all else."""
MOST_BYTES = 0xFFFFFFFF  # what a guest's pointers can reach
NO_ARGUMENTS = b"\x80"  # the empty array
_ERROR_TAG = 25207
_TAG_OF_A_BYTE = 0xD8  # of typed arrays, say
_ERROR_KINDS = {b"raised": "raised", b"argument": "argument"}
_SAID_BYTES = 16 * 1024  # of an error's text: more than anybody is shown

Arguments = Union[bytes, io.FileIO]
"""Of a call: as they are, or as an open file, at its beginning."""


class BadAnswer(Exception):
    """The answer is an error, but not one that can be read; `str()` says why."""


class Said(NamedTuple):
    """An error that the guest reported."""

    kind: str
    """`raised` or `argument`."""
    text: str


def size_of(arguments: Arguments) -> int:
    """In bytes. Raises OSError."""
    return len(arguments) if isinstance(arguments, bytes) else os.fstat(arguments.fileno()).st_size


def fill(room: memoryview, file: io.FileIO) -> None:
    """Reads a file straight into a guest's memory. Raises OSError, also where the file got shorter."""
    done = 0
    while done < len(room):
        count = file.readinto(room[done:])
        if not count:
            raise OSError(f"the file of a call's arguments ends after {done} of {len(room)} bytes")
        done += count


def bad_room(at: int, size: int, memory_bytes: int) -> str:
    """What is wrong with what bw_alloc(size) gave."""
    if at == 0:
        return f"has no memory for {size} bytes of arguments"
    return f"gave {at} as the place of {size} bytes of arguments, in a memory of {memory_bytes} bytes"


def bad_answer(at: int, size: int, memory_bytes: int) -> str:
    """What is wrong with where bw_call says that its answer is."""
    if size == 0:
        return "gave an empty answer"
    return f"gave an answer of {size} bytes at {at}, in a memory of {memory_bytes} bytes"


# ----------------------------------------------------------------------------------------------------- errors


def is_value(answer: bytes | memoryview | None) -> bool:
    """True for a short answer that is no error at the first look: it has no tag, or one that takes a byte."""
    return isinstance(answer, bytes) and (answer[0] >> 5 != 6 or answer[0] == _TAG_OF_A_BYTE)


def error_of(answer: bytes | memoryview) -> Said | None:
    """What went wrong, where an answer says so. Raises BadAnswer."""
    if answer[0] >> 5 != 6:  # no tag at all
        return None
    number, at = _head(answer, 0, 6)
    if number != _ERROR_TAG:
        return None
    count, at = _head(answer, at, 4)
    if count != 2:
        raise BadAnswer(f"an error is an array of two texts, not of {count}")
    kind, at = _text(answer, at)
    said, at = _text(answer, at)
    if at != len(answer):
        raise BadAnswer(f"{len(answer) - at} bytes come behind the error")
    if kind not in _ERROR_KINDS:
        raise BadAnswer(f"{kind[:40]!r} is no kind of error")
    return Said(_ERROR_KINDS[kind], said.decode("utf-8", "replace"))


def _text(answer: bytes | memoryview, at: int) -> tuple[bytes, int]:
    """The beginning of the text string at `at`, and where it ends."""
    size, at = _head(answer, at, 3)
    if at + size > len(answer):
        raise BadAnswer("its text goes beyond its end")
    return bytes(answer[at : at + min(size, _SAID_BYTES)]), at + size


def _head(answer: bytes | memoryview, at: int, major: int) -> tuple[int, int]:
    """The number in an item's head (RFC 8949, section 3), which must be of that major type, and where the head ends."""
    if at >= len(answer):
        raise BadAnswer("it is cut short")
    first = answer[at]
    if first >> 5 != major:
        raise BadAnswer(f"an item of type {first >> 5} stands where one of type {major} must")
    info = first & 31
    if info < 24:
        return info, at + 1
    if info > 27:
        raise BadAnswer("an item's length is missing")
    end = at + 1 + (1 << (info - 24))
    if end > len(answer):
        raise BadAnswer("it is cut short")
    return int.from_bytes(answer[at + 1 : end], "big"), end
