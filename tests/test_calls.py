"""A job's calls: arguments out of its table and sweep, typed and encoded, and what is wrong with them told."""

from __future__ import annotations

from pathlib import Path

import cbor2
import pytest

from batchwasm import api
from batchwasm.calls import JobCalls
from batchwasm.errors import SpecError
from batchwasm.functions import read
from batchwasm.functions.types import Float, Int, List, Map, Record, String, Type
from tests import reactors

F64, U8 = Float(64), Int(8, False)
POINT = Record("Point", (("x", F64), ("y", F64)))


def jobs(folder: Path, text: str, *params: Type) -> Path:
    reactors.write(folder / "f.wasm", reactors.ECHO, "f", U8, *params)
    (folder / "jobs.toml").write_text(f'[jobs.j]\nsource = "f.wasm"\nfunction = "f"\n{text}\n')
    return folder / "jobs.toml"


def arguments(path: Path) -> list[list[object]]:
    spec, _ = api.load(path)
    (job,) = spec.jobs
    calls = JobCalls(job, read(job.source))
    return [cbor2.loads(calls.arguments(index)) for index in range(len(job))]


@pytest.mark.parametrize(
    ("text", "params", "expected"),
    [
        ("args = [1, 2.5]", (U8, F64), [[1, 2.5]]),
        ('args = ["{n}"]\nsweep = { n = [1, 2] }', (U8,), [[1], [2]]),
        ('args = ["{n}"]\nsweep = { n = [1, 2] }', (F64,), [[1.0], [2.0]]),
        ('args = ["n is {n}"]\nsweep = { n = [1] }', (String(),), [["n is 1"]]),
        ('args = [{ x = "{n}", y = 1 }]\nsweep = { n = [0.5] }', (POINT,), [[{"x": 0.5, "y": 1.0}]]),
        ('args = [{ a = ["{job}", "{{n}}"] }]\nsweep = { n = [0.5] }', (Map(List(String())),), [[{"a": ["j", "{n}"]}]]),
        ('args = ["{index}"]\nsweep = { n = [5, 6] }', (U8,), [[0], [1]]),
        ('args = ["{t}"]\nsweep = { t = { lines = "t.txt" } }', (U8,), [[7], [8]]),
        ('args = ["{t}"]\nsweep = { t = { lines = "t.txt" } }', (String(),), [["7"], ["8"]]),
        ("", (), [[]]),
    ],
)
def test_arguments_keep_their_types(
    tmp_path: Path, text: str, params: tuple[Type, ...], expected: list[list[object]]
) -> None:
    (tmp_path / "t.txt").write_text("7\n8\n")
    assert arguments(jobs(tmp_path, text, *params)) == expected


@pytest.mark.parametrize(
    ("text", "params", "told"),
    [
        ("args = [300]", (U8,), "jobs.toml:4: jobs.j.args: a: 300 does not fit u8"),
        ('args = ["{n}"]\nsweep = { n = [1, 2, 256] }', (U8,), "task 2: a: 256 does not fit u8"),
        ("args = [1]", (U8, U8), "jobs.j.args: it takes 2 arguments (a: u8, b: u8), found 1"),
        ('args = ["{t}"]\nsweep = { t = ["x"] }', (U8,), "'x'"),
        ("args = [[1, true]]", (List(F64),), "a[1]"),
        ("args = [{ x = 1 }]", (POINT,), "y"),
    ],
)
def test_arguments_that_do_not_fit_are_told_with_all_other_problems(
    tmp_path: Path, text: str, params: tuple[Type, ...], told: str
) -> None:
    path = jobs(tmp_path, f"{text}\nmemory = 'lots'" if not text.startswith("args = [300]") else text, *params)
    with pytest.raises(SpecError) as caught:
        api.load(path)
    found = str(caught.value)
    if "lots" in path.read_text():
        assert "'lots' is not a size" in found
        path.write_text(path.read_text().replace("memory = 'lots'", ""))
        with pytest.raises(SpecError) as caught:
            api.load(path)
        found = str(caught.value)
    assert told in found


def test_a_function_that_is_not_there_is_told_at_its_key(tmp_path: Path) -> None:
    path = jobs(tmp_path, "args = [1]", U8)
    path.write_text(path.read_text().replace('function = "f"', 'function = "g"'))
    with pytest.raises(SpecError, match=r"jobs.toml:3: jobs.j.function: .* has no function g"):
        api.load(path)


