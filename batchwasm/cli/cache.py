"""`cache list | clean`: which results of earlier runs are known, and forgetting that; the results stay."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchwasm.cli import complete
from batchwasm.cli.commands import Commands
from batchwasm.cli.options import AGE, json_option

if TYPE_CHECKING:
    from batchwasm.known import Listed

LIST_SCHEMA, CLEAN_SCHEMA = "cache/1", "cache-clean/1"


@click.group("cache", cls=Commands)
def command() -> None:
    """What is known of earlier runs, for jobs with `cache = true` to take, and forgetting it."""


@command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """How many results are known, by run and job."""
    from batchwasm.cli.render import Column, print_json, print_table
    from batchwasm.known import Known
    from batchwasm.units import count_text

    found = Known().list()
    if as_json:
        print_json(map(_as_dict, found))
        return
    columns = [
        *(Column(title="run"), Column(title="job"), Column(title="tasks", right=True)),
        *(Column(title="known since"), Column(title="last used"), Column(title="folder")),
    ]
    print_table(
        columns,
        (
            [
                *(Path(each.folder).name, each.job, count_text(each.tasks)),
                *(_time(each.added_at), _time(each.used_at)),
                each.folder if _is_there(each) else f"{each.folder} (gone)",
            ]
            for each in found
        ),
    )


@command.command("clean", short_help="Forget what is known of a run, of old runs, or of all.")
@click.argument("run", required=False, metavar="[RUN]", shell_complete=complete.runs)
@click.option("--all", "all_", is_flag=True, help="All that is known.")
@click.option("--older-than", "older_than_s", type=AGE, help="What was not used for so long, such as 30d.")
@json_option
def clean_command(run: str | None, all_: bool, older_than_s: float | None, as_json: bool) -> None:
    """Forget what is known of RUN, or of old runs; without any of these, of runs that were removed.

    No result is removed: they stay in the folders of their runs.
    """
    from batchwasm.cli.render import print_json
    from batchwasm.escape import say
    from batchwasm.known import Known
    from batchwasm.units import count_text

    if sum((run is not None, all_, older_than_s is not None)) > 1:
        raise click.UsageError("RUN, --all and --older-than: one of them at a time")
    if run is not None:
        count = Known().clean(folder=_folder(run))
    elif older_than_s is not None:
        count = Known().clean(older_than_s=older_than_s)
    else:
        count = Known().clean(gone=not all_)
    if as_json:
        print_json([{"schema": CLEAN_SCHEMA, "forgotten": count}])
    else:
        what = "1 result" if count == 1 else f"{count_text(count)} results"
        say(f"forgot {what}" if count else "nothing to forget")


def _folder(run: str) -> str:
    """Of a run that is there, or of one that was removed and is known still. Raises RunError."""
    from batchwasm import results
    from batchwasm.errors import RunError
    from batchwasm.known import Known

    try:
        return str(results.find(run, Path.cwd()).path)
    except RunError:
        folders = {each.folder for each in Known().list()}
        found = [folder for folder in folders if run in (folder, Path(folder).name)]
        if len(found) != 1:
            raise
        return found[0]


def _is_there(each: Listed) -> bool:
    return Path(each.folder, "journal.db").is_file()


def _time(at: float) -> str:
    import time

    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))


def _as_dict(each: Listed) -> dict[str, Any]:
    return {
        "schema": LIST_SCHEMA,
        "run": Path(each.folder).name,
        "folder": each.folder,
        "job": each.job,
        "tasks": each.tasks,
        "added_at": each.added_at,
        "used_at": each.used_at,
        "there": _is_there(each),
    }
