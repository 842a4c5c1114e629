"""TASK as a user writes it: JOB/INDEX, or JOB alone where that job has one task, or where all of them are meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from batchwasm.core.events import Ranges
from batchwasm.core.taskset import TaskSet
from batchwasm.errors import RunError
from batchwasm.model import JobName


def parse(text: str, jobs: Mapping[JobName, int]) -> tuple[JobName, int]:
    """The job and index that `text` means; `jobs` has the number of tasks of each. Raises RunError."""
    job, slash, number = text.partition("/")
    total = known_job(job, jobs)
    if not slash and total == 1:
        return job, 0
    if not slash and total > 1:
        raise RunError(f"job {job} has {total} tasks; write which: {job}/0 to {job}/{total - 1}")
    if not (number.isascii() and number.isdigit() and len(number) < 20 and int(number) < total):
        last = f"{job}/0 is its only one" if total == 1 else f"they are {job}/0 to {job}/{total - 1}"
        raise RunError(f"there is no task {text!r} in this run; {last}" if total else f"job {job} has no tasks")
    return job, int(number)


def parse_many(texts: Sequence[str], jobs: Mapping[JobName, int]) -> dict[JobName, Ranges]:
    """All tasks that these mean, JOB all of a job's. Raises RunError with all that is wrong."""
    found: dict[JobName, TaskSet] = {}
    wrong: list[str] = []
    for text in texts:
        try:
            if "/" in text:
                job, start = parse(text, jobs)
                stop = start + 1
            else:
                job, start, stop = text, 0, known_job(text, jobs)
        except RunError as error:
            wrong.append(str(error))
        else:
            found.setdefault(job, TaskSet()).add(start, stop)
    if wrong:
        raise RunError("\n".join(dict.fromkeys(wrong)))
    return {job: tasks.ranges for job, tasks in found.items() if tasks}


def known_job(job: str, jobs: Mapping[JobName, int]) -> int:
    """Its number of tasks. Raises RunError where there is no such job."""
    if job in jobs:
        return jobs[job]
    near = difflib.get_close_matches(job, jobs, n=1)
    hint = f"did you mean {near[0]}?" if near else f"its jobs are {', '.join(list(jobs)[:10])}"
    raise RunError(f"there is no job {job!r} in this run; {hint}")
