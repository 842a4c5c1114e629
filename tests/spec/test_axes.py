"""The keys sweep, zip, include and omit."""

from __future__ import annotations

import itertools
import json
import os
import tracemalloc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchwasm.model import Scalar
from tests.spec.folder import Folder


def values(folder: Folder, keys: str) -> list[tuple[Scalar, ...]]:
    sweep = folder.job(keys).sweep
    return [tuple(sweep.params(index).values()) for index in range(len(sweep))]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ('[1, 2.5, "x", true]', [1, 2.5, "x", True]),
        ("{ range = [0, 5] }", [0, 1, 2, 3, 4]),
        ("{ range = [10, 0, -4] }", [10, 6, 2]),
        ("{ range = [0, 0.5, 0.1] }", [0.0, 0.1, 0.2, 0.3, 0.4]),
        ("{ range = [1, 2, 0.3] }", [1.0, 1.3, 1.6, 1.9]),
        ("{ linspace = [0, 1, 5] }", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("{ linspace = [3, 9, 1] }", [3.0]),
        ("{ linspace = [1, -1, 3] }", [1.0, 0.0, -1.0]),
        ("{ logspace = [-2, 1, 4] }", [0.01, 0.1, 1.0, 10.0]),
        ("{ logspace = [0, 1, 3] }", [1.0, 10**0.5, 10.0]),
    ],
)
def test_values_are_written_in_many_forms(folder: Folder, written: str, wanted: list[Scalar]) -> None:
    found = values(folder, f"sweep = {{ a = {written} }}")
    assert found == [(value,) for value in wanted]
    assert [type(value) for (value,) in found] == [type(value) for value in wanted]


def test_all_combinations_the_last_key_fastest(folder: Folder) -> None:
    found = values(folder, 'sweep = { a = [1, 2], b = ["x", "y"] }')
    assert found == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


def test_a_glob_gives_files_sorted_relative_to_the_jobs_file(folder: Folder) -> None:
    for name in ("data/b.csv", "data/a[1].csv", "data/ä b.csv", "data/sub/c.csv", "data/d.txt"):
        folder.write(name)
    assert values(folder, 'sweep = { f = { glob = "data/*.csv" } }') == [
        ("data/a[1].csv",),
        ("data/b.csv",),
        ("data/ä b.csv",),
    ]
    assert ("data/sub/c.csv",) in values(folder, 'sweep = { f = { glob = "data/**" } }')


def test_a_glob_outside_the_folder_gives_paths_as_written(folder: Folder) -> None:
    (folder.path.parent / "x.csv").touch()
    assert values(folder, 'sweep = { f = { glob = "../*.csv" } }') == [("../x.csv",)]
    absolute = str(folder.path.parent / "*.csv")
    assert values(folder, f"sweep = {{ f = {{ glob = {json.dumps(absolute)} }} }}") == [
        (str(folder.path.parent / "x.csv"),)
    ]


def test_a_glob_that_matches_a_name_that_is_no_text_is_a_problem(folder: Folder) -> None:
    (folder.path / os.fsdecode(b"\xff.csv")).touch()
    for keys in ('sweep = { f = { glob = "*.csv" } }', 'inputs = ["*.csv"]'):
        [problem] = folder.wrong_job(keys)
        assert "has a name that is not UTF-8; rename it" in problem


def test_lines_of_a_file_are_texts(folder: Folder) -> None:
    folder.write("params.txt", "1\n two \n\nthrée\r\na\u2028b\n")
    assert values(folder, 'sweep = { p = { lines = "params.txt" } }') == [("1",), (" two ",), ("thrée",), ("a\u2028b",)]


@pytest.mark.parametrize("keys", ['sweep = { rows = "p.csv" }', 'sweep = { any_name = { rows = "p.csv" } }'])
def test_rows_of_a_table_go_together(folder: Folder, keys: str) -> None:
    folder.write("p.csv", 'a,b\n1,"x, y"\n2,z\n')
    assert values(folder, keys) == [("1", "x, y"), ("2", "z")]
    assert folder.job(keys).sweep.names == ("a", "b")


