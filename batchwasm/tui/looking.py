"""A thread that looks at a run again and again, and tells of it: the run is read nowhere else in the dashboard."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from typing import Any

from textual.message import Message

from batchwasm.errors import BatchwasmError
from batchwasm.tui.source import Source
from batchwasm.views.model import Overview

LOOK_S = 0.5  # twice a second: a person sees no delay
REST = 9  # times as long as a look took: it never takes more than a tenth of a core

Question = Callable[[Source], Any]
"""What the screen that is shown wants to know beside the overview; asked in the thread that looks."""


class Looked(Message):
    """The run as it is now. An older one that nobody has handled yet is dropped."""

    def __init__(self, overview: Overview, question: Question | None, answer: Any, *, is_over: bool) -> None:
        super().__init__()
        self.overview = overview
        self.question = question
        """Whose answer that is: the screen may be another by now."""
        self.answer = answer
        self.is_over = is_over

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, Looked)


class LookFailed(Message):
    """The run can't be read now; it is looked at again all the same."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, LookFailed)


class Looking:
    """`run()` is the thread's; the rest is called from elsewhere and never waits."""

    def __init__(self, opened: Callable[[], Source], tell: Callable[[Message], Any]) -> None:
        self._opened, self._tell = opened, tell
        self._wake = threading.Event()
        self._ended = False
        self._last: deque[Callable[[], Any]] = deque()
        self.question: Question | None = None

    def ask(self, question: Question | None) -> None:
        """From the next look on, which is now, tell this, too."""
        self.question = question
        self._wake.set()

    def now(self) -> None:
        """Do not wait for the next look: something was done."""
        self._wake.set()

    def at_last(self, do: Callable[[], Any]) -> None:
        """Have this done in the thread that looks: what a screen that is gone had opened there is closed there."""
        self._last.append(do)
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    def run(self) -> None:
        while not self._ended:
            try:
                with closing(self._opened()) as source:
                    self._look_on(source)
            except BatchwasmError as error:
                self._tell(LookFailed(str(error)))
            self._pause(0.0)
        self._do_last()

    def _do_last(self) -> None:
        while self._last:
            self._last.popleft()()

    def _look_on(self, source: Source) -> None:
        while not self._ended:
            began = time.monotonic()
            self._do_last()
            question = self.question
            overview = source.look()
            answer = None if question is None else question(source)
            self._tell(Looked(overview, question, answer, is_over=source.is_over))
            self._pause(time.monotonic() - began)

    def _pause(self, took_s: float) -> None:
        self._wake.wait(max(LOOK_S, REST * took_s))
        self._wake.clear()
