"""Mapping over rows: in order or as they come, lazily, a bounded number on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from batchwasm import BadArgument, Fleet, TaskFailed, api
from batchwasm.fleet import mapping


@pytest.mark.parametrize("ordered", [True, False])
def test_all_values_come(fleet: Fleet, picky: Path, ordered: bool) -> None:
    function = fleet.function(picky, "picky")
    rows = [n % 10 for n in range(2000)]
    found = list(fleet.map(function, rows, ordered=ordered))
    assert found == rows if ordered else sorted(found) == sorted(rows)


def test_an_endless_generator_is_pulled_no_further_than_the_bound(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    pulled = 0

    def rows() -> Iterator[int]:
        nonlocal pulled
        for n in count():
            pulled = n + 1
            yield n % 10

    values = fleet.map(function, rows(), in_flight=100)
    assert pulled == 0
    assert list(islice(values, 1000)) == [n % 10 for n in range(1000)]
    assert 1000 <= pulled <= 1100
    values.close()  # type: ignore[attr-defined]
    fleet.shutdown()
    assert api.status(fleet.folder).state == "finished"


def test_a_failure_is_raised_in_its_place_and_the_rest_is_withdrawn(fleet: Fleet, picky: Path) -> None:
    values = fleet.map(fleet.function(picky, "picky"), [1, 2, 13, 3, *[14] * 50])
    assert [next(values), next(values)] == [1, 2]
    with pytest.raises(TaskFailed, match=r"picky\(13\) trapped"):
        next(values)
    fleet.shutdown()
    assert api.status(fleet.folder).tasks.cancelled >= 50


def test_a_row_that_does_not_fit_is_raised_in_its_place(fleet: Fleet, picky: Path) -> None:
    values = fleet.map(fleet.function(picky, "picky"), [1, 256])
    assert next(values) == 1
    with pytest.raises(BadArgument, match="256 does not fit u8"):
        next(values)


def test_outcomes_are_values_too(fleet: Fleet, picky: Path) -> None:
    rows = [((n,), n) for n in (1, 13, 256, 2)] + [(ValueError("no row"), None)]
    function = fleet.function(picky, "picky")
    found = list(fleet.outcomes(function, rows[:-1]))
    assert [type(value).__name__ for value in found] == ["int", "TaskFailed", "BadArgument", "int"]
    with pytest.raises(ValueError, match="no row"):
        list(fleet.outcomes(function, rows))


def test_a_timeout_is_told(fleet: Fleet, picky: Path) -> None:
    with pytest.raises(TimeoutError, match="picky"):
        list(fleet.map(fleet.function(picky, "picky"), [1, 14], timeout=1))


def test_several_iterables_are_taken_together(fleet: Fleet, picky: Path) -> None:
    function = fleet.function(picky, "picky")
    assert list(fleet.starmap(function, [(1,), (2,)])) == [1, 2]
    with pytest.raises(BadArgument):
        list(fleet.map(function, [1], [2]))


def test_nothing_is_mapped_to_nothing(fleet: Fleet, picky: Path) -> None:
    assert list(fleet.map(fleet.function(picky, "picky"), [])) == []


def test_values_that_nobody_takes_hold_up_the_rows(fleet: Fleet, echo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "BYTES_LIMIT", 10_000_000)
    function = fleet.function(echo, "echo")
    pulled = 0

    def rows() -> Iterator[list[float]]:
        nonlocal pulled
        for n in range(200):
            pulled = n + 1
            yield [0.5] * 100_000  # 0.8 MB

    values = fleet.map(function, rows())
    next(values)
    time.sleep(2)  # whatever is on the way ends; nothing more is asked for
    assert pulled < 60
    assert len(list(values)) == 199
