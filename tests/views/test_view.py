"""What somebody sees who looks at a run: live, over, left alone; from its start on, or late."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from batchwasm import journal as journal_module
from batchwasm.core.events import (
    HostBusy,
    HostLeft,
    HostRefused,
    RunFinished,
    RunPaused,
    RunStopped,
    TasksRetried,
    TasksWithdrawn,
)
from batchwasm.errors import RunError
from batchwasm.journal import Journal, Known, Sample
from batchwasm.model import GIB, MIB, Outcome
from batchwasm.results import RunFolder
from batchwasm.views import View, sums
from batchwasm.views import view as view_module
from tests.views.written import OPENED, START, TASKS, Written, built, joined, record

FAILED = Outcome.FAILED


# ------------------------------------------------------------------------------------------------- the run


def test_a_live_run_is_shown_with_its_jobs_hosts_and_pace(written: Written, view: View) -> None:
    written.end(record(0), record(1))
    written.place(2, 3)
    written.journal.sample([Sample(START + 3, "lab1", 1.5, 8 * GIB, 3, 2, 0, 9 * GIB, 0.7, 16 * GIB, 1, 1.0, 2)])
    shown = view.look()
    assert (view.is_alive, view.is_over) == (True, False)
    assert view.overview is shown
    assert (shown.status.state, shown.status.run) == ("running", "run-1")
    assert [(job.row.name, job.phase, job.detail, job.mean_s, job.retried) for job in shown.jobs] == [
        ("sim", "running", None, 2.0, 0),
        ("fit", "compiling", "waits for sim: 18 of 20 tasks left, 2 of them running", None, 0),
    ]
    lab1, lab2 = shown.hosts
    assert (lab1.row.state, lab1.transport, lab1.cpus, lab1.cpus_busy, lab1.cpu_share) == ("ready", "ssh", 4, 3, 0.7)
    assert (lab1.memory_bytes, lab1.memory_available_bytes, lab1.load) == (16 * GIB, 8 * GIB, 1.5)
    assert (lab1.by_job, lab1.suspended, lab1.heard_at) == ({"sim": 2}, 1, START + 3)
    assert (lab2.row.state, lab2.transport, lab2.cpus, lab2.heard_at) == ("connecting", "local", None, None)
    assert shown.history[-1].running == 2
    assert shown.limits


def test_what_a_host_said_before_it_was_lost_is_not_shown_as_of_now(written: Written, view: View) -> None:
    written.journal.sample([Sample(START, "lab1", 1.5, 8 * GIB, 3, 2, 0, 9 * GIB, 0.7, 16 * GIB, 1, 1.0, 2)])
    written.append(HostLeft(host="lab1", code="lost", text="no route"))
    lab1 = view.look().hosts[0]
    assert (lab1.row.state, lab1.cpus, lab1.cpus_busy, lab1.load, lab1.cpu_share) == ("lost", None, None, None, None)
    assert lab1.heard_at == START


def test_what_a_host_cannot_tell_is_not_shown_as_nothing(written: Written, view: View) -> None:
    """A Mac knows of no memory to be had: its own is not all used therefore."""
    written.journal.sample([Sample(START + 3, "lab1", 1.5, 0, 3, 2, 0, 9 * GIB, None, 16 * GIB)])
    lab1 = view.look().hosts[0]
    assert (lab1.memory_bytes, lab1.memory_available_bytes, lab1.cpu_share) == (16 * GIB, None, None)


def test_a_run_that_finished_is_over(written: Written, view: View) -> None:
    for task in range(TASKS):
        written.end(record(task))
    written.append(built(1))
    written.end(record(0), job=1)
    written.append(RunFinished())
    shown = view.look()
    assert (view.is_alive, view.is_over, shown.status.state) == (False, True, "finished")
    assert [job.phase for job in shown.jobs] == ["done", "done"]
    assert shown.at == written.now
    assert shown.pace.left_s is None
    assert shown.said[-1].text == "finished: every task has ended"
    assert view.look() is shown
    assert view.job("sim").line == shown.jobs[0]


def test_a_run_whose_scheduler_died_says_so_until_another_takes_over(tmp_path: Path) -> None:
    written = Written(RunFolder(path=tmp_path))
    with closing(written.journal), View(written.folder) as view:
        shown = view.look()
        assert (view.is_alive, view.is_over, shown.status.state) == (False, True, "stopped")
        assert shown.status.reason is not None
        assert shown.status.reason.startswith("its scheduler ended without a word")
        with written.folder.held():
            written.append(replace(OPENED, incarnation=2))
            shown = view.look()
            assert (view.is_alive, shown.status.state, shown.status.reason) == (True, "running", None)


def test_before_anything_was_written_there_is_nothing_to_see_and_that_is_no_error(tmp_path: Path) -> None:
    folder = RunFolder(path=tmp_path)
    folder.jobs.touch()
    with closing(Journal.create(folder.journal)), folder.held(), View(folder) as view:
        shown = view.look()
        assert (shown.jobs, shown.hosts, shown.said, view.is_alive) == ((), (), (), True)
        with pytest.raises(RunError, match="there is no job sim in this run"):
            view.job("sim")


# ------------------------------------------------------------------------------------------------- opened late


def test_who_comes_late_reads_the_rare_events_and_failures_all_the_same(written: Written) -> None:
    written.append(HostRefused(host="lab2", code="key", text="unknown key", waiting_may_help=False))
    written.end(record(0, FAILED, final=False))
    for task in range(1, TASKS):
        written.end(record(task))
    with View(written.folder) as late:
        said = [(one.tone, one.text, one.host, one.job, one.task) for one in late.look().said]
    assert said == [
        ("plain", "run-1 has 21 tasks and 2 hosts", None, None, None),
        ("plain", f"started on {OPENED.machine}", None, None, None),
        ("good", "sim is compiled, in 1 s (zig, 9 B)", None, "sim", None),
        ("good", "host lab1: ready, 4 cpus, 16 GiB", "lab1", None, None),
        ("bad", "host lab2: down: unknown key", "lab2", None, None),
        ("warning", "sim/0 failed on lab1 in 2 s: exited with code 3; it is tried again", "lab1", "sim", 0),
    ]


def test_history_is_there_for_who_comes_late_and_bounded(written: Written) -> None:
    from batchwasm import rows

    for n in range(1000):
        written.journal.sample((), rows.progress(written.state, START + n))
    with View(written.folder) as late:
        history = late.look().history
    assert 200 < len(history) <= 301
    assert (history[0].at, history[0].cpus, history[0].waiting) == (START, 4.0, TASKS + 1)
    assert [moment.at for moment in history] == sorted(moment.at for moment in history)


STATES: dict[str, Callable[[Written], None]] = {
    "live": lambda written: None,
    "stopped": lambda written: written.append(RunStopped(code="interrupted", text="by a person")),
    "finished": lambda written: written.append(RunFinished()),
}


@pytest.mark.parametrize("state", STATES)
def test_opening_reads_the_newest_checkpoint_and_nothing_before_it(written: Written, state: str) -> None:
    written.end(record(0), record(1))
    STATES[state](written)
    written.journal.checkpoint(written.state)
    with closing(sqlite3.connect(written.folder.journal, isolation_level=None)) as db:
        db.execute("UPDATE events SET body = 'no JSON' WHERE kind IN ('BatchPlaced', 'TasksFinished')")
    with View(written.folder) as view:
        assert view.look().status.tasks.succeeded == 2


def test_who_fell_behind_goes_on_from_a_newer_checkpoint(
    written: Written, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SPARED_ROWS", 10)
    for task in range(10):
        written.end(record(task))
    written.journal.checkpoint(written.state)
    written.end(record(10))
    replayed: list[int] = []
    replay = Journal.replay
    monkeypatch.setattr(Journal, "replay", lambda self, *given: _counted(replay(self, *given), replayed))
    assert view.look().status.tasks.succeeded == 11
    assert len(replayed) == 2
    assert view.look().status.tasks.succeeded == 11


def _counted(events, seen):  # type: ignore[no-untyped-def]
    for event in events:
        seen.append(event[0])
        yield event


def test_the_writers_log_is_emptied_while_somebody_looks_on(written: Written, view: View) -> None:
    written.end(record(0, FAILED), record(1))
    for ask in (
        view.look,
        view.failures,
        lambda: view.job("sim"),
        lambda: view.tasks("sim", sort="wall_s"),
        lambda: view.tasks("sim", text="ab"),
        lambda: view.task("sim", 0),
        lambda: view.host("lab1"),
    ):
        ask()
        with closing(sqlite3.connect(written.folder.journal)) as db:
            assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_journal_of_an_earlier_version_is_shown_as_far_as_it_knows(tmp_path: Path, version: int) -> None:
    folder = RunFolder(path=tmp_path)
    folder.jobs.touch()
    shutil.copyfile(Path(__file__).parent.parent / f"golden/journal-{version}.db", folder.journal)
    with View(folder) as view:
        shown = view.look()
        assert shown.status.state == "finished"
        assert shown.said
        for job in shown.jobs:
            assert view.job(job.row.name).line == job
            assert view.tasks(job.row.name, sort="cpu_s")[1] == job.row.tasks.total
            assert view.tasks(job.row.name, text="h")[1] <= job.row.tasks.total
            assert view.task(job.row.name, 0).line.index == 0
            assert view.cells(job.row.name, 3)
        for host in shown.hosts:
            assert view.host(host.row.name).line.row == host.row
        view.failures()


# ---------------------------------------------------------------------------------------------------- a job


def test_cells_are_tasks_or_as_many_as_go_into_one(written: Written, view: View) -> None:
    written.end(record(0), record(1, FAILED))
    written.place(2)
    view.look()
    ones = view.cells("sim", 100)
    assert [(cell.first, cell.stop, dict(cell.counts)) for cell in ones[:4]] == [
        (0, 1, {"succeeded": 1}),
        (1, 2, {"failed": 1}),
        (2, 3, {"running": 1}),
        (3, 4, {"waiting": 1}),
    ]
    assert len(ones) == TASKS
    few = view.cells("sim", 3)
    assert [(cell.first, cell.stop) for cell in few] == [(0, 7), (7, 14), (14, 20)]
    assert few[0].counts == {"waiting": 4, "running": 1, "succeeded": 1, "failed": 1}
    assert len(view.cells("fit", 0)) == 1


def test_a_page_of_tasks_has_what_is_known_of_each(written: Written, view: View) -> None:
    written.end(record(0), record(1, FAILED, final=False))
    written.place(2, 3)
    view.look()
    lines, total = view.tasks("sim", limit=4)
    assert total == TASKS
    done, again, running, behind = lines
    assert (done.state, done.host, done.attempts, done.wall_s, done.queued_s) == ("succeeded", "lab1", 1, 2.0, 0.5)
    assert done.params == {"n": 0, "kind": "ab"}
    assert (again.state, again.host, again.attempts, again.reason) == ("waiting", None, 1, "exited with code 3")
    assert (running.state, running.host, running.attempts, running.started_at) == ("running", "lab1", 1, written.now)
    assert (behind.state, behind.host, behind.started_at, behind.wall_s) == ("running", "lab1", None, None)


def test_tasks_are_found_by_state_sorted_and_cut_into_pages(written: Written, view: View) -> None:
    for task in range(10):
        written.end(record(task, FAILED if task % 3 == 0 else Outcome.SUCCEEDED, wall_s=float((task * 7) % 10)))
    view.look()

    def found(**how: object) -> tuple[list[int], int]:
        lines, total = view.tasks("sim", **how)  # type: ignore[arg-type]
        return [line.index for line in lines], total

    assert found(states=["failed"]) == ([0, 3, 6, 9], 4)
    assert found(states=["failed", "waiting"], offset=3, limit=3) == ([9, 10, 11], 14)
    assert found(states=["failed"], descending=True, limit=2) == ([9, 6], 4)
    assert found(states=["failed"], descending=True, offset=2) == ([3, 0], 4)
    assert found(states=["running"]) == ([], 0)
    assert found(sort="wall_s", descending=True, limit=3) == ([7, 4, 1], TASKS)
    assert found(sort="wall_s", limit=3, offset=1) == ([3, 6, 9], TASKS)
    assert found(sort="wall_s", states=["failed"], descending=True) == ([9, 6, 3, 0], 4)
    assert found(sort="wall_s", offset=9, limit=3) == ([7, 10, 11], TASKS), "those without a figure come last"
    assert found(sort="wall_s", offset=18, limit=10) == ([18, 19], TASKS)
    written.end(record(10, wall_s=8.5))
    view.look()
    assert found(sort="wall_s", descending=True, limit=3) == ([7, 10, 4], TASKS)


def test_an_order_of_many_tasks_is_the_same_as_of_few(
    written: Written, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        {"sort": sort, "descending": descending, "states": states, "offset": offset, "limit": 4, "text": text}
        for sort in ("wall_s", "attempts", "cpu_s")
        for descending in (False, True)
        for states in ((), ("failed",), ("failed", "waiting"), ("waiting",))
        for offset in (0, 3)
        for text in ("", "cd")
    ]
    for task in range(15):
        written.end(record(task, FAILED if task % 4 == 0 else Outcome.SUCCEEDED, wall_s=float((task * 7) % 11)))
    view.look()
    few = [view.tasks("sim", **how) for how in asked]  # type: ignore[arg-type]
    monkeypatch.setattr(view_module, "FEW", -1)
    monkeypatch.setattr(sums, "RANKED", 1)
    monkeypatch.setattr(sums, "PAGE_ROWS", 4)
    assert [view.tasks("sim", **how) for how in asked] == few  # type: ignore[arg-type]


def test_of_tasks_that_were_tried_again_the_last_result_is_sorted_by(
    written: Written, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "FEW", -1)
    monkeypatch.setattr(sums, "RANKED", 1)
    written.end(*(record(task, FAILED, wall_s=50.0 + task) for task in range(8)))
    written.append(TasksRetried(job=0, ranges=((0, 8),), by="alice"))
    written.end(*(record(task, number=2, wall_s=8.0 - task) for task in range(8)))
    view.look()

    def order(**how: object) -> list[int]:
        return [line.index for line in view.tasks("sim", sort="wall_s", **how)[0]]  # type: ignore[arg-type]

    assert order(descending=True, limit=8) == list(range(8))
    assert order(limit=8) == list(range(7, -1, -1))
    assert order(states=["succeeded"], descending=True, limit=4) == [0, 1, 2, 3]
    assert order(states=["failed"]) == []
    assert [line.wall_s for line in view.job("sim").slowest] == [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]


def test_a_task_that_waits_again_is_not_sorted_by_its_former_result(
    written: Written, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "FEW", -1)
    monkeypatch.setattr(sums, "RANKED", 1)
    written.end(*(record(task, FAILED, wall_s=10.0 + task) for task in range(8)))
    for ended in (8, 9):
        written.end(record(ended, wall_s=float(ended)))
    written.append(TasksRetried(job=0, ranges=((0, 8),), by="alice"))
    view.look()
    assert [line.index for line in view.tasks("sim", sort="wall_s", descending=True, limit=4)[0]] == [9, 8, 0, 1]
    assert [line.index for line in view.job("sim").slowest] == [9, 8]
    written.end(record(3, number=2, wall_s=1.0))
    view.look()
    assert [line.index for line in view.tasks("sim", sort="wall_s", descending=True, limit=4)[0]] == [9, 8, 3, 0]
    assert [line.index for line in view.job("sim").slowest] == [9, 8, 3]


def test_tasks_are_found_by_a_text_in_parameters_hosts_and_reasons(written: Written, view: View) -> None:
    written.append(joined("lab2"))
    written.end(record(0), record(1, FAILED))
    written.end(record(2), host="lab2")
    written.place(3, host="lab2")
    view.look()

    def found(text: str, **how: object) -> list[int]:
        lines, total = view.tasks("sim", text=text, **how)  # type: ignore[arg-type]
        assert total == len(lines)
        return [line.index for line in lines]

    assert found("kind=CD") == list(range(1, TASKS, 2))
    assert found("n=9") == [18, 19]
    assert found("LAB2") == [2, 3]
    assert found("lab") == [0, 1, 2, 3]
    assert found("code 3") == [1]
    assert found("cd", states=["succeeded", "failed"]) == [1]
    assert found("nowhere") == []
    written.end(record(4), host="lab2")
    view.look()
    assert found("LAB2") == [2, 3, 4]


def test_failures_are_grouped_by_how_they_ended(written: Written, view: View) -> None:
    written.append(joined("lab2"))
    written.end(record(0, FAILED), record(1, FAILED), record(2))
    written.end(record(3, FAILED), host="lab2")
    written.end(record(4, Outcome.TRAPPED, reason_code="stack", reason_text="its stack was full"))
    written.end(record(5, FAILED, final=False))
    written.append(TasksWithdrawn(job=0, tasks=(), ranges=((10, 20),), by="alice"))
    view.look()
    cancelled, failed, trapped = view.failures("sim")
    assert (failed.outcome, failed.code, failed.text, failed.count) == ("failed", "exit_code", "exited with code 3", 3)
    assert (failed.examples, dict(failed.by_host)) == ((0, 1, 3), {"lab1": 2, "lab2": 1})
    assert (trapped.outcome, trapped.code, trapped.count) == ("trapped", "stack", 1)
    assert (cancelled.outcome, cancelled.text, cancelled.count) == ("cancelled", "cancelled by alice", 10)
    assert cancelled.examples[:2] == (10, 11)
    skipped, *_ = view.failures("fit")
    assert (skipped.outcome, skipped.count) == ("skipped", 1)
    assert skipped.text is not None
    assert "which did not succeed" in skipped.text
    assert len(view.failures()) == 4


def test_a_task_that_is_tried_again_by_a_person_is_no_failure_any_more(written: Written, view: View) -> None:
    written.end(record(0, FAILED), record(1, FAILED))
    view.look()
    assert [group.count for group in view.failures("sim")] == [2]
    written.append(TasksRetried(job=0, ranges=((0, 1),), by="bob"))
    view.look()
    assert [group.count for group in view.failures("sim")] == [1]
    written.end(record(0, FAILED, number=2))
    view.look()
    assert [group.count for group in view.failures("sim")] == [2]
    assert view.job("sim").failures == view.failures("sim")


@pytest.mark.parametrize("more", [0, 250])
def test_so_it_is_where_the_retry_comes_while_one_looks_or_with_much_else(
    written: Written, view: View, monkeypatch: pytest.MonkeyPatch, more: int
) -> None:
    written.end(record(0, FAILED), record(1, FAILED))
    view.look()
    assert [group.count for group in view.failures("sim")] == [2]
    catch_up = view._catch_up

    def caught_up() -> Known:
        known = catch_up()
        written.append(TasksRetried(job=0, ranges=((0, 1),), by="bob"))
        written.append(*(HostBusy(host="lab1", text="somebody") for _ in range(more)))
        monkeypatch.undo()
        return known

    monkeypatch.setattr(view, "_catch_up", caught_up)
    assert not any("to be run again" in said.text for said in view.look().said)
    assert [group.count for group in view.failures("sim")] == [2]
    assert any("to be run again" in said.text for said in view.look().said) is not bool(more)
    assert [group.count for group in view.failures("sim")] == [1]


def test_a_job_has_its_durations_and_its_slowest_tasks(written: Written, view: View) -> None:
    for task, wall_s in enumerate((0.0004, 0.003, 0.004, 1.5, 30.0)):
        written.end(record(task, wall_s=wall_s))
    view.look()
    shown = view.job("sim")
    assert shown.params == ("n", "kind")
    assert [task.index for task in shown.slowest] == [4, 3, 2, 1, 0]
    assert sum(count for *_, count in shown.durations) == 5
    assert shown.durations[0] == (0.0, 0.001, 1)
    assert (0.002, 0.005, 2) in shown.durations
    assert shown.durations[-1] == (20.0, 50.0, 1)
    assert all(a[1] == b[0] for a, b in zip(shown.durations, shown.durations[1:], strict=False))
    assert any("memory" in sentence for sentence in shown.advice)
    written.end(record(5, wall_s=40.0))
    view.look()
    assert [task.index for task in view.job("sim").slowest][:2] == [5, 4]
    assert view.job("fit").slowest == ()


# ------------------------------------------------------------------------------------------ a task, and a host


def test_a_task_has_its_attempts_limits_and_the_command_that_repeats_it(written: Written, view: View) -> None:
    written.end(record(3, FAILED, final=False, peak_memory_bytes=9 * MIB))
    view.look()
    waiting = view.task("sim", 3)
    assert (waiting.line.state, waiting.explained.state, waiting.result) == ("waiting", "waiting", None)
    assert waiting.replay.startswith("batchwasm replay sim/3 -r ")
    written.place(3)
    view.look()
    ended, running = view.task("sim", 3).attempts
    assert (ended.outcome, ended.final, ended.queued_s, ended.wall_s, ended.exit_code) == ("failed", False, 0.5, 2.0, 3)
    assert (running.outcome, running.number, running.host, running.started_at) == ("running", 2, "lab1", written.now)
    written.append(HostLeft(host="lab1", code="lost", text="no route"), joined("lab1"))
    written.end(record(3, number=3, wall_s=4.0))
    view.look()
    shown = view.task("sim", 3)
    assert [(each.number, each.outcome, each.final) for each in shown.attempts] == [
        (1, "failed", False),
        (2, "lost", False),
        (3, "succeeded", True),
    ]
    assert shown.limits == {
        "memory_bytes": (GIB, 9 * MIB),
        "time_s": (60.0, 4.0),
        "disk_bytes": (None, 7),
        "cpus": (1, 0.5),
    }
    assert shown.result is not None
    assert (shown.result.outcome, shown.result.stdout) == ("succeeded", "out")
    assert view.task("fit", 0).replay.startswith("batchwasm replay fit -r ")
    with pytest.raises(RunError, match="there is no task sim/20 in this run"):
        view.task("sim", TASKS)


def test_a_task_is_followed_live(written: Written, view: View) -> None:
    written.end(record(0))
    with closing(view.output("sim", 0)) as output:
        assert [type(news).__name__ for news in output.look()] == ["Began", "Printed"]
        assert output.outcome == Outcome.SUCCEEDED


def test_a_host_has_what_ran_there_what_it_is_and_what_went_wrong(written: Written, view: View) -> None:
    written.append(joined("lab2"))
    written.end(record(0, started_at=START, wall_s=2.0), record(1, FAILED, started_at=START + 2, wall_s=1.0))
    written.end(record(2), host="lab2")
    written.append(HostBusy(host="lab1", text="load 0.9 of others over max_load 0.8"))
    written.place(3)
    written.now += 1
    written.journal.sample([Sample(START + 3, "lab1", 1.5, 8 * GIB, 3, 1, 2, 9 * GIB, 0.7, 16 * GIB, 0, 1.0, 2)])
    view.look()
    shown = view.host("lab1")
    assert shown.line.row.state == "busy"
    assert [(task.job, task.index, task.state) for task in shown.ran] == [
        ("sim", 1, "failed"),
        ("sim", 0, "succeeded"),
    ]
    assert shown.ran[0].params == {"n": 0, "kind": "cd"}
    assert dict(shown.by_outcome) == {"succeeded": 1, "failed": 1}
    assert (shown.facts["os"], shown.facts["cpus"]) == ("linux", 4)
    assert shown.owner[:2] == ("cpus = 4", "hours = 20:00-08:00")
    assert any("load 0.9" in sentence for sentence in shown.owner)
    assert [one.text for one in shown.errors] == [
        "sim/1 failed on lab1 in 1 s: exited with code 3",
        "host lab1: left to others: load 0.9 of others over max_load 0.8",
    ]
    (moment,) = shown.history
    assert (moment.cpus, moment.cpus_busy, moment.waiting, moment.running, moment.done) == (4, 1.0, 2, 1, 2)
    written.journal.sample([Sample(START + 8, "lab1", 1.5, 8 * GIB, 3, 1, 2, 9 * GIB, 0.7, 16 * GIB, 0, 1.0, 2)])
    assert [moment.at for moment in view.host("lab1").history] == [START + 3, START + 8]
    assert view.host("lab2").errors == ()
    with pytest.raises(RunError, match="there is no host lab3 in this run"):
        view.host("lab3")


def test_occupancy_is_the_cpus_that_attempts_took_in_each_span(written: Written, view: View) -> None:
    written.end(record(0, started_at=START, wall_s=6.0), record(1, started_at=START, wall_s=6.0))
    written.append(built(1))
    written.end(record(0, started_at=START + 6, wall_s=6.0), job=1)
    written.append(RunFinished())
    view.look()
    shown = view.host("lab1")
    assert shown.since == START
    assert sum(shown.occupancy["sim"]) * shown.span_s == pytest.approx(12.0)
    assert sum(shown.occupancy["fit"]) * shown.span_s == pytest.approx(12.0), "two cpus"
    assert max(shown.occupancy["sim"]) == pytest.approx(2.0)
    assert shown.occupancy["fit"][0] == 0.0


def test_a_paused_run_has_no_end_in_sight(written: Written, view: View) -> None:
    written.end(record(0), record(1))
    written.place(2)
    written.append(RunPaused(text="by alice"))
    shown = view.look()
    assert shown.status.paused == "by alice"
    assert shown.pace.left_s is None
    assert "paused by alice" in shown.said[-1].text


def test_hosts_of_a_run_that_does_not_go_on_are_as_they_were(written: Written, view: View) -> None:
    written.place(0)
    assert [host.is_past for host in view.look().hosts] == [False, False]
    written.append(RunStopped(code="disk_full", text="no space", guests_stopped=False))
    hosts = view.look().hosts
    assert [(host.row.state, host.is_past) for host in hosts] == [("ready", True), ("unused", True)]
    assert view.host("lab1").line.is_past
