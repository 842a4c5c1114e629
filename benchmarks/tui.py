"""What it costs to look at a large run: to open it, to look on while it goes on, the screens behind the first.

    python benchmarks/tui.py                        a million tasks on 500 hosts; made once, in a minute or two
    python benchmarks/tui.py --tasks 20000 --hosts 50 --looks 4
    python benchmarks/tui.py --profile              where the time of a look goes, live

The run never ran (benchmarks/large_run.py); its journal is kept in /var/tmp/batchwasm-bench-tui for the next time. What
is measured runs in a process of its own: `open` is from nothing to the first overview, without Python's own start;
`looking on` is with half a second between two looks. Live, a writer appends at --rate tasks a second meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import json
import pstats
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batchwasm.results import RunFolder
from benchmarks import large_run
from benchmarks.host import machine

ROOT = Path(__file__).resolve().parent.parent
KEPT = Path("/var/tmp/batchwasm-bench-tui")
LOOKS_PER_S = 2.0
T = TypeVar("T")


# ------------------------------------------------------------------------------------------------ the runs


def made(kept: Path, tasks: int, hosts: int, share: float) -> RunFolder:
    """A run of that size of which that share has ended; from the last time, if it was whole then."""
    path = kept / f"run-{tasks}-{hosts}-{share:g}-{large_run.VERSION}"
    if not path.is_dir():
        print(f"making a run of {tasks:,} tasks on {hosts:,} hosts, {share:.0%} of it over", file=sys.stderr)
        part = path.with_name(f"{path.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        large_run.make(part, tasks, hosts, share)
        part.rename(path)
    return RunFolder(path=path)


@contextlib.contextmanager
def going_on(source: RunFolder, rate: float) -> Iterator[tuple[RunFolder, list[float]]]:
    """A copy of the run, to which a process writes on; how long each of its appends took is known at the end."""
    path = source.path.with_name(f"{source.name}.live")
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(source.path, path)
    appends: list[float] = []
    command = [sys.executable, str(ROOT / "benchmarks/large_run.py"), str(path), "--rate", str(rate)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        writer.stdout.readline()  # the first one: it has read the journal, and goes on
        yield RunFolder(path=path), appends
    finally:
        writer.send_signal(signal.SIGTERM)
        said, _ = writer.communicate()
        appends += map(float, said.splitlines()[:-1] or ["0"])  # the last line may be cut
        shutil.rmtree(path)


# ------------------------------------------------------------------------------------- in a process of its own


def timed(call: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """What it gives, and its milliseconds: by the clock, and of processor."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    return found, {"ms": 1e3 * (time.perf_counter() - wall), "cpu_ms": 1e3 * (time.process_time() - cpu)}


