"""C and C++ functions compiled for real, called, and what CBOR means as a value, to compare their answers with."""

from __future__ import annotations

import ctypes
import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cbor2

from batchwasm import artifacts
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Option, Record, String, Tuple, Type
from batchwasm.model import Build, Source
from batchwasm.store import Store
from tests.functions.host import Guest
from tests.functions.kinds import TAGS
from tests.toolchains.guests import need, write

ERROR = 25207


def compiled(
    language: str, function: str, files: Mapping[str, str], build: Build | None = None, *, folder: Path | None = None
) -> bytes:
    """The module of a function; the files that end like the language's belong to the source, others lie beside them."""
    need(language)
    with tempfile.TemporaryDirectory() as made:
        root = write(folder or Path(made), files)
        endings = (".c", ".cpp") if language == "cpp" else (".c",)
        paths = tuple(root / name for name in files if name.endswith(endings))
        source = Source(language=language, paths=paths, function=function, build=build or Build())
        return artifacts.build("job", source, Store(Path(made) / "store")).path.read_bytes()


@functools.cache
def compiled_once(language: str, function: str, text: str) -> bytes:
    return compiled(language, function, {f"a.{language}": text})


def call(guest: Guest, *arguments: object) -> Any:
    """What it answers to arguments in plain CBOR; typed arrays as lists."""
    return plain(cbor2.loads(guest.call(cbor2.dumps(list(arguments)))))


def plain(value: Any) -> Any:
    """As Python writes it: typed arrays become lists, an error a pair."""
    if isinstance(value, cbor2.CBORTag):
        if value.tag == ERROR:
            return ("error", *value.value)
        return list(memoryview(value.value).cast(FORMATS[value.tag]))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


LETTERS = {"u16": "H", "u32": "I", "u64": "Q", "s8": "b", "s16": "h", "s32": "i", "s64": "q", "f32": "f", "f64": "d"}
FORMATS = {tag: LETTERS[name] for name, tag in TAGS.items()}


def fit(kind: Type, value: Any) -> Any:
    """What CBOR means as a value of the type, with all that arguments may be. Raises ValueError for what is none."""
    match kind:
        case Bool() if isinstance(value, bool):
            return value
        case Int() if isinstance(value, int) and not isinstance(value, bool) and kind.least <= value <= kind.most:
            return value
        case Float(bits) if isinstance(value, int | float) and not isinstance(value, bool):
            return ctypes.c_float(value).value if bits == 32 else float(value)
        case String() if isinstance(value, str):
            return value
        case Bytes() if isinstance(value, bytes):
            return value
        case Bytes() if isinstance(value, cbor2.CBORTag) and value.tag == 64:
            return bytes(value.value)
        case Bytes() if isinstance(value, list | tuple):
            return bytes(fit(Int(8, False), each) for each in value)
        case List(item) if kind.is_numeric and isinstance(value, cbor2.CBORTag) and value.tag == TAGS[str(item)]:
            return list(memoryview(value.value).cast(LETTERS[str(item)]))
        case List(item) if isinstance(value, list | tuple):
            return [fit(item, each) for each in value]
        case Option(item):
            return None if value is None else fit(item, value)
        case Tuple(items) if isinstance(value, list | tuple) and len(value) == len(items):
            return list(map(fit, items, value))
        case Map(item) if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: fit(item, each) for key, each in value.items()}
        case Record(_, fields) if isinstance(value, dict) and value.keys() == dict(fields).keys():
            return {name: fit(type_, value[name]) for name, type_ in fields}
    raise ValueError(f"{value!r} is no {kind}")
