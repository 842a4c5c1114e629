"""Numbers and states in words, as the dashboard says them: short, with units, and of one width where they change."""

from __future__ import annotations

from collections.abc import Mapping

from batchwasm.model import KIB
from batchwasm.rows import TaskCounts
from batchwasm.tui.shapes import SHAPES
from batchwasm.tui.words import Role, Words, joined, width_of, words
from batchwasm.units import count_text, duration_text
from batchwasm.views.model import HostLine, Pace

NOW_S = 5.0  # a host that spoke since then speaks now: beats come every second or two
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")

STATES: Mapping[str, tuple[str, Role]] = {
    "running": ("▶", "running"),
    "finished": ("■", "good"),
    "stopped": ("✗", "bad"),
}
"""Of a run."""

PHASES: Mapping[str, tuple[str, Role]] = {
    "compiling": ("◆", "accent"),
    "waiting": ("○", "dim"),
    "running": ("▶", "running"),
    "done": ("✓", "good"),
}
"""Of a job."""

STANDINGS: Mapping[str, tuple[str, Role]] = {
    "ready": ("●", "good"),
    "connecting": ("○", "accent"),
    "unused": ("○", "dim"),
    "probation": ("◔", "warning"),
    "busy": ("◐", "warning"),
    "drained": ("▽", "warning"),
    "aside": ("!", "warning"),
    "silent": ("?", "bad"),
    "lost": ("✗", "bad"),
    "down": ("✗", "bad"),
    "removed": ("-", "dim"),
}
"""Of a host."""

_STAY = ("lost", "down")  # of a run that does not go on, too: that may be why

TONES: Mapping[str, tuple[str, Role]] = {
    "plain": ("·", "plain"),
    "good": ("✓", "good"),
    "warning": ("!", "warning"),
    "bad": ("✗", "bad"),
}
"""Of an event."""


def standing_mark(host: HostLine) -> tuple[str, Role]:
    """Of a run that does not go on what it was then, and faint."""
    shape, role = STANDINGS.get(host.row.state, ("·", "plain"))
    return shape, "dim" if host.is_past and host.row.state not in _STAY else role


def standing_order(state: str) -> int:
    """What works comes first."""
    return list(STANDINGS).index(state) if state in STANDINGS else len(STANDINGS)


def tally(counts: TaskCounts, width: int) -> Words:
    """`█ 3,250 succeeded  ▓ 114 running`, ...: what is zero is left out; the shapes are those of the bars.

    Where that is too wide the gaps go, then words from the last on: the shapes still tell.
    """
    there = [state for state in SHAPES if getattr(counts, state)]
    whole = words(f"of {count_text(counts.total)}", "dim")
    line = joined([*(_count(counts, state, " ", True) for state in there), whole])
    named = len(there)
    while width_of(line) > width and named >= 0:
        line = joined([_count(counts, state, "", n < named) for n, state in enumerate(there)], " ")
        named -= 1
    return line


def _count(counts: TaskCounts, state: str, gap: str, named: bool) -> Words:
    shape, role = SHAPES[state]
    number: Words = ((f"{shape}{gap}", role), (count_text(getattr(counts, state)), "strong"))
    return (*number, *words(f" {state}")) if named else number


def percent(part: float, whole: float) -> str:
    """` 56%`, which is 100% only when all is."""
    return f"{int(100 * part / whole) if whole else 0:>3}%"


def rate_text(rate: float | None) -> str:
    if rate is None:
        return "no rate yet"
    return f"{count_text(round(rate))}/s" if rate >= 10 else f"{rate:.2g}/s" if rate >= 0.1 else f"{rate * 60:.2g}/min"


def eta_text(pace: Pace) -> str:
    """`about 12 min left (9-18)`; '' where nobody knows."""
    if pace.left_s is None:
        return ""
    unit, each = _unit(pace.left_s)
    text = f"about {_number(pace.left_s / each)} {unit} left"
    if pace.left_low_s is None or pace.left_high_s is None:
        return text
    low, high = _number(pace.left_low_s / each), _number(pace.left_high_s / each)
    return text if low == high else f"{text} ({low}-{high})"


def _unit(seconds: float) -> tuple[str, float]:
    if seconds < 90:
        return "s", 1.0
    if seconds < 90 * 60:
        return "min", 60.0
    return ("h", 3600.0) if seconds < 48 * 3600 else ("d", 86400.0)


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 9.5 or value == int(value) else f"{value:.1f}".removesuffix(".0")


def ago_text(at: float | None, now: float) -> str:
    """`now`, `15 s`, `3 min`, `2 h`: coarse, as it would else change all the time."""
    if at is None or not now:
        return "-"
    seconds = now - at
    if seconds < NOW_S:
        return "now"
    if seconds < 60:
        return f"{seconds // 5 * 5:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    return f"{seconds // 3600:.0f} h" if seconds < 48 * 3600 else f"{seconds // 86400:.0f} d"


def of_text(used: float | None, total: float | None) -> str:
    """`20/32 GiB`; `-` where it is not known."""
    if total is None:
        return "-"
    power = next((n for n in range(len(_UNITS)) if total / KIB**n < 999.5), len(_UNITS) - 1)
    part = "?" if used is None else _short(used / KIB**power)
    return f"{part}/{_short(total / KIB**power)} {_UNITS[power]}"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 or value == 0 else f"{value:.1f}".removesuffix(".0")


def amount(value: float | None) -> str:
    """`16`, `0.5`, `-`."""
    return "-" if value is None else f"{value:.1f}".removesuffix(".0")


def mean_text(seconds: float | None) -> str:
    return "-" if seconds is None else duration_text(seconds)


def marked(mark: tuple[str, Role], text: str) -> Words:
    """A shape and a word, both in its role."""
    return words(f"{mark[0]} {text}", mark[1])