def rss_mb(name: str = "VmHWM") -> float:
    status = Path("/proc/self/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024 / 1e6


def look_here(path: Path, looks: int, *, profile: bool) -> dict[str, Any]:
    """All figures of one run, in this process."""
    began = time.perf_counter()
    from batchwasm.views import View

    imported_ms = 1e3 * (time.perf_counter() - began)
    (view, overview), opened = timed(lambda: _opened(View, path))
    found: dict[str, Any] = {"import_ms": imported_ms, "open": opened, "open_mb": rss_mb()}
    profiler = cProfile.Profile()
    cpu, longest, done, began = 0.0, 0.0, overview.status.tasks.done, time.perf_counter()
    for _ in range(looks):
        time.sleep(1 / LOOKS_PER_S)
        if profile:
            profiler.enable()
        overview, took = timed(view.look)
        profiler.disable()
        cpu, longest = cpu + took["cpu_ms"], max(longest, took["ms"])
    lasted = time.perf_counter() - began
    found["look"] = {"cpu_ms": cpu / looks, "longest_ms": longest, "core_share": cpu / 1e3 / lasted}
    found["tasks_per_s"] = (overview.status.tasks.done - done) / lasted
    found["screens"] = screens(view)
    found["peak_mb"] = rss_mb()
    if profile:
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumtime").print_stats(40)
    view.close()
    return found


def _opened(view: Any, path: Path) -> tuple[Any, Any]:
    opened = view(RunFolder(path=path))
    return opened, opened.look()


def screens(view: Any) -> dict[str, dict[str, float]]:
    """What each asks for, the first time and when it is shown already."""
    name, host = view.overview.jobs[0].row.name, view.overview.hosts[-1].row.name
    tasks = view.overview.jobs[0].row.tasks.total
    asked: Mapping[str, Callable[[], object]] = {
        "cells": lambda: view.cells(name, 2000),
        "tasks, first page": lambda: view.tasks(name),
        "tasks, last page": lambda: view.tasks(name, offset=tasks - 100),
        "tasks, failed": lambda: view.tasks(name, states=("failed", "trapped")),
        "tasks, slowest": lambda: view.tasks(name, sort="wall_s", descending=True),
        "tasks, by a text": lambda: view.tasks(name, text="alpha=77"),
        "failures": view.failures,
        "job": lambda: view.job(name),
        "host": lambda: view.host(host),
        "task": lambda: view.task(name, 5),
    }
    found = {}
    for what, call in asked.items():
        _, first = timed(call)
        view.look()
        _, again = timed(call)
        found[what] = {"first_ms": first["ms"], "again_ms": again["ms"], "again_cpu_ms": again["cpu_ms"]}
    return found


def looked_at(folder: RunFolder, looks: int, profile: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--look-here", str(folder.path), "--looks", str(looks)]
    done = subprocess.run(command + (["--profile"] if profile else []), stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# ------------------------------------------------------------------------------------------------ the app itself


def app_here(path: Path, looks: int) -> dict[str, float]:
    """The dashboard in this process, drawn at 200 x 60 and thrown away: to its first picture, and as it looks on."""
    from batchwasm.tui.app import Dashboard
    from batchwasm.views import View

    async def shown() -> dict[str, float]:
        folder, began = RunFolder(path=path), time.perf_counter()
        app = Dashboard(lambda: View(folder), folder)
        async with app.run_test(size=(200, 60)) as pilot:
            while app.overview is None:
                await pilot.pause(0.01)
            await pilot.pause()
            first_ms = 1e3 * (time.perf_counter() - began)
            cpu, began = time.process_time(), time.perf_counter()
            await asyncio.sleep(looks / LOOKS_PER_S)
            share = (time.process_time() - cpu) / (time.perf_counter() - began)
        return {"first_ms": first_ms, "core_share": share, "peak_mb": rss_mb()}

    return asyncio.run(shown())


def app_at(folder: RunFolder, looks: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--app-here", str(folder.path), "--looks", str(looks)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


# -------------------------------------------------------------------------------------------------------- tables


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    titles = ("open, ms", "of it processor", "a look, ms of processor", "looking on, share of a core", "memory, MB")
    lines = [f"| | {' | '.join(titles)} | tasks/s |", f"|---|{'---|' * (len(titles) + 1)}"]
    for what, row in found.items():
        look = row["look"]
        opened = f"{row['open']['ms']:.0f} | {row['open']['cpu_ms']:.0f}"
        looked = f"{look['cpu_ms']:.1f} | {look['core_share']:.1%} | {row['peak_mb']:.0f} | {row['tasks_per_s']:,.0f}"
        lines.append(f"| {what} | {opened} | {looked} |")
    lines += ["", f"| | {' | '.join(f'{what}: first, again, ms' for what in found)} |", f"|---|{'---|' * len(found)}"]
    for screen in next(iter(found.values()))["screens"]:
        pairs = [(row["screens"][screen]["first_ms"], row["screens"][screen]["again_ms"]) for row in found.values()]
        lines.append(f"| {screen} | {' | '.join(f'{first:.1f}, {again:.1f}' for first, again in pairs)} |")
    lines += ["", "| the dashboard | first picture, ms | share of a core | memory, MB |", "|---|---|---|---|"]
    for what, row in found.items():
        app = row["app"]
        lines.append(f"| {what} | {app['first_ms']:.0f} | {app['core_share']:.1%} | {app['peak_mb']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--hosts", type=int, default=500, metavar="N")
    parser.add_argument("--looks", type=int, default=20, metavar="N")
    parser.add_argument("--rate", type=float, default=5000.0, metavar="N", help="of the live run, tasks a second")
    parser.add_argument("--kept", type=Path, default=KEPT, metavar="DIR", help="where runs that were made are kept")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    parser.add_argument("--look-here", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--app-here", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.look_here:
        print(json.dumps(look_here(options.look_here, options.looks, profile=options.profile)))
        return
    if options.app_here:
        print(json.dumps(app_here(options.app_here, options.looks)))
        return

    runs: dict[str, dict[str, Any]] = {}
    left = made(options.kept, options.tasks, options.hosts, 0.6)
    over = made(options.kept, options.tasks, options.hosts, 1.0)
    runs["finished"] = {**looked_at(over, options.looks, False), "app": app_at(over, options.looks)}
    with going_on(left, options.rate) as (_, alone):
        time.sleep(options.looks / LOOKS_PER_S)
    with going_on(left, options.rate) as (folder, watched):
        runs["live"] = looked_at(folder, options.looks, options.profile)
    with going_on(left, options.rate) as (folder, _):
        runs["live"]["app"] = app_at(folder, options.looks)
    appends = {"alone": 1e3 * median(alone), "watched": 1e3 * median(watched)}
    print(table(runs))
    print(f"\nthe writer's appends, ms: {appends['alone']:.1f} alone, {appends['watched']:.1f} while somebody looks on")
    found: dict[str, Any] = {"machine": machine(), "runs": runs, "append_ms": appends}
    print(", ".join(found["machine"].values()))
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
