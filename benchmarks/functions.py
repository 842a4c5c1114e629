"""How many calls of a function a second, and how fast arrays travel: in each language, on this machine and over ssh.

    python benchmarks/functions.py                 the table; dask and HyperQueue with a Python function beside it
    python benchmarks/functions.py --only rust --where ssh --profile    where the time of one of them goes

The function adds two integers. `fresh` gives each call an instance of its own, `reuse` keeps one over a batch; both are
calls of `Fleet.map(..., ordered=False)`, timed in the caller from the first to the last value, all values checked,
after a warm-up. Arrays: ten million floats to a function that gives them back, in and out. dask calls `operator.add` by
`client.map`, HyperQueue by its Python functions; both run on this machine without ssh, and keep their Python.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batchwasm import Fleet
from benchmarks.host import ROOT, SLOTS, machine, others, ssh_host

SOURCES = {
    "rust": ("add.rs", "fn add(a: i64, b: i64) -> i64 { a + b }\nfn same(xs: Vec<f64>) -> Vec<f64> { xs }\n"),
    "cpp": (
        "add.cpp",
        "#include <vector>\nlong long add(long long a, long long b) { return a + b; }\n"
        "std::vector<double> same(std::vector<double> xs) { return xs; }\n",
    ),
    "c": ("add.c", "long long add(long long a, long long b) { return a + b; }\n"),
    "go": (
        "add.go",
        "package main\nfunc add(a, b int64) int64 { return a + b }\nfunc same(xs []float64) []float64 { return xs }\n",
    ),
}
CALLS = {"rust": 40_000, "cpp": 40_000, "c": 40_000, "go": 6_000}
REUSED = 100_000
FLOATS = 10_000_000
OTHERS = ("distributed==2025.11.0", "hyperqueue==0.27.0")


def calls_per_s(fleet: Fleet, source: Path, calls: int, *, reuse: bool) -> float:
    function = fleet.function(source, "add", reuse=reuse)
    list(fleet.map(function, range(2000), range(2000), ordered=False))
    started = time.perf_counter()
    total = sum(fleet.map(function, range(calls), range(calls), ordered=False))
    seconds = time.perf_counter() - started
    assert total == calls * (calls - 1), total
    return calls / seconds


def array_gb_per_s(fleet: Fleet, source: Path, floats: int) -> float:
    """Bytes in and bytes out, together, by the time of one call."""
    same = fleet.function(source, "same", numpy=True, memory="1GiB")
    given = numpy.random.default_rng(1).random(floats)
    same(given[:10])
    started = time.perf_counter()
    found = same(given)
    seconds = time.perf_counter() - started
    assert (found == given).all()
    return 2 * given.nbytes / seconds / 1e9


def contestants(
    folder: Path, fleets: dict[str, Fleet], languages: list[str], calls: int | None
) -> dict[str, Callable[[], float]]:
    races: dict[str, Callable[[], float]] = {}
    for where, fleet in fleets.items():
        for language in languages:
            source = folder / SOURCES[language][0]
            for mode, reuse in (("fresh", False), ("reuse", True)):
                count = calls or (REUSED if reuse else CALLS[language])
                races[f"{language}, {mode}, {where}"] = partial(calls_per_s, fleet, source, count, reuse=reuse)
    return races


def other_races(folder: Path) -> dict[str, Callable[[], float]]:
    venv = others(*OTHERS)

    def per_s(calls: int, *command: str | Path) -> float:
        path = f"{venv / 'bin'}:{os.environ['PATH']}"  # HyperQueue's workers start the first python3 there
        done = subprocess.run(
            [venv / "bin/python", *command],
            env={**os.environ, "PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return calls / float(done.stdout.split()[-1])

    def hyperqueue() -> float:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            return per_s(200, ROOT / "benchmarks/hyperqueue_calls.py", str(SLOTS), "200", scratch)

    dask = ROOT / "benchmarks/dask_calls.py"
    return {
        "dask client.map, 2 workers": lambda: per_s(3000, dask, str(SLOTS), "3000"),
        "HyperQueue, Python function": hyperqueue,
    }


def rounds(races: Mapping[str, Callable[[], float]], count: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for n in range(count):
        for name, race in races.items():
            found.setdefault(name, []).append(figure := race())
            print(f"round {n + 1}: {name}: {figure:,.1f}", file=sys.stderr)
    return found


def table(title: str, found: dict[str, list[float]], digits: int) -> str:
    lines = [f"| | {title}: median (range) |", "|---|---|"]
    for name, figures in found.items():
        median = statistics.median(figures)
        lines.append(f"| {name} | {median:,.{digits}f} ({min(figures):,.{digits}f}-{max(figures):,.{digits}f}) |")
    return "\n".join(lines)


def profiled(race: Callable[[], float]) -> None:
    """Of the scheduler's thread and the caller's: cProfile follows one thread, so the scheduler's own is taken."""
    profile = cProfile.Profile()
    profile.enable()
    race()
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


def run(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    languages = [options.only] if options.only else list(SOURCES)
    with ssh_host() as folder:
        for name, text in SOURCES.values():
            (folder / name).write_text(text)
        yield from measured(options, folder, languages)


def measured(options: argparse.Namespace, folder: Path, languages: list[str]) -> Iterator[tuple[str, Any]]:
    (folder / "local.toml").write_text(f'[hosts.local]\ntransport = "local"\ncpus = {SLOTS}\n')
    with Fleet(folder / "local.toml") as local, Fleet(folder / "inventory.toml") as ssh:
        fleets = {where: fleet for where, fleet in (("local", local), ("ssh", ssh)) if options.where in (None, where)}
        races = contestants(folder, fleets, languages, options.calls)
        if options.profile:
            for race in races.values():
                profiled(race)
            return
        if not options.only:
            races |= other_races(folder)
        found = rounds(races, options.rounds)
        print(table("calls a second", found, 0))
        yield "calls_per_s", found
        arrays = {
            f"{language}, {where}": partial(array_gb_per_s, fleet, folder / SOURCES[language][0], options.floats)
            for where, fleet in fleets.items()
            for language in languages
            if language != "c"
        }
        found = rounds(arrays, options.rounds)
        print(table(f"{options.floats:,} floats in and out, GB/s", found, 2))
        yield "array_gb_per_s", found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of all contestants, alternating (3)")
    parser.add_argument("--only", choices=list(SOURCES), help="only this language, and nobody else")
    parser.add_argument("--where", choices=["local", "ssh"], help="only there")
    parser.add_argument("--calls", type=int, metavar="N", help="of each; default: 6,000 to 100,000, by their speed")
    parser.add_argument("--floats", type=int, default=FLOATS, metavar="N", help=f"in an array ({FLOATS:,})")
    parser.add_argument("--profile", action="store_true", help="one round under cProfile")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    options = parser.parse_args()
    found = {"machine": machine(), **dict(run(options))}
    print(", ".join(found["machine"].values()))
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
