"""`tui`: a run on a dashboard, live or afterwards."""

from __future__ import annotations

from pathlib import Path

import click

from batchwasm.cli.options import run_option


@click.command("tui")
@run_option
def command(run: str | None) -> None:
    """A run on a dashboard, live or afterwards: progress, jobs, hosts, what happened last; q leaves it, ? tells keys.

    From any terminal: the run does not know that it is looked at, and goes on when the dashboard is left.
    """
    from batchwasm import results
    from batchwasm.cli import dashboard

    dashboard.check_terminal("tui")
    dashboard.show(results.find(run, Path.cwd()))
