"""Lines of words as a terminal gets them, with the colours of the theme; only what has changed is drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from batchwasm.tui.words import ROLES, Words, fitted

COMPONENTS = {f"role--{role}" for role in ROLES}


def strip_of(widget: Widget, line: Words, under: Style) -> Strip:
    """`line` on `under`, which has the background; `widget` knows the colours."""
    return Strip([Segment(text, under + role_style(widget, role)) for text, role in _merged(line)])


def _merged(line: Words) -> list[tuple[str, str]]:
    """In as few pieces as there are colours, each of which costs a slow line 40 bytes; spaces have none."""
    pieces: list[tuple[str, str]] = []
    for text, role in line:
        if not text:
            continue
        if pieces and (role == pieces[-1][1] or text.isspace()):
            pieces[-1] = (pieces[-1][0] + text, pieces[-1][1])
        else:
            pieces.append((text, role))
    return pieces


def role_style(widget: Widget, role: str) -> Style:
    return Style() if role == "plain" else widget.get_component_rich_style(f"role--{role}", partial=True)


class Lines(Widget):
    """A few lines of words. One that stays as it is costs nothing."""

    COMPONENT_CLASSES = COMPONENTS
    ALLOW_SELECT = False
    DEFAULT_CSS = "Lines { height: auto; }"

    def __init__(self, height: int = 1, **given: Any) -> None:
        super().__init__(**given)
        self.lines: Sequence[Words] = ()
        self._height = height

    def put(self, lines: Sequence[Words]) -> None:
        """As many as there is height for are shown."""
        before, self.lines = self.lines, tuple(lines)
        for y in range(max(len(before), len(lines))):
            was, now = (found[y] if y < len(found) else () for found in (before, self.lines))
            if was != now:
                start, stop = changed(was, now, self.size.width)
                self.refresh(Region(start, y, stop - start, 1))

    def get_content_height(self, container: Any, viewport: Any, width: int) -> int:
        return self._height

    def render_line(self, y: int) -> Strip:
        line = self.lines[y] if y < len(self.lines) else ()
        return strip_of(self, fitted(line, self.size.width), self.rich_style)


def changed(was: Words, now: Words, width: int) -> tuple[int, int]:
    """From which cell to which two lines differ: a clock that goes on is not the line around it."""
    old, new = (list(_cells(fitted(line, width))) for line in (was, now))
    if len(old) != len(new):  # wide characters
        return 0, width
    differ = [x for x, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    if len(old) != width or not differ:
        return 0, width
    return differ[0], differ[-1] + 1


def _cells(line: Words) -> Sequence[tuple[str, str]]:
    return [(character, role) for text, role in line for character in text]
