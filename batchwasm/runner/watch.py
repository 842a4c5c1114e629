"""One thread that waits beside the guest: it ends the guest at its deadline or limit, and reports on time.

The guest runs in ctypes with the GIL released, so this thread gets its turn. Ending a guest is a trap at its next loop
or call; a guest that is asleep in a host call feels nothing of it, and is given up after a grace.
"""

from __future__ import annotations

import os
import threading
import time
import traceback
from typing import Callable, NamedTuple

TICK_S = 0.05  # how late a flood of output is noticed; a tick costs some 20 us
SCAN_S = 1.0  # between two looks at the task's folder
GRACE_S = 0.25  # for the guest to feel that it was ended, before the worker goes down with it
_LINGER_S = 1.0  # ticking on after the last guest is cheaper than being woken for the next one
_EXIT_FAILED = 70  # EX_SOFTWARE


class Stop(NamedTuple):
    """Why a guest was ended."""

    code: str
    """time_limit, stdout, stderr, disk or files."""
    limit: float
    used: float


class Watch:
    """`begin` before the guest, `end` after it; each costs a microsecond."""

    def __init__(
        self,
        *,
        interrupt: Callable[[], None],
        look: Callable[[], Stop | None],
        scan: Callable[[], Stop | None],
        tick: Callable[[], None],
        give_up: Callable[[Stop], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`look` each tick and `scan` each second say whether a limit is passed; `tick` is told each tick too.

        `give_up` is called for a guest that can't be ended, and does not return. `clock` is monotonic, in seconds; it
        may stand still while this process does.
        """
        self._interrupt = interrupt
        self._look = look
        self._scan = scan
        self._tick = tick
        self._give_up = give_up
        self._clock = clock
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._attempt = 0
        self._running = False
        self._given_up = False
        self._started = self._ended = 0.0
        self._time_s: float | None = None
        self._deadline = float("inf")
        self._scan_at = float("inf")
        self._stop: Stop | None = None
        self._stopped_at = 0.0
        self._wake_at = float("inf")
        threading.Thread(target=self._live, name="watch", daemon=True).start()

    def begin(self, time_s: float | None) -> None:
        """A guest starts now; it may run for `time_s`, None is for ever."""
        with self._lock:
            now = self._clock()
            self._attempt += 1
            self._running = True
            self._stop = None
            self._started = now
            self._time_s = time_s
            self._deadline = float("inf") if time_s is None else now + time_s
            self._scan_at = now + SCAN_S
            # A watch that ticks anyway is woken only for a deadline before its next tick.
            if self._deadline < self._wake_at or self._wake_at == float("inf"):
                self._changed.notify()

    def end(self) -> Stop | None:
        """The guest is back; why it was ended, None where it was not. Never returns for one that was given up."""
        with self._lock:
            if not self._given_up:
                self._running = False
                self._ended = self._clock()
                return self._stop
        while True:
            time.sleep(3600)  # the watch is about to end this process

    def _live(self) -> None:
        try:
            self._watch()
        except BaseException:
            # Without a watch guests have no limits. Most likely the supervisor is gone, and nobody waits for us.
            traceback.print_exc()
            os._exit(_EXIT_FAILED)

    def _watch(self) -> None:
        while True:
            with self._lock:
                self._wait()
                now = self._clock()
                running, attempt = self._running, self._attempt
                if running and self._stop is None and now >= self._deadline:
                    self._end_it(Stop("time_limit", self._time_s or 0.0, now - self._started), now)
                elif running and self._stop is not None:
                    # Again, because the guest may not have been in the engine yet when it was ended.
                    self._interrupt()
                    self._given_up = now > self._stopped_at + GRACE_S
                given_up = self._stop if self._given_up else None
            if given_up is not None:
                self._give_up(given_up)
            if running:
                self._inspect(attempt, now)

    def _wait(self) -> None:
        now = self._clock()
        ticking = self._running or now < self._ended + _LINGER_S
        self._wake_at = min(now + TICK_S if ticking else float("inf"), self._open_deadline())
        self._changed.wait(None if self._wake_at == float("inf") else max(0.0, self._wake_at - now))
        self._wake_at = 0.0

    def _open_deadline(self) -> float:
        return self._deadline if self._running and self._stop is None else float("inf")

    def _inspect(self, attempt: int, now: float) -> None:
        """Outside the lock: a scan may take a while, and the guest's end must not wait for it."""
        self._tick()
        stop = self._look()
        if stop is None and now >= self._scan_at:
            stop = self._scan()
            self._scan_at = self._clock() + SCAN_S
        if stop is not None:
            with self._lock:
                if self._running and self._attempt == attempt and self._stop is None:
                    self._end_it(stop, self._clock())

    def _end_it(self, stop: Stop, now: float) -> None:
        self._stop = stop
        self._stopped_at = now
        self._interrupt()
