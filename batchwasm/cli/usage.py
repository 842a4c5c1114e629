"""What jobs asked for, used, and should ask for next time, as a table or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchwasm.core.sizing import Sizing
    from batchwasm.rows import JobRow


def as_dict(run: str, job: JobRow) -> dict[str, Any]:
    """A line of `results --usage --json`."""
    from batchwasm.rows import usage_dict

    return {"schema": "usage/1", "run": run, "job": job.name, "usage": usage_dict(job.usage)}


def show(jobs: Iterable[JobRow]) -> None:
    """Three rows for each job of which something ended; the last one in the words of jobs.toml."""
    from batchwasm.cli.render import Column, print_table

    columns = [Column(title="job"), Column(title="attempts")]
    columns += [Column(title=what, right=True) for what in ("cpus", "memory", "time", "disk")]
    print_table(columns, [[job.name, *row] for job in jobs if job.usage is not None for row in _rows(job.usage)])


def _rows(usage: Sizing) -> Iterator[list[str]]:
    from batchwasm.core.sizing import duration_key, size_key
    from batchwasm.units import count_text, duration_text, size_text

    measures = (usage.cpus, usage.memory_bytes, usage.time_s, usage.disk_bytes)
    said: tuple[Callable[[float], str], ...] = (_number, size_text, duration_text, size_text)
    keys: tuple[Callable[[float], str], ...] = (_number, size_key, duration_key, size_key)
    yield [
        f"used by {count_text(usage.attempts)}",
        *(text(measure.used) for text, measure in zip(said, measures, strict=True)),
    ]
    yield [
        "asked for",
        *("-" if measure.asked is None else text(measure.asked) for text, measure in zip(said, measures, strict=True)),
    ]
    yield ["next time", *(text(measure.next) for text, measure in zip(keys, measures, strict=True))]


def _number(count: float) -> str:
    return f"{count:.2g}"
