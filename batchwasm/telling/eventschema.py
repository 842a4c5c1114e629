"""JSON Schema of the lines that eventlines.py writes, made of the events themselves: what they get is in it at once."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from batchwasm.core.eventcodec import KINDS
from batchwasm.core.events import Event, TasksAdded, TasksFinished, TasksKnown
from batchwasm.model import Outcome
from batchwasm.telling import eventlines

Schema = dict[str, Any]
_DRAFT = "http://json-schema.org/draft-07/schema#"
_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer"}
_NUMBER: Schema = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
_PLAIN: Mapping[object, Schema] = {
    str: _TEXT,
    int: _WHOLE,
    float: _NUMBER,
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}
_UNTOLD: Mapping[type, frozenset[str]] = {
    TasksFinished: frozenset({"records"}),
    TasksKnown: frozenset({"records"}),
    TasksAdded: frozenset({"arguments"}),
}
"""What `encode` leaves to other tables of the journal."""


def schema() -> Schema:
    """Of one line. What later versions add is allowed: who reads lines skips what it does not know."""
    return {
        "$schema": _DRAFT,
        "title": "A line of batchwasm run --events",
        "oneOf": [*(_line(kind, _body(cls)) for kind, cls in KINDS.items()), _line(eventlines.DROPPED, _DROPPED)],
    }


def _table(properties: Schema, description: str = "") -> Schema:
    told = {"description": description} if description else {}
    return {"type": "object", **told, "properties": properties, "required": list(properties)}


def _or_null(value: Schema) -> Schema:
    return {"anyOf": [value, {"type": "null"}]}


def _line(kind: str, body: Schema) -> Schema:
    is_event = kind != eventlines.DROPPED
    return _table(
        {
            "schema": {"const": eventlines.SCHEMA},
            "run": _TEXT,
            "seq": _WHOLE if is_event else {"type": "null"},
            "at": {"type": "number"},
            "kind": {"const": kind},
            "job": _or_null(_TEXT),
            "task": _or_null(_TEXT),
            "host": _or_null(_TEXT),
            "body": body,
        }
    )


def _body(cls: type[Event]) -> Schema:
    description = " ".join((cls.__doc__ or "").split())
    fields = _fields(cls, without=_UNTOLD.get(cls, frozenset()))
    if cls in (TasksFinished, TasksKnown):
        fields["attempt"] = _or_null(_ATTEMPT)
    return _table(fields, description)


def _fields(cls: type, without: frozenset[str] = frozenset()) -> Schema:
    hints = typing.get_type_hints(cls)
    names = (field.name for field in dataclasses.fields(cls))
    return {name: _of(hints[name]) for name in names if name not in without}


def _of(hint: Any) -> Schema:
    """A type as the codec writes its values."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return _table(_fields(hint))
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_of(arg) for arg in args]}
    if origin is tuple and args[-1] is not Ellipsis:
        return {"type": "array", "items": [_of(arg) for arg in args], "minItems": len(args), "maxItems": len(args)}
    if origin in (tuple, Sequence):
        return {"type": "array", "items": _of(args[0])}
    assert origin is Mapping, hint
    return {"type": "object", "additionalProperties": _of(args[1])}


_OUTPUT = _table({"path": _TEXT, "bytes": _WHOLE, "sha256": _TEXT})
_ATTEMPT = _table(
    {
        "index": _WHOLE,
        "number": {"type": "integer", "minimum": 0},  # of a result of an earlier run: none was needed
        "outcome": {"enum": [outcome.word for outcome in Outcome]},
        "final": _PLAIN[bool],
        "exit_code": _or_null(_WHOLE),
        "reason": _or_null(
            _table(
                {"code": _TEXT, "text": _or_null(_TEXT), "limit": _or_null(_NUMBER), "used": _or_null(_NUMBER)},
            )
        ),
        **dict.fromkeys(("started_at", "queued_s", "wall_s", "cpu_s"), _NUMBER),
        "peak_memory_bytes": _WHOLE,
        "disk_bytes": _or_null(_WHOLE),
        **dict.fromkeys(("stdout", "stdout_path", "stderr", "stderr_path", "digest", "cached"), _or_null(_TEXT)),
        **dict.fromkeys(("stdout_bytes", "stderr_bytes"), _or_null(_WHOLE)),
        "outputs": {"type": "array", "items": _OUTPUT, "maxItems": eventlines.NAMED_OUTPUTS},
        "output_files": _WHOLE,
    },
    "One attempt and how it ended; null where it had none.",
)
_DROPPED = _table(
    {"events": {"type": "integer", "minimum": 1}, "first": _WHOLE, "last": _WHOLE},
    "So many events, from row `first` to row `last` of the journal, are not here: who reads this was too slow.",
)
