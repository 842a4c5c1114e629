"""Lists of numbers, and byte strings, as arguments: a buffer is taken as it is, whatever it has to become is checked.

Where a buffer of the right numbers is given (ndarray, array.array, memoryview) nothing here looks at single elements;
lists are looked at by C code. Element by element goes only what is unusual, and what is wrong, to find where.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from batchwasm.functions import cbor
from batchwasm.functions.problems import BadArgument
from batchwasm.functions.scalars import (
    Buffer,
    Put,
    Writer,
    expected,
    float_of,
    int_of,
    numpy_here,
    out_of_range,
)
from batchwasm.functions.types import U8, Bytes, Float, Int, List, Type

_FORMATS = {**dict.fromkeys("bhilqn", "s"), **dict.fromkeys("BHILQN", "u"), **dict.fromkeys("fd", "f")}
"""What kind of number a native format letter means; how large it is, the buffer says itself."""
_NATIVE = ("@", "=", "<" if sys.byteorder == "little" else ">")
_INTS, _FLOATS, _NUMBERS = frozenset({int}), frozenset({float}), frozenset({int, float})
_MANTISSA_BITS = {32: 24, 64: 53}


def numbers_writer(kind: List) -> Writer:
    """For a list of numbers: a typed array."""
    assert isinstance(kind.item, Int | Float)
    tag = cbor.head(cbor.TAG, cbor.ARRAY_TAGS[str(kind.item)])
    content = _content(kind, kind.item)

    def write(value: object, put: Put) -> None:
        found = content(value)
        put(tag + cbor.head(cbor.BYTES, _size(found)))
        put(found)

    return write


def bytes_writer(kind: Bytes) -> Writer:
    content = _content(kind, U8)

    def write(value: object, put: Put) -> None:
        found = value if type(value) is bytes else content(value)
        put(cbor.head(cbor.BYTES, _size(found)))
        put(found)

    return write


def _size(found: Buffer) -> int:
    size: int = len(found) if type(found) is bytes else found.nbytes
    return size


def _content(kind: List | Bytes, item: Int | Float) -> Callable[[object], Buffer]:
    """Makes of a value the bytes of its numbers, little-endian: bytes, a contiguous memoryview or an ndarray."""
    pack = _packer(item)

    def content(value: object) -> Buffer:
        if type(value) is list or type(value) is tuple or type(value) is range:
            return pack(value)
        if isinstance(value, bytes | bytearray) and item == U8:
            return bytes(value)
        found = as_ndarray(value, kind)
        if found is not None:
            if found.ndim != 1:
                raise BadArgument(f"expected {kind}, found an array of shape {found.shape}; it needs one dimension")
            return pack(found.tolist()) if found.dtype.kind == "O" else _converted(found, kind, item)
        if isinstance(value, array | memoryview):
            view = memoryview(value)
            same = _of_buffer(view, kind, item)
            return pack(_elements(view, kind)) if same is None else same
        if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
            return pack(list(value))
        raise expected(kind, value, _hint(value))

    return content


def _hint(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return "; say what its bytes mean: memoryview(...).cast('d'), or numpy.frombuffer"
    return "; write list(...)" if hasattr(value, "__iter__") and not isinstance(value, str | dict) else ""


def as_ndarray(value: object, kind: Type) -> Any:
    """The value as an ndarray, where it is one or says how it becomes one (a column of a data frame); else None."""
    np = numpy_here()
    if np is None or not hasattr(value, "__array__"):
        return None
    if isinstance(value, np.generic) or (found := np.asarray(value)).ndim == 0:
        raise expected(kind, value)
    return found


def _packer(item: Int | Float) -> Callable[[Sequence[object]], bytes]:
    """Makes bytes of a list of numbers, at C's speed where they are plain ints or plain floats and all fit."""
    code = cbor.code_of(item)
    plain = _INTS if isinstance(item, Int) else _FLOATS

    def pack(values: Sequence[object]) -> bytes:
        try:
            if plain.issuperset(map(type, values)):
                return struct.pack(f"<{len(values)}{code}", *values)
            if code == "d" and _NUMBERS.issuperset(map(type, values)):
                floats = list(map(float, values))  # type: ignore[arg-type]
                if floats == list(values):  # Python compares an int with a float exactly
                    return struct.pack(f"<{len(values)}d", *floats)
        except (struct.error, OverflowError):
            pass  # one does not fit; below it is found
        return struct.pack(f"<{len(values)}{code}", *_one_by_one(values, item))

    return pack


def _one_by_one(values: Sequence[object], item: Int | Float) -> list[object]:
    found: list[object] = []
    at = 0
    try:
        for at in range(len(values)):
            if isinstance(item, Int):
                found.append(int_of(values[at], item))
                continue
            number = float_of(values[at], item)
            if item.bits == 32:
                struct.pack("<f", number)
            found.append(number)
    except OverflowError:
        raise out_of_range(values[at], item).inside(f"[{at}]") from None
    except BadArgument as error:
        raise error.inside(f"[{at}]") from None
    return found


