"""Known successes: which task of which earlier run gave the result of a key. SQLite in the user's cache folder.

Results stay in the folders of their runs; here is only where they are:
    origins  a job of a run: its folder, the run's unique id, the module
    known    key -> the task of an origin, and a digest of each part of its key, to say what is different elsewhere
    lists    what is behind the digests of inputs and variables: the digest of each, by name

All of it is derived: an entry that is wrong makes a task run again, a file that is damaged is begun anew. Several runs
use it at once. What the keys are made of is not its business.
"""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from batchwasm.errors import WorldError
from batchwasm.store import cache_folder

LAYOUT = 1
"""It is in the file's name: versions that differ in it do not disturb each other."""
ROWS = 1_000_000  # entries that are kept, the last used ones: some 150 MB
SLACK = 1.05  # of them, before the oldest go: it takes a second, which is not to be spent at each run's end
BUSY_S = 30.0  # how long one process waits for another
ASKED_AT_ONCE = 500  # keys in one query; SQLite's older limit is 999 values

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE origins (
    id INTEGER PRIMARY KEY, folder TEXT NOT NULL, run TEXT NOT NULL, name TEXT NOT NULL, job TEXT NOT NULL,
    artifact TEXT NOT NULL, how TEXT NOT NULL, at REAL NOT NULL, UNIQUE (folder, run, job, artifact, how)
);
CREATE TABLE known (
    key BLOB PRIMARY KEY, origin INTEGER NOT NULL, task INTEGER NOT NULL, args BLOB NOT NULL, stdin BLOB NOT NULL,
    env BLOB NOT NULL, inputs BLOB NOT NULL, outputs BLOB NOT NULL, files TEXT, used REAL NOT NULL,
    taker INTEGER, taker_task INTEGER
);
CREATE INDEX known_origin ON known (origin, task);
CREATE INDEX known_taker ON known (taker) WHERE taker IS NOT NULL;
CREATE TABLE lists (digest BLOB PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
"""
_PRUNE = """
DELETE FROM known WHERE key IN (SELECT key FROM known ORDER BY used DESC LIMIT -1 OFFSET :rows);
"""
_UNUSED = (
    "DELETE FROM origins WHERE id NOT IN (SELECT origin FROM known UNION SELECT taker FROM known WHERE taker NOT NULL)",
    "DELETE FROM lists WHERE digest NOT IN (SELECT inputs FROM known UNION SELECT env FROM known)",
)


class Parts(NamedTuple):
    """Digests of what the key of a task is made of beside its origin's module."""

    args: bytes
    stdin: bytes
    env: bytes
    inputs: bytes
    outputs: bytes


class Origin(NamedTuple):
    """A job of a run."""

    folder: str
    """Absolute."""
    run: str
    """The run's unique id: another run may be in that folder by now."""
    name: str
    """What the run is called in its jobs.toml, without its number."""
    job: str
    artifact: str
    how: str
    """How its module is used, in words."""


class Success(NamedTuple):
    """A task whose result is to be known."""

    key: bytes
    task: int
    parts: Parts
    files: Mapping[str, str]
    """sha256 of what is beside its outputs, by path in the run folder."""


class Hit(NamedTuple):
    """Where the result of a key is."""

    key: bytes
    origin: Origin
    task: int
    files: Mapping[str, str]


class Entry(NamedTuple):
    """A known success, to compare."""

    key: bytes
    origin: Origin
    task: int
    parts: Parts


class Listed(NamedTuple):
    """What is known of a job of a run."""

    folder: str
    job: str
    tasks: int
    added_at: float
    used_at: float


class Known:
    """The file. Methods raise WorldError where it can't be used; any thread may call."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / f"known-{LAYOUT}.db"

    def seal(self) -> bytes:
        """A random key that stays in this file: what is not to be guessed from its digest is digested with it."""
        with self._open() as db:
            found: bytes = db.execute("SELECT value FROM meta WHERE key = 'seal'").fetchone()[0]
            return found

    def has(self, artifact: str) -> bool:
        """Whether anything is known of a module."""
        with self._open() as db:
            query = "SELECT 1 FROM origins JOIN known ON origin = id WHERE artifact = ? LIMIT 1"
            return db.execute(query, (artifact,)).fetchone() is not None

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Hit]:
        """Those of the keys that are known."""
        found: dict[bytes, Hit] = {}
        with self._open() as db:
            origins = _Origins(db)
            for at in range(0, len(keys), ASKED_AT_ONCE):
                some = keys[at : at + ASKED_AT_ONCE]
                holes = ", ".join("?" * len(some))
                query = f"SELECT key, origin, task, files FROM known WHERE key IN ({holes})"
                for key, origin, task, files in db.execute(query, some):
                    found[key] = Hit(key, origins[origin], task, json.loads(files) if files else {})
        return found

    def add(self, origin: Origin, successes: Iterable[Success], lists: Mapping[bytes, Mapping[str, str]]) -> None:
        """`lists` has, for digests of inputs and env, the digest of each by its name."""
        now = time.time()
        with self._writing() as db:
            id_ = _origin_id(db, origin, now)
            rows = [
                (s.key, id_, s.task, *s.parts, json.dumps(dict(s.files)) if s.files else None, now) for s in successes
            ]
            db.executemany(f"INSERT OR REPLACE INTO known VALUES ({', '.join('?' * 10)}, NULL, NULL)", rows)
            bodies = [(digest, json.dumps(dict(items), separators=(",", ":"))) for digest, items in lists.items()]
            db.executemany("INSERT OR IGNORE INTO lists VALUES (?, ?)", bodies)

    def drop(self, keys: Iterable[bytes], origins: Iterable[Origin] = ()) -> None:
        """Entries that are wrong: these, and all of these jobs."""
        with self._writing() as db:
            db.executemany("DELETE FROM known WHERE key = ?", [(key,) for key in keys])
            for origin in origins:
                db.execute(
                    "DELETE FROM known WHERE origin IN (SELECT id FROM origins WHERE folder = ? AND run = ?)",
                    (origin.folder, origin.run),
                )

    def take(self, origin: Origin, taken: Iterable[tuple[bytes, int]]) -> None:
        """Another job has copies of these results now: (key, task). It counts as their origin from `settle` on."""
        now = time.time()
        with self._writing() as db:
            id_ = _origin_id(db, origin, now)
            rows = [(now, id_, task, key) for key, task in taken]
            db.executemany("UPDATE known SET used = ?, taker = ?, taker_task = ? WHERE key = ?", rows)

    def settle(self, run: str) -> None:
        """That run stays: what it took is looked for there, since older runs are removed first."""
        with self._writing() as db:
            takers = "SELECT id FROM origins WHERE run = ?"
            db.execute(
                f"UPDATE known SET origin = taker, task = taker_task, taker = NULL WHERE taker IN ({takers})", (run,)
            )
            count = db.execute("SELECT count(*) FROM known").fetchone()[0]
            if count > ROWS * SLACK:
                db.execute(_PRUNE, {"rows": ROWS})
                _tidy(db)

    # ------------------------------------------------------------------------------------------- for people

    def entry(self, folder: str, run: str, job: str, task: int) -> Entry | None:
        """That of a task which ran there."""
        where = "o.folder = ? AND o.run = ? AND o.job = ? AND k.task = ?"
        return self._entry(where, (folder, run, job, task), "k.used DESC", ())

    def nearest(self, to: Entry) -> Entry | None:
        """Of other entries, that of the same task of the same run, else of its job, which differs least from `to`."""
        differing = " + ".join(f"(k.{name} IS NOT ?)" for name in Parts._fields)
        order = f"(o.name = ? AND k.task = ?) DESC, (o.artifact <> ?) + (o.how <> ?) + {differing}, k.used DESC"
        values = (to.origin.name, to.task, to.origin.artifact, to.origin.how, *to.parts)
        return self._entry("o.job = ? AND k.key <> ?", (to.origin.job, to.key), order, values)

    def _entry(self, where: str, given: Sequence[Any], order: str, by: Sequence[Any]) -> Entry | None:
        parts = ", ".join(f"k.{name}" for name in Parts._fields)
        query = (
            f"SELECT k.key, k.origin, k.task, {parts} FROM known k JOIN origins o ON o.id = k.origin "
            f"WHERE {where} ORDER BY {order} LIMIT 1"
        )
        with self._open() as db:
            row = db.execute(query, (*given, *by)).fetchone()
            return None if row is None else Entry(row[0], _Origins(db)[row[1]], row[2], Parts(*row[3:]))

    def listing(self, digest: bytes) -> dict[str, str] | None:
        """What is behind a digest of inputs or env; None where they were too many to be kept."""
        with self._open() as db:
            row = db.execute("SELECT body FROM lists WHERE digest = ?", (digest,)).fetchone()
            return None if row is None else json.loads(row[0])

    def list(self) -> list[Listed]:
        """All that is known, the last used first."""
        query = (
            "SELECT folder, job, count(*), min(at), max(used) FROM known JOIN origins ON id = origin "
            "GROUP BY folder, job ORDER BY max(used) DESC, folder, job"
        )
        with self._open() as db:
            return [Listed(*row) for row in db.execute(query)]

    def clean(self, *, folder: str | None = None, older_than_s: float | None = None, gone: bool = False) -> int:
        """Forget all, or what is of the run in `folder`, not used for so long, or of runs that are `gone`; how many."""
        where, values = ["1"], list[Any]()
        if folder is not None:
            where.append("origin IN (SELECT id FROM origins WHERE folder = ?)")
            values.append(folder)
        if older_than_s is not None:
            where.append("used < ?")
            values.append(time.time() - older_than_s)
        with self._writing() as db:
            if gone:
                folders = [row[0] for row in db.execute("SELECT DISTINCT folder FROM origins")]
                missing = [path for path in folders if not Path(path, "journal.db").is_file()]
                where.append("origin IN (SELECT id FROM origins WHERE folder IN (SELECT value FROM json_each(?)))")
                values.append(json.dumps(missing))
            count = db.execute(f"DELETE FROM known WHERE {' AND '.join(where)}", values).rowcount
            _tidy(db)
        if count:
            with self._open() as db, suppress(sqlite3.OperationalError):  # somebody else is in it: the next time
                db.execute("VACUUM")
        return count

    # -------------------------------------------------------------------------------------------------- file

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connected()) as db:
                yield db
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):  # damaged: nothing is lost that can't be made again
                self.path.unlink(missing_ok=True)
            raise WorldError(f"{self.path}: the cache of results can't be used: {error}") from error
        except OSError as error:
            raise WorldError(f"{self.path}: the cache of results can't be used: {error.strerror}") from error

    def _connected(self) -> sqlite3.Connection:
        """With a rollback journal, which works on every file system: homes are shared by many machines."""
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        db = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None)
        try:
            if not _is_made(db):
                db.execute("BEGIN IMMEDIATE")
                if not _is_made(db):
                    for statement in filter(str.strip, _TABLES.split(";")):
                        db.execute(statement)
                    db.execute("INSERT INTO meta VALUES ('seal', ?)", (secrets.token_bytes(32),))
                db.execute("COMMIT")
        except BaseException:
            db.close()
            raise
        return db


class _Origins:
    """Origins by their ids, read once each."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._read: dict[int, Origin] = {}

    def __getitem__(self, id_: int) -> Origin:
        if id_ not in self._read:
            query = f"SELECT {', '.join(Origin._fields)} FROM origins WHERE id = ?"
            self._read[id_] = Origin(*self._db.execute(query, (id_,)).fetchone())
        return self._read[id_]


def _is_made(db: sqlite3.Connection) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = 'lists'").fetchone() is not None


def _origin_id(db: sqlite3.Connection, origin: Origin, now: float) -> int:
    db.execute(f"INSERT OR IGNORE INTO origins VALUES (NULL{', ?' * len(origin)}, ?)", (*origin, now))
    where = " AND ".join(f"{name} = ?" for name in Origin._fields if name != "name")
    values = [value for name, value in origin._asdict().items() if name != "name"]
    found: int = db.execute(f"SELECT id FROM origins WHERE {where}", values).fetchone()[0]
    return found


def _tidy(db: sqlite3.Connection) -> None:
    for statement in _UNUSED:
        db.execute(statement)
