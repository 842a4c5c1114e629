"""`retry [JOB | TASK...]`: what did not succeed runs again; a run without a scheduler goes on in this terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli import complete
from batchwasm.cli.options import again_inventory_options, json_option, run_option, wait_hosts_option

if TYPE_CHECKING:
    from batchwasm.asking import Retried, Tasks
    from batchwasm.cli.detach import Background
    from batchwasm.results import RunFolder

SHOWN_JOBS = 10
_STAY = (
    ("succeeded", "had succeeded and stays as it is", "had succeeded and stay as they are"),
    ("unfinished", "waits or runs anyway", "wait or run anyway"),
    ("skipped", "stays skipped, after one that did not succeed", "stay skipped, after others that did not succeed"),
)
"""Of tasks that were asked for and do not wait again: the word of the answer, and what is said of one and of many."""


@click.command("retry")
@click.argument("tasks", nargs=-1, metavar="[JOB|TASK]...", shell_complete=complete.jobs_and_tasks)
@run_option
@again_inventory_options
@wait_hosts_option
@json_option
@click.option("--detach", is_flag=True, help="A run that is over goes on in the background.")
@click.option("-q", "--quiet", is_flag=True, help="Do not show what tasks print, nor progress.")
def command(
    tasks: tuple[str, ...],
    run: str | None,
    inventory: Path | None,
    hosts: str | None,
    wait_hosts_s: float,
    as_json: bool,
    detach: bool,
    quiet: bool,
) -> int:
    """Run tasks again that did not succeed: JOB is all of its tasks, TASK (JOB/INDEX) one; without any, all of the run.

    What was skipped because of them, or cancelled, waits again, too. A run that goes on is told, and this command ends;
    one that is over goes on in this terminal, as with 'batchwasm resume', and ends with the run's exit code.
    """
    from batchwasm import api, results
    from batchwasm.cli.render import print_json
    from batchwasm.cli.tasks import parse_many
    from batchwasm.escape import visible

    background = None
    if detach:
        from batchwasm.cli import detach as detaching

        background = detaching.enter(as_json=as_json)
    folder = results.find(run, Path.cwd())
    status = api.status(folder)
    chosen = parse_many(tasks, {job.name: job.tasks.total for job in status.jobs}) if tasks else None
    if status.state != "running":
        return _resume(folder, chosen, inventory, hosts, wait_hosts_s, background, as_json=as_json, quiet=quiet)
    if inventory is not None or hosts is not None:
        raise click.UsageError(f"{folder.name} goes on: it follows its own inventory, which you may edit")
    done = api.retry(folder, chosen)
    if as_json:
        print_json([done.as_dict()])
    else:
        click.echo(visible(f"{results.reference(folder, Path.cwd())}: {'; '.join(_told(done))}"))
    return 0


def _resume(
    folder: RunFolder,
    chosen: Tasks | None,
    inventory: Path | None,
    hosts: str | None,
    wait_hosts_s: float,
    background: Background | None,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    from batchwasm import api, results
    from batchwasm.cli import going
    from batchwasm.cli.render import print_json
    from batchwasm.escape import say

    events, found = api.to_retry(folder, chosen)
    say(f"{results.reference(folder, Path.cwd())}: {'; '.join(_told(found))}")
    if not events:
        if as_json:
            print_json([found.as_dict()])
        if api.status(folder).tasks.waiting:
            say(f"what waits starts with 'batchwasm resume {results.reference(folder, Path.cwd())}'")
        return 0
    with going.shown(as_json, quiet, background) as going_on:
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


def _told(done: Retried) -> Iterator[str]:
    from batchwasm.units import count_text, tasks_text

    if done.again:
        hit = [job for job in done.jobs if job["again"]]
        jobs = [f"{count_text(job['again'])} of {job['job']}" for job in hit[:SHOWN_JOBS]]
        more = ", ..." if len(hit) > SHOWN_JOBS else ""
        named = f"({', '.join(jobs)}{more})" if len(hit) > 1 else f"(of {hit[0]['job']})"
        yield f"{tasks_text(done.again, 'waits again', 'wait again')} {named}"
    else:
        yield "nothing is to be run again"
    for word, one, many in _STAY:
        number = sum(job[word] for job in done.jobs)
        if number:
            yield tasks_text(number, one, many)
