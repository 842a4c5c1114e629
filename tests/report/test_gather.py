"""What is read out of a journal for a report: sums by host, by job, over time."""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm.core.events import (
    HostAway,
    JobAdded,
    JobPlan,
    RunFinished,
    RunOpened,
    RunPlanned,
    RunStopped,
    TasksAdded,
    TasksCancelled,
    TasksKnown,
    TasksRetried,
)
from batchwasm.core.plans import AfterJob, HostPlan
from batchwasm.journal import Journal
from batchwasm.model import Outcome
from batchwasm.report import gather
from batchwasm.report.facts import Heatmap, Report, Timeline
from batchwasm.report.tally import FEW_ATTEMPTS
from batchwasm.results import RunFolder
from benchmarks.report import make
from tests.report.runs import BEGAN, built, ended, finished, folder, joined, placed, planned, troubled

GOLDEN = Path(__file__).parent.parent / "golden"


def at(report: Report, values: tuple[float, ...], seconds: float) -> float:
    """The mean of the bin at that time."""
    return values[min(int(seconds / report.axis.bin_s), report.axis.bins - 1)]


def test_busy_cpus_are_those_reserved_while_attempts_ran_and_others_were_connected(tmp_path: Path) -> None:
    run = folder(
        tmp_path / "run-1",
        [
            *planned({"a": 3}, cpus=2),
            (10, joined("h1", cpus=4)),
            (20, placed(1, 0, "h1", range(2))),
            (20, placed(2, 0, "h1", range(2, 3))),
            (60, finished(1, 0, "h1", ended(0, 20, 10), ended(1, 30, 30, cpu=15))),
            (60, finished(2, 0, "h1", ended(2, 20, 20, cpu=20))),
            (80, HostAway(host="h1", code="lost", text="gone")),
            (100, RunFinished()),
        ],
    )
    report = gather.report(run)
    flow = report.flow
    assert report.axis.span_s == pytest.approx(100)
    assert [at(report, flow.cpus, second) for second in (5, 50, 90)] == pytest.approx([0, 4, 0])
    assert [at(report, flow.busy, second) for second in (15, 25, 50, 70)] == pytest.approx([0, 4, 2, 0])
    assert [at(report, flow.worked, second) for second in (25, 50)] == pytest.approx([2, 0.5])
    assert [at(report, flow.running, second) for second in (25, 50, 70)] == pytest.approx([2, 1, 0])
    assert [at(report, flow.done, second) for second in (25, 35, 50, 70)] == pytest.approx([0, 1, 2, 3])
    assert [at(report, flow.waiting, second) for second in (5, 25, 35, 70)] == pytest.approx([3, 1, 0, 0])
    assert flow.utilisation == pytest.approx((2 * 60) / (4 * 70))
    [host] = [host for host in report.hosts if host.name == "h1"]
    assert (host.attempts, host.succeeded, host.busy_cpu_s) == (3, 3, pytest.approx(120))
    assert host.utilisation == pytest.approx(120 / 280)


def test_a_timeline_has_each_attempt_in_a_lane_of_its_host(tmp_path: Path) -> None:
    report = gather.report(troubled(tmp_path / "run-1"))
    found = report.picture
    assert isinstance(found, Timeline)
    assert found.attempts
    assert found.hosts == ("h1", "h2", "h3")
    assert len(found.pieces) == report.attempts == 6
    by_host = [[piece for piece in found.pieces if piece.host == n] for n in range(3)]
    for pieces in by_host:
        for one in pieces:
            for other in pieces:
                apart = one.stop_s <= other.start_s or other.stop_s <= one.start_s
                beside = one.high <= other.low or other.high <= one.low
                assert one is other or apart or beside
    [away] = [absence for absence in found.absences if absence.host == 1 and absence.start_s > 0]
    assert (away.start_s, away.stop_s) == pytest.approx((10, 22))


