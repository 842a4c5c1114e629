"""`pause`: a run that goes on starts nothing new."""

from __future__ import annotations

from collections.abc import Iterator
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
    from batchwasm.cli.render import print_json
    from batchwasm.escape import visible

    if as_json:
        print_json([done.as_dict()])
    else:
        click.echo(visible(f"{run}: {'; '.join(_paused(done, run) if done.paused else _unpaused(done))}"))


def _paused(done: Paused, run: str) -> Iterator[str]:
    from batchwasm.units import tasks_text

    yield "paused: nothing new is started" if done.was is None else f"was paused already ({done.was})"
    if done.running:
        yield f"{tasks_text(done.running, 'goes on to its end', 'go on to their end')}"
    yield tasks_text(done.waiting, "waits", "wait")
    yield f"it goes on with 'batchwasm unpause -r {run}'"


def _unpaused(done: Paused) -> Iterator[str]:
    from batchwasm.units import tasks_text

    yield "was not paused" if done.was is None else f"goes on; it was paused {done.was}"
    yield f"{tasks_text(done.waiting, 'waits', 'wait')}, {tasks_text(done.running, 'runs', 'run')}"
