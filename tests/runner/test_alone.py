"""Runs whose connection goes: a scheduler that comes back, another that takes over, and nobody at all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.model import Outcome
from batchwasm.runner.protocol import Acknowledge, Attached, Kill, Refused
from tests.runner.supervised import (
    HELLO,
    LOUD_SLEEP,
    SPIN,
    Scheduler,
    SupervisedHost,
    eventually,
    refused,
    supervised_host,
)

LOUD = HELLO.replace("(call $hello)))", "(i32.store (i32.const 4) (i32.const 60000)) (call $hello)))")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SupervisedHost]:
    yield from supervised_host(tmp_path)


@pytest.fixture
def put_away_at_once(host: SupervisedHost) -> None:
    module = host.library / "batchwasm_runner" / "alone.py"
    module.write_text(module.read_text().replace("PUT_AWAY_AFTER_S = 60.0", "PUT_AWAY_AFTER_S = 0.0"))


def seqs(scheduler: Scheduler, tasks: int) -> list[int]:
    """Numbers of the reports, each of one task, in the order in which they come."""
    found = []
    for _ in range(tasks):
        scheduler.collect(1)
        found.append(scheduler.last_seq)
    return found


# -------------------------------------------------------------------------------------------- it comes back


def test_a_new_incarnation_takes_over_a_run_that_is_under_way(host: SupervisedHost) -> None:
    first = host.attach(cpus=1)
    for batch in (1, 2, 3):
        first.start(batch, HELLO)
    assert seqs(first, 3) == [1, 2, 3]
    first.start(4, SPIN)
    first.start(5, HELLO, [7, 8])
    host.wait_until_a_guest_speaks()
    second = host.attach(cpus=1, incarnation=2, after=1)
    assert first.read() is None
    assert (second.attached.batches, second.attached.left) == ([1, 2, 3, 4, 5], [0, 1, 1, 1, 2])
    assert seqs(second, 2) == [2, 3]
    second.send(Kill(4))
    rows, returned = second.collect(3)
    assert set(returned) == {(4, 0)}
    assert set(rows) == {(5, 7), (5, 8)}


def test_an_incarnation_that_was_superseded_is_refused_and_disturbs_nothing(host: SupervisedHost) -> None:
    host.attach(incarnation=1)
    second = host.attach(incarnation=2)
    second.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    answer = host.connect().try_to_attach(incarnation=1)
    assert refused(answer) == "stale"
    assert isinstance(answer, Refused)
    assert "incarnation 2" in answer.text
    second.send(Kill(1))
    assert set(second.collect(1)[1]) == {(1, 0)}


def test_a_relay_that_is_killed_costs_no_report_and_tells_none_twice(host: SupervisedHost) -> None:
    first = host.attach(cpus=2)
    for batch in range(1, 81):
        first.start(batch, LOUD)
    assert seqs(first, 10) == list(range(1, 11))
    first.send(Acknowledge(5))
    os.kill(first.relay.pid, signal.SIGKILL)
    second = host.attach(cpus=2, after=10)
    assert sum(second.attached.left) == 70
    assert seqs(second, 40) == list(range(11, 51))
    os.kill(second.relay.pid, signal.SIGKILL)
    third = host.attach(cpus=2, after=30)
    assert seqs(third, 50) == list(range(31, 81))


def test_a_run_with_reports_stays_when_its_connection_goes_and_one_without_any_ends(host: SupervisedHost) -> None:
    owing, done = host.attach("owing"), host.attach("done")
    for scheduler in (owing, done):
        scheduler.start(1, LOUD_SLEEP, time_s=0.1)
        scheduler.collect(1)
    done.acknowledge()
    eventually(lambda: not (Path(done.attached.spool) / "1").exists(), "it is acknowledged")
    owing.close()
    done.close()
    again = host.attach("owing", incarnation=2)
    assert (again.attached.batches, again.attached.left) == ([1], [1])
    assert (Path(again.attached.spool) / "1" / "0" / "stdout").exists()
    assert again.collect(1)[0]
    assert host.attach("done", incarnation=2, after=1).attached.batches == []


# ------------------------------------------------------------------------------------------------- on disk


@pytest.mark.usefixtures("put_away_at_once")
def test_reports_of_a_run_alone_are_put_on_disk_and_come_from_there(host: SupervisedHost) -> None:
    first = host.attach(cpus=2)
    first.start(1, SPIN, time_s=1.0)
    host.wait_until_a_guest_speaks()
    for batch in range(2, 42):
        first.start(batch, LOUD)
    first.beat()
    first.close()
    file = Path(first.attached.spool) / "reports"
    eventually(lambda: file.exists() and file.stat().st_size > 40 * 60000, "all are on disk")
    again = host.attach(cpus=2, incarnation=2, after=3)
    assert sum(again.attached.left) == 38
    again.start(50, HELLO)
    rows, _ = again.collect(39)
    assert again.last_seq == 42
    assert {len(row.stdout) for row in rows.values()} <= {60000, 6}
    again.acknowledge()
    eventually(lambda: not file.exists(), "it is done with")


@pytest.mark.usefixtures("put_away_at_once")
def test_reports_that_can_not_be_read_any_more_end_the_run_there_with_a_reason(host: SupervisedHost) -> None:
    first = host.attach()
    first.start(1, HELLO)
    first.collect(1)
    first.close()
    file = Path(first.attached.spool) / "reports"
    eventually(lambda: file.exists() and file.stat().st_size, "it is on disk")
    os.truncate(file, 10)
    again = host.connect()
    assert isinstance(again.try_to_attach(), Attached)
    answer = again.read()
    assert refused(answer) == "busy"
    assert isinstance(answer, Refused)
    assert "can't be read" in answer.text
    assert host.attach(incarnation=2).attached.batches == []


# --------------------------------------------------------------------------------------------- nobody comes


def test_a_day_alone_ends_what_has_no_time_limit_and_gives_back_what_waits(host: SupervisedHost) -> None:
    host.relay_options = ["--alone-s", "0.2"]
    first = host.attach(cpus=2)
    first.start(1, SPIN, [4, 5])
    first.start(2, SPIN, [6, 7], time_s=600.0)
    first.start(3, HELLO, [8, 9])
    host.wait_until_a_guest_speaks(2)
    first.close()
    eventually(lambda: len(host.speaking_workers()) == 1, "the one without a limit is ended")
    again = host.attach(cpus=2, incarnation=2)
    assert again.attached.left == [2, 2, 2]
    _, returned = again.collect(4)
    assert set(returned) == {(1, 4), (1, 5), (3, 8), (3, 9)}
    assert "away" in returned[1, 4]
    assert returned[1, 4].endswith("h, and it has no time_limit")
    assert "away" in returned[3, 8]
    again.send(Kill(2))
    assert set(again.collect(2)[1]) == {(2, 6), (2, 7)}


def test_what_has_a_time_limit_ends_by_it_though_nobody_comes(host: SupervisedHost) -> None:
    host.relay_options = ["--alone-s", "0.1"]
    first = host.attach()
    first.start(1, SPIN, [4, 5], time_s=1.0)
    host.wait_until_a_guest_speaks()
    first.close()
    eventually(lambda: not host.speaking_workers(), "it is over")
    again = host.attach(incarnation=2)
    rows, returned = again.collect(2)
    assert {key: row.outcome for key, row in rows.items()} == {(1, 4): Outcome.TIMED_OUT}
    assert set(returned) == {(1, 5)}


def test_a_run_alone_for_too_long_is_ended_with_all_it_has(host: SupervisedHost) -> None:
    host.relay_options = ["--keep-s", "0.5"]
    scheduler = host.attach(cpus=2)
    scheduler.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    scheduler.start(2, LOUD_SLEEP, time_s=0.1)
    scheduler.collect(1)
    scheduler.close()
    eventually(lambda: not host.supervisors() and not host.workers(), "all ends", patience_s=5)
    assert host.traces() == []
