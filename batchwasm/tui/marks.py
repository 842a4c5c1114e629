"""States of tasks as one character and a colour each: the character alone says it, too, where colours are not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.content import Content

from batchwasm.escape import visible
from batchwasm.model import Outcome

FAINT = "$secondary"
"""Of what is beside the point: text that is still told from its background, in every theme."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How a state is shown."""

    glyph: str
    style: str
    """In terms of the theme."""
    strong: bool = False
    """It is one that people look for."""


MARKS: Mapping[str, Mark] = {
    "waiting": Mark("·", FAINT),
    "running": Mark("▶", "$primary"),
    "succeeded": Mark("■", "$success"),
    "failed": Mark("F", "bold $error", True),
    "trapped": Mark("T", "bold $error", True),
    "timed_out": Mark("O", "bold $error", True),
    "out_of_memory": Mark("M", "bold $error", True),
    "limit_exceeded": Mark("L", "bold $error", True),
    "invalid": Mark("I", "bold $error", True),
    "mismatch": Mark("D", "bold $error", True),
    "lost": Mark("X", "bold $error", True),
    "cancelled": Mark("-", "$warning"),
    "skipped": Mark("/", "$warning"),
}
"""By the word of a state. Letters of failures are upper case: in a cell of many tasks, lower case stands for a few."""
PARTLY = Mark("▒", "$success")
"""Of a cell: some have succeeded, others wait."""
UNKNOWN = Mark("?", FAINT)
FAILED = tuple(
    outcome.word for outcome in Outcome if outcome not in (Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.SKIPPED)
)
"""The ways in which a task fails."""
FEW = 0.1
"""Of a cell's tasks that failed: fewer are shown by a small letter."""


def mark(state: str) -> Mark:
    return MARKS.get(state, UNKNOWN)


def word(state: str) -> str:
    """As people say it: `out of memory`."""
    return visible(state.replace("_", " "))


def marked(state: str) -> Content:
    """`■ succeeded`."""
    found = mark(state)
    return Content.styled(f"{found.glyph} {word(state)}", found.style)


def of_cell(counts: Mapping[str, int]) -> Mark:
    """Of tasks that are shown as one: the worst that any of them is, as `RULE` tells it."""
    total = sum(counts.values())
    failed = {state: counts[state] for state in FAILED if counts.get(state)}
    if failed:
        found = mark(max(failed, key=lambda state: failed[state]))
        few = sum(failed.values()) < FEW * total
        return Mark(found.glyph.lower(), found.style, True) if few else found
    if counts.get("running"):
        return MARKS["running"]
    if counts.get("waiting"):
        return PARTLY if counts.get("succeeded") else MARKS["waiting"]
    present = [state for state in counts if counts[state]]
    return mark(max(present, key=lambda state: counts[state])) if present else UNKNOWN


RULE = "the worst of a cell; small letters: under 10 % failed"


def legend(states: Mapping[str, int], width: int, *, mixed: bool) -> Content:
    """Of the states that there are, in lines of `width`; `mixed`: cells stand for several tasks."""
    shown = [(mark(state), word(state)) for state in MARKS if states.get(state)]
    if mixed and states.get("waiting") and states.get("succeeded"):
        shown.append((PARTLY, "partly succeeded"))
    parts = [Content.styled(f"{found.glyph} {name}", found.style) for found, name in shown]
    if mixed:
        parts.append(Content.styled(RULE, FAINT))
    rows: list[Content] = []
    for part in parts:
        if rows and rows[-1].cell_length + 2 + part.cell_length <= width:
            rows[-1] = Content("  ").join([rows[-1], part])
        else:
            rows.append(part)
    return Content("\n").join(rows)


def tally(counts: Mapping[str, int]) -> str:
    """`98 succeeded, 2 failed`."""
    return ", ".join(f"{counts[state]:,} {word(state)}" for state in _in_order(counts)) or "no tasks"


def _in_order(counts: Mapping[str, int]) -> list[str]:
    """Known states first, in the order in which tasks go through them."""
    order = ("succeeded", "running", "waiting", *FAILED, "cancelled", "skipped")
    return [state for state in order if counts.get(state)] + [s for s in counts if s not in order and counts[s]]
