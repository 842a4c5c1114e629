"""The journal keeps what it was given, shows one moment to readers, and says what is wrong with it."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchwasm import journal as journal_module
from batchwasm.core import snapshot
from batchwasm.core.events import (
    ArtifactBuilt,
    BatchGivenUp,
    BatchPlaced,
    BatchRecalled,
    Event,
    FileShipped,
    HostAdded,
    HostAway,
    HostBusy,
    HostDrained,
    HostFree,
    HostHeard,
    HostJoined,
    HostLeft,
    HostPlan,
    HostRefused,
    HostRemoved,
    HostReserved,
    HostSetAside,
    HostSilent,
    HostUndrained,
    JobAdded,
    JobPlan,
    Record,
    RunClosed,
    RunFinished,
    RunOpened,
    RunPaused,
    RunPlanned,
    RunStopped,
    RunUnpaused,
    TasksAdded,
    TasksCancelled,
    TasksFinished,
    TasksKnown,
    TasksRetried,
    TasksReturned,
    TasksWithdrawn,
)
from batchwasm.core.state import State
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Answered, Attempt, InputFile, Journal, Progress, Sample
from batchwasm.journalsamples import PROGRESS, SAMPLES
from batchwasm.model import Outcome, Request

PLANNED = RunPlanned(
    run="0123",
    name="run-1",
    jobs=(
        JobPlan(name="a", tasks=5, needs=(Request(cpus=1, memory_bytes=1),), hosts=("h",)),
        JobPlan(name="b", tasks=1, needs=(Request(cpus=2, memory_bytes=3),)),
    ),
    hosts=(HostPlan(name="h"), HostPlan(name="g")),
    max_failures=3,
)
RECORDS = (
    Record(0, 1, Outcome.SUCCEEDED, True, 0, 1.5, 0.1, 0.2, 0.3, 65536, b"\x00\xff", b""),
    Record(
        1,
        1,
        Outcome.FAILED,
        True,
        3,
        1.5,
        0.1,
        0.2,
        0.3,
        0,
        None,
        b"x",
        "exit_code",
        "exited with 3",
        1,
        2.5,
        "o",
        None,
        '[{"path":"é"}]',
    ),
)
EVENTS: list[Event] = [
    PLANNED,
    RunOpened(incarnation=1, pid=7, machine="m", version="0"),
    ArtifactBuilt(job=0, digest="d", bytes=1, language="c", toolchain="zig", cached=False, wall_s=1.0),
    HostRefused(host="g", code="key", text="no", waiting_may_help=False),
    HostJoined(host="h", supervisor="s", cpus=2, memory_bytes=9, facts={"os": "linux"}),
    FileShipped(host="h", kind="wasm", digest="d", bytes=1),
    BatchPlaced(batch=1, job=0, host="h", ranges=((0, 2),)),
    BatchPlaced(batch=2, job=0, host="h", ranges=((2, 4),)),
    TasksFinished(batch=1, job=0, host="h", records=RECORDS),
    TasksReturned(batch=2, ranges=((3, 4),), why="recalled"),
    HostLeft(host="h", code="lost", text="gone"),
    TasksCancelled(code="max_failures", text="enough", running=False),
    RunStopped(code="interrupted", text="by a person"),
    RunFinished(),
]
"""All kinds that version 1 had."""
CALLED = Record(0, 1, Outcome.SUCCEEDED, True, None, 1.5, 0.1, 0.2, 0.3, 65536, b"", b"", value=b"\x01")
LARGE = CALLED._replace(task=1, value=None, value_path="tasks/f/1/value")
CALLS: list[Event] = [
    RunPlanned(run="0123", name="map-1", jobs=(), hosts=(HostPlan(name="h"),), open=True),
    RunOpened(incarnation=1, pid=7, machine="m", version="0"),
    JobAdded(plan=JobPlan(name="f", tasks=0, needs=(Request(cpus=1, memory_bytes=1),), hosts=("h",))),
    TasksAdded(job=0, first=0, count=2, argument_bytes=3, arguments=(b"\x81\x01", None)),
    TasksAdded(job=0, first=2, count=1, argument_bytes=2, arguments=(b"\x81\x02",)),
    HostJoined(host="h", supervisor="s", cpus=2, memory_bytes=9, facts={}),
    BatchPlaced(batch=1, job=0, host="h", ranges=((0, 2),)),
    TasksFinished(batch=1, job=0, host="h", records=(CALLED, LARGE)),
    TasksWithdrawn(job=0, tasks=(2,)),
    RunClosed(),
    RunFinished(),
]
"""A run to which calls of a function were added."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal.create(tmp_path / "journal.db")) as journal:
        yield journal


