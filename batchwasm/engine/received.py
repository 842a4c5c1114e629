"""Reports of a host by their numbers: which came, which the loop was told, which are in the journal. No I/O.

A host keeps a report until it is acknowledged, and after a broken connection it sends again all beyond the number that
we say. So nothing is acknowledged before it is in the journal, nor anything behind what is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Received:
    """Those of one host; the numbers grow over its supervisors."""

    def __init__(self) -> None:
        self._highest = 0
        self._open: set[int] = set()
        """Came and are not in the journal yet."""
        self._told: set[int] = set()
        """Of these, those that the loop has, and will settle whatever becomes of the connection."""
        self._settled = asyncio.Event()

    @property
    def upto(self) -> int:
        """All reports up to that number are in the journal."""
        return min(self._open) - 1 if self._open else self._highest

    def came(self, seq: int) -> None:
        self._highest = max(self._highest, seq)
        self._open.add(seq)

    def told(self, seq: int) -> None:
        self._told.add(seq)

    def settled(self, seqs: Sequence[int]) -> None:
        self._open.difference_update(seqs)
        self._told.difference_update(seqs)
        self._settled.set()

    async def start_again(self) -> int:
        """After a connection broke: the number beyond which all reports are wanted again.

        It waits for what the loop was told already: a report that is in hand twice could be put away once while its
        files are fetched a second time.
        """
        while self._told:
            self._settled.clear()
            await self._settled.wait()
        self._highest = self.upto
        self._open.clear()
        return self._highest

    def forget(self) -> None:
        """It is another supervisor, which counts from where it was told."""
        self._highest = 0
        self._open.clear()
