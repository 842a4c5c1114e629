"""The CBOR that a function's module gave back, to Python values; from a module that may be hostile.

Every type reads its own form and nothing else, so no general CBOR is ever decoded: depth is bounded by the type, memory
by the size of the answer, and a value has exactly one form, which docs/abi.md tells. A `checker` looks at all that a
`decoder` looks at, without making the values; long arrays cost it nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from batchwasm.functions import cbor, items
from batchwasm.functions.items import Form
from batchwasm.functions.problems import BadValue
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type


def decoder(result: Type | None, *, numpy: bool = False) -> Callable[[bytes], object]:
    """Makes the Python value of an answer that is no error: lists of numbers become ndarrays with `numpy`, else lists.

    Records and maps become dicts, in their order, tuples tuples. What it gives raises BadValue. Raises ImportError
    where NumPy is wanted and missing.
    """
    if result is None:
        return _decode_nothing
    read = _form(result, numpy=numpy).read

    def decode(data: bytes) -> object:
        try:
            value, end = read(data, 0)
        except (IndexError, struct.error):
            raise items.cut_short(data) from None
        if end != len(data):
            raise items.trailing(data, end)
        return value

    return decode


def checker(result: Type | None) -> Callable[[bytes], str | None]:
    """Says what is wrong with an answer that is no error; None where a decoder will take it."""
    skip = _skip_nothing if result is None else _form(result, numpy=False).skip

    def check(data: bytes) -> str | None:
        try:
            end = skip(data, 0)
        except BadValue as error:
            return str(error)
        except (IndexError, struct.error):
            return str(items.cut_short(data))
        return None if end == len(data) else str(items.trailing(data, end))

    return check


def error_of(answer: bytes) -> tuple[str, str] | None:
    """Kind (`raised`, `argument`) and text of an answer that is an error; None for any other.

    Raises BadValue for an error that is not one of docs/abi.md's.
    """
    if not answer.startswith(cbor.ERROR):
        return None
    try:
        start, end = items.span(answer, len(cbor.ERROR), cbor.TEXT, "an error's kind")
        kind = items.text(answer, start, end)
        start, end = items.span(answer, end, cbor.TEXT, "an error's text")
        text = items.text(answer, start, end)
    except (IndexError, struct.error):
        raise items.cut_short(answer) from None
    if end != len(answer):
        raise items.trailing(answer, end)
    if kind not in ("raised", "argument"):
        raise BadValue(f"an error is 'raised' or 'argument', not {kind[:60]!r}")
    return kind, text


def _decode_nothing(data: bytes) -> None:
    if _skip_nothing(data, 0) != len(data):
        raise items.trailing(data, 1)


def _skip_nothing(data: bytes, at: int) -> int:
    if not data:
        raise items.cut_short(data)
    if data[at : at + 1] != cbor.NULL:
        raise items.unexpected(data, at, "null")
    return at + 1


def _form(kind: Type, *, numpy: bool) -> Form:
    match kind:
        case Bool():
            return items.BOOL
        case Int():
            return items.integer(kind)
        case Float():
            return items.floating(kind)
        case String():
            return items.STRING
        case Bytes():
            return items.BYTES
        case List(item) if isinstance(item, Int | Float):
            return items.numbers(item, numpy=numpy)
        case List(item):
            return _list(kind, _form(item, numpy=numpy))
        case Option(item):
            return _option(_form(item, numpy=numpy))
        case Tuple(parts):
            return _tuple(kind, [_form(part, numpy=numpy) for part in parts])
        case Map(value):
            return _map(kind, _form(value, numpy=numpy))
        case Record(_, fields):
            return _record(kind, [(name, _form(type_, numpy=numpy)) for name, type_ in fields])


def _list(kind: List, item: Form) -> Form:
    read_item, skip_item = item

    def read(data: bytes, at: int) -> tuple[object, int]:
        count, at = items.count(data, at, cbor.ARRAY, kind)
        found = []
        for _ in range(count):
            value, at = read_item(data, at)
            found.append(value)
        return found, at

    def skip(data: bytes, at: int) -> int:
        count, at = items.count(data, at, cbor.ARRAY, kind)
        for _ in range(count):
            at = skip_item(data, at)
        return at

    return Form(read, skip)


def _option(item: Form) -> Form:
    read_item, skip_item = item
    return Form(
        lambda data, at: (None, at + 1) if data[at] == cbor.NULL[0] else read_item(data, at),
        lambda data, at: at + 1 if data[at] == cbor.NULL[0] else skip_item(data, at),
    )


def _tuple(kind: Tuple, parts: list[Form]) -> Form:
    mark = cbor.head(cbor.ARRAY, len(parts))

    def start(data: bytes, at: int) -> int:
        if not data.startswith(mark, at):
            raise items.unexpected(data, at, f"{kind} (an array of {len(parts)})")
        return at + len(mark)

    def read(data: bytes, at: int) -> tuple[object, int]:
        at = start(data, at)
        found = []
        for part in parts:
            value, at = part.read(data, at)
            found.append(value)
        return tuple(found), at

    def skip(data: bytes, at: int) -> int:
        at = start(data, at)
        for part in parts:
            at = part.skip(data, at)
        return at

    return Form(read, skip)


def _map(kind: Map, item: Form) -> Form:
    read_item, skip_item = item

    def read(data: bytes, at: int) -> tuple[object, int]:
        count, at = items.count(data, at, cbor.MAP, kind)
        found: dict[str, object] = {}
        key: bytes | None = None
        for _ in range(count):
            key, text, at = _key(data, at, key)
            found[text], at = read_item(data, at)
        return found, at

    def skip(data: bytes, at: int) -> int:
        count, at = items.count(data, at, cbor.MAP, kind)
        key: bytes | None = None
        for _ in range(count):
            key, _text, at = _key(data, at, key)
            at = skip_item(data, at)
        return at

    return Form(read, skip)


def _key(data: bytes, at: int, last: bytes | None) -> tuple[bytes, str, int]:
    """A map's key as bytes and as text, and the offset of its value; keys ascend."""
    start, end = items.span(data, at, cbor.TEXT, "a string as key")
    key = data[start:end]
    if last is not None and key <= last:
        raise BadValue(f"byte {at}: a map's key is there twice, or its keys are not sorted by their bytes")
    return key, items.text(data, start, end), end


def _record(kind: Record, fields: list[tuple[str, Form]]) -> Form:
    parts = [(name, cbor.text(name), form) for name, form in fields]
    mark = cbor.head(cbor.MAP, len(parts))

    def start(data: bytes, at: int) -> int:
        if not data.startswith(mark, at):
            raise items.unexpected(data, at, f"{kind} (a map of {len(parts)})")
        return at + len(mark)

    def read(data: bytes, at: int) -> tuple[object, int]:
        at = start(data, at)
        found: dict[str, object] = {}
        for name, key, form in parts:
            if not data.startswith(key, at):
                raise _no_field(data, at, kind, name)
            found[name], at = form.read(data, at + len(key))
        return found, at

    def skip(data: bytes, at: int) -> int:
        at = start(data, at)
        for name, key, form in parts:
            if not data.startswith(key, at):
                raise _no_field(data, at, kind, name)
            at = form.skip(data, at + len(key))
        return at

    return Form(read, skip)


def _no_field(data: bytes, at: int, kind: Record, name: str) -> BadValue:
    start, end = items.span(data, at, cbor.TEXT, f"the field {name} of {kind}")
    return BadValue(f"byte {at}: expected the field {name} of {kind}, found {data[start:end][:60]!r}")
