"""The file of a journal: its tables, how it is opened on which file system, whether it is whole. What its rows mean is
journal.py's.

On a local disk it is in WAL mode: readers and the writer are never in each other's way. WAL needs memory that all share
who have the file open, which no network file system gives: there it has a rollback journal, and is left to one machine.
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from batchwasm import disk
from batchwasm.errors import RunError, WorldError

VERSION = 5
"""2 keeps values of functions and their arguments, 3 takes requests and knows what was written to disk, 4 knows inputs
that were read and results of earlier runs, 5 how far the run was over time, and finds what is rare at once. A journal
of an earlier version is read as it is, and brought up to this one by who opens it for writing."""
BUSY_S = 30.0  # how long a writer or reader waits for the other
CHECKED_BYTES = 2**30  # looked through as a whole before a scheduler writes to it: a second for each GB on an SSD
TAIL_ROWS = 1000  # of a larger one, the newest rows are
RESERVE_BYTES = 128 * 1024  # kept for the last words where the disk gets full: some pages each of the file and its WAL

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
_MANY = "'BatchPlaced', 'BatchRecalled', 'BatchGivenUp', 'TasksFinished', 'TasksReturned', 'TasksKnown', 'TasksAdded'"
RARE = f"kind NOT IN ({_MANY}, 'FileShipped', 'HostReserved')"
"""Events that a person may want to be told of: all kinds but those of which a run has thousands."""
BAD = "outcome <> 2"
"""Attempts that did not succeed."""
INDEXED = 5
"""The layout since which both are found by indexes."""
_PROGRESS = f"""
CREATE TABLE progress (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, hosts INTEGER NOT NULL, cpus REAL NOT NULL, cpus_busy REAL NOT NULL,
    waiting INTEGER NOT NULL, running INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,
    dropped INTEGER NOT NULL, work_s REAL NOT NULL
);
CREATE INDEX events_rare ON events (seq) WHERE {RARE};
CREATE INDEX attempts_bad ON attempts (seq) WHERE {BAD};
"""
_SAMPLED = ("cpu_share REAL", "memory_bytes INTEGER", "suspended INTEGER", "run_cpus REAL", "done INTEGER")
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
    cpus_busy INTEGER, running INTEGER, queued INTEGER, disk_free_bytes INTEGER, {", ".join(_SAMPLED)}
);
{_REQUESTS}
{_INPUTS}
{_PROGRESS}
"""
_UPGRADES = {
    1: f"ALTER TABLE attempts ADD COLUMN value BLOB; ALTER TABLE attempts ADD COLUMN value_path TEXT; {_CALLS}",
    2: f"ALTER TABLE attempts ADD COLUMN disk_bytes INTEGER; {_REQUESTS}",
    3: f"ALTER TABLE attempts ADD COLUMN digest TEXT; ALTER TABLE attempts ADD COLUMN cached TEXT; {_INPUTS}",
    4: " ".join(f"ALTER TABLE samples ADD COLUMN {column};" for column in _SAMPLED) + _PROGRESS,
}
"""What makes a journal of that version one of the next."""
_BESIDE = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL}
"""What SQLite says where it may or can not make the files that it wants beside a journal to read it."""


class Opened(NamedTuple):
    """An open file, the version of its layout, and what to do when it is closed."""

    db: sqlite3.Connection
    version: int
    close: Callable[[], None]


def create(path: Path) -> sqlite3.Connection:
    """A new file with empty tables. Raises RunError where there is one."""
    with translated(path, lambda: RESERVE_BYTES), ExitStack() as undo:
        if path.exists():
            raise RunError(f"{path}: there is a journal already")
        undo.callback(path.unlink, missing_ok=True)
        path.touch(mode=0o600)
        db = _connect(path)
        undo.callback(db.close)
        if not disk.is_remote(disk.file_system(path)):
            db.execute("PRAGMA journal_mode = WAL")
        _set_synchronous(db)
        db.executescript(f"BEGIN; {_TABLES} INSERT INTO meta VALUES ('version', '{VERSION}'); COMMIT;")
        undo.pop_all()
        return db


