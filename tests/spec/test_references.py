"""What a job says of the others of its file."""

from __future__ import annotations

import pytest

from batchwasm.model import After, Input, Template, ValueOf
from batchwasm.spec import template
from tests.spec.folder import Folder

PREP = '[jobs.prep]\nsource = "a.c"\noutputs = ["out/*.csv"]\n'
MEAN = '[jobs.mean]\nsource = "a.c"\nfunction = "mean"\nargs = [[1.0]]\n'


@pytest.fixture(autouse=True)
def source(folder: Folder) -> None:
    folder.write("a.c")


def wrong(folder: Folder, keys: str) -> list[str]:
    """What is wrong with these keys, which start on line 10, of a job beside `prep` and `mean`."""
    return folder.wrong(f'{PREP}{MEAN}[jobs.j]\nsource = "a.c"\n{keys}')


@pytest.mark.parametrize(
    ("after", "found"),
    [
        ('"prep"', [After(job="prep")]),
        ('["prep", "mean"]', [After(job="prep"), After(job="mean")]),
        ('{ job = "prep", each = true }', [After(job="prep", each=True)]),
        ('[{ job = "mean" }, { job = "prep", each = false }]', [After(job="mean"), After(job="prep")]),
        ("[]", []),
    ],
)
def test_a_job_is_after_others_all_of_them_or_element_by_element(
    folder: Folder, after: str, found: list[After]
) -> None:
    run = folder.run(f'[jobs.j]\nsource = "a.c"\nafter = {after}\n{PREP}{MEAN}')
    assert list(run.jobs[0].after) == found


def test_outputs_of_another_job_are_inputs_and_it_is_waited_for(folder: Folder) -> None:
    keys = 'inputs = ["@prep/out/{n}-*.csv", { from = "@prep/out/x", to = "in/" }]\nsweep = { n = [1] }'
    job = folder.run(f'{PREP}[jobs.j]\nsource = "a.c"\n{keys}').jobs[1]
    assert list(job.inputs) == [
        Input(job="prep", source=Template(parts=("out/", "n", "-*.csv"))),
        Input(job="prep", source=template.constant("out/x"), to=template.constant("in/")),
    ]
    assert job.after == (After(job="prep"),)


def test_what_is_taken_element_by_element_is_what_after_says(folder: Folder) -> None:
    keys = 'inputs = ["@prep/out/*"]\nargs = ["@mean"]\nafter = { job = "prep", each = true }'
    job = folder.run(f'{PREP}{MEAN}[jobs.j]\nsource = "a.c"\n{keys}').jobs[2]
    assert job.after == (After(job="prep", each=True), After(job="mean"))


def test_an_argument_of_a_program_is_a_value_where_it_is_exactly_the_name_of_a_function_of_the_file(
    folder: Folder,
) -> None:
    keys = 'args = ["@mean", "@@mean", "@nobody", "@@nobody", "@@@x", "x@mean", "@mean ", "@", "@@", "@{n}"]'
    job = folder.run(f'{MEAN}[jobs.j]\nsource = "a.c"\nsweep = {{ n = ["mean"] }}\n{keys}').jobs[1]
    assert job.args[0] == ValueOf(job="mean")
    texts = [arg.render({"n": "mean"}) for arg in job.args[1:] if isinstance(arg, Template)]
    assert texts == ["@mean", "@nobody", "@nobody", "@@x", "x@mean", "@mean ", "@", "@@", "@mean"]
    assert job.after == (After(job="mean"),)


def test_arguments_of_a_function_may_be_values_at_any_depth(folder: Folder) -> None:
    keys = 'function = "f"\nargs = ["@mean", [1, ["@mean", "@@mean"]], { a = "@mean" }]'
    job = folder.run(f'{MEAN}[jobs.j]\nsource = "a.c"\n{keys}').jobs[1]
    value = ValueOf(job="mean")
    assert job.values == (value, (1, (value, template.constant("@mean"))), {"a": value})


def test_a_function_may_come_from_the_defaults_and_a_job_may_come_later(folder: Folder) -> None:
    text = '[defaults]\nsource = "a.c"\nfunction = "f"\n[jobs.j]\nargs = ["@mean"]\n[jobs.mean]\n'
    assert folder.run(text).jobs[0].values == (ValueOf(job="mean"),)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ('after = "prp"', "10: jobs.j.after: there is no job 'prp'; did you mean 'prep'?"),
        ('after = ["zzz"]', "10: jobs.j.after[0]: there is no job 'zzz'; jobs are prep, mean, j"),
        ('after = [{ job = "maen" }]', "10: jobs.j.after[0].job: there is no job 'maen'; did you mean 'mean'?"),
        ("after = 5", "10: jobs.j.after: 5 is not a string"),
        ("after = [{ each = true }]", '10: jobs.j.after[0]: misses job; write { job = "NAME", each = true }'),
        ('after = { job = "prep", each = 1 }', "10: jobs.j.after.each: 1 is not true or false"),
        ('after = { job = "prep", all = 1 }', "10: jobs.j.after.all: unknown key; keys are each, job"),
        ('after = ["prep", { job = "prep" }]', "10: jobs.j.after[1]: 'prep' comes twice; write it once"),
        (
            'inputs = ["@prp/x"]',
            "10: jobs.j.inputs[0]: there is no job 'prp' (a file is written './@prp/x'); did you mean 'prep'?",
        ),
        ('inputs = ["@mean/x"]', "10: jobs.j.inputs[0]: the job 'mean' has no outputs; write outputs = [...] into it"),
        ('inputs = ["@prep"]', "10: jobs.j.inputs[0]: '@prep' names no outputs; write '@JOB/GLOB' for those of a job,"),
        ('inputs = ["@prep/"]', "10: jobs.j.inputs[0]: '@prep/' names no outputs"),
        ('inputs = ["@prep/../x"]', "10: jobs.j.inputs[0]: '../x' leaves the task's folder; write a glob inside it"),
        (
            'inputs = [{ from = "@/x" }]',
            "10: jobs.j.inputs[0].from: there is no job '' (a file is written './@/x'); jobs are prep, mean, j",
        ),
        ('args = ["@prep"]', "10: jobs.j.args[0]: the job 'prep' has no function, so it gives no value; take its out"),
        ('function = "f"\nargs = [["@prep"]]', "11: jobs.j.args[0][0]: the job 'prep' has no function"),
        ('args = ["@j"]', "10: jobs.j.args[0]: the job 'j' has no function"),
    ],
)
def test_what_another_job_does_not_give_is_told(folder: Folder, keys: str, says: str) -> None:
    assert wrong(folder, keys)[0].startswith(says)


def test_a_reference_of_the_defaults_is_told_where_it_stands(folder: Folder) -> None:
    text = '[defaults]\nsource = "a.c"\nafter = ["gone"]\n[jobs.a]\n[jobs.b]\n'
    assert folder.wrong(text) == ["3: defaults.after[0]: there is no job 'gone'; jobs are a, b"]
