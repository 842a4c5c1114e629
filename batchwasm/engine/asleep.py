"""Whether this machine was asleep: its connections are dead then, and do not know it."""

from __future__ import annotations

import time

SLEEP_S = 10.0  # what is shorter, a connection survives


class Sleep:
    """Tells of each sleep once."""

    def __init__(self) -> None:
        self._behind_s = _behind_s()

    def slept_s(self) -> float:
        """For how long it was asleep since the last call; 0 where it was not."""
        behind_s = _behind_s()
        slept_s, self._behind_s = behind_s - self._behind_s, behind_s
        return slept_s if slept_s >= SLEEP_S else 0.0


def _behind_s() -> float:
    """How far the clock that stands still in sleep is behind one that does not."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME) - time.clock_gettime(time.CLOCK_MONOTONIC)
    return time.time() - time.monotonic()  # which also tells of a clock that was put forward: no harm in that
