"""`hosts drain` and `undrain`: in which runs that go on which hosts get nothing new, or tasks again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from batchwasm import answers, api
from batchwasm.cli.render import print_json
from batchwasm.errors import EXIT_SUCCEEDED, EXIT_WORLD, Problem, RunError, SpecError, WorldError
from batchwasm.escape import say, visible
from batchwasm.results import RunFolder, reference
from batchwasm.rows import Status
from batchwasm.spec import hostlist
from batchwasm.spec.nodes import did_you_mean

Live = tuple[RunFolder, Status]


def run(names: Sequence[str], name: str | None, *, drained: bool, why: str = "", as_json: bool) -> int:
    """The exit code: 3 where a host was reached in no run, since all that have it ended or do not answer."""
    wanted = _expanded(names)
    runs = _live(name, "drain" if drained else "undrain")
    _check(wanted, runs, name)
    reached: set[str] = set()
    for folder, status in runs:
        mine = [host for host in wanted if host in _hosts(status)]
        if not mine:
            continue
        try:
            hits = api.drain(folder, mine, why) if drained else api.undrain(folder, mine)
        except (WorldError, RunError) as error:  # it ended, or lost a host, just now: the others are told all the same
            say(str(error))
            continue
        reached.update(hit.host for hit in hits)
        if as_json:
            print_json(hit.as_dict() for hit in hits)
        else:
            for hit in hits:
                click.echo(visible(f"{reference(folder, Path.cwd())}: {answers.drained(hit)}"))
    return EXIT_SUCCEEDED if reached >= set(wanted) else EXIT_WORLD


def _expanded(names: Sequence[str]) -> list[str]:
    """All names of the hostlists, each once. Raises SpecError."""
    try:
        return list(dict.fromkeys(name for names_ in names for name in hostlist.expand(names_)))
    except ValueError as error:
        raise SpecError([Problem(file="", line=None, key="", text=str(error))]) from error


def _live(name: str | None, verb: str) -> list[Live]:
    """The run that -r names, else all that go on. Raises WorldError where there is none."""
    if name is not None:
        folder = api.find(name)
        status = api.status(folder)
        if status.state != "running":
            raise WorldError(f"{status.run} has {status.state}: there is no scheduler that could {verb} a host")
        return [(folder, status)]
    runs = api.going_on()
    if not runs:
        raise WorldError(
            f"no run goes on, so there is nothing to {verb}; what a next run uses is said by the inventory, "
            "and by 'hosts' and 'exclude' of a job"
        )
    return runs


def _hosts(status: Status) -> set[str]:
    return {host.name for host in status.hosts if host.state != "removed"}


def _check(wanted: Sequence[str], runs: Sequence[Live], name: str | None) -> None:
    """Raises SpecError for names that no run has: a typo must not drain the rest."""
    known = {host for _, status in runs for host in _hosts(status)}
    of = f"of {name}" if name is not None else f"of {runs[0][1].run}" if len(runs) == 1 else "of a run that goes on"
    problems = [
        Problem(file="", line=None, key="", text=f"{host} is no host {of}{did_you_mean(host, known)}")
        for host in wanted
        if host not in known
    ]
    if problems:
        raise SpecError(problems)
