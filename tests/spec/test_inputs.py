"""The files that tasks are given."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from batchwasm.errors import SpecError
from batchwasm.model import RunSpec
from batchwasm.spec import inputs
from batchwasm.spec.inputs import check_inputs, output_globs, stdin_path, task_inputs
from tests.spec.folder import Folder


def run(folder: Folder, keys: str) -> RunSpec:
    folder.write("a.c")
    return folder.run(f'[jobs.j]\nsource = "a.c"\n{keys}')


def given(folder: Folder, keys: str, index: int = 0) -> dict[str, Path]:
    spec = run(folder, keys)
    return {found.to: found.path for found in task_inputs(spec, spec.jobs[0], index)}


def test_globs_keep_paths_relative_to_the_jobs_file(folder: Folder) -> None:
    for name in ("data/b.csv", "data/a b.csv", "data/sub/ü.csv", "x.txt", "data/.hidden"):
        folder.write(name)
    assert given(folder, 'inputs = ["data/*.csv", "./x.txt"]') == {
        "data/a b.csv": folder.path / "data/a b.csv",
        "data/b.csv": folder.path / "data/b.csv",
        "x.txt": folder.path / "x.txt",
    }
    assert set(given(folder, 'inputs = ["data/**"]')) == {"data/a b.csv", "data/b.csv", "data/sub/ü.csv"}


def test_a_name_that_looks_like_a_glob_is_that_file(folder: Folder) -> None:
    folder.write("a[1].txt")
    folder.write("a1.txt")
    assert set(given(folder, 'inputs = ["a[1].txt"]')) == {"a[1].txt"}
    (folder.path / "a[1].txt").unlink()
    assert set(given(folder, 'inputs = ["a[1].txt"]')) == {"a1.txt"}


def test_values_of_parameters_are_literal_in_a_glob(folder: Folder) -> None:
    for name in ("in/x*.1", "in/xy.1", "in/x*.2"):
        folder.write(name)
    assert set(given(folder, 'inputs = ["in/{f}.*"]\nsweep = { f = ["x*"] }')) == {"in/x*.1", "in/x*.2"}


def test_files_that_are_known_are_found_by_the_same_rules_wherever_they_are_now(folder: Folder) -> None:
    names = ("data/b.csv", "data/a b.csv", "data/sub/ü.csv", "data/.hidden", "in/x*.1", "in/xy.1", "a[1].txt", "a1.txt")
    for name in names:
        folder.write(name)
    (folder.path / "../far.txt").write_text("")
    keys = """
    inputs = ["data/*.csv", "data/**", "in/{f}.*", "a[1].txt", { from = "../f*.txt", to = "far/" }]
    stdin = "a1.txt"
    sweep = { f = ["x*"] }"""
    spec = run(folder, keys)
    there = task_inputs(spec, spec.jobs[0], 0)
    known = {str(folder.path / name) for name in names} | {os.path.normpath(folder.path / "../far.txt")}
    shutil.rmtree(folder.path)
    assert task_inputs(spec, spec.jobs[0], 0, known) == there
    assert stdin_path(spec, spec.jobs[0], 0, known) == folder.path / "a1.txt"
    with pytest.raises(SpecError, match="no file that was read is"):
        task_inputs(spec, spec.jobs[0], 0, known - {str(folder.path / "a[1].txt"), str(folder.path / "a1.txt")})


def test_each_task_gets_its_own(folder: Folder) -> None:
    folder.write("1.txt")
    folder.write("2.txt")
    keys = 'inputs = [{ from = "{n}.txt", to = "in/{job}-{index}" }]\nsweep = { n = [1, 2] }'
    assert given(folder, keys, 1) == {"in/j-1": folder.path / "2.txt"}


def test_a_file_from_outside_goes_where_to_says(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "o.txt").touch()
    for source in ("../o.txt", str(tmp_path / "o.txt")):
        keys = f'inputs = [{{ from = {json.dumps(source)}, to = "in.txt" }}]'
        assert given(folder, keys) == {"in.txt": tmp_path / "o.txt"}


def test_a_target_that_ends_in_a_slash_is_a_folder(folder: Folder, tmp_path: Path) -> None:
    for name in ("d/x/1", "d/2"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    keys = 'inputs = [{ from = "../d/**", to = "in/" }, { from = "../d/2", to = "other/" }]'
    assert given(folder, keys) == {
        "in/x/1": tmp_path / "d/x/1",
        "in/2": tmp_path / "d/2",
        "other/2": tmp_path / "d/2",
    }


def test_an_absolute_path_inside_the_folder_keeps_its_place(folder: Folder) -> None:
    path = folder.write("data/x.txt")
    assert given(folder, f"inputs = [{json.dumps(str(path))}]") == {"data/x.txt": path}


def test_the_same_file_twice_on_one_target_is_one_file(folder: Folder) -> None:
    folder.write("x.txt")
    assert set(given(folder, 'inputs = ["x.txt", "*.txt"]')) == {"x.txt"}


def test_a_symlink_is_the_file_it_leads_to(folder: Folder) -> None:
    folder.write("x.txt")
    (folder.path / "link.txt").symlink_to("x.txt")
    assert set(given(folder, 'inputs = ["link.txt"]')) == {"link.txt"}


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('inputs = ["nope.txt"]', "3: jobs.j.inputs[0]: there is no file "),
        ('inputs = ["datta.txt"]', "did you mean 'data.txt'?"),
        ('inputs = ["*.nope"]', "3: jobs.j.inputs[0]: no file matches "),
        ('inputs = ["folder"]', "is a folder; write 'folder/**' for all files in it"),
        ('inputs = ["pipe"]', "is not a regular file"),
        ('inputs = ["../outside.txt"]', "is outside the folder of jobs.toml; write { from = ..., to = 'NAME' }"),
        ('inputs = [{ from = "data.txt", to = "/x" }]', "to is '/x'; write a path inside the task's folder"),
        ('inputs = [{ from = "data.txt", to = "a/../../x" }]', "to is 'a/../../x'; write a path inside"),
        ('inputs = [{ from = "data.txt", to = "." }]', "to is '.'; write a path inside the task's folder"),
        ('inputs = [{ from = "*.txt", to = "x" }]', "would both become 'x'; give one another `to`"),
        ('inputs = [{ from = "data.txt", to = "x" }, { from = "b.txt", to = "x" }]', "3: jobs.j.inputs[1]: "),
        (
            'inputs = [{ from = "data.txt", to = "x" }, { from = "b.txt", to = "x/y" }]',
            "'x' would be a file and a folder",
        ),
        (
            'inputs = [{ from = "data.txt", to = "x/y" }, { from = "b.txt", to = "x" }]',
            "'x' would be a file and a folder",
        ),
        ('stdin = "nope"', "3: jobs.j.stdin: there is no file "),
        ('stdin = "folder"', "is a folder; name a file"),
        ('stdin = "{n}.txt"\nsweep = { n = ["data", "c"] }', "3: jobs.j.stdin: task j/1: there is no file "),
        ('inputs = ["{n}.txt"]\nsweep = { n = ["b", "c"] }', "3: jobs.j.inputs[0]: task j/1: there is no file "),
    ],
)
def test_inputs_that_are_wrong_are_told_before_anything_starts(folder: Folder, keys: str, says: str) -> None:
    folder.write("data.txt")
    folder.write("b.txt")
    (folder.path / "folder").mkdir()
    (folder.path.parent / "outside.txt").touch()
    os.mkfifo(folder.path / "pipe")
    [problem] = folder.wrong_job(keys)
    assert says in problem


def test_an_input_in_a_mount_is_a_problem(folder: Folder) -> None:
    folder.write("inventory.toml", "[hosts.a.mounts]\ndata = '/data'\n")
    folder.write("x.txt")
    keys = 'mounts = ["data"]\ninputs = [{ from = "x.txt", to = "mnt/data/x" }]'
    assert "'mnt/data/x' is inside a mount" in folder.wrong_job(keys)[0]


def test_many_missing_inputs_are_counted_after_the_first_ten(folder: Folder) -> None:
    found = folder.wrong_job('inputs = ["{n}.in"]\nsweep = { n = { range = [0, 500] }, m = { range = [0, 1000] } }')
    assert len(found) == inputs.SHOWN + 1
    assert found[-1] == "3: jobs.j.inputs: and 490 more like these"


def test_an_input_that_is_wrong_for_all_tasks_is_told_once_and_hides_no_other(folder: Folder) -> None:
    keys = 'inputs = ["nope", "{n}.in"]\nstdin = "no"\nsweep = { n = { range = [0, 500] } }'
    found = folder.wrong_job(keys)
    assert found[0].startswith("3: jobs.j.inputs[0]: there is no file ")
    assert [line.split()[3] for line in found[1 : inputs.SHOWN]] == [f"j/{n}:" for n in range(inputs.SHOWN - 1)]
    assert found[inputs.SHOWN] == "3: jobs.j.inputs: and 491 more like these"
    assert found[inputs.SHOWN + 1].startswith("4: jobs.j.stdin: there is no file ")


def test_all_that_is_wrong_with_one_tasks_inputs_is_told_at_once(folder: Folder) -> None:
    folder.write("b.txt")
    keys = 'inputs = ["nope.txt", { from = "b.txt", to = "../up" }, "b.txt", "*.none"]'
    found = folder.wrong_job(keys)
    assert [line.partition(": ")[2].partition(":")[0] for line in found] == [
        "jobs.j.inputs[0]",
        "jobs.j.inputs[1]",
        "jobs.j.inputs[3]",
    ]


def test_a_file_that_vanishes_is_a_problem_of_the_task(folder: Folder) -> None:
    path = folder.write("x.txt")
    spec = run(folder, 'inputs = ["x.txt"]\nstdin = "x.txt"')
    path.unlink()
    with pytest.raises(SpecError, match=r"jobs.j.inputs\[0\]: task j/0: there is no file"):
        task_inputs(spec, spec.jobs[0], 0)
    with pytest.raises(SpecError, match=r"jobs.j.stdin: task j/0: there is no file"):
        stdin_path(spec, spec.jobs[0], 0)
    assert [problem.key for problem in check_inputs(spec)] == ["jobs.j.inputs[0]", "jobs.j.stdin"]
    assert [problem.line for problem in check_inputs(spec)] == [3, 4]


def test_stdin_is_a_file_of_the_task(folder: Folder) -> None:
    folder.write("in 1")
    spec = run(folder, 'stdin = "in {n}"\nsweep = { n = [1] }')
    assert stdin_path(spec, spec.jobs[0], 0) == folder.path / "in 1"
    assert stdin_path(run(folder, ""), run(folder, "").jobs[0], 0) is None


def test_values_are_literal_in_the_globs_of_outputs_too(folder: Folder) -> None:
    spec = run(folder, 'outputs = ["{f}*", "log?"]\nsweep = { f = ["a[1]?"] }')
    assert output_globs(spec.jobs[0], 0) == ("a[[]1][?]*", "log?")


def test_inputs_of_the_defaults_are_told_once_where_they_stand(folder: Folder) -> None:
    folder.write("a.c")
    text = '[defaults]\ninputs = ["no"]\n[jobs.a]\nsource = "a.c"\n[jobs.b]\nsource = "a.c"'
    [problem] = folder.wrong(text)
    assert problem.startswith("2: defaults.inputs[0]: there is no file")
