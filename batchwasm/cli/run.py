"""`batchwasm run`: a jobs.toml, or a source without a file; compile, ship, run, collect."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batchwasm.cli import complete
from batchwasm.cli.options import AMOUNT, telling_options, tui_option, wait_hosts_option

if TYPE_CHECKING:
    from batchwasm.cli.detach import Background
    from batchwasm.model import Inventory, RunSpec
    from batchwasm.telling import Wanted

_SETTINGS = (
    *("memory", "time_limit", "cpus", "gpus", "priority", "retries"),
    *("stdout_limit", "disk", "files", "stdin"),
)
_LISTS = {"inputs": "--input", "outputs": "--output", "labels": "--label"}


@click.command("run", context_settings={"ignore_unknown_options": False})
@click.argument("file", type=click.Path(path_type=Path), metavar="JOBS.toml|SOURCE", shell_complete=complete.jobs_files)
@click.argument("args", nargs=-1, metavar="[-- ARGS]")
@click.option(
    "-i",
    "--inventory",
    type=click.Path(path_type=Path),
    shell_complete=complete.toml_files,
    help="The machines; default: BATCHWASM_INVENTORY, inventory.toml beside the file, the user's own, this machine.",
)
@click.option(
    "--hosts",
    metavar="HOSTLIST",
    shell_complete=complete.hosts,
    help="Machines without an inventory, such as alice@lab[01-12].",
)
@click.option("--only", multiple=True, metavar="JOB", help="This job and those that it waits for; several times.")
@click.option("--fail-fast", is_flag=True, help="Stop everything at the first task that does not succeed.")
@click.option("--runs-dir", type=click.Path(path_type=Path), help="Where run folders go; default: beside the file.")
@wait_hosts_option
@click.option(
    "--cache/--no-cache",
    "cache",
    default=None,
    help="Take results that are known from earlier runs, for all jobs or none; default: as each job says.",
)
@click.option("--dry-run", is_flag=True, help="Check everything, show what would run, start nothing.")
@click.option("--simulate", is_flag=True, help="In virtual time: how long it would take there, and what limits it.")
@click.option(
    "--durations",
    multiple=True,
    metavar="HOW",
    help="With --simulate: 30s, lognormal(mean=30s), uniform(..), exponential(..), 'from RUN', JOB=HOW; several times.",
)
@click.option("--json", "as_json", is_flag=True, help="At the end, print one JSON object about the run.")
@click.option("-q", "--quiet", is_flag=True, help="Do not show what tasks print, nor progress.")
@click.option("--sweep", multiple=True, metavar="NAME=VALUES", help="For a SOURCE: n=1..100 or n=1,2,5; several times.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="For a SOURCE: a variable; several times.")
@click.option("--input", "inputs", multiple=True, metavar="GLOB", help="For a SOURCE: files it may read.")
@click.option("--output", "outputs", multiple=True, metavar="GLOB", help="For a SOURCE: files to bring back.")
@click.option("--memory", metavar="SIZE", help="For a SOURCE: its cap, such as 256MiB.")
@click.option("--time-limit", metavar="DURATION", help="For a SOURCE: such as 90s or 15m.")
@click.option("--cpus", type=AMOUNT, help="For a SOURCE: cpus to reserve, such as 2 or 0.25.")
@click.option("--gpus", type=AMOUNT, help="For a SOURCE: gpus to reserve, such as 1 or 0.5.")
@click.option(
    "--label", "labels", multiple=True, metavar="[!]LABEL", help="For a SOURCE: what a host must have, or not."
)
@click.option("--priority", type=int, help="For a SOURCE: higher goes first; 0 is normal.")
@click.option("--retries", type=int, help="For a SOURCE: how often a task that failed is tried again.")
@click.option("--stdout-limit", metavar="SIZE", help="For a SOURCE: cap of stdout and of stderr.")
@click.option("--disk", metavar="SIZE", help="For a SOURCE: cap of all files it writes.")
@click.option("--files", type=int, help="For a SOURCE: how many files it may make.")
@click.option("--stdin", metavar="FILE", help="For a SOURCE: what it reads on stdin.")
@click.option("--print-toml", is_flag=True, help="For a SOURCE: print the jobs.toml that this stands for, and stop.")
@tui_option
@click.option("--detach", is_flag=True, help="Return when the run has begun; it goes on in the background.")
@telling_options
def command(
    file: Path,
    args: tuple[str, ...],
    inventory: Path | None,
    hosts: str | None,
    only: tuple[str, ...],
    fail_fast: bool,
    runs_dir: Path | None,
    wait_hosts_s: float,
    dry_run: bool,
    simulate: bool,
    durations: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    print_toml: bool,
    tui: bool,
    detach: bool,
    cache: bool | None,
    wanted: Wanted | None,
    **settings: Any,
) -> int:
    """Compile, ship, run and collect what JOBS.toml says, or run SOURCE (.c .cpp .rs .go .zig .wat .wasm) with ARGS."""
    if wanted is not None and (dry_run or simulate or print_toml):
        raise click.UsageError("--metrics, --events, --notify: for a run that starts, and this one does not")
    if detach and (dry_run or simulate or print_toml):
        raise click.UsageError("--detach: for a run that starts; --dry-run, --simulate and --print-toml do not")
    from batchwasm.cli import dashboard

    starts_none = {"dry_run": dry_run, "simulate": simulate, "print_toml": print_toml}
    background = dashboard.background(detach=detach, tui=tui, as_json=as_json, **starts_none)
    from batchwasm import api  # not in who only waits for the one in the background

    spec, machines = _read(file, args, inventory, hosts, settings)
    spec = api.caching(spec, cache)
    if print_toml:
        sys.stdout.write(spec.text)
        return 0
    if durations and not simulate:
        raise click.UsageError("--durations: with --simulate only; a real run takes as long as it takes")
    _warn(spec, machines, only)
    if simulate:
        from batchwasm.cli import simulate as simulating

        return simulating.run(spec, machines, only, durations, as_json=as_json, quiet=quiet)
    if dry_run:
        return _dry_run(spec, machines, only, as_json)
    return _run(spec, machines, only, fail_fast, runs_dir, wait_hosts_s, as_json, quiet, background, wanted)


def _read(
    file: Path, args: tuple[str, ...], inventory: Path | None, hosts: str | None, settings: dict[str, Any]
) -> tuple[RunSpec, Inventory]:
    from batchwasm import api

    given = {name: value for name, value in settings.items() if value not in (None, ())}
    if file.suffix == ".toml":
        if given or args:
            what = ", ".join(_LISTS.get(name, f"--{name.replace('_', '-')}") for name in given) or "ARGS"
            raise click.UsageError(f"{what}: for a SOURCE only; in a jobs.toml write it into the job")
        return api.load(file, inventory=inventory, hosts=hosts)
    job: dict[str, object] = {name: given[name] for name in _SETTINGS if name in given}
    job |= {name: list(given[name]) for name in _LISTS if name in given}
    if "env" in given:
        job["env"] = dict(_pair(text, "--env") for text in given["env"])
    return api.from_source(file, args, sweep=given.get("sweep", ()), settings=job, inventory=inventory, hosts=hosts)


def _warn(spec: RunSpec, inventory: Inventory, only: tuple[str, ...]) -> None:
    """Of what is right and yet does nothing."""
    from batchwasm import api
    from batchwasm import spec as spec_files
    from batchwasm.escape import say

    for text in spec_files.warnings(api.only(spec, only), inventory):
        say(f"warning: {text}")


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{option} {text}: write NAME=VALUE")
    return name, value


def _run(
    spec: RunSpec,
    inventory: Inventory,
    only: tuple[str, ...],
    fail_fast: bool,
    runs_dir: Path | None,
    wait_hosts_s: float,
    as_json: bool,
    quiet: bool,
    background: Background | None,
    wanted: Wanted | None,
) -> int:
    from batchwasm import api
    from batchwasm.cli import going

    spec = api.only(spec, only)  # before a display is up, which must be taken down again
    if background is None:
        from batchwasm.cli.logging_in import log_in

        log_in(inventory.hosts)
    with going.shown(as_json, quiet, background, wanted) as going_on:
        return going_on.to_its_end(
            lambda: api.run(
                spec,
                inventory,
                runs_dir=runs_dir,
                fail_fast=fail_fast,
                wait_hosts_s=wait_hosts_s,
                watcher=going_on.watcher(spec),
                started=going_on.started,
                signals=True,
                kept=background is not None,
            )
        )


def _dry_run(spec: RunSpec, inventory: Inventory, only: tuple[str, ...], as_json: bool) -> int:
    from batchwasm import api
    from batchwasm.cli import plan
    from batchwasm.cli.render import print_json

    planned = api.plan(spec, inventory, jobs=only)
    if as_json:
        print_json([job.as_dict() for job in planned])
    else:
        plan.show(spec.name, planned, [host.name for host in inventory.hosts])
    return 0
