"""A report's charts as plain data, small and rounded, for the script in the page."""

from __future__ import annotations

from typing import Any

from batchwasm.escape import visible
from batchwasm.report.facts import Durations, Heatmap, Report, Timeline

LEVELS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
"""A cell of the heatmap in one character, from idle to busy."""
ABSENT = "."


def charts(report: Report) -> dict[str, Any]:
    flow = report.flow
    picture = report.picture
    return {
        "bin": report.axis.bin_s,
        "span": report.axis.span_s,
        "flow": {
            name: [_number(value) for value in getattr(flow, name)]
            for name in ("cpus", "busy", "worked", "running", "waiting", "done")
        },
        "timeline": _timeline(picture) if isinstance(picture, Timeline) else None,
        "heatmap": _heatmap(picture) if isinstance(picture, Heatmap) else None,
        "durations": [_durations(each) for each in report.durations],
    }


def _timeline(found: Timeline) -> dict[str, Any]:
    """A piece is [host, job, start, stop, low, high], and of an attempt also its task, number and outcome."""
    return {
        "hosts": [visible(name) for name in found.hosts],
        "jobs": found.jobs,
        "attempts": found.attempts,
        "pieces": [
            [
                *(piece.host, piece.job, round(piece.start_s, 3), round(piece.stop_s, 3)),
                *(round(piece.low, 3), round(piece.high, 3)),
                *(
                    ()
                    if piece.task is None
                    else (piece.task, piece.number, piece.outcome.word if piece.outcome else "")
                ),
            ]
            for piece in found.pieces
        ],
        "absences": [[each.host, round(each.start_s, 3), round(each.stop_s, 3)] for each in found.absences],
    }


def _heatmap(found: Heatmap) -> dict[str, Any]:
    top = len(LEVELS) - 1
    return {
        "rows": [visible(name) for name in found.rows],
        "bin": found.bin_s,
        "levels": [
            "".join(ABSENT if level is None else LEVELS[round(level * top)] for level in row) for row in found.levels
        ],
    }


def _durations(found: Durations) -> dict[str, Any]:
    return {
        "job": found.job,
        "bars": [[float(f"{low:.4g}"), float(f"{high:.4g}"), count] for low, high, count in found.bars],
    }


def _number(value: float) -> float:
    """Four digits are more than a pixel shows."""
    rounded = float(f"{value:.4g}") if abs(value) < 1000 else round(value, 1)
    return int(rounded) if rounded == int(rounded) else rounded
