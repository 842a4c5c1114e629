"""`cancel JOB | TASK...`: tasks of a run that goes on won't run; those that run are stopped."""

from __future__ import annotations

from pathlib import Path

import click

from batchwasm.cli import complete
from batchwasm.cli.options import json_option, run_option


@click.command("cancel")
@click.argument("tasks", nargs=-1, metavar="[JOB|TASK]...", shell_complete=complete.jobs_and_tasks)
@click.option("--all", "everything", is_flag=True, help="The whole run: it ends.")
@run_option
@json_option
def command(tasks: tuple[str, ...], everything: bool, run: str | None, as_json: bool) -> None:
    """Have tasks of a run that goes on not run: JOB is all of its tasks, TASK (JOB/INDEX) one.

    What runs is stopped at once; what had ended stays as it is. What comes after a cancelled task is skipped.
    'batchwasm retry' takes it back. A run with cancelled tasks ends with exit code 4;
    this command with 0, or with 3 where nobody works on the run.
    """
    from batchwasm import answers, api, results
    from batchwasm.cli.render import print_json
    from batchwasm.cli.tasks import parse_many
    from batchwasm.escape import visible

    if everything == bool(tasks):
        raise click.UsageError(
            "say what to cancel: JOB, TASK (such as sim/3), or --all" + (", not both" if tasks else "")
        )
    folder = results.find(run, Path.cwd())
    chosen = None if everything else parse_many(tasks, {job.name: job.tasks.total for job in api.status(folder).jobs})
    done = api.cancel(folder, chosen)
    if as_json:
        print_json([done.as_dict()])
    else:
        click.echo(visible(f"{results.reference(folder, Path.cwd())}: {answers.cancelled(done)}"))
