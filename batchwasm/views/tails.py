"""The newest of what is rare in a journal: events that a person wants to be told of, attempts that did not succeed.

They are found by the indexes that a journal has since layout 5; in an older one its newest rows are looked through.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from batchwasm.core.events import Event
from batchwasm.journal import Journal
from batchwasm.journalfile import BAD, INDEXED, RARE

TAIL_ROWS = 20_000  # of an older journal, where the newest rows are looked through for rare ones: some 20 ms


class Rare(NamedTuple):
    """An event with its place."""

    seq: int
    at: float
    event: Event


class Bad(NamedTuple):
    """An attempt that did not succeed."""

    seq: int
    at: float
    """When it was told of."""
    job: int
    task: int
    host: str
    outcome: int
    final: int
    wall_s: float
    reason: str | None


def rare_events(journal: Journal, *, after: int, upto: int, limit: int, host: str | None = None) -> list[Rare]:
    """The newest events that are not routine, of seq beyond `after` and up to `upto`, oldest first; of one host, or of
    all."""
    source = "events INDEXED BY events_rare"
    if journal.version < INDEXED:
        source, after = "events", max(after, upto - TAIL_ROWS)
    query = (
        f"SELECT seq, at, kind, body FROM {source} WHERE {RARE} AND seq > ?1 AND seq <= ?4 "
        "AND (?2 IS NULL OR json_extract(body, '$.host') = ?2 OR json_extract(body, '$.plan.name') = ?2) "
        "ORDER BY seq DESC LIMIT ?3"
    )
    found = []
    for seq, at, kind, body in reversed(journal.rows(query, (after, host, limit, upto))):
        found.append(Rare(seq, at, journal.event(seq, kind, body)))
    return found


def count_of(journal: Journal, kind: type[Event], *, after: int, upto: int) -> int:
    """How many events of a kind that is not routine there are, of seq beyond `after` and up to `upto`: of an older
    journal all of these are gone through."""
    source = f"events INDEXED BY events_rare WHERE {RARE} AND" if journal.version >= INDEXED else "events WHERE"
    query = f"SELECT count(*) FROM {source} kind = ? AND seq > ? AND seq <= ?"
    found: int = journal.rows(query, (kind.__name__, after, upto))[0][0]
    return found


def bad_attempts(journal: Journal, *, after: int, upto: int, limit: int) -> list[Bad]:
    """The newest attempts that did not succeed, of events beyond seq `after` and up to `upto`, oldest first."""
    source, more = "attempts INDEXED BY attempts_bad", ""
    if journal.version < INDEXED:
        source, more = "attempts", f" AND id > {_last(journal, 'attempts', 'id') - TAIL_ROWS}"
    return _bad(
        journal,
        f"{source} WHERE {BAD} AND seq > ? AND seq <= ?{more} ORDER BY seq DESC, id DESC LIMIT ?",
        (after, upto, limit),
    )


def bad_among(journal: Journal, after: int, upto: int, *, host: str, limit: int) -> list[Bad]:
    """The same of one host, among rows beyond id `after` and up to `upto`, which are gone through."""
    where = f"id > ? AND id <= ? AND host = ? AND {BAD} ORDER BY id DESC LIMIT ?"
    return _bad(journal, f"attempts NOT INDEXED WHERE {where}", (after, upto, host, limit))


def _bad(journal: Journal, source: str, given: Sequence[object]) -> list[Bad]:
    query = (
        "SELECT a.seq, e.at, a.job, a.task, a.host, a.outcome, a.final, a.wall_s, a.reason_text "
        f"FROM (SELECT * FROM {source}) AS a JOIN events AS e USING (seq)"
    )
    return [Bad(*row) for row in reversed(journal.rows(query, given))]


def _last(journal: Journal, table: str, column: str) -> int:
    found: int = journal.rows(f"SELECT coalesce(max({column}), 0) FROM {table}")[0][0]
    return found
