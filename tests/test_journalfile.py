"""The journal's file where disks are torn, full, read-only or another machine's."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm import disk, journalfile
from batchwasm.core import snapshot
from batchwasm.core.events import BatchPlaced, Event, HostJoined, RunOpened, RunStopped, TasksFinished
from batchwasm.core.state import State
from batchwasm.errors import BatchwasmError, DiskFull, RunError, WorldError
from batchwasm.journal import Answered, Journal, Sample
from tests.disks import fill, make_room
from tests.test_journal import CALLED, EVENTS, PLANNED, as_nobody

TASKS = 5
SEED = random.randrange(2**32)


def story(tasks: int = TASKS) -> list[Event]:
    """A run whose tasks end one after the other."""
    joined = HostJoined(host="h", supervisor="s", cpus=2, memory_bytes=9, facts={})
    events: list[Event] = [PLANNED, RunOpened(incarnation=1, pid=7, machine="m", version="0"), joined]
    for task in range(tasks):
        record = CALLED._replace(task=task, stdout=random.randbytes(3000))
        events.append(BatchPlaced(batch=task + 1, job=0, host="h", ranges=((task, task + 1),)))
        events.append(TasksFinished(batch=task + 1, job=0, host="h", records=[record]))
    return events


def written(path: Path, events: list[Event], *, checkpoint_at: int = -1) -> None:
    """A journal with these events, an append each, as a process leaves it that is killed."""
    state = State()
    living = path.with_name("living") / path.name
    living.parent.mkdir(parents=True)
    with closing(Journal.create(living)) as journal:
        for n, event in enumerate(events):
            journal.append([event], float(n))
            state.apply(event, float(n))
            if n == checkpoint_at:
                journal.checkpoint(state)
        for name in ("journal.db", "journal.db-wal"):
            shutil.copyfile(living.with_name(name), path.with_name(name))
    shutil.rmtree(living.parent)


# ------------------------------------------------------------------------------------------------------ torn


def prefixes(events: list[Event]) -> list[bytes]:
    """The state after none of them, one, two, ..."""
    state = State()
    found = [snapshot.dump(state)]
    for n, event in enumerate(events):
        state.apply(event, float(n))
        found.append(snapshot.dump(state))
    return found


def test_a_write_ahead_log_cut_anywhere_leaves_a_beginning_of_what_was_written(tmp_path: Path) -> None:
    events = story()
    possible = prefixes(events)
    path = tmp_path / "whole/journal.db"
    path.parent.mkdir()
    written(path, events, checkpoint_at=6)
    wal = path.with_name("journal.db-wal").read_bytes()
    chosen, seen = random.Random(SEED), set()
    for cut in (0, 1, 32, len(wal), *(chosen.randrange(len(wal)) for _ in range(60))):
        torn = tmp_path / f"torn-{cut}"
        torn.mkdir(exist_ok=True)
        shutil.copyfile(path, torn / "journal.db")
        (torn / "journal.db-wal").write_bytes(wal[:cut])
        try:
            with closing(Journal.open(torn / "journal.db", read_only=False)) as journal:
                seen.add(possible.index(snapshot.dump(journal.state())))
                journal.append([RunStopped(code="world", text="")], 99.0)  # and it goes on from there
                assert journal.state().stopped is not None
        except RunError as error:
            never_began = "the run ended before it began" in str(error)  # the tables are in the log, too
            assert never_began, f"seed {SEED}, cut {cut}: {error}"  # noqa: PT017 - either is right
    assert len(seen) > 5, f"seed {SEED}"


@pytest.mark.parametrize("times", range(3))
def test_a_damaged_journal_is_told_in_words_or_read_as_far_as_it_goes(tmp_path: Path, times: int) -> None:
    path = tmp_path / "journal.db"
    with closing(Journal.create(path)) as journal:
        for n, event in enumerate(story(5)):
            journal.append([event], float(n))
        journal.checkpoint(journal.state())
    whole = path.read_bytes()
    dice = random.Random(SEED + times)
    told = 0
    for _ in range(40):
        torn = bytearray(whole)
        at, size = dice.randrange(100, len(torn)), dice.choice((1, 16, 4096))
        torn[at : at + size] = dice.randbytes(min(size, len(torn) - at))
        if dice.random() < 0.2:
            del torn[dice.randrange(4096, len(torn)) :]
        path.write_bytes(torn)
        for read_only in (True, False):
            try:
                with closing(Journal.open(path, read_only=read_only)) as journal:
                    journal.state()
                    list(journal.attempts())
                    list(journal.life(0))
            except BatchwasmError as error:
                told += 1
                assert str(path) in str(error), f"seed {SEED}"  # noqa: PT017 - either is right
    assert told > 0, f"seed {SEED}"


def test_who_takes_a_run_over_finds_damage_that_a_reader_would_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(Journal.create(path)) as journal:
        for n, event in enumerate(story()):
            journal.append([event], float(n))
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'attempts_task'").fetchone()
    with open(path, "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\x55" * 4096)
    with closing(Journal.open(path, read_only=True)) as journal:
        assert journal.state().tasks
    with pytest.raises(RunError, match=r"the journal is damaged: .* Outputs of tasks are whole in .*\.recover"):
        Journal.open(path, read_only=False)


def test_of_a_large_journal_the_newest_rows_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    with closing(Journal.create(path)) as journal:
        for n, event in enumerate(story()):
            journal.append([event], float(n))
    monkeypatch.setattr(journalfile, "CHECKED_BYTES", 0)
    Journal.open(path, read_only=False).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DELETE FROM events WHERE seq = 5")
    with pytest.raises(RunError, match="1 of the events 1 to 13 are not there"):
        Journal.open(path, read_only=False)


def test_a_checkpoint_that_cannot_be_read_is_done_without(tmp_path: Path) -> None:
    with closing(Journal.create(tmp_path / "journal.db")) as journal:
        journal.append(EVENTS[:6], 0.0)
        journal.checkpoint(journal.state())
        with closing(sqlite3.connect(journal.path, isolation_level=None)) as db:
            db.execute("UPDATE checkpoints SET body = x'00'")
        assert journal.state().name == "run-1"


def test_events_that_make_no_sense_are_told_as_damage(tmp_path: Path) -> None:
    with closing(Journal.create(tmp_path / "journal.db")) as journal:
        journal.append([PLANNED, BatchPlaced(batch=1, job=7, host="h", ranges=((0, 2),))], 0.0)
        with pytest.raises(RunError, match=r"event 2 \(BatchPlaced\) does not follow from those before it"):
            journal.state()


def test_an_empty_file_is_a_run_that_never_began(tmp_path: Path) -> None:
    (tmp_path / "journal.db").touch()
    for read_only in (True, False):
        with pytest.raises(RunError, match="the run ended before it began"):
            Journal.open(tmp_path / "journal.db", read_only=read_only)


# ------------------------------------------------------------------------------------- not writable, not ours


def test_a_crashed_run_is_read_from_a_copy_that_nobody_may_write_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Archived with its write-ahead log, on a read-only mount, in another user's folder."""
    root = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folder is ours alone
    folder, copies = root / "archive", root / "tmp"
    try:
        root.chmod(0o755)
        folder.mkdir()
        copies.mkdir()
        copies.chmod(0o777)
        monkeypatch.setattr(tempfile, "tempdir", str(copies))  # others come and go in /tmp
        written(folder / "journal.db", story())
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
        assert as_nobody(lambda: events_in(folder / "journal.db")) == len(story())
        assert sorted(os.listdir(folder)) == ["journal.db", "journal.db-wal"]
        assert os.listdir(copies) == []
    finally:
        folder.chmod(0o755)
        shutil.rmtree(root)


