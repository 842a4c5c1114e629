"""The time of a scheduler: it never goes back; and whether this machine was asleep, whose connections are dead then."""

from __future__ import annotations

import time

SLEEP_S = 10.0  # what is shorter, a connection survives


class Clock:
    """Unix time as of a clock that nobody sets back: else what is due in a second would be due in an hour."""

    def __init__(self, at_least: float = 0.0) -> None:
        self._ahead_s = max(time.time(), at_least) - time.monotonic()

    def now(self) -> float:
        wall, steady = time.time(), self._ahead_s + time.monotonic()
        if wall > steady:  # it was put forward, or this machine was asleep
            self._ahead_s += wall - steady
            return wall
        return steady


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
