"""The tour, as `make demo` shows it: one run of examples/tour here, each language's result as soon as it is there.

Called with the time (seconds since the epoch) at which `make demo` was started.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
BATCHWASM = str(Path(sys.executable).with_name("batchwasm"))
TOUR = ROOT / "examples/tour"
RUNS = ROOT / "batchwasm-runs"
JOBS = {"rust": "Rust", "c": "C", "go": "Go", "cpp": "C++"}
LOOK_EVERY_S = 0.5


def ask(*args: str) -> list[Any]:
    """What batchwasm says with --json, one object a line; nothing where it can't say yet."""
    done = subprocess.run([BATCHWASM, *args, "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()] if done.returncode == 0 else []


def expected_tables() -> list[str]:
    """What the three tasks of every language must print."""
    lines = (TOUR / "expected.txt").read_text().splitlines(keepends=True)
    third = len(lines) // 3
    return ["".join(lines[i : i + third]) for i in range(0, len(lines), third)]


def missing_languages() -> set[str]:
    """Jobs whose compiler is not here."""
    missing = {row["language"] for row in ask("toolchains") if not row["found"]}
    return {job for job, language in JOBS.items() if language in missing}


def repeat(lines: IO[str]) -> None:
    for line in lines:
        print(f"  {line.rstrip()}", flush=True)


def show(job: str, tasks: list[Any], *, first: bool) -> bool:
    """Says how a job ended, with its last table if it is the first one. True where all of it is right."""
    wrong = [
        f"{job}/{task['index']}: {(task['reason'] or {}).get('text') or 'a table that is not the expected one'}"
        for task, table in zip(tasks, expected_tables(), strict=True)
        if task["outcome"] != "succeeded" or task["stdout"] != table
    ]
    if wrong:
        print(f"\n{JOBS[job]}: not as expected\n  " + "\n  ".join(wrong), flush=True)
        return False
    ran_s = sum(task["wall_s"] for task in tasks)
    print(f"\n{JOBS[job]}: three tables as expected, ran {1000 * ran_s:.0f} ms in all", flush=True)
    if first:
        print("  " + tasks[-1]["stdout"].rstrip().replace("\n", "\n  "), flush=True)
    return True


def follow(run: subprocess.Popen[str], jobs: list[str], before: set[str]) -> int:
    """Shows each job when its tasks are done, until the run ends; returns how many jobs are right."""
    shown: dict[str, bool] = {}
    while True:
        ended = run.poll() is not None
        new = {path.name for path in RUNS.glob("tour-*")} - before
        tasks = ask("results", "-r", str(RUNS / max(new))) if new else []
        for job in jobs:
            done = [task for task in tasks if task["job"] == job and task["outcome"] is not None]
            if len(done) == 3 and job not in shown:
                shown[job] = show(job, sorted(done, key=lambda task: task["index"]), first=not shown)
        if ended:
            return sum(shown.values())
        time.sleep(LOOK_EVERY_S)


def main() -> int:
    started = float(sys.argv[1]) if len(sys.argv) > 1 else time.time()
    missing = missing_languages()
    jobs = [job for job in JOBS if job not in missing]
    print(f"The tour: one program in {', '.join(JOBS[job] for job in jobs)}; compiled here, run in a sandbox here.")
    for job in missing:
        print(
            f"{JOBS[job]} is left out: its compiler is not here (`.venv/bin/batchwasm toolchains` says how to get it)."
        )
    print("The first time, compilers build their standard libraries, which takes minutes; after that, a second each.\n")

    before = {path.name for path in RUNS.glob("tour-*")}
    only = [word for job in jobs for word in ("--only", job)] if missing else []
    command = [BATCHWASM, "run", str(TOUR / "jobs.toml"), "--runs-dir", str(RUNS), *only]
    print("$ .venv/bin/batchwasm run examples/tour/jobs.toml", *only, flush=True)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        talk = threading.Thread(target=repeat, args=(run.stderr,))
        talk.start()
        right = follow(run, jobs, before)
        talk.join()

    if run.returncode or right < len(jobs):
        print("\nThe tour did not end as it should; the lines above say why.")
        return run.returncode or 1
    print(f"\nAll {3 * len(jobs)} tables are as expected, the same from every language.")
    print(f"From `make demo` to here: {time.time() - started:.0f} s. Next: .venv/bin/batchwasm results, or README.md.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