def open_for_writing(path: Path, *, take_over: bool) -> Opened:
    """Of who takes the run over the file is looked through, and brought up to this version."""
    with translated(path), ExitStack() as undo:
        db = _connect(path)
        undo.callback(db.close)
        version = _version(db, path)
        if take_over:
            _check(db, path)
            if disk.is_remote(disk.file_system(path)):
                db.execute("PRAGMA journal_mode = DELETE")  # it was on a local disk before, perhaps
            steps = [_UPGRADES[n] for n in range(version, VERSION)]
            if steps:
                version = VERSION
                steps.append(f"UPDATE meta SET value = '{version}' WHERE key = 'version';")
                db.executescript(f"BEGIN; {' '.join(steps)} COMMIT;")
        _set_synchronous(db)
        return Opened(db, version, undo.pop_all().close)


def open_for_reading(path: Path, *, is_live: bool) -> Opened:
    """Where SQLite can't have what it wants beside the file (another user's folder, an archive, a full disk), a copy is
    read; not while a scheduler is at work (`is_live`), of which a copy could have one half before and one after."""
    with translated(path), ExitStack() as undo:
        try:
            return _reading(path, undo)
        except sqlite3.OperationalError as error:
            if is_live or error.sqlite_errorcode & 0xFF not in _BESIDE:
                raise
        undo.close()
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="batchwasm-")))
        copy = folder / path.name
        try:
            for name in (path.name, *(f"{path.name}-{suffix}" for suffix in ("wal", "journal"))):
                with suppress(FileNotFoundError):
                    shutil.copyfile(path.with_name(name), folder / name)
        except OSError as error:
            if error.errno in disk.FULL:
                size_bytes = path.stat().st_size
                raise disk.full(folder, disk.FULL[error.errno], size_bytes=size_bytes) from error
            raise
        return _reading(copy, undo)


def _reading(path: Path, undo: ExitStack) -> Opened:
    # Opened for writing where that works: a WAL reader must write the shared index beside it.
    immutable = not _is_writable(path.parent) and not any(
        _has(path.with_name(f"{path.name}-{suffix}")) for suffix in ("wal", "journal")
    )  # nobody writes, and all that was written is in the file
    db = _connect(path, "ro&immutable=1" if immutable else "rw" if _is_writable(path.parent) else "ro")
    undo.callback(db.close)
    db.execute("PRAGMA query_only = ON")
    return Opened(db, _version(db, path), undo.pop_all().close)


def _connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,  # one at a time, but not always the same: whoever looks on does so beside its screen
    )
    db.execute(f"PRAGMA busy_timeout = {int(BUSY_S * 1000)}")
    return db


def _version(db: sqlite3.Connection, path: Path) -> int:
    """Raises RunError where that is none that we read."""
    try:
        found = db.execute("SELECT value FROM meta WHERE key = 'version'").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_ERROR:
            raise
        raise RunError(f"{path}: this is no journal of batchwasm, or the run ended before it began: {error}") from error
    version = found[0] if found else "none"
    if version not in map(str, range(1, VERSION + 1)):
        raise RunError(f"{path}: journal of version {version}, this batchwasm reads versions 1 to {VERSION}")
    return int(version)


def _check(db: sqlite3.Connection, path: Path) -> None:
    """Raises RunError where the file is not whole; of a large one the newest rows are looked at."""
    (pages,), (page_bytes,) = (db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "page_size"))
    if pages * page_bytes <= CHECKED_BYTES:
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise RunError(damaged(path, found.splitlines()[-1]))
    low, high, count = db.execute(
        "SELECT min(seq), max(seq), count(length(body)) FROM (SELECT * FROM events ORDER BY seq DESC LIMIT ?)",
        (TAIL_ROWS,),
    ).fetchone()
    if count and high - low + 1 != count:
        raise RunError(damaged(path, f"{high - low + 1 - count} of the events {low} to {high} are not there"))
    db.execute(
        "SELECT sum(length(stdout) + length(stderr)) FROM (SELECT * FROM attempts ORDER BY id DESC LIMIT ?)",
        (TAIL_ROWS,),
    ).fetchone()


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.W_OK)


