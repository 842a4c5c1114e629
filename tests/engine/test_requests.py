"""Whatever another process writes into a journal, its request is carried out or refused in words."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm.core.events import (
    BatchPlaced,
    Event,
    HostDrained,
    HostJoined,
    HostPlan,
    HostRemoved,
    HostUndrained,
    JobPlan,
    RunOpened,
    RunPaused,
    RunPlanned,
    RunUnpaused,
    TasksCancelled,
    TasksRetried,
    TasksWithdrawn,
)
from batchwasm.core.state import State
from batchwasm.engine.requests import TEXT_LIMIT, Reply, Requests, reply
from batchwasm.journal import Asked, Journal

JOB = JobPlan(name="a", tasks=9)
PLANNED = RunPlanned(run="r", name="run-1", jobs=(JOB,), hosts=tuple(HostPlan(name=f"lab0{n}") for n in range(3)))
OPENED = RunOpened(incarnation=1, pid=1, machine="m", version="0")
JOINED = HostJoined(host="lab01", supervisor="s", cpus=4, memory_bytes=2**34, facts={})
PLACED = BatchPlaced(batch=1, job=0, host="lab01", ranges=((0, 2),))


def state_of(*events: Event) -> State:
    state = State()
    for event in (PLANNED, OPENED, JOINED, PLACED, *events):
        state.apply(event, 1.0)
    return state


def ask(state: State, kind: str, body: object) -> Reply:
    return reply(Asked(1, 1.0, kind, body if isinstance(body, str) else json.dumps(body)), state, 2.0)


def error(said: Reply) -> str:
    assert not said.events
    text: str = said.answer["error"]
    return text


def test_a_drained_host_is_told_with_what_runs_there() -> None:
    said = ask(state_of(), "drain", {"hosts": ["lab01", "lab02", "lab01"], "why": "exam"})
    assert said.events == [HostDrained(host="lab01", text="exam"), HostDrained(host="lab02", text="exam")]
    assert said.answer["hosts"] == [
        {"host": "lab01", "running": 2, "was": None, "busy": None},
        {"host": "lab02", "running": 0, "was": None, "busy": None},
    ]


def test_draining_again_changes_at_most_the_reason() -> None:
    state = state_of(HostDrained(host="lab01", text="exam"))
    said = ask(state, "drain", {"hosts": ["lab01"], "why": "exam"})
    assert (said.events, said.answer["hosts"][0]["was"]) == ([], "exam")
    assert ask(state, "drain", {"hosts": ["lab01"], "by": "alice"}).events == []
    assert ask(state, "drain", {"hosts": ["lab02"], "by": "alice"}).events == [
        HostDrained(host="lab02", text="by alice")
    ]
    assert ask(state, "drain", {"hosts": ["lab01"], "why": "fire"}).events == [HostDrained(host="lab01", text="fire")]
    assert ask(state, "drain", {"hosts": ["lab02"], "why": "é" * 9999}).events[0].text == "é" * TEXT_LIMIT  # type: ignore[union-attr]


def test_a_host_is_given_free_again_only_where_it_was_not() -> None:
    state = state_of(HostDrained(host="lab01", text=""))
    said = ask(state, "undrain", {"hosts": ["lab01", "lab02"]})
    assert said.events == [HostUndrained(host="lab01")]
    assert [hit["was"] for hit in said.answer["hosts"]] == ["", None]
    state.hosts["lab02"].aside_until, state.hosts["lab02"].aside_text = 3.0, "too much fails there"
    said = ask(state, "undrain", {"hosts": ["lab02"]})
    assert (said.events, said.answer["hosts"][0]["was"]) == ([HostUndrained(host="lab02")], "too much fails there")


def test_one_unknown_host_and_nothing_is_done() -> None:
    assert error(ask(state_of(), "drain", {"hosts": ["lab01", "lap01", "zzz"]})).splitlines() == [
        "lap01 is no host of run-1; did you mean lab01 or lab02?",
        "zzz is no host of run-1",
    ]
    removed = state_of(HostRemoved(host="lab01"))
    assert error(ask(removed, "undrain", {"hosts": ["lab01"]})) == "lab01 is in the inventory of run-1 no longer"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("drain", ""),
        ("drain", "["),
        ("drain", "[" * 100_000),
        ("drain", "[]"),
        ("drain", "null"),
        ("drain", {}),
        ("drain", {"hosts": []}),
        ("drain", {"hosts": "lab01"}),
        ("drain", {"hosts": {"lab01": 1}}),
        ("drain", {"hosts": [["lab01"]]}),
        ("drain", {"hosts": [None]}),
        ("drain", {"hosts": ["\ud800"]}),
        ("drain", {"hosts": ["lab01"], "why": 7}),
        ("drain", {"hosts": ["lab01"], "by": None}),
        ("undrain", {"hosts": [1]}),
        ("explode", {}),
        ("x" * 9999, {}),
        ("", {}),
    ],
)
def test_what_is_no_request_is_refused_in_words(kind: str, body: object) -> None:
    text = error(ask(state_of(), kind, body))
    assert 0 < len(text) < 400
    json.dumps(text)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal.create(tmp_path / "journal.db")) as journal:
        yield journal


def test_what_an_earlier_life_left_is_turned_away(journal: Journal) -> None:
    """Who asked was told that the run is over: it must not be carried out days later."""
    ids = [journal.ask("drain", {"hosts": ["lab01"]}, 1.0) for _ in range(250)]
    Requests(journal).turn_away(2.0)
    assert journal.asked(0) == []
    assert all("ask again" in (journal.answer(id_) or {})["error"] for id_ in ids)


@pytest.mark.parametrize("value", ["x'ff00'", "CAST(x'ff' AS TEXT)", "7", "1.5", "''"])
def test_rows_that_are_no_requests_are_refused_and_those_after_them_heard(journal: Journal, value: str) -> None:
    """As somebody may write them by hand."""
    with closing(sqlite3.connect(journal.path)) as db, db:
        db.execute(f"INSERT INTO requests (at, kind, body) VALUES ('now', {value}, {value}), (1, 'drain', {value})")
    journal.ask("drain", {"hosts": ["lab01"]}, 1.0)
    said = [reply(asked, state_of(), 2.0) for asked in journal.asked(0)]
    assert [len(each.events) for each in said] == [0, 0, 1]
    json.dumps([each.answer for each in said])


def test_a_cancelled_job_is_one_range_and_its_tasks_are_counted() -> None:
    said = ask(state_of(), "cancel", {"tasks": {"a": [[0, 4], [3, 9]]}, "by": "alice"})
    assert said.events == [TasksWithdrawn(job=0, tasks=(), ranges=((0, 9),), by="alice")]
    assert said.answer["jobs"] == [{"job": "a", "waiting": 7, "running": 2, "over": 0}]
    again = ask(state_of(*said.events), "cancel", {"tasks": {"a": [[2, 9]]}, "by": "bob"})
    assert (again.events, again.answer["jobs"][0]["over"]) == ([], 7)


def test_all_of_a_run_is_cancelled_by_name_of_who_did_it() -> None:
    (event,) = ask(state_of(), "cancel", {"all": True, "by": "alice"}).events
    assert event == TasksCancelled(code="person", text="cancelled by alice", running=True)


def test_a_paused_run_is_paused_once() -> None:
    said = ask(state_of(), "pause", {"by": "alice"})
    assert (said.events, said.answer) == ([RunPaused(text="by alice")], {"was": None, "waiting": 7, "running": 2})
    again = ask(state_of(*said.events), "pause", {"by": "bob"})
    assert (again.events, again.answer["was"]) == ([], "by alice")
    assert ask(state_of(*said.events), "unpause", {"by": "bob"}).events == [RunUnpaused()]
    assert ask(state_of(), "unpause", {"by": "bob"}).events == []


def test_what_is_had_again_is_counted_and_calls_are_not() -> None:
    cancelled = TasksWithdrawn(job=0, tasks=(), ranges=((5, 9),), by="alice")
    said = ask(state_of(cancelled), "retry", {"all": True, "by": "bob"})
    assert said.events == [TasksRetried(job=0, ranges=((0, 9),), by="bob")]
    assert said.answer["jobs"] == [{"job": "a", "again": 4, "skipped": 0, "unfinished": 0, "succeeded": 0}]
    assert ask(state_of(), "retry", {"all": True, "by": "bob"}).events == []
    state = state_of(cancelled)
    state.open = True
    assert "make them again" in error(ask(state, "retry", {"all": True, "by": "bob"}))


@pytest.mark.parametrize("kind", ["cancel", "retry"])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"by": "alice"}, "an object"),
        ({"by": "alice", "tasks": []}, "an object"),
        ({"by": "alice", "tasks": {"b": [[0, 1]]}}, "b is no job of run-1"),
        ({"by": "alice", "tasks": {"a": 5}}, "a list of"),
        ({"by": "alice", "tasks": {"a": [[0, 10]]}}, "no tasks of a, which has 9"),
        ({"by": "alice", "tasks": {"a": [[True, 2]]}}, "no tasks of a"),
        ({"by": "alice", "tasks": {"a": [[2, 2]]}}, "no tasks of a"),
        ({"by": "alice", "tasks": {"a": [[0.0, 2]]}}, "no tasks of a"),
        ({"tasks": {"a": [[0, 1]]}}, "by whom"),
        ({"by": 5, "all": True}, "by whom"),
    ],
)
def test_tasks_that_are_none_are_refused_and_nothing_is_done(kind: str, body: object, says: str) -> None:
    assert says in error(ask(state_of(), kind, body))
