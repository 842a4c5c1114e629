"""A host in words and charts: what takes it over time, what it says of itself, what it is, what went wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from textual.content import Content

from batchwasm.escape import visible
from batchwasm.tui.gauges import gauge, stretched
from batchwasm.tui.marks import FAINT, mark, tally
from batchwasm.tui.panes import content_of, head, lines, pairs
from batchwasm.tui.said import ago_text, marked, standing_mark
from batchwasm.tui.shapes import chart, sparkline, squeezed
from batchwasm.tui.tasklist import params_text
from batchwasm.tui.words import foreign
from batchwasm.units import count_text, duration_text, size_text
from batchwasm.views.explaining import clock
from batchwasm.views.model import HostLine, HostView, Load, TaskLine

CHART_ROWS = 5
JOBS = 12  # rows of occupancy; jobs beyond are told as one


def _memory_share(line: HostLine) -> float | None:
    if not line.memory_bytes or line.memory_available_bytes is None:
        return None
    return min(1.0, max(0.0, 1 - line.memory_available_bytes / line.memory_bytes))


def _memory_text(line: HostLine) -> str:
    if line.memory_bytes is None or line.memory_available_bytes is None:
        return ""
    return f"{size_text(max(0, line.memory_bytes - line.memory_available_bytes))} of {size_text(line.memory_bytes)}"


def heading(line: HostLine, now: float) -> Content:
    standing = standing_mark(line)
    heard = "" if line.heard_at is None else f", heard {ago_text(line.heard_at, now)}"
    if line.heard_at is not None and line.is_past:
        heard = f", heard last at {clock(line.heard_at)}"
    elif heard and not heard.endswith("now"):
        heard += " ago"
    first = Content.assemble(
        ("host ", FAINT),
        (visible(line.row.name), "bold"),
        "  ",
        content_of(marked(standing, visible(line.row.state))),
        f"  by {visible(line.transport)}{heard}",
    )
    there = "1 task" if line.row.running == 1 else f"{count_text(line.row.running)} tasks"
    second = f"{there} there {'when the run ended' if line.is_past else 'now'}, {count_text(line.row.done)} done"
    if line.suspended:
        stopped = "1 batch" if line.suspended == 1 else f"{count_text(line.suspended)} batches"
        second += f", {stopped} stopped while it is left to others"
    reason = [content_of(foreign(line.row.reason, standing[1]))] if line.row.reason else []
    return lines(first, *reason, Content(second))


def occupancy_text(view: HostView, width: int, now: float) -> Content:
    """By job, a row each on the scale of all its cpus, so that rows add up."""
    cpus = view.line.cpus or view.line.row.cpus or 0.0
    totals = [sum(values) for values in zip(*view.occupancy.values(), strict=False)]
    if not totals:
        return lines(head("occupancy"), Content.styled("nothing has run here in this run", FAINT))
    most = max(cpus, *totals)
    span = f"the last {duration_text(len(totals) * view.span_s)}"
    rows = chart(stretched(totals, width - 5), CHART_ROWS, most)
    labels = [f"{most:>4.3g} ", *("     " for _ in rows[1:-1]), "   0 "]
    first, last = clock(view.since), clock(now)
    scale = Content.styled(f"     {first}{last:>{max(1, width - 5 - len(first))}}", FAINT)
    parts = [head(f"cpus taken by this run, of {cpus:g}, {span}")]
    parts += [Content.assemble((label, FAINT), (row, "$primary")) for label, row in zip(labels, rows, strict=False)]
    return lines(*parts, scale, Content(""), head("by job"), *_by_job(view, width, most))


def _by_job(view: HostView, width: int, most: float) -> Iterator[Content]:
    jobs = sorted(view.occupancy, key=lambda job: -sum(view.occupancy[job]))
    shown = {job: view.occupancy[job] for job in jobs[:JOBS]}
    if len(jobs) > JOBS:
        rest = [view.occupancy[job] for job in jobs[JOBS:]]
        shown[f"{len(rest)} others"] = tuple(map(sum, zip(*rest, strict=False)))
    wide = min(16, max(map(len, shown)))
    for job, values in shown.items():
        name = visible(job)
        name = name if len(name) <= wide else name[: wide - 1] + "…"
        now = f"{values[-1]:>5.3g} now, {sum(values) / len(values):>5.3g} mean"
        room = max(8, width - wide - len(now) - 2)
        yield Content.assemble(
            (f"{name:<{wide}} ", "bold"),
            (sparkline(stretched(values, room), room, most), "$primary"),
            f" {now}",
        )


def loads_text(line: HostLine, loads: Sequence[Load], width: int) -> Content:
    """As numbers, and as they went."""
    when = " (when the run ended)" if line.is_past else ""
    parts = [Content(""), head(f"the machine, with all that others do there{when}")]
    if line.heard_at is None:
        return lines(*parts, Content.styled("it has not said anything of itself yet", FAINT))
    room = max(8, min(40, width - 44))
    trail_cells = max(8, width - room - 32)
    cpus = line.cpus or 1.0
    figures = (
        ("cpu", line.cpu_share, f"{(line.cpu_share or 0.0) * 100:.0f} %", [load.cpu_share for load in loads], 1.0),
        ("memory", _memory_share(line), _memory_text(line), [load.memory_share for load in loads], 1.0),
        (
            "load",
            None if line.load is None else line.load / cpus,
            f"{line.load or 0.0:.1f}",
            [load.load for load in loads],
            cpus,
        ),
    )
    for name, share, text, past, most in figures:
        if share is None:
            parts.append(Content.assemble((f"{name:<7} ", FAINT), "not known"))
            continue
        values = squeezed([value or 0.0 for value in past], trail_cells)
        style = "$warning" if share > 0.9 else "$success"
        trail = sparkline(values, len(values), most) if len(values) > 1 else ""
        full = gauge(min(1.0, share), room, style)
        parts.append(Content.assemble((f"{name:<7} ", FAINT), full, f" {text:<20} ", (trail, "$primary")))
    if line.disk_free_bytes is not None:
        parts.append(Content.assemble(("disk    ", FAINT), f"{size_text(line.disk_free_bytes)} free"))
    for n, job in enumerate(line.gpus):
        parts.append(Content.assemble((f"gpu {n:<3} ", FAINT), visible(job) if job else "free"))
    return lines(*parts)


def ran_text(row: TaskLine) -> Content:
    found = mark(row.state)
    took = "-" if row.wall_s is None else duration_text(row.wall_s)
    ended = "" if row.started_at is None or row.wall_s is None else clock(row.started_at + row.wall_s)
    last = visible(row.reason) if row.reason and row.state != "succeeded" else params_text(row)
    return Content.assemble(
        (f"{ended:>5} ", FAINT),
        (found.glyph, found.style),
        f" {visible(f'{row.job}/{row.index}'):<18} {took:>11}  ",
        (last, FAINT),
    )


def nothing_ran(line: HostLine) -> str:
    if line.row.state in ("down", "connecting", "unused"):
        return "nothing ran here: it was not reached"
    return "nothing has ended here yet" if line.row.running else "nothing has run here yet"


def known_text(view: HostView) -> Content:
    if not view.facts:
        return Content.styled("it has not told what it is yet: it was not reached", FAINT)
    return pairs((visible(_fact_name(name)), visible(_fact(name, value))) for name, value in view.facts.items())


def _fact_name(name: str) -> str:
    """Without its unit, which the value has."""
    for unit in ("_bytes", "_at", "_s"):
        name = name.removesuffix(unit)
    said = name.replace("_", " ")
    return f"{said} when it joined" if said.endswith("free") else said


def _fact(name: str, value: Any) -> str:
    if value is None:
        return "not known"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if name.endswith("_bytes"):
            return size_text(value)
        if name.endswith("_at"):
            return clock(value)
        if name.endswith("_s"):
            return duration_text(value)
        return f"{value:g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {inner}" for key, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def owner_text(view: HostView) -> Content:
    allowed = [Content(f"• {visible(sentence)}") for sentence in view.owner]
    return lines(
        Content(""),
        head("what its owner allows"),
        *(allowed or [Content.styled("all of it, at any time (there is no host.toml)", FAINT)]),
    )


def wrong_text(view: HostView) -> Content:
    ended = [Content.assemble(("ended there: ", FAINT), tally(view.by_outcome)), Content("")] if view.by_outcome else []
    if not view.errors:
        return lines(*ended, Content.styled("nothing went wrong here", FAINT))
    tones = {"bad": "$error", "warning": "$warning", "good": "$success"}
    said = [
        Content.assemble((f"{clock(entry.at)} ", FAINT), (visible(entry.text), tones.get(entry.tone, "")))
        for entry in reversed(view.errors)
    ]
    return lines(*ended, *said)
