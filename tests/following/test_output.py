"""What is told of a task that is followed, whatever its hosts, its scheduler and its batch do meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm.core.events import BatchPlaced, HostLeft, Record, RunOpened, TasksFinished
from batchwasm.following import Following, TaskOutput
from batchwasm.following.output import Began, News, Printed, Unseen, Waits
from batchwasm.journal import Answered
from batchwasm.model import Outcome
from tests.following.test_ends import JOINED, OPENED, Written
from tests.following.test_ends import written as written


@pytest.fixture
def output(written: Written) -> Iterator[TaskOutput]:
    """Of task 0, which waits."""
    with Following(written.folder) as run, closing(TaskOutput(run, "a", 0)) as output:
        list(output.look())
        yield output


def told(output: TaskOutput) -> list[object]:
    """News; of what was printed its stream and bytes."""
    return [_told(news) for news in output.look()]


def _told(news: News) -> object:
    return (news.stream, news.source.read()) if isinstance(news, Printed) else news


def place(written: Written, batch: int, *tasks: int) -> None:
    ranges = tuple((task, task + 1) for task in tasks)
    written.append(BatchPlaced(batch=batch, job=0, host="h", ranges=ranges))


def live(written: Written, number: int, out: bytes) -> None:
    folder: Path = written.folder.live_attempt("a", 0, number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "stdout").write_bytes(out)


def answer(written: Written, said: dict[str, object]) -> None:
    (asked,) = written.journal.asked(0)
    written.journal.append([], 1.0, answers=[Answered(asked.id, said)])


def record(number: int, out: bytes, *, final: bool = True) -> Record:
    return Record(0, number, Outcome.SUCCEEDED, final, 0, 0.0, 0.0, 1.0, 0.0, 0, out, b"")


def test_what_came_live_is_not_told_again_by_the_report(written: Written, output: TaskOutput) -> None:
    place(written, 1, 0)
    assert told(output) == [Began(1, "h")]
    live(written, 1, b"one")
    assert told(output) == [("stdout", b"one")]
    assert told(output) == []
    live(written, 1, b"on")  # another scheduler began anew
    assert told(output) == []
    live(written, 1, b"one two")
    assert told(output) == [("stdout", b" two")]
    written.append(TasksFinished(batch=1, job=0, host="h", records=[record(1, b"one two three")]))
    assert told(output) == [("stdout", b" three")]
    assert output.outcome == Outcome.SUCCEEDED


def test_an_attempt_behind_others_of_its_batch_waits(written: Written, output: TaskOutput) -> None:
    place(written, 1, 3, 4, 0)
    assert told(output) == [Waits("it was sent to h, behind 2 tasks of the same batch", "behind")]
    live(written, 1, b"reports of those before are late")
    assert [type(news) for news in output.look() if not isinstance(news, Printed)] == [Began]


def test_the_rest_of_an_attempt_that_was_lost_is_told_before_the_next(written: Written, output: TaskOutput) -> None:
    place(written, 1, 0)
    live(written, 1, b"one")
    assert told(output) == [Began(1, "h"), ("stdout", b"one")]
    live(written, 1, b"one, and no mo")
    written.append(HostLeft(host="h", code="gone", text=""), JOINED)
    place(written, 2, 0)
    live(written, 2, b"again")
    assert told(output) == [("stdout", b", and no mo"), Began(2, "h"), ("stdout", b"again")]


def test_attempts_that_end_between_two_looks_are_told_whole(written: Written, output: TaskOutput) -> None:
    place(written, 1, 0)
    written.append(TasksFinished(batch=1, job=0, host="h", records=[record(1, b"one", final=False)]))
    place(written, 2, 0)
    written.append(TasksFinished(batch=2, job=0, host="h", records=[record(2, b"two")]))
    assert told(output) == [Began(1, "h"), ("stdout", b"one"), Began(2, "h"), ("stdout", b"two")]


def test_who_comes_late_is_told_the_attempt_that_counts_alone(written: Written, output: TaskOutput) -> None:
    place(written, 1, 0)
    written.append(TasksFinished(batch=1, job=0, host="h", records=[record(1, b"one", final=False)]))
    place(written, 2, 0)
    with Following(written.folder) as run, closing(TaskOutput(run, "a", 0)) as late:
        assert told(late) == [Began(2, "h")]
    written.append(TasksFinished(batch=2, job=0, host="h", records=[record(2, b"two")]))
    with Following(written.folder) as run, closing(TaskOutput(run, "a", 0)) as late:
        assert told(late) == [Began(2, "h"), ("stdout", b"two")]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"host": "mac", "os": "darwin"}, "on mac (macOS) nothing is seen before the task's end"),
        ({"error": "no such request"}, "nothing is seen before the task's end: no such request"),
    ],
)
def test_what_keeps_it_from_being_seen_is_told_once(
    written: Written, output: TaskOutput, said: dict[str, object], why: str
) -> None:
    place(written, 1, 0)
    told(output)
    answer(written, said)
    assert told(output) == [Unseen(why)]
    assert told(output) == []


def test_another_scheduler_is_asked_at_once(written: Written, output: TaskOutput) -> None:
    place(written, 1, 0)
    told(output)
    answer(written, {"error": "another one has just taken the run in hand: ask again"})
    assert told(output) == []
    assert len(written.journal.asked(0)) == 1


@pytest.mark.parametrize(("layout", "asked"), [(3, []), (4, ["follow"])])
def test_a_scheduler_of_an_earlier_layout_is_asked_if_it_knows_how_and_its_journal_stays_as_it_is(
    written: Written, layout: int, asked: list[str]
) -> None:
    with closing(sqlite3.connect(written.folder.journal, isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = ? WHERE key = 'version'", (str(layout),))
        place(written, 1, 0)
        with Following(written.folder) as run, closing(TaskOutput(run, "a", 0)) as output:
            said = told(output)
        assert any(isinstance(news, Unseen) for news in said) is not bool(asked)
        assert [each.kind for each in written.journal.asked(0)] == asked
        assert db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone() == (str(layout),)


def test_on_another_machine_than_the_schedulers_nothing_is_asked(written: Written) -> None:
    elsewhere = RunOpened(incarnation=2, pid=1, machine="elsewhere", version="0")
    written.append(elsewhere, JOINED)
    place(written, 1, 0)
    with Following(written.folder) as run, closing(TaskOutput(run, "a", 0)) as output:
        (unseen, _) = told(output)
    assert unseen == Unseen(f"{written.folder.name} goes on on elsewhere: only there it is seen before the task's end")
    assert written.journal.asked(0) == []
    assert OPENED.machine != elsewhere.machine
