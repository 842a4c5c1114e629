"""`report`: a run as one HTML file."""

from __future__ import annotations

from pathlib import Path

import click

from batchwasm.cli.options import PATH, json_option, run_option


@click.command("report")
@run_option
@click.option("-o", "--output", type=PATH, metavar="FILE", help="Default: report.html in the run folder; - is stdout.")
@json_option
def command(run: str | None, output: Path | None, as_json: bool) -> None:
    """A run, live or over, as one HTML file that needs no network; prints its path."""
    from batchwasm import report, results
    from batchwasm.cli.render import print_json

    to_stdout = output is not None and str(output) == "-"
    written = report.write(results.find(run, Path.cwd()), Path("/dev/stdout") if to_stdout else output)
    if to_stdout:
        return
    if as_json:
        print_json([written.as_dict()])
    else:
        click.echo(written.path)
