"""`wait`: returns when a run is over, with the exit code of the run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli import complete
from batchwasm.cli.options import DURATION, run_option
from batchwasm.errors import EXIT_WORLD

if TYPE_CHECKING:
    from batchwasm.core.state import State


@click.command("wait")
@click.argument("name", required=False, metavar="[RUN]", shell_complete=complete.runs)
@run_option
@click.option("--timeout", "timeout_s", type=DURATION, help="Such as 90s or 2h; then it ends with exit code 3.")
@click.option("--json", "as_json", is_flag=True, help="At the end, print the JSON object of 'run --json'.")
def command(name: str | None, run: str | None, timeout_s: float | None, as_json: bool) -> int:
    """Return when RUN is over, with the exit code that it ended with.

    0 all tasks succeeded, 1 some did not, 2 its sources or jobs were wrong, 3 no host was left, its scheduler died, or
    --timeout is over, 4 a person cancelled some, 130 it was interrupted. Ctrl-C ends the waiting, not the run.
    """
    from batchwasm import api, following, results
    from batchwasm.cli.going import summarize
    from batchwasm.cli.render import print_json
    from batchwasm.escape import say
    from batchwasm.units import duration_text

    if name is not None and run is not None:
        raise click.UsageError("give RUN once: as an argument, or with -r")
    folder = results.find(run if name is None else name, Path.cwd())
    with _display() as show:
        over = following.wait(folder, timeout_s=timeout_s, watch=show)
    if not over:
        say(f"{folder.name} still goes on after {duration_text(timeout_s or 0)}")
        return EXIT_WORLD
    ran = api.ran(folder)
    if as_json:
        print_json([ran.as_dict()])
    summarize(ran)
    if ran.exit_code == EXIT_WORLD and folder.scheduler_log.exists():
        say(f"what its scheduler said is in {folder.scheduler_log}")
    return ran.exit_code


@contextmanager
def _display() -> Iterator[Callable[[State], None] | None]:
    """Progress on a terminal; None elsewhere, where nobody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from batchwasm.cli.progress import make
    from batchwasm.cli.watch import CallsWatcher

    progress = make()
    watcher = CallsWatcher(progress)

    def show(state: State) -> None:
        for host in state.hosts.values():
            word = next((word for word, _ in host.closed_by(state.last_at)), "ready")
            progress.host(host.name, _WORDS.get(word, "ready"))  # type: ignore[arg-type]
        watcher.passed(state)

    try:
        yield show
    finally:
        progress.close()


_WORDS = {word: word for word in ("connecting", "busy", "down", "lost", "removed")} | {"silent": "lost"}
"""A host's state, as progress shows it."""
