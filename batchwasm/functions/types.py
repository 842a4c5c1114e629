"""The types that a function's parameters and result may have, whatever language it is written in.

Their text is WIT's where WIT has the type: `list<option<f64>>`, `tuple<s32, string>`; `map<T>` has strings as keys. A
record is written by its name. `parse` reads that text again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bool:
    def __str__(self) -> str:
        return "bool"


@dataclass(frozen=True, slots=True)
class Int:
    bits: int
    """8, 16, 32 or 64."""
    signed: bool

    @property
    def least(self) -> int:
        return -(1 << self.bits - 1) if self.signed else 0

    @property
    def most(self) -> int:
        return (1 << self.bits - self.signed) - 1

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}"


@dataclass(frozen=True, slots=True)
class Float:
    bits: int
    """32 or 64."""

    def __str__(self) -> str:
        return f"f{self.bits}"


@dataclass(frozen=True, slots=True)
class String:
    """Unicode text, sent as UTF-8."""

    def __str__(self) -> str:
        return "string"


@dataclass(frozen=True, slots=True)
class Bytes:
    """A list of u8, which is a type of its own everywhere: Python's bytes."""

    def __str__(self) -> str:
        return "list<u8>"


@dataclass(frozen=True, slots=True)
class List:
    item: Type
    """Never u8: that is Bytes."""

    @property
    def is_numeric(self) -> bool:
        """Whether it travels as a typed array (RFC 8746): all integers but u8, and floats."""
        return isinstance(self.item, Int | Float)

    def __str__(self) -> str:
        return f"list<{self.item}>"


@dataclass(frozen=True, slots=True)
class Option:
    item: Type
    """Never an option itself: one None could not be told from the other."""

    def __str__(self) -> str:
        return f"option<{self.item}>"


@dataclass(frozen=True, slots=True)
class Tuple:
    items: tuple[Type, ...]
    """One or more."""

    def __str__(self) -> str:
        return f"tuple<{', '.join(map(str, self.items))}>"


@dataclass(frozen=True, slots=True)
class Map:
    """Strings to values."""

    value: Type

    def __str__(self) -> str:
        return f"map<{self.value}>"


@dataclass(frozen=True, slots=True)
class Record:
    """A struct with named fields, in the order of the source."""

    name: str
    """As the source writes it, with its namespace or module: `geo::Point`."""
    fields: tuple[tuple[str, Type], ...]
    """One or more."""

    def __str__(self) -> str:
        return self.name


Type = Bool | Int | Float | String | Bytes | List | Option | Tuple | Map | Record

NAMES: Mapping[str, Type] = {
    "bool": Bool(),
    "string": String(),
    **{str(kind): kind for bits in (8, 16, 32, 64) for kind in (Int(bits, True), Int(bits, False))},
    "f32": Float(32),
    "f64": Float(64),
}
"""The types without parts, by their text."""
U8 = Int(8, False)


def list_of(item: Type) -> List | Bytes:
    return Bytes() if item == U8 else List(item)


def records(kinds: tuple[Type, ...]) -> dict[str, Record]:
    """All records in these types, by name; those that others need come first."""
    found: dict[str, Record] = {}
    for kind in kinds:
        match kind:
            case Record(name, fields):
                found.update(records(tuple(type_ for _, type_ in fields)))
                found[name] = kind
            case List(item) | Option(item) | Map(item):
                found.update(records((item,)))
            case Tuple(items):
                found.update(records(items))
            case _:
                pass
    return found


def parse(text: str, known: Mapping[str, Record]) -> Type:
    """The type that `str()` wrote; records by their names in `known`. Raises ValueError."""
    kind, rest = _parse(text, known)
    if rest:
        raise ValueError(f"{text!r} is not a type")
    return kind


def _parse(text: str, known: Mapping[str, Record]) -> tuple[Type, str]:
    end = min((at for at in map(text.find, "<>,") if at >= 0), default=len(text))
    word, rest = text[:end].strip(), text[end:]
    if not rest.startswith("<"):
        kind = NAMES.get(word) or known.get(word)
        if kind is None:
            raise ValueError(f"{word!r} is not a type")
        return kind, rest
    items = []
    while rest[:1] in ("<", ","):
        item, rest = _parse(rest[1:], known)
        items.append(item)
    if rest[:1] != ">":
        raise ValueError(f"{text!r} is not a type")
    return _compound(word, items), rest[1:]


def _compound(word: str, items: list[Type]) -> Type:
    match word, items:
        case "list", [item]:
            return list_of(item)
        case "option", [Option()]:
            raise ValueError("option<option<...>> is not a type")
        case "option", [item]:
            return Option(item)
        case "map", [item]:
            return Map(item)
        case "tuple", _:
            return Tuple(tuple(items))
        case _:
            raise ValueError(f"{word!r} with {len(items)} parts is not a type")