def _of_buffer(view: memoryview, kind: Type, item: Int | Float) -> Buffer | None:
    """The buffer's own bytes, where its elements are exactly the list's; else None."""
    if view.ndim != 1:
        raise BadArgument(f"expected {kind}, found a buffer of {view.ndim} dimensions")
    letter = view.format[1:] if view.format[:1] in _NATIVE else view.format
    same = _FORMATS.get(letter) == str(item)[0] and view.itemsize * 8 == item.bits
    if not (same or (letter == "c" and item == U8)):
        return None
    if item.bits > 8 and sys.byteorder == "big":
        return None
    return view if view.c_contiguous and view.nbytes else view.tobytes()


def _elements(view: memoryview, kind: Type) -> list[Any]:
    try:
        return view.tolist()
    except NotImplementedError:
        raise BadArgument(
            f"expected {kind}, found a buffer of the format {view.format!r}; give it as an ndarray"
        ) from None


def _converted(value: Any, kind: Type, item: Int | Float) -> Any:
    """The ndarray with the list's own little-endian numbers, contiguous; raises where that changes what it says."""
    np = numpy_here()
    target = np.dtype(cbor.dtype_of(item))
    if value.dtype == target:
        return np.ascontiguousarray(value)
    if not value.size:  # NumPy makes floats of no numbers at all
        return np.empty(value.shape, target)
    if value.dtype.kind not in ("iu" if isinstance(item, Int) else "iuf"):
        raise BadArgument(f"expected {kind}, found an array of {value.dtype}; convert it with .astype('{target.name}')")
    with np.errstate(all="ignore"):
        converted = np.ascontiguousarray(value, dtype=target)
        wrong = _lost(value, converted, item)
    if wrong is not None and wrong.any():
        at = tuple(int(part) for part in np.unravel_index(int(wrong.argmax()), value.shape))
        _refuse(value[at], item, at)
    return converted


def _lost(value: Any, converted: Any, item: Int | Float) -> Any:
    """Where a number became another one; None where that can't be. Floats may be rounded, but not to infinity."""
    np = numpy_here()
    if isinstance(item, Int):
        return None if np.can_cast(value.dtype, converted.dtype) else (value < item.least) | (value > item.most)
    if value.dtype.kind == "f":
        smaller = value.dtype.itemsize <= converted.dtype.itemsize
        return None if smaller else np.isinf(converted) & ~np.isinf(value)
    bits = value.dtype.itemsize * 8
    if bits <= _MANTISSA_BITS[item.bits]:
        return None
    beyond = converted >= 2.0 ** (bits - (value.dtype.kind == "i"))  # rounded to what the integers can't hold
    return beyond | (np.where(beyond, 0, converted).astype(value.dtype) != value)


def _refuse(value: Any, item: Int | Float, at: tuple[int, ...]) -> None:
    """Says it as it is said of the same number in a list."""
    try:
        _one_by_one([value], item)
    except BadArgument as error:
        error.path = "".join(f"[{part}]" for part in at)
        raise


def nested_writer(kind: List) -> Callable[[Any, Put], bool] | None:
    """For a list of lists of numbers (or of byte strings): writes an ndarray of as many dimensions at once.

    All rows are equally long, so all heads of one level are equal, and NumPy sets them without a loop over rows. Gives
    False, with nothing written, for an array of other dimensions or of objects.
    """
    leaf: Type = kind
    depth = 1
    while isinstance(leaf, List) and not leaf.is_numeric:
        leaf = leaf.item
        depth += 1
    if not isinstance(leaf, List | Bytes):
        return None
    number = U8 if isinstance(leaf, Bytes) else leaf.item
    assert isinstance(number, Int | Float)
    tag = b"" if isinstance(leaf, Bytes) else cbor.head(cbor.TAG, cbor.ARRAY_TAGS[str(number)])

    def write(value: Any, put: Put) -> bool:
        if value.ndim != depth or value.dtype.kind == "O":
            return False
        np = numpy_here()
        size = value.shape[-1] * number.bits // 8
        blocks = _converted(value, kind, number).reshape(math.prod(value.shape[:-1]), value.shape[-1]).view(np.uint8)
        blocks = _with_head(blocks, tag + cbor.head(cbor.BYTES, size))
        for level in range(depth - 2, -1, -1):
            count = value.shape[level]
            blocks = blocks.reshape(math.prod(value.shape[:level]), count * blocks.shape[1])
            blocks = _with_head(blocks, cbor.head(cbor.ARRAY, count))
        put(blocks)
        return True

    return write


def _with_head(rows: Any, head: bytes) -> Any:
    np = numpy_here()
    out = np.empty((rows.shape[0], len(head) + rows.shape[1]), np.uint8)
    out[:, : len(head)] = np.frombuffer(head, np.uint8)
    out[:, len(head) :] = rows
    return out
