"""A journal read from end to end: in short reads, since on a network file system a writer waits for who reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from batchwasm.core.events import Event, TasksAdded
from batchwasm.journal import Journal
from batchwasm.journalfile import INDEXED, RARE

ROWS = 10_000  # at once: some 30 ms


def events(journal: Journal, kinds: Sequence[type[Event]], upto: int) -> Iterator[tuple[float, Event]]:
    """Events of some kinds up to seq `upto`, in order, each with its time: of RARE kinds, or TasksAdded."""
    return ((at, event) for _, at, event in numbered(journal, kinds, upto))


def numbered(journal: Journal, kinds: Sequence[type[Event]], upto: int) -> Iterator[tuple[int, float, Event]]:
    """The same, each with its seq before."""
    names = [kind.__name__ for kind in kinds]
    rare = f"{RARE} AND " if journal.version >= INDEXED and TasksAdded not in kinds else ""
    query = (
        f"SELECT seq, at, kind, body FROM events WHERE {rare}kind IN ({', '.join('?' * len(names))}) "
        "AND seq > ? AND seq <= ? ORDER BY seq"
    )
    for start in range(0, upto, ROWS):
        for seq, at, kind, body in journal.rows(query, (*names, start, min(start + ROWS, upto))):
            yield seq, at, journal.event(seq, kind, body)


def time_before(journal: Journal, seq: int, at: float) -> float:
    """When the event before this one was written; `at` where there is none."""
    found = journal.rows("SELECT at FROM events WHERE seq < ? ORDER BY seq DESC LIMIT 1", (seq,))
    return float(found[0][0]) if found else at


def attempts(journal: Journal, columns: str, upto: int) -> Iterator[tuple[Any, ...]]:
    """SQL columns of all attempts `a` up to row `upto`, each with the event `e` that told of it, oldest first."""
    joined = "attempts AS a CROSS JOIN events AS e ON e.seq = a.seq"
    query = f"SELECT {columns} FROM {joined} WHERE a.id > ? AND a.id <= ? ORDER BY a.id"
    for start in range(0, upto, ROWS):
        yield from journal.rows(query, (start, min(start + ROWS, upto)))
