"""How busy the fleet was over the time of a run, as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from batchwasm.tui.drawn import Lines
from batchwasm.tui.said import percent
from batchwasm.tui.shapes import chart, squeezed
from batchwasm.tui.words import Words, words
from batchwasm.units import duration_text
from batchwasm.views.model import Moment

REDRAWN_S = 10.0  # of a run's time: it moves by a column in minutes
AXIS = 5  # cells of `100% `


class UseChart(Lines):
    """Of all cpus of hosts that were connected, those that tasks of this run had."""

    def __init__(self, *, id: str) -> None:
        super().__init__(height=8, id=id)
        self._history: Sequence[Moment] = ()
        self._drawn_at = float("-inf")
        self._lives = True

    def show(self, history: Sequence[Moment], lives: bool) -> None:
        self._history, changed = history, lives != self._lives
        self._lives = lives
        if history and (changed or abs(history[-1].at - self._drawn_at) >= REDRAWN_S):
            self._draw()  # the last moments of a run count, too

    def get_content_height(self, container: Any, viewport: Any, width: int) -> int:
        return self.size.height or 8

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        history, width, height = self._history, self.size.width - AXIS, self.size.height - 2
        if width < 4 or height < 1:
            return
        self.put(list(self._lines(history, width, height)))
        if history:
            self._drawn_at = history[-1].at

    def _lines(self, history: Sequence[Moment], width: int, height: int) -> list[Words]:
        shares = [moment.cpus_busy / moment.cpus if moment.cpus else 0.0 for moment in history]
        if len(shares) < 2:
            return [words("cpus busy over time: nothing yet", "dim")]
        now = history[-1]
        title: Words = (("cpus busy", "strong"), (f" {percent(now.cpus_busy, now.cpus or 1.0).strip()} now", "plain"))
        columns = chart(squeezed(shares, width), height, 1.0)
        axis = ["100% ", *["     "] * (height - 2), "  0% "] if height > 1 else ["     "]
        span = f"{duration_text(now.at - history[0].at)} ago"
        drawn = min(width, len(shares))
        gap = max(1, drawn - len(span) - 3)
        below: Words = ((" " * AXIS + span + " " * gap + "now", "dim"),)
        body: list[Words] = [((label, "dim"), (line, "running")) for label, line in zip(axis, columns, strict=True)]
        return [title, *body, below]