def test_attempts_that_follow_each_other_on_a_cpu_share_a_lane_though_clocks_are_not_exact(tmp_path: Path) -> None:
    records = [ended(n, 2 + n - (0.01 if n else 0), 1) for n in range(50)]
    run = folder(
        tmp_path / "run-1",
        [
            *planned({"a": 50}),
            (2, joined("h1")),
            (2, placed(1, 0, "h1", range(50))),
            (60, finished(1, 0, "h1", *records)),
            (60, RunFinished()),
        ],
    )
    found = gather.report(run).picture
    assert isinstance(found, Timeline)
    assert {(piece.low, piece.high) for piece in found.pieces} == {(0.0, 1.0)}


def test_failures_are_grouped_by_what_they_have_in_common(tmp_path: Path) -> None:
    report = gather.report(troubled(tmp_path / "run-1"))
    groups = [
        (each.job, each.outcome, each.reason, each.exit_code, each.attempts, each.final) for each in report.failures
    ]
    assert groups == [("pi", "failed", "exit_code", 3, 2, 2), ("pi", "timed_out", "time_limit", 0, 1, 0)]
    first = report.failures[0]
    assert [(example.task, example.host) for example in first.examples] == [("pi/1", "h1"), ("pi/2", "h2")]
    assert first.hosts == 2
    assert [(each.outcome, each.tasks) for each in report.untold] == [("cancelled", 3)]
    assert report.again == 1


def test_what_a_person_should_hear_of_is_told_in_its_order(tmp_path: Path) -> None:
    report = gather.report(troubled(tmp_path / "run-1"))
    weighty = [(said.weight, *said.text.split(": ")[:2]) for said in report.said if said.weight]
    assert [(weight, who, what) for weight, who, what in weighty[:2]] == [
        (2, "host h3", "down"),
        (2, "host h2", "lost, and what ran there with it"),
    ]
    assert weighty[2][1].startswith("cancelled by")


@pytest.mark.parametrize("skew_s", [-3000.0, 500.0])
def test_a_host_whose_clock_is_wrong_worked_when_we_heard_of_it(tmp_path: Path, skew_s: float) -> None:
    run = folder(
        tmp_path / "run-1",
        [
            *planned({"a": 2}),
            (10, joined("h1")),
            (10, placed(1, 0, "h1", range(2))),
            (20, finished(1, 0, "h1", ended(0, 10 + skew_s, 10))),
            (30, finished(1, 0, "h1", ended(1, 20 + skew_s, 10))),
            (40, RunFinished()),
        ],
    )
    report = gather.report(run)
    assert [at(report, report.flow.busy, second) for second in (5, 12, 18, 25, 35)] == pytest.approx([0, 1, 1, 1, 0])


def test_skipped_tasks_are_done_when_what_they_came_after_failed(tmp_path: Path) -> None:
    plans = (JobPlan(name="a", tasks=2), JobPlan(name="b", tasks=5, after=(AfterJob(job=0),)))
    run = folder(
        tmp_path / "run-1",
        [
            (0, RunPlanned(run="1", name="run-1", jobs=plans, hosts=(HostPlan(name="h1"),))),
            *((1, built(n)) for n in range(2)),
            (2, joined("h1")),
            (2, placed(1, 0, "h1", range(2))),
            (50, finished(1, 0, "h1", ended(0, 2, 48, Outcome.FAILED, reason=("exit_code", "no")))),
            (90, finished(1, 0, "h1", ended(1, 50, 40))),
            (100, RunFinished()),
        ],
    )
    report = gather.report(run)
    assert [at(report, report.flow.done, second) for second in (40, 60, 95)] == pytest.approx([0, 6, 7])
    assert [at(report, report.flow.waiting, second) for second in (1, 40, 60)] == pytest.approx([7, 6, 0])


