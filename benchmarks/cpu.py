"""Processor time of other processes, by the role they play, while something runs."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
LOOK_EVERY_S = 0.1


class CpuWatch:
    """Looks at /proc while the block runs. `roles` says which text on a command line makes a role; first match counts.

    A process that ends between two looks is missed for the part after the last one.
    """

    def __init__(self, roles: Mapping[str, str]) -> None:
        self._roles = roles
        self._before: set[str] = set()
        self._used: dict[tuple[str, int], tuple[float, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> CpuWatch:
        self._before = set(os.listdir("/proc"))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def us_per(self, tasks: int) -> dict[str, float]:
        """Microseconds of processor time a task, by role."""
        total = dict.fromkeys(self._roles, 0.0)
        for (role, _), (first, last) in self._used.items():
            total[role] += last - first
        return {role: 1e6 * seconds / tasks for role, seconds in total.items()}

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY_S):
            for name in os.listdir("/proc"):
                if name.isdigit():
                    self._look(int(name))

    def _look(self, pid: int) -> None:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            role = next((role for role, text in self._roles.items() if text in command), None)
            if role is None:
                return
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return  # it ended
        used_s = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        new = (used_s if str(pid) in self._before else 0.0, used_s)
        first, _ = self._used.get((role, pid), new)
        self._used[role, pid] = (first, used_s)
