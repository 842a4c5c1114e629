"""`retry [JOB | TASK...]`: what did not succeed runs again; a run without a scheduler goes on in this terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli import complete
from batchwasm.cli.options import (
    again_inventory_options,
    json_option,
    run_option,
    telling_options,
    tui_option,
    wait_hosts_option,
)

if TYPE_CHECKING:
    from batchwasm.asking import Tasks
    from batchwasm.cli.detach import Background
    from batchwasm.results import RunFolder
    from batchwasm.telling import Wanted


@click.command("retry")
@click.argument("tasks", nargs=-1, metavar="[JOB|TASK]...", shell_complete=complete.jobs_and_tasks)
@run_option
@again_inventory_options
@wait_hosts_option
@json_option
@click.option("--detach", is_flag=True, help="A run that is over goes on in the background.")
@tui_option
@click.option("-q", "--quiet", is_flag=True, help="Do not show what tasks print, nor progress.")
@telling_options
def command(
    tasks: tuple[str, ...],
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
    """Run tasks again that did not succeed: JOB is all of its tasks, TASK (JOB/INDEX) one; without any, all of the run.

    What was skipped because of them, or cancelled, waits again, too. A run that goes on is told, and this command ends
    (with --tui it shows that run); one that is over goes on in this terminal, as with 'batchwasm resume', and ends with
    the run's exit code.
    """
    from batchwasm import api, results
    from batchwasm.cli import dashboard
    from batchwasm.cli import detach as detaching
    from batchwasm.cli.tasks import parse_many

    shown = dashboard.over_it(tui, detach=detach, json=as_json)
    folder = results.find(run, Path.cwd())
    status = api.status(folder)
    chosen = parse_many(tasks, {job.name: job.tasks.total for job in status.jobs}) if tasks else None
    if status.state != "running":
        background = detaching.enter(as_json=as_json, shown=shown) if detach or tui else None
        return _resume(folder, chosen, inventory, hosts, wait_hosts_s, background, wanted, as_json, quiet)
    if wanted is not None:
        raise click.UsageError(f"{folder.name} goes on: what it tells to whom was decided where it was started")
    if inventory is not None or hosts is not None:
        raise click.UsageError(f"{folder.name} goes on: it follows its own inventory, which you may edit")
    return _tell(folder, chosen, shown, as_json)


def _tell(folder: RunFolder, chosen: Tasks | None, shown: Callable[[Path], int] | None, as_json: bool) -> int:
    """To the scheduler of a run that goes on; then it is `shown`, where that is wanted."""
    from batchwasm import answers, api, results
    from batchwasm.cli.render import print_json
    from batchwasm.escape import visible

    done = api.retry(folder, chosen)
    if as_json:
        print_json([done.as_dict()])
    else:
        click.echo(visible(f"{results.reference(folder, Path.cwd())}: {answers.retried(done)}"))
    return 0 if shown is None else shown(folder.path)


def _resume(
    folder: RunFolder,
    chosen: Tasks | None,
    inventory: Path | None,
    hosts: str | None,
    wait_hosts_s: float,
    background: Background | None,
    wanted: Wanted | None,
    as_json: bool,
    quiet: bool,
) -> int:
    from batchwasm import answers, api, results
    from batchwasm.cli import going
    from batchwasm.cli.render import print_json
    from batchwasm.escape import say

    events, found = api.to_retry(folder, chosen)
    say(f"{results.reference(folder, Path.cwd())}: {answers.retried(found)}")
    if not events:
        if as_json:
            print_json([found.as_dict()])
        if api.status(folder).tasks.waiting:
            say(f"what waits starts with 'batchwasm resume {results.reference(folder, Path.cwd())}'")
        return 0
    with going.shown(as_json, quiet, background, wanted) as going_on:
        going_on.started(folder)
        return going_on.to_its_end(
            lambda: api.resume(
                folder,
                inventory=inventory,
                hosts=hosts,
                before=events,
                wait_hosts_s=wait_hosts_s,
                watcher=going_on.watcher,
                signals=True,
            )
        )
