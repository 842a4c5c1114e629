"""A task in words and bars: its attempts, what it may use and used, why it is where it is, what it gave. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from textual.content import Content
from textual.style import Style

from batchwasm.core.explain import Hosts
from batchwasm.escape import visible, visible_text
from batchwasm.explained import Explained
from batchwasm.rows import ResultRow
from batchwasm.spec.hostlist import fold
from batchwasm.tui.gauges import gauge, stacked
from batchwasm.tui.marks import FAINT, mark, marked, word
from batchwasm.tui.panes import head, lines, pairs
from batchwasm.units import count_text, duration_text, size_text
from batchwasm.views.explaining import attempt_text, clock, place_text, told
from batchwasm.views.model import Attempted, TaskView

GROUPS = 40  # of hosts whose reasons are shown, and outputs, and lines of a value: more is in other commands
VALUE_CHARS = 4000
_LIMITS: Sequence[tuple[str, str, Callable[[float], str]]] = (
    ("memory_bytes", "memory", size_text),
    ("time_s", "time", duration_text),
    ("cpus", "cpus", lambda number: f"{number:.2g}"),
    ("disk_bytes", "disk", size_text),
)


def used_of(name: str, used: float | None, limit: float | None, text: Callable[[float], str], width: int) -> Content:
    """`memory  ███───  120 MiB of 512 MiB, 23 %`; without a limit, the number alone."""
    title = (f"{name:<7} ", FAINT)
    if used is None:
        return Content.assemble(title, "no limit" if limit is None else f"at most {text(limit)}")
    if limit is None:
        return Content.assemble(title, f"{text(used)}, no limit")
    share = used / limit if limit else 0.0
    style = "$success"
    if name != "cpus":  # all of a cpu is what one wants
        style = "$error" if share > 0.95 else "$warning" if share > 0.8 else style
    return Content.assemble(
        title, gauge(min(share, 1.0), width, style), f" {text(used)} of {text(limit)}, {share * 100:.0f} %"
    )


def heading(view: TaskView) -> Content:
    """Which task, and how it is."""
    line = view.line
    found = mark(line.state)
    what: list[str | Content | tuple[str, str | Style]] = [
        ("task ", FAINT),
        (f"{visible(line.job)}/{line.index}", "bold"),
        "  ",
        (f"{found.glyph} {word(line.state)}", found.style),
        f"  on {visible(line.host)}" if line.host else "",
        f", attempt {line.attempts}" if line.attempts > 1 else "",
    ]
    reason = Content.styled(visible(line.reason), found.style) if line.reason else Content("")
    params = "  ".join(f"{name}={value}" for name, value in line.params.items())
    return lines(Content.assemble(*what), *([reason] if reason else []), Content.styled(visible(params), FAINT))


# ----------------------------------------------------------------------------------------------------- the task pane


def facts(view: TaskView, width: int) -> Content:
    """Attempts with their phases, limits and use, what it gave, how to run it again."""
    parts = [head("attempts"), *_attempts(view.attempts, width), Content(""), head("limits and use")]
    wide = max(6, min(30, width - 44))
    for key, name, text in _LIMITS:
        if key in view.limits:
            limit, used = view.limits[key]
            parts.append(used_of(name, used, limit, text, wide))
    if view.result is not None:
        parts += [Content(""), head("what it gave"), *_gave(view.result)]
    if view.replay:
        parts += [Content(""), head("to run it again here"), Content(visible(view.replay))]
    return lines(*parts)


def _attempts(attempts: Sequence[Attempted], width: int) -> Iterator[Content]:
    if not attempts:
        yield Content.styled("none yet: it has not started", FAINT)
    longest = max(((a.queued_s or 0.0) + (a.wall_s or 0.0) for a in attempts), default=0.0)
    for attempt in attempts:
        kept = "" if attempt.final or attempt.outcome == "running" else "  (not its result)"
        started = "" if attempt.started_at is None else f" at {clock(attempt.started_at)}"
        yield Content.assemble(
            f"{attempt.number:>2} ", marked(attempt.outcome), f"  {visible(attempt.host)}{started}", (kept, FAINT)
        )
        yield from _phases(attempt, longest, width)
        said = attempt.reason or (f"exit code {attempt.exit_code}" if attempt.exit_code else "")
        if said:
            yield Content.assemble("   ", (visible(said), mark(attempt.outcome).style))


def _phases(attempt: Attempted, longest: float, width: int) -> Iterator[Content]:
    """`queued 2 s ▒▒███████ ran 40 s`: attempts on one scale."""
    queued, ran = attempt.queued_s, attempt.wall_s
    if queued is None and ran is None:
        return
    before = f"queued {duration_text(queued)}" if queued is not None else ""
    after = f"ran {duration_text(ran)}" if ran is not None else ""
    if ran is not None and attempt.outcome == "running":
        after = f"has run {duration_text(ran)}"
    after += f", cpu {duration_text(attempt.cpu_s)}" if attempt.cpu_s is not None else ""
    room = max(4, min(40, width - len(before) - len(after) - 6))
    whole = (queued or 0.0) + (ran or 0.0)
    cells = max(2, round(room * whole / longest)) if longest else 2
    parts = [(queued or 0.0, "▒", FAINT), (ran or 0.0, "█", "$primary")]
    yield Content.assemble("   ", (before, FAINT), " " if before else "", stacked(parts, cells), f" {after}")


def _gave(result: ResultRow) -> Iterator[Content]:
    known: list[tuple[str, Any]] = []
    if result.exit_code is not None:
        known.append(("exit code", result.exit_code))
    if result.taken_from:
        known.append(("taken from", visible(result.taken_from)))
    if result.artifact:
        known.append(("artifact", visible(result.artifact[:16])))
    if known:
        yield pairs(known)
    if result.value is not None:
        text = visible_text(json.dumps(result.value, indent=1, ensure_ascii=False, default=str))
        cut = text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]} ..."
        yield Content.assemble(("value ", FAINT), cut)
    for output in result.outputs[:GROUPS]:
        size = output.get("bytes")
        yield Content.assemble(
            ("output ", FAINT), visible(str(output.get("path", ""))), f"  {size_text(size)}" if size is not None else ""
        )
    if len(result.outputs) > GROUPS:
        yield Content.styled(f"and {count_text(len(result.outputs) - GROUPS)} more outputs", FAINT)
    for name, path in (("stdout", result.stdout_path), ("stderr", result.stderr_path)):
        if path:
            yield Content.assemble((f"{name} ", FAINT), visible(path))
    if not known and result.value is None and not result.outputs:
        yield Content.styled("no value and no outputs", FAINT)


# -------------------------------------------------------------------------------------------------- the explain pane


def explanation(found: Explained) -> Content:
    """As `explain` says it."""
    state = found.state.replace("_", " ")
    verb = {"waiting": "it waits", "running": "it runs"}.get(found.state, f"it ended: {state}")
    parts = [head(verb), *(Content(f"• {visible(told(reason))}") for reason in found.reasons)]
    if found.hosts:
        parts += [Content(""), head("host by host"), *_hosts(found.hosts)]
    if found.places:
        parts += [Content(""), head("now"), *(Content(f"• {visible(place_text(place))}") for place in found.places)]
    parts += _cache(found)
    if found.attempts:
        parts += [Content(""), head("attempts that ended")]
        parts += [Content(f"{attempt.number:>2} {visible(attempt_text(attempt))}") for attempt in found.attempts]
    return lines(*parts)


def _hosts(groups: Sequence[Hosts]) -> Iterator[Content]:
    for group in groups[:GROUPS]:
        said = [visible(told(reason)) for reason in group.reasons] or ["nothing is in the way there"]
        yield Content.assemble((visible(fold(group.names)), "bold"), ": ", "; ".join(said))
    if len(groups) > GROUPS:
        more = sum(len(group.names) for group in groups[GROUPS:])
        yield Content.styled(f"and {count_text(more)} more hosts", FAINT)


def _cache(found: Explained) -> list[Content]:
    cache = found.cache
    if cache is None:
        return []
    parts = [Content(""), head("cache of results")]
    if cache.taken_from is not None:
        parts.append(Content(f"• taken from {visible(cache.taken_from)}"))
    elif cache.nearest is not None:
        parts.append(Content(f"• not taken; the nearest that is known is {visible(cache.nearest)}, and of it"))
        parts += [Content(f"  • {visible(text)}") for text in cache.differs]
    return parts + [Content(f"• {visible(text)}") for text in cache.notes]
