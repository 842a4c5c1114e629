"""Both files together."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchwasm import spec
from batchwasm.errors import SpecError
from batchwasm.spec.jobs import TOP_KEYS
from batchwasm.spec.nodes import quoted
from batchwasm.spec.one_source import value_toml
from batchwasm.spec.settings import JOB_KEYS
from tests.spec.folder import Folder


def test_problems_of_both_files_come_in_one_error_each_with_file_line_and_key(folder: Folder) -> None:
    inventory = folder.write("inventory.toml", "[hosts.a]\n\ncpus = 0\n")
    folder.write("jobs.toml", '[jobs.j]\nsource = "no.c"\nverify = 0\n')
    with pytest.raises(SpecError) as caught:
        spec.load(folder.jobs)
    assert str(caught.value).splitlines() == [
        line
        for text in (
            f"{folder.jobs}:2: jobs.j.source: there is no file {folder.path / 'no.c'}",
            f"{folder.jobs}:3: jobs.j.verify: 0 is not a whole number from 1 up",
            f"{inventory}:3: hosts.a.cpus: 0 is not a whole number from 1 to 65536",
        )
        for line in text.splitlines()
    ]


def test_a_job_whose_source_or_sweep_is_wrong_is_checked_against_files_and_hosts_too(folder: Folder) -> None:
    folder.write("a.c")
    rest = 'inputs = ["no.txt"]\nstdin = "no"\nhosts = "gone"\nmounts = ["no"]\n'
    said = folder.wrong(f'[jobs.a]\nsource = "no.c"\n{rest}[jobs.b]\n{rest}[jobs.c]\nsource = "a.c"\nsweep = 1\n{rest}')
    keys = [line.split(": ")[1] for line in said]
    names = ("inputs[0]", "stdin", "hosts")
    assert keys[:4] == ["jobs.a.source", *(f"jobs.a.{name}" for name in names)]
    assert keys[4:8] == ["jobs.b", *(f"jobs.b.{name}" for name in names)]
    assert keys[8:] == ["jobs.c.sweep", "jobs.c.hosts"]  # whether {n} is a name only the sweep tells


def test_syntax_errors_of_both_files_come_in_one_error(folder: Folder) -> None:
    folder.write("inventory.toml", "x")
    folder.write("jobs.toml", "[jobs\n")
    with pytest.raises(SpecError) as caught:
        spec.load(folder.jobs)
    assert [(Path(p.file).name, p.line) for p in caught.value.problems] == [("jobs.toml", 1), ("inventory.toml", 1)]


def test_a_missing_jobs_file_is_a_problem(folder: Folder) -> None:
    with pytest.raises(SpecError, match="there is no such file"):
        spec.load(folder.jobs)


def test_files_are_named_as_the_user_named_them(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("sub/jobs.toml", "x = 1")
    folder.write("sub/inventory.toml", "y = 1")
    monkeypatch.chdir(folder.path)
    with pytest.raises(SpecError) as caught:
        spec.load(Path("sub/jobs.toml"))
    assert {problem.file for problem in caught.value.problems} == {"sub/jobs.toml", "sub/inventory.toml"}


def test_a_relative_path_gives_an_absolute_folder(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write("a.c")
    folder.write("jobs.toml", '[jobs.j]\nsource = "a.c"')
    monkeypatch.chdir(folder.path)
    run, _ = spec.load(Path("jobs.toml"))
    assert run.folder == folder.path
    assert run.jobs[0].source.paths == (folder.path / "a.c",)


NAMES = st.sampled_from(
    [*TOP_KEYS, *JOB_KEYS, "job", "each", "a", "b", "lab[1-3]", "range", "glob", "rows", "from", "to", "defines", "job"]
)
TEXTS = st.one_of(
    st.sampled_from(
        ["a.c", "*", "{a}", "{index}", "5%", "90s", "1GiB", "a", "", "..", "/", "@a/b", "@a", "20:00-8:00"]
    ),
    st.text(),
)
SCALARS = st.one_of(st.integers(), st.floats(), st.booleans(), TEXTS)
VALUES = st.recursive(SCALARS, lambda v: st.one_of(st.lists(v, max_size=3), st.dictionaries(NAMES, v, max_size=3)))
TABLES = st.dictionaries(NAMES, VALUES, max_size=4)
JOBS = st.fixed_dictionaries({"jobs": st.dictionaries(NAMES, TABLES, max_size=2)}, optional={"defaults": TABLES})
HOSTS = st.fixed_dictionaries({"hosts": st.dictionaries(NAMES, TABLES, max_size=2)}, optional={"defaults": TABLES})


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(JOBS, TABLES), st.one_of(HOSTS, TABLES))
def test_any_toml_is_a_run_or_a_spec_error(
    folder: Folder, jobs: dict[str, object], inventory: dict[str, object]
) -> None:
    folder.write("a.c")
    folder.write("inventory.toml", toml(inventory))
    try:
        folder.load(toml(jobs))
    except SpecError as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.text for problem in problems)


def toml(table: dict[str, object]) -> str:
    text = "\n".join(f"{quoted(key)} = {value_toml(value)}" for key, value in table.items())
    return text.encode(errors="replace").decode()


def test_what_a_caller_finds_wrong_with_a_source_is_told_with_the_rest(folder: Folder) -> None:
    folder.write("a.wasm")
    folder.write("b.c")
    folder.write("jobs.toml", 'x = 1\n[defaults]\nsource = "a.wasm"\n[jobs.a]\n[jobs.b]\nsource = "b.c"\n')
    with pytest.raises(SpecError) as caught:
        spec.load(
            folder.jobs, check_job=lambda job, _: [(("source",), "is empty")] if job.source.language == "wasm" else []
        )
    assert [(p.line, p.key) for p in caught.value.problems] == [(1, "x"), (3, "defaults.source")]
