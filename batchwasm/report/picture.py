"""What the hosts did over time, to be drawn: pieces where they are few, a heatmap where they are many."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence

from batchwasm.report import load
from batchwasm.report.facts import Absence, Axis, Heatmap, Piece, Timeline
from batchwasm.report.pool import Presence
from batchwasm.report.tally import JOBS, Run, Tally

HEAT_ROWS = 250
HEAT_MERGED = 2  # bins of the axis in one of the heatmap
PIECES = 5000  # of a timeline, some 40 bytes each
FACTORS = (1, 2, 4, 8, 16)  # by which its bins may be wider than the axis'
BLUR = 1 / 2000  # of the whole time, which is half a pixel: one that ends there and the next do not overlap
OTHERS = "other jobs"


def timeline(tally: Tally, jobs: Sequence[str], names: Sequence[str], there: Mapping[str, Presence]) -> Timeline:
    """`names` are the hosts, in order."""
    rows = {name: n for n, name in enumerate(names)}
    if tally.runs is not None:
        pieces = list(_of_attempts(tally.runs, rows, blur_s=tally.axis.span_s * BLUR))
    else:
        pieces = _shared(tally, rows, there)
    absences = [
        Absence(host=rows[name], start_s=start, stop_s=stop)
        for name in names
        for start, stop in (there[name].absences(tally.axis) if name in there else [(0.0, tally.axis.span_s)])
    ]
    shown = tuple(jobs[:JOBS]) + ((OTHERS,) if len(jobs) > JOBS else ())
    return Timeline(
        hosts=tuple(names),
        jobs=shown,
        pieces=tuple(pieces),
        absences=tuple(absences),
        attempts=tally.runs is not None,
    )


def _of_attempts(runs: Sequence[Run], rows: Mapping[str, int], blur_s: float) -> Iterator[Piece]:
    """Each in a lane of its host, the first that is free, or will be in less than a pixel."""
    by_host: dict[str, list[Run]] = {}
    for run in runs:
        by_host.setdefault(run.host, []).append(run)
    for name, mine in by_host.items():
        mine.sort(key=lambda run: run.start_s)
        ends: list[tuple[float, int]] = []
        free: list[int] = []
        lanes: list[int] = []
        for run in mine:
            while ends and ends[0][0] <= run.start_s + blur_s:
                heapq.heappush(free, heapq.heappop(ends)[1])
            lane = heapq.heappop(free) if free else len(ends)
            heapq.heappush(ends, (run.stop_s, lane))
            lanes.append(lane)
        height = 1 / (max(lanes) + 1)
        for run, lane in zip(mine, lanes, strict=True):
            yield Piece(
                host=rows[name],
                job=min(run.job, JOBS),
                start_s=run.start_s,
                stop_s=run.stop_s,
                low=lane * height,
                high=(lane + 1) * height,
                task=run.task,
                number=run.number,
                outcome=run.outcome,
            )


def _shared(tally: Tally, rows: Mapping[str, int], there: Mapping[str, Presence]) -> list[Piece]:
    """What each job had of each host's cpus over time, in bins as narrow as leave PIECES of them."""
    for factor in FACTORS:
        found: list[Piece] = []
        for name, row in rows.items():
            found.extend(_of_loads(tally, name, row, there.get(name), factor))
            if len(found) > PIECES and factor != FACTORS[-1]:
                break
        else:
            return found
    raise AssertionError("the last factor is taken whatever it gives")


def _of_loads(tally: Tally, name: str, row: int, there: Presence | None, factor: int) -> Iterator[Piece]:
    """One job above the other; neighbours that are alike are joined."""
    host, bin_s, bins = tally.hosts[name], tally.axis.bin_s * factor, tally.axis.bins // factor
    cpus = max(1, there.cpus if there is not None else 1)
    below = [0.0] * bins
    for job in sorted(host.loads):
        last: tuple[int, float, float] | None = None
        for n, mean in enumerate([*load.merged(host.loads[job].means(), factor), 0.0]):
            part = min(mean / cpus, 1.0 - below[n]) if n < bins else 0.0
            level = None if part < 0.002 else (round(below[n], 2), round(below[n] + part, 2))
            if n < bins:
                below[n] += max(0.0, part)
            if last is not None and level != last[1:]:
                yield Piece(host=row, job=job, start_s=last[0] * bin_s, stop_s=n * bin_s, low=last[1], high=last[2])
                last = None
            if last is None and level is not None:
                last = (n, *level)


def heatmap(axis: Axis, names: Sequence[str], tally: Tally, there: Mapping[str, Presence]) -> Heatmap:
    """A row for each host, or for as many neighbours as leave HEAT_ROWS of them."""
    size = -(-len(names) // HEAT_ROWS)
    rows, levels = [], []
    for start in range(0, len(names), size):
        group = names[start : start + size]
        rows.append(group[0] if len(group) == 1 else f"{group[0]} to {group[-1]}")
        levels.append(tuple(_levels(axis, group, tally, there)))
    return Heatmap(rows=tuple(rows), bin_s=axis.bin_s * HEAT_MERGED, levels=tuple(levels))


def _levels(axis: Axis, group: Sequence[str], tally: Tally, there: Mapping[str, Presence]) -> Iterator[float | None]:
    loads = [each for name in group if name in tally.hosts for each in tally.hosts[name].loads.values()]
    busy = load.merged(load.total((each.means() for each in loads), axis.bins), HEAT_MERGED)
    cpus = [there[name].there for name in group if name in there]
    had = load.merged(load.total((each.means() for each in cpus if each is not None), axis.bins), HEAT_MERGED)
    for used, possible in zip(busy, had, strict=True):
        yield None if possible < 0.01 and used < 0.01 else min(1.0, used / possible) if possible > 0.01 else 1.0
