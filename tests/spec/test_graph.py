"""The order of a file's jobs."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.model import After, Job, Source
from batchwasm.spec import graph
from batchwasm.spec.nodes import Node, Report
from batchwasm.spec.references import References
from batchwasm.spec.sweep import Combinations
from tests.spec.folder import Folder


@pytest.fixture(autouse=True)
def source(folder: Folder) -> None:
    folder.write("a.c")


def jobs(*tables: str) -> str:
    """A jobs.toml of jobs a, b, c ...; each takes three lines."""
    return "".join(f'[jobs.{chr(97 + n)}]\nsource = "a.c"\n{keys}\n' for n, keys in enumerate(tables))


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        (['after = "a"'], ["3: jobs.a.after: a would wait for itself; leave it out"]),
        (
            ['after = "b"', 'after = "a"'],
            ["3: jobs.a.after: a after b after a: a circle, in which nothing can start; leave one out"],
        ),
        (
            ['after = ["d"]', 'after = ["a"]', 'after = ["b"]', 'after = ["c"]'],
            ["3: jobs.a.after[0]: a after d after c after b after a: a circle"],
        ),
        (
            ['outputs = ["x"]\nfunction = "f"\nafter = "b"', 'inputs = ["@a/x"]'],
            ["5: jobs.a.after: a after b after a: a circle"],
        ),
        (
            ['outputs = ["x"]; inputs = ["@b/x"]'.replace("; ", "\n"), 'outputs = ["x"]\ninputs = ["@a/x"]'],
            ["4: jobs.a.inputs[0]: a after b after a: a circle"],
        ),
        (
            ['function = "f"\nargs = ["@a"]', 'after = "b"'],
            ["4: jobs.a.args[0]: a would wait for itself", "7: jobs.b.after: b would wait for itself"],
        ),
        (
            ['after = ["b", "c"]', 'after = ["a"]', 'after = ["a"]'],
            ["3: jobs.a.after[0]: a after b after a: a circle", "3: jobs.a.after[1]: a after c after a: a circle"],
        ),
    ],
)
def test_circles_are_told_by_their_names(folder: Folder, tables: list[str], says: list[str]) -> None:
    found = sorted(folder.wrong(jobs(*tables)))
    assert len(found) == len(says)
    assert all(problem.startswith(start) for problem, start in zip(found, says, strict=True)), found


def test_a_diamond_is_no_circle(folder: Folder) -> None:
    text = jobs('after = ["b", "c"]', 'after = "d"', 'after = "d"', "")
    assert [[after.job for after in job.after] for job in folder.run(text).jobs] == [["b", "c"], ["d"], ["d"], []]


def test_each_needs_equally_many_tasks(folder: Folder) -> None:
    sweep = "sweep = { n = { range = [0, 1000] } }"
    each = 'after = { job = "a", each = true }'
    assert folder.run(jobs(sweep, f"{sweep}\n{each}")).jobs[1].after == (After(job="a", each=True),)
    [problem] = folder.wrong(jobs(sweep, each))
    assert problem == "6: jobs.b.after: each needs as many tasks in both: a has 1,000, b has 1"
    [problem] = folder.wrong(jobs("sweep = 5", each))
    assert problem.startswith("3: jobs.a.sweep"), "how many tasks it would have is not known"


def test_what_chosen_jobs_wait_for_is_needed_too(folder: Folder) -> None:
    run = folder.run(jobs("", 'after = "a"', 'after = "b"', ""))
    assert [job.name for job in graph.needed(run.jobs, ["c"])] == ["a", "b", "c"]
    assert [job.name for job in graph.needed(run.jobs, ["d", "a"])] == ["a", "d"]


def test_a_chain_of_many_jobs_is_no_trouble() -> None:
    names = [f"j{n}" for n in range(5_000)]
    chain = [job(name, [other]) for name, other in itertools.pairwise(names)] + [job(names[-1], [])]
    assert graph.linked(chain, {name: References(siblings={}) for name in names}, ()) == chain
    assert len(graph.needed(chain, ["j0"])) == 5_000


@given(st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("abcdef"))))
def test_there_is_a_problem_where_and_only_where_the_jobs_can_have_no_order(waits: dict[str, set[str]]) -> None:
    report = Report(file="")
    names = "abcdef"
    node = Node(value=None, path=(), report=report)
    found = graph.linked(
        [job(name, sorted(waits.get(name, ()))) for name in names],
        {name: References(siblings={}, awaited=dict.fromkeys(names, node)) for name in names},
        (),
    )
    done: set[str] = set()
    for _ in names:
        done |= {job.name for job in found if {after.job for after in job.after} <= done}
    assert (len(done) < len(names)) is bool(report.found)


def job(name: str, after: list[str]) -> Job:
    source = Source(language="c", paths=())
    return Job(name=name, source=source, sweep=Combinations(), after=tuple(After(job=other) for other in after))
