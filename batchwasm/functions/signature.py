"""What a function takes and gives: read from a source, kept inside its module, shown to people.

A module made for a function carries its signature as JSON in the custom section SECTION, so that whoever has the wasm
can call it; docs/abi.md tells the rest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from batchwasm.functions import types
from batchwasm.functions.types import Record, Type

ABI = 1
"""Of exports, encoding and this section; another number is another way to call."""
SECTION = "batchwasm"


@dataclass(frozen=True, kw_only=True, slots=True)
class Param:
    name: str
    type: Type
    passed: str = ""
    """How the language takes it, for its glue alone: such as `ref` or `span`. Not part of what is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """A function that can be called from outside."""

    language: str
    name: str
    """As the user names it in its language: `mean`, `geo::area`."""
    params: tuple[Param, ...]
    result: Type | None
    """None where it gives nothing."""
    raises: bool = False
    """Whether it may say that it failed, by an Err, an error or an exception."""
    line: int = 0
    """Where it stands in its file, from 1; 0 where that is not known. Not part of what is kept."""
    doc: str = ""
    """The comment above it, without its marks."""
    warnings: tuple[str, ...] = ()
    """What a user should know, such as that `long` has 32 bits. Not part of what is kept."""

    @property
    def records(self) -> dict[str, Record]:
        """All records that it takes or gives, by name; those that others need come first."""
        kinds = [param.type for param in self.params]
        return types.records((*kinds, *([self.result] if self.result is not None else [])))

    def __str__(self) -> str:
        """`mean(xs: list<f64>) -> f64`"""
        params = ", ".join(f"{param.name}: {param.type}" for param in self.params)
        return f"{self.name}({params})" + (f" -> {self.result}" if self.result is not None else "")


def to_json(signature: Signature) -> str:
    """What the module keeps: one JSON object."""
    fields = {
        "abi": ABI,
        "language": signature.language,
        "function": signature.name,
        "params": [{"name": param.name, "type": str(param.type)} for param in signature.params],
        "result": None if signature.result is None else str(signature.result),
        "raises": signature.raises,
        "records": {
            record.name: [{"name": name, "type": str(kind)} for name, kind in record.fields]
            for record in signature.records.values()
        },
        "doc": signature.doc,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Signature:
    """The signature that `to_json` wrote. Raises ValueError for what is none, or of another ABI."""
    try:
        fields = json.loads(text)
        if fields["abi"] != ABI:
            raise ValueError(f"it is called by version {fields['abi']} of the ABI, and this batchwasm knows {ABI}")
        known: dict[str, Record] = {}
        for name, members in fields["records"].items():
            known[name] = Record(
                name, tuple((member["name"], types.parse(member["type"], known)) for member in members)
            )
        return Signature(
            language=fields["language"],
            name=fields["function"],
            params=tuple(Param(name=p["name"], type=types.parse(p["type"], known)) for p in fields["params"]),
            result=None if fields["result"] is None else types.parse(fields["result"], known),
            raises=fields["raises"],
            doc=fields["doc"],
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not the signature of a function: {error!r}") from error


def into_module(wasm: bytes, signature: Signature) -> bytes:
    """The module with the signature as its last section."""
    content = _sized(SECTION.encode()) + to_json(signature).encode()
    return wasm + b"\0" + _sized(content)


def of_module(wasm: bytes) -> Signature | None:
    """The signature that a module carries; None where it has none. Raises ValueError for one that can't be read."""
    found = _section(wasm)
    return None if found is None else from_json(found)


def _section(wasm: bytes) -> str | None:
    at, found = 8, None
    mark = _sized(SECTION.encode())
    while at < len(wasm):
        kind = wasm[at]
        size, at = _number(wasm, at + 1)
        if kind == 0 and wasm.startswith(mark, at):
            found = wasm[at + len(mark) : at + size].decode()
        at += size
    return found


def _sized(data: bytes) -> bytes:
    return _leb128(len(data)) + data


def _leb128(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _number(data: bytes, at: int) -> tuple[int, int]:
    """An unsigned LEB128 number of up to 32 bits, and what comes after it. Raises ValueError."""
    value = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            break
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("the module is cut short")
