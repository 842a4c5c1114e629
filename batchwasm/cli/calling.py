"""What `call` and `map` share: FILE:FUNCTION, the options of its job, a fleet with a progress display."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from batchwasm.cli.options import AMOUNT, inventory_options, wait_hosts_option
from batchwasm.errors import Problem, SpecError

if TYPE_CHECKING:
    from batchwasm.cli.progress import Progress
    from batchwasm.fleet import Fleet, Function
    from batchwasm.functions import Signature

F = TypeVar("F", bound=Callable[..., Any])
OPTIONS_FIRST = {"allow_interspersed_args": False}
"""Of a command: after FILE:FUNCTION nothing is an option, so that -1 is an argument."""


def calling_options(command: F) -> F:
    """Where and under which limits a function is called."""
    options = [
        click.option("--memory", metavar="SIZE", help="Cap of each call's memory, such as 256MiB."),
        click.option("--time-limit", metavar="DURATION", help="Cap of each call's time, such as 90s or 15m."),
        click.option("--cpus", type=AMOUNT, help="Cpus to reserve for a call, such as 1 or 0.25."),
        click.option("--env", "env", multiple=True, metavar="NAME=VALUE", help="A variable; several times."),
        click.option("--stdout-limit", metavar="SIZE", help="Cap of stdout and of stderr."),
        click.option("--disk", metavar="SIZE", help="Cap of all files a call writes."),
        click.option("--files", type=int, help="How many files a call may make."),
        click.option("--reuse", is_flag=True, help="Keep an instance over many calls: faster, and its globals stay."),
        wait_hosts_option,
        click.option("-q", "--quiet", is_flag=True, help="Show neither progress nor what the function prints."),
    ]
    for option in reversed(options):
        command = option(command)
    return inventory_options(command)


def split(target: str) -> tuple[Path, str]:
    """FILE:FUNCTION at its first colon. Raises click.UsageError."""
    file, colon, function = target.partition(":")
    if not colon or not file or not function:
        raise click.UsageError(f"{target!r} names no function; write FILE:FUNCTION, such as stats.cpp:mean")
    return Path(file), function


@dataclass(frozen=True, slots=True)
class Target:
    """A function that was asked for, and that is there."""

    file: Path
    function: str
    settings: Mapping[str, Any]
    signature: Signature


def read_target(target: str, inventory: Path | None, hosts: str | None, given: dict[str, Any]) -> Target:
    """What FILE:FUNCTION and the options mean; nothing is started yet. Raises SpecError, SourceError."""
    from batchwasm import artifacts, spec

    file, function = split(target)
    settings: dict[str, object] = {key: value for key, value in given.items() if value not in (None, (), False)}
    if "env" in settings:
        settings["env"] = dict(_pair(text) for text in given["env"])
    settings["function"] = function
    run, _ = spec.from_source(file, [], settings=settings, inventory=inventory, hosts=hosts)
    (job,) = run.jobs
    signature = artifacts.signature_of(job.name, job.source)
    del settings["function"]
    return Target(file, function, settings, signature)


@contextmanager
def fleet_of(
    name: str, target: Target, inventory: Path | None, hosts: str | None, wait_hosts_s: float, quiet: bool
) -> Iterator[tuple[Fleet, Function, Progress]]:
    """A fleet and the function on it; progress is shown meanwhile, by the third. Ctrl-C and SIGTERM stop the guests."""
    from batchwasm.cli.watch import CallsWatcher, shown
    from batchwasm.fleet import Fleet

    signal.signal(signal.SIGTERM, _interrupt)
    with shown(quiet) as progress:
        watcher = CallsWatcher(progress)
        with Fleet(inventory, hosts=hosts, name=name, wait_hosts_s=wait_hosts_s, watcher=watcher) as fleet:
            yield fleet, fleet.function(target.file, target.function, **target.settings), progress


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--env {text}: write NAME=VALUE")
    return name, value


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def bad_argument(signature: Signature, error: ValueError) -> SpecError:
    """What is wrong with an argument, beside what the function takes."""
    return SpecError([Problem(file="", line=None, key="", text=f"{error}; it is {signature}")])
