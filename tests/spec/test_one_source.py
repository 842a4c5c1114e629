"""The run without a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from batchwasm import spec
from batchwasm.errors import SpecError
from batchwasm.model import MIB
from batchwasm.spec import one_source
from tests.spec.folder import Folder


@pytest.fixture(autouse=True)
def here(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The working folder is that of the test."""
    monkeypatch.chdir(folder.path)
    return folder


def wrong(source: str, *args: str, **options: object) -> list[str]:
    with pytest.raises(SpecError) as caught:
        spec.from_source(Path(source), args, **options)  # type: ignore[arg-type]
    return [str(problem) for problem in caught.value.problems]


def test_a_source_and_its_arguments_are_a_run(folder: Folder) -> None:
    folder.write("pi.rs")
    run, inventory = spec.from_source(Path("pi.rs"), ["1000", "--fast", "{n}"], sweep=["n=1..100"])
    [job] = run.jobs
    assert (run.name, job.name, run.folder, len(job)) == ("pi", "pi", folder.path, 100)
    assert [arg.render(job.params(99)) for arg in job.args] == ["1000", "--fast", "100"]
    assert inventory.hosts[0].name == "localhost"


@pytest.mark.parametrize(
    ("written", "values"),
    [
        ("n=1..3", [1, 2, 3]),
        ("n=-1..1", [-1, 0, 1]),
        ("n=7..7", [7]),
        ("n=1,2,3", [1, 2, 3]),
        ("n=0.5,1e3,x,true", [0.5, 1000.0, "x", True]),
        ("n=a b", ["a b"]),
        ("n=a=b,", ["a=b", ""]),
        ("n=1e999,nan", ["1e999", "nan"]),
        ("n=007", [7]),
    ],
)
def test_a_sweep_is_a_range_with_both_ends_or_a_list(folder: Folder, written: str, values: list[object]) -> None:
    folder.write("a.c")
    sweep = spec.from_source(Path("a.c"), [], sweep=[written])[0].jobs[0].sweep
    found = [sweep.params(index)["n"] for index in range(len(sweep))]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_several_sweeps_multiply(folder: Folder) -> None:
    folder.write("a.c")
    job = spec.from_source(Path("a.c"), [], sweep=["a=1..2", "b=x,y"])[0].jobs[0]
    assert [tuple(job.sweep.params(i).values()) for i in range(4)] == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]


def test_settings_are_keys_of_the_job_and_none_is_left_out(folder: Folder) -> None:
    folder.write("a.c")
    folder.write("in.txt")
    settings = {"memory": "64MiB", "cpus": 2, "time_limit": None, "inputs": ["in.txt"], "env": {"A B": "x"}}
    [job] = spec.from_source(Path("a.c"), [], settings=settings)[0].jobs
    assert (job.limits.memory_bytes, job.request.cpus, job.limits.time_s, len(job.inputs)) == (64 * MIB, 2, None, 1)
    assert job.env["A B"].render({}) == "x"


def test_the_text_loaded_from_a_file_gives_an_equal_spec(folder: Folder, tmp_path: Path) -> None:
    folder.write("sub/my prog.c")
    (tmp_path / "up.go").touch()
    args = ['q"uote', "back\\slash", "new\nline", "tab\t", "ünï", "{n}", "{{n}}", ""]
    for source in ("sub/my prog.c", str(tmp_path / "up.go")):
        settings = {"memory": "64MiB", "outputs": ["*.o?"], "cpus": 0.25, "gpus": 1, "labels": ["!x"], "retries": 2}
        run, _ = spec.from_source(Path(source), args, sweep=["n=1..5", "s=a,0.1"], settings=settings)
        assert spec.load(folder.write("jobs.toml", run.text))[0] == run


def test_an_argument_that_reads_as_a_reference_is_meant_literally(folder: Folder) -> None:
    folder.write("prog.c")
    args = ["@prog", "@@prog", "@", "@other", "a@b", "@a b"]
    [job] = spec.from_source(Path("prog.c"), args)[0].jobs
    assert [arg.render({}) for arg in job.args] == args
    assert job.after == ()