def test_rows_multiply_with_other_keys(folder: Folder) -> None:
    folder.write("p.jsonl", '{"a": 1, "b": true}\n{"a": 2, "b": false}\n')
    found = values(folder, 'sweep = { rows = "p.jsonl", seed = { range = [0, 2] } }')
    assert found == [(1, True, 0), (1, True, 1), (2, False, 0), (2, False, 1)]


def test_zipped_lists_advance_together_at_the_place_of_the_first(folder: Folder) -> None:
    found = folder.job('sweep = { a = [1, 2], b = [5, 6], c = ["x", "y"] }\nzip = [["a", "c"]]').sweep
    assert [found.params(i) for i in range(len(found))] == [
        {"a": 1, "c": "x", "b": 5},
        {"a": 1, "c": "x", "b": 6},
        {"a": 2, "c": "y", "b": 5},
        {"a": 2, "c": "y", "b": 6},
    ]


def test_include_adds_and_omit_drops(folder: Folder) -> None:
    keys = "sweep = { a = [1, 2], b = [1, 2] }\ninclude = [{ b = 9, a = 1 }]\nomit = [{ a = 1, b = 2 }, { a = 2.0 }]"
    assert values(folder, keys) == [(1, 1), (1, 9)]


def test_include_alone_is_a_sweep(folder: Folder) -> None:
    assert values(folder, "include = [{ a = 1, b = 2 }, { b = 4, a = 3 }]") == [(1, 2), (3, 4)]


def test_omit_does_not_drop_what_include_adds(folder: Folder) -> None:
    assert values(folder, "sweep = { a = [1] }\nomit = [{ a = 1 }]\ninclude = [{ a = 1 }]") == [(1,)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.data())
def test_omit_drops_what_a_plain_filter_would(folder: Folder, lengths: list[int], data: st.DataObject) -> None:
    names = [f"n{i}" for i in range(len(lengths))]
    rows = [dict(zip(names, row, strict=True)) for row in itertools.product(*(range(n) for n in lengths))]
    some = st.sets(st.sampled_from(names), min_size=1)
    table = st.builds(lambda row, keep: {name: row[name] for name in keep}, st.sampled_from(rows), some)
    tables = data.draw(st.lists(table, max_size=3))
    kept = [row for row in rows if not any(t.items() <= row.items() for t in tables)]
    written = ", ".join(f"{name} = {{ range = [0, {n}] }}" for name, n in zip(names, lengths, strict=True))
    omit = ", ".join("{ " + ", ".join(f"{k} = {v}" for k, v in t.items()) + " }" for t in tables)
    if kept:
        found = folder.job(f"sweep = {{ {written} }}\nomit = [{omit}]").sweep
        assert [found.params(i) for i in range(len(found))] == kept
    else:
        assert folder.wrong_job(f"sweep = {{ {written} }}\nomit = [{omit}]") == [
            "4: jobs.j.omit: leaves no combination; omit fewer"
        ]


