"""A run in this terminal, from its start or its resumption to its end: its display, its last words, its exit code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batchwasm import api
from batchwasm.api import Ran
from batchwasm.cli import progress
from batchwasm.cli.detach import Background, Log
from batchwasm.cli.progress import Progress
from batchwasm.cli.render import print_json
from batchwasm.cli.watch import RunWatcher, Silent
from batchwasm.engine.plan import Watcher
from batchwasm.errors import EXIT_WORLD, BatchwasmError, RunHeld, WorldError
from batchwasm.escape import say
from batchwasm.model import RunSpec
from batchwasm.results import RunFolder, reference
from batchwasm.units import count_text, duration_text, taken_text

if TYPE_CHECKING:
    from batchwasm.telling import Telling, Wanted


class Going:
    """What is shown of a run while it goes on and when it is over."""

    def __init__(self, progress: Progress, *, as_json: bool, quiet: bool, telling: Telling | None = None) -> None:
        self._progress, self._telling = progress, telling
        self._as_json, self._quiet = as_json, quiet
        self._folders: list[RunFolder] = []

    def watcher(self, spec: RunSpec) -> Watcher:
        watcher = self._watcher(spec)
        if self._telling is None:
            return watcher
        return self._telling.watcher(watcher, spec, say if self._quiet else self._progress.note)

    def _watcher(self, spec: RunSpec) -> Watcher:
        prints = self._telling is not None and self._telling.prints  # then stdout is for that alone
        return RunWatcher(self._progress, spec, show=not (self._as_json or self._quiet or prints))

    def started(self, folder: RunFolder) -> None:
        self._folders.append(folder)
        if self._telling is not None:
            self._telling.started(folder)
        self._note_started(folder)

    def _note_started(self, folder: RunFolder) -> None:
        self._progress.note(f"run {folder.name} in {folder.path}")

    def to_its_end(self, carry_out: Callable[[], Ran]) -> int:
        """The exit code. Raises what `carry_out` does."""
        if self._telling is None:
            return self._to_its_end(carry_out)
        ran: Ran | None = None

        def carried_out() -> Ran:
            nonlocal ran
            ran = carry_out()
            return ran

        try:
            return self._to_its_end(carried_out)
        except BaseException as error:
            if ran is None:
                self._telling.failed(error, api.status)
            raise
        finally:
            if ran is not None:
                self._telling.ended(ran.status, ran.exit_code)

    def _to_its_end(self, carry_out: Callable[[], Ran]) -> int:
        try:
            ran = carry_out()
        except WorldError as error:
            if self._as_json:
                _print_left(self._folders)
            begun = self._folders and self._folders[-1].path.exists()  # on a full disk it may not even have begun
            if not begun or isinstance(error, RunHeld) or "batchwasm resume" in str(error):
                raise
            name = reference(self._folders[-1], Path.cwd())
            raise WorldError(f"{error}\n'batchwasm resume {name}' goes on with the run when that is mended") from error
        finally:
            self._progress.close()
        if self._as_json:
            print_json([ran.as_dict()])
        if self._quiet:
            warn(ran)
        else:
            summarize(ran)
        return ran.exit_code


class GoingInBackground(Going):
    """The same of a detached run: its display is a log, its last words go there, and its caller waits for the first."""

    def __init__(self, background: Background, *, quiet: bool, telling: Telling | None = None) -> None:
        self._log = Log()
        super().__init__(Silent() if quiet else self._log, as_json=False, quiet=quiet, telling=telling)
        self._background = background

    def _watcher(self, spec: RunSpec) -> Watcher:
        return BackgroundWatcher(self._progress, spec, self._take_over)

    def _note_started(self, folder: RunFolder) -> None:
        """Its caller says it."""

    def _take_over(self) -> None:
        self._background.take_over(self._folders[0])
        self._log.is_ours = True
        if self._telling is not None and self._telling.url is not None:
            self._log.note(f"metrics at {self._telling.url}")  # said on the caller's terminal, too, which may be gone


class BackgroundWatcher(RunWatcher):
    """What tasks print is in the journal, and not in the log. `opened` is called when the run is in hand."""

    def __init__(self, progress: Progress, spec: RunSpec, opened: Callable[[], None]) -> None:
        super().__init__(progress, spec, show=False)
        self._opened = opened

    def opened(self) -> None:
        self._opened()


@contextmanager
def shown(
    as_json: bool, quiet: bool, background: Background | None = None, wanted: Wanted | None = None
) -> Iterator[Going]:
    """A display on stderr, or a log in the background; taken down at the end. What else is `wanted` is set up first."""
    with _telling(wanted) as telling:
        if background is not None:
            yield GoingInBackground(background, quiet=quiet, telling=telling)
            return
        shown = Silent() if quiet else progress.make()
        try:
            yield Going(shown, as_json=as_json, quiet=quiet, telling=telling)
        finally:
            shown.close()


@contextmanager
def _telling(wanted: Wanted | None) -> Iterator[Telling | None]:
    if wanted is None:
        yield None
        return
    from batchwasm.telling import Telling

    with closing(Telling(wanted, say)) as telling:
        yield telling


def _print_left(folders: list[RunFolder]) -> None:
    """The object of a run that could not go on, where its journal can still be read: it is there, and says how far."""
    for folder in folders:
        with suppress(BatchwasmError):
            print_json([api.Ran(status=api.status(folder), folder=folder, exit_code=EXIT_WORLD).as_dict()])


def summarize(ran: Ran) -> None:
    status = ran.status
    words = [f"{count_text(n)} {word.replace('_', ' ')}" for word, n in status.by_outcome.items()]
    if status.tasks.waiting:
        words.append(f"{count_text(status.tasks.waiting)} waiting")
    say(f"{status.run}: {', '.join(words)} of {count_text(status.tasks.total)} in {duration_text(status.wall_s)}")
    if status.taken:
        say(taken_text(status.taken))
    warn(ran)
    for sentence in status.advice:
        say(sentence)
    failed = " --failed" if status.tasks.failed else ""
    say(f"see 'batchwasm results{failed} -r {reference(ran.folder, Path.cwd())}'; files in {status.folder}")


def warn(ran: Ran) -> None:
    """What nobody who asked for quiet should miss: hosts that did not take part, and why a run stopped early."""
    for host in ran.status.hosts:
        if host.state in ("down", "lost"):
            say(f"warning: host {host.name} was {host.state}: {host.reason}")
    if ran.status.reason:
        say(ran.status.reason)