def test_tasks_that_a_person_had_again_wait_again(tmp_path: Path) -> None:
    failed = finished(1, 0, "h1", ended(0, 2, 8, Outcome.FAILED, reason=("exit_code", "no")))
    run = folder(
        tmp_path / "run-1",
        [
            *planned({"a": 1}),
            (2, joined("h1")),
            (2, placed(1, 0, "h1", range(1))),
            (10, failed),
            (50, TasksRetried(job=0, ranges=((0, 1),), by="alice")),
            (60, placed(2, 0, "h1", range(1))),
            (80, finished(2, 0, "h1", ended(0, 60, 20, number=2))),
            (100, RunFinished()),
        ],
    )
    report = gather.report(run)
    assert [at(report, report.flow.done, second) for second in (5, 30, 55, 90)] == pytest.approx([0, 1, 0, 1])
    assert [at(report, report.flow.waiting, second) for second in (1, 30, 55)] == pytest.approx([1, 0, 1])
    assert "to be run again, by alice: a" in [said.text for said in report.said]


def test_only_what_did_not_succeed_waits_again_when_all_tasks_are_retried_however_often(tmp_path: Path) -> None:
    """Which is what `retry` without tasks writes. What was cancelled never counted as done by an attempt."""
    everything = TasksRetried(job=0, ranges=((0, 5),), by="alice")
    failed = ended(3, 2, 8, Outcome.FAILED, reason=("exit_code", "no"))
    run = folder(
        tmp_path / "run-1",
        [
            *planned({"a": 5}),
            (2, joined("h1")),
            (2, placed(1, 0, "h1", range(4))),
            (10, finished(1, 0, "h1", *(ended(n, 2, 8) for n in range(3)), failed)),
            (20, TasksCancelled(code="person", text="cancelled by bob", running=False)),
            (40, everything),
            (50, everything),
            (60, placed(2, 0, "h1", range(3, 5))),
            (80, finished(2, 0, "h1", ended(3, 60, 20, number=2), ended(4, 60, 20))),
            (100, RunFinished()),
        ],
    )
    report = gather.report(run)
    assert [at(report, report.flow.done, second) for second in (5, 30, 45, 55, 90)] == pytest.approx([0, 4, 3, 3, 5])
    assert [at(report, report.flow.waiting, second) for second in (30, 45, 90)] == pytest.approx([1, 2, 0])


def test_what_was_cancelled_is_told_though_what_said_so_itself_ran_again(tmp_path: Path) -> None:
    run = folder(
        tmp_path / "run-1",
        [
            *planned({"a": 2}),
            (2, joined("h1")),
            (2, placed(1, 0, "h1", range(1))),
            (10, finished(1, 0, "h1", ended(0, 2, 8, Outcome.CANCELLED, reason=("cancelled", "by bob")))),
            (20, TasksRetried(job=0, ranges=((0, 1),))),
            (30, placed(2, 0, "h1", range(1))),
            (40, finished(2, 0, "h1", ended(0, 30, 10, number=2))),
            (50, TasksCancelled(code="person", text="cancelled by bob", running=False)),
            (60, RunFinished()),
        ],
    )
    report = gather.report(run)
    assert [(each.outcome, each.tasks) for each in report.untold] == [("cancelled", 1)]
    assert [at(report, report.flow.done, second) for second in (15, 25, 45, 55)] == pytest.approx([1, 0, 1, 2])


def test_results_that_are_compared_did_not_run_again_and_each_task_has_one_duration(tmp_path: Path) -> None:
    """With `verify` = 2 a task succeeds on two hosts, and the first time is not its result."""
    run = folder(
        tmp_path / "run-1",
        [
            *planned({"a": 1}),
            (2, joined("h1")),
            (2, joined("h2")),
            (3, placed(1, 0, "h1", range(1))),
            (10, finished(1, 0, "h1", ended(0, 3, 7, final=False))),
            (10, placed(2, 0, "h2", range(1))),
            (20, finished(2, 0, "h2", ended(0, 10, 9, number=2))),
            (20, RunFinished()),
        ],
    )
    report = gather.report(run)
    assert (report.attempts, report.again) == (2, 0)
    assert [(each.count, each.most_s) for each in report.durations] == [(1, pytest.approx(9))]


