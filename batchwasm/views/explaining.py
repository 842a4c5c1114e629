"""What `Explained` has to say, as sentences: the same in the command line and on the dashboard."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from batchwasm.units import count_text, duration_text, size_text

if TYPE_CHECKING:
    from batchwasm.core.explain import Place
    from batchwasm.core.reasons import Reason
    from batchwasm.explained import AttemptRow


def told(reason: Reason) -> str:
    return reason.text if reason.until is None else f"{reason.text} (until {clock(reason.until)})"


def clock(at: float) -> str:
    """Local time as people say it today: `10:42`; with its date on another day."""
    then = time.localtime(at)
    today = then[:3] == time.localtime()[:3]
    return time.strftime("%H:%M" if today else "%Y-%m-%d %H:%M", then)


def place_text(place: Place) -> str:
    words = [f"attempt {place.number} on {place.host}"]
    if place.before:
        before = "1 task" if place.before == 1 else f"{count_text(place.before)} tasks"
        words.append(f"sent there at {clock(place.since)}, behind {before} of the same batch")
    else:
        words.append(f"since {clock(place.since)}")
    if place.double:
        words.append("started beside another attempt; the first result counts")
    if place.late:
        words.append("much longer than others of its job")
    if place.doubted:
        words.append("doubted, since nothing is heard of its host")
    return ", ".join(words)


def attempt_text(attempt: AttemptRow) -> str:
    """Of one that ended."""
    outcome = attempt.outcome.replace("_", " ")
    if attempt.number == 0:
        return f"{outcome} in an earlier run, started at {clock(attempt.started_at)}"
    text = f"{outcome} on {attempt.host}, started at {clock(attempt.started_at)}"
    if attempt.wall_s is not None:
        text += f", after {duration_text(attempt.wall_s)}"
    if attempt.peak_memory_bytes:
        text += f" and with {size_text(attempt.peak_memory_bytes)}"
    return f"{text}: {attempt.reason}" if attempt.reason else text
