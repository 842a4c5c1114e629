"""The dashboard on this terminal: over a run of others, or one that a command started in the background for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli.detach import Background, enter, is_background, program
from batchwasm.escape import say

if TYPE_CHECKING:
    from batchwasm.results import RunFolder
    from batchwasm.tui.app import Left


def over_it(tui: bool, **others: bool) -> Callable[[Path], int] | None:
    """What shows the run that a command starts, for `detach.enter`; None where that is not wanted.

    Raises UsageError where `others`, options by name, do not go with --tui, or where there is no terminal for it.
    """
    if not tui or is_background():
        return None
    given = [f"--{name.replace('_', '-')}" for name, is_given in others.items() if is_given]
    if given:
        raise click.UsageError(f"--tui with {given[0]}: the dashboard has the terminal to itself; leave one out")
    check_terminal("--tui")
    return _followed


def background(*, detach: bool, tui: bool, as_json: bool, **others: bool) -> Background | None:
    """For a command that starts a run: None where that goes on in this process; see `over_it` and `detach.enter`."""
    if not (detach or tui):
        return None
    return enter(as_json=as_json, shown=over_it(tui, detach=detach, json=as_json, **others))


def check_terminal(what: str) -> None:
    """Textual reads keys from stdin and draws on stderr. Raises UsageError."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{what}: this is no terminal; 'batchwasm status' tells how far a run is")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise click.UsageError(f"{what}: TERM says that this terminal can do nothing; use 'batchwasm status'")


def show(folder: RunFolder) -> Left:
    """Until it is left; of a run that goes on is said how to come back to it.

    Raises RunError, WorldError where the run can't be read at all.
    """
    from batchwasm.tui.app import Dashboard
    from batchwasm.views.view import View

    View(folder).close()  # one that can't be read is told here, and not on an empty screen
    app = Dashboard(partial(View, folder), folder, program())
    left = app.run() or "goes on"
    if left == "goes on":
        say("\n".join(_goes_on(folder)))
    if app.failed is not None:
        raise app.failed
    return left


def _followed(path: Path) -> int:
    """Over a run that this command has started: the exit code of the run, or 0 where it is left to go on."""
    from batchwasm import api
    from batchwasm.cli.going import summarize
    from batchwasm.results import RunFolder

    folder = RunFolder(path=path)
    if show(folder) == "goes on":
        return 0
    ran = api.ran(folder)
    summarize(ran)
    return ran.exit_code


def _goes_on(folder: RunFolder) -> Iterator[str]:
    from batchwasm.results import reference

    run = reference(folder, Path.cwd())
    yield f"run {folder.name} goes on in the background; from any terminal:"
    for command in ("tui", "status", "wait"):
        yield f"  batchwasm {command} -r {run}"
