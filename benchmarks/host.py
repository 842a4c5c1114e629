"""The machine that benchmarks run on: one sshd of its own on loopback, and a venv with the programs to compare with."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.sshd import Servers  # noqa: E402

SLOTS = 2


@contextlib.contextmanager
def ssh_host() -> Iterator[Path]:
    """A folder with an inventory.toml of the host `bench`, which has SLOTS cpus, and `client`, a home that knows it."""
    os.environ.setdefault("ZIG_GLOBAL_CACHE_DIR", str(ROOT / ".venv/cache/zig"))
    folder = Path(tempfile.mkdtemp(prefix="batchwasm-bench-", dir="/var/tmp"))
    servers = Servers(folder)
    try:
        server = servers.make("bench", options=["MaxStartups 100"])
        home = folder / "client"
        servers.client.install(home, [server])
        os.environ.update(HOME=str(home), XDG_CACHE_HOME=str(home / ".cache"), XDG_STATE_HOME=str(home / ".state"))
        (folder / "inventory.toml").write_text(f"[hosts.bench]\ncpus = {SLOTS}\n")
        yield folder
    finally:
        servers.end()
        shutil.rmtree(folder, ignore_errors=True)  # a supervisor that leaves removes its own part meanwhile


def others(*packages: str) -> Path:
    """A venv with these packages, made once."""
    venv = ROOT / ".venv/bench"
    if not (venv / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    done = subprocess.run([venv / "bin/python", "-m", "pip", "freeze"], capture_output=True, text=True, check=True)
    missing = [package for package in packages if package not in done.stdout.split()]
    if missing:
        print(f"installing {' and '.join(missing)} into {venv}", file=sys.stderr)
        subprocess.run([venv / "bin/python", "-m", "pip", "install", "-q", *missing], check=True)
    return venv


def machine() -> dict[str, str]:
    lines: Sequence[str] = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return {
        "cpu": f"{len(names)} x {names[0]}" if names else platform.processor(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
