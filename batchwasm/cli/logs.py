"""`logs TASK`: what a task wrote, byte for byte; with -f as it writes."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from batchwasm.cli import complete
from batchwasm.cli.options import run_option

if TYPE_CHECKING:
    from batchwasm.following.output import News
    from batchwasm.results import RunFolder


@click.command("logs")
@click.argument("task", metavar="TASK", shell_complete=complete.tasks)
@run_option
@click.option("-f", "--follow", is_flag=True, help="Show what it writes while it runs, until it has ended.")
@click.option("--stderr", "only_stderr", is_flag=True, help="Its stderr alone, on stdout.")
def command(task: str, run: str | None, follow: bool, only_stderr: bool) -> None:
    """What TASK (JOB/INDEX, or JOB where it has one task) wrote: its stdout on stdout, its stderr on stderr.

    Byte for byte into a pipe or file; on a terminal, control characters are shown as escapes.
    """
    from batchwasm import api, results
    from batchwasm.cli.tasks import parse

    folder = results.find(run, Path.cwd())
    job, index = parse(task, {job.name: job.tasks.total for job in api.status(folder).jobs})
    targets = {"stderr": sys.stdout} if only_stderr else {"stdout": sys.stdout, "stderr": sys.stderr}
    if follow:
        _follow(folder, job, index, targets)
    else:
        _show(folder, job, index, targets)


def _show(folder: RunFolder, job: str, index: int, targets: dict[str, TextIO]) -> None:
    from batchwasm import api
    from batchwasm.cli.streams import open_stream, reader
    from batchwasm.errors import RunError
    from batchwasm.escape import copy

    with reader(folder) as streams:
        written = streams.read(job, index)
    if written is None:
        row = next(api.results(folder, job=job, index=index), None)
        if row is not None:
            raise RunError(f"{job}/{index} is {row.outcome}; there is nothing to show")
        goes_on = api.status(folder).state == "running"
        more = "; -f shows what it writes meanwhile" if goes_on else f", and nobody works on {folder.name} any more"
        raise RunError(f"{job}/{index} has not ended{more}")
    for stream, target in targets.items():
        with open_stream(getattr(written, stream)) as source:
            copy(source, target)


def _follow(folder: RunFolder, job: str, index: int, targets: dict[str, TextIO]) -> None:
    from batchwasm import following
    from batchwasm.cli.follow import Looks
    from batchwasm.errors import RunError, WorldError

    shown = _Shown(targets)
    with following.Following(folder) as run, closing(following.TaskOutput(run, job, index)) as output:
        for _ in Looks(run):
            for news in output.look():
                shown.tell(news)
            if output.outcome is not None:
                break
    shown.end()
    if output.outcome is None:
        raise WorldError(f"{job}/{index} has not ended, and nobody works on {folder.name} any more")
    if not shown.attempts:
        raise RunError(f"{job}/{index} is {output.outcome.word}; there is nothing to show")


class _Shown:
    """What was told of a task that is followed."""

    def __init__(self, targets: dict[str, TextIO]) -> None:
        from batchwasm.escape import Copying

        self._copying = {stream: Copying(target) for stream, target in targets.items()}
        self._waits = ""
        self.attempts = 0

    def tell(self, news: News) -> None:
        from batchwasm.escape import say
        from batchwasm.following.output import Began, Printed, Unseen, Waits

        match news:
            case Printed():
                if news.stream in self._copying:
                    self._copying[news.stream].take(news.source)
            case Began():
                self.attempts += 1
                self.end()
                if news.number > 1 or self.attempts > 1:
                    say(f"--- attempt {news.number} on {news.host} ---")
            case Unseen():
                say(news.why)
            case Waits():
                if news.code != self._waits and sys.stderr.isatty():
                    say(f"waiting: {news.why}")
                self._waits = news.code

    def end(self) -> None:
        for copying in self._copying.values():
            copying.end()
