"""`python -m tests.chaos`: see `--help`. Ends with 0 where all came out right, 1 where not, 3 where it can't be tried.

What is started runs in namespaces of its own, which the kernel ends with this process, however that ends: no process,
interface or rule is ever left, and two of these at once don't meet. A folder in /var/tmp is removed at the end; what
a failure needs to be understood is kept in /tmp.
"""

from __future__ import annotations

import argparse
import datetime
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from types import FrameType

from batchwasm.version import __version__
from tests.chaos import drive, ledger, nets, workload
from tests.homes import FOLDERS, TOOL_CACHES, TOOLS
from tests.sshd import Client, die_with_us, new_key

ROOT = Path(__file__).parent.parent.parent
HOSTS = 4


def main() -> int:
    options = _options()
    if options.inside is not None:
        return _inside(options)
    if why := nets.missing():
        print(f"chaos: {why}", file=sys.stderr)
        return 3
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    root = Path(tempfile.mkdtemp(prefix="batchwasm-chaos-", dir="/var/tmp"))
    words = [*nets.ALONE, sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
    words += ["--seed", str(seed), "--inside", str(root)]
    signal.signal(signal.SIGTERM, _interrupt)
    with_us = partial(die_with_us, signal.SIGKILL)
    try:
        with subprocess.Popen(words, cwd=ROOT, env=_environment(root), preexec_fn=with_us) as process:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.kill()  # unshare, which ignores all else, and with it all
                return 130
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50, help="of the scheduler")
    parser.add_argument(
        "--seed", type=int, default=int(os.environ["CHAOS_SEED"]) if "CHAOS_SEED" in os.environ else None
    )
    parser.add_argument("--gap", type=float, nargs=2, default=(0.2, 2.0), metavar="S", help="between two troubles")
    parser.add_argument("--longest", type=float, default=60.0, metavar="S", help="of a trouble")
    parser.add_argument("--limit", type=float, default=1500.0, metavar="S", help="of the run")
    parser.add_argument("--long-every", type=int, default=4, metavar="N", help="one task in N takes a second")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _environment(root: Path) -> dict[str, str]:
    """A user's own home, as tests have it, and the compilers' caches that tests share."""
    home = root / "home"
    folders = {f"XDG_{name}_HOME": str(home / folder) for name, folder in FOLDERS.items()}
    tools = {name: str(TOOL_CACHES / folder) for name, folder in TOOLS.items()}
    return {**os.environ, **folders, **tools, "HOME": str(home), "PATH": nets.PATH, "PYTHONPATH": str(ROOT)}


def _inside(options: argparse.Namespace) -> int:
    """In namespaces of our own."""
    root: Path = options.inside
    signal.signal(signal.SIGTERM, _interrupt)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    nets.make_bridge()
    new_key(root / "id_ed25519")
    hosts = nets.make(root, HOSTS, root / "id_ed25519.pub")
    Client(root / "id_ed25519").install(root / "home", hosts)
    wish = drive.Wish(options.kills, tuple(options.gap), options.longest, options.limit)
    load = workload.of(options.tasks, options.long_every)
    chaos = drive.Drive(root, hosts, load, wish, random.Random(options.seed))
    chaos.log(f"seed {options.seed}: {load.tasks} tasks on {HOSTS} hosts, {options.kills} kills of the scheduler")
    try:
        chaos.run()
        print(_report(chaos, options.seed))
        return 0
    except (drive.Wrong, AssertionError) as error:
        kept = _keep(chaos, options.seed)
        print(f"chaos: seed {options.seed} after {chaos.kills} kills: {error}\nkept: {kept}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        drive.end_hosts(hosts)


def _report(chaos: drive.Drive, seed: int) -> str:
    costs = ledger.costs(chaos.run_folder / "journal.db")
    rows = {
        "seed": seed,
        "date, version": f"{datetime.date.today()}, {__version__}",
        "machine": drive.machine(),
        "tasks, each with one result, all of them right": costs.final,
        "hosts, slots": f"{HOSTS}, {HOSTS * drive.CPUS}",
        "time": f"{time.monotonic() - chaos.started_at:.0f} s",
        **dict(sorted(chaos.counts.items(), key=lambda item: -item[1])),
        **{f"`{name}` in the journal": costs.events[name] for name in ledger.TOLD},
        "batches found again on a host and adopted": costs.adopted,
        "tasks sent to a host; came back unstarted": f"{costs.placed}; {costs.returned}",
        "attempts reported; of them for nothing": f"{costs.reported}; {costs.reported - costs.final}",
        "outcomes of these": ", ".join(f"{n} {word}" for word, n in costs.outcomes.most_common()) or "none",
        "attempts without a report: lost with their host, or given up, started or not": costs.unreported,
        "cpu time of results; of attempts reported for nothing": f"{costs.useful_s:.1f} s; {costs.vain_s:.1f} s",
        "wasted work at most, if all without a report ran to their end": f"{100 * costs.waste:.1f} %",
    }
    return "\n".join(["| what | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _keep(chaos: drive.Drive, seed: int) -> Path:
    """What is needed to understand a failure."""
    kept = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-", dir="/tmp"))
    for file in chaos.root.glob("*.*"):
        if file.suffix in (".log", ".err", ".out"):
            shutil.copy(file, kept)
    for host in chaos.hosts:
        shutil.copy(host.folder / "log", kept / f"{host.name}.sshd.log")
        for log in host.tmp.glob("batchwasm-*/*/log"):
            shutil.copy(log, kept / f"{host.name}.{log.parent.name}.log")
    if chaos.run_folder.exists():
        shutil.copytree(chaos.run_folder, kept / "run")
    return kept


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
