"""A function's signature in WIT, for people: the module is called as docs/abi.md says, it is not a component."""

from __future__ import annotations

import re
from collections.abc import Iterable

from batchwasm.functions.signature import Signature
from batchwasm.functions.types import List, Map, Option, Record, Tuple, Type

_KEYWORDS = frozenset(
    re.findall(
        r"\S+",
        """as async bool borrow char constructor enum error-context export f32 f64 flags from func future import include
        interface list option own package record resource result s16 s32 s64 s8 static stream string tuple type u16 u32
        u64 u8 use variant with world""",
    )
)
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
"""A word of a name in any language's manner: `isValid`, `HTTPCode`, `line_2`, `geo::Point`."""


def wit(signature: Signature) -> str:
    """A package with one interface, which has the function and its records; ends in a newline."""
    names = _Names()
    function = names.new(signature.name)
    records = {name: names.new(name) for name in signature.records}
    lines = [
        f"// {_printable(str(signature))}",
        "//",
        "// For reading: the module is no component. It is called as batchwasm's docs/abi.md says, and by the names",
        "// of the source.",
        "package batchwasm:functions;",
        "",
        f"interface {function} {{",
    ]
    for record in signature.records.values():
        lines += [*_record(record, records), ""]
    lines += [*(f"    /// {line}".rstrip() for line in _printable(signature.doc).split("\n") if signature.doc)]
    if any(map(_has_map, _kinds(signature))):
        lines.append("    // A list<tuple<string, T>> that is marked so is a map: each key is there once.")
    lines.append(f"    {function}: func({_params(signature, records)}){_result(signature, records)};")
    return "\n".join([*lines, "}", ""])


def _record(record: Record, records: dict[str, str]) -> list[str]:
    names = _Names()
    fields = [f"        {names.new(name)}: {_type(kind, records)}," for name, kind in record.fields]
    return [f"    record {records[record.name]} {{", *fields, "    }"]


def _params(signature: Signature, records: dict[str, str]) -> str:
    names = _Names()
    return ", ".join(f"{names.new(param.name)}: {_type(param.type, records)}" for param in signature.params)


def _result(signature: Signature, records: dict[str, str]) -> str:
    kind = None if signature.result is None else _type(signature.result, records)
    if signature.raises:
        return f" -> result<{kind or '_'}, string>"
    return f" -> {kind}" if kind else ""


def _type(kind: Type, records: dict[str, str]) -> str:
    match kind:
        case Record(name, _):
            return records[name]
        case List(item):
            return f"list<{_type(item, records)}>"
        case Option(item):
            return f"option<{_type(item, records)}>"
        case Tuple(items):
            return f"tuple<{', '.join(_type(item, records) for item in items)}>"
        case Map(value):
            return f"/* map */ list<tuple<string, {_type(value, records)}>>"
        case _:
            return str(kind)


def _kinds(signature: Signature) -> Iterable[Type]:
    yield from (param.type for param in signature.params)
    if signature.result is not None:
        yield signature.result


def _has_map(kind: Type) -> bool:
    match kind:
        case Map():
            return True
        case List(item) | Option(item):
            return _has_map(item)
        case Tuple(items):
            return any(map(_has_map, items))
        case Record(_, fields):
            return any(_has_map(type_) for _, type_ in fields)
        case _:
            return False


def _printable(text: str) -> str:
    """Without what WIT does not allow in a file: control characters, and marks that turn the direction of writing."""
    lines = (line.expandtabs(4) for line in text.splitlines())
    return "\n".join("".join(c for c in line if c.isprintable()).rstrip() for line in lines)


class _Names:
    """Names of one scope, in WIT's manner (`is-valid`), each once."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def new(self, name: str) -> str:
        words: list[str] = []
        for word in _WORD.findall(name):
            if words and word[0].isdigit():
                words[-1] += word  # a word starts with a letter
            else:
                words.append(word.lower())
        plain = "-".join(words)
        plain = plain if plain[:1].isalpha() else f"x{plain}"
        found, n = plain, 1
        while found in self.taken:
            n += 1
            found = f"{plain}-v{n}"
        self.taken.add(found)
        return f"%{found}" if found in _KEYWORDS else found
