"""Calls a Python function N times with HyperQueue on this machine and prints how many seconds that took.

Called by functions.py with the Python of a venv of its own: `hyperqueue_calls.py SLOTS CALLS FOLDER`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def add(a: int, b: int) -> int:
    return a + b


def main() -> None:
    slots, calls, folder = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    with LocalCluster(str(folder / "server"), worker_config=WorkerConfig(cores=slots)) as cluster:
        client = cluster.client()
        warm = Job(folder)
        warm.function(add, args=(1, 2))
        client.wait_for_jobs([client.submit(warm)])
        job = Job(folder)
        for n in range(calls):
            job.function(add, args=(n, n))
        started = time.perf_counter()
        client.wait_for_jobs([client.submit(job)])
        print("seconds", time.perf_counter() - started)


if __name__ == "__main__":
    main()
