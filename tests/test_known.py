"""What is known of earlier runs: where it is, for many runs at once, and what becomes of it when it is wrong."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from batchwasm import known as known_module
from batchwasm.errors import WorldError
from batchwasm.known import Known, Origin, Parts, Success
from batchwasm.store import cache_folder

SAME = Parts(args=b"a", stdin=b"", env=b"e", inputs=b"i", outputs=b"o")


def origin(tmp_path: Path, run: str = "r1", job: str = "j", artifact: str = "m1") -> Origin:
    return Origin(str(tmp_path / run), run, "tour", job, artifact, "program")


def success(task: int, parts: Parts = SAME, word: str = "") -> Success:
    return Success(hashlib.sha256(f"{word}{task}".encode()).digest(), task, parts, {})


@pytest.fixture
def known(tmp_path: Path) -> Known:
    return Known(tmp_path / "cache" / "known.db")


def test_what_was_added_is_found_by_its_key(known: Known, tmp_path: Path) -> None:
    there = [success(task) for task in range(1200)]
    known.add(origin(tmp_path), there, {})
    found = known.find([each.key for each in there] + [b"unknown"])
    assert {hit.task for hit in found.values()} == set(range(1200))
    assert {hit.origin for hit in found.values()} == {origin(tmp_path)}
    assert known.has("m1")
    assert not known.has("m2")


def test_it_is_in_the_users_cache_folder_and_the_users_alone(known: Known) -> None:
    assert Known().path.parent == cache_folder()
    assert known.list() == []
    assert known.path.stat().st_mode & 0o777 == 0o600


def test_the_seal_is_random_and_stays(known: Known, tmp_path: Path) -> None:
    assert known.seal() == Known(known.path).seal()
    assert known.seal() != Known(tmp_path / "other.db").seal()


def test_a_run_that_took_results_has_them_from_its_end_on(known: Known, tmp_path: Path) -> None:
    known.add(origin(tmp_path), [success(0)], {})
    known.take(origin(tmp_path, "r2"), [(success(0).key, 5)])
    assert known.find([success(0).key])[success(0).key].origin.run == "r1"
    known.settle("r2")
    hit = known.find([success(0).key])[success(0).key]
    assert (hit.origin.run, hit.task) == ("r2", 5)


def test_all_of_a_run_is_dropped_together(known: Known, tmp_path: Path) -> None:
    known.add(origin(tmp_path), [success(0)], {})
    known.add(origin(tmp_path, job="k"), [success(1)], {})
    known.add(origin(tmp_path, "r2"), [success(2)], {})
    known.drop([], [origin(tmp_path)])
    assert [each.folder for each in known.list()] == [str(tmp_path / "r2")]


def test_it_is_forgotten_by_run_by_age_by_whether_the_run_is_there_and_as_a_whole(known: Known, tmp_path: Path) -> None:
    for run in ("r1", "r2", "r3"):
        known.add(origin(tmp_path, run), [success(0, word=run)], {})
    (tmp_path / "r1").mkdir()
    (tmp_path / "r1/journal.db").touch()
    assert known.clean(older_than_s=3600) == 0
    assert known.clean(folder=str(tmp_path / "r3")) == 1
    assert known.clean(gone=True) == 1
    assert [each.folder for each in known.list()] == [str(tmp_path / "r1")]
    assert known.clean() == 1


def test_the_oldest_go_when_there_are_too_many(known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_module, "ROWS", 10)
    known.add(origin(tmp_path), [success(task) for task in range(10)], {})
    known.add(origin(tmp_path, "r2"), [success(task) for task in range(10, 20)], {})
    known.settle("r2")
    assert [(each.folder, each.tasks) for each in known.list()] == [(str(tmp_path / "r2"), 10)]


def test_a_damaged_file_is_told_once_and_begun_anew(known: Known, tmp_path: Path) -> None:
    known.path.parent.mkdir()
    known.path.write_bytes(b"not a database, whatever its name says, and long enough to be read" * 100)
    with pytest.raises(WorldError, match="cache of results"):
        known.seal()
    known.add(origin(tmp_path), [success(0)], {})
    assert known.has("m1")


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WorldError, match="can't be used"):
        Known(tmp_path / "file" / "known.db").seal()


def test_many_runs_add_at_once(known: Known, tmp_path: Path) -> None:
    def add(number: int) -> None:
        for at in range(5):
            known.add(origin(tmp_path, f"r{number}"), [success(at, word=str(number))], {})

    threads = [threading.Thread(target=add, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.tasks for each in known.list()) == [5] * 6


def test_the_nearest_is_the_same_task_then_what_differs_least(known: Known, tmp_path: Path) -> None:
    known.add(origin(tmp_path), [success(0, SAME._replace(args=b"x", env=b"y")), success(1, SAME)], {})
    known.add(origin(tmp_path, "r2"), [success(0, SAME._replace(args=b"z"), "mine")], {})
    mine = known.entry(str(tmp_path / "r2"), "r2", "j", 0)
    assert mine is not None
    near = known.nearest(mine)
    assert near is not None
    assert (near.origin.run, near.task) == ("r1", 0)
    near = known.nearest(mine._replace(task=7))
    assert near is not None
    assert near.task == 1


def test_names_behind_a_digest_are_kept_once(known: Known, tmp_path: Path) -> None:
    known.add(origin(tmp_path), [success(0)], {b"i": {"a.csv": "11"}})
    known.add(origin(tmp_path), [success(1)], {b"i": {"a.csv": "11"}})
    assert known.listing(b"i") == {"a.csv": "11"}
    assert known.listing(b"e") is None
