"""A function's signature as Python shows it: for `help(mean)`, and for whoever asks `inspect`."""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Iterator
from typing import Any, TypedDict

from batchwasm.functions.signature import Signature
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type


def python_signature(signature: Signature) -> inspect.Signature:
    """Names and annotations; a name that is none in Python gets an underscore (`lambda_`)."""
    known = _records(signature)
    taken: set[str] = set()
    params = []
    for param in signature.params:
        name = _name(param.name)
        while name in taken:
            name += "_"
        taken.add(name)
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        params.append(inspect.Parameter(name, kind, annotation=_annotation(param.type, known)))
    result = None if signature.result is None else _annotation(signature.result, known)
    return inspect.Signature(params, return_annotation=result)


def docstring(signature: Signature) -> str:
    """What the source says about the function, then its parameters, result and records with their exact types."""
    parts = [signature.doc.strip(), "\n".join(_facts(signature))]
    for record in signature.records.values():
        fields = "\n".join(f"    {name}: {kind}" for name, kind in record.fields)
        parts.append(f"{record} is a dict with\n{fields}")
    return "\n\n".join(part for part in parts if part)


def _facts(signature: Signature) -> Iterator[str]:
    if signature.params:
        yield "Takes"
    yield from (f"    {param.name}: {param.type}" for param in signature.params)
    yield f"Gives {'nothing' if signature.result is None else signature.result}{', or fails' * signature.raises}"
    language = {"cpp": "C++", "wasm": "WebAssembly"}.get(signature.language, signature.language.capitalize())
    yield f"Written in {language}"


def _name(name: str) -> str:
    name = "".join(char if f"_{char}".isidentifier() else "_" for char in name)
    if not name.isidentifier():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) else name


def _records(signature: Signature) -> dict[str, Any]:
    """A TypedDict for each record: a class whose values are dicts."""
    known: dict[str, Any] = {}
    for record in signature.records.values():
        fields = {name: _annotation(kind, known) for name, kind in record.fields}
        made: Any = TypedDict(record.name.replace("::", "."), fields)  # type: ignore[misc]
        made.__module__ = "builtins"  # it is in no module; so its name alone is shown
        known[record.name] = made
    return known


def _annotation(kind: Type, known: dict[str, Any]) -> Any:
    match kind:
        case Bool():
            return bool
        case Int():
            return int
        case Float():
            return float
        case String():
            return str
        case Bytes():
            return bytes
        case List(item):
            return list[_annotation(item, known)]  # type: ignore[misc]
        case Option(item):
            return _annotation(item, known) | None
        case Tuple(items):
            return tuple[tuple(_annotation(item, known) for item in items)]  # type: ignore[misc]
        case Map(value):
            return dict[str, _annotation(value, known)]  # type: ignore[misc]
        case Record(name, _):
            return known[name]
