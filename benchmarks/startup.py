"""How long the one-file program takes to start: the first time, when it unpacks itself, and later; beside pip's.

make dist
python benchmarks/startup.py                      # the table
python benchmarks/startup.py --also OTHER_PROGRAM # times its `--version`, too
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.host import ROOT, machine

HELLO = ROOT / "examples/hello.wat"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="what make dist built")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--also", type=Path, action="append", default=[], help="another program")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batchwasm-startup-") as name:
        seconds = measure(Path(name), options.dist.resolve(), options.rounds, options.also)
    print("| | seconds: median (range) |\n|---|---|")
    for what, each in seconds.items():
        print(f"| {what} | {statistics.median(each):.3f} ({min(each):.3f}-{max(each):.3f}) |")
    if options.output:
        found = {"machine": machine(), "size_bytes": (options.dist / "batchwasm").stat().st_size, "seconds": seconds}
        options.output.write_text(json.dumps(found, indent=1) + "\n")


def measure(folder: Path, dist: Path, rounds: int, also: list[Path]) -> dict[str, list[float]]:
    """Rounds of all, one after the other, so that what else the machine does meets all of them."""
    one_file, (wheel,) = dist / "batchwasm", dist.glob("batchwasm-*.whl")
    pip = installed(folder / "venv", wheel)
    home = {**os.environ, "HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
    programs = {"one file": one_file, "pip": pip, **{path.name: path.resolve() for path in also}}
    jobs: dict[str, Callable[[], float]] = {"one file, first start: --version": lambda: first(one_file, home, folder)}
    for name, program in programs.items():
        jobs[f"{name}: --version"] = lambda program=program: timed(home, folder, program, "--version")  # type: ignore[misc]
    for name in ("one file", "pip"):
        command = (programs[name], "run", HELLO)
        jobs[f"{name}: run hello.wat"] = lambda command=command: timed(home, folder, *command)  # type: ignore[misc]
    for job in list(jobs.values())[1:]:  # files into the page cache, the runner installed
        job()
    seconds: dict[str, list[float]] = {what: [] for what in jobs}
    for _ in range(rounds):
        for what, job in jobs.items():
            seconds[what].append(job())
    return seconds


def installed(venv: Path, wheel: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin/python", "-m", "pip", "install", "-q", wheel], check=True)
    return venv / "bin/batchwasm"


def first(program: Path, env: Mapping[str, str], folder: Path) -> float:
    """With nothing unpacked; the runner that was installed stays."""
    shutil.rmtree(folder / "cache/batchwasm/program", ignore_errors=True)
    return timed(env, folder, program, "--version")


def timed(env: Mapping[str, str], folder: Path, *command: str | Path) -> float:
    started = time.perf_counter()
    subprocess.run(command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
