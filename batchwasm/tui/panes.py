"""What the screens that one drills into share: a heading, and panes that stand beside each other where there is room
and take turns where there is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.css.query import NoMatches
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from batchwasm.escape import visible
from batchwasm.results import RunFolder
from batchwasm.tui.marks import FAINT
from batchwasm.tui.screen import Asked, Copied, RunScreen, Wished
from batchwasm.tui.wishes import Verb, Wish, of_job, of_task, replay_command
from batchwasm.tui.words import Role, Words
from batchwasm.views.model import Overview

WIDE_CELLS = 110  # from here on two columns have 54 cells each at least, which is what a table needs


@dataclass(frozen=True, slots=True)
class Selection:
    """What a person means now: what an action is about."""

    job: str | None = None
    task: int | None = None
    """Of `job`; None means all of it."""
    host: str | None = None
    tasks: int = 0
    """How many the job has."""
    drained: bool = False
    """The host gets nothing new because of what a person wanted, or of what failed there."""


class Prose(Static):
    """Text that is drawn anew only where it has changed."""

    DEFAULT_CSS = "Prose { height: auto; width: 1fr; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__("", id=id, classes=classes, markup=False)
        self._said: Content | None = None

    def say(self, content: Content | str) -> None:
        new = Content(content) if isinstance(content, str) else content
        if self._said is not None and self._said.is_same(new):
            return
        same_shape = self._said is not None and self._shape(self._said) == self._shape(new)
        self._said = new
        self.update(new, layout=not same_shape)

    def begin(self, first: Content) -> None:
        """Another first line."""
        rest = [] if self._said is None else self._said.split("\n")[1:]
        self.say(Content("\n").join([first, *rest]))

    @property
    def said(self) -> str:
        """As it reads."""
        return "" if self._said is None else self._said.plain

    @staticmethod
    def _shape(content: Content) -> list[int]:
        """What its height depends on."""
        return [len(line) for line in content.plain.split("\n")]


class Choices(OptionList):
    """Lines of which one is chosen. New ones take the place of the old without a jump; the chosen one stays chosen."""

    DEFAULT_CSS = """
    Choices {
        height: auto; max-height: 100%; border: none; padding: 0; background: transparent; scrollbar-size-vertical: 1;
    }
    Choices:focus { border: none; background-tint: transparent; }
    Choices > .option-list--option-highlighted { background: transparent; color: $foreground; text-style: bold; }
    Choices:focus > .option-list--option-highlighted { background: $cursor; color: $foreground; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self._shown: list[tuple[str, Content]] = []

    def put(self, lines: Iterable[tuple[str, Content]]) -> None:
        """Lines by a key that stays the same for what stays the same."""
        new = list(lines)
        if [key for key, _ in new] == [key for key, _ in self._shown]:
            for n, ((_, before), (_, now)) in enumerate(zip(self._shown, new, strict=True)):
                if not before.is_same(now):
                    self.replace_option_prompt_at_index(n, now)
            self._shown = new
            return
        chosen = self.chosen
        self._shown = new
        top = self.scroll_y
        self.set_options([Option(content) for _, content in new])
        keys = [key for key, _ in new]
        if chosen in keys:
            self.highlighted = keys.index(chosen)
        self.scroll_to(y=top, animate=False)

    def on_focus(self) -> None:
        if self.highlighted is None and self._shown:
            self.highlighted = 0

    @property
    def chosen(self) -> str | None:
        """The key of the line under the cursor."""
        at = self.highlighted
        return None if at is None or at >= len(self._shown) else self._shown[at][0]


class Asking(Input):
    """A line to type into, which is there only while it is used: Enter takes what was typed, Escape what was before."""

    DEFAULT_CSS = """
    Asking { height: 1; border: none; padding: 0 1; display: none; background: $panel; }
    Asking:focus { border: none; }
    Asking.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave", show=False)]

    class Left(Message):
        """It was left without an answer."""

        def __init__(self, asking: Asking) -> None:
            super().__init__()
            self.asking = asking

        @property
        def control(self) -> Asking:
            return self.asking

    def open(self, value: str) -> None:
        self.add_class("-open")
        self.value = value
        self.focus()

    def shut(self) -> None:
        self.remove_class("-open")

    def action_leave(self) -> None:
        self.shut()
        self.post_message(self.Left(self))


class PaneBar(Static):
    """The names of panes of which one is shown; a click shows another."""

    DEFAULT_CSS = "PaneBar { height: 1; width: 1fr; background: $panel; }"

    class Clicked(Message):
        """A pane was asked for."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, panes: Sequence[tuple[str, str]]) -> None:
        super().__init__("", markup=False)
        self._panes = panes

    def show(self, current: str) -> None:
        parts = [
            Content.styled(f" {n} {title} ", "bold reverse" if pane == current else "")
            for n, (pane, title) in enumerate(self._panes, start=1)
        ]
        self.update(Content("").join(parts))

    def on_click(self, event: events.Click) -> None:
        left = 0
        for pane, title in self._panes:
            left += len(title) + 4
            if event.x < left:
                self.post_message(self.Clicked(pane))
                return


class Pane(Vertical):
    """A part of a screen, under its title."""

    DEFAULT_CSS = """
    Pane { border-top: solid $primary; border-title-color: $foreground; border-title-style: bold; padding: 0 1; }
    """

    def __init__(self, title: str, *children: Widget, id: str) -> None:
        super().__init__(*children, id=id)
        self.border_title = Content(title)


class Scrolled(VerticalScroll):
    """Prose that may be longer than their place."""

    DEFAULT_CSS = "Scrolled { height: 1fr; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
    ]


