"""`pause`: a run that goes on starts nothing new."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli.options import json_option, run_option

if TYPE_CHECKING:
    from batchwasm.asking import Paused


@click.command("pause")
@run_option
@json_option
def command(run: str | None, as_json: bool) -> None:
    """Have a run that goes on start nothing new; what runs goes on to its end. 'batchwasm unpause' takes it back.

    Exit code 3 where nobody works on the run.
    """
    from batchwasm import api, results

    folder = results.find(run, Path.cwd())
    show(api.pause(folder), results.reference(folder, Path.cwd()), as_json)


def show(done: Paused, run: str, as_json: bool) -> None:
    """What was done, as `run` is called here."""
    from batchwasm import answers
    from batchwasm.cli.render import print_json
    from batchwasm.escape import visible

    if as_json:
        print_json([done.as_dict()])
    else:
        again = f"it goes on with 'batchwasm unpause -r {run}'"
        click.echo(visible(f"{run}: {answers.paused(done, again)}"))
