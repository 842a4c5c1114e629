"""What `explain` says of a journal: a task that waits, runs, ended; a run that goes on, was left, is done."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from batchwasm import api
from batchwasm.core.events import Event, HostLeft, HostPlan, HostSetAside, RunOpened, RunPlanned, TasksFinished
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import State
from batchwasm.errors import RunError
from batchwasm.journal import Journal
from batchwasm.model import GIB, Outcome
from batchwasm.results import RunFolder
from tests.core.test_scheduler import built, joined, placed, plan, record

FIELDS = ["schema", "run", "folder", "job", "index", "state", "reasons", "hosts", "places", "attempts", "cache"]


class Written:
    """A scheduler whose events are in the journal of a run folder."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self._scheduler = folder, Scheduler(State())
        self._journal = Journal.create(folder.journal)

    def observe(self, event: Event, now: float) -> None:
        self._scheduler.observe(event, now)
        self._journal.append([event], now)

    def decide(self, now: float) -> list[Any]:
        decisions = self._scheduler.decide(now)
        self._journal.append(decisions, now)
        return placed(decisions)

    def finish(self, batch: Any, now: float, **fields: Any) -> None:
        """Its first task."""
        task = batch.ranges[0][0]
        number = self._scheduler.state.jobs[batch.job].number(task)
        found = record(task, number, wall_s=1.0)._replace(**fields)
        event = self._scheduler.admit(batch.host, batch.batch, [found])
        assert isinstance(event, TasksFinished)
        self.observe(event, now)

    def close(self) -> None:
        self._journal.close()


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    """Two hosts of one cpu, and two jobs, the last of which no host may run."""
    made = Written(RunFolder(path=tmp_path))
    made.folder.jobs.write_text("")
    jobs = (
        plan(4, name="sim", memory=4 * GIB, retries=1, retry_on=("failed",)),
        plan(1, name="big", labels=("fast",)),
    )
    hosts = (HostPlan(name="lab1"), HostPlan(name="lab2"))
    made.observe(RunPlanned(run="r", name="run-1", jobs=jobs, hosts=hosts), 0.0)
    made.observe(RunOpened(incarnation=1, pid=1, machine=socket.gethostname(), version="0"), 0.0)
    for event in (built(0), built(1), joined("lab1", cpus=1), joined("lab2", cpus=1)):
        made.observe(event, 0.0)
    yield made
    made.close()


def test_a_run_that_goes_on_says_what_limits_it(written: Written) -> None:
    written.decide(1.0)
    until = time.time() + 60.0
    written.observe(HostSetAside(host="lab2", until=until, text="5 tasks in a row failed there"), 2.0)
    with written.folder.held():
        found = api.explain(written.folder).as_dict()
    assert list(found) == FIELDS
    assert (found["schema"], found["job"], found["index"], found["state"]) == ("explain/1", None, None, "running")
    assert {"code": "aside", "text": "1 of 2 hosts is set aside: lab2", "until": until} in found["reasons"]
    assert [group["hosts"] for group in found["hosts"]] == [["lab1"], ["lab2"]]
    assert [reason["code"] for group in found["hosts"] for reason in group["reasons"]] == ["aside"]


def test_a_run_that_was_left_says_so_of_what_runs_and_of_what_waits(written: Written) -> None:
    written.decide(1.0)
    found = api.explain(written.folder)
    assert found.state == "stopped"
    assert found.reasons[0].text.startswith("it does not go on: its scheduler ended without a word")
    task = api.explain(written.folder, job="sim", index=0)
    assert (task.state, task.reasons[0].code, len(task.places)) == ("running", "stopped", 1)
    task = api.explain(written.folder, job="sim", index=3)
    assert (task.state, task.reasons[0].code) == ("waiting", "stopped")


def test_a_task_that_is_tried_again_has_a_history_and_reasons(written: Written) -> None:
    first, second = written.decide(1.0)
    written.finish(
        first, 2.0, outcome=Outcome.FAILED, exit_code=3, reason_code="exit_code", reason_text="exited with 3"
    )
    written.observe(HostLeft(host=second.host, code="lost", text="reset"), 3.0)
    with written.folder.held():
        failed = api.explain(written.folder, job="sim", index=0).as_dict()
        lost = api.explain(written.folder, job="sim", index=second.ranges[0][0]).as_dict()
    assert failed["state"] == "waiting"
    (attempt,) = failed["attempts"]
    assert (attempt["number"], attempt["host"], attempt["outcome"], attempt["final"]) == (
        1,
        first.host,
        "failed",
        False,
    )
    assert (attempt["reason"], attempt["exit_code"], attempt["wall_s"]) == ("exited with 3", 3, 1.0)
    (attempt,) = lost["attempts"]
    assert (attempt["outcome"], attempt["reason"], attempt["wall_s"]) == ("lost", "its host was lost: reset", None)


def test_a_running_task_says_where_and_a_finished_one_how(written: Written) -> None:
    first, second = written.decide(1.0)
    written.finish(first, 2.0)
    with written.folder.held():
        running = api.explain(written.folder, job="sim", index=second.ranges[0][0])
        done = api.explain(written.folder, job="sim", index=0)
        waiting = api.explain(written.folder, job="big")
    assert (running.state, [place.host for place in running.places]) == ("running", [second.host])
    assert (done.state, done.reasons, len(done.attempts)) == ("succeeded", (), 1)
    [group] = waiting.hosts
    assert (group.names, group.reasons[0].text) == (("lab1", "lab2"), "label fast missing")


def test_a_task_that_is_not_there_is_an_error(written: Written) -> None:
    for job, index in (("nope", 0), ("sim", 4), ("sim", -1)):
        with pytest.raises(RunError, match="there is no task"):
            api.explain(written.folder, job=job, index=index)