def test_the_hosts_of_a_scheduler_that_was_killed_are_away_until_it_is_resumed(tmp_path: Path) -> None:
    run = folder(
        tmp_path / "run-1",
        [
            *planned({"a": 2}),
            (2, joined("h1")),
            (2, placed(1, 0, "h1", range(1))),
            (10, finished(1, 0, "h1", ended(0, 2, 8))),
            (90, RunOpened(incarnation=2, pid=8, machine="head", version="1.2.3")),
            (95, joined("h1")),
            (100, RunFinished()),
        ],
    )
    report = gather.report(run)
    assert [at(report, report.flow.cpus, second) for second in (5, 50, 93, 98)] == pytest.approx([2, 0, 0, 2])
    assert isinstance(report.picture, Timeline)
    gone = [(each.start_s, each.stop_s) for each in report.picture.absences if each.host == 0 and each.start_s]
    assert gone == [pytest.approx((10, 95))]


def test_what_jobs_skipped_is_cut_and_each_counts_from_the_first_failure_before_it(tmp_path: Path) -> None:
    """A diamond, and a chain that is longer than anyone reads."""
    befores = [(), (0,), (0,), (2, 1), *((n,) for n in range(3, 400))]
    plans = tuple(
        JobPlan(name=f"j{n}", tasks=1, after=tuple(AfterJob(job=m) for m in before)) for n, before in enumerate(befores)
    )
    no = ("exit_code", "no")
    run = folder(
        tmp_path / "run-1",
        [
            (0, RunPlanned(run="1", name="run-1", jobs=plans, hosts=(HostPlan(name="h1"),))),
            *((1, built(n)) for n in range(3)),
            (2, joined("h1")),
            (2, placed(1, 0, "h1", range(1))),
            (10, finished(1, 0, "h1", ended(0, 2, 8))),
            (10, placed(2, 1, "h1", range(1))),
            (10, placed(3, 2, "h1", range(1))),
            (40, finished(3, 2, "h1", ended(0, 10, 30, Outcome.FAILED, reason=no))),
            (70, finished(2, 1, "h1", ended(0, 10, 60, Outcome.FAILED, reason=no))),
            (100, RunFinished()),
        ],
    )
    report = gather.report(run)
    assert [at(report, report.flow.done, second) for second in (30, 50, 80)] == pytest.approx([1, 400, 401])
    assert (len(report.untold), report.more_untold) == (gather.SHOWN_JOBS, 398 - gather.SHOWN_JOBS)


def test_a_task_that_has_its_result_is_done_once_whatever_comes_later(tmp_path: Path) -> None:
    known = ended(0, 0, 0, number=0)._replace(cached="earlier-1 a/0")
    run = folder(
        tmp_path / "run-1",
        [
            *planned({"a": 1}),
            (2, joined("h1")),
            (2, placed(1, 0, "h1", range(1))),
            (10, finished(1, 0, "h1", ended(0, 2, 8))),
            (20, TasksKnown(job=0, records=(known,))),
            (100, RunFinished()),
        ],
    )
    report = gather.report(run)
    assert at(report, report.flow.done, 50) == pytest.approx(1)


def test_tasks_that_are_added_wait_from_then_on(tmp_path: Path) -> None:
    run = folder(
        tmp_path / "map-1",
        [
            (0, RunPlanned(run="1", name="map-1", jobs=(), hosts=(HostPlan(name="h1"),), open=True)),
            (20, JobAdded(plan=JobPlan(name="f", tasks=0))),
            (20, TasksAdded(job=0, first=0, count=3, argument_bytes=3, arguments=(b"1", b"2", b"3"))),
            (60, TasksAdded(job=0, first=3, count=1, argument_bytes=1, arguments=(b"4",))),
            (100, RunStopped(code="interrupted", text="by a person")),
        ],
    )
    report = gather.report(run)
    assert [at(report, report.flow.waiting, second) for second in (10, 40, 80)] == pytest.approx([0, 3, 4])


