"""Values as JSON: arguments from a command line, a line of JSON or a cell of CSV; results to JSON.

JSON has no bytes, which are base64 text, and no NaN and infinities, which are the strings "NaN", "Infinity" and
"-Infinity"; as arguments the bare words are understood too. What is given for a parameter is checked by the encoder
that will send it, so a value that comes out of here fits.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping

from batchwasm.functions.encoding import encoder
from batchwasm.functions.problems import BadArgument, shown
from batchwasm.functions.signature import Param
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type

_BY_NAME = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_MAY_OVERFLOW = re.compile(r"[0-9][eE]\+?0*[1-9][0-9]{2}|[0-9]{309}")
"""What a number beyond f64 has in it; Python would read it as infinity."""
_INT = re.compile(r"[+-]?[0-9]{1,40}")
_FLOAT = re.compile(
    r"[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|nan|inf|infinity)", re.IGNORECASE
)


def loads(text: str) -> object:
    """The value of a JSON text. Raises ValueError whose text says why it has none: `'1,' is not JSON`."""
    try:
        if _MAY_OVERFLOW.search(text):
            return json.loads(text, parse_float=_finite, parse_int=_short)
        return json.loads(text)
    except json.JSONDecodeError as error:
        where = f" (line {error.lineno}, column {error.colno})" if len(text) > 60 else ""
        raise ValueError(f"{shown(text)} is not JSON{where}") from None
    except RecursionError:
        raise ValueError(f"{shown(text)} is nested too deeply") from None


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{_start(text)} is beyond all floats")
    return number


def _short(text: str) -> int:
    if len(text) > 400:  # a float has 309 digits, what is longer fits nothing
        raise ValueError(f"{_start(text)} has {len(text)} digits")
    return int(text)


def _start(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def from_json(kind: Type, value: object) -> object:
    """What JSON (or TOML) gave, as an argument for an encoder, which checks what is passed on here as it is.

    Raises BadArgument for a text that should be bytes or a float and is not.
    """
    match kind:
        case Float():
            return _float(kind, value) if isinstance(value, str) else value
        case Bytes():
            return value if isinstance(value, list) else _bytes(value)
        case List(item) if isinstance(value, list):
            if kind.is_numeric and str not in set(map(type, value)):
                return value
            return [_part(item, part, f"[{at}]") for at, part in enumerate(value)]
        case Option(item):
            return None if value is None else from_json(item, value)
        case Tuple(items) if isinstance(value, list) and len(value) == len(items):
            return [_part(item, part, f"[{at}]") for at, (item, part) in enumerate(zip(items, value, strict=True))]
        case Map(item) if isinstance(value, dict):
            return {key: _part(item, part, f"[{key!r}]") for key, part in value.items()}
        case Record(_, fields) if isinstance(value, dict):
            kinds = dict(fields)
            return {name: _part(kinds[name], v, f".{name}") if name in kinds else v for name, v in value.items()}
        case _:
            return value


def _part(kind: Type, value: object, path: str) -> object:
    try:
        return from_json(kind, value)
    except BadArgument as error:
        raise error.inside(path) from None


def _float(kind: Float, value: str) -> float:
    if value not in _BY_NAME:
        raise BadArgument(f"expected {kind}, found {shown(value)}; the only texts are {', '.join(map(repr, _BY_NAME))}")
    return _BY_NAME[value]


def _bytes(value: object) -> bytes:
    if not isinstance(value, str):
        raise BadArgument(f"expected list<u8>, found {shown(value)}; write base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadArgument(f"{shown(value)} is not base64: {error}") from None


def to_json(kind: Type | None, value: object) -> object:
    """A result as what `json.dumps` takes; ndarrays are taken for lists. `kind` is None where nothing was given."""
    match kind, value:
        case (None, _) | (Option(), None):
            return None
        case Bool(), _:
            return bool(value)
        case Int(), int():
            return int(value)
        case Float(), float():
            return _finite_or_name(value)
        case Bytes(), bytes():
            return base64.b64encode(value).decode()
        case List(item), _:
            return _list_to_json(item, value)
        case Option(item), _:
            return to_json(item, value)
        case Tuple(items), tuple() | list():
            return [to_json(item, part) for item, part in zip(items, value, strict=True)]
        case Map(item), Mapping():
            return {key: to_json(item, value[key]) for key in sorted(value)}
        case Record(_, fields), Mapping():
            return {name: to_json(type_, value[name]) for name, type_ in fields}
        case _:
            return value


def _list_to_json(item: Type, value: object) -> list[object]:
    items: list[object] = value.tolist() if hasattr(value, "tolist") else value  # type: ignore[assignment]
    if isinstance(item, Int):
        return items
    if isinstance(item, Float):
        finite = all(map(math.isfinite, items))  # type: ignore[arg-type]
        return items if finite else list(map(_finite_or_name, items))  # type: ignore[arg-type]
    return [to_json(item, part) for part in items]


def _finite_or_name(value: float) -> float | str:
    if math.isfinite(value):
        return float(value)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def dumps(kind: Type | None, value: object) -> str:
    """A result as one line of RFC 8259 JSON: the same text for the same value, whatever language gave it."""
    return json.dumps(to_json(kind, value), allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def argument(param: Param, text: str) -> object:
    """An ARG of the command line: literally for a string parameter, JSON for others. Raises BadArgument."""
    if isinstance(param.type, String):
        return _fitting(param, text)
    try:
        value = loads(text)
    except ValueError as error:
        raise BadArgument(f"{error}; write {_what(param.type)}", param.name) from None
    try:
        return _fitting(param, _part(param.type, value, param.name))
    except BadArgument as error:
        if error.path == param.name and ";" not in error.text:
            error.text += f"; write {_what(param.type)}"
        raise


def cell(param: Param, text: str) -> object:
    """A cell of a CSV file, or a line of a text, as a value of the parameter's type. Raises BadArgument.

    Texts stand there as they are, an empty cell is an option's None, bytes are base64, lists and records JSON.
    """
    kind = param.type
    if isinstance(kind, Option):
        return None if not text.strip() else cell(Param(name=param.name, type=kind.item), text)
    word = text.strip()
    match kind:
        case String():
            return _fitting(param, text)
        case Bool() if word.lower() in ("true", "false"):
            return word.lower() == "true"
        case Int() if _INT.fullmatch(word):
            return _fitting(param, int(word))
        case Float() if _FLOAT.fullmatch(word):
            if "n" not in word.lower() and math.isinf(float(word)):
                raise BadArgument(f"{shown(word)} is beyond all floats", param.name)
            return _fitting(param, float(word))
        case Bytes() if not word.startswith(("[", '"')):
            return _part(kind, word, param.name)
        case Bool() | Int() | Float():
            raise BadArgument(f"expected {kind}, found {shown(text)}; write {_what(kind)}", param.name)
        case _:
            return argument(param, text)


def _fitting(param: Param, value: object) -> object:
    encoder([param])([value])
    return value


def _what(kind: Type) -> str:
    """What to write in JSON for a type: `a list such as [1.0, 2.5]`."""
    if isinstance(kind, Option):
        return f"null, or {_what(kind.item)}"
    if isinstance(kind, Bool):
        return "true or false"
    match kind:
        case Int():
            noun = "a whole number"
        case Float():
            noun = "a number"
        case String():
            noun = "a text in double quotes"
        case Bytes():
            noun = "base64 text in double quotes"
        case List():
            noun = "a list"
        case Tuple(items):
            noun = f"a list of {len(items)}"
        case Map() | Record():
            noun = "an object"
    return f"{noun} such as {json.dumps(_sample(kind, 0))}"


def sample(kind: Type) -> object:
    """Some value of a type, as an argument."""
    return from_json(kind, _sample(kind, 0))


def _sample(kind: Type, n: int) -> object:
    """The first or second (`n`) of two values of a type, in JSON."""
    match kind:
        case Bool():
            return not n
        case Int():
            return (1, 2)[n]
        case Float():
            return (1.0, 2.5)[n]
        case String():
            return ("abc", "def")[n]
        case Bytes():
            return ("aGVsbG8=", "aGk=")[n]
        case List(item):
            return [_sample(item, 0), _sample(item, 1)]
        case Option(item):
            return _sample(item, n)
        case Tuple(items):
            return [_sample(item, at % 2) for at, item in enumerate(items)]
        case Map(item):
            return {"abc": _sample(item, n)}
        case Record(_, fields):
            return {name: _sample(type_, at % 2) for at, (name, type_) in enumerate(fields)}
