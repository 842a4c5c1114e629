"""What a journal keeps of hosts and of the run over time: rings of fixed size, thinned with age, never replayed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from batchwasm.journalrows import Progress, Sample

SAMPLES = (
    60_000  # rows, a few MB: 3.5 days of one host, 10 minutes of 500, at a sample every 5 s; then every second one
)
PROGRESS = 2_000  # rows: as many as a wide screen has columns, ten times over
_SINCE_5 = ("cpu_share", "memory_bytes", "suspended", "run_cpus", "done")


def add(db: sqlite3.Connection, samples: Sequence[Sample]) -> None:
    """To the ring of the hosts."""
    db.executemany(f"INSERT INTO samples VALUES (NULL{', ?' * len(Sample._fields)})", samples)
    _thin(db, "samples", SAMPLES, "PARTITION BY host")


def add_progress(db: sqlite3.Connection, progress: Progress) -> None:
    """To the ring of the run."""
    db.execute(f"INSERT INTO progress VALUES (NULL{', ?' * len(Progress._fields)})", progress)
    _thin(db, "progress", PROGRESS, "")


def _thin(db: sqlite3.Connection, table: str, most: int, by: str) -> None:
    """When the ring is full, every second one of its older half goes: what is old was thinned more often."""
    (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    if count > most:
        older = f"SELECT id FROM {table} ORDER BY id LIMIT {count // 2}"
        numbered = f"SELECT id, row_number() OVER ({by} ORDER BY id) AS n FROM {table} WHERE id IN ({older})"
        db.execute(f"DELETE FROM {table} WHERE id IN (SELECT id FROM ({numbered}) WHERE n % 2 = 0)")


def samples(db: sqlite3.Connection, version: int, *, after: int, host: str | None) -> Iterator[tuple[int, Sample]]:
    """With their rows' ids; `version` is the layout's."""
    names = ("NULL" if version < 5 and name in _SINCE_5 else name for name in Sample._fields)
    query = f"SELECT id, {', '.join(names)} FROM samples WHERE id > ?1 AND (?2 IS NULL OR host = ?2) ORDER BY id"
    for id_, *row in db.execute(query, (after, host)).fetchall():
        yield id_, Sample(*row)


def progress(db: sqlite3.Connection, version: int, *, after: int) -> Iterator[tuple[int, Progress]]:
    if version >= 5:
        query = f"SELECT id, {', '.join(Progress._fields)} FROM progress WHERE id > ? ORDER BY id"
        for id_, *row in db.execute(query, (after,)).fetchall():
            yield id_, Progress(*row)
