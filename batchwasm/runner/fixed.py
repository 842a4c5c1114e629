"""Clocks and random numbers that are the same at every attempt and on every host (docs/reproduce.md).

They stand in for those functions of WASI preview 1 by which a guest would see when it runs, and where. It may sleep as
long as it likes: the clock goes on by as much as it asked for.
Runs under Python 3.9: no match, no slots or kw_only.
"""

from __future__ import annotations

import hashlib
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

MODULE = "wasi_snapshot_preview1"
FUNCTIONS = {"clock_res_get": "ii", "clock_time_get": "iIi", "random_get": "ii", "poll_oneoff": "iiii"}
"""What a FixedWorld defines: parameters by name, i for i32 and I for i64; all return an i32."""
START_NS = 946_684_800 * 10**9  # 2000-01-01T00:00:00Z
STEP_NS = 1000
"""By which a reading moves the clocks. To read them takes two or three times as long: a guest that waits in a loop for
a time to come need not wait for hours, and one that gives itself a time limit does not meet that too soon. They move
before the first reading already: Go's runtime takes a clock at zero for a broken one."""
_SUCCESS, _BADF, _INVAL = 0, 8, 28  # errno
_REALTIME, _MONOTONIC = 0, 1
_CPU_TIMES = (2, 3)
_SUBSCRIPTION = struct.Struct("<QB7xIxxxxQQH6x")  # userdata, tag, clock, timeout, precision, flags
_EVENT = struct.Struct("<QHB5xQH6x")  # userdata, errno, type, bytes, flags
_ABSOLUTE = 1
_CLOCK = 0  # tag of a subscription; the others are of files, which can always be read and written
_LONGEST_SLEEP_S = 1e8  # time.sleep takes no more than some hundred years
_DRAW_BYTES = 1024 * 1024


class Misused(Exception):
    """A guest gave what wasmtime traps at: an address outside of its memory, a clock that there can't be."""


class _Wanted(NamedTuple):
    """A subscription of poll_oneoff."""

    userdata: int
    kind: int
    after_ns: int
    """From now on; 0 for a file."""


class FixedWorld:
    """Of one engine's guests, one after another. Methods named as in WASI take the guest's memory and give an errno.

    They raise Misused.
    """

    def __init__(self) -> None:
        self._ns = 0
        self._seed = b""
        self._draws = 0

    def restart(self, seed: int) -> None:
        """The world of a task, as at its start."""
        self._ns = 0
        self._seed = b"batchwasm random/1 %d " % seed
        self._draws = 0

    def clock_res_get(self, memory: memoryview, clock: int, at: int) -> int:
        return _store(memory, at, STEP_NS) if _is_known(clock) else _BADF

    def clock_time_get(self, memory: memoryview, clock: int, precision: int, at: int) -> int:
        if not _is_known(clock):
            return _BADF
        self._ns += STEP_NS
        return _store(memory, at, self._now(clock))

    def random_get(self, memory: memoryview, at: int, size: int) -> int:
        """SHAKE-256 of the seed and of how often it was asked before."""
        _check(memory, at, size)
        for start in range(at, at + size, _DRAW_BYTES):
            end = min(start + _DRAW_BYTES, at + size)
            memory[start:end] = hashlib.shake_256(self._seed + b"%d" % self._draws).digest(end - start)
            self._draws += 1
        return _SUCCESS

    def poll_oneoff(self, memory: memoryview, wanted_at: int, events_at: int, count: int, stored_at: int) -> int:
        """A file is ready at once, a time once it was slept for; then the clock shows it, and not a bit more."""
        if count == 0:
            return _INVAL
        _check(memory, wanted_at, _SUBSCRIPTION.size * count)
        _check(memory, events_at, _EVENT.size * count)
        _check(memory, stored_at, 4)
        try:
            wanted = list(self._wanted(memory[wanted_at : wanted_at + _SUBSCRIPTION.size * count]))
        except ValueError:
            return _INVAL
        first_ns = min(each.after_ns for each in wanted)
        if first_ns:
            time.sleep(min(first_ns / 1e9, _LONGEST_SLEEP_S))
            self._ns += first_ns
        ready = [each for each in wanted if each.after_ns <= first_ns]
        for k, each in enumerate(ready):
            of_file = each.kind != _CLOCK
            _EVENT.pack_into(memory, events_at + _EVENT.size * k, each.userdata, _SUCCESS, each.kind, int(of_file), 0)
        struct.pack_into("<I", memory, stored_at, len(ready))
        return _SUCCESS

    def _wanted(self, subscriptions: memoryview) -> Iterator[_Wanted]:
        """Raises ValueError for what is none."""
        for userdata, kind, clock, timeout_ns, _, flags in _SUBSCRIPTION.iter_unpack(subscriptions):
            if kind > 2 or (kind == _CLOCK and clock not in (_REALTIME, _MONOTONIC)):
                raise ValueError
            if kind != _CLOCK:
                timeout_ns = 0
            elif flags & _ABSOLUTE:
                timeout_ns = max(0, timeout_ns - self._now(clock))
            yield _Wanted(userdata, kind, timeout_ns)

    def _now(self, clock: int) -> int:
        return self._ns + (START_NS if clock == _REALTIME else 0)


def _is_known(clock: int) -> bool:
    """False for those that count cpu time, which wasmtime has none of either."""
    if clock not in (_REALTIME, _MONOTONIC, *_CPU_TIMES):
        raise Misused(f"it asked for clock {clock}, and there is none")
    return clock in (_REALTIME, _MONOTONIC)


def _check(memory: memoryview, at: int, size: int) -> None:
    if at + size > len(memory):
        raise Misused(f"it gave {size} bytes at address {at}, which are outside of its memory of {len(memory)} bytes")


def _store(memory: memoryview, at: int, ns: int) -> int:
    _check(memory, at, 8)
    struct.pack_into("<Q", memory, at, ns)
    return _SUCCESS
