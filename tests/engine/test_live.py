"""What tasks print while they run: asked for where it is followed, taken where it was asked for, and kept no longer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchwasm.core.events import (
    BatchPlaced,
    HostJoined,
    HostPlan,
    JobPlan,
    Record,
    RunOpened,
    RunPlanned,
    TasksFinished,
    TasksReturned,
)
from batchwasm.core.state import State
from batchwasm.engine import live as lives
from batchwasm.engine.live import KEPT_S, LEASE_S, Live
from batchwasm.engine.requests import reply
from batchwasm.engine.secrets import Secrets
from batchwasm.journal import Asked
from batchwasm.model import Job, Limits, Outcome, Source
from batchwasm.results import RunFolder
from batchwasm.runner.protocol import Output, Tail
from batchwasm.spec.sweep import Axis, Combinations

FACTS = {"lab01": {"os": "linux"}, "lab02": {"os": "darwin"}}
LIMIT = 100


class Followed:
    """A run of which the test says what happens, and what its hosts were asked."""

    def __init__(self, path: Path, secrets: dict[str, Secrets]) -> None:
        self.folder = RunFolder(path=path)
        self.state = State()
        self.asked: list[tuple[str, Tail]] = []
        job = Job(
            name="j",
            source=Source(language="wat", paths=(Path("/j.wat"),)),
            sweep=Combinations(axes=(Axis(names=("n",), columns=(range(9),)),)),
            limits=Limits(stdout_bytes=LIMIT),
        )
        hosts = tuple(HostPlan(name=name) for name in FACTS)
        self.apply(
            RunPlanned(run="r", name="run-1", jobs=(JobPlan(name="j", tasks=9),), hosts=hosts),
            RunOpened(incarnation=1, pid=1, machine="m", version="0"),
            *(HostJoined(host=name, supervisor=name, cpus=4, memory_bytes=2**34, facts={}) for name in FACTS),
        )
        self.live = Live(self.state, self.folder, [job], lambda host, order: self.asked.append((host, order)), secrets)

    def apply(self, *events: object) -> None:
        for event in events:
            self.state.apply(event, 1.0)  # type: ignore[arg-type]

    def follow(self, task: int = 0, *, now: float = 10.0) -> dict[str, object]:
        asked = Asked(1, 1.0, "follow", json.dumps({"job": "j", "task": task}))
        return dict(self.live.heard("follow", reply(asked, self.state, now), FACTS, now).answer)

    def place(self, batch: int = 1, host: str = "lab01", tasks: tuple[int, int] = (0, 1)) -> None:
        self.apply(BatchPlaced(batch=batch, job=0, host=host, ranges=(tasks,)))

    def file(self, name: str = "stdout", *, task: int = 0, number: int = 1) -> bytes | None:
        path = self.folder.live_attempt("j", task, number) / name
        return path.read_bytes() if path.exists() else None

    def say(
        self, out: bytes, err: bytes = b"", *, at: tuple[int, int] = (0, 0), host: str = "lab01", batch: int = 1
    ) -> None:
        self.live.take(host, Output(batch, 0, *at, len(out), out + err))


@pytest.fixture
def run(tmp_path: Path) -> Followed:
    return Followed(tmp_path, {})


def test_what_nobody_follows_is_not_asked_for_and_not_taken(run: Followed) -> None:
    run.place()
    run.live.ask(10.0)
    run.say(b"unasked")
    assert (run.asked, run.folder.live.exists()) == ([], False)


def test_a_task_that_is_followed_is_asked_for_again_and_again_from_where_it_is_known(run: Followed) -> None:
    assert run.follow() == {"job": 0, "task": 0, "host": None, "os": None}
    run.live.ask(10.1)
    assert run.asked == []
    run.place()
    assert run.follow() == {"job": 0, "task": 0, "host": "lab01", "os": "linux"}
    run.live.ask(10.4)
    run.live.ask(10.7)
    assert run.asked == [("lab01", Tail(1, 0, 0, 0))] * 2
    run.say(b"one\n", b"e")
    run.say(b"one\n", b"e")  # the answer to the second question
    assert (run.file("stdout"), run.file("stderr")) == (b"one\n", b"e")
    run.live.ask(11.0)
    assert run.asked[-1] == ("lab01", Tail(1, 0, 4, 1))
    run.say(b"two\n", at=(4, 1))
    assert run.file() == b"one\ntwo\n"


def test_answers_from_elsewhere_or_about_something_else_are_dropped(run: Followed) -> None:
    run.place()
    run.follow()
    run.live.ask(10.0)
    run.say(b"x", host="lab02")
    run.say(b"x", batch=7)
    run.say(b"x", at=(5, 0))
    run.say(b"x", at=(-1, 0))
    run.live.take("lab01", Output(1, 8, 0, 0, 1, b"x"))
    assert run.file() is None
    assert len(run.asked) == 1


def test_what_is_beyond_the_limit_is_cut_off(run: Followed) -> None:
    run.place()
    run.follow()
    run.live.ask(10.0)
    run.say(b"x" * 70)
    run.say(b"y" * 70, at=(70, 0))
    run.say(b"z" * 70, at=(100, 0))
    assert run.file() == b"x" * 70 + b"y" * 30
    run.say(b"", b"e" * 2 * lives.PART_BYTES, at=(100, 0))
    assert len(run.file("stderr") or b"") == LIMIT
    asked = len(run.asked)
    run.say(b"", b"e" * 2 * lives.PART_BYTES, at=(100, 100))  # a host that says more and more is asked no sooner
    assert len(run.asked) == asked


def test_a_large_answer_is_asked_for_more_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "PART_BYTES", 50)
    run = Followed(tmp_path, {})
    run.place()
    run.follow()
    run.live.ask(10.0)
    run.say(b"x" * 50)
    assert run.asked[1:] == [("lab01", Tail(1, 0, 50, 0))]


def test_no_secret_is_written_and_none_in_halves(tmp_path: Path) -> None:
    run = Followed(tmp_path, {"j": Secrets({"TOKEN": "hunter22"})})
    run.place()
    run.follow()
    run.live.ask(10.0)
    run.say(b"token hun")
    shown = run.file() or b""
    assert b"token hun".startswith(shown)
    assert b"hu" not in shown
    run.say(b"ter22 is it, they say\n", at=(9, 0))
    shown = run.file() or b""
    assert b"token *** is it, they say\n".startswith(shown)
    assert shown.startswith(b"token *** is")


def test_what_nobody_asked_for_any_more_goes(run: Followed) -> None:
    run.place()
    run.follow(now=10.0)
    run.live.ask(10.0)
    run.say(b"x")
    run.follow(now=20.0)
    run.live.ask(20.0 + LEASE_S - 1)
    assert run.file() == b"x"
    run.live.ask(20.0 + LEASE_S)
    assert not run.folder.live.exists()
    asked = len(run.asked)
    run.live.ask(60.0)
    assert len(run.asked) == asked


def test_what_an_attempt_printed_stays_for_a_moment_after_it_and_the_next_begins_anew(run: Followed) -> None:
    run.place()
    run.follow()
    run.live.ask(10.0)
    run.say(b"first")
    failed = Record(0, 1, Outcome.FAILED, False, 1, 0.0, 0.0, 0.0, 0.0, 0, b"first", b"")
    run.apply(TasksFinished(batch=1, job=0, host="lab01", records=[failed]))
    run.live.ask(10.3)
    run.place(2, "lab02")
    run.live.ask(10.6)
    assert run.asked[-1] == ("lab02", Tail(2, 0, 0, 0))
    run.say(b"second", host="lab02", batch=2)
    assert (run.file(), run.file(number=2)) == (b"first", b"second")
    run.live.ask(10.3 + KEPT_S)
    assert (run.file(), run.file(number=2)) == (None, b"second")


def test_a_task_that_was_taken_back_is_one_that_waits(run: Followed) -> None:
    run.place(tasks=(0, 3))
    run.follow(2)
    run.live.ask(10.0)
    run.apply(TasksReturned(batch=1, ranges=((2, 3),)))
    run.live.ask(10.3)
    assert len(run.asked) == 1
    assert run.follow(2)["host"] is None


def test_of_two_attempts_at_once_the_one_that_is_shown_stays_so(run: Followed) -> None:
    run.place()
    run.follow()
    run.live.ask(10.0)
    run.apply(BatchPlaced(batch=2, job=0, host="lab02", ranges=((0, 1),), double=True))
    run.live.ask(10.3)
    assert {host for host, _ in run.asked} == {"lab01"}


def test_what_an_earlier_life_left_is_removed_before_anything_is_kept(run: Followed) -> None:
    old = run.folder.live_attempt("j", 0, 1)
    old.mkdir(parents=True)
    (old / "stdout").write_bytes(b"longer than the new one")
    run.place()
    run.follow()
    run.live.ask(10.0)
    run.say(b"new")
    assert run.file() == b"new"
    run.live.forget()
    assert not run.folder.live.exists()


def test_a_disk_that_takes_nothing_more_ends_it_without_harm(run: Followed) -> None:
    run.place()
    run.follow()
    run.folder.live.write_text("no folder")
    run.live.ask(10.0)
    run.say(b"x")
    assert run.folder.live.read_text() == "no folder"


def test_only_so_many_are_followed_at_once(run: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lives, "MOST", 2)
    assert [sorted(run.follow(task)) for task in (0, 1, 1)] == [["host", "job", "os", "task"]] * 3
    assert run.follow(2) == {"error": "2 tasks of this run are followed already"}


@pytest.mark.parametrize(
    "body",
    [{}, {"job": "j"}, {"job": "k", "task": 0}, {"job": "j", "task": 9}, {"job": "j", "task": True}, {"task": []}],
)
def test_what_is_no_task_is_not_followed(run: Followed, body: object) -> None:
    said = reply(Asked(1, 1.0, "follow", json.dumps(body)), run.state, 2.0)
    assert "there is no task" in run.live.heard("follow", said, FACTS, 2.0).answer["error"]
