"""The journal of a run: SQLite in the run folder, the one source of truth. Appended first, acted on second.

Tables (docs/journal.md tells them to people):
    meta         key, value: the version of this layout
    events       seq, at (unix time), kind, body (JSON): what happened, in order; never changed
    attempts     a row for each ended attempt, written with the TasksFinished of the same seq
    calls        a row for some calls of a function that were added while the run went on: their arguments (CBOR)
    checkpoints  seq, attempt, version, body: the state after event `seq` and row `attempt`; derived, disposable
    samples      what hosts said of themselves now and then: a ring, thinned with age, never replayed
    requests     what other processes ask of the scheduler, and what it answered
    inputs       files of this machine that were read for tasks, as they were

One process writes, any number read meanwhile (WAL); those may add to `requests`, and to nothing else. It knows events
and states, not what they are for.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from batchwasm.core import eventcodec, history, snapshot
from batchwasm.core.events import Event, Record, TasksAdded, TasksFinished, TasksKnown
from batchwasm.core.state import State
from batchwasm.errors import RunError, WorldError
from batchwasm.model import Outcome

E = TypeVar("E", bound=Event)
VERSION = 4
"""2 keeps values of functions and their arguments, 3 takes requests and knows what was written to disk, 4 knows inputs
that were read and results of earlier runs. A journal of an earlier version is read as it is, and brought up to this one
by who opens it for writing."""
CHECKPOINTS = 2  # the newest, and the one before in case a reader is in it
SAMPLES = 20_000  # rows: a day of one host at a sample every 4 s, a few MB
BUSY_S = 30.0  # how long a writer or reader waits for the other
ASKED_LIMIT = 100  # requests read at once: however many come, the scheduler looks after its hosts in between

_CALLS = """
CREATE TABLE calls (
    job INTEGER NOT NULL, first INTEGER NOT NULL, sizes TEXT NOT NULL, arguments BLOB NOT NULL, PRIMARY KEY (job, first)
);
"""
_REQUESTS = """
CREATE TABLE requests (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL, answered_at REAL, answer TEXT
);
"""
_INPUTS = """
CREATE TABLE inputs (
    path TEXT PRIMARY KEY, bytes INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, sha256 TEXT NOT NULL
) WITHOUT ROWID;
"""
_TABLES = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (seq INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, batch INTEGER NOT NULL, job INTEGER NOT NULL, host TEXT NOT NULL,
    task INTEGER NOT NULL, number INTEGER NOT NULL, outcome INTEGER NOT NULL, final INTEGER NOT NULL,
    exit_code INTEGER, started_at REAL NOT NULL, queued_s REAL NOT NULL, wall_s REAL NOT NULL, cpu_s REAL NOT NULL,
    peak_memory_bytes INTEGER NOT NULL, stdout BLOB, stderr BLOB, reason_code TEXT, reason_text TEXT, "limit" REAL,
    used REAL, stdout_path TEXT, stderr_path TEXT, outputs TEXT, value BLOB, value_path TEXT, disk_bytes INTEGER,
    digest TEXT, cached TEXT
);
CREATE INDEX attempts_task ON attempts (job, task);
{_CALLS}
CREATE TABLE checkpoints (
    seq INTEGER PRIMARY KEY, attempt INTEGER NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE samples (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, host TEXT NOT NULL, load REAL, memory_available_bytes INTEGER,
    cpus_busy INTEGER, running INTEGER, queued INTEGER, disk_free_bytes INTEGER
);
{_REQUESTS}
{_INPUTS}
"""
_INSERT_ATTEMPT = f"INSERT INTO attempts VALUES (NULL, ?, ?, ?, ?{', ?' * len(Record._fields)})"
_INSERT_CALLS = "INSERT INTO calls VALUES (?, ?, ?, ?)"
_HEAVY = frozenset({"stdout", "stderr", "outputs", "value", "value_path"})
"""Columns that no state needs."""
_SINCE = {2: frozenset({"value", "value_path"}), 3: frozenset({"disk_bytes"}), 4: frozenset({"digest", "cached"})}
"""Columns of attempts that journals of earlier versions have not."""
_UPGRADES = {
    1: f"ALTER TABLE attempts ADD COLUMN value BLOB; ALTER TABLE attempts ADD COLUMN value_path TEXT; {_CALLS}",
    2: f"ALTER TABLE attempts ADD COLUMN disk_bytes INTEGER; {_REQUESTS}",
    3: f"ALTER TABLE attempts ADD COLUMN digest TEXT; ALTER TABLE attempts ADD COLUMN cached TEXT; {_INPUTS}",
}
"""What makes a journal of that version one of the next."""


