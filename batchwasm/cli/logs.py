"""`logs TASK`: what a task wrote, byte for byte."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from batchwasm.cli import complete
from batchwasm.cli.options import run_option


@click.command("logs")
@click.argument("task", metavar="TASK", shell_complete=complete.tasks)
@run_option
@click.option("--stderr", "only_stderr", is_flag=True, help="Its stderr alone, on stdout.")
def command(task: str, run: str | None, only_stderr: bool) -> None:
    """What TASK (JOB/INDEX, or JOB where it has one task) wrote: its stdout on stdout, its stderr on stderr.

    Byte for byte into a pipe or file; on a terminal, control characters are shown as escapes.
    """
    from batchwasm import api, results
    from batchwasm.cli.escape import copy
    from batchwasm.cli.streams import open_stream, reader
    from batchwasm.cli.tasks import parse
    from batchwasm.errors import RunError

    folder = results.find(run, Path.cwd())
    job, index = parse(task, {job.name: job.tasks.total for job in api.status(folder).jobs})
    with reader(folder) as streams:
        written = streams.read(job, index)
    if written is None:
        row = next(api.results(folder, job=job, index=index), None)
        raise RunError(
            f"{job}/{index} {'has not ended' if row is None else f'is {row.outcome}'}; there is nothing to show"
        )
    pairs = (
        [(written.stderr, sys.stdout)] if only_stderr else [(written.stdout, sys.stdout), (written.stderr, sys.stderr)]
    )
    for stream, target in pairs:
        with open_stream(stream) as source:
            copy(source, target)
