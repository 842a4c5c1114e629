"""The parts of an answer, each read in its only form: heads, texts, single values and typed arrays.

Every function gets all of the answer and an offset. What ends before it should raises BadValue, IndexError or
struct.error: the end of the answer is looked for in one place, not before every byte.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from batchwasm.functions import cbor
from batchwasm.functions.problems import BadValue
from batchwasm.functions.types import Float, Int, List

Reader = Callable[[bytes, int], tuple[object, int]]
"""The value at an offset, and the offset behind it."""
Skipper = Callable[[bytes, int], int]
"""The offset behind the value at an offset. Raises what the reader raises."""


class Form(NamedTuple):
    """How values of a type are read, and how they are looked at without being made."""

    read: Reader
    skip: Skipper


def cut_short(data: bytes) -> BadValue:
    return BadValue(f"it is cut short after {len(data)} byte{'' if len(data) == 1 else 's'}")


def trailing(data: bytes, end: int) -> BadValue:
    return BadValue(f"byte {end}: the value ends here, and {len(data) - end} more came")


_FOUND = ("an integer", "a negative integer", "a byte string", "a text string", "an array", "a map", "a tag")
_FOUND_SIMPLE = {0xF4: "false", 0xF5: "true", 0xF6: "null", 0xF9: "a 16-bit float", 0xFA: "f32", 0xFB: "f64"}


def unexpected(data: bytes, at: int, expected: object) -> BadValue:
    first = data[at]
    if data.startswith(cbor.ERROR, at):
        found = "an error"
    elif first < cbor.SIMPLE:
        found = _FOUND[first >> 5]
    else:
        found = _FOUND_SIMPLE.get(first, f"the byte 0x{first:02x}")
    return BadValue(f"byte {at}: expected {expected}, found {found}")


_WIDER = {
    24: (struct.Struct(">B").unpack_from, 2, 24),
    25: (struct.Struct(">H").unpack_from, 3, 0x100),
    26: (struct.Struct(">I").unpack_from, 5, 0x10000),
    27: (struct.Struct(">Q").unpack_from, 9, 0x100000000),
}
"""By the low bits of a first byte: how its number is read, how long the head is, what is the least that needs it."""


def number(data: bytes, at: int, major: int, expected: object) -> tuple[int, int]:
    """The number in a head of a major type, and the offset behind it."""
    low = data[at] - major
    if 0 <= low < 24:
        return low, at + 1
    if not 0 <= low < 32:
        raise unexpected(data, at, expected)
    wider = _WIDER.get(low)
    if wider is None:
        raise BadValue(f"byte {at}: expected {expected} of a definite length")
    unpack, size, least = wider
    found: int = unpack(data, at + 1)[0]
    if found < least:
        raise BadValue(f"byte {at}: {found} is written in more bytes than it needs")
    return found, at + size


def span(data: bytes, at: int, major: int, expected: object) -> tuple[int, int]:
    """Where the content of a byte or text string starts and ends."""
    size, start = number(data, at, major, expected)
    if size > len(data) - start:
        raise cut_short(data)
    return start, start + size


def count(data: bytes, at: int, major: int, expected: object) -> tuple[int, int]:
    """How many items an array or map has, and the offset of the first; each is at least a byte long."""
    found, at = number(data, at, major, expected)
    if found > len(data) - at:
        raise cut_short(data)
    return found, at


def text(data: bytes, start: int, end: int) -> str:
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise BadValue(f"byte {start + error.start}: the text is not UTF-8") from None


def _of_reader(read: Reader) -> Form:
    """For what costs no more to make than to look at."""
    return Form(read, lambda data, at: read(data, at)[1])


def _read_bool(data: bytes, at: int) -> tuple[bool, int]:
    first = data[at]
    if first == 0xF5:
        return True, at + 1
    if first == 0xF4:
        return False, at + 1
    raise unexpected(data, at, "bool")


def _read_string(data: bytes, at: int) -> tuple[str, int]:
    start, end = span(data, at, cbor.TEXT, "string")
    return text(data, start, end), end


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    start, end = span(data, at, cbor.BYTES, "list<u8>")
    return data[start:end], end


BOOL = _of_reader(_read_bool)
STRING = _of_reader(_read_string)
"""Whether a text is UTF-8 is found by decoding it."""
BYTES = Form(_read_bytes, lambda data, at: span(data, at, cbor.BYTES, "list<u8>")[1])


def integer(kind: Int) -> Form:
    least, most = kind.least, kind.most

    def read(data: bytes, at: int) -> tuple[int, int]:
        first = data[at]
        if first < 24:
            return first, at + 1
        if first >> 5 == 1:
            found, end = number(data, at, cbor.NINT, kind)
            found = ~found
        else:
            found, end = number(data, at, cbor.UINT, kind)
        if not least <= found <= most:
            raise BadValue(f"byte {at}: {found} does not fit {kind} ({least} to {most})")
        return found, end

    return _of_reader(read)


def floating(kind: Float) -> Form:
    first, size = (cbor.F64, 9) if kind.bits == 64 else (cbor.F32, 5)
    unpack = struct.Struct(">d" if kind.bits == 64 else ">f").unpack_from

    def read(data: bytes, at: int) -> tuple[float, int]:
        if data[at] != first:
            raise unexpected(data, at, kind)
        return unpack(data, at + 1)[0], at + size

    def skip(data: bytes, at: int) -> int:
        if data[at] != first:
            raise unexpected(data, at, kind)
        if at + size > len(data):
            raise cut_short(data)
        return at + size

    return Form(read, skip)


def numbers(item: Int | Float, *, numpy: bool) -> Form:
    """A typed array. Raises ImportError where NumPy is wanted and missing."""
    tag, size = cbor.ARRAY_TAGS[str(item)], item.bits // 8
    mark = cbor.head(cbor.TAG, tag)
    expected = f"{List(item)} (a typed array, tag {tag})"
    make = _ndarray_of(item) if numpy else _list_of(item)

    def content(data: bytes, at: int) -> tuple[int, int]:
        if not data.startswith(mark, at):
            raise unexpected(data, at, expected)
        start, end = span(data, at + len(mark), cbor.BYTES, expected)
        if (end - start) % size:
            raise BadValue(f"byte {at}: expected {expected}, found {end - start} bytes, which are no whole numbers")
        return start, end

    def read(data: bytes, at: int) -> tuple[object, int]:
        start, end = content(data, at)
        return make(data, start, end), end

    return Form(read, lambda data, at: content(data, at)[1])


def _list_of(item: Int | Float) -> Callable[[bytes, int, int], object]:
    code, size = cbor.code_of(item), item.bits // 8
    return lambda data, start, end: list(struct.unpack_from(f"<{(end - start) // size}{code}", data, start))


def _ndarray_of(item: Int | Float) -> Callable[[bytes, int, int], object]:
    import numpy as np

    sent = np.dtype(cbor.dtype_of(item))
    native = sent.newbyteorder("=")

    def make(data: bytes, start: int, end: int) -> object:
        found = np.frombuffer(data, sent, (end - start) // sent.itemsize, start)
        return found.astype(native)  # a copy: one can write to it, and it does not keep the whole answer alive

    return make
