"""What a task prints, as it prints it: out of files that its scheduler keeps for those who ask, and out of its report.

The report of an attempt has all that it printed, and the files only ever the beginning of that: what was shown of them
is not shown again, and nothing is missed when they go.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from batchwasm.core.events import Record
from batchwasm.core.explain import Place, Running, Waiting, explain
from batchwasm.core.state import RUNNING, WAITING, State
from batchwasm.errors import BatchwasmError, RunError
from batchwasm.following.run import Following
from batchwasm.journal import Attempt, Journal
from batchwasm.model import JobName, Outcome

_FOLLOWED_SINCE = 4  # the layout of journals since when their schedulers take `follow`
ASK_S = 10.0  # a third of the time for which a scheduler believes it
NO_TAIL = "darwin"
"""Where a running process can't be looked into, by `sys.platform`."""
Stream = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class Began:
    """An attempt whose output follows."""

    number: int
    host: str


@dataclass(frozen=True, slots=True)
class Printed:
    """Open, at what was not shown before."""

    stream: Stream
    source: BinaryIO


@dataclass(frozen=True, slots=True)
class Waits:
    """It prints nothing for now; a sentence."""

    why: str
    code: str
    """The same for sentences that differ in numbers only."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """What it prints is not to be had before its end; a sentence."""

    why: str


News = Began | Printed | Waits | Unseen


@dataclass(slots=True)
class _Shown:
    """Of the attempt that is shown."""

    number: int
    shown: dict[Stream, int] = field(default_factory=lambda: {"stdout": 0, "stderr": 0})


class TaskOutput:
    """Of one task of a run that is followed."""

    def __init__(self, run: Following, job: JobName, index: int) -> None:
        self._run, self._job, self._index = run, job, index
        self._n: int | None = None
        self._current: _Shown | None = None
        self._ended: set[int] | None = None
        """Numbers of attempts that ended and were shown, or had ended before we came."""
        self._asking = _Asking(run, {"job": job, "task": index})
        self.outcome: Outcome | None = None
        """Of the task, once it has ended and all of it was told."""
        self.has_shown = False

    def close(self) -> None:
        self._asking.close()

    def look(self) -> Iterator[News]:
        """What is new."""
        state = self._run.look().state
        n = self._number(state)
        code = state.jobs[n].codes[self._index]
        yield from self._of_ended(list(self._run.journal.attempts(job=n, task=self._index)), code)
        if code not in (WAITING, RUNNING):
            self.outcome = Outcome(code)
            return
        found = explain(state, n, self._index, time.time())
        if isinstance(found, Waiting):
            yield from self._rest_of_lost()
            reason = next(iter(found.reasons), None)
            if reason is not None:
                yield Waits(reason.text, reason.code)
        elif isinstance(found, Running):
            yield from self._of_running(self._place(found.places), state)

    def _number(self, state: State) -> int:
        if self._n is None:
            self._n = next((n for n, job in enumerate(state.jobs) if job.plan.name == self._job), None)
        if self._n is None or self._index >= state.jobs[self._n].plan.tasks:
            raise RunError(f"there is no task {self._job}/{self._index} in this run")
        return self._n

    # ------------------------------------------------------------------------------------- attempts that ended

    def _of_ended(self, attempts: list[Attempt], code: int) -> Iterator[News]:
        """The rest of each that ended since the last look; at the first look of the one that counts alone."""
        if self._ended is None:
            over = code not in (WAITING, RUNNING)
            last = attempts[-1].record.number if over and attempts and attempts[-1].record.final else None
            self._ended = {attempt.record.number for attempt in attempts} - {last}
        for attempt in attempts:
            number = attempt.record.number
            if number in self._ended:
                continue
            self._ended.add(number)
            yield from self._begin(number, attempt.host)
            yield from self._rest_of(attempt.record)
            self._current = None

    def _rest_of(self, record: Record) -> Iterator[News]:
        yield from self._since("stdout", self._opened("stdout", record.stdout))
        yield from self._since("stderr", self._opened("stderr", record.stderr))

    def _opened(self, stream: Stream, inline: bytes | None) -> BinaryIO:
        """Raises RunError where its file is gone from the run folder."""
        if inline is not None:
            return io.BytesIO(inline)
        path = getattr(self._run.folder, stream)(self._job, self._index)
        try:
            return open(path, "rb")
        except OSError as error:
            raise RunError(f"{path} can't be read: {error.strerror}; was it removed from the run folder?") from error

    # ---------------------------------------------------------------------------------------- the one that runs

    def _place(self, places: tuple[Place, ...]) -> Place:
        """Of two attempts at once the one that is shown already, else the first."""
        current = self._current
        return next((place for place in places if current and place.number == current.number), places[0])

    def _of_running(self, place: Place, state: State) -> Iterator[News]:
        assert self._ended is not None
        if place.number in self._ended:
            return  # its report came between two looks
        if self._current is None or self._current.number != place.number:
            yield from self._rest_of_lost()
            self._asking.again()
        said = self._asking.look(state)
        if said is not None:
            yield said
        live = self._live(place.number)
        if any(live.values()) or (place.before == 0 and self._current is None):
            yield from self._begin(place.number, place.host)
            yield from self._of_live(live)
        elif place.before:
            behind = "1 task" if place.before == 1 else f"{place.before:,} tasks"
            yield Waits(f"it was sent to {place.host}, behind {behind} of the same batch", "behind")

    def _begin(self, number: int, host: str) -> Iterator[News]:
        if self._current is None or self._current.number != number:
            self._current = _Shown(number)
            yield Began(number, host)

    def _rest_of_lost(self) -> Iterator[News]:
        """What is left of an attempt that is over and left no report."""
        if self._current is not None:
            yield from self._of_live(self._live(self._current.number))
            self._current = None

    def _live(self, number: int) -> dict[Stream, Path]:
        """Files that are there."""
        folder = self._run.folder.live_attempt(self._job, self._index, number)
        names: tuple[Stream, ...] = ("stdout", "stderr")
        return {name: folder / name for name in names if (folder / name).is_file()}

    def _of_live(self, live: Mapping[Stream, Path]) -> Iterator[News]:
        for stream, path in live.items():
            try:
                source = open(path, "rb")  # noqa: SIM115 - closed by who shows it
            except FileNotFoundError:
                continue  # it has just ended
            yield from self._since(stream, source)

    def _since(self, stream: Stream, source: BinaryIO) -> Iterator[News]:
        """What was not shown of it; it is closed then."""
        assert self._current is not None
        with source:
            size = source.seek(0, io.SEEK_END)
            shown = self._current.shown[stream]
            if size > shown:
                source.seek(shown)
                self.has_shown = True
                yield Printed(stream, source)
                self._current.shown[stream] = source.tell()


class _Asking:
    """Tells the run's scheduler again and again that a task is followed."""

    def __init__(self, run: Following, body: Mapping[str, Any]) -> None:
        self._run, self._body = run, body
        self._journal: Journal | None = None
        self._asked: int | None = None
        self._ask_at = 0.0
        self._told: set[str] = set()

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def again(self) -> None:
        """At once: it runs elsewhere now."""
        self._ask_at = 0.0

    def look(self, state: State) -> Unseen | None:
        """Ask when it is time; what keeps the output from being seen, once."""
        now = time.monotonic()
        why = self._answered()
        if why is None and now >= self._ask_at:
            self._ask_at = now + ASK_S
            why = self._ask(state)
        if why is None or why in self._told:
            return None
        self._told.add(why)
        return Unseen(why)

    def _ask(self, state: State) -> str | None:
        opened = state.opened
        if opened is not None and opened.machine != socket.gethostname():
            return f"{self._run.folder.name} goes on on {opened.machine}: only there it is seen before the task's end"
        if self._run.journal.version < _FOLLOWED_SINCE:
            return "its scheduler is an earlier batchwasm: nothing is seen before the task's end"
        try:
            if self._journal is None:
                self._journal = Journal.visit(self._run.folder.journal)
            self._asked = self._journal.ask("follow", self._body, time.time())
        except BatchwasmError as error:
            return f"nothing is seen before the task's end: {error}"
        return None

    def _answered(self) -> str | None:
        if self._journal is None or self._asked is None:
            return None
        answer = self._journal.answer(self._asked)
        if answer is None:
            return None
        self._asked = None
        if "error" in answer:
            if "ask again" in answer["error"]:  # another scheduler has just taken over
                self._ask_at = 0.0
                return None
            return f"nothing is seen before the task's end: {answer['error']}"
        if answer.get("os") == NO_TAIL:
            return f"on {answer['host']} (macOS) nothing is seen before the task's end"
        return None