def light(event: Event) -> Event:
    """As `replay` gives it: without what only `attempts` and `arguments` read."""
    if isinstance(event, TasksAdded):
        return replace(event, arguments=())
    if not isinstance(event, TasksFinished | TasksKnown):
        return event
    heavy = dict.fromkeys(("stdout", "stderr", "outputs", "value", "value_path"))
    return replace(event, records=[record._replace(**heavy) for record in event.records])  # type: ignore[arg-type]


def test_every_event_comes_back_as_it_was(journal: Journal) -> None:
    for n, event in enumerate(EVENTS):
        journal.append([event], float(n))
    assert list(journal.replay()) == [(n + 1, float(n), light(event)) for n, event in enumerate(EVENTS)]
    assert [event for _, _, event in journal.replay(after=10, attempt=2)] == EVENTS[10:]


def test_values_and_arguments_of_calls_come_back_as_they_were(journal: Journal) -> None:
    for n, event in enumerate(CALLS):
        journal.append([event], float(n))
    assert [event for _, _, event in journal.replay()] == [light(event) for event in CALLS]
    assert [attempt.record for attempt in journal.attempts()] == [CALLED, LARGE]
    assert [journal.arguments(0, task) for task in range(4)] == [b"\x81\x01", None, b"\x81\x02", None]
    assert journal.state().counts[Outcome.CANCELLED] == 1


LIVE: list[Event] = [
    *EVENTS[:8],
    HostAdded(plan=HostPlan(name="g")),
    HostDrained(host="h", text="exam"),
    HostUndrained(host="h"),
    HostBusy(host="h", text="load"),
    HostFree(host="h"),
    HostSilent(host="h"),
    HostHeard(host="h"),
    HostSetAside(host="h", until=9.0, text="fails"),
    HostReserved(host="h", job=0),
    BatchRecalled(batch=2),
    BatchGivenUp(batch=2, job=0, host="h"),
    HostRemoved(host="g"),
    TasksFinished(batch=1, job=0, host="h", records=[record._replace(disk_bytes=7) for record in RECORDS]),
    *EVENTS[11:],
]
"""A run whose hosts came, went and were kept."""
RESUMED: list[Event] = [
    *EVENTS[:3],
    HostJoined(host="h", supervisor="s", cpus=2, memory_bytes=9, facts={}, batches=()),
    TasksKnown(job=1, records=[RECORDS[0]._replace(number=0, cached="run-0 b/0")]),
    BatchPlaced(batch=1, job=0, host="h", ranges=((0, 4),)),
    RunPaused(text="by alice"),
    HostAway(host="h", code="lost", text="no route"),
    RunOpened(incarnation=2, pid=8, machine="m", version="0"),
    RunUnpaused(),
    HostJoined(host="h", supervisor="s", cpus=2, memory_bytes=9, facts={}, batches=(1,)),
    TasksFinished(batch=1, job=0, host="h", records=[record._replace(digest="a-b-c") for record in RECORDS]),
    TasksWithdrawn(job=0, tasks=(), ranges=((2, 5),), by="alice"),
    TasksRetried(job=0, ranges=((1, 2),), by="bob"),
    RunFinished(),
]
"""A run that was left and resumed, with results that were known, and persons who changed their minds."""
GOLDEN = {1: EVENTS, 2: CALLS, 3: LIVE, 4: RESUMED}
"""What the journals in tests/golden were given by the version that made them. They are never made anew: old runs must
stay readable."""