def test_a_project_folder_gives_its_name_even_as_a_dot(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("sieve/Cargo.toml")
    assert spec.from_source(Path("sieve"), [])[0].name == "sieve"
    monkeypatch.chdir(folder.path / "sieve")
    run = spec.from_source(Path("."), [])[0]
    assert (run.name, run.jobs[0].source.paths) == ("sieve", (folder.path / "sieve",))


def test_hosts_and_inventory_are_those_of_any_run(folder: Folder) -> None:
    folder.write("a.c")
    inventory = folder.write("lab.toml", "[hosts.lab01]\n[hosts.lab02]\n")
    _, found = spec.from_source(Path("a.c"), [], inventory=inventory, hosts="lab02")
    assert [host.name for host in found.hosts] == ["lab02"]


def test_problems_are_named_as_on_the_command_line(folder: Folder) -> None:
    folder.write("a.c")
    assert wrong("b.c", sweep=["n"], settings={"memory": "lots", "time_limit": "x", "verify": 0}) == [
        "--sweep: 'n' has no NAME=VALUES; write such as n=1..100 or n=1,2,3",
        f"SOURCE: there is no file {folder.path / 'b.c'}; did you mean 'a.c'?",
        "--memory: 'lots' is not a size; write bytes or a size such as '256MiB'",
        "--time-limit: 'x' is not a duration; write seconds or a duration such as '90s', '15m', '1h30m', '2d'",
        "--verify: 0 is not a whole number from 1 up",
    ]


@pytest.mark.parametrize(
    ("sweep", "says"),
    [
        (["n=5..1"], "--sweep: '5..1' goes down; write 1..5"),
        (["n=1..3,7"], "--sweep: '1..3,7' is a range and a list; write one, such as n=1..100 or n=1,2,3"),
        (["=1"], "--sweep: '=1' has no NAME=VALUES"),
        (["n=1", "n=2"], "--sweep: 'n' is swept twice; write all its values in one --sweep"),
        (["job=1"], "--sweep job: 'job' always means the job's name"),
        (["a-b=1"], "--sweep a-b: 'a-b' can't be written as {name}"),
    ],
)
def test_a_sweep_that_is_wrong_says_why(folder: Folder, sweep: list[str], says: str) -> None:
    folder.write("a.c")
    [problem] = wrong("a.c", sweep=sweep)
    assert problem.startswith(says)


def test_an_argument_that_is_wrong_has_its_place(folder: Folder) -> None:
    folder.write("a.c")
    assert wrong("a.c", settings={"labels": ["a b"]})[0].startswith("--label[0]: 'a b' is not a label")
    assert wrong("a.c", settings={"cpus": -0.5}) == ["--cpus: -0.5 is not a number above 0; write such as 4 or 0.25"]
    assert wrong("a.c", "x", "a\0b") == ["ARGS[1]: a NUL character can't be passed on; leave it out"]
    assert wrong("a.c", hosts="a,,b") == ["--hosts: 'a,,b' has an empty name; write a hostlist such as 'lab[01-12,15]'"]


def test_a_name_that_is_no_text_is_a_problem(folder: Folder) -> None:
    (folder.path / os.fsdecode(b"a\xff.c")).touch()
    [problem] = wrong(os.fsdecode(b"a\xff.c"))
    assert problem == "SOURCE: 'a\\udcff.c' is not UTF-8; rename it"


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.booleans(), TEXTS)
VALUES = st.recursive(SCALARS, lambda v: st.one_of(st.lists(v), st.dictionaries(TEXTS, v)), max_leaves=10)


@given(VALUES)
def test_any_value_comes_back_from_the_toml_written_of_it(value: object) -> None:
    assert tomli.loads(f"value = {one_source.value_toml(value)}") == {"value": value}
