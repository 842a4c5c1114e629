"""The keys of one job, as its own table and the defaults have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from batchwasm.spec.nodes import Node
from batchwasm.spec.sources import BUILD_KEYS


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """The keys of one job: its own, else those of the defaults."""

    table: Node
    own: Mapping[str, Node]
    defaults: Mapping[str, Node]

    @property
    def all(self) -> dict[str, Node]:
        return {**self.defaults, **self.own}

    def merged(self, key: str) -> dict[str, Node]:
        """The fields of a table, the job's replacing the defaults' one by one."""
        found: dict[str, Node] = {}
        for nodes in (self.defaults, self.own):
            if key in nodes:
                found |= nodes[key].known(BUILD_KEYS) if key == "build" else nodes[key].fields
        return found