@pytest.mark.parametrize("version", GOLDEN)
def test_a_golden_journal_of_an_earlier_version_is_read_as_it_is(version: int) -> None:
    with closing(Journal.open(golden(version), read_only=True)) as old:
        assert [event for _, _, event in old.replay()] == [light(event) for event in GOLDEN[version]]
        assert old.state().finished
        assert old.version == version


@pytest.mark.parametrize("version", GOLDEN)
def test_a_journal_of_an_earlier_version_is_brought_up_by_who_writes_to_it(tmp_path: Path, version: int) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(golden(version).read_bytes())
    with closing(Journal.open(path, read_only=True)) as old:
        before = list(old.attempts())
        assert old.arguments(0, 0) == (b"\x81\x01" if version == 2 else None)
        assert old.inputs() == {}
    with closing(Journal.open(path, read_only=False)) as new:
        new.append([replace(CALLS[4], first=7)], 0.0)  # type: ignore[type-var]
        assert new.arguments(0, 7) == b"\x81\x02"
        assert new.answer(new.ask("drain", {}, 1.0)) is None
        new.append([], 0.0, inputs=[InputFile("/a", 1, 2, "d")])
        assert new.inputs() == {"/a": InputFile("/a", 1, 2, "d")}
    with closing(Journal.open(path, read_only=True)) as read:
        assert list(read.attempts()) == before
        events = [event for _, _, event in read.replay()]
        assert events[:-1] == [light(event) for event in GOLDEN[version]]


def golden(version: int) -> Path:
    return Path(__file__).parent / f"golden/journal-{version}.db"


def test_a_request_of_another_process_is_seen_until_it_is_answered_with_what_came_of_it(journal: Journal) -> None:
    with closing(Journal.open(journal.path, read_only=False)) as other:
        first = other.ask("drain", {"hosts": ["h"]}, 1.0)
        second = other.ask("undrain", {"hosts": ["é\n"]}, 2.0)
        assert [(asked.id, asked.at, asked.kind, asked.body) for asked in journal.asked(0)] == [
            (first, 1.0, "drain", '{"hosts": ["h"]}'),
            (second, 2.0, "undrain", '{"hosts": ["\\u00e9\\n"]}'),
        ]
        journal.append([HostDrained(host="h")], 3.0, answers=[Answered(first, {"done": 1})])
        assert other.answer(first) == {"done": 1}
        assert other.answer(second) is None
        assert other.last() == "HostDrained"
        assert [asked.id for asked in journal.asked(0)] == [second]
        assert journal.asked(second) == []


