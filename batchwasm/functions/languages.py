"""Which languages' functions can be called, and who reads them and writes their glue."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from batchwasm.functions import signature as signatures
from batchwasm.functions.problems import NoFunction
from batchwasm.functions.signature import Signature
from batchwasm.model import Glue, Source

MODULES = {"rust": "rust", "cpp": "cpp", "c": "c", "go": "go"}
"""Of this package, by language; each is imported when it is needed, since each needs a parser of its own."""


class Language(Protocol):
    """A module for one language."""

    def read(self, source: Source) -> Signature:
        """The signature of `source.function`. Raises NoFunction, OSError for a file that can't be read."""
        ...

    def make_glue(self, source: Source, signature: Signature) -> Glue:
        """For the signature that `read` gave. Raises NoFunction, OSError."""
        ...


def read(source: Source) -> Signature:
    """The signature of `source.function`; of a ready module the one that it carries. Raises NoFunction, OSError."""
    if source.language == "wasm":
        return _of_ready_made(source)
    return _language(source).read(source)


def names(source: Source) -> tuple[str, ...]:
    """Of the functions in a source, as far as they can be found without reading their types. Raises OSError."""
    if source.language == "wasm":
        found = signatures.of_module(source.paths[0].read_bytes())
        return () if found is None else (found.name,)
    try:
        _language(source).read(replace(source, function="?"))
    except NoFunction as error:
        return error.names
    return ()


def make_glue(source: Source, signature: Signature) -> Glue:
    """What the source is compiled with. Raises NoFunction, OSError."""
    return _language(source).make_glue(source, signature)


def _language(source: Source) -> Language:
    name = MODULES.get(source.language)
    if name is None:
        raise NoFunction(
            [
                f"functions of {source.language} sources can't be called; write it in Rust, C++, C or Go, or take a "
                "module that batchwasm made of a function"
            ]
        )
    return cast(Language, importlib.import_module(f"batchwasm.functions.{name}"))


def _of_ready_made(source: Source) -> Signature:
    path: Path = source.paths[0]
    try:
        found = signatures.of_module(path.read_bytes())
    except ValueError as error:
        raise NoFunction([f"{path}: {error}"]) from error
    if found is None:
        raise NoFunction([f"{path} carries no function's signature; only modules that batchwasm made of one do"])
    if found.name != source.function:
        raise NoFunction([f"{path} has no function {source.function}; it was made of {found.name}"])
    return found