def test_a_run_that_was_stopped_says_why(tmp_path: Path) -> None:
    events = [*planned({"a": 1}), (2, joined("h1")), (10, RunStopped(code="interrupted", text="by a person"))]
    report = gather.report(folder(tmp_path / "run-1", events))
    assert (report.status.state, report.status.reason) == ("stopped", "by a person")


def test_a_run_whose_scheduler_died_is_reported_as_it_is(tmp_path: Path) -> None:
    run = folder(tmp_path / "run-1", [*planned({"a": 1}), (2, joined("h1")), (3, placed(1, 0, "h1", range(1)))])
    report = gather.report(run)
    assert report.status.state == "stopped"
    assert "ended without a word" in (report.status.reason or "")


def test_a_run_that_has_only_begun_is_reported(tmp_path: Path) -> None:
    report = gather.report(folder(tmp_path / "run-1", planned({"a": 1})[:1]))
    assert report.attempts == 0
    assert report.flow.utilisation is None


@pytest.mark.parametrize("version", [1, 2, 3, 4])
def test_a_journal_of_an_earlier_layout_is_reported(tmp_path: Path, version: int) -> None:
    run = RunFolder(path=tmp_path / "old-1")
    run.path.mkdir()
    shutil.copy(GOLDEN / f"journal-{version}.db", run.journal)
    report = gather.report(run)
    with closing(Journal.open(run.journal, read_only=True)) as journal:
        assert report.attempts == sum(1 for _ in journal.attempts())
    assert report.status.state == "finished"


def test_many_attempts_on_few_hosts_become_what_jobs_had_of_each(tmp_path: Path) -> None:
    run = make(tmp_path / "few-1", hosts=3, tasks=FEW_ATTEMPTS + 100)
    report = gather.report(run)
    found = report.picture
    assert isinstance(found, Timeline)
    assert not found.attempts
    assert len(found.pieces) <= len(found.hosts) * len(found.jobs) * report.axis.bins
    drawn = sum((piece.stop_s - piece.start_s) * (piece.high - piece.low) * 16 for piece in found.pieces)
    assert drawn == pytest.approx(sum(report.flow.busy) * report.axis.bin_s, rel=0.02)


def test_many_hosts_become_a_heatmap_whose_cells_add_up(tmp_path: Path) -> None:
    report = gather.report(make(tmp_path / "many-1", hosts=40, tasks=2000))
    found = report.picture
    assert isinstance(found, Heatmap)
    assert len(found.rows) == 40
    busy = sum(level or 0 for row in found.levels for level in row) * found.bin_s * 16
    # Cells are parts of the cpus that were there, which in the bin where a host joined is less than all.
    assert busy == pytest.approx(sum(report.flow.busy) * report.axis.bin_s, rel=0.05)


def test_sums_are_those_of_the_attempts_one_by_one(tmp_path: Path) -> None:
    run = make(tmp_path / "many-1", hosts=8, tasks=1500, seed=random.Random(3).randrange(1000))
    report = gather.report(run)
    with closing(Journal.open(run.journal, read_only=True)) as journal:
        attempts = list(journal.attempts())
    assert report.attempts == len(attempts)
    assert sum(report.flow.busy) * report.axis.bin_s == pytest.approx(sum(each.record.wall_s for each in attempts))
    succeeded = [each for each in attempts if each.record.outcome == Outcome.SUCCEEDED]
    assert sum(each.count for each in report.durations) == len(succeeded)
    assert sum(each.attempts for each in report.failures) == len(attempts) - len(succeeded)
    assert sum(host.attempts for host in report.hosts) == len(attempts)
    assert report.axis.first_at == BEGAN
