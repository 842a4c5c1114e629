"""What the command palette finds: actions on the run, and its jobs and hosts by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from batchwasm.escape import visible
from batchwasm.tui.screen import Opened, Wished
from batchwasm.tui.wishes import Wish

if TYPE_CHECKING:
    from batchwasm.views.model import Overview


class Command(NamedTuple):
    text: str
    """Foreign text in it as it came."""
    do: Callable[[], Any]
    help: str


class RunCommands(Provider):
    """Of the run that the app looks at."""

    async def discover(self) -> Hits:
        for command in self._actions():
            yield DiscoveryHit(command.text, command.do, help=command.help)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for command in (*self._actions(), *self._names()):
            text = visible(command.text)
            score, offsets = matcher.fuzzy_search.match(query, text)
            if score > 0:
                shown = Content(text)  # not the matcher's own: that takes brackets for markup
                for offset in offsets:
                    shown = shown.stylize(matcher.match_style, offset, offset + 1)
                yield Hit(score, shown, command.do, text=text, help=command.help)

    @property
    def _overview(self) -> Overview | None:
        return getattr(self.app, "overview", None)

    def _actions(self) -> Iterator[Command]:
        overview = self._overview
        if overview is None:
            return
        wish, state = self._wish, overview.status.state
        if state == "running":
            if overview.status.paused is None:
                yield Command("Pause the run", wish(Wish(verb="pause")), "Nothing new is started")
            else:
                yield Command("Unpause the run", wish(Wish(verb="unpause")), "What waits starts again")
            cancel = Wish(verb="cancel", what="all of the run")
            yield Command("Cancel all of the run", wish(cancel), "What runs is stopped, the run ends")
            yield Command("Stop the run", wish(Wish(verb="stop")), "As Ctrl-C of 'run': it can be resumed")
        elif state == "stopped":
            yield Command("Resume the run", wish(Wish(verb="resume")), "It goes on in the background")
        retry = Wish(verb="retry", what="all of the run")
        yield Command("Retry all that did not succeed", wish(retry), "Tasks that failed run again")

    def _names(self) -> Iterator[Command]:
        overview = self._overview
        if overview is None:
            return
        for job in overview.jobs:
            yield Command(f"job {job.row.name}", self._open("job", job.row.name), "Its tasks, by state")
        for host in overview.hosts:
            name = host.row.name
            yield Command(f"host {name}", self._open("host", name), "What runs there")
            verb = Wish(verb="undrain" if host.row.state == "drained" else "drain", hosts=(name,), what=name)
            yield Command(f"{verb.verb} {name}", self._wish(verb), "Whether it is given new tasks")

    def _wish(self, wish: Wish) -> Callable[[], Any]:
        return partial(self.app.post_message, Wished(wish))

    def _open(self, kind: str, name: str) -> Callable[[], Any]:
        return partial(self.app.post_message, Opened(kind, name))
