"""TASK: JOB/INDEX, or JOB where it has one task."""

from __future__ import annotations

import pytest

from batchwasm.cli.tasks import parse
from batchwasm.errors import RunError

JOBS = {"pi": 1, "sweep": 100, "none": 0}


@pytest.mark.parametrize(
    ("text", "task"),
    [("pi", ("pi", 0)), ("pi/0", ("pi", 0)), ("sweep/99", ("sweep", 99)), ("sweep/007", ("sweep", 7))],
)
def test_a_task_is_job_and_index_or_a_job_of_one(text: str, task: tuple[str, int]) -> None:
    assert parse(text, JOBS) == task


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sweep", "job sweep has 100 tasks; write which: sweep/0 to sweep/99"),
        ("sweep/100", "there is no task 'sweep/100' in this run; they are sweep/0 to sweep/99"),
        ("sweep/-1", "there is no task 'sweep/-1'"),
        ("sweep/", "there is no task 'sweep/'"),
        ("sweep/²", "there is no task"),
        (f"sweep/{'9' * 5000}", "there is no task"),
        ("sweep/1/2", "there is no task 'sweep/1/2'"),
        ("pi/1", "there is no task 'pi/1' in this run; pi/0 is its only one"),
        ("none/0", "job none has no tasks"),
        ("swep/1", "there is no job 'swep' in this run; did you mean sweep?"),
        ("x", "there is no job 'x' in this run; its jobs are pi, sweep, none"),
        ("\x1b[2J", r"there is no job '\x1b[2J'"),
    ],
)
def test_what_is_no_task_is_told_with_what_is(text: str, said: str) -> None:
    with pytest.raises(RunError) as caught:
        parse(text, JOBS)
    assert said in str(caught.value)