class DrillScreen(RunScreen):
    """A screen of one job, task or host."""

    DEFAULT_CSS = """
    DrillScreen { layout: vertical; }
    DrillScreen #heading { padding: 0 1; background: $panel; }
    DrillScreen #columns { height: 1fr; }
    DrillScreen .column { width: 1fr; scrollbar-size-vertical: 1; }
    DrillScreen.-wide PaneBar { display: none; }
    DrillScreen.-narrow .column, DrillScreen.-narrow Pane { display: none; }
    DrillScreen.-narrow .column.-current, DrillScreen.-narrow Pane.-current { display: block; }
    DrillScreen.-narrow Pane { height: 1fr; border-top: none; }
    """
    # Textual declares it as a variable of the instance.
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE_CELLS, "-wide")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(n), f"pane({n})", show=False) for n in range(1, 6)),
        Binding("c", "wish('cancel')", "Cancel"),
        Binding("r", "wish('retry')", "Retry"),
        Binding("d", "wish('drain')", "Drain"),
        Binding("y", "replay", "Copy replay", show=False),
    ]
    PANES: ClassVar[Sequence[tuple[str, str]]] = ()
    """Ids and titles, in their order; the first is shown first."""
    ABOUT_HOST: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self._current = self.PANES[0][0]
        self._widgets = 0
        """How many it is made of; none before they are laid out."""
        self.folder: RunFolder | None = None
        """Once it was looked at."""

    @property
    def selected(self) -> Selection:
        """What actions are about."""
        return Selection()

    def compose(self) -> ComposeResult:
        yield Prose(id="heading")
        yield PaneBar(self.PANES)
        with Horizontal(id="columns"):
            yield from self.columns()
        yield Footer(show_command_palette=False)

    def columns(self) -> ComposeResult:
        """Verticals of class `column` with a Pane each of PANES."""
        raise NotImplementedError

    def on_mount(self) -> None:
        self.turn_to(self._current, focus=True)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        """Its widgets are laid out: Textual forgets to do so anew for what they are told before."""
        self._widgets = len(self.query("*"))
        for place in (self, *self.query(Pane)):
            place.query(Prose).first().say(faint("reading ..."))
        self.post_message(Asked())

    def show(self, overview: Overview, answer: Any) -> None:
        if not self._widgets:  # it has nothing yet to show it in
            return
        try:
            self.put(overview, answer)
        except NoMatches:
            if len(self.query("*")) >= self._widgets:
                raise
            # else the app ends, and widgets go one by one

    def refuse(self, text: str) -> None:
        """In its first line, where it stays until the run is read again; the rest is as it was."""
        if self._widgets:
            self.query_one("#heading", Prose).begin(
                Content.styled(f"the run can't be read now: {visible(text)}", "$error")
            )

    def put(self, overview: Overview, answer: Any) -> None:
        """The run as it is now; `answer` is what `ask` gave."""
        raise NotImplementedError

    def turn_to(self, pane: str, *, focus: bool) -> None:
        """Show that pane, where not all are shown anyway, and give the keys to what is in it."""
        self._current = pane
        for other, _ in self.PANES:
            found = self.query_one(f"#{other}")
            found.set_class(other == pane, "-current")
        for column in self.query(".column"):
            column.set_class(any(child.has_class("-current") for child in column.children), "-current")
        self.query_one(PaneBar).show(pane)
        if focus:
            self.query_one(f"#{pane}").scroll_visible(animate=False)
            self.call_after_refresh(self._focus_in, pane)

    def _focus_in(self, pane: str) -> None:
        for widget in self.query_one(f"#{pane}").query("*"):
            if widget.focusable and widget.display:
                widget.focus()
                return

    def room(self, pane: str) -> int:
        """Cells in a line of that pane, also where it is not shown now."""
        if self.has_class("-narrow"):
            return max(30, self.size.width - 4)
        return max(30, self.query_one(f"#{pane}").content_size.width - 2)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is about tasks is offered where there are tasks, what is about hosts where there is one."""
        if action == "wish":
            return self.ABOUT_HOST if parameters[0] == "drain" else not self.ABOUT_HOST
        return True

    def action_wish(self, verb: Verb) -> None:
        """What is selected is what it is about."""
        about = self.selected
        if verb == "drain":
            if about.host is not None:
                way: Verb = "undrain" if about.drained else "drain"
                self.post_message(Wished(Wish(verb=way, hosts=(about.host,), what=about.host)))
        elif about.job is not None and about.task is not None:
            self.post_message(Wished(of_task(verb, about.job, about.task)))
        elif about.job is not None and about.tasks:
            self.post_message(Wished(of_job(verb, about.job, about.tasks)))

    def action_replay(self) -> None:
        self.copy_replay(self.selected.job, self.selected.task)

    def copy_replay(self, job: str | None, task: int | None) -> None:
        if job is None or task is None or self.folder is None:
            self.notify("to copy a replay: go to a task", markup=False)
        else:
            self.post_message(Copied(replay_command(self.folder, job, task)))

    def action_pane(self, n: int) -> None:
        if n <= len(self.PANES):
            self.turn_to(self.PANES[n - 1][0], focus=True)

    def on_pane_bar_clicked(self, message: PaneBar.Clicked) -> None:
        self.turn_to(message.pane, focus=True)


ROLE_STYLES: Mapping[Role, str] = {
    "plain": "",
    "dim": FAINT,
    "strong": "bold",
    "good": "$success",
    "running": "$primary",
    "warning": "$warning",
    "bad": "$error",
    "accent": "$accent",
}
"""The same as the style sheet has."""


def content_of(line: Words) -> Content:
    """Words as a part of others."""
    return Content.assemble(*((text, ROLE_STYLES[role]) for text, role in line))


def head(text: str) -> Content:
    """The title of a part of some words."""
    return Content.styled(text, "bold $accent")


def faint(text: str) -> Content:
    return Content.styled(text, FAINT)


def lines(*parts: Content | str) -> Content:
    """Each on a line of its own."""
    return Content("\n").join(part if isinstance(part, Content) else Content(part) for part in parts)


def pairs(found: Iterable[tuple[str, Any]]) -> Content:
    """`name   value`, values below each other."""
    listed = [(name, value if isinstance(value, Content) else Content(str(value))) for name, value in found]
    width = max((len(name) for name, _ in listed), default=0)
    return lines(*(Content.assemble((f"{name:<{width}}  ", FAINT), value) for name, value in listed))
