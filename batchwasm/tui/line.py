"""The fields of one row, as they are."""

from __future__ import annotations

from typing import Any

from rich.text import Text
from textual.app import ComposeResult
from textual.widgets import Footer, Static

from batchwasm.tui.screen import RunScreen, foreign
from batchwasm.tui.source import Source
from batchwasm.views.model import Overview


class LineScreen(RunScreen):
    """What a line of a table stands for."""

    def __init__(self, kind: str, name: str, index: int | None = None) -> None:
        super().__init__()
        self._kind, self._key, self._index = kind, name, index

    def compose(self) -> ComposeResult:
        yield Static(id="fields")
        yield Footer()

    def ask(self, source: Source) -> Any:
        if self._kind == "job":
            return source.job(self._key).line
        if self._kind == "host":
            return source.host(self._key).line
        return source.task(self._key, self._index or 0).line

    def show(self, overview: Overview, answer: Any) -> None:
        lines = [foreign(f"{field}: {getattr(answer, field)}") for field in answer.__dataclass_fields__]
        self.query_one("#fields", Static).update(Text("\n").join(lines))
