"""Options that several commands have, said once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from batchwasm.cli import complete

if TYPE_CHECKING:
    from batchwasm.telling import Wanted

F = TypeVar("F", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)


class Amount(click.ParamType[float]):
    """`4` or `0.25`, whole numbers as such; what they must be is for who reads the job to say."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return int(value)
        except ValueError:
            pass
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number; write such as 4 or 0.25", param, ctx)


AMOUNT = Amount()


class Duration(click.ParamType[float]):
    """`90`, `90s` or `1h30m`: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from batchwasm.spec.quantities import duration_s

        try:
            return duration_s(float(value) if value.replace(".", "", 1).isdigit() else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Age(Duration):
    """`30d` or `12h`; a number without a unit, taken for seconds, would mean nearly everything."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if value.replace(".", "", 1).isdigit():
            self.fail(f"{value}: days, hours or what? Write {value}d or {value}h", param, ctx)
        return super().convert(value, param, ctx)


DURATION, AGE = Duration(), Age()


class Address(click.ParamType[Any]):
    """`:9400` or `0.0.0.0:9400`: a telling.Address."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from batchwasm.telling import address

        try:
            return address(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def wait_hosts_option(command: F) -> F:
    """`--wait-hosts`: `wait_hosts_s`."""
    return click.option(
        "--wait-hosts",
        "wait_hosts_s",
        type=DURATION,
        default="10m",
        show_default=True,
        help="How long to wait for a host when none is left.",
    )(command)


_OF_THE_SHELL = ("/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/fd/", "/proc/self/fd/")
"""What a run in the background has not, or lets go of."""


def telling_options(command: F) -> F:
    """`--metrics ADDR`, `--events FILE|-`, `--notify CMD`: `wanted`, a telling.Wanted; None where none was given."""

    @functools.wraps(command)
    def with_wanted(*args: Any, metrics: Any, events: str | None, notify: str | None, **given: Any) -> Any:
        wanted = None
        if (metrics, events, notify) != (None, None, None):
            wanted = _wanted(metrics, events, notify, given)
        return command(*args, wanted=wanted, **given)

    found: Any = with_wanted
    for option in reversed(_TELLING):
        found = option(found)
    return found  # type: ignore[no-any-return]


_TELLING = (
    click.option(
        "--metrics",
        type=Address(),
        metavar="[HOST]:PORT",
        help="Serve metrics for Prometheus there while it goes on; without HOST to this machine only.",
    ),
    click.option(
        "--events",
        type=click.Path(),
        metavar="FILE|-",
        help="Append all that happens to FILE, or write it to stdout, as JSON lines.",
    ),
    click.option(
        "--notify",
        metavar="CMD",
        help="Have the shell run CMD at the first failure and at the end; it finds the facts in BATCHWASM_EVENT, ...",
    ),
)


def _wanted(metrics: Any, events: str | None, notify: str | None, given: dict[str, Any]) -> Wanted:
    from batchwasm.telling import Wanted

    if events == "":
        raise click.UsageError("--events: the name of the file is empty")
    if events == "-" and given["as_json"]:
        raise click.UsageError("--events - and --json: both would write to stdout; give --events a file")
    is_of_shell = events == "-" or (events or "").startswith(_OF_THE_SHELL)
    if is_of_shell and (given["detach"] or given.get("tui")):
        raise click.UsageError(
            f"--events {events}: a run in the background keeps nothing open of this shell; name a file, or a pipe made "
            "by mkfifo"
        )
    return Wanted(metrics=metrics, events=events, notify=notify)


def json_option(command: F) -> F:
    """`--json`: `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON object a line, for programs.")(command)


def tui_option(command: F) -> F:
    """`--tui`: `tui`."""
    return click.option("--tui", is_flag=True, help="Show it on a dashboard; left, it goes on in the background.")(
        command
    )


def run_option(command: F) -> F:
    """`-r/--run RUN`: `run`."""
    return click.option(
        "-r",
        "--run",
        metavar="RUN",
        shell_complete=complete.runs,
        help="A run's name or the path of its folder; default: the newest.",
    )(command)


def live_run_option(command: F) -> F:
    """`-r/--run RUN` of what acts on runs that go on: `run`."""
    return click.option(
        "-r",
        "--run",
        metavar="RUN",
        shell_complete=complete.live_runs,
        help="A run's name or the path of its folder; default: all that go on.",
    )(command)


def inventory_options(command: F) -> F:
    """`-i/--inventory FILE`, `--hosts HOSTLIST`: `inventory`, `hosts`."""
    return _inventory_options(
        command,
        "BATCHWASM_INVENTORY, inventory.toml, ~/.config/batchwasm/inventory.toml, else this machine alone",
    )


def again_inventory_options(command: F) -> F:
    """The same where a run has its machines already."""
    return _inventory_options(command, "that of the run, as it is now")


def _inventory_options(command: F, default: str) -> F:
    command = click.option(
        "--hosts",
        metavar="HOSTLIST",
        shell_complete=complete.hosts,
        help="These hosts, such as 'lab[01-12,15]'; needs no inventory.",
    )(command)
    return click.option(
        "-i",
        "--inventory",
        type=PATH,
        metavar="FILE",
        shell_complete=complete.toml_files,
        help=f"The inventory; default: {default}.",
    )(command)