def events_in(path: Path) -> int:
    with closing(Journal.open(path, read_only=True)) as journal:
        assert journal.state().counts
        return len(list(journal.replay()))


def test_who_reads_slowly_is_in_nobody_s_way(tmp_path: Path) -> None:
    with closing(Journal.create(tmp_path / "journal.db")) as journal:
        records = [CALLED._replace(task=task) for task in range(1000)]
        journal.append([PLANNED, TasksFinished(batch=1, job=0, host="h", records=records)], 0.0)
        with closing(Journal.open(journal.path, read_only=True)) as reader:
            rows = reader.attempts(job=0)
            first = next(rows)
            with closing(sqlite3.connect(journal.path, timeout=0, isolation_level=None)) as other:
                assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # nobody reads now
            assert [first.record.task, *(row.record.task for row in rows)] == list(range(1000))


# ------------------------------------------------------------------------------------------------------ full


def filled_by(journal: Journal) -> None:
    """Appends until there is no room."""
    record = CALLED._replace(stdout=b"x" * 60_000)
    while True:
        journal.append([TasksFinished(batch=1, job=0, host="h", records=[record])], 0.0)


def test_a_full_disk_is_told_with_figures_and_leaves_a_journal_that_goes_on(small_disk: Path) -> None:
    path = small_disk / "journal.db"
    with closing(Journal.create(path)) as journal:
        journal.append([PLANNED], 0.0)
        fill(small_disk, leave=1_000_000)
        with pytest.raises(DiskFull, match=r"journal\.db can't be written: the disk is full \(.* free, about .* to"):
            filled_by(journal)
        before = len(list(journal.replay()))
        journal.append([RunStopped(code="world", text="the disk is full")], 1.0)  # there is room for last words
    assert events_in(path) == before + 1  # though nothing can be made beside it
    make_room(small_disk)
    with closing(Journal.open(path, read_only=False)) as journal:
        assert journal.state().stopped == RunStopped(code="world", text="the disk is full")
        journal.append([RunOpened(incarnation=2, pid=7, machine="m", version="0")], 2.0)


