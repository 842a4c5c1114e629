"""`resume`: go on with a run whose scheduler ended before it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli import complete
from batchwasm.cli.options import (
    again_inventory_options,
    run_option,
    telling_options,
    tui_option,
    wait_hosts_option,
)

if TYPE_CHECKING:
    from batchwasm.telling import Wanted


@click.command("resume")
@click.argument("name", required=False, metavar="[RUN]", shell_complete=complete.runs)
@run_option
@again_inventory_options
@wait_hosts_option
@click.option("--json", "as_json", is_flag=True, help="At the end, print one JSON object about the run.")
@click.option("--detach", is_flag=True, help="Return when the run goes on; it does so in the background.")
@tui_option
@click.option("-q", "--quiet", is_flag=True, help="Do not show what tasks print, nor progress.")
@telling_options
def command(
    name: str | None,
    run: str | None,
    inventory: Path | None,
    hosts: str | None,
    wait_hosts_s: float,
    as_json: bool,
    detach: bool,
    tui: bool,
    quiet: bool,
    wanted: Wanted | None,
) -> int:
    """Go on with RUN, however its scheduler ended: what has finished stays, what its hosts still run is taken in.

    Without RUN, the newest. The jobs are those that it was started with; the inventory is read anew, or given.
    """
    from batchwasm import api
    from batchwasm.cli import dashboard, going

    if name is not None and run is not None and name != run:
        raise click.UsageError(f"{name} and -r {run}: name one run")
    background = dashboard.background(detach=detach, tui=tui, as_json=as_json)
    folder = api.find(name or run)
    with going.shown(as_json, quiet, background, wanted) as going_on:
        going_on.started(folder)
        return going_on.to_its_end(
            lambda: api.resume(
                folder,
                inventory=inventory,
                hosts=hosts,
                wait_hosts_s=wait_hosts_s,
                watcher=going_on.watcher,
                signals=True,
            )
        )
