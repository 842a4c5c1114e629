"""`toolchains`: which compilers this machine has, and how to get the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batchwasm.cli.options import json_option

if TYPE_CHECKING:
    from batchwasm.toolchains import Found


@click.command("toolchains")
@json_option
def command(as_json: bool) -> None:
    """Which compilers are found, and how to get the others."""
    from batchwasm import toolchains
    from batchwasm.cli.render import Column, print_json, print_table

    rows = toolchains.report()
    if as_json:
        print_json(map(_as_dict, rows))
        return
    columns = ("language", "state", "compiler", "version", "where, or how to get it")
    print_table([Column(title=title, words=title == "state") for title in columns], map(_cells, rows))


def _as_dict(row: Found) -> dict[str, Any]:
    return {
        "schema": "toolchain/1",
        "language": row.language,
        "found": row.tool is not None,
        "tool": row.what or None,
        "version": row.version or None,
        "path": row.path or None,
        "get": row.get if row.tool is None else None,
        "note": row.note or None,
        "first_use_s": row.first_use_s,
    }


def _cells(row: Found) -> tuple[str, ...]:
    if row.tool is None:
        return (row.language, "missing", "", "", "; ".join(filter(None, (row.get, row.note))))
    first = f"its first compile takes about {row.first_use_s:.0f} s longer" if row.first_use_s else ""
    return (row.language, "found", row.what, row.version, "; ".join(filter(None, (row.path, row.note, first))))
