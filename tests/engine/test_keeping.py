"""What is kept of a run from time to time, for who looks at it later."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm.core.events import BatchPlaced, HostJoined, TasksFinished
from batchwasm.core.state import State
from batchwasm.engine import keeping
from batchwasm.engine.keeping import Keeping
from batchwasm.journal import Journal
from batchwasm.runner.protocol import Beat
from tests.test_journal import EVENTS, RECORDS

JOINED = HostJoined(host="h", supervisor="s", cpus=2, memory_bytes=9, facts={})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal.create(tmp_path / "journal.db")) as journal:
        yield journal


@pytest.fixture
def state() -> State:
    state = State()
    for event in (*EVENTS[:3], JOINED, BatchPlaced(batch=1 << 40 | 1, job=0, host="h", ranges=((0, 2),))):
        state.apply(event, 100.0)
    return state


def test_progress_is_kept_often_at_first_and_seldom_later(journal: Journal, state: State) -> None:
    keeping = Keeping(journal)
    for tenth in range(3000):
        keeping.look(state, 100.0 + tenth / 10)
    ats = [progress.at for _, progress in journal.progress()]
    assert ats[1] - ats[0] == pytest.approx(0.5)
    assert ats[-1] - ats[-2] == pytest.approx(5.0)
    assert 60 < len(ats) < 150


def test_progress_has_what_a_chart_needs(journal: Journal, state: State) -> None:
    state.apply(TasksFinished(batch=1 << 40 | 1, job=0, host="h", records=RECORDS[:1]), 110.0)
    Keeping(journal).look(state, 112.0)
    ((_, kept),) = journal.progress()
    assert (kept.at, kept.hosts, kept.cpus, kept.cpus_busy) == (112.0, 1, 2.0, 1.0)
    assert (kept.waiting, kept.running, kept.succeeded, kept.failed, kept.dropped) == (4, 1, 1, 0, 0)
    assert kept.work_s == pytest.approx(0.2 + 2.0), "what ended, and what runs since then"


def test_a_beat_is_kept_with_what_the_run_has_of_the_host(journal: Journal, state: State) -> None:
    kept = Keeping(journal)
    kept.beat(state, "h", Beat(0.5, 1, 2, 3, 4, 5, suspended=1, cpu_share=0.25, memory_bytes=64))
    kept.beat(state, "gone", Beat(0.5, 1, 2, 3, 4, cpu_share=7.5))
    kept.look(state, 200.0)
    known, gone = (sample for _, sample in journal.samples())
    assert (known.cpu_share, known.memory_bytes, known.suspended, known.run_cpus, known.done) == (0.25, 64, 1, 1.0, 0)
    assert (gone.cpu_share, gone.memory_bytes, gone.run_cpus, gone.done) == (1.0, None, None, None)


def test_the_end_is_kept_however_shortly_before_something_was(journal: Journal, state: State) -> None:
    kept = Keeping(journal)
    kept.look(state, 100.0)
    state.last_at = 100.1
    kept.end(state)
    assert [progress.at for _, progress in journal.progress()] == [100.0, 100.1]
    assert keeping.FIRST_SAMPLE_S > 0.1
