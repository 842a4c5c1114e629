"""`status`: how far a run is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli.options import json_option, run_option

if TYPE_CHECKING:
    from batchwasm.rows import HostRow, Status, TaskCounts


@click.command("status")
@run_option
@json_option
def command(run: str | None, as_json: bool) -> None:
    """How far a run is: its tasks, jobs and hosts."""
    from batchwasm import api, results
    from batchwasm.cli.render import print_json

    status = api.status(results.find(run, Path.cwd()))
    if as_json:
        print_json([status.as_dict()])
    else:
        _show(status)


def _show(status: Status) -> None:
    from batchwasm.cli import usage
    from batchwasm.cli.render import Column, print_table
    from batchwasm.escape import visible, visible_text
    from batchwasm.units import duration_text, taken_text

    why = f": {status.reason}" if status.reason else ""
    click.echo(visible_text(f"run     {status.run}, {status.state} after {duration_text(status.wall_s)}{why}"))
    if status.paused is not None:
        again = f"nothing new is started until 'batchwasm unpause -r {status.run}'"
        click.echo(visible(f"paused  {status.paused}; {again}" if status.paused else f"paused  {again}"))
    click.echo(visible(f"folder  {status.folder}"))
    click.echo(f"tasks   {', '.join(_tally(status.tasks))}")
    for sentence in status.comparing:
        click.echo(visible(f"compare {sentence}"))
    if status.taken:
        click.echo(visible(f"cache   {taken_text(status.taken)}"))
    counts = ("total", "waiting", "running", "succeeded", "failed", "cancelled", "skipped")
    if status.jobs:
        click.echo()
        columns = [Column(title="job"), *(Column(title=word, right=True) for word in counts)]
        print_table(
            columns, ([job.name, *(_number(getattr(job.tasks, word)) for word in counts)] for job in status.jobs)
        )
    if any(job.usage for job in status.jobs):
        click.echo()
        usage.show(status.jobs)
    if status.hosts:
        click.echo()
        then = "state" if status.state == "running" else "last state"
        columns = [Column(title="host"), Column(title=then, words=True)]
        columns += [*(Column(title=word, right=True) for word in ("cpus", "running", "done")), Column(title="why")]
        print_table(columns, map(_host_cells, status.hosts))


def _host_cells(host: HostRow) -> list[str]:
    numbers = (host.cpus or 0, host.running, host.done)
    return [host.name, host.state, *map(_number, numbers), host.reason or ""]


def _tally(tasks: TaskCounts) -> Iterator[str]:
    """`12 in all`, `10 succeeded`, `2 failed`: what is zero is left out."""
    from batchwasm.units import count_text

    yield f"{count_text(tasks.total)} in all"
    for word in ("waiting", "running", "succeeded", "failed", "cancelled", "skipped"):
        if number := getattr(tasks, word):
            yield f"{count_text(number)} {word}"


def _number(number: float) -> str:
    from batchwasm.units import count_text

    if number != int(number):
        return f"{number:g}"
    return count_text(int(number)) if number else "-"