def test_a_finished_journal_is_read_by_who_may_not_write_beside_it() -> None:
    """In an archive, another user's folder, a read-only mount."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))  # pytest's own folder is ours alone
    try:
        with closing(Journal.create(folder / "journal.db")) as journal:
            journal.append(EVENTS, 0.0)
        (folder / "journal.db").chmod(0o444)
        folder.chmod(0o555)
        assert as_nobody(lambda: read_all(folder / "journal.db")) == len(EVENTS)
        assert os.listdir(folder) == ["journal.db"]
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def read_all(path: Path) -> int:
    with closing(Journal.open(path, read_only=True)) as journal:
        assert journal.state().finished
        assert len(list(journal.attempts())) == len(RECORDS)
        return len(list(journal.replay()))


def as_nobody(action: Callable[[], int]) -> int:
    """What it gives, below 100, to a user for whom permissions count."""
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            os._exit(action())
        except BaseException:
            traceback.print_exc()
            os._exit(100)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_attempts_come_whole_and_in_order(journal: Journal) -> None:
    journal.append([EVENTS[8], TasksFinished(batch=9, job=1, host="g", records=RECORDS[:1])], 0.0)
    assert list(journal.attempts()) == [
        Attempt(1, 0, "h", RECORDS[0]),
        Attempt(1, 0, "h", RECORDS[1]),
        Attempt(9, 1, "g", RECORDS[0]),
    ]
    assert list(journal.attempts(job=0, task=1, final=True)) == [Attempt(1, 0, "h", RECORDS[1])]


def test_a_reader_starts_from_the_checkpoint_and_sees_the_same(journal: Journal) -> None:
    state = State()
    for n, event in enumerate(EVENTS):
        journal.append([event], float(n))
        state.apply(event, float(n))
        if n == 8:
            journal.checkpoint(state)
    with closing(Journal.open(journal.path, read_only=True)) as reader:
        assert snapshot.dump(reader.state()) == snapshot.dump(state)


def test_a_checkpoint_of_another_version_is_passed_over(journal: Journal) -> None:
    journal.append(EVENTS[:3], 0.0)
    with sqlite3.connect(journal.path) as db:
        db.execute("INSERT INTO checkpoints VALUES (3, 0, 999, x'00')")
    db.close()
    assert journal.state().name == "run-1"


def test_only_the_newest_checkpoints_are_kept(journal: Journal) -> None:
    state = State()
    for n, event in enumerate(EVENTS[:6]):
        journal.append([event], float(n))
        state.apply(event, float(n))
        journal.checkpoint(state)
    with sqlite3.connect(journal.path) as db:
        assert [row[0] for row in db.execute("SELECT seq FROM checkpoints")] == [5, 6]
    db.close()


def test_samples_are_a_ring_that_thins_with_age(journal: Journal) -> None:
    samples = [Sample(float(n), "h", 0.5, 1, 2, 3, 4, 5) for n in range(SAMPLES)]
    journal.sample(samples)
    journal.sample([samples[0]._replace(at=1e6 + n) for n in range(10)])
    kept = [sample.at for _, sample in journal.samples()]
    assert len(kept) <= SAMPLES
    assert kept[-1] == 1e6 + 9
    assert kept[1] - kept[0] == 2
    assert kept[-12] - kept[-13] == 1


def test_of_many_hosts_each_keeps_as_many_samples(journal: Journal) -> None:
    hosts = 10
    for n in range(3 * SAMPLES // hosts // 100):  # three rings full
        at = float(n * 100)
        journal.sample([Sample(at + k, f"h{host}", 0.5, 1, 2, 3, 4, 5) for k in range(100) for host in range(hosts)])
    kept: dict[str, list[float]] = {}
    for _, sample in journal.samples():
        kept.setdefault(sample.host, []).append(sample.at)
    assert len(kept) == hosts
    assert max(map(len, kept.values())) - min(map(len, kept.values())) <= 3
    assert all(ats[0] < 16 for ats in kept.values()), "the oldest is thinned, not dropped"
    assert [sample.at for _, sample in journal.samples(host="h3")] == kept["h3"]


def test_how_far_a_run_was_is_a_ring_that_thins_with_age(journal: Journal) -> None:
    for n in range(3 * PROGRESS):
        journal.sample((), Progress(float(n), 1, 4.0, 2.0, 9, 1, n, 0, 0, 0.5))
    kept = [progress.at for _, progress in journal.progress()]
    assert PROGRESS // 2 <= len(kept) <= PROGRESS
    assert kept[0] == 0.0
    assert kept[-1] == 3 * PROGRESS - 1
    steps = [b - a for a, b in itertools.pairwise(kept)]
    assert steps == sorted(steps, reverse=True)
    (last,) = journal.progress(after=3 * PROGRESS - 1)
    assert last == (3 * PROGRESS, Progress(kept[-1], 1, 4.0, 2.0, 9, 1, 3 * PROGRESS - 1, 0, 0, 0.5))


@pytest.mark.parametrize(("limit", "most"), [("REPLAYED_EVENTS", 3), ("REPLAYED_ROWS", 1)])
def test_a_reader_catches_up_by_pages(journal: Journal, monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    pages: list[Any] = []
    read = Journal.snapshot
    monkeypatch.setattr(Journal, "snapshot", lambda self: read(pages.append(self) or self))  # type: ignore[func-returns-value]
    journal.append(EVENTS[:4], 0.0)
    with closing(Journal.open(journal.path, read_only=True)) as reader:
        known = reader.caught_up()
        for n, event in enumerate(EVENTS[4:]):
            journal.append([event], float(n))
        monkeypatch.setattr(journal_module, limit, most)
        pages.clear()
        heard: list[Event] = []
        known = reader.caught_up(known, heard.append)
        assert len(pages) > 1
        assert heard == [light(event) for event in EVENTS[4:]]
        assert (known.seq, known.attempt) == (len(EVENTS), 2)
        assert snapshot.dump(known.state) == snapshot.dump(journal.state())


def test_a_reader_who_fell_behind_goes_on_from_a_newer_checkpoint_if_he_may(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "SPARED_ROWS", 5)
    journal.append(EVENTS[:4], 0.0)
    with closing(Journal.open(journal.path, read_only=True)) as reader:
        known = reader.caught_up()
        journal.append(EVENTS[4:6], 1.0)
        journal.checkpoint(journal.state())
        assert reader.caught_up(known, may_jump=True).state is known.state, "little would be spared"
        known = reader.caught_up(known)
        journal.append(EVENTS[6:9], 2.0)
        journal.append(EVENTS[9:11], 2.0)
        journal.checkpoint(journal.state())
        journal.append(EVENTS[11:12], 3.0)
        jumped = reader.caught_up(known, may_jump=True)
        assert jumped.state is not known.state
        assert snapshot.dump(jumped.state) == snapshot.dump(journal.state())
        assert reader.caught_up(known).state is known.state


def test_a_reader_sees_one_moment_while_the_writer_goes_on(journal: Journal) -> None:
    journal.append(EVENTS[:2], 0.0)
    with closing(Journal.open(journal.path, read_only=True)) as reader:
        with reader.snapshot():
            assert len(list(reader.replay())) == 2
            journal.append(EVENTS[2:3], 0.0)
            assert len(list(reader.replay())) == 2
        assert len(list(reader.replay())) == 3


def test_an_append_that_fails_leaves_nothing_behind(journal: Journal) -> None:
    journal.append(EVENTS[:2], 0.0)
    bad = TasksFinished(batch=1, job=0, host="h", records=[RECORDS[0]._replace(task=2**70)])
    with pytest.raises(OverflowError):
        journal.append([EVENTS[2], bad], 0.0)
    assert len(list(journal.replay())) == 2
    journal.append(EVENTS[2:3], 0.0)
    assert [seq for seq, _, _ in journal.replay()] == [1, 2, 3]


def test_what_is_no_journal_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no journal"):
        Journal.open(tmp_path / "journal.db", read_only=True)
    (tmp_path / "journal.db").write_bytes(b"rubbish" * 1000)
    with pytest.raises(RunError, match="not a journal of batchwasm"):
        Journal.open(tmp_path / "journal.db", read_only=True)


def test_a_journal_of_a_later_version_is_refused_in_words(journal: Journal) -> None:
    with sqlite3.connect(journal.path) as db:
        db.execute("UPDATE meta SET value = '99'")
    db.close()
    with pytest.raises(RunError, match="version 99, this batchwasm reads versions 1 to 5"):
        Journal.open(journal.path, read_only=True)


def test_a_journal_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(WorldError, match="No such file or directory"):
        Journal.create(tmp_path / "nowhere/journal.db")
