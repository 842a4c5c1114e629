"""The run that must come through: programs, calls, files from one job to the next, and what each has to give.

Tasks are short, so that many are under way or just reported when something breaks; a few last for seconds, so that
they outlive a scheduler or a connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

_MIX = """
#include <stdint.h>
#include <unistd.h>
static uint64_t mix(uint64_t n, int rounds) {
    for (int i = 0; i < rounds; i++) n = n * 6364136223846793005u + 1442695040888963407u;
    return n;
}
"""
_PROGRAM = f"""{_MIX}
#include <stdio.h>
#include <stdlib.h>
#include <inttypes.h>
int main(int argc, char **argv) {{
    uint64_t n = strtoull(argv[1], 0, 10);
    int long_every = atoi(argv[2]), ms = atoi(argv[3]);
    usleep(1000 * (ms ? ms : n % long_every ? 5 + n % 30 : 500 + n % 1000));
    printf("%" PRIu64 "\\n", mix(n, 1000));
    return 0;
}}
"""
_CALL = f"{_MIX}\nuint64_t weigh(uint64_t n) {{ usleep(1000 * (2 + n % 10)); return mix(n, 1000); }}\n"
_WRITE = f"""{_MIX}
#include <stdio.h>
#include <stdlib.h>
#include <inttypes.h>
#include <sys/stat.h>
int main(int argc, char **argv) {{
    mkdir("out", 0777);
    FILE *out = fopen("out/data", "w");
    uint64_t n = strtoull(argv[1], 0, 10);
    usleep(10000);
    for (int i = 0; i < 200; i++) fprintf(out, "%" PRIu64 "\\n", n = mix(n, 1));
    return fclose(out);
}}
"""
_READ = """
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <inttypes.h>
int main(int argc, char **argv) {
    uint64_t sum = 0, n;
    FILE *in = fopen(argv[1], "r");
    if (!in) { perror(argv[1]); return 2; }
    while (fscanf(in, "%" SCNu64, &n) == 1) sum += n;
    printf("%" PRIu64 "\\n", sum);
    return 0;
}
"""
_JOBS = """
name = "chaos"
[defaults]
memory = "16MiB"
[jobs.mix]
source = "mix.c"
args = ["{n}", "%(long_every)d", "0"]
sweep = { n = { range = [0, %(mix)d] } }
[jobs.weigh]
source = "weigh.c"
function = "weigh"
args = ["{n}"]
sweep = { n = { range = [0, %(weigh)d] } }
[jobs.write]
source = "write.c"
args = ["{n}"]
outputs = ["out/*"]
sweep = { n = { range = [0, %(write)d] } }
[jobs.read]
source = "read.c"
args = ["write/{index}/out/data"]
inputs = ["@write/out/*"]
after = { job = "write", each = true }
sweep = { n = { range = [0, %(read)d] } }
[jobs.slow]
source = "mix.c"
priority = 1
max_parallel = 4
args = ["{n}", "1", "%(slow_ms)d"]
sweep = { n = { range = [0, %(slow)d] } }
[jobs.last]
source = "mix.c"
args = ["7", "1", "%(last_ms)d"]
after = ["mix", "weigh", "read", "slow"]
"""
LAST_MS = 5000
"""The last task of all: hosts that come back late find the run still there, and are told that it ended."""
MASK = 2**64 - 1


class Workload(NamedTuple):
    """How many tasks each job has."""

    counts: Mapping[str, int]
    long_every: int
    """One in so many of the short ones takes a second, so that a run of 10,000 lasts longer than a long silence."""
    slow_ms: int = 3000

    @property
    def tasks(self) -> int:
        return sum(self.counts.values())

    def lay_out(self, folder: Path) -> Path:
        """Writes sources and jobs.toml; the path of that."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {"mix.c": _PROGRAM, "weigh.c": _CALL, "write.c": _WRITE, "read.c": _READ}.items():
            (folder / name).write_text(text)
        jobs = folder / "jobs.toml"
        jobs.write_text(
            _JOBS % {**self.counts, "long_every": self.long_every, "slow_ms": self.slow_ms, "last_ms": LAST_MS}
        )
        return jobs

    def wrong(self, rows: list[Any], run: Path) -> Iterator[str]:
        """What `results --json` says that is not as it has to be, a line each."""
        expected = {(job, n) for job, count in self.counts.items() for n in range(count)}
        seen = [(row["job"], row["index"]) for row in rows]
        yield from (f"{job}/{n}: no row" for job, n in sorted(expected - set(seen)))
        if len(seen) != len(set(seen)):
            yield "a task has two rows"
        for row in rows:
            yield from self._wrong_row(row, run)

    def _wrong_row(self, row: Any, run: Path) -> Iterator[str]:
        job, n = row["job"], row["index"]
        task = f"{job}/{n}"
        if row["outcome"] != "succeeded":
            yield f"{task}: {row['outcome']}, {json.dumps(row['reason'])}"
            return
        want = {"stdout": "", "value": None}
        if job == "weigh":
            want["value"] = _mix(n)
        elif job in ("mix", "slow", "last"):
            want["stdout"] = f"{_mix(7 if job == 'last' else n)}\n"
        elif job == "read":
            want["stdout"] = f"{sum(_chain(n)) & MASK}\n"
        elif (found := (run / f"tasks/write/{n}/out/out/data").read_text().split()) != list(map(str, _chain(n))):
            yield f"{task}: out/data has {len(found)} lines, {found[:2]}..."
        yield from (
            f"{task}: {name} is {row[name]!r}, not {value!r}" for name, value in want.items() if row[name] != value
        )


def of(tasks: int, long_every: int) -> Workload:
    """About that many: six in ten a program, three a call, one with files."""
    slow = max(4, tasks // 400)
    files = tasks // 20
    weigh = tasks * 3 // 10
    counts = {"weigh": weigh, "write": files, "read": files, "slow": slow, "last": 1}
    return Workload({"mix": tasks - sum(counts.values()), **counts}, long_every)


def _step(n: int) -> int:
    return (n * 6364136223846793005 + 1442695040888963407) & MASK


def _mix(n: int) -> int:
    for _ in range(1000):
        n = _step(n)
    return n


def _chain(n: int) -> list[int]:
    numbers = []
    for _ in range(200):
        n = _step(n)
        numbers.append(n)
    return numbers
