"""What is told of a run while it goes on to those who do not sit in front of it: metrics that a server scrapes, events
as lines of JSON, a command at the first failure and at the end. None of them can hold a run up, or end it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from batchwasm.core.state import State
from batchwasm.engine.plan import Watcher, Watchers
from batchwasm.errors import EXIT_INTERRUPTED, EXIT_WORLD, BatchwasmError
from batchwasm.model import RunSpec
from batchwasm.results import RunFolder
from batchwasm.rows import Status
from batchwasm.telling import notify
from batchwasm.telling.endpoint import Address, Endpoint
from batchwasm.telling.endpoint import address as address
from batchwasm.telling.eventwriter import STDOUT, EventWriter
from batchwasm.telling.metrics import Metrics
from batchwasm.telling.notify import Facts, Notifier


class Wanted(NamedTuple):
    """What a person asked for."""

    metrics: Address | None = None
    events: str | None = None
    """A path, or `-`."""
    notify: str | None = None
    """A command for the shell."""


class Telling:
    """Of one run, from before it starts to its end. Raises SpecError or WorldError where it can't be done.

    `say` is told what a person should know before and after the run, on a line of its own each.
    """

    def __init__(self, wanted: Wanted, say: Callable[[str], None]) -> None:
        self._wanted, self._say = wanted, say
        self._folder: RunFolder | None = None
        self._notifier: Notifier | None = None
        self._metrics = Metrics()
        self._endpoint = Endpoint(wanted.metrics, self._metrics.figures) if wanted.metrics is not None else None
        self._writer = EventWriter(wanted.events) if wanted.events is not None else None
        if self._endpoint is not None:
            say(f"metrics at {self._endpoint.url}")

    def started(self, folder: RunFolder) -> None:
        """The run has a folder, before anything happens in it."""
        self._folder = folder
        self._metrics.run = folder.name
        if self._writer is not None:
            self._writer.run = folder.name

    def watcher(self, then: Watcher, spec: RunSpec, note: Callable[[str], None]) -> Watcher:
        """`then`, and beside it all that is told; `note` hears of what goes wrong meanwhile."""
        watchers: list[Watcher] = []
        if self._endpoint is not None:
            watchers.append(self._metrics)
        if self._writer is not None:
            self._writer.jobs = [job.name for job in spec.jobs]
            watchers.append(self._writer)
        if self._wanted.notify is not None:
            self._notifier = Notifier(self._wanted.notify, spec, self._run_folder)
            watchers.append(self._notifier)
        return Watchers(then, *watchers, _News(self, note))

    @property
    def url(self) -> str | None:
        """Where metrics are served."""
        return None if self._endpoint is None else self._endpoint.url

    @property
    def prints(self) -> bool:
        """Whether stdout is taken by it."""
        return self._wanted.events == STDOUT

    def news(self) -> list[str]:
        """What a person should know since this was asked last."""
        found = self._writer.warnings() if self._writer is not None else []
        return found + (self._notifier.news() if self._notifier is not None else [])

    def ended(self, status: Status, exit_code: int) -> None:
        """The run is over, or was interrupted: tell so, and wait for those who are told, each for its time."""
        self._end(
            Facts(
                event="finished" if status.state == "finished" else "stopped",
                state=status.state,
                tasks=status.tasks,
                exit_code=exit_code,
                reason=status.reason or "",
                wall_s=status.wall_s,
            )
        )

    def failed(self, error: BaseException, look: Callable[[RunFolder], Status]) -> None:
        """The same of a run that could not go on; `look` finds how far it came."""
        status = None
        with suppress(BatchwasmError):
            status = look(self._folder) if self._folder is not None and self._folder.path.exists() else None
        self._end(
            Facts(
                event="stopped",
                state="stopped",
                tasks=None if status is None else status.tasks,
                exit_code=_exit_code(error),
                reason=str(error),
                wall_s=None if status is None else status.wall_s,
            )
        )

    def _end(self, facts: Facts) -> None:
        if self._writer is not None:
            with suppress(
                KeyboardInterrupt
            ):  # a person does not want to wait for its reader; the run is over all the same
                self._writer.close()
        if self._notifier is not None:
            self._notify(self._notifier, facts)
        self._tell_news()

    def close(self) -> None:
        """Whatever became of the run."""
        if self._endpoint is not None:
            self._endpoint.close()
        if self._writer is not None:
            self._writer.close()

    def _run_folder(self) -> RunFolder:
        assert self._folder is not None
        return self._folder

    def _notify(self, notifier: Notifier, facts: Facts) -> None:
        if notifier.at_failure is not None:
            self._wait_for(notifier.at_failure)  # so that its message comes first
            self._tell_news()
        command = notifier.end(facts)
        if command is not None:
            self._wait_for(command)
            for line in notify.told(command.ended or notify.Ended()):
                self._say(line)

    def _wait_for(self, command: notify.Command) -> None:
        try:
            if not command.wait(notify.SLOW_S):
                self._say(f"waiting for the --notify command, {notify.LIMIT_S:.0f} s at most; Ctrl-C ends the wait")
                command.wait()
        except KeyboardInterrupt:  # the run is over anyway, and that is what its exit code says
            command.kill()
            command.wait()

    def _tell_news(self) -> None:
        for line in self.news():
            self._say(line)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return error.exit_code if isinstance(error, BatchwasmError) else EXIT_WORLD


class _News(Watcher):
    """Brings what threads have to say into the loop, where a display takes it."""

    def __init__(self, telling: Telling, note: Callable[[str], None]) -> None:
        self._telling, self._note = telling, note

    def passed(self, state: State) -> None:
        for line in self._telling.news():
            self._note(line)
