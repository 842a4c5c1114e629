"""Python values to the CBOR array of arguments that a function's module takes.

An encoder is made once for a signature and then only looks at values. Every writer hands pieces to `put`, which are
joined once at the end, so that the content of an array is copied once and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from batchwasm.functions import cbor
from batchwasm.functions.arrays import as_ndarray, bytes_writer, nested_writer, numbers_writer
from batchwasm.functions.problems import BadArgument, did_you_mean, shown
from batchwasm.functions.scalars import (
    Put,
    Writer,
    expected,
    float_writer,
    int_writer,
    text_of,
    write_bool,
    write_string,
)
from batchwasm.functions.signature import Param
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type


def encoder(params: Sequence[Param]) -> Callable[[Sequence[object]], bytes]:
    """Makes the CBOR of a call's arguments. What it gives raises BadArgument for a value that does not fit."""
    writers = tuple(_writer(param.type) for param in params)
    head = cbor.head(cbor.ARRAY, len(writers))

    def encode(arguments: Sequence[object]) -> bytes:
        if len(arguments) != len(writers):
            raise _wrong_count(params, len(arguments))
        pieces = [head]
        put = pieces.append
        at = 0
        try:
            for at, write in enumerate(writers):
                write(arguments[at], put)
        except BadArgument as error:
            raise error.inside(params[at].name) from None
        return b"".join(pieces)

    return encode


def _wrong_count(params: Sequence[Param], found: int) -> BadArgument:
    text = ", ".join(f"{param.name}: {param.type}" for param in params)
    wanted = f"{len(params)} argument{'' if len(params) == 1 else 's'} ({text})" if params else "no arguments"
    return BadArgument(f"it takes {wanted}, found {found}")


def _writer(kind: Type) -> Writer:
    match kind:
        case Bool():
            return write_bool
        case Int():
            return int_writer(kind)
        case Float():
            return float_writer(kind)
        case String():
            return write_string
        case Bytes():
            return bytes_writer(kind)
        case List():
            return numbers_writer(kind) if kind.is_numeric else _list_writer(kind)
        case Option():
            return _option_writer(kind)
        case Tuple():
            return _tuple_writer(kind)
        case Map():
            return _map_writer(kind)
        case Record():
            return _record_writer(kind)


def _list_writer(kind: List) -> Writer:
    write_item = _writer(kind.item)
    write_nested = nested_writer(kind)

    def write(value: object, put: Put) -> None:
        found = as_ndarray(value, kind)
        if found is not None:
            if write_nested is not None and write_nested(found, put):
                return
            value = list(found)
        elif not isinstance(value, Sequence) or isinstance(value, str | bytes | bytearray):
            iterable = hasattr(value, "__iter__") and not isinstance(value, str | bytes | bytearray | Mapping)
            raise expected(kind, value, "; write list(...)" if iterable else "")
        put(cbor.head(cbor.ARRAY, len(value)))
        at = 0
        try:
            for at in range(len(value)):
                write_item(value[at], put)
        except BadArgument as error:
            raise error.inside(f"[{at}]") from None

    return write


def _option_writer(kind: Option) -> Writer:
    write_item = _writer(kind.item)

    def write(value: object, put: Put) -> None:
        if value is None:
            put(cbor.NULL)
        else:
            write_item(value, put)

    return write


def _tuple_writer(kind: Tuple) -> Writer:
    writers = tuple(map(_writer, kind.items))
    head = cbor.head(cbor.ARRAY, len(writers))

    def write(value: object, put: Put) -> None:
        if not isinstance(value, tuple | list):
            found = as_ndarray(value, kind)
            if found is None:
                raise expected(kind, value)
            value = list(found)
        if len(value) != len(writers):
            raise BadArgument(f"expected {kind}, found {len(value)} value{'' if len(value) == 1 else 's'}")
        put(head)
        at = 0
        try:
            for at, write_item in enumerate(writers):
                write_item(value[at], put)
        except BadArgument as error:
            raise error.inside(f"[{at}]") from None

    return write


def _map_writer(kind: Map) -> Writer:
    write_item = _writer(kind.value)

    def write(value: object, put: Put) -> None:
        if not isinstance(value, Mapping):
            raise expected(kind, value)
        for key in value:
            if not isinstance(key, str):
                raise BadArgument(f"expected {kind}, found the key {shown(key)}; keys are strings")
        put(cbor.head(cbor.MAP, len(value)))
        key = ""
        try:
            for key in sorted(value):  # by code points, which is by the bytes of UTF-8
                put(text_of(key))
                write_item(value[key], put)
        except BadArgument as error:
            raise error.inside(f"[{shown(key)}]") from None

    return write


_MISSING = object()


def _record_writer(kind: Record) -> Writer:
    fields = tuple((name, text_of(name), _writer(type_)) for name, type_ in kind.fields)
    head = cbor.head(cbor.MAP, len(fields))

    def write(value: object, put: Put) -> None:
        if isinstance(value, Mapping):
            if len(value) != len(fields):
                raise _other_fields(kind, value)
            items = value
        else:
            items = _attributes(kind, value)
        put(head)
        name = ""
        try:
            for name, key, write_item in fields:
                item = items.get(name, _MISSING)
                if item is _MISSING:
                    break
                put(key)
                write_item(item, put)
            else:
                return
        except BadArgument as error:
            raise error.inside(f".{name}") from None
        raise _other_fields(kind, items)

    return write


def _attributes(kind: Record, value: object) -> Mapping[str, object]:
    """What an object (of a dataclass, a named tuple) has of a record; more than that is its own matter."""
    if value is None or type(value).__module__ == "builtins":
        raise expected(kind, value, f"; write a dict with {', '.join(name for name, _ in kind.fields)}")
    return {name: getattr(value, name) for name, _ in kind.fields if hasattr(value, name)}


def _other_fields(kind: Record, value: Mapping[str, object]) -> BadArgument:
    fields = dict(kind.fields)
    for name in value:
        if name not in fields:
            near = did_you_mean(name, fields.keys() - value.keys()) if isinstance(name, str) else ""
            return BadArgument(f"{kind} has no field {shown(name)}" + (near or f"; it has {', '.join(fields)}"))
    missing = [f"{name} ({type_})" for name, type_ in kind.fields if name not in value]
    return BadArgument(f"{kind} lacks {', '.join(missing)}")
