"""`report`: a run as one HTML file."""

from __future__ import annotations

import sys
from io import BytesIO
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
    from batchwasm.escape import copy, for_stream

    to_stdout = str(output) == "-"
    if to_stdout and as_json:
        raise click.UsageError("-o - and --json: both would write to stdout; give -o a file")
    folder = results.find(run, Path.cwd())
    if to_stdout:  # not by the name /dev/stdout: to open a file by it is to empty it, and a socket can't be opened so
        copy(BytesIO(report.html(folder)), sys.stdout)
        return
    written = report.write(folder, output)
    if as_json:
        print_json([written.as_dict()])
    else:
        print(for_stream(written.path, sys.stdout))  # click.echo takes escape sequences out of what is piped
