"""The few forms of CBOR (RFC 8949, RFC 8746) that values travel in: heads and tags. docs/abi.md says which and when."""

from __future__ import annotations

import struct

from batchwasm.functions.types import Float, Int

UINT, NINT, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE = (major << 5 for major in range(8))
"""Major types, as they stand in the first byte of an item."""

FALSE, TRUE, NULL = b"\xf4", b"\xf5", b"\xf6"
F32, F64 = 0xFA, 0xFB
"""First bytes of floats."""

ERROR = b"\xd9\x62\x77\x82"
"""The head of an error: tag 25207 ("bw") on an array of two."""

ARRAY_TAGS: dict[str, int] = {
    "u8": 64,
    "u16": 69,
    "u32": 70,
    "u64": 71,
    "s8": 72,
    "s16": 77,
    "s32": 78,
    "s64": 79,
    "f32": 85,
    "f64": 86,
}
"""Of typed arrays, little-endian, by their items' type."""

_CODES = {"s8": "b", "u8": "B", "s16": "h", "u16": "H", "s32": "i", "u32": "I", "s64": "q", "u64": "Q"}


def dtype_of(kind: Int | Float) -> str:
    """NumPy's name for a number as it travels, in little-endian order."""
    return f"<{'i' if str(kind)[0] == 's' else str(kind)[0]}{kind.bits // 8}"


def code_of(kind: Int | Float) -> str:
    """The letter that `struct`, `array` and `memoryview` have for a number."""
    return _CODES[str(kind)] if isinstance(kind, Int) else "fd"[kind.bits == 64]


_LONGER = struct.Struct(">BH").pack, struct.Struct(">BI").pack, struct.Struct(">BQ").pack


def head(major: int, number: int) -> bytes:
    """The start of an item: its major type and a number below 2**64, in as few bytes as hold it."""
    if number < 24:
        return bytes((major | number,))
    if number < 0x100:
        return bytes((major | 24, number))
    if number < 0x10000:
        return _LONGER[0](major | 25, number)
    if number < 0x100000000:
        return _LONGER[1](major | 26, number)
    return _LONGER[2](major | 27, number)


def text(value: str) -> bytes:
    """A text string. Raises UnicodeEncodeError."""
    content = value.encode()
    return head(TEXT, len(content)) + content