def test_on_a_full_disk_no_run_is_begun(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(DiskFull, match="the disk is full"):
        Journal.create(small_disk / "journal.db")


def test_a_run_is_not_taken_over_where_its_last_words_would_have_no_room(small_disk: Path) -> None:
    Journal.create(small_disk / "journal.db").close()
    fill(small_disk, leave=65536)
    with closing(Journal.open(small_disk / "journal.db", read_only=False)) as journal:  # noqa: SIM117
        with pytest.raises(DiskFull, match="128 KiB to be written"):
            journal.append([PLANNED], 0.0)


# --------------------------------------------------------------------------------------- on a network file system


@pytest.fixture
def on_nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "file_system", lambda path: "nfs4")


def mode_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as db:
        mode: str = db.execute("PRAGMA journal_mode").fetchone()[0]
    return mode


def test_there_the_journal_has_no_memory_that_is_shared(on_nfs: None, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with closing(Journal.create(path)) as journal:
        journal.append(EVENTS, 0.0)
        assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith("journal.db")] == ["journal.db"]
        assert mode_of(path) == "delete"
        with closing(Journal.open(path, read_only=True)) as reader, closing(Journal.visit(path)) as visitor:
            asked = visitor.ask("drain", {}, 1.0)
            assert [one.id for one in journal.asked(0)] == [asked]
            assert reader.state().finished
            journal.append([RunOpened(incarnation=2, pid=7, machine="m", version="0")], 2.0)
            assert reader.last() == "RunOpened"


ASKER = """
import sys, time
from contextlib import closing
from pathlib import Path
from batchwasm.journal import Answered, Journal, Sample
for n in range(5):
    with closing(Journal.visit(Path(sys.argv[1]))) as journal:
        asked = journal.ask("drain", {"n": n}, time.time())
        while journal.answer(asked) is None:
            with closing(Journal.open(Path(sys.argv[1]), read_only=True)) as reader:
                assert reader.state().name == "run-1"
                list(reader.attempts())
"""


def test_there_other_terminals_read_and_ask_while_the_scheduler_writes(on_nfs: None, tmp_path: Path) -> None:
    with closing(Journal.create(tmp_path / "journal.db")) as journal:
        journal.append([PLANNED], 0.0)
        askers = [subprocess.Popen([sys.executable, "-c", ASKER, str(journal.path)]) for _ in range(2)]
        answered = 0
        while answered < 10 and not any(asker.poll() for asker in askers):
            asked = journal.asked(0)
            journal.append([], 1.0, answers=[Answered(one.id, {"done": True}) for one in asked])
            journal.sample([Sample(1.0, "h", 0.5, 1, 2, 3, 4, 5)])
            answered += len(asked)
            time.sleep(0.02)  # a scheduler waits for news between two looks, and others have their turn
        assert [asker.wait() for asker in askers] == [0, 0]


def test_a_run_that_was_moved_there_is_taken_over_in_that_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal.db"
    Journal.create(path).close()
    assert mode_of(path) == "wal"
    monkeypatch.setattr(disk, "file_system", lambda path: "nfs4")
    Journal.open(path, read_only=False).close()
    assert mode_of(path) == "delete"


@pytest.mark.parametrize("entry", [lambda path: Journal.open(path, read_only=True), Journal.visit])
def test_there_another_machine_is_told_which_one_may_look(
    on_nfs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: Callable[[Path], Journal]
) -> None:
    from batchwasm.results import RunFolder

    folder = tmp_path / "tour-1"
    folder.mkdir()
    run = RunFolder(path=folder)
    run.jobs.touch()
    Journal.create(run.journal).close()
    with run.held():
        entry(run.journal).close()
        here = socket.gethostname()
        monkeypatch.setattr(socket, "gethostname", lambda: "lab07")
        said = (
            rf"tour-1 is worked on by process {os.getpid()} on {here} since .* network file system \(nfs4\): only that"
        )
        with pytest.raises(WorldError, match=said):
            entry(run.journal)
    entry(run.journal).close()  # the run is over: anyone may look
