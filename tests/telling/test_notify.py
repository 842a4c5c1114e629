"""The command that a person gave: what it is told, and how little it can do to the run."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from batchwasm.core.events import Event, HostJoined, HostLeft, TasksFinished
from batchwasm.core.state import CRASH_LIMIT, State
from batchwasm.model import Job, Outcome, RunSpec, Source
from batchwasm.results import RunFolder
from batchwasm.rows import TaskCounts
from batchwasm.spec.sweep import Axis, Combinations
from batchwasm.telling import notify
from batchwasm.telling.notify import Command, Facts, Notifier, plain, told
from tests.telling.told import OK, begun, placed

FAILED = OK._replace(outcome=Outcome.FAILED, reason_code="exit_code", reason_text="exited with 3\x1b[31m\n!")
STOPPED = Facts(event="stopped", state="stopped", exit_code=130, tasks=TaskCounts.of([1] * 13), reason="interrupted")


def ended(line: str) -> list[str]:
    """What is said of a command when it has ended."""
    command = Command(line, dict(os.environ))
    assert command.wait(60)
    assert command.ended is not None
    return told(command.ended)


@pytest.fixture
def notifier(tmp_path: Path) -> Callable[[str], Notifier]:
    job = Job(
        name="a",
        source=Source(language="wat", paths=(tmp_path / "a.wat",)),
        sweep=Combinations(axes=(Axis(names=("n",), columns=(range(5),)),)),
        secret=("TOKEN",),
    )
    spec = RunSpec(name="run", folder=tmp_path, jobs=(job,))

    def made(line: str) -> Notifier:
        found = Notifier(line, spec, lambda: RunFolder(path=tmp_path))
        found.opened()
        return found

    return made


class Run:
    """One that goes on, watched by a notifier."""

    def __init__(self, notifier: Notifier) -> None:
        self.state, self._notifier = State(), notifier
        self.tell(*begun())

    def tell(self, *events: Event) -> None:
        """A pass of the loop."""
        for event in events:
            self.state.apply(event, 1.0)
        self._notifier.journaled(events, 1, 1.0)
        self._notifier.passed(self.state)

    def heard(self) -> list[str]:
        """What the command at the first failure said; nothing where there was none."""
        command = self._notifier.at_failure
        assert command is None or command.wait(60)
        return self._notifier.news()


def test_the_first_failure_is_told_once_with_its_facts(notifier: Callable[[str], Notifier]) -> None:
    run = Run(
        notifier(
            'echo "$BATCHWASM_EVENT,$BATCHWASM_TASK,$BATCHWASM_HOST,$BATCHWASM_OUTCOME,$BATCHWASM_REASON'
            ',$BATCHWASM_FAILED/$BATCHWASM_TOTAL,$BATCHWASM_STATE,$BATCHWASM_EXIT_CODE"'
        )
    )
    run.tell(placed(1, 0, 1, 2))
    run.tell(TasksFinished(batch=1, job=0, host="h", records=[OK]))
    assert run.heard() == []
    run.tell(TasksFinished(batch=1, job=0, host="h", records=[FAILED._replace(task=1)]))
    assert run.heard() == ["--notify: failure,a/1,h,failed,exited with 3 [31m !,1/5,running,"]
    run.tell(TasksFinished(batch=1, job=0, host="h", records=[FAILED._replace(task=2)]))
    assert run.heard() == []


def test_a_failure_that_is_tried_again_is_none_nor_is_what_was_cancelled(
    notifier: Callable[[str], Notifier],
) -> None:
    run = Run(notifier("echo told"))
    run.tell(placed(1, 0, 1))
    records = [FAILED._replace(final=False), OK._replace(task=1, outcome=Outcome.CANCELLED)]
    run.tell(TasksFinished(batch=1, job=0, host="h", records=records))
    assert run.heard() == []


def test_a_task_that_was_lost_too_often_is_a_failure(notifier: Callable[[str], Notifier]) -> None:
    run = Run(notifier('echo "$BATCHWASM_TASK $BATCHWASM_OUTCOME: $BATCHWASM_REASON"'))
    for n in range(CRASH_LIMIT):
        assert run.heard() == []
        run.tell(
            placed((1 << 40) + n, 3),
            HostLeft(host="h", code="lost", text="gone"),
            HostJoined(host="h", supervisor=str(n), cpus=1, memory_bytes=9, facts={}),
        )
    assert run.heard() == ["--notify: a/3 lost: it was lost with its host"]


def test_the_end_is_told_where_the_run_had_begun(notifier: Callable[[str], Notifier], tmp_path: Path) -> None:
    found = notifier('echo "$BATCHWASM_EVENT $BATCHWASM_EXIT_CODE $BATCHWASM_REASON $BATCHWASM_FOLDER"')
    command = found.end(STOPPED)
    assert command is not None
    assert command.wait(60)
    assert command.ended is not None
    assert told(command.ended) == [f"--notify: stopped 130 interrupted {tmp_path}"]
    found._begun = False
    assert found.end(STOPPED) is None


def test_it_is_not_given_what_jobs_keep_secret(
    notifier: Callable[[str], Notifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hidden")
    monkeypatch.setenv("MINE", "kept")
    command = notifier('echo "$MINE,$TOKEN"').end(STOPPED)
    assert command is not None
    assert command.wait(60)
    assert command.ended is not None
    assert told(command.ended) == ["--notify: kept,"]


def test_a_command_that_fails_is_a_warning() -> None:
    assert ended("echo out; echo err >&2; exit 7") == [
        "--notify: out",
        "--notify: err",
        "warning: --notify: it ended with exit code 7",
    ]
    assert ended("kill -TERM $$") == [f"warning: --notify: signal {int(signal.SIGTERM)} ended it"]
    assert ended("no-such-command-here")[-1] == "warning: --notify: it ended with exit code 127"


def test_a_command_that_hangs_is_killed_with_what_it_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(notify, "LIMIT_S", 1.0)
    os.mkfifo(tmp_path / "held")
    command = Command(f"exec 3> '{tmp_path}/held'; sleep 1000 & echo begun; wait", dict(os.environ))
    assert (tmp_path / "held").read_bytes() == b""  # until nobody of them holds it any more
    assert command.wait(60)
    assert command.ended is not None
    assert told(command.ended) == [
        "--notify: begun",
        "warning: --notify: it did not end within 1 s and was killed",
    ]


def test_what_it_leaves_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    assert ended(f"cat '{tmp_path}/go' & echo told") == ["--notify: told"]
    os.close(os.open(tmp_path / "go", os.O_WRONLY))


def test_of_a_flood_the_beginning_is_kept_and_nothing_is_held_up() -> None:
    (line,) = ended("head -c 3000000 /dev/zero | tr '\\0' x")
    assert line == f"--notify: {'x' * notify.OUTPUT_BYTES}"


def test_facts_are_text_that_no_terminal_obeys_and_no_environment_refuses() -> None:
    reason = "a\x00b\x1b[31m\u202e c\n\nd \udce9" + "x" * 10_000
    told = Facts(event="stopped", state="stopped", reason=reason).environment("run-1", "/f")
    assert told["BATCHWASM_REASON"].startswith("a b [31m c d xxx")
    assert len(told["BATCHWASM_REASON"]) == notify.FACT_CHARACTERS
    assert plain("caf\u00e9 \U0001f600") == "caf\u00e9 \U0001f600"
    assert told["BATCHWASM_TOTAL"] == told["BATCHWASM_EXIT_CODE"] == told["BATCHWASM_TASK"] == ""


def test_the_document_names_every_fact() -> None:
    text = (Path(__file__).parents[2] / "docs/notify.md").read_text()
    rows = re.findall(r"^\| (`BATCHWASM_\w+`[^|]*) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == STOPPED.environment("run-1", "/f").keys()
    assert f"It has {notify.LIMIT_S:.0f} s" in text
