"""Runs a command N times with HyperQueue on this machine and prints how many seconds that took, its server being up.

Called by throughput.py with the Python of a venv of its own: `hyperqueue_tasks.py SLOTS TASKS FOLDER COMMAND...`.
The end is when the last task's output was written, since HyperQueue's own wait looks only now and then.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig


def main() -> None:
    slots, tasks, folder, command = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:]
    with LocalCluster(str(folder / "server"), worker_config=WorkerConfig(cores=slots)) as cluster:
        client = cluster.client()
        warm = Job(folder)
        warm.program(command)
        client.wait_for_jobs([client.submit(warm)])

        job = Job(folder)
        for _ in range(tasks):
            job.program(command)
        started = time.time()
        client.wait_for_jobs([client.submit(job)])
        outputs = list(folder.glob("*.stdout"))
        assert len(outputs) == tasks, f"{len(outputs)} outputs of {tasks}"
        print("seconds", max(path.stat().st_mtime for path in outputs) - started)


if __name__ == "__main__":
    main()
