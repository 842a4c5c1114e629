"""When a machine is left to those it belongs to: rules, what speaks against working now, and for how long. Pure.

Rules come from the inventory, for one run, and from the owner of the machine, for all; the strictest of each counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from .protocol import Attach, ProtocolError

CALM_S = 10.0
"""A busy machine is free again after that long without a cause: one that is used in bursts is left alone throughout."""
RETELL_S = 60.0  # a sentence with a number in it is news at most that often
DAY_MINUTES = 24 * 60
WHEN_BUSY = ("wait", "suspend", "leave")
"""From the mildest to the strictest."""
_GIB = 2**30


class Window(NamedTuple):
    """Minutes after midnight; it may go over midnight, and is the whole day where both are the same."""

    start: int
    stop: int

    def has(self, minute: int) -> bool:
        return (minute - self.start) % DAY_MINUTES < ((self.stop - self.start) % DAY_MINUTES or DAY_MINUTES)

    def __str__(self) -> str:
        return f"{clock(self.start)}-{clock(self.stop)}"


def clock(minute: int) -> str:
    """`22:10`."""
    return f"{minute // 60:02}:{minute % 60:02}"


@dataclass(frozen=True)
class Rules:
    """What is None does not matter."""

    max_load: float | None = None
    """Share of all cpus that others use."""
    min_free_memory_bytes: int | None = None
    hours: tuple[tuple[Window, ...], ...] = ()
    """Lists of windows: it must be within one of each list."""
    min_idle_s: float | None = None
    when_busy: str = "wait"

    def __bool__(self) -> bool:
        """False where nothing ever speaks against working."""
        bounds = (self.max_load, self.min_free_memory_bytes, self.min_idle_s)
        return bool(self.hours) or any(bound is not None for bound in bounds)

    def and_also(self, other: Rules) -> Rules:
        """The strictest of each."""
        return Rules(
            max_load=_least(self.max_load, other.max_load),
            min_free_memory_bytes=_most(self.min_free_memory_bytes, other.min_free_memory_bytes),
            hours=self.hours + other.hours,
            min_idle_s=_most(self.min_idle_s, other.min_idle_s),
            when_busy=max(self.when_busy, other.when_busy, key=WHEN_BUSY.index),
        )


BoundT = TypeVar("BoundT", int, float)


def _least(one: BoundT | None, other: BoundT | None) -> BoundT | None:
    return min([bound for bound in (one, other) if bound is not None], default=None)


def _most(one: BoundT | None, other: BoundT | None) -> BoundT | None:
    return max([bound for bound in (one, other) if bound is not None], default=None)


def of_inventory(order: Attach) -> Rules:
    """Raises ProtocolError for what no scheduler of ours sends."""
    if order.when_busy not in WHEN_BUSY or not all(len(window) == 2 for window in order.hours):
        raise ProtocolError(f"when_busy is {order.when_busy!r:.40}, hours are {order.hours!r:.80}")
    windows = tuple(Window(start % DAY_MINUTES, stop % DAY_MINUTES) for start, stop in order.hours)
    return Rules(
        max_load=order.max_load,
        min_free_memory_bytes=order.min_free_memory_bytes,
        hours=(windows,) if windows else (),
        min_idle_s=order.min_idle_s,
        when_busy=order.when_busy,
    )


class Seen(NamedTuple):
    """What was measured; None is not known (yet)."""

    minute: int
    """Of the day, by this machine's clock."""
    load: float | None = None
    free_memory_bytes: int | None = None
    used_s_ago: float | None = None
    """Since somebody touched a keyboard or mouse; infinite where nobody is logged in."""


class Cause(NamedTuple):
    """One thing that speaks against working here now."""

    rule: str
    text: str
    """What was measured, and the bound that it passed."""


def causes(rules: Rules, seen: Seen) -> list[Cause]:
    found = []
    for windows in rules.hours:
        if not any(window.has(seen.minute) for window in windows):
            when = ", ".join(map(str, windows))
            found.append(Cause("hours", f"{clock(seen.minute)} is outside {when}"))
    if rules.min_idle_s is not None and seen.used_s_ago is not None and seen.used_s_ago < rules.min_idle_s:
        ago, bound = _duration(seen.used_s_ago), _duration(rules.min_idle_s)
        found.append(Cause("min_idle", f"used {ago} ago, min_idle is {bound}"))
    if rules.max_load is not None and seen.load is not None and seen.load > rules.max_load:
        found.append(
            Cause("max_load", f"load {_above(seen.load, rules.max_load)} of others over max_load {rules.max_load:g}")
        )
    least, free = rules.min_free_memory_bytes, seen.free_memory_bytes
    if least is not None and free is not None and free < least:
        text = f"memory free {free / _GIB:.1f} GiB under min_free_memory {least / _GIB:g} GiB"
        found.append(Cause("min_free_memory", text))
    return found


def _above(value: float, bound: float) -> str:
    """With as many digits as it takes to see that it is more."""
    return next(text for digits in range(2, 17) if float(text := f"{value:.{digits}f}") > bound or digits == 16)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


class Mood:
    """Whether a run may work here, over time: busy at the first cause, free when there was none for CALM_S."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.busy: str | None = None if rules.max_load is not None else ""
        """Why not; '' where it may; None until it is known, when nothing is started either."""
        self.since = 0.0
        """Monotonic time since when it is busy."""
        self._rule = ""
        self._told_at = self._cause_at = 0.0

    def see(self, seen: Seen, now: float) -> bool:
        """True where what is to be told changed."""
        found = causes(self.rules, seen)
        before = self.busy
        if found:
            self._cause_at = now
            if not before:
                self.since = now
            if not before or found[0].rule != self._rule or now - self._told_at >= RETELL_S:
                self.busy, self._rule, self._told_at = "; ".join(cause.text for cause in found), found[0].rule, now
        elif before is None:
            if self.rules.max_load is None or seen.load is not None:
                self.busy = ""
        elif before and now - self._cause_at >= CALM_S:
            self.busy = ""
        return self.busy != before