def _has(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def _set_synchronous(db: sqlite3.Connection) -> None:
    """A WAL is whole after a power cut without waiting for the disk each time, a rollback journal is not."""
    mode = db.execute("PRAGMA journal_mode").fetchone()[0]
    db.execute(f"PRAGMA synchronous = {'NORMAL' if mode == 'wal' else 'FULL'}")


class Reserve:
    """Room on the disk, given back for a run's last words. Nobody sees the file, and it ends with the process."""

    def __init__(self, folder: Path) -> None:
        """Raises DiskFull where there is no room for it, or for what comes next."""
        try:
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - until free()
            if self._file.write(b"\1" * RESERVE_BYTES) < RESERVE_BYTES:
                self._file.close()
                raise OSError(errno.ENOSPC, "")
        except OSError as error:
            raise disk.unwritable(folder, error, size_bytes=RESERVE_BYTES) from error

    def free(self) -> None:
        """Give it back; once is enough."""
        self._file.close()


@contextmanager
def transaction(db: sqlite3.Connection, *, durable: bool) -> Iterator[None]:
    """All inside is written, or nothing. `durable` survives a power cut right after."""
    before = "NORMAL"
    if durable:
        before = db.execute("PRAGMA synchronous").fetchone()[0]
        db.execute("PRAGMA synchronous = FULL")
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
    finally:
        if durable:
            db.execute(f"PRAGMA synchronous = {before}")


@contextmanager
def translated(path: Path, size_bytes: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """SQLite's and the system's errors as ours; `size_bytes` is about what was being written."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise _translation(path, error, size_bytes) from error
    except UnicodeDecodeError as error:  # SQLite's own words, with what it found in the file in them
        raise RunError(damaged(path, "names in it are no text")) from error
    except OSError as error:
        if error.errno in disk.FULL:
            raise disk.unwritable(path, error, size_bytes=size_bytes()) from error
        raise WorldError(f"{path}: {error.strerror}") from error


def _translation(path: Path, error: sqlite3.DatabaseError, size_bytes: Callable[[], int]) -> WorldError | RunError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return disk.full(path, size_bytes=size_bytes())
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN if (disk.free(path.parent) or 0) < RESERVE_BYTES:
            return disk.full(path, size_bytes=size_bytes())  # SQLite says this of files beside it, too
        case sqlite3.SQLITE_IOERR if code in (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC):
            return WorldError(f"{path} can't be written: {error}; is your quota used up, or the disk broken?")
        case sqlite3.SQLITE_CORRUPT:
            return RunError(damaged(path, str(error)))
        case sqlite3.SQLITE_NOTADB:
            return RunError(f"{path}: this is not a journal of batchwasm, or its beginning was overwritten: {error}")
        case sqlite3.SQLITE_READONLY:
            return WorldError(f"{path} can't be written: it is read-only; is it yours, and the disk writable?")
        case sqlite3.SQLITE_BUSY:
            return WorldError(f"{path}: another process has been writing for {BUSY_S:.0f} s; try again when it ended")
        case sqlite3.SQLITE_ERROR:  # a table or column is not there, a text is none
            return RunError(damaged(path, str(error)))
    return WorldError(f"{path}: the journal can't be used: {error}")


def damaged(path: Path, what: str) -> str:
    """The words for a journal of which not all can be read."""
    return (
        f"{path}: the journal is damaged: {what}. Outputs of tasks are whole in {path.parent / 'tasks'}; what can "
        f"still be read of the rest comes out with: sqlite3 {shlex.quote(str(path))} .recover | sqlite3 saved.db"
    )
