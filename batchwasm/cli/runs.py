"""`runs list | rm | export`: the run folders."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli import complete
from batchwasm.cli.commands import Commands
from batchwasm.cli.options import AGE, PATH, json_option

if TYPE_CHECKING:
    from batchwasm.housekeeping import Kept, Removed
    from batchwasm.results import RunFolder


@click.group("runs", cls=Commands)
def command() -> None:
    """The run folders: list them, remove some, export results.

    RUN is a run's name or the path of its folder.
    """


@command.command("list")
@click.option("--calls", is_flag=True, help="Also those that call, map and Fleet left.")
@json_option
def list_command(calls: bool, as_json: bool) -> None:
    """All runs that are known, here and in the index, newest first.

    Those here are in BATCHWASM_RUNS or ./batchwasm-runs. A run that can't be read is listed as such, with what is wrong
    with it.
    """
    from batchwasm import housekeeping
    from batchwasm.cli.render import Column, print_json, print_table
    from batchwasm.escape import say
    from batchwasm.units import size_text

    found = housekeeping.kept(Path.cwd(), calls=calls)
    if as_json:
        print_json(run.as_dict() for run in found)
        return
    runs = list(found)
    columns = [Column(title="run"), Column(title="state", words=True), Column(title="started")]
    columns += [Column(title=title, right=True) for title in ("done", "tasks", "failed", "size")]
    print_table([*columns, Column(title="folder")], map(_cells, runs))
    for run in runs:
        if run.state == "unreadable":
            say(f"{run.run} can't be read: {run.why}")
    if len(runs) > 1:
        say(f"{len(runs)} runs take {size_text(sum(run.bytes for run in runs))}")


def _cells(run: Kept) -> list[str]:
    from batchwasm.units import count_text, size_text

    started = "" if run.started_at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started_at))
    tasks = run.tasks
    counts = ["", "", ""] if tasks is None else [count_text(n) for n in (tasks.done, tasks.total, tasks.failed)]
    return [run.run, run.state, started, *counts, size_text(run.bytes), run.folder]


@command.command("rm")
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=complete.run_names)
@click.option(
    "--older-than",
    "older_than_s",
    type=AGE,
    metavar="AGE",
    help="Instead of RUN: all here that ended longer ago, such as 30d or 12h.",
)
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Instead of RUN: all here but the newest N.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@click.option("--force", is_flag=True, help="Also runs that can't be read, or whose tasks may still run on hosts.")
@json_option
def rm_command(
    runs: tuple[str, ...], older_than_s: float | None, keep: int | None, dry_run: bool, force: bool, as_json: bool
) -> None:
    """Remove runs for good: their results, outputs and journals.

    Where one of several names is wrong, or one of the runs goes on, nothing is removed. --older-than and --keep are
    about the runs in BATCHWASM_RUNS or ./batchwasm-runs, without those that go on; together they remove what is old and
    not among the newest.

    \b
    Examples:
      batchwasm runs rm tour-3 tour-4             these two
      batchwasm runs rm --older-than 30d          all here that ended more than 30 days ago
      batchwasm runs rm --keep 5 --dry-run        what would go if the newest five were kept
    """
    from batchwasm import housekeeping

    by_age = older_than_s is not None or keep is not None
    if bool(runs) == by_age:
        raise click.UsageError("name the runs, or give --older-than or --keep" + (", not both" if by_age else ""))
    if by_age:
        found = housekeeping.old(Path.cwd(), older_than_s=older_than_s, keep=keep, now=time.time())
        found = _free(found, force)
    else:
        found = housekeeping.named(runs, Path.cwd(), force=force)
    _remove(found, dry_run, as_json)


def _free(found: list[RunFolder], force: bool) -> list[RunFolder]:
    """Those that nothing is in the way of; of the others it is said what is."""
    from batchwasm.errors import RunError
    from batchwasm.escape import say
    from batchwasm.housekeeping import in_the_way

    free = []
    for folder in found:
        try:
            problem = in_the_way(folder, force=force)
        except RunError as error:
            problem = str(error)
        if problem is None:
            free.append(folder)
        else:
            say(f"kept: {problem}")
    return free


def _remove(found: list[RunFolder], dry_run: bool, as_json: bool) -> None:
    from batchwasm import housekeeping
    from batchwasm.cli.render import print_json
    from batchwasm.escape import say
    from batchwasm.units import size_text

    freed, count = 0, 0
    for folder in found:
        run = housekeeping.would_remove(folder) if dry_run else housekeeping.remove(folder)
        freed, count = freed + run.bytes, count + 1
        if as_json:
            print_json([run.as_dict()])
        else:
            click.echo(_sentence(run, dry_run))
    if not found:
        say("there is nothing to remove")
    elif count > 1:
        say(f"{count} runs, {size_text(freed)} {'would be free' if dry_run else 'are free'}")


def _sentence(run: Removed, dry_run: bool) -> str:
    from batchwasm.escape import visible
    from batchwasm.units import size_text

    did = "would be removed" if dry_run else "removed"
    return visible(f"{run.run}: {did}, {size_text(run.bytes)} {'would be' if dry_run else 'are'} free ({run.folder})")


@command.command("export", short_help="Write all results as a table, or a bundle to replay.")
@click.argument("run", required=False, metavar="[RUN]", shell_complete=complete.run_names)
@click.option("-o", "--output", type=PATH, metavar="FILE", help="A file, or a folder for RUN.csv; default: stdout.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("csv", "jsonl")),
    help="A table, or what 'results --json' prints; default: as FILE ends, else csv.",
)
@click.option(
    "--with-inputs",
    is_flag=True,
    help="Instead of a table: the run folder and all that tasks were given, as FILE.tar.gz or a folder.",
)
@click.option("--force", is_flag=True, help="With --with-inputs: also without inputs that changed or are gone.")
def export_command(run: str | None, output: Path | None, form: str | None, with_inputs: bool, force: bool) -> None:
    """Write the results of all tasks that have ended as a table; of the newest run where RUN is not given.

    With --with-inputs a bundle that 'batchwasm replay TASK -r FOLDER' takes on another machine.

    CSV has one header, and a column for each parameter of any job, behind job and index.

    \b
    Examples:
      batchwasm runs export > results.csv
      batchwasm runs export tour-3 -o tour.jsonl        as 'batchwasm results --json'
      batchwasm runs export tour-3 -o tables/           writes tables/tour-3.csv
      batchwasm runs export tour-3 --with-inputs        writes tour-3.tar.gz
    """
    from batchwasm.cli import runs_export

    if force and not with_inputs:
        raise click.UsageError("--force goes with --with-inputs")
    if with_inputs:
        if form is not None:
            raise click.UsageError("--with-inputs writes no table; it goes without --format")
        if str(output) == "-":
            raise click.UsageError("--with-inputs writes a file or a folder; give its name with -o")
        runs_export.bundle(run, output, force=force)
    else:
        runs_export.run(run, output, form)
