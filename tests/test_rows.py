"""What people and programs see of a state: exactly the fields of the contract, for every way a task can end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from batchwasm import rows
from batchwasm.core import snapshot
from batchwasm.core.events import (
    AfterJob,
    ArtifactBuilt,
    BatchPlaced,
    Event,
    HostAdded,
    HostBusy,
    HostDrained,
    HostFree,
    HostJoined,
    HostLeft,
    HostPlan,
    HostRefused,
    HostRemoved,
    HostSetAside,
    HostSilent,
    HostUndrained,
    JobPlan,
    Record,
    RunFinished,
    RunOpened,
    RunPlanned,
    RunStopped,
    TasksCancelled,
    TasksFinished,
)
from batchwasm.core.state import State
from batchwasm.model import Outcome, Request
from batchwasm.rows import Ended, Params

JOBS = (
    JobPlan(name="a", tasks=4, needs=(Request(memory_bytes=1),)),
    JobPlan(name="b", tasks=2, needs=(Request(memory_bytes=1),)),
)
DONE = Record(0, 1, Outcome.SUCCEEDED, True, 0, 5.0, 0.1, 0.2, 0.3, 65536, b"hi\xff", b"", outputs='[{"path":"o"}]')
FAILED = Record(1, 2, Outcome.FAILED, True, 3, 5.0, 0.1, 0.2, 0.3, 0, None, b"", "exit_code", "exited with 3")
FAILED = FAILED._replace(stdout_path="tasks/a/1/stdout")


class Numbers:
    """A sweep for Params."""

    def params(self, index: int) -> dict[str, int]:
        return {"n": index * 10}


def state_of(*events: Event) -> State:
    state = State()
    opening = RunPlanned(run="r", name="run-1", jobs=JOBS, hosts=tuple(HostPlan(name=name) for name in "ghi"))
    built = ArtifactBuilt(job=0, digest="d1", bytes=1, language="c", toolchain="zig", cached=False, wall_s=1.0)
    for at, event in enumerate((opening, RunOpened(incarnation=0, pid=1, machine="m", version="0"), built, *events)):
        state.apply(event, float(at))
    return state


JOINED = HostJoined(host="h", supervisor="s", cpus=4, memory_bytes=9, facts={})
PLACED = BatchPlaced(batch=1, job=0, host="h", ranges=((0, 3),))
FINISHED = TasksFinished(batch=1, job=0, host="h", records=(DONE, FAILED))


def test_status_has_the_fields_of_the_contract() -> None:
    shown = rows.status(state_of(JOINED, PLACED, FINISHED), "/runs/run-1", alive=True).as_dict()
    none = {"cancelled": 0, "skipped": 0}
    used = {
        "usage": {
            "attempts": 2,
            "cpus": {"asked": 1, "used": 1.5, "next": 1},
            "memory_bytes": {"asked": 1, "used": 65536, "next": 4 * 1024**2},
            "time_s": {"asked": None, "used": 0.2, "next": 1.0, "mean": 0.2},
            "disk_bytes": {"asked": None, "used": 0, "next": 4 * 1024**2},
        }
    }
    assert shown == {
        "schema": "status/1",
        "run": "run-1",
        "folder": "/runs/run-1",
        "state": "running",
        "paused": None,
        "tasks": {"total": 6, "waiting": 3, "running": 1, "succeeded": 1, "failed": 1} | none,
        "jobs": [
            {"name": "a", "total": 4, "waiting": 1, "running": 1, "succeeded": 1, "failed": 1} | none | used,
            {"name": "b", "total": 2, "waiting": 2, "running": 0, "succeeded": 0, "failed": 0} | none | {"usage": None},
        ],
        "hosts": [
            {"name": "g", "state": "connecting", "reason": None, "cpus": None, "running": 0, "done": 0},
            {"name": "h", "state": "ready", "reason": None, "cpus": 4, "running": 1, "done": 2},
            {"name": "i", "state": "connecting", "reason": None, "cpus": None, "running": 0, "done": 0},
        ],
    }


def test_a_host_shows_the_tasks_it_has_and_a_live_run_its_age() -> None:
    shown = rows.status(state_of(JOINED, PLACED), "/", alive=True, now=100.0)
    assert (shown.hosts[1].running, shown.tasks.running) == (3, 3)
    assert (shown.wall_s, shown.reason) == (100.0, None)


def test_a_host_that_never_came_is_down_and_one_that_went_is_lost() -> None:
    refused = HostRefused(host="g", code="key", text="unknown key", waiting_may_help=False)
    left = HostLeft(host="h", code="lost", text="gone")
    hosts = rows.status(state_of(refused, JOINED, left), "/", alive=True).hosts
    assert [(host.state, host.reason) for host in hosts] == [
        ("down", "unknown key"),
        ("lost", "gone"),
        ("connecting", None),
    ]


@pytest.mark.parametrize(
    ("events", "state", "reason"),
    [
        ((HostDrained(host="h", text="exam"),), "drained", "exam"),
        ((HostDrained(host="h"),), "drained", None),
        ((HostDrained(host="h", text="exam"), HostUndrained(host="h")), "ready", None),
        ((HostDrained(host="h", text="exam"), HostLeft(host="h", code="lost", text="gone")), "drained", "exam; gone"),
        ((HostBusy(host="h", text="load 0.9 over 0.8"),), "busy", "load 0.9 over 0.8"),
        ((HostBusy(host="h", text="load"), HostFree(host="h")), "ready", None),
        ((HostSilent(host="h"),), "silent", "it says nothing"),
        ((HostSetAside(host="h", until=50.0, text="too much fails"),), "aside", "too much fails"),
        ((HostSetAside(host="h", until=4.0, text="too much fails"),), "ready", None),
        ((HostDrained(host="h", text="exam"), HostRemoved(host="h")), "removed", "the inventory has it no longer"),
        ((HostRemoved(host="h"), HostAdded(plan=HostPlan(name="h"))), "ready", None),
    ],
)
def test_a_host_that_gets_nothing_new_says_why(events: tuple[Event, ...], state: str, reason: str | None) -> None:
    shown = rows.status(state_of(JOINED, *events), "/", alive=True, now=40.0).hosts[1]
    assert (shown.state, shown.reason) == (state, reason)


def test_a_run_whose_scheduler_is_gone_is_stopped() -> None:
    gone = rows.status(state_of(), "/", alive=False, now=100.0)
    assert (gone.state, gone.wall_s) == ("stopped", 2.0)
    assert rows.status(state_of(RunStopped(code="interrupted", text="x")), "/", alive=True).state == "stopped"
    assert rows.status(state_of(RunFinished()), "/", alive=False).state == "finished"


def results(state: State, job: int, *records: Record, only: int | None = None) -> Iterator[rows.ResultRow]:
    ended = [Ended(record.task, "h", record) for record in records]
    return rows.results("run-1", state, state.jobs[job], Params(Numbers()), ended, only=only)


def test_results_are_those_of_the_tasks_that_ended() -> None:
    done, failed = results(state_of(JOINED, PLACED, FINISHED), 0, DONE._replace(queued_s=0.1000000000009095), FAILED)
    assert done.as_dict() == {
        "schema": "result/1",
        "run": "run-1",
        "job": "a",
        "index": 0,
        "params": {"n": 0},
        "outcome": "succeeded",
        "reason": None,
        "exit_code": 0,
        "value": None,
        "host": "h",
        "attempts": 1,
        "cached": False,
        "queued_s": 0.1,
        "wall_s": 0.2,
        "cpu_s": 0.3,
        "peak_memory_bytes": 65536,
        "started_at": 5.0,
        "stdout": "hi\ufffd",
        "stdout_path": None,
        "stderr": "",
        "stderr_path": None,
        "outputs": [{"path": "o"}],
        "artifact": "d1",
    }
    assert (failed.outcome, failed.attempts, failed.stdout, failed.stdout_path) == (
        "failed",
        2,
        None,
        "tasks/a/1/stdout",
    )
    assert failed.as_dict()["reason"] == {"code": "exit_code", "text": "exited with 3", "limit": None, "used": None}


def test_cancelled_tasks_have_a_result_without_an_attempt() -> None:
    state = state_of(JOINED, PLACED, FINISHED, TasksCancelled(code="max_failures", text="enough", running=False))
    _, _, cancelled = results(state, 0, DONE, FAILED)
    assert (cancelled.index, cancelled.outcome, cancelled.host, cancelled.attempts) == (3, "cancelled", None, 0)
    assert cancelled.reason is not None
    assert (cancelled.reason.code, cancelled.reason.text) == ("max_failures", "enough")


def test_tasks_that_lost_their_host_too_often_say_so() -> None:
    life = (JOINED, PLACED, HostLeft(host="h", code="lost", text="gone"))
    state = state_of(*life * 5)
    lost = list(results(state, 0))
    assert [(row.index, row.outcome, row.reason and row.reason.code) for row in lost] == [
        (n, "lost", "crash_limit") for n in range(3)
    ]


def test_a_single_task_can_be_asked_for() -> None:
    state = state_of(JOINED, PLACED, FINISHED)
    assert [row.index for row in results(state, 0, FAILED, only=1)] == [1]
    assert list(results(state, 0, only=2)) == []
    assert list(results(state, 0, only=99)) == []


def test_a_skipped_task_says_what_before_it_did_not_succeed() -> None:
    jobs = (JobPlan(name="prep", tasks=2), JobPlan(name="sim", tasks=2, after=(AfterJob(job=0, each=True),)))
    state = State()
    failed = FAILED._replace(number=1)
    for event in (
        RunPlanned(run="r", name="run-1", jobs=jobs, hosts=(HostPlan(name="h"),)),
        RunOpened(incarnation=1, pid=1, machine="m", version="0"),
        ArtifactBuilt(job=0, digest="d1", bytes=1, language="c", toolchain="zig", cached=False, wall_s=1.0),
        JOINED,
        BatchPlaced(batch=1, job=0, host="h", ranges=((0, 2),)),
        TasksFinished(batch=1, job=0, host="h", records=(DONE, failed)),
    ):
        state.apply(event, 1.0)
    (row,) = rows.results("run-1", state, state.jobs[1], Params(Numbers()), ())
    assert (row.index, row.outcome) == (1, "skipped")
    assert row.reason is not None
    assert (row.reason.code, row.reason.text) == ("skipped", "it comes after prep/1, which did not succeed (failed)")


def test_a_host_that_had_not_answered_when_the_run_stopped_is_not_said_to_connect() -> None:
    stopped = RunStopped(code="compile", text="main.c does not compile")
    hosts = rows.status(state_of(JOINED, stopped), "/", alive=False).hosts
    assert [(host.name, host.state) for host in hosts] == [("g", "unused"), ("h", "ready"), ("i", "unused")]


def test_the_time_between_two_lives_of_a_scheduler_is_not_the_run_s() -> None:
    state = state_of()  # up to 2.0
    again = RunOpened(incarnation=2, pid=1, machine="m", version="0")
    stopped = RunStopped(code="interrupted", text="interrupted")
    for event, at in ((stopped, 10.0), (again, 5_000.0), (JOINED, 5_002.0)):
        state.apply(event, at)
    assert rows.status(state, "/", alive=True, now=5_010.0).wall_s == 20.0
    kept = snapshot.load(snapshot.dump(state))
    assert rows.status(kept, "/", alive=True, now=5_010.0).wall_s == 20.0
    assert rows.status(kept, "/", alive=False, now=5_010.0).wall_s == 12.0
