"""A command of the user's that is run when something happened which a person wants to know: the first failure, the end.

It gets the facts in its environment, where nothing in them can be taken for shell code. What it prints, and how it
ends, changes nothing about the run; it has a time limit, so that it can't hold the run's end up for ever.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from batchwasm.core.events import Event, Record, TasksFinished
from batchwasm.core.jobstate import runs_of
from batchwasm.core.state import State
from batchwasm.engine.plan import Watcher
from batchwasm.model import Outcome, RunSpec
from batchwasm.results import RunFolder
from batchwasm.rows import TaskCounts

LIMIT_S = 30.0  # a message that is not sent by then is not sent at all
SLOW_S = 2.0  # then who waits for the run's end is told what it still waits for
OUTPUT_BYTES = 16 * 1024  # of what it prints, the beginning
FACT_CHARACTERS = 2_000  # a compiler's words can be long, and an environment's variable is at most 128 KiB
_FINE = frozenset({int(Outcome.SUCCEEDED), int(Outcome.CANCELLED), int(Outcome.SKIPPED)})
What = Literal["failure", "finished", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What is told; '' where it does not apply."""

    event: What
    state: str
    """running, finished or stopped."""
    tasks: TaskCounts | None = None
    exit_code: int | None = None
    task: str = ""
    host: str = ""
    outcome: str = ""
    reason: str = ""
    wall_s: float | None = None

    def environment(self, run: str, folder: str) -> dict[str, str]:
        """As variables: text without control characters, numbers in digits."""
        told = {
            "EVENT": self.event,
            "RUN": run,
            "FOLDER": folder,
            "STATE": self.state,
            "EXIT_CODE": "" if self.exit_code is None else str(self.exit_code),
            "WALL_S": "" if self.wall_s is None else f"{self.wall_s:.3f}",
            "TASK": self.task,
            "HOST": plain(self.host),
            "OUTCOME": self.outcome,
            "REASON": plain(self.reason),
        }
        for name in ("total", "waiting", "running", "succeeded", "failed", "cancelled", "skipped"):
            told[name.upper()] = "" if self.tasks is None else str(getattr(self.tasks, name))
        return {f"BATCHWASM_{name}": text for name, text in told.items()}


def plain(text: str) -> str:
    """On one line, without what a terminal would obey or a message could not hold."""
    seen = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(seen.split())[:FACT_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Ended:
    """How the command ended."""

    output: str = ""
    warning: str = ""


@dataclass
class Command:
    """The command at work, on a thread of its own."""

    line: str
    environment: Mapping[str, str]
    ended: Ended | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def kill(self) -> None:
        """And what it has started, as far as that is still of its group."""
        if self._process is not None and self._process.poll() is None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _run(self) -> None:
        try:
            self.ended = self._carry_out()
        except OSError as error:
            self.ended = Ended(warning=f"it can't be started: {error.strerror}")

    def _carry_out(self) -> Ended:
        printed = bytearray()
        process = self._process = subprocess.Popen(
            ["/bin/sh", "-c", self.line],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.environment,
            process_group=0,  # a Ctrl-C that stops the run is what it is to tell of, and not its end
        )
        reader = threading.Thread(target=_read, args=(process, printed), daemon=True)
        reader.start()
        warning = ""
        try:
            code = process.wait(LIMIT_S)
            if code:
                warning = f"it ended with exit code {code}" if code > 0 else f"signal {-code} ended it"
        except subprocess.TimeoutExpired:
            self.kill()
            process.wait()
            warning = f"it did not end within {LIMIT_S:.0f} s and was killed"
        reader.join(0.5)  # what it left in the background may keep the pipe, and say what it likes there
        return Ended(bytes(printed).decode("utf-8", "replace").rstrip("\n"), warning)


def _read(process: subprocess.Popen[bytes], printed: bytearray) -> None:
    assert process.stdout is not None
    with process.stdout as stream:
        while chunk := os.read(stream.fileno(), 65536):
            printed += chunk[: OUTPUT_BYTES - len(printed)]  # the rest is read as well: a full pipe would hold it up


class Notifier(Watcher):
    """Runs the command at most twice: at the first failure, and when the run is over."""

    def __init__(self, line: str, spec: RunSpec, folder: Callable[[], RunFolder]) -> None:
        """`folder` is asked when the run goes on."""
        self._line, self._folder = line, folder
        self._jobs = [(job.name, len(job)) for job in spec.jobs]
        self._secret = {name for job in spec.jobs for name in job.secret}
        self._begun = False
        self._failure: tuple[str, str, Record | None] | None = None
        """The first one: task, host and record."""
        self._lost: int | None = None
        """Tasks that had been lost when we first looked."""
        self._at_failure: Command | None = None

    def opened(self) -> None:
        self._begun = True

    def journaled(self, events: Sequence[Event], seq: int, at: float) -> None:
        if self._failure is None:
            for event in events:
                if isinstance(event, TasksFinished):
                    self._look(event)

    def passed(self, state: State) -> None:
        lost = state.counts[Outcome.LOST]
        if self._lost is None:
            self._lost = lost
        if self._failure is None and lost > self._lost:  # with its host, so no record says so
            self._failure = (self._first_lost(state), "", None)
        if self._failure is not None and self._at_failure is None:
            self._at_failure = self._start(self._failed(self._failure, TaskCounts.of(state.counts)))

    def news(self) -> list[str]:
        """What the first command said, once it has ended; each line once."""
        command = self._at_failure
        if command is None or command.ended is None:
            return []
        ended, command.ended = command.ended, Ended()
        return told(ended)

    def end(self, facts: Facts) -> Command | None:
        """The command that tells of the end, at work; None where the run never began."""
        if not self._begun:
            return None
        return self._start(facts)

    @property
    def at_failure(self) -> Command | None:
        """The command that tells of the first failure, at work or ended."""
        return self._at_failure

    def _look(self, event: TasksFinished) -> None:
        for record in event.records:
            if record.final and record.outcome not in _FINE:
                self._failure = self._failure or (self._name(event.job, record.task), event.host, record)

    def _name(self, job: int, task: int) -> str:
        name, tasks = self._jobs[job]
        return name if tasks == 1 else f"{name}/{task}"

    def _first_lost(self, state: State) -> str:
        for n, job in enumerate(state.jobs):
            for start, _ in runs_of(job.codes, {int(Outcome.LOST)}, 0, len(job.codes)):
                return self._name(n, start)
        return ""

    def _failed(self, failure: tuple[str, str, Record | None], counts: TaskCounts) -> Facts:
        task, host, record = failure
        return Facts(
            event="failure",
            state="running",
            tasks=counts,
            task=task,
            host=host,
            outcome=Outcome.LOST.word if record is None else Outcome(record.outcome).word,
            reason="it was lost with its host" if record is None else record.reason_text or "",
        )

    def _start(self, facts: Facts) -> Command:
        environment = {name: text for name, text in os.environ.items() if name not in self._secret}
        run = self._folder()
        path = str(run.path) if run.path.is_dir() else ""  # of a run that ends with 2 it is gone
        return Command(self._line, environment | facts.environment(run.name, path))


def told(ended: Ended) -> list[str]:
    """In words: what it printed, and what went wrong with it."""
    lines = [f"--notify: {line}" for line in ended.output.splitlines()]
    return [*lines, f"warning: --notify: {ended.warning}"] if ended.warning else lines
