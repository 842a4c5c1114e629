"""Tasks as they end, out of a journal that another process writes: each end once, none missed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm.core.events import (
    ArtifactBuilt,
    BatchPlaced,
    Event,
    HostJoined,
    HostPlan,
    JobAdded,
    JobPlan,
    Record,
    RunFinished,
    RunOpened,
    RunPlanned,
    RunStopped,
    TasksAdded,
    TasksCancelled,
    TasksFinished,
    TasksRetried,
    TasksWithdrawn,
)
from batchwasm.following import Following, wait
from batchwasm.following.ends import Ends
from batchwasm.journal import PAGE_ROWS, Journal
from batchwasm.model import Outcome
from batchwasm.results import RunFolder

TASKS = 6
PLANNED = RunPlanned(
    run="r", name="run-1", jobs=(JobPlan(name="a", tasks=TASKS),), hosts=(HostPlan(name="h"),), open=True
)
OPENED = RunOpened(incarnation=0, pid=os.getpid(), machine=socket.gethostname(), version="0")
BUILT = ArtifactBuilt(job=0, digest="d", bytes=1, language="c", toolchain="t", cached=False, wall_s=0.0)
JOINED = HostJoined(host="h", supervisor="s", cpus=4, memory_bytes=2**34, facts={})


class Written:
    """The scheduler's side."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.journal = Journal.create(folder.journal)
        self._batch = 0
        self.append(PLANNED, OPENED, BUILT, JOINED)

    def append(self, *events: Event) -> None:
        self.journal.append(events, 1.0)

    def end(self, *tasks: int, outcome: Outcome = Outcome.SUCCEEDED, final: bool = True, number: int = 1) -> None:
        self._batch += 1
        ranges = tuple((task, task + 1) for task in tasks)
        records = [Record(t, number, outcome, final, 0, 0.0, 0.0, 1.0, 0.0, 0, b"", b"") for t in tasks]
        placed = BatchPlaced(batch=self._batch, job=0, host="h", ranges=ranges)
        self.append(placed, TasksFinished(batch=self._batch, job=0, host="h", records=records))


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    folder = RunFolder(path=tmp_path)
    folder.jobs.touch()
    written = Written(folder)
    with closing(written.journal), folder.held():
        yield written


@pytest.fixture
def ends(written: Written) -> Iterator[Ends]:
    with Following(written.folder) as run:
        yield Ends(run)


def seen(ends: Ends) -> list[tuple[int, str]]:
    """Task and outcome of those that ended since the last look; `?` behind one that ended without an attempt."""
    return [
        (task, Outcome(state.jobs[n].codes[task]).word + ("" if attempt else "?"))
        for state, n, task, attempt in ends.look()
    ]


def test_those_before_come_first_and_each_comes_once(written: Written, ends: Ends) -> None:
    written.end(3, 1)
    assert seen(ends) == [(3, "succeeded"), (1, "succeeded")]
    assert seen(ends) == []
    written.end(0, outcome=Outcome.FAILED, final=False)  # it is tried again
    assert seen(ends) == []
    written.end(0, number=2)
    written.end(2, outcome=Outcome.TRAPPED)
    assert seen(ends) == [(0, "succeeded"), (2, "trapped")]


def test_a_checkpoint_changes_nothing(written: Written, ends: Ends) -> None:
    written.end(3)
    with closing(Journal.open(written.folder.journal, read_only=True)) as reader:
        written.journal.checkpoint(reader.state())
    written.end(1)
    assert seen(ends) == [(3, "succeeded"), (1, "succeeded")]
    with closing(Journal.open(written.folder.journal, read_only=True)) as reader:
        written.journal.checkpoint(reader.state())
    assert seen(ends) == []


def test_tasks_that_end_without_an_attempt_come_too(written: Written, ends: Ends) -> None:
    written.end(3)
    written.append(TasksWithdrawn(job=0, tasks=(5,)))
    assert seen(ends) == [(3, "succeeded"), (5, "cancelled?")]
    written.append(TasksCancelled(code="max_failures", text="", running=True))
    assert seen(ends) == [(n, "cancelled?") for n in (0, 1, 2, 4)]


def test_what_a_person_has_tried_again_ends_again(written: Written, ends: Ends) -> None:
    written.end(0, 1, outcome=Outcome.FAILED)
    assert seen(ends) == [(0, "failed"), (1, "failed")]
    written.append(TasksRetried(job=0, ranges=((0, 2),)))
    assert seen(ends) == []
    written.end(0, number=2)
    written.append(TasksWithdrawn(job=0, tasks=(1,)))
    assert seen(ends) == [(0, "succeeded"), (1, "cancelled?")]
    written.end(2, outcome=Outcome.FAILED)
    written.append(TasksRetried(job=0, ranges=((2, 3),)))
    written.end(2, number=2)
    assert seen(ends) == [(2, "succeeded")]  # of two ends between two looks the last


def test_who_comes_late_is_told_the_last_end_of_each(written: Written) -> None:
    written.end(0, outcome=Outcome.FAILED)
    written.append(TasksRetried(job=0, ranges=((0, 1),)))
    written.end(1)
    written.end(0, number=2)
    written.end(2, outcome=Outcome.FAILED)
    written.append(TasksRetried(job=0, ranges=((2, 3),)))
    with Following(written.folder) as run:
        assert seen(Ends(run)) == [(1, "succeeded"), (0, "succeeded")]


def test_jobs_and_tasks_that_are_added_come_too(written: Written, ends: Ends) -> None:
    assert seen(ends) == []
    written.append(JobAdded(plan=JobPlan(name="b", tasks=0)), TasksAdded(job=0, first=TASKS, count=2, argument_bytes=0))
    written.end(TASKS + 1)
    assert seen(ends) == [(TASKS + 1, "succeeded")]


def test_more_than_is_read_at_once_comes_whole(written: Written, ends: Ends) -> None:
    count = 2 * PAGE_ROWS + 7
    written.append(TasksAdded(job=0, first=TASKS, count=count, argument_bytes=0))
    written.end(*range(TASKS, TASKS + count))
    assert seen(ends) == [(n, "succeeded") for n in range(TASKS, TASKS + count)]


# ------------------------------------------------------------------------------------------------ until it is over


@pytest.mark.parametrize("last", [RunFinished(), RunStopped(code="interrupted", text="")])
def test_a_run_is_over_with_its_last_words(written: Written, last: Event) -> None:
    with Following(written.folder) as run:
        assert not run.is_over()
        written.append(last)
        assert run.is_over()
        assert not run.is_gone
    assert wait(written.folder)


def test_a_run_that_is_taken_in_hand_again_goes_on(written: Written) -> None:
    written.append(RunStopped(code="interrupted", text=""), OPENED)
    assert not wait(written.folder, timeout_s=0)


def test_a_scheduler_that_died_is_waited_for_with_patience(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batchwasm.following.run.LIFE_S", 0.0)
    monkeypatch.setattr(RunFolder, "is_held", lambda folder: False)
    with Following(written.folder) as run:
        assert not run.is_over(patience_s=60)
        assert run.is_gone
        assert run.is_over()
        monkeypatch.setattr(RunFolder, "is_held", lambda folder: True)
        assert not run.is_over(patience_s=60)
        assert not run.is_gone


def test_a_run_that_has_just_been_made_is_not_dead(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path)
    folder.jobs.touch()
    with closing(Journal.create(folder.journal)), Following(folder) as run:
        assert not run.is_over()
        os.utime(folder.journal, (1.0, 1.0))
        with Following(folder) as later:
            assert later.is_over()
