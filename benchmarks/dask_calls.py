"""Adds N pairs of numbers by dask.distributed's client.map on this machine and prints how many seconds that took.

Called by functions.py with the Python of a venv of its own: `dask_calls.py WORKERS CALLS`.
"""

from __future__ import annotations

import operator
import sys
import time

from distributed import Client, LocalCluster


def main() -> None:
    workers, calls = int(sys.argv[1]), int(sys.argv[2])
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        client.gather(client.map(operator.add, range(100), range(100), pure=False))
        started = time.perf_counter()
        values = client.gather(client.map(operator.add, range(calls), range(calls), pure=False))
        seconds = time.perf_counter() - started
        assert values == [2 * n for n in range(calls)]
        print("seconds", seconds)


if __name__ == "__main__":
    main()
