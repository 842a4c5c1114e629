"""Single numbers, bools and texts as arguments: what is taken for which type, and how it is written.

Nothing is guessed: a bool is no number and a float no integer; an integer that a float can't hold exactly is refused.
NumPy's own numbers are taken like Python's, without importing NumPy: who has such a number has imported it.
"""

from __future__ import annotations

import math
import operator
import struct
import sys
from collections.abc import Callable
from typing import Any

from batchwasm.functions import cbor
from batchwasm.functions.problems import BadArgument, shown
from batchwasm.functions.types import Float, Int, Type

Buffer = Any
"""Bytes, or anything contiguous that `bytes.join` takes as bytes; typed as bytes where that is enough."""
Put = Callable[[Buffer], None]
"""Takes the next piece of what is being encoded."""
Writer = Callable[[object, Put], None]
"""Encodes a value of one type. Raises BadArgument, after which the pieces mean nothing."""

_SMALL = tuple(cbor.head(cbor.UINT, number) for number in range(256))
_SMALL_NEGATIVE = tuple(cbor.head(cbor.NINT, number) for number in range(256))
_F64 = struct.Struct(">Bd").pack
_F32 = struct.Struct(">Bf").pack
_F32_ROUNDED = struct.Struct("<f")
F32_MOST = 3.4028234663852886e38


def numpy_here() -> Any:
    """NumPy, where somebody has imported it; else None."""
    return sys.modules.get("numpy")


def expected(kind: Type, value: object, hint: str = "") -> BadArgument:
    return BadArgument(f"expected {kind}, found {shown(value)}{hint}")


def write_bool(value: object, put: Put) -> None:
    if value is True:
        put(cbor.TRUE)
    elif value is False:
        put(cbor.FALSE)
    else:
        np = numpy_here()
        if np is None or not isinstance(value, np.bool_):
            raise BadArgument(f"expected bool, found {shown(value)}")
        put(cbor.TRUE if value else cbor.FALSE)


def write_string(value: object, put: Put) -> None:
    if not isinstance(value, str):
        raise BadArgument(f"expected string, found {shown(value)}")
    put(text_of(value))


def text_of(value: str) -> bytes:
    """A text string. Raises BadArgument where it is not Unicode."""
    try:
        return cbor.text(value)
    except UnicodeEncodeError as error:
        raise BadArgument(
            f"character {error.start} is {value[error.start]!r}, half of a surrogate pair, which is no text by itself"
        ) from None


def int_writer(kind: Int) -> Writer:
    least, most = kind.least, kind.most

    def write(value: object, put: Put) -> None:
        number = value if type(value) is int else int_of(value, kind)
        if 0 <= number <= most:
            put(_SMALL[number] if number < 256 else cbor.head(cbor.UINT, number))
        elif least <= number < 0:
            put(_SMALL_NEGATIVE[~number] if number >= -256 else cbor.head(cbor.NINT, ~number))
        else:
            raise out_of_range(number, kind)

    return write


def float_writer(kind: Float) -> Writer:
    def write_f64(value: object, put: Put) -> None:
        put(_F64(cbor.F64, value if type(value) is float else float_of(value, kind)))

    def write_f32(value: object, put: Put) -> None:
        number = value if type(value) is float else float_of(value, kind)
        try:
            put(_F32(cbor.F32, number))
        except OverflowError:
            raise out_of_range(number, kind) from None

    return write_f64 if kind.bits == 64 else write_f32


def int_of(value: object, kind: Int) -> int:
    """The integer that a value is, if it fits."""
    if isinstance(value, bool):
        raise expected(kind, value)
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        integral = isinstance(value, float) and value.is_integer()
        raise expected(kind, value, f"; write {value:.0f}" if integral else "") from None
    if not kind.least <= number <= kind.most:
        raise out_of_range(number, kind)
    return number


def float_of(value: object, kind: Float) -> float:
    """The float that a value is; f32's range is checked for integers, which must be exact, and not for floats."""
    np = numpy_here()
    if isinstance(value, float):
        return float(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return _exact(int(value), kind)
    if np is not None and isinstance(value, np.integer):
        return _exact(int(value), kind)
    if np is not None and isinstance(value, np.floating):
        number = float(value)
        if math.isinf(number) and number != value:  # a long double beyond f64
            raise out_of_range(value, kind)
        return number
    raise expected(kind, value)


def _exact(number: int, kind: Float) -> float:
    try:
        found = float(number)
        if kind.bits == 32:
            found = _F32_ROUNDED.unpack(_F32_ROUNDED.pack(found))[0]
    except OverflowError:
        raise out_of_range(number, kind) from None
    if found != number:
        raise BadArgument(f"{shown(number)} has no exact {kind}; write it as a float, rounded")
    return found


def out_of_range(value: object, kind: Int | Float) -> BadArgument:
    if isinstance(kind, Int):
        return BadArgument(f"{shown(value)} does not fit {kind} ({kind.least} to {kind.most})")
    most = F32_MOST if kind.bits == 32 else sys.float_info.max
    return BadArgument(f"{shown(value)} does not fit {kind} (at most {most:.8g})")
