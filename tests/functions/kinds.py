"""Types and values of them to test with, and what docs/abi.md says they are sent as, by another implementation."""

from __future__ import annotations

import math
import struct
from typing import Any

import cbor2
from hypothesis import strategies as st

from batchwasm.functions import Param
from batchwasm.functions.types import (
    NAMES,
    Bool,
    Bytes,
    Float,
    Int,
    List,
    Map,
    Option,
    Record,
    String,
    Tuple,
    Type,
    list_of,
    parse,
)
from batchwasm.functions.values import encoder

POINT = Record("geo::Point", (("x", Float(64)), ("y", Float(64))))
PLACE = Record("Place", (("at", POINT), ("names", List(NAMES["string"]))))

kinds: st.SearchStrategy[Type] = st.recursive(
    st.sampled_from([*NAMES.values(), POINT, PLACE]),
    lambda inner: st.one_of(
        inner.map(list_of),
        inner.filter(lambda kind: not isinstance(kind, Option)).map(Option),
        inner.map(Map),
        st.lists(inner, min_size=1, max_size=3).map(lambda items: Tuple(tuple(items))),
    ),
    max_leaves=6,
)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


def values_of(kind: Type) -> st.SearchStrategy[Any]:
    """Values of a type as a decoder gives them."""
    match kind:
        case Bool():
            return st.booleans()
        case Int():
            return st.integers(kind.least, kind.most) | st.sampled_from([kind.least, kind.most])
        case Float():
            return st.floats(width=32 if kind.bits == 32 else 64)
        case String():
            return texts
        case Bytes():
            return st.binary(max_size=300)
        case List(item):
            return st.lists(values_of(item), max_size=4)
        case Option(item):
            return st.none() | values_of(item)
        case Tuple(items):
            return st.tuples(*map(values_of, items))
        case Map(item):
            return st.dictionaries(texts, values_of(item), max_size=4)
        case Record(_, fields):
            return st.fixed_dictionaries({name: values_of(field) for name, field in fields})


values = kinds.flatmap(lambda kind: st.tuples(st.just(kind), values_of(kind)))
"""A type and a value of it."""


def kind_of(kind: str | Type) -> Type:
    return parse(kind, {POINT.name: POINT, PLACE.name: PLACE}) if isinstance(kind, str) else kind


def param(kind: str | Type, name: str = "x") -> Param:
    return Param(name=name, type=kind_of(kind))


def encode(kind: str | Type, value: object) -> bytes:
    """Of one argument, without the array that it travels in."""
    data = encoder([param(kind)])([value])
    assert data[:1] == b"\x81"
    return data[1:]


TAGS = {"u16": 69, "u32": 70, "u64": 71, "s8": 72, "s16": 77, "s32": 78, "s64": 79, "f32": 85, "f64": 86}


def sent(kind: Type, value: Any) -> bytes:
    """A value as docs/abi.md says that it is sent: by cbor2, and by hand for what cbor2 leaves no choice in."""
    match kind:
        case Float():
            return struct.pack(">Bd", 0xFB, value) if kind.bits == 64 else struct.pack(">Bf", 0xFA, value)
        case List(Int() | Float() as item):
            return cbor2.dumps(cbor2.CBORTag(TAGS[str(item)], b"".join(little(item, one) for one in value)))
        case List(item):
            return head(cbor2.dumps([0] * len(value)), len(value)) + b"".join(sent(item, one) for one in value)
        case Option(item):
            return cbor2.dumps(None) if value is None else sent(item, value)
        case Tuple(items):
            parts = [sent(item, one) for item, one in zip(items, value, strict=True)]
            return head(cbor2.dumps([0] * len(items)), len(items)) + b"".join(parts)
        case Map(item):
            pairs = sorted(((key.encode(), cbor2.dumps(key) + sent(item, one)) for key, one in value.items()))
            return map_head(len(pairs)) + b"".join(pair for _, pair in pairs)
        case Record(_, fields):
            return map_head(len(fields)) + b"".join(
                cbor2.dumps(name) + sent(type_, value[name]) for name, type_ in fields
            )
        case _:
            return cbor2.dumps(value)


def little(kind: Int | Float, value: Any) -> bytes:
    if isinstance(kind, Int):
        return int(value).to_bytes(kind.bits // 8, "little", signed=kind.signed)
    return struct.pack("<f" if kind.bits == 32 else "<d", value)


def head(whole: bytes, content: int) -> bytes:
    return whole[: len(whole) - content]


def map_head(count: int) -> bytes:
    return head(cbor2.dumps(dict.fromkeys(range(count), 0)), sum(len(cbor2.dumps(n)) + 1 for n in range(count)))


def same(one: Any, other: Any) -> bool:
    """Equal to the last bit: NaN is NaN, -0.0 is not 0.0, True is not 1."""
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def in_order(kind: Type, value: Any) -> Any:
    """A value with its maps' keys as they are sent."""
    match kind:
        case List(item):
            return [in_order(item, one) for one in value]
        case Option(item):
            return None if value is None else in_order(item, value)
        case Tuple(items):
            return tuple(in_order(item, one) for item, one in zip(items, value, strict=True))
        case Map(item):
            return {key: in_order(item, value[key]) for key in sorted(value, key=str.encode)}
        case Record(_, fields):
            return {name: in_order(type_, value[name]) for name, type_ in fields}
        case _:
            return value
