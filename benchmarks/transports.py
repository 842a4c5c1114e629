"""What each transport costs: a login, a command, a message there and back, 30 MB each way, and hello tasks a second.

    python benchmarks/transports.py                    alternating rounds, medians; the host is an sshd on loopback
    python benchmarks/transports.py --rounds 1 --tasks 500

The transports are asked for the same things in the same rounds, since the speed of a virtual machine drifts between
minutes. The 30 MB go to `head > /dev/null` and come from `head`; tasks are timed from the first batch sent to the last
result in the journal.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from batchwasm.model import Host
from batchwasm.transports import Process, Transport, make
from benchmarks.host import ROOT, SLOTS, machine, ssh_host
from benchmarks.throughput import steady_s

WAYS = ("ssh", "openssh", "paramiko")
BYTES = 30 * 1024 * 1024
CHUNK = 256 * 1024
MESSAGES = 200
MESSAGE = b"x" * 100

Figures = dict[str, float]


@contextmanager
def timed(figures: Figures, name: str, share: int = 1) -> Iterator[None]:
    started = time.perf_counter()
    yield
    figures[name] = 1000 * (time.perf_counter() - started) / share


async def measure(way: str) -> Figures:
    """Milliseconds by what was done."""
    figures: Figures = {}
    transport = make(Host(name="bench", transport=way))
    with timed(figures, "connect"):
        await transport.connect()
    try:
        with timed(figures, "command"):
            process = await transport.spawn("exit 0")
            assert await process.read(1) == b""
        await process.close()
        await _messages(transport, figures)
        await _bulk(transport, figures)
    finally:
        await transport.close()
    return figures


async def _messages(transport: Transport, figures: Figures) -> None:
    process = await transport.spawn("exec cat")
    with timed(figures, "message", MESSAGES):
        for _ in range(MESSAGES):
            await process.write(MESSAGE)
            await _receive(process, len(MESSAGE))
    await process.close()


async def _bulk(transport: Transport, figures: Figures) -> None:
    process = await transport.spawn(f"head -c {BYTES} > /dev/null; echo x")
    chunk = bytes(CHUNK)
    with timed(figures, "30 MB there"):
        for _ in range(BYTES // CHUNK):
            await process.write(chunk)
        await _receive(process, 2)
    await process.close()
    process = await transport.spawn(f"exec head -c {BYTES} /dev/zero")
    with timed(figures, "30 MB back"):
        await _receive(process, BYTES)
    await process.close()


async def _receive(process: Process, size: int) -> None:
    while size > 0:
        data = await process.read(CHUNK)
        assert data, "the command ended early"
        size -= len(data)


def run(folder: Path, way: str, tasks: int) -> float:
    """Milliseconds a hello task."""
    inventory = folder / f"{way}.toml"
    inventory.write_text(f'[hosts.bench]\ncpus = {SLOTS}\ntransport = "{way}"\n')
    sweep = f"sweep = {{ n = {{ range = [0, {tasks}] }} }}"
    (folder / "jobs.toml").write_text(f'[jobs.hello]\nsource = "hello.wat"\n{sweep}\n')
    command = [sys.executable, "-m", "batchwasm", "run", str(folder / "jobs.toml"), "-i", str(inventory), "--json"]
    ended = json.loads(subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, check=True).stdout)
    assert ended["tasks"]["succeeded"] == tasks, ended
    return 1000 * steady_s(Path(ended["folder"]) / "journal.db") / tasks


def compare(folder: Path, rounds: int, tasks: int) -> dict[str, list[Figures]]:
    (folder / "hello.wat").write_text((ROOT / "examples/hello.wat").read_text())
    run(folder, "ssh", 50)  # ships the runner, and makes the host's native code
    found: dict[str, list[Figures]] = {way: [] for way in WAYS}
    for n in range(rounds):
        for way in WAYS:
            figures = asyncio.run(measure(way))
            figures["hello task"] = run(folder, way, tasks)
            found[way].append(figures)
            print(f"round {n + 1}: {way}: connect {figures['connect']:.0f} ms", file=sys.stderr)
    return found


def table(rounds: Mapping[str, list[Figures]]) -> str:
    """Medians over the rounds."""
    names = list(rounds[WAYS[0]][0])
    lines = ["| ms | " + " | ".join(names) + " | tasks/s |", "|---" * (len(names) + 2) + "|"]
    for way, each in rounds.items():
        medians = {name: statistics.median(one[name] for one in each) for name in names}
        cells = [f"{ms:,.0f}" if ms >= 10 else f"{ms:.3f}" for ms in medians.values()]
        lines.append(f"| {way} | {' | '.join(cells)} | {1000 / medians['hello task']:,.0f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of all transports, alternating (3)")
    parser.add_argument("--tasks", type=int, default=5000, metavar="N", help="hello tasks a run (5000)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures there as JSON, too")
    options = parser.parse_args()
    found: dict[str, Any] = {"machine": machine()}
    with ssh_host() as folder:
        found["rounds"] = compare(folder, options.rounds, options.tasks)
    print(table(found["rounds"]))
    print(", ".join(found["machine"].values()))
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
