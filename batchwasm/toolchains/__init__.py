"""What command turns this source into wasm: one pure module for each language, one table, and what runs them.

`TOOLCHAINS[source.language]` is the language; `report()` says which compilers this machine has and how to get others.
"""

from __future__ import annotations

from collections.abc import Mapping

from batchwasm.toolchains import c, find, wat
from batchwasm.toolchains.base import Found, Inputs, Language, Tool
from batchwasm.toolchains.compile import Compiled, compile_source

WHEELS = "pip install 'batchwasm[toolchains]'"


def _languages() -> Mapping[str, Language]:
    rows = (
        Language(
            name="c",
            title="C",
            find=find.c,
            recipe=c.recipe,
            inputs=c.inputs,
            refuse=c.refuse,
            get=WHEELS,
            library="libc",
        ),
    )
    return {row.name: row for row in rows}


TOOLCHAINS: Mapping[str, Language] = _languages()


def report() -> list[Found]:
    """One row for each language, in the table's order."""
    return [Found(language=row.title, tool=row.find(), get=row.get) for row in TOOLCHAINS.values()]


__all__ = ["TOOLCHAINS", "Compiled", "Found", "Inputs", "Language", "Tool", "compile_source", "report", "wat"]
