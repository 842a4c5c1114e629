"""`call FILE:FUNCTION [ARG...]`: call a function once; its value as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchwasm.cli import complete
from batchwasm.cli.calling import OPTIONS_FIRST, bad_argument, calling_options, fleet_of, read_target

if TYPE_CHECKING:
    from batchwasm.functions import Param


@click.command("call", context_settings=OPTIONS_FIRST)
@calling_options
@click.argument("target", metavar="FILE:FUNCTION", shell_complete=complete.functions)
@click.argument("args", nargs=-1, metavar="[ARG...]", type=click.UNPROCESSED)
def command(
    target: str,
    args: tuple[str, ...],
    inventory: Path | None,
    hosts: str | None,
    wait_hosts_s: float,
    quiet: bool,
    **given: Any,
) -> None:
    """Call a function of a source (.rs .cpp .c .go, or a folder with Cargo.toml or go.mod) and print its value as JSON.

    An ARG for a string is taken as it is; any other is JSON: 3, true, [1.5, 2], '{"x": 1, "y": 2}'. @FILE reads an ARG
    from a file: JSON, or for a list<u8> its bytes. What the function prints goes to stderr.
    """
    from batchwasm.functions.json_values import dumps
    from batchwasm.functions.values import BadArgument, encoder

    found = read_target(target, inventory, hosts, given)
    params = found.signature.params
    try:
        values = [_value(param, text) for param, text in zip(params, args, strict=False)]
        encoder(params)(values if len(args) <= len(params) else args)
    except BadArgument as error:
        raise bad_argument(found.signature, error) from error
    with fleet_of("call", found, inventory, hosts, wait_hosts_s, quiet) as (fleet, function, _):
        value = fleet.submit(function, *values).result()
    if not quiet:
        _show_output(fleet.folder.path)
    result = found.signature.result
    sys.stdout.write(("null" if result is None else dumps(result, value)) + "\n")


def _value(param: Param, text: str) -> object:
    from batchwasm.functions.json_values import argument
    from batchwasm.functions.types import Bytes, String
    from batchwasm.functions.values import BadArgument

    if not text.startswith("@") or isinstance(param.type, String):
        return argument(param, text)
    try:
        content = Path(text[1:]).read_bytes()
        return content if isinstance(param.type, Bytes) else argument(param, content.decode())
    except OSError as error:
        raise BadArgument(f"{param.name}: {text[1:]} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadArgument(f"{param.name}: {text[1:]} is not UTF-8") from error


def _show_output(folder: Path) -> None:
    """What the guest printed, on stderr: stdout is the value's alone."""
    from batchwasm import api
    from batchwasm.escape import say

    for row in api.results(api.find(str(folder))):
        for text in (row.stdout, row.stderr):
            if text:
                say(text.rstrip("\n"))
        for name, path in (("stdout", row.stdout_path), ("stderr", row.stderr_path)):
            if path:
                say(f"its {name} is in {path}")
