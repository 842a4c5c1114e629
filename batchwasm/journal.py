"""The journal of a run: SQLite in the run folder, the one source of truth. Appended first, acted on second.

Tables (docs/journal.md tells them to people):
    meta         key, value: the version of this layout
    events       seq, at (unix time), kind, body (JSON): what happened, in order; never changed
    attempts     a row for each ended attempt, written with the TasksFinished of the same seq
    calls        a row for some calls of a function that were added while the run went on: their arguments (CBOR)
    checkpoints  seq, attempt, version, body: the state after event `seq` and row `attempt`; derived, disposable
    samples      what hosts said of themselves now and then: a ring, thinned with age, never replayed
    progress     the same of how far the run was
    requests     what other processes ask of the scheduler, and what it answered
    inputs       files of this machine that were read for tasks, as they were

One process writes, any number read meanwhile; those may add to `requests`, and to nothing else. It knows events and
states, not what they are for; the file itself is batchwasm.journalfile's.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from batchwasm import disk, holding, journalfile, journalrows, journalsamples
from batchwasm.core import eventcodec, history, snapshot
from batchwasm.core.events import BatchPlaced, Event, Record, RunStopped, TasksAdded, TasksFinished, TasksKnown
from batchwasm.core.state import State
from batchwasm.errors import RunError, WorldError
from batchwasm.journalfile import VERSION, Opened, Reserve, damaged, transaction, translated
from batchwasm.journalrows import Answered as Answered
from batchwasm.journalrows import Asked as Asked
from batchwasm.journalrows import InputFile as InputFile
from batchwasm.journalrows import Left as Left
from batchwasm.journalrows import Progress as Progress
from batchwasm.journalrows import Sample as Sample
from batchwasm.model import Outcome

E = TypeVar("E", bound=Event)
CHECKPOINTS = 2  # the newest, and the one before in case a reader is in it
ASKED_LIMIT = 100  # requests read at once: however many come, the scheduler looks after its hosts in between
PAGE_ROWS = 200  # read at once, however slowly they are looked at: who reads for long is in the way of who writes
REPLAYED_EVENTS = 2_000  # the same of events, for as long as it takes to replay them: some 20 ms
REPLAYED_ROWS = 10_000  # rows of attempts after which such a page ends early: some 30 ms
SPARED_ROWS = 10_000  # to be replayed, or a newer checkpoint is read: 0.1 s, as long as that of the largest run takes

_INSERT_ATTEMPT = f"INSERT INTO attempts VALUES (NULL, ?, ?, ?, ?{', ?' * len(Record._fields)})"
_INSERT_CALLS = "INSERT INTO calls VALUES (?, ?, ?, ?)"
_HEAVY = frozenset({"stdout", "stderr", "outputs", "value", "value_path"})
"""Columns that no state needs."""
_SINCE = {2: frozenset({"value", "value_path"}), 3: frozenset({"disk_bytes"}), 4: frozenset({"digest", "cached"})}
"""Columns of attempts that journals of earlier versions have not."""


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


class Known(NamedTuple):
    """What was read of a journal: the state after event `seq` and row `attempt` of attempts."""

    state: State
    seq: int
    attempt: int


class Journal:
    """An open journal. Raises WorldError where it can't be written, RunError where it can't be understood."""

    def __init__(self, path: Path, opened: Opened, *, keep_values: int | None = None) -> None:
        self._keep_values = keep_values
        self.path = path
        self.version = opened.version
        """Of its layout."""
        self._db, self._close = opened.db, opened.close
        self._reserve: Reserve | None = None
        self._missing = frozenset[str]().union(*(names for since, names in _SINCE.items() if self.version < since))
        self._columns = _columns(self._missing)
        with translated(path):
            self._seq: int = self._db.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]

    @classmethod
    def create(cls, path: Path, *, keep_values: int | None = None) -> Journal:
        """A new, empty journal at `path`, which must not exist; it keeps values up to `keep_values` bytes, or all."""
        db = journalfile.create(path)
        return cls(path, Opened(db, VERSION, db.close), keep_values=keep_values)

    @classmethod
    def open(cls, path: Path, *, read_only: bool) -> Journal:
        """The journal at `path`, of this version or an earlier one; for writing as the run's scheduler, who holds it.

        Raises RunError where it is damaged, as far as that is seen at once.
        """
        is_live = _seen_from_here(path)
        if read_only:
            return cls(path, journalfile.open_for_reading(path, is_live=is_live))
        return cls(path, journalfile.open_for_writing(path, take_over=True))

    @classmethod
    def visit(cls, path: Path) -> Journal:
        """The same for who is not its scheduler, and adds requests."""
        _seen_from_here(path)
        return cls(path, journalfile.open_for_writing(path, take_over=False))

    def close(self) -> None:
        if self._reserve is not None:
            self._reserve.free()
        self._close()

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
        self._keep_reserve(batch)
        with self._writing(durable, lambda: journalrows.size_bytes(rows, attempts, calls)):
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

    def _keep_reserve(self, batch: Sequence[Event]) -> None:
        """Room on the disk for the run's last words, from its first ones on."""
        if any(isinstance(event, RunStopped) for event in batch):
            if self._reserve is not None:
                self._reserve.free()
        elif self._reserve is None:
            self._reserve = Reserve(self.path.parent)

    def _kept(self, records: Sequence[Record]) -> Sequence[Record]:
        most = self._keep_values
        if most is None or all(record.value is None or len(record.value) <= most for record in records):
            return records
        return [r if r.value is None or len(r.value) <= most else r._replace(value=None) for r in records]

    def checkpoint(self, state: State) -> None:
        """Keep `state`, which is what all events so far make, for readers to start from."""
        with self._writing():
            attempt = self._db.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()[0]
            row = (self._seq, attempt, snapshot.VERSION, snapshot.dump(state))
            self._db.execute("INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?)", row)
            newest = "SELECT seq FROM checkpoints ORDER BY seq DESC LIMIT ?"
            self._db.execute(f"DELETE FROM checkpoints WHERE seq NOT IN ({newest})", (CHECKPOINTS,))

    def sample(self, samples: Sequence[Sample], progress: Progress | None = None) -> None:
        """Add to the rings of the hosts, and of the run."""
        with self._writing():
            if samples:
                journalsamples.add(self._db, samples)
            if progress is not None:
                journalsamples.add_progress(self._db, progress)

    # ------------------------------------------------------------------------------------------ requests

    def ask(self, kind: str, body: Mapping[str, Any], at: float) -> int:
        """Add a request, as a process that is not the run's scheduler; its id, to ask `answer` for."""
        with self._writing():
            row = (at, kind, json.dumps(body))
            return self._db.execute("INSERT INTO requests (at, kind, body) VALUES (?, ?, ?)", row).lastrowid or 0

    def asked(self, after: int) -> list[Asked]:
        """Requests beyond id `after` that have no answer: some 10 microseconds where there are none."""
        query = (  # as bytes: one row that is no text must not hide all that come after it
            "SELECT id, at, CAST(kind AS BLOB), CAST(body AS BLOB) FROM requests "
            "WHERE id > ? AND answered_at IS NULL ORDER BY id LIMIT ?"
        )
        with translated(self.path):
            rows = self._db.execute(query, (after, ASKED_LIMIT)).fetchall()
        return [
            Asked(id_, at, str(kind, "utf-8", "replace"), str(body, "utf-8", "replace")) for id_, at, kind, body in rows
        ]

    def answer(self, asked: int) -> Mapping[str, Any] | None:
        """What was answered to that request; None while it was not."""
        with translated(self.path):
            found = self._db.execute("SELECT answer FROM requests WHERE id = ?", (asked,)).fetchone()
        if found is None or found[0] is None:
            return None
        answer: Mapping[str, Any] = json.loads(found[0])
        return answer

    # ------------------------------------------------------------------------------------------- reading

    def replay(
        self, after: int = 0, attempt: int = 0, limit: int = -1
    ) -> Generator[tuple[int, float, Event], None, None]:
        """(seq, at, event) of all events after `after`, or `limit` of them; the last attempt before was `attempt`.

        Records come without their stdout, stderr, outputs and value, TasksAdded without the arguments.
        """
        with translated(self.path):
            rows = self._db.execute(
                f"SELECT seq, {_columns(_HEAVY | self._missing)} FROM attempts WHERE id > ? ORDER BY id", (attempt,)
            )
            row = rows.fetchone()
            query = "SELECT seq, at, kind, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
            for seq, at, kind, body in self._db.execute(query, (after, limit)):
                records = []
                while row is not None and row[0] == seq:
                    records.append(Record(*row[1:]))
                    row = rows.fetchone()
                yield seq, at, self.event(seq, kind, body, records)

    def event(self, seq: int, kind: str, body: str, records: Sequence[Record] = ()) -> Event:
        """Of a row of events. Raises RunError where it can't be read."""
        try:
            return eventcodec.decode(kind, json.loads(body), records)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(damaged(self.path, f"event {seq} ({kind}) can't be read: {error}")) from error

    def state(self) -> State:
        """What all events so far make, from the newest checkpoint on. Raises RunError where they make no sense."""
        return self.caught_up().state

    def caught_up(
        self, known: Known | None = None, hear: Callable[[Event], None] | None = None, *, may_jump: bool = False
    ) -> Known:
        """The same, from what was `known` before, whose state is changed; `hear` is told each event after it.

        Who `may_jump` is given another state where much happened meanwhile, from a newer checkpoint. It is read by
        pages, so that the writer's log does not grow meanwhile.
        """
        if known is None or (may_jump and self._spares(known)):
            with translated(self.path):
                known = self._newest_checkpoint()
        state, upto, attempt = known
        while True:
            count = rows = 0
            with self.snapshot(), closing(self.replay(upto, attempt, REPLAYED_EVENTS)) as page:
                for upto, at, event in page:
                    self._apply(state, upto, at, event)
                    if hear is not None:
                        hear(event)
                    count += 1
                    rows += len(event.records) if isinstance(event, TasksFinished | TasksKnown) else 0
                    if rows >= REPLAYED_ROWS:
                        break
                attempt = self._last_attempt(upto, attempt)
            if count < REPLAYED_EVENTS and rows < REPLAYED_ROWS:
                return Known(state, upto, attempt)

    def _apply(self, state: State, seq: int, at: float, event: Event) -> None:
        try:
            state.apply(event, at)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError) as error:
            text = f"event {seq} ({type(event).__name__}) does not follow from those before it: {error!r}"
            raise RunError(damaged(self.path, text)) from error

    def _last_attempt(self, upto: int, before: int) -> int:
        """The last row that came with an event up to `upto`; the last one of those before it was `before`."""
        query = "SELECT id - 1 FROM attempts WHERE id > ? AND seq > ? ORDER BY id LIMIT 1"
        found = self._db.execute(query, (before, upto)).fetchone()
        if found is None:
            found = self._db.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()
        return int(found[0])

    def _spares(self, known: Known) -> bool:
        """Whether there is a newer checkpoint, and reading it costs less than replaying what is before it."""
        with translated(self.path):
            found = self._db.execute(
                "SELECT seq, attempt FROM checkpoints WHERE version = ? ORDER BY seq DESC LIMIT 1", (snapshot.VERSION,)
            ).fetchone()
        return found is not None and found[0] - known.seq + found[1] - known.attempt > SPARED_ROWS

    def ended(self, after: int, upto: int) -> Iterator[Attempt]:
        """Those in rows beyond `after` and up to `upto` that made results, in their order; of each task the last."""
        later = "job = a.job AND task = a.task AND final = 1 AND id > a.id AND id <= ?2"
        query = (
            f"SELECT id, batch, job, host, {_columns(self._missing)} FROM attempts AS a WHERE id > ?1 AND id <= ?2 "
            f"AND final = 1 AND NOT EXISTS (SELECT 1 FROM attempts WHERE {later}) ORDER BY id LIMIT {PAGE_ROWS}"
        )
        found: list[tuple[Any, ...]] = [(after,)]
        while found:  # by pages: an open query of a reader who takes his time would keep the writer's log growing
            with translated(self.path):
                found = self._db.execute(query, (found[-1][0], upto)).fetchall()
            for _, batch, job, host, *record in found:
                yield Attempt(batch, job, host, Record(*record))

    def _newest_checkpoint(self) -> Known:
        """A state, and the event and attempt after which it was; one that can't be read is done without."""
        query = "SELECT seq, attempt, body FROM checkpoints WHERE version = ? ORDER BY seq DESC"
        for after, attempt, body in self._db.execute(query, (snapshot.VERSION,)):
            with suppress(zlib.error, LookupError, TypeError, ValueError, AttributeError, AssertionError):
                return Known(snapshot.load(body), after, attempt)
        return Known(State(), 0, 0)

    def attempts(self, *, job: int | None = None, task: int | None = None, final: bool = False) -> Iterator[Attempt]:
        """Rows of `attempts`, by job, task and time; of the final ones of a task the last, which counts."""
        where = {"job": job, "task": task, "final": 1 if final else None}
        given = {key: value for key, value in where.items() if value is not None}
        condition = "".join(f" AND {key} = :{key}" for key in given)
        if final:  # a task that a person had again may have several
            later = "job = a.job AND task = a.task AND final = 1 AND id > a.id"
            condition += f" AND NOT EXISTS (SELECT 1 FROM attempts WHERE {later})"
        query = (
            f"SELECT id, batch, job, host, {self._columns} FROM attempts AS a "
            f"WHERE (job, task, id) > (:a, :b, :c){condition} ORDER BY job, task, id LIMIT {PAGE_ROWS}"
        )
        a, b, c = -1, 0, 0
        while True:
            with translated(self.path):
                rows = self._db.execute(query, {**given, "a": a, "b": b, "c": c}).fetchall()
            for row in rows:
                record = Record(*row[4:])
                a, b, c = row[2], record.task, row[0]
                yield Attempt(row[1], a, row[3], record)
            if len(rows) < PAGE_ROWS:
                return

    def left(self, job: int, start: int, stop: int) -> Iterator[Left]:
        """Of tasks `start` to `stop`, which is excluded, those that succeeded, in their order."""
        # Of a task with several results the last counts: next to max(), SQLite takes columns from the row that has it.
        query = (
            "SELECT task, outputs, value, value_path, max(id) FROM attempts "
            "WHERE job = ? AND task >= ? AND task < ? AND final = 1 AND outcome = ? GROUP BY task ORDER BY task"
        )
        with translated(self.path):
            for row in self._db.execute(query, (job, start, stop, int(Outcome.SUCCEEDED))):
                yield Left(*row[:4])

    def life(self, job: int) -> Iterator[tuple[float, Event]]:
        """Events that tell of attempts of the job without a report (core/history.py), each with its time.

        It goes through all events: a second for each million.
        """
        kinds = ", ".join(f"'{kind.__name__}'" for kind in history.KINDS)
        query = (
            f"SELECT seq, at, kind, body FROM events WHERE kind IN ({kinds}) "
            "AND (kind <> 'BatchPlaced' OR json_extract(body, '$.job') = ?) ORDER BY seq"
        )
        with translated(self.path):
            for seq, at, kind, body in self._db.execute(query, (job,)):
                yield at, self.event(seq, kind, body)

    def placed(self, batch: int) -> BatchPlaced | None:
        """How that batch came to its host; None of results that were taken from an earlier run. It goes through all
        events."""
        query = "SELECT seq, kind, body FROM events WHERE kind = 'BatchPlaced' AND json_extract(body, '$.batch') = ?"
        with translated(self.path):
            found = self._db.execute(query, (batch,)).fetchone()
        return None if found is None else cast(BatchPlaced, self.event(*found))

    def arguments(self, job: int, task: int) -> bytes | None:
        """Of a call that was added while the run went on, as CBOR; None where there is none, or it was not kept."""
        if self.version < 2:
            return None
        query = "SELECT first, sizes, arguments FROM calls WHERE job = ? AND first <= ? ORDER BY first DESC LIMIT 1"
        with translated(self.path):
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
        query = "SELECT seq, body FROM events WHERE kind = ? ORDER BY seq"
        with translated(self.path):
            for seq, body in self._db.execute(query, (kind.__name__,)):
                yield cast(E, self.event(seq, kind.__name__, body))

    def last(self) -> str:
        """The kind of the newest event; '' where there is none."""
        with translated(self.path):
            found = self._db.execute("SELECT kind FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return found[0] if found else ""

    def walls(self, job: int) -> Iterator[tuple[int, float]]:
        """Of a job's tasks that succeeded, by index: how long each took."""
        query = "SELECT task, wall_s FROM attempts WHERE job = ? AND final = 1 AND outcome = ? ORDER BY task"
        with translated(self.path):
            yield from self._db.execute(query, (job, int(Outcome.SUCCEEDED)))

    def inputs(self) -> dict[str, InputFile]:
        """Local files that were read for tasks, by path."""
        if self.version < 4:
            return {}
        with translated(self.path):
            return {row[0]: InputFile(*row) for row in self._db.execute("SELECT * FROM inputs")}

    def samples(self, after: int = 0, host: str | None = None) -> Iterator[tuple[int, Sample]]:
        """Rows beyond id `after`, with their ids; of one host, or of all."""
        with translated(self.path):
            yield from journalsamples.samples(self._db, self.version, after=after, host=host)

    def progress(self, after: int = 0) -> Iterator[tuple[int, Progress]]:
        """The same of the run."""
        with translated(self.path):
            yield from journalsamples.progress(self._db, self.version, after=after)

    def rows(self, query: str, given: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Of a question of one's own to the tables, read at once: it is to be one whose answer is small."""
        with translated(self.path):
            return self._db.execute(query, given).fetchall()

    def copy(self, path: Path) -> None:
        """A journal like this one, as of now, in a new file that is complete by itself."""
        with translated(path), closing(sqlite3.connect(path)) as db:
            self._db.backup(db)
            db.execute("PRAGMA journal_mode = DELETE")  # whoever unpacks it may not write beside it

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads inside see one moment of the journal, however much is written meanwhile."""
        with translated(self.path):
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    @contextmanager
    def _writing(self, durable: bool = False, size_bytes: Callable[[], int] = lambda: 0) -> Iterator[None]:
        with translated(self.path, size_bytes), transaction(self._db, durable=durable):
            yield


def never_began(path: Path) -> bool:
    """Whether it is sure that a run has no event in its journal, or no journal."""
    try:
        with closing(Journal.open(path, read_only=True)) as journal:
            return not journal.last()
    except RunError:
        return not path.exists()
    except WorldError:
        return False


def _seen_from_here(path: Path) -> bool:
    """Whether a scheduler is at work. Raises WorldError where that is another machine's, and only it may look."""
    if not path.is_file():
        raise RunError(f"{path}: there is no journal; is this a run folder?")
    folder = path.parent
    held, holder = holding.is_held(folder / "jobs.toml"), holding.holder(folder)
    if held is not False and holder is not None and not holder.is_here:
        kind = disk.file_system(folder)
        if disk.is_remote(kind):
            where = f"{folder.name} is worked on by {holder}, and lies on a network file system ({kind})"
            cure = "" if held else f"; where that is not so any more, remove {folder / holding.FILE}"
            raise WorldError(f"{where}: only that machine may open its journal; give the command there{cure}")
    return held is True


def _calls_row(event: TasksAdded) -> tuple[int, int, str, bytes]:
    """Of all calls together: a row for each would cost as much as the row of its result."""
    sizes = json.dumps([None if given is None else len(given) for given in event.arguments], separators=(",", ":"))
    return event.job, event.first, sizes, b"".join(given for given in event.arguments if given is not None)
