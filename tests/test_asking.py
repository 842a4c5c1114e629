"""Asking a run that goes on from another process: an answer, or words on why there is none."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from batchwasm import api, asking
from batchwasm.asking import ask
from batchwasm.core.events import Event, HostDrained, HostPlan, RunFinished, RunOpened, RunPlanned, RunStopped
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Answered, Asked, Journal
from batchwasm.results import RunFolder

HIT = {"host": "lab01", "running": 2, "was": None, "busy": None}


def begun(folder: RunFolder, *events: Event, machine: str = "") -> RunFolder:
    """A run that was opened, and then these."""
    folder.jobs.write_text("")
    opened = RunOpened(incarnation=1, pid=1, machine=machine or socket.gethostname(), version="0")
    planned = RunPlanned(run="r", name=folder.name, jobs=(), hosts=(HostPlan(name="lab01"),))
    with closing(Journal.create(folder.journal)) as journal:
        journal.append([planned, opened, *events], time.time())
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    (tmp_path / "run-1").mkdir()
    return RunFolder(path=tmp_path / "run-1")


@contextmanager
def scheduler(folder: RunFolder, hear: Callable[[Journal, Asked], None]) -> Iterator[None]:
    """What holds the run and hears requests."""
    over = threading.Event()

    def serve() -> None:
        with closing(Journal.open(folder.journal, read_only=False)) as journal:
            while not over.wait(0.01):
                for asked in journal.asked(0):
                    hear(journal, asked)

    thread = threading.Thread(target=serve)
    with folder.held():
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def test_what_the_scheduler_answers_is_told(folder: RunFolder) -> None:
    def hear(journal: Journal, asked: Asked) -> None:
        journal.append([HostDrained(host="lab01")], 1.0, answers=[Answered(asked.id, {"hosts": [HIT]})])

    with scheduler(begun(folder), hear):
        (hit,) = api.drain(folder, ["lab01"], "exam")
    assert hit.as_dict() == {
        "schema": "host-drain/1",
        "run": "run-1",
        "folder": str(folder.path),
        "drained": True,
        **HIT,
    }


def test_what_it_refuses_is_an_error(folder: RunFolder) -> None:
    def hear(journal: Journal, asked: Asked) -> None:
        journal.append([], 1.0, answers=[Answered(asked.id, {"error": "no such host"})])

    with scheduler(begun(folder), hear), pytest.raises(RunError, match="no such host"):
        api.undrain(folder, ["lab01"])


@pytest.mark.parametrize("end", [RunFinished(), RunStopped(code="interrupted", text="")])
def test_a_run_that_ends_meanwhile_is_said_to_have_done_nothing(folder: RunFolder, end: Event) -> None:
    def hear(journal: Journal, asked: Asked) -> None:
        if journal.last() == "RunOpened":
            journal.append([end], 1.0)

    with scheduler(begun(folder), hear), pytest.raises(WorldError, match="ended before its scheduler saw the request"):
        ask(folder, "drain", {})


def test_the_last_word_of_a_run_may_be_the_answer(folder: RunFolder) -> None:
    def hear(journal: Journal, asked: Asked) -> None:
        journal.append([RunFinished()], 1.0, answers=[Answered(asked.id, {"hosts": []})])

    with scheduler(begun(folder), hear):
        assert ask(folder, "drain", {}) == {"hosts": []}


def test_a_scheduler_that_dies_meanwhile_is_noticed(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "LIFE_S", 0.0)
    begun(folder)
    program = f"import fcntl, os, sys; fd = os.open({str(folder.jobs)!r}, os.O_RDWR); fcntl.flock(fd, fcntl.LOCK_EX); "
    holder = subprocess.Popen(
        [sys.executable, "-c", program + "print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    holder.stdout.readline()

    def die() -> None:
        with closing(Journal.open(folder.journal, read_only=True)) as journal:
            while not journal.asked(0):
                time.sleep(0.01)
        holder.kill()

    dying = threading.Thread(target=die)
    dying.start()
    with pytest.raises(WorldError, match="ended before"):
        ask(folder, "drain", {})
    dying.join()
    holder.communicate()


def test_one_that_does_not_answer_is_given_up_and_the_request_stays(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWER_S", 0.1)
    with begun(folder).held(), pytest.raises(WorldError, match=r"is it stopped \(Ctrl-Z\)\?"):
        ask(folder, "drain", {"hosts": ["lab01"]})
    with closing(Journal.open(folder.journal, read_only=True)) as journal:
        assert [asked.kind for asked in journal.asked(0)] == ["drain"]


def test_runs_that_are_over_or_elsewhere_or_of_an_earlier_version_are_not_written_to(
    folder: RunFolder, tmp_path: Path
) -> None:
    begun(folder)
    with pytest.raises(
        WorldError,
        match="nobody looks after it; what waits starts only with 'batchwasm resume run-1'",
    ):
        ask(folder, "drain", {})
    (tmp_path / "run-2").mkdir()
    elsewhere = begun(RunFolder(path=tmp_path / "run-2"), machine="lab07.example")
    with pytest.raises(WorldError, match=r"goes on on lab07\.example: give the command there"):
        ask(elsewhere, "drain", {})
    with closing(Journal.open(elsewhere.journal, read_only=True)) as journal:
        assert journal.asked(0) == []


def test_only_runs_that_go_on_are_found(folder: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHWASM_RUNS", str(tmp_path))
    (tmp_path / "run-2").mkdir()
    other = begun(RunFolder(path=tmp_path / "run-2"))
    with begun(folder).held():
        assert [found.name for found, _ in api.going_on(tmp_path)] == ["run-1"]
        with other.held():
            assert sorted(found.name for found, _ in api.going_on(tmp_path)) == ["run-1", "run-2"]
    assert api.going_on(tmp_path) == []
