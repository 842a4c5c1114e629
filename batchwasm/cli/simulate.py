"""`run --simulate`: how long a run would take on a pool, and what limits it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchwasm.engine.simulating import Simulated
    from batchwasm.model import Inventory, RunSpec
    from batchwasm.simulation import SimulatedHost

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 60  # of the line of busy cpus
SHOWN_HOSTS = 20  # one by one; of more, the least and the most busy ones
EXTREMES = 3


def run(
    spec: RunSpec, inventory: Inventory, only: tuple[str, ...], durations: Sequence[str], *, as_json: bool, quiet: bool
) -> int:
    from batchwasm import api
    from batchwasm.cli.render import print_json
    from batchwasm.cli.watch import CallsWatcher, shown
    from batchwasm.units import duration_text

    with shown(quiet) as progress:
        watcher = CallsWatcher(progress)
        made = api.simulate(spec, inventory, durations, jobs=only, text=duration_text, watch=watcher.passed)
    if as_json:
        print_json([made.as_dict()])
    else:
        _show(made)
    return 0


def _show(made: Simulated) -> None:
    from batchwasm.escape import visible_text
    from batchwasm.units import count_text, duration_text

    found = made.simulation
    cpus = sum(host.cpus for host in found.hosts)
    hosts = "1 host" if len(found.hosts) == 1 else f"{len(found.hosts):,} hosts"
    lines = [f"simulation of {made.run}: {count_text(found.tasks)} tasks on {hosts} with {cpus:g} cpus", ""]
    lines.append(
        f"takes      {duration_text(found.makespan_s)}; no less than {duration_text(found.bound_s)} in any order"
    )
    if found.second_attempts:
        lines.append(f"           {count_text(found.second_attempts)} late tasks were started a second time")
    shares = ", ".join(f"{name} {share:.0%}" for name, share in found.shares.items() if share >= 0.005)
    lines.append(f"in use     {shares or 'nothing'}, on the mean")
    lines += [f"{'limited by' if n == 0 else '':<10} {limit}" for n, limit in enumerate(made.limits)]
    lines += ["", f"busy cpus  {_bars(found.busy_cpus, cpus)}"]
    click.echo(visible_text("\n".join(lines)))
    _show_jobs(made)
    _show_hosts(found.hosts)
    if made.assumed:
        click.echo(
            "\nnobody said how long the tasks take, so each takes a minute here; --durations 'lognormal(mean=30s)' or "
            "--durations 'from RUN' says it",
            err=True,
        )


def _bars(values: Sequence[float], most: float) -> str:
    """A line of at most WIDTH characters."""
    if not values or not most:
        return ""
    width = min(WIDTH, len(values))
    bounds = [len(values) * n // width for n in range(width + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in itertools.pairwise(bounds)]
    return "".join(BARS[min(len(BARS) - 1, int(mean / most * len(BARS)))] for mean in means)


def _show_jobs(made: Simulated) -> None:
    from batchwasm.cli.render import Column, print_table
    from batchwasm.units import count_text, duration_text

    titles = ("tasks", "starts", "ends", "mean", "longest")
    click.echo()
    print_table(
        [Column(title="job"), *(Column(title=title, right=True) for title in titles), Column(title="durations")],
        [
            [
                job.name,
                count_text(job.tasks),
                *map(duration_text, (job.started_s, job.ended_s, job.mean_s, job.longest_s)),
                text,
            ]
            for job, (_, text) in zip(made.simulation.jobs, made.durations, strict=True)
        ],
    )


def _show_hosts(hosts: Sequence[SimulatedHost]) -> None:
    from batchwasm.cli.render import Column, print_table
    from batchwasm.units import count_text

    if len(hosts) > SHOWN_HOSTS:
        ordered = sorted(hosts, key=lambda host: host.busy)
        click.echo(f"\nleast and most busy of {len(hosts):,} hosts")
        hosts = [*ordered[:EXTREMES], *ordered[-EXTREMES:]]
    else:
        click.echo()
    titles = ("cpus", "tasks", "cpus busy", "memory busy")
    print_table(
        [Column(title="host"), *(Column(title=title, right=True) for title in titles)],
        [
            [host.name, f"{host.cpus:g}", count_text(host.tasks), f"{host.busy:.0%}", f"{host.memory_busy:.0%}"]
            for host in hosts
        ],
    )
