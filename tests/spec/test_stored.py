"""A sweep as JSON and back."""

from __future__ import annotations

import json

import pytest

from batchwasm.spec import stored
from batchwasm.spec.sweep import Combinations
from tests.spec.folder import Folder


@pytest.mark.parametrize(
    "keys",
    [
        "",
        'sweep = { a = [1, 0.5, "x", true], b = { range = [0, 1000000, 3] } }',
        "sweep = { a = { range = [0, 1, 0.1] }, b = { linspace = [0, 1, 7] }, c = { logspace = [-3, 3, 7] } }",
        'sweep = { a = [1, 2], b = ["x", "y"], c = [1, 2, 3] }\nzip = [["a", "b"]]',
        "sweep = { a = [1, 2], b = [1, 2] }\nomit = [{ a = 1, b = 2 }]\ninclude = [{ a = 7, b = 8 }]",
        "include = [{ a = 1 }, { a = true }]",
    ],
)
def test_a_sweep_comes_back_equal(folder: Folder, keys: str) -> None:
    sweep = folder.job(keys).sweep
    assert isinstance(sweep, Combinations)
    back = stored.from_json(json.loads(json.dumps(stored.to_json(sweep))))
    assert back == sweep
    assert [back.params(i) for i in range(min(50, len(back)))] == [sweep.params(i) for i in range(min(50, len(sweep)))]


def test_a_range_is_stored_as_small_as_it_was_written(folder: Folder) -> None:
    sweep = folder.job("sweep = { a = { range = [0, 1000000] }, b = { linspace = [0, 1, 10] } }").sweep
    assert isinstance(sweep, Combinations)
    assert len(json.dumps(stored.to_json(sweep))) < 300


@pytest.mark.parametrize("column", [5, {"range": [1]}, {"other": []}, None])
def test_what_was_not_stored_is_a_value_error(column: object) -> None:
    fields = {"axes": [{"names": ["a"], "columns": [column]}], "omitted": [], "included": [], "include_names": []}
    with pytest.raises(ValueError, match="not a column of values"):
        stored.from_json(fields)