def test_a_language_without_functions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zig").write_text("")
    (tmp_path / "jobs.toml").write_text('[jobs.j]\nsource = "a.zig"\nfunction = "f"\n')
    with pytest.raises(SpecError, match="functions of zig sources can't be called"):
        api.load(tmp_path / "jobs.toml")


def test_reuse_is_for_functions(tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("")
    (tmp_path / "jobs.toml").write_text('[jobs.j]\nsource = "a.c"\nreuse = true\n')
    with pytest.raises(SpecError, match="only calls of a function can share an instance"):
        api.load(tmp_path / "jobs.toml")


GRAPH = """
[jobs.prep]
source = "prep.wasm"
function = "prep"
args = [1]
{prep}
[jobs.next]
source = "next.wasm"
function = "next"
{next}
"""
SWEEP = "sweep = { n = [1, 2, 3] }"
EACH = SWEEP + "\nafter = { job = 'prep', each = true }"


def graph(folder: Path, gives: Type | None, takes: Type, args: str, *, prep: str = "", next: str = "") -> Path:
    """Two functions, of which one takes what the other gives."""
    reactors.write(folder / "prep.wasm", reactors.ECHO, "prep", gives, U8)
    reactors.write(folder / "next.wasm", reactors.ECHO, "next", U8, takes)
    text = GRAPH.format(prep=prep, next=f"args = {args}\n{next}")
    (folder / "jobs.toml").write_text(text)
    return folder / "jobs.toml"


@pytest.mark.parametrize(
    ("gives", "takes", "args", "prep", "next"),
    [
        (F64, F64, '["@prep"]', "", ""),
        (F64, List(F64), '["@prep"]', SWEEP, ""),
        (F64, F64, '["@prep"]', SWEEP, EACH),
        (F64, List(F64), '[["@prep", 1, "@prep"]]', "", SWEEP),
        (F64, POINT, '[{ x = "@prep", y = "{n}" }]', "", SWEEP),
        (U8, Float(32), '["@prep"]', "", ""),
        (String(), Map(List(String())), '[{ a = "@prep" }]', SWEEP, ""),
    ],
)
def test_what_a_function_gives_may_be_an_argument_of_another(
    tmp_path: Path, gives: Type, takes: Type, args: str, prep: str, next: str
) -> None:
    spec, _ = api.load(graph(tmp_path, gives, takes, args, prep=prep, next=next))
    assert [(after.job, after.each) for after in spec.jobs[1].after] == [("prep", next == EACH)]


@pytest.mark.parametrize(
    ("gives", "takes", "args", "prep", "told"),
    [
        (String(), F64, '["@prep"]', "", "jobs.toml:10: jobs.next.args[0]: prep gives string; a takes f64"),
        (F64, U8, '["@prep"]', "", "jobs.next.args[0]: prep gives f64; a takes u8"),
        (
            F64,
            F64,
            '["@prep"]',
            SWEEP,
            "jobs.next.args[0]: prep gives f64, and as a list that of each of its 3 tasks; a takes f64",
        ),
        (F64, List(F64), '["@prep"]', "", "jobs.next.args[0]: prep gives f64; a takes list<f64>"),
        (F64, POINT, '[{ x = 1, y = "@prep", z = 1 }]', "", "jobs.next.args: a: Point has no field 'z'"),
        (String(), POINT, '[{ x = 1, y = "@prep" }]', "", "jobs.next.args[0]: prep gives string; a.y takes f64"),
        (String(), List(F64), '[[1, "@prep"]]', "", "jobs.next.args[0]: prep gives string; a[1] takes f64"),
        (F64, F64, '[["@prep"]]', "", "jobs.next.args: a: expected f64, found a list"),
        (F64, F64, '["@prep", 1]', "", "jobs.next.args: it takes 1 argument (a: f64), found 2"),
        (None, F64, '["@prep"]', "", "jobs.next.args[0]: the function of prep gives nothing: prep(a: u8)"),
    ],
)
def test_a_value_whose_type_cannot_fit_is_told_before_anything_starts(
    tmp_path: Path, gives: Type | None, takes: Type, args: str, prep: str, told: str
) -> None:
    with pytest.raises(SpecError) as caught:
        api.load(graph(tmp_path, gives, takes, args, prep=prep))
    assert told in str(caught.value)
    assert len(caught.value.problems) == 1
