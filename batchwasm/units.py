"""Numbers as people read them: sizes, durations, counts."""

from __future__ import annotations

from collections.abc import Mapping

from batchwasm.model import KIB

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def tasks_text(count: int, one: str, many: str) -> str:
    """`1 task that runs`, `2,000 tasks that run`."""
    return f"1 task {one}" if count == 1 else f"{count_text(count)} tasks {many}"


def size_text(size_bytes: float) -> str:
    """`0 B`, `640 B`, `1.5 KiB`, `512 MiB`."""
    size, unit = float(size_bytes), 0
    while size >= 999.5 and unit < len(_UNITS) - 1:
        size, unit = size / KIB, unit + 1
    digits = 0 if unit == 0 or size >= 99.95 else 1
    text = f"{size:.{digits}f}"
    return f"{text.removesuffix('.0')} {_UNITS[unit]}"


def duration_text(seconds: float) -> str:
    """`3 ms`, `0.82 s`, `17 s`, `2 min 05 s`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 0.1:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 or seconds <= 0 else "<1 ms"
    if seconds < 9.95:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 48 * 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def taken_text(taken: Mapping[str, int]) -> str:
    """`12 were known: 10 from tour-3, 2 from tour-1`, for how many results were taken from which run."""
    by_run = ", ".join(
        f"{count_text(count)} from {run}" for run, count in sorted(taken.items(), key=lambda item: -item[1])
    )
    total = sum(taken.values())
    return f"{'1 was' if total == 1 else f'{count_text(total)} were'} known: {by_run}"


def count_text(number: int) -> str:
    """`12,345`."""
    return f"{number:,}"
