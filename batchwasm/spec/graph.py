"""The order of a file's jobs: what each waits for, whether element by element can be, and that it is no circle."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from batchwasm.model import After, Job, JobName
from batchwasm.spec.references import References

CIRCLES = 10  # told at once


def linked(jobs: Sequence[Job], references: Mapping[JobName, References], unsure: Collection[JobName]) -> list[Job]:
    """The jobs, each also after those whose outputs or values it takes; `unsure` have a sweep that is wrong."""
    by_name = {job.name: job for job in jobs}
    found = [_after_all(job, references[job.name]) for job in jobs]
    for job in found:
        for after in job.after:
            other = by_name.get(after.job)
            if after.each and other is not None and not {job.name, other.name} & set(unsure) and len(job) != len(other):
                references[job.name].awaited[after.job].wrong(
                    f"each needs as many tasks in both: {other.name} has {len(other):,}, {job.name} has {len(job):,}"
                )
    _check_circles(found, references)
    return found


def _after_all(job: Job, references: References) -> Job:
    said = {after.job for after in job.after}
    return replace(job, after=(*job.after, *(After(job=name) for name in references.taken if name not in said)))


def _check_circles(jobs: Sequence[Job], references: Mapping[JobName, References]) -> None:
    """Tell of circles one by one, taking each apart to see the next."""
    waits = {job.name: [after.job for after in job.after] for job in jobs}
    order = {name: number for number, name in enumerate(waits)}
    for _ in range(CIRCLES):
        found = _circle(waits)
        if not found:
            return
        start = found.index(min(found, key=order.__getitem__))
        circle = [*found[start:], *found[:start]]
        first, second = circle[0], circle[1 % len(circle)]
        known = references[first]
        node = known.awaited.get(second) or known.taken[second]
        if first == second:
            node.wrong(f"{first} would wait for itself; leave it out")
        else:
            node.wrong(f"{' after '.join([*circle, first])}: a circle, in which nothing can start; leave one out")
        waits[first].remove(second)


def _circle(waits: Mapping[JobName, Sequence[JobName]]) -> list[JobName]:
    """Jobs of which each waits for the next, and the last for the first; [] where there is no circle."""
    try:
        TopologicalSorter(waits).prepare()
    except CycleError as error:
        before: list[JobName] = error.args[1]  # each has to end before the next, and the first is the last, too
        return before[:0:-1]
    return []


def needed(jobs: Sequence[Job], chosen: Collection[JobName]) -> list[Job]:
    """Those that are chosen, and all that they wait for, in the file's order."""
    by_name = {job.name: job for job in jobs}
    found: set[JobName] = set()
    waiting = list(chosen)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [after.job for after in by_name[name].after]
    return [job for job in jobs if job.name in found]