def test_a_million_combinations_with_an_omit_cost_no_million_objects(folder: Folder) -> None:
    keys = "sweep = { a = { range = [0, 1000] }, b = { range = [0, 1000] } }\nomit = [{ a = 3 }, { b = 5 }]"
    tracemalloc.start()
    job = folder.job(keys)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(job) == 999 * 999
    assert job.params(len(job) - 1) == {"a": 999, "b": 999, "job": "j", "index": 999 * 999 - 1}
    assert job.sweep.params(3 * 999) == {"a": 4, "b": 0}
    assert held < 200_000
    assert peak < 4_000_000


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("sweep = 5", "3: jobs.j.sweep: 5 is not a table; write { KEY = VALUE }"),
        ("sweep = { a = 5 }", "3: jobs.j.sweep.a: 5 is not a sweep's values; write a list, or { range"),
        ("sweep = { a = [] }", "3: jobs.j.sweep.a: has no values"),
        ("sweep = { a = [1, [2]] }", "3: jobs.j.sweep.a[1]: a list is not a string, number or bool"),
        ("sweep = { a = [1979-05-27] }", "3: jobs.j.sweep.a[0]: 1979-05-27 is not a string, number or bool"),
        ("sweep = { a = { rage = [0, 1] } }", "3: jobs.j.sweep.a.rage: unknown form of values; did you mean 'range'?"),
        ("sweep = { a = { range = [0, 1], list = [] } }", "3: jobs.j.sweep.a: has 2 keys and needs one"),
        ("sweep = { a = { range = [1] } }", "3: jobs.j.sweep.a.range: a list does not fit; write [start, stop]"),
        ("sweep = { a = { range = [0, 5, 0] } }", "3: jobs.j.sweep.a.range: has a step of 0"),
        ("sweep = { a = { range = [5, 0] } }", "3: jobs.j.sweep.a: has no values"),
        ("sweep = { a = { range = [0, true] } }", "3: jobs.j.sweep.a.range[1]: true is not a finite number"),
        ("sweep = { a = { range = [0, inf] } }", "3: jobs.j.sweep.a.range[1]: inf is not a finite number"),
        ("sweep = { a = { range = [0, 1e300] } }", "3: jobs.j.sweep.a.range[1]: 1e+300 is too large"),
        ("sweep = { a = { range = [0, 99999999999999999999] } }", "is too large; stay within 64 bits"),
        ("sweep = { a = { linspace = [0, 1, 0] } }", "3: jobs.j.sweep.a.linspace: how many is 0; write a whole number"),
        ("sweep = { a = { linspace = [0, 1, 2.5] } }", "how many is 2.5; write a whole number"),
        ("sweep = { a = { logspace = [0, 999, 3] } }", "first and last are exponents of ten"),
        ('sweep = { a = { glob = "no/*.csv" } }', "3: jobs.j.sweep.a.glob: no file matches"),
        ('sweep = { a = { lines = "no.txt" } }', "3: jobs.j.sweep.a.lines: there is no file"),
        ('sweep = { glob = "*.csv" }', "3: jobs.j.sweep.glob: '*.csv' is not a sweep's values"),
        ("sweep = { job = [1] }", "3: jobs.j.sweep.job: 'job' always means the job's name"),
        ('sweep = { "a-b" = [1] }', "3: jobs.j.sweep.a-b: 'a-b' can't be written as {name}"),
        ("sweep = { a = { range = [0, 100000] }, b = { range = [0, 1000] } }", "makes 100,000,000 tasks; a job has at"),
        ('sweep = { a = [1] }\nzip = [["a", "bb"]]', "4: jobs.j.zip[0][1]: 'bb' is not a key of this job's sweep"),
        ('sweep = { a = [1] }\nzip = ["a"]', "4: jobs.j.zip[0]: 'a' is not a list; write [ ... ]"),
        (
            'sweep = { a = [1], b = [1, 2] }\nzip = [["a", "b"]]',
            "4: jobs.j.zip[0]: lists that advance together need one length; a has 1, b has 2",
        ),
        ("sweep = { a = [1], b = [2] }\ninclude = [{ a = 1 }]", "4: jobs.j.include[0]: misses b"),
        ("sweep = { alpha = [1] }\ninclude = [{ alpa = 1 }]", "jobs.j.include[0].alpa: 'alpa' is not in the other"),
        ("include = [{}]", "3: jobs.j.include[0]: is empty"),
        ("include = [{ index = 1 }]", "3: jobs.j.include[0].index: 'index' always means the task's number"),
        ("sweep = { a = [1, 2] }\nomit = [{ b = 1 }]", "4: jobs.j.omit[0].b: 'b' is not a key of this job's sweep"),
        ("sweep = { a = [1, 2] }\nomit = [{ a = 3 }]", "4: jobs.j.omit[0]: matches no combination"),
        ("sweep = { a = [1, 2] }\nomit = [{ a = true }]", "4: jobs.j.omit[0]: matches no combination"),
        ("sweep = { a = [1, 2] }\nomit = [{}]", "4: jobs.j.omit[0]: is empty, which would omit everything"),
        ("sweep = { a = [1] }\nomit = [{ a = 1 }]", "4: jobs.j.omit: leaves no combination"),
    ],
)
def test_a_sweep_that_is_wrong_says_where_and_why(folder: Folder, keys: str, says: str) -> None:
    found = folder.wrong_job(keys)
    assert any(says in problem for problem in found), found


def test_a_name_that_comes_twice_is_a_problem(folder: Folder) -> None:
    folder.write("p.csv", "a,b\n1,2\n")
    assert folder.wrong_job('sweep = { a = [1], rows = "p.csv" }') == [
        "3: jobs.j.sweep: a comes twice; rename the column or the key"
    ]