def _columns(without: frozenset[str]) -> str:
    """Of a Record, in its order; NULL for those that are not wanted or not there."""
    names = ("NULL" if name in without else '"limit"' if name == "limit" else name for name in Record._fields)
    return ", ".join(names)


class Attempt(NamedTuple):
    """A row of `attempts`."""

    batch: int
    job: int
    host: str
    record: Record


class Left(NamedTuple):
    """What a task that succeeded left for others; as in Record."""

    task: int
    outputs: str | None
    value: bytes | None
    value_path: str | None


class Sample(NamedTuple):
    """What a host said of itself at one time."""

    at: float
    host: str
    load: float
    memory_available_bytes: int
    cpus_busy: int
    running: int
    queued: int
    disk_free_bytes: int


class InputFile(NamedTuple):
    """A row of `inputs`: a local file as it was when it was read for a task."""

    path: str
    """Absolute."""
    bytes: int
    mtime_ns: int
    sha256: str


class Asked(NamedTuple):
    """A row of `requests` as another process wrote it: nothing in it is checked."""

    id: int
    at: float
    kind: str
    body: str
    """JSON, if it is right."""


class Answered(NamedTuple):
    """What the scheduler says to a request."""

    id: int
    answer: Mapping[str, Any]


class Journal:
    """An open journal. Raises WorldError where it can't be written, RunError where it can't be understood."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        *,
        version: int = VERSION,
        keep_values: int | None = None,
    ) -> None:
        self._keep_values = keep_values
        self.path = path
        self.version = version
        """Of its layout."""
        self._db = connection
        self._missing = frozenset[str]().union(*(names for since, names in _SINCE.items() if version < since))
        self._columns = _columns(self._missing)
        with _translated(path):
            self._seq: int = self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]

    @classmethod
    def create(cls, path: Path, *, keep_values: int | None = None) -> Journal:
        """A new, empty journal at `path`, which must not exist; it keeps values up to `keep_values` bytes, or all."""
        with _translated(path):
            if path.exists():
                raise RunError(f"{path}: there is a journal already")
            path.touch(mode=0o600)
            db = _connect(path, read_only=False)
            db.executescript(f"BEGIN; {_TABLES} INSERT INTO meta VALUES ('version', '{VERSION}'); COMMIT;")
            return cls(path, db, keep_values=keep_values)

    @classmethod
    def open(cls, path: Path, *, read_only: bool) -> Journal:
        """The journal at `path`, of this version or an earlier one."""
        if not path.is_file():
            raise RunError(f"{path}: there is no journal; is this a run folder?")
        with _translated(path), ExitStack() as undo:
            db = _connect(path, read_only=read_only)
            undo.callback(db.close)
            found = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
            version = found[0] if found else "none"
            if version not in map(str, range(1, VERSION + 1)):
                raise RunError(f"{path}: journal of version {version}, this batchwasm reads versions 1 to {VERSION}")
            if not read_only:
                steps = [_UPGRADES[n] for n in range(int(version), VERSION)]
                if steps:
                    version = str(VERSION)
                    steps.append(f"UPDATE meta SET value = '{version}' WHERE key = 'version';")
                    db.executescript(f"BEGIN; {' '.join(steps)} COMMIT;")
            journal = cls(path, db, version=int(version))
            undo.pop_all()
            return journal

    def close(self) -> None:
        self._db.close()

    # ------------------------------------------------------------------------------------------- writing

    def append(
        self,
        batch: Sequence[Event],
        at: float,
        *,
        answers: Sequence[Answered] = (),
        inputs: Sequence[InputFile] = (),
        durable: bool = False,
    ) -> int:
        """Write events in one transaction; returns the last one's seq. `durable` survives a power cut right after.

        `answers` are to the requests that the events come from: who asked sees both or neither. `inputs` were read
        since the last time; of a path that is known already, the first word counts.
        """
        rows = []
        attempts: list[tuple[object, ...]] = []
        calls: list[tuple[int, int, str, bytes]] = []
        seq = self._seq
        for event in batch:
            seq += 1
            rows.append((seq, at, type(event).__name__, json.dumps(eventcodec.encode(event), separators=(",", ":"))))
            if isinstance(event, TasksFinished):
                head = (seq, event.batch, event.job, event.host)
                attempts.extend(head + record for record in self._kept(event.records))
            elif isinstance(event, TasksKnown):
                attempts.extend((seq, 0, event.job, "", *record) for record in self._kept(event.records))
            elif isinstance(event, TasksAdded):
                calls.append(_calls_row(event))
        with _translated(self.path), self._transaction(durable):
            self._db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", rows)
            if attempts:
                self._db.executemany(_INSERT_ATTEMPT, attempts)
            if calls:
                self._db.executemany(_INSERT_CALLS, calls)
            if inputs:
                self._db.executemany("INSERT OR IGNORE INTO inputs VALUES (?, ?, ?, ?)", inputs)
            if answers:
                told = [(at, json.dumps(answer.answer), answer.id) for answer in answers]
                self._db.executemany("UPDATE requests SET answered_at = ?, answer = ? WHERE id = ?", told)
        self._seq = seq
        return seq

    def _kept(self, records: Sequence[Record]) -> Sequence[Record]:
        most = self._keep_values
        if most is None or all(record.value is None or len(record.value) <= most for record in records):
            return records
        return [r if r.value is None or len(r.value) <= most else r._replace(value=None) for r in records]

    def checkpoint(self, state: State) -> None:
        """Keep `state`, which is what all events so far make, for readers to start from."""
        with _translated(self.path), self._transaction(durable=False):
            attempt = self._db.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()[0]
            row = (self._seq, attempt, snapshot.VERSION, snapshot.dump(state))
            self._db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", row)
            newest = "SELECT seq FROM checkpoints ORDER BY seq DESC LIMIT ?"
            self._db.execute(f"DELETE FROM checkpoints WHERE seq NOT IN ({newest})", (CHECKPOINTS,))

    def sample(self, samples: Sequence[Sample]) -> None:
        """Add to the ring; when it is full, every second one of its older half goes."""
        with _translated(self.path), self._transaction(durable=False):
            holes = ", ?" * len(Sample._fields)
            self._db.executemany(f"INSERT INTO samples VALUES (NULL{holes})", samples)
            low, count = self._db.execute("SELECT min(id), count(*) FROM samples").fetchone()
            if count > SAMPLES:
                middle = "SELECT id FROM samples ORDER BY id LIMIT 1 OFFSET ?"
                self._db.execute(f"DELETE FROM samples WHERE id < ({middle}) AND id % 2 = ?", (count // 2, low % 2))

    # ------------------------------------------------------------------------------------------ requests

    def ask(self, kind: str, body: Mapping[str, Any], at: float) -> int:
        """Add a request, as a process that is not the run's scheduler; its id, to ask `answer` for."""
        with _translated(self.path), self._transaction(durable=False):
            row = (at, kind, json.dumps(body))
            return self._db.execute("INSERT INTO requests (at, kind, body) VALUES (?, ?, ?)", row).lastrowid or 0

    def asked(self, after: int) -> list[Asked]:
        """Requests beyond id `after` that have no answer: some 10 microseconds where there are none."""
        query = (  # as bytes: one row that is no text must not hide all that come after it
            "SELECT id, at, CAST(kind AS BLOB), CAST(body AS BLOB) FROM requests "
            "WHERE id > ? AND answered_at IS NULL ORDER BY id LIMIT ?"
        )
        with _translated(self.path):
            rows = self._db.execute(query, (after, ASKED_LIMIT)).fetchall()
        return [
            Asked(id_, at, str(kind, "utf-8", "replace"), str(body, "utf-8", "replace")) for id_, at, kind, body in rows
        ]

    def answer(self, asked: int) -> Mapping[str, Any] | None:
        """What was answered to that request; None while it was not."""
        with _translated(self.path):
            found = self._db.execute("SELECT answer FROM requests WHERE id = ?", (asked,)).fetchone()
        if found is None or found[0] is None:
            return None
        answer: Mapping[str, Any] = json.loads(found[0])
        return answer

    # ------------------------------------------------------------------------------------------- reading

    def replay(self, after: int = 0, attempt: int = 0) -> Iterator[tuple[int, float, Event]]:
        """(seq, at, event) of all events after `after`, the last attempt before which was `attempt`.

        Records come without their stdout, stderr, outputs and value, TasksAdded without the arguments.
        """
        with _translated(self.path):
            rows = self._db.execute(
                f"SELECT seq, {_columns(_HEAVY | self._missing)} FROM attempts WHERE id > ? ORDER BY id", (attempt,)
            )
            row = rows.fetchone()
            found = self._db.execute("SELECT seq, at, kind, body FROM events WHERE seq > ? ORDER BY seq", (after,))
            for seq, at, kind, body in found:
                records = []
                while row is not None and row[0] == seq:
                    records.append(Record(*row[1:]))
                    row = rows.fetchone()
                try:
                    yield seq, at, eventcodec.decode(kind, json.loads(body), records)
                except (KeyError, TypeError, ValueError) as error:
                    raise RunError(f"{self.path}: event {seq} ({kind}) can't be read: {error}") from error

    def state(self) -> State:
        """What all events so far make, from the newest checkpoint on."""
        state, after, attempt = State(), 0, 0
        with self.snapshot():
            query = "SELECT seq, attempt, body FROM checkpoints WHERE version = ? ORDER BY seq DESC LIMIT 1"
            found = self._db.execute(query, (snapshot.VERSION,)).fetchone()
            if found is not None:
                after, attempt, state = found[0], found[1], snapshot.load(found[2])
            for _, at, event in self.replay(after, attempt):
                state.apply(event, at)
        return state

    def attempts(self, *, job: int | None = None, task: int | None = None, final: bool = False) -> Iterator[Attempt]:
        """Rows of `attempts`, by job, task and time."""
        where = {"job": job, "task": task, "final": 1 if final else None}
        given = {key: value for key, value in where.items() if value is not None}
        condition = " AND ".join(f"{key} = :{key}" for key in given) or "1"
        query = f"SELECT batch, job, host, {self._columns} FROM attempts WHERE {condition} ORDER BY job, task, id"
        with _translated(self.path):
            for row in self._db.execute(query, given):
                yield Attempt(row[0], row[1], row[2], Record(*row[3:]))

    def left(self, job: int, start: int, stop: int) -> Iterator[Left]:
        """Of tasks `start` to `stop`, which is excluded, those that succeeded, in their order."""
        # Of a task with several results the last counts: next to max(), SQLite takes columns from the row that has it.
        query = (
            "SELECT task, outputs, value, value_path, max(id) FROM attempts "
            "WHERE job = ? AND task >= ? AND task < ? AND final = 1 AND outcome = ? GROUP BY task ORDER BY task"
        )
        with _translated(self.path):
            for row in self._db.execute(query, (job, start, stop, int(Outcome.SUCCEEDED))):
                yield Left(*row[:4])

    def life(self, job: int) -> Iterator[tuple[float, Event]]:
        """Events that tell of attempts of the job without a report (core/history.py), each with its time.

        It goes through all events: a second for each million.
        """
        kinds = ", ".join(f"'{kind.__name__}'" for kind in history.KINDS)
        query = (
            f"SELECT at, kind, body FROM events WHERE kind IN ({kinds}) "
            "AND (kind <> 'BatchPlaced' OR json_extract(body, '$.job') = ?) ORDER BY seq"
        )
        with _translated(self.path):
            for at, kind, body in self._db.execute(query, (job,)):
                yield at, eventcodec.decode(kind, json.loads(body))

    def arguments(self, job: int, task: int) -> bytes | None:
        """Of a call that was added while the run went on, as CBOR; None where there is none, or it was not kept."""
        if self.version < 2:
            return None
        query = "SELECT first, sizes, arguments FROM calls WHERE job = ? AND first <= ? ORDER BY first DESC LIMIT 1"
        with _translated(self.path):
            found = self._db.execute(query, (job, task)).fetchone()
        if found is None:
            return None
        sizes = json.loads(found[1])
        n = task - found[0]
        if n >= len(sizes) or sizes[n] is None:
            return None
        at = sum(size or 0 for size in sizes[:n])
        return bytes(found[2][at : at + sizes[n]])

    def of_kind(self, kind: type[E]) -> Iterator[E]:
        """All events of a kind that needs no rows of its own, in order."""
        with _translated(self.path):
            for (body,) in self._db.execute("SELECT body FROM events WHERE kind = ? ORDER BY seq", (kind.__name__,)):
                yield cast(E, eventcodec.decode(kind.__name__, json.loads(body)))

    def last(self) -> str:
        """The kind of the newest event; '' where there is none."""
        with _translated(self.path):
            found = self._db.execute("SELECT kind FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return found[0] if found else ""

    def walls(self, job: int) -> Iterator[tuple[int, float]]:
        """Of a job's tasks that succeeded, by index: how long each took."""
        query = "SELECT task, wall_s FROM attempts WHERE job = ? AND final = 1 AND outcome = ? ORDER BY task"
        with _translated(self.path):
            yield from self._db.execute(query, (job, int(Outcome.SUCCEEDED)))

    def inputs(self) -> dict[str, InputFile]:
        """Local files that were read for tasks, by path."""
        if self.version < 4:
            return {}
        with _translated(self.path):
            return {row[0]: InputFile(*row) for row in self._db.execute("SELECT * FROM inputs")}

    def samples(self) -> Iterator[Sample]:
        with _translated(self.path):
            columns = ", ".join(Sample._fields)
            for row in self._db.execute(f"SELECT {columns} FROM samples ORDER BY id"):
                yield Sample(*row)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see one moment of the journal, however much is written meanwhile."""
        with _translated(self.path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    @contextmanager
    def _transaction(self, durable: bool) -> Iterator[None]:
        if durable:
            self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        finally:
            if durable:
                self._db.execute("PRAGMA synchronous = NORMAL")


def _calls_row(event: TasksAdded) -> tuple[int, int, str, bytes]:
    """Of all calls together: a row for each would cost as much as the row of its result."""
    sizes = json.dumps([None if given is None else len(given) for given in event.arguments], separators=(",", ":"))
    return event.job, event.first, sizes, b"".join(given for given in event.arguments if given is not None)


def _connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    # Always opened for writing where the folder allows it: a WAL reader must write the shared index beside it.
    mode = "rw"
    if read_only and not os.access(path.parent, os.W_OK):
        mode = "ro" if _has_wal(path) else "ro&immutable=1"  # nobody writes, so there is nothing to share
    db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_S, isolation_level=None)
    db.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
    if read_only:
        db.execute("PRAGMA query_only = ON")
    else:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
    return db


def _has_wal(path: Path) -> bool:
    """Whether a scheduler is at work, or ended without closing its journal."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """SQLite's and the system's errors as ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise WorldError(f"{path}: the journal can't be used: {error}; is the disk full or read-only?") from error
        raise RunError(f"{path}: this is not a journal of batchwasm, or it is damaged: {error}") from error
    except OSError as error:
        raise WorldError(f"{path}: {error.strerror}") from error
