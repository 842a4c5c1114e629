"""A run's batches and its reports until they are acknowledged."""

from __future__ import annotations

import pytest

from batchwasm.runner import runs
from batchwasm.runner.capacity import NOTHING, Room, Want
from batchwasm.runner.protocol import Decoder, Finished, ProtocolError, Returned, Start, TaskWork, Work
from batchwasm.runner.runs import Batch, Run


def start(batch: int, tasks: int = 3, cpus: float = 1, gpus: float = 0) -> Start:
    work = Work(batch, "r", "j", "d", "/s", 1, 1, 1, 1, tasks=[TaskWork(task, 1) for task in range(tasks)])
    return Start(batch, cpus, 10, None, tasks, work.encode(), gpus)


@pytest.fixture
def run() -> Run:
    return Run(id="r", incarnation=1, spool="/s", cap=Room.of(4, 100), seq=0)


def take(run: Run, now: float = 0.0) -> Batch:
    return run.take(run.wants[0].needs, (), 1, now)


def seqs(run: Run, after: int) -> list[int]:
    found = []
    while (following := run.retained.following(after)) is not None:
        after, frame = following
        (message,) = Decoder().feed(frame)
        assert isinstance(message, (Finished, Returned))
        assert message.seq == after
        found.append(after)
    return found


def test_batches_are_taken_in_the_order_they_came(run: Run) -> None:
    for number in (5, 3, 9):
        run.add(start(number), now=0.0)
    assert [take(run).number for _ in range(3)] == [5, 3, 9]


def test_what_needs_the_same_waits_in_one_lane_and_the_oldest_lane_comes_first(run: Run) -> None:
    for number, gpus in ((5, 0), (3, 1), (9, 0)):
        run.add(start(number, gpus=gpus), now=float(number))
    assert run.wants == [Want(Room.of(1, 10), 5.0), Want(Room.of(1, 10, 1), 3.0)]
    assert [batch.number for batch in run.queue] == [5, 3, 9]
    take(run, now=7.0)
    assert run.wants == [Want(Room.of(1, 10, 1), 3.0), Want(Room.of(1, 10), 7.0)]
    assert run.queued_count == 2


def test_a_batch_is_told_its_gpus_and_holds_them_until_its_end(run: Run) -> None:
    run.add(start(1, gpus=0.5), now=0.0)
    batch = run.take(Room.of(1, 10, 0.5), (2,), 1, 0.0)
    assert batch.start.gpu_indexes == [2]
    assert run.held_gpus == {2: 500}
    run.end(batch)
    assert run.held_gpus == {2: 0}


def test_a_batch_holds_room_from_its_start_to_its_end(run: Run) -> None:
    run.add(start(1, cpus=2), now=0.0)
    assert (run.used, run.wants) == (NOTHING, [Want(Room.of(2, 10), 0.0)])
    batch = take(run)
    assert (run.used, run.wants) == (Room.of(2, 10), ())
    run.end(batch)
    assert run.used == NOTHING


def test_a_batch_is_over_when_every_task_is_finished_or_returned() -> None:
    batch = Batch(start(1, tasks=4))
    batch.note(Finished(batch=1, count=2))
    batch.note(Returned(batch=1, tasks=[3]))
    assert not batch.over
    assert [task.task for task in batch.left(batch.work())] == [2]
    batch.note(Finished(batch=1, count=1))
    assert batch.over


def test_reports_are_numbered_from_where_the_scheduler_stood() -> None:
    run = Run(id="r", incarnation=1, spool="/s", cap=Room.of(1, 1), seq=41)
    run.report(Finished(batch=1, count=1, body=b"x"))
    assert seqs(run, 0) == [42]


def test_reports_are_kept_until_acknowledged_and_sent_again_from_any_number(run: Run) -> None:
    for number in (1, 2, 3):
        run.report(Finished(batch=number, count=1, body=b"x"))
    assert seqs(run, 1) == [2, 3]
    assert run.acknowledge(2) == [1, 2]
    assert seqs(run, 0) == [3]
    assert run.batches == [3]
    assert run.acknowledge(3) == [3]
    assert run.retained.bytes == 0


def test_what_is_left_of_a_batch_is_what_was_not_reported_and_what_is_reported_again(run: Run) -> None:
    run.add(start(1, tasks=5), now=0.0)
    run.add(start(2, tasks=4), now=0.0)
    run.add(start(3, tasks=2), now=0.0)
    batch, over = take(run), take(run)
    for report in (Finished(batch=1, count=2), Returned(batch=1, tasks=[4])):
        batch.note(report)
        run.report(report)
    over.note(Finished(batch=2, count=4))
    run.report(Finished(batch=2, count=4))
    run.end(over)
    assert (run.batches, run.left(0)) == ([1, 2, 3], [5, 4, 2])
    assert run.left(1) == [3, 4, 2]
    assert run.left(3) == [2, 0, 2]
    run.acknowledge(3)
    assert (run.batches, run.left(0)) == ([1, 3], [2, 2])


def test_a_running_batch_is_not_done_with_though_its_reports_are_acknowledged(run: Run) -> None:
    run.add(start(1), now=0.0)
    batch = take(run)
    run.report(Finished(batch=1, count=1))
    assert run.acknowledge(1) == []
    run.end(batch)
    run.report(Finished(batch=1, count=2))
    assert run.acknowledge(2) == [1]


def test_the_same_batch_is_taken_once_until_it_is_forgotten(run: Run) -> None:
    assert run.add(start(1), now=0.0)
    assert not run.add(start(1), now=0.0)
    batch = take(run)
    assert not run.add(start(1), now=0.0)
    run.report(Finished(batch=1, count=3))
    run.end(batch)
    assert not run.add(start(1), now=0.0)
    run.acknowledge(1)
    assert run.add(start(1), now=0.0)


def test_a_scheduler_that_does_not_keep_up_gets_nothing_started(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "RETAINED_LIMIT_BYTES", 1000)
    run.add(start(2), now=0.0)
    run.report(Finished(batch=1, count=1, body=bytes(1000)))
    assert not run.wants
    run.acknowledge(1)
    assert run.wants


def test_orders_beyond_all_bounds_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "QUEUED_LIMIT_BYTES", 2 * len(start(1).body))
    run.add(start(1), now=0.0)
    run.add(start(2), now=0.0)
    with pytest.raises(ProtocolError, match="bytes of orders"):
        run.add(start(3), now=0.0)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"tasks": [[1, 2, 3, 4, 5, 6, 7, 8]]}', b"\xff"])
def test_a_body_that_is_no_work_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="batch 7"):
        Batch(Start(7, 1, 1, None, 1, body)).work()
