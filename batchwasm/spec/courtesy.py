"""The keys of a host that say when it is left to those it belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping

from batchwasm.model import Courtesy, Hours
from batchwasm.spec.nodes import Node, did_you_mean, present
from batchwasm.spec.quantities import LARGEST_AMOUNT, duration_s, shown, size_bytes

COURTESY_KEYS = ("max_load", "min_free_memory", "hours", "min_idle", "when_busy")
WHEN_BUSY = ("wait", "suspend", "leave")
_TIME = "([01]?[0-9]|2[0-3]):([0-5][0-9])"
_HOURS = re.compile(rf"{_TIME} *- *(?:{_TIME}|(24):(00))", re.ASCII)
HOURS_PATTERN = f"^{_HOURS.pattern}$"


def read(keys: Mapping[str, Node]) -> Courtesy:
    """A host's own keys, or those of its range or the defaults; 0 takes back what these say."""
    return Courtesy(
        max_load=present(keys, "max_load", _max_load, None),
        min_free_memory_bytes=present(keys, "min_free_memory", lambda node: node.quantity(size_bytes), None) or None,
        hours=present(keys, "hours", _hours, ()),
        min_idle_s=present(keys, "min_idle", lambda node: node.quantity(duration_s), None) or None,
        when_busy=present(keys, "when_busy", _when_busy, "wait"),
    )


def _max_load(node: Node) -> float | None:
    value = node.value
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= LARGEST_AMOUNT:
        return float(value)
    node.wants("a share of all cpus above 0; write such as 0.8")
    return None


def _hours(node: Node) -> tuple[Hours, ...]:
    """One window, or a list of them; an empty one is always."""
    items = node.items if isinstance(node.value, list) else [node]
    return tuple(found for item in items if (found := item.quantity(hours)) is not None)


def hours(value: object) -> Hours:
    """`20:00-08:00` over midnight, `00:00-24:00` at most. Raises ValueError saying what would be right."""
    match = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a time of day from and to; write such as '20:00-08:00'")
    numbers = [int(number) for number in match.groups() if number is not None]
    start, stop = 60 * numbers[0] + numbers[1], 60 * numbers[2] + numbers[3]
    if start == stop:
        raise ValueError(f"{shown(value)} is no time at all; write '00:00-24:00' for always")
    return Hours(start=start, stop=stop)


def _when_busy(node: Node) -> str | None:
    text = node.text()
    if text is None or text in WHEN_BUSY:
        return text
    near = did_you_mean(text, WHEN_BUSY) or f"; those are {', '.join(WHEN_BUSY)}"
    node.wrong(f"{text!r} is nothing that tasks on a busy host can do{near}")
    return None
