"""Other ways that docs/abi.md lets arguments be written: floats as integers, lists item by item, keys in any order."""

from __future__ import annotations

import random
import struct
from typing import Any

from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type
from tests.functions.kinds import sent


def arguments(kinds: list[Type], values: list[Any], dice: random.Random) -> bytes:
    return head(4, len(kinds), dice) + b"".join(liberal(*each, dice) for each in zip(kinds, values, strict=True))


def head(major: int, number: int, dice: random.Random) -> bytes:
    """An item's first bytes, perhaps more of them than it needs."""
    short = [(low, size) for low, size in ((24, 1), (25, 2), (26, 4), (27, 8)) if number < 1 << 8 * size]
    if number < 24 and dice.random() < 0.7:
        return bytes([major << 5 | number])
    low, size = dice.choice(short)
    return bytes([major << 5 | low]) + number.to_bytes(size, "big")


def liberal(kind: Type, value: Any, dice: random.Random) -> bytes:
    """A value in one of the forms that it may have as an argument."""
    match kind:
        case Int():
            return head(0, value, dice) if value >= 0 else head(1, -1 - value, dice)
        case Float():
            return dice.choice(_floats(kind, value))
        case String():
            return head(3, len(value.encode()), dice) + value.encode()
        case Bytes():
            numbers = head(4, len(value), dice) + b"".join(head(0, byte, dice) for byte in value)
            octets = head(2, len(value), dice) + value
            return dice.choice([octets, numbers, head(6, 64, dice) + octets])
        case List(Int() | Float()) if dice.random() < 0.3:
            return sent(kind, value)
        case List(item):
            return head(4, len(value), dice) + b"".join(liberal(item, one, dice) for one in value)
        case Option(item):
            return b"\xf6" if value is None else liberal(item, value, dice)
        case Tuple(items):
            parts = [liberal(*each, dice) for each in zip(items, value, strict=True)]
            return head(4, len(items), dice) + b"".join(parts)
        case Map(item):
            return _pairs([(key, item, one) for key, one in value.items()], dice)
        case Record(_, fields):
            return _pairs([(name, field, value[name]) for name, field in fields], dice)
        case Bool():
            return sent(kind, value)


def _floats(kind: Float, value: float) -> list[bytes]:
    forms = [sent(kind, value)]
    for first, form in ((0xF9, "e"), (0xFA, "f"), (0xFB, "d")):
        try:
            packed = struct.pack(f">{form}", value)
        except OverflowError:
            continue
        if struct.unpack(f">{form}", packed)[0] == value:
            forms.append(bytes([first]) + packed)
    if value.is_integer() and 0 < abs(value) < 2**64:
        number = int(value)
        forms.append(head(0, number, random.Random(1)) if number > 0 else head(1, -1 - number, random.Random(1)))
    return forms


def _pairs(triples: list[tuple[str, Type, Any]], dice: random.Random) -> bytes:
    """A map in any order; a pair before the last one of its key does not count."""
    shuffled = dice.sample(triples, len(triples))
    if shuffled and dice.random() < 0.3:
        shuffled.insert(0, dice.choice(shuffled))
    texts = [liberal(String(), key, dice) + liberal(kind, one, dice) for key, kind, one in shuffled]
    return head(5, len(shuffled), dice) + b"".join(texts)
