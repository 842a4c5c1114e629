"""`replay TASK`: run a task of an earlier run again, here or on a host, and compare what it gives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchwasm.cli import complete
from batchwasm.cli.options import PATH, json_option, run_option

if TYPE_CHECKING:
    from batchwasm.replaying import Replayed

SCHEMA = "replay/1"


@click.command("replay")
@click.argument("task", metavar="TASK", shell_complete=complete.tasks)
@run_option
@click.option(
    "--host",
    metavar="HOST",
    shell_complete=complete.run_hosts,
    help="On this host of the run's inventory; default: this machine.",
)
@click.option("--keep", type=PATH, metavar="DIR", help="Keep what the replay makes, as a run folder in DIR.")
@click.option("--print", "as_program", is_flag=True, help="Run nothing; print what does the same with plain wasmtime.")
@json_option
def command(task: str, run: str | None, host: str | None, keep: Path | None, as_program: bool, as_json: bool) -> int:
    """Run TASK (JOB/INDEX, or JOB where it has one task) again, and compare: the same wasm, the same input, the same
    limits.

    Outcome, exit code, stdout, value and the digests of outputs are compared. Exit code 0: the same; 1: different, and
    what is; 2: it can't be had again, since an input changed, say.

    \b
    --print gives a shell script for a program, a Python script for a function:
      batchwasm replay sweep/17 --print > replay.sh && sh replay.sh
    """
    from batchwasm import api, plain, replaying
    from batchwasm.cli.render import print_json
    from batchwasm.cli.tasks import parse
    from batchwasm.errors import EXIT_SUCCEEDED, EXIT_TASKS_FAILED

    if as_program and (host is not None or keep is not None or as_json):
        raise click.UsageError("--print runs nothing; it goes without --host, --keep and --json")
    folder = api.find(run)
    job, index = parse(task, {row.name: row.tasks.total for row in api.status(folder).jobs})
    found = replaying.find(folder, job, index)
    if as_program:
        click.echo(plain.program(found.recipe, found.artifact, found.mounts()), nl=False)
        return EXIT_SUCCEEDED
    replayed = replaying.replay(found, host=host, keep=keep, watcher=_watcher(), signals=True)
    if as_json:
        print_json([_as_dict(replayed)])
    else:
        for line in _lines(replayed):
            click.echo(line)
    return EXIT_TASKS_FAILED if replayed.compared.differences else EXIT_SUCCEEDED


def _watcher() -> Any:
    from batchwasm.engine.plan import Watcher
    from batchwasm.escape import say

    class Notes(Watcher):
        def note(self, text: str) -> None:
            say(text)

    return Notes()


def _as_dict(replayed: Replayed) -> dict[str, Any]:
    from dataclasses import asdict

    found, compared = replayed.found, replayed.compared
    return {
        "schema": SCHEMA,
        "run": found.recipe.run,
        "folder": str(found.folder.path),
        "job": found.recipe.job.name,
        "index": found.recipe.index,
        "attempt": found.recipe.number,
        "host": replayed.host,
        "before_host": found.attempt.host or None,
        "same": not compared.differences,
        "outcome": compared.outcome,
        "differences": [asdict(difference) for difference in compared.differences],
        "notes": [*found.notes, *compared.notes],
        "kept": None if replayed.kept is None else str(replayed.kept),
    }


def _lines(replayed: Replayed) -> Iterator[str]:
    from batchwasm.escape import visible

    found, compared = replayed.found, replayed.compared
    made = found.recipe
    before = f"on {found.attempt.host}" if found.attempt.host else f"in {found.attempt.record.cached}"
    name = f"{made.job.name}/{made.index} of {made.run}"
    if compared.differences:
        yield visible(f"different: {name} gives something else on {replayed.host} than {before}")
    else:
        same = ", ".join([compared.outcome.replace("_", " "), *compared.same])
        yield visible(f"same: {name} gives on {replayed.host} what it gave {before}: {same}")
    for difference in compared.differences:
        yield visible(f"  {difference.what.replace('_', ' ')}: {difference.text}")
    for note in (*found.notes, *compared.notes):
        yield visible(f"  note: {note}")
    if replayed.kept is not None:
        yield visible(f"  what it made is in {replayed.kept}")
