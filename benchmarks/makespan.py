"""How well the scheduler packs: simulated runs of mixed tasks on mixed hosts, against the lower bound of their time.

    python benchmarks/makespan.py                                the table; about twenty minutes
    python benchmarks/makespan.py --hosts 20 --tasks 20000       the same pool, smaller
    python benchmarks/makespan.py --only chains

The lower bound is the largest of: all work over all capacity, of each resource and of each group of hosts that some
jobs can't leave; the longest task; the longest chain. A scheduler that does not know how long a task will take can't
reach it: the last tasks end when they end, so a run should be many times as long as its tasks.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batchwasm.core.events import AfterJob, HostPlan, JobPlan
from batchwasm.model import GIB, Request
from batchwasm.simulation import Distribution, Simulation, parse, simulate
from benchmarks.host import machine

SIZES = (4, 8, 4, 16, 8, 4, 32, 8, 4, 16, 8, 4, 32, 8, 16, 4, 8, 16, 32, 64)
"""Cpus of hosts, again and again; 4 GiB for each cpu."""


def pool(hosts: int) -> list[HostPlan]:
    """Of 20 hosts, two of 32 cpus have 4 and 2 gpus, and two others 2 licences."""
    return [
        HostPlan(
            name=f"lab{n:04}",
            cpus=SIZES[n % 20],
            memory_bytes=4 * SIZES[n % 20] * GIB,
            gpus={18: 4, 12: 2}.get(n % 20, 0),
            resources={"licence": 2} if n % 20 in (3, 14) else {},
        )
        for n in range(hosts)
    ]


@dataclass(frozen=True, slots=True)
class Part:
    """A job; `share` is of all tasks."""

    name: str
    share: float
    durations: str
    cpus: float = 1
    memory_gib: float = 1
    gpus: float = 0
    licences: float = 0
    after: str = ""
    """A job before it, task by task."""


MEDIUM, LONG = "lognormal(mean=60s, sigma=0.3)", "lognormal(mean=300s, sigma=0.3)"
MIXES: dict[str, Sequence[Part]] = {
    "one cpu each": [Part("sweep", 1, MEDIUM)],
    "fractions": [
        Part("half", 0.3, MEDIUM, 0.5),
        Part("quarter", 0.3, MEDIUM, 0.25, 0.5),
        Part("three", 0.1, MEDIUM, 3, 2),
        Part("one", 0.3, MEDIUM),
    ],
    "large ones first": [
        Part("large", 0.01, LONG, 16, 16),
        Part("larger", 0.002, LONG, 32, 64),
        Part("small", 0.988, MEDIUM),
    ],
    "large ones last": [
        Part("small", 0.988, MEDIUM),
        Part("large", 0.01, LONG, 16, 16),
        Part("larger", 0.002, LONG, 32, 64),
    ],
    "gpus last": [
        Part("cpu", 0.95, MEDIUM),
        Part("gpu", 0.04, MEDIUM, 2, 4, gpus=1),
        Part("share", 0.01, MEDIUM, 1, 4, gpus=0.5),
    ],
    "memory": [Part("hungry", 0.2, MEDIUM, 1, 12), Part("modest", 0.8, MEDIUM, 1, 1)],
    "chains": [
        Part("prep", 0.33, "lognormal(mean=30s, sigma=0.3)"),
        Part("sim", 0.33, "lognormal(mean=120s, sigma=0.3)", 2, 4, after="prep"),
        Part("post", 0.34, "lognormal(mean=20s, sigma=0.3)", 0.5, after="sim"),
    ],
    "everything": [
        Part("large", 0.005, LONG, 16, 16),
        Part("prep", 0.2, MEDIUM),
        Part("sim", 0.2, MEDIUM, 2, 4, after="prep"),
        Part("gpu", 0.02, MEDIUM, 2, 4, gpus=1),
        Part("licensed", 0.02, MEDIUM, 1, 1, licences=1),
        Part("larger", 0.003, MEDIUM, 64, 128),
        Part("quarter", 0.254, MEDIUM, 0.25, 0.5),
        Part("sweep", 0.3, MEDIUM),
    ],
}


def run(name: str, hosts: int, tasks: int) -> Simulation:
    parts = MIXES[name]
    numbers = {part.name: n for n, part in enumerate(parts)}
    counts = {part.name: max(1, round(part.share * tasks)) for part in parts}
    counts |= {part.name: counts[part.after] for part in parts if part.after}
    jobs = [
        JobPlan(
            name=part.name,
            tasks=counts[part.name],
            needs=(
                Request(
                    cpus=part.cpus,
                    memory_bytes=int(part.memory_gib * GIB),
                    gpus=part.gpus,
                    resources={"licence": part.licences} if part.licences else {},
                ),
            ),
            after=(AfterJob(job=numbers[part.after], each=True),) if part.after else (),
        )
        for part in parts
    ]
    return simulate(jobs, pool(hosts), [_model(part.durations) for part in parts])


def _model(text: str) -> Distribution:
    found = parse([text], []).every
    assert isinstance(found, Distribution)
    return found


def figures(name: str, found: Simulation) -> dict[str, Any]:
    bound = found.bounds[0]
    longest = max(job.longest_s for job in found.jobs)
    return {
        "mix": name,
        "hosts": len(found.hosts),
        "tasks": found.tasks,
        "makespan_s": found.makespan_s,
        "bound_s": bound.seconds,
        "bound": " ".join(
            part for part in (bound.resource or bound.kind, "of some hosts" if bound.hosts else "") if part
        ),
        "over": found.makespan_s / bound.seconds - 1,
        "longest_s": longest,
        "times_longest": found.makespan_s / longest,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| mix | hosts | tasks | time, s | lower bound, s | of | over it | time / longest task |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        times = f"{row['makespan_s']:,.0f} | {row['bound_s']:,.0f} | {row['bound']} | {100 * row['over']:.1f} %"
        lines.append(f"| {row['mix']} | {row['hosts']:,} | {row['tasks']:,} | {times} | {row['times_longest']:.1f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=1000, metavar="N", help="a multiple of 20 (1000)")
    parser.add_argument("--tasks", type=int, default=1_000_000, metavar="N", help="of each mix, about (1000000)")
    parser.add_argument("--only", choices=list(MIXES), action="append", metavar="MIX", help="one of the mixes; several")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    options = parser.parse_args()
    rows = []
    for name in options.only or MIXES:
        rows.append(figures(name, run(name, options.hosts, options.tasks)))
        print(table(rows[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(rows))
    if options.output:
        options.output.write_text(json.dumps({"machine": machine(), "mixes": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
