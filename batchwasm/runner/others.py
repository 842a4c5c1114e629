"""What others do on this machine: the share of the cpus that they use, the memory that they leave. What our own
processes use does not count.

Reads the kernel's files below `proc`. Where there are none (macOS), memory stays unknown, None, and for the load the
load average less our own workers has to do.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from typing import Callable, NamedTuple

WINDOW_S = 3.0
"""The load is a mean over so long: a program's start passes unseen, and who really works is noticed within 5 s."""
LEAST_S = 0.9  # what a mean is taken over at least: the kernel counts in hundredths of a second
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class _Sample(NamedTuple):
    at: float
    busy_s: float
    total_s: float
    """Seconds of all cpus, idle ones too."""
    ours_s: float


class Load:
    """The share of all cpus that others use, from samples."""

    def __init__(self, proc: str = "/proc", own: Callable[[], float] | None = None) -> None:
        """`own` gives the cpu seconds of this process and of its children that were waited for."""
        self._proc = proc
        self._own = own or _own_s
        self._samples: deque[_Sample] = deque()

    def sample(self, workers: Iterable[int], now: float) -> None:
        """To be called about every second; `workers` are the process ids of our children."""
        machine = _cpu_seconds(self._proc)
        if machine is None:
            return
        if self._samples and now - self._samples[-1].at > 2 * WINDOW_S:
            self._samples.clear()  # nobody wanted to know for a while
        ours_s = self._own() + sum(_process_seconds(self._proc, pid) for pid in workers)
        self._samples.append(_Sample(now, *machine, ours_s))
        while len(self._samples) > 2 and self._samples[1].at <= now - WINDOW_S:
            self._samples.popleft()

    def of_others(self, workers: int) -> float | None:
        """None until enough was sampled; `workers` is how many of ours run, for where the kernel tells no more."""
        if not self._samples:
            return _averaged(workers)
        first, last = self._samples[0], self._samples[-1]
        if last.at - first.at < LEAST_S or last.total_s <= first.total_s:
            return None
        others_s = (last.busy_s - first.busy_s) - (last.ours_s - first.ours_s)
        return max(0.0, others_s / (last.total_s - first.total_s))


class Share:
    """The share of all cpus that anybody used between two looks."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._before = _cpu_seconds(proc)
        self.now: float | None = None
        """As of the last look; None where the kernel does not tell."""

    def look(self) -> None:
        found, before = _cpu_seconds(self._proc), self._before
        if found is not None and before is not None and found[1] - before[1] >= LEAST_S:
            self._before = found
            self.now = min(1.0, max(0.0, (found[0] - before[0]) / (found[1] - before[1])))


def _averaged(workers: int) -> float | None:
    try:
        return max(0.0, os.getloadavg()[0] - workers) / (os.cpu_count() or 1)
    except OSError:
        return None


def free_memory_bytes(workers: Iterable[int], proc: str = "/proc") -> int | None:
    """What others leave: what could be taken now without swapping, and what our workers have taken of that."""
    for line in _text(f"{proc}/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
            return available + sum(_private_bytes(proc, pid) for pid in workers)
    return None


def minute_of_day() -> int:
    """By this machine's clock and time zone."""
    now = time.localtime()
    return now.tm_hour * 60 + now.tm_min


def _cpu_seconds(proc: str) -> tuple[float, float] | None:
    """(busy, all) of all cpus together since the boot."""
    line = _text(f"{proc}/stat").partition("\n")[0].split()
    if len(line) < 9 or line[0] != "cpu":
        return None
    user, nice, system, idle, wait, hard, soft, steal = map(int, line[1:9])
    busy = user + nice + system + hard + soft  # guests are in user already, and what was stolen is no machine's use
    return busy / _TICKS, (busy + idle + wait + steal) / _TICKS


def _process_seconds(proc: str, pid: int) -> float:
    fields = _text(f"{proc}/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS if len(fields) > 12 else 0.0


def _own_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _private_bytes(proc: str, pid: int) -> int:
    fields = _text(f"{proc}/{pid}/statm").split()
    return (int(fields[1]) - int(fields[2])) * _PAGE_BYTES if len(fields) > 2 else 0


def _text(path: str) -> str:
    """'' where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
