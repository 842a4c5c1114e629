"""Attempts that did not succeed, grouped by what they have in common: bounded however many there are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

GROUPS = 1000  # that are told apart while counting: reasons and exit codes are the guest's to choose
EXAMPLES = 5


class Way(NamedTuple):
    """How an attempt ended."""

    job: int
    outcome: int
    reason: str
    exit_code: int | None


@dataclass(slots=True)
class Group:
    first: int
    """Row of its first attempt in the journal."""
    attempts: int = 0
    final: int = 0
    hosts: set[str] = field(default_factory=set)
    examples: dict[int, str] = field(default_factory=dict)
    """Tasks, and where."""


class Failing:
    """All groups of a run."""

    def __init__(self) -> None:
        self._groups: dict[Way, Group] = {}
        self.untold = 0
        """Attempts that are in none."""

    def add(self, way: Way, row: int, task: int, host: str, final: int) -> None:
        group = self._groups.get(way)
        if group is None:
            if len(self._groups) >= GROUPS:
                self.untold += 1
                return
            group = self._groups[way] = Group(row)
        group.attempts += 1
        group.final += final
        group.hosts.add(host)
        if len(group.examples) < EXAMPLES:
            group.examples.setdefault(task, host)

    def largest(self, most: int) -> list[tuple[Way, Group]]:
        """Those that cost most tasks their result first."""
        ordered = sorted(self._groups.items(), key=lambda item: (-item[1].final, -item[1].attempts))
        return ordered[:most]

    def __len__(self) -> int:
        return len(self._groups)
