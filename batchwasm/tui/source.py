"""What the dashboard needs of a run. batchwasm.views.View is one; tests have another, of fixed rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from batchwasm.following.output import TaskOutput
from batchwasm.results import RunFolder
from batchwasm.views.model import Cell, FailureGroup, HostView, JobView, Overview, TaskLine, TaskView


class Source(Protocol):
    """A run that is looked at, by one thread at a time. Every method may raise a BatchwasmError in words."""

    @property
    def folder(self) -> RunFolder: ...
    @property
    def is_over(self) -> bool:
        """Whether no scheduler works on it."""
        ...

    def look(self) -> Overview: ...
    def job(self, name: str) -> JobView: ...
    def cells(self, name: str, cells: int, first: int = 0, stop: int | None = None) -> tuple[Cell, ...]: ...
    def tasks(
        self,
        name: str,
        *,
        states: Collection[str] = (),
        text: str = "",
        sort: str = "index",
        descending: bool = False,
        offset: int = 0,
        limit: int = 100,
    ) -> tuple[tuple[TaskLine, ...], int]: ...
    def failures(self, name: str | None = None) -> tuple[FailureGroup, ...]: ...
    def task(self, name: str, index: int) -> TaskView: ...
    def host(self, name: str) -> HostView: ...
    def output(self, name: str, index: int) -> TaskOutput: ...
    def close(self) -> None: ...
