"""`unpause`: a paused run goes on."""

from __future__ import annotations

from pathlib import Path

import click

from batchwasm.cli.options import json_option, run_option
from batchwasm.cli.pause import show


@click.command("unpause")
@run_option
@json_option
def command(run: str | None, as_json: bool) -> None:
    """Have a paused run go on. Exit code 3 where nobody works on it: 'batchwasm resume' does that."""
    from batchwasm import api, results

    folder = results.find(run, Path.cwd())
    show(api.unpause(folder), results.reference(folder, Path.cwd()), as_json)
