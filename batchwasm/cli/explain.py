"""`explain [TASK]`: why a task waits, where it runs, how its attempts ended; without TASK, what limits the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from batchwasm.cli import complete
from batchwasm.cli.options import json_option, run_option

if TYPE_CHECKING:
    from batchwasm.core.explain import Hosts
    from batchwasm.explained import Explained

NAMES_WIDTH = 24  # of host names before their reasons; longer ones have a line of their own
GROUPS = 40  # of hosts that are shown; the rest is in --json


@click.command("explain")
@click.argument("task", required=False, metavar="[TASK]", shell_complete=complete.tasks)
@run_option
@json_option
def command(task: str | None, run: str | None, as_json: bool) -> None:
    """Why TASK (JOB/INDEX, or JOB where it has one task) waits, where it runs, or how its attempts ended.

    Without TASK: what keeps the whole run from being faster now.
    """
    from batchwasm import api, results
    from batchwasm.cli.render import print_json
    from batchwasm.cli.tasks import parse

    folder = results.find(run, Path.cwd())
    job, index = None, 0
    if task is not None:
        job, index = parse(task, {row.name: row.tasks.total for row in api.status(folder).jobs})
    found = api.explain(folder, job=job, index=index)
    if as_json:
        print_json([found.as_dict()])
        return
    for line in _lines(found, task):
        click.echo(line)


def _lines(found: Explained, task: str | None) -> Iterator[str]:
    from batchwasm.cli.render import wrapped
    from batchwasm.escape import visible
    from batchwasm.views.explaining import attempt_text, place_text, told

    state = found.state.replace("_", " ")
    if task is None:
        yield visible(f"run {found.run} is {state}; what limits it:")
    else:
        verb = {"waiting": "waits", "running": "runs"}.get(found.state, f"ended: {state}")
        yield visible(f"{task} of {found.run} {verb}")
    for reason in found.reasons:
        yield from wrapped(told(reason), "  ")
    closed = [group for group in found.hosts if group.reasons] if task is None else found.hosts
    if closed:
        yield ""
        yield "hosts that get nothing new" if task is None else "host by host"
        yield from _host_lines(closed)
    if found.places:
        yield ""
        yield "now"
        for place in found.places:
            yield from wrapped(place_text(place), "  ")
    yield from _cache_lines(found)
    if found.attempts:
        yield ""
        yield "attempts that ended"
        for attempt in found.attempts:
            yield from wrapped(attempt_text(attempt), f"  {attempt.number:<3}")


def _cache_lines(found: Explained) -> Iterator[str]:
    from batchwasm.cli.render import wrapped

    cache = found.cache
    if cache is None:
        return
    yield ""
    yield "cache of results"
    if cache.taken_from is not None:
        yield from wrapped(f"taken from {cache.taken_from}", "  ")
    elif cache.nearest is not None:
        yield from wrapped(f"not taken; the nearest that is known is {cache.nearest}, and of it", "  ")
        for text in cache.differs:
            yield from wrapped(text, "    ")
    for text in cache.notes:
        yield from wrapped(text, "  ")


def _host_lines(groups: Sequence[Hosts]) -> Iterator[str]:
    from batchwasm.cli.render import wrapped
    from batchwasm.spec.hostlist import fold
    from batchwasm.views.explaining import told

    shown = groups[:GROUPS]
    names = [fold(group.names) for group in shown]
    width = min(NAMES_WIDTH, max(map(len, names)))
    for name, group in zip(names, shown, strict=True):
        said = [told(reason) for reason in group.reasons] or ["nothing is in the way there"]
        head = f"  {name:<{width}}  "
        if len(name) > width:
            yield from wrapped(name, "  ")
            head = " " * len(head)
        for text in said:
            yield from wrapped(text, head)
            head = " " * (width + 4)
    if len(groups) > GROUPS:
        more = sum(len(group.names) for group in groups[GROUPS:])
        yield f"  and {more:,} more hosts; --json has all"
