"""Values that know where they stand, and the book of problems."""

from __future__ import annotations

import tomli
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.errors import Problem
from batchwasm.spec import nodes
from batchwasm.spec.lines import Lines
from batchwasm.spec.nodes import Node, Report


def test_a_path_is_written_as_toml_writes_it() -> None:
    assert nodes.dotted(("jobs", "pi", "args", 2)) == "jobs.pi.args[2]"
    assert nodes.dotted(("hosts", "lab[02-40]", "cpus")) == 'hosts."lab[02-40]".cpus'
    assert nodes.dotted(()) == ""


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_quoted_text_is_that_text_in_toml(text: str) -> None:
    assert tomli.loads(f"{nodes.quoted(text)} = {nodes.quoted(text)}") == {text: text}


def test_the_nearest_names_are_offered() -> None:
    assert nodes.did_you_mean("memry", ["memory", "cpus"]) == "; did you mean 'memory'?"
    assert nodes.did_you_mean("zzz", ["memory", "cpus"]) == ""


def test_a_problem_is_told_once_and_in_the_order_of_lines() -> None:
    report = Report(file="f", lines=Lines(by_path={("a",): 2, ("b",): 1}))
    for key in ("a", "b", "a"):
        report.add((key, "x"), "is wrong")
    assert report.problems == [
        Problem(file="f", line=1, key="b.x", text="is wrong"),
        Problem(file="f", line=2, key="a.x", text="is wrong"),
    ]
    assert str(report.problems[0]) == "f:1: b.x: is wrong"


def test_a_problem_of_a_job_is_told_where_its_key_stands() -> None:
    report = Report(
        file="f", lines=Lines(by_path={("defaults", "cpus"): 1, ("jobs", "a"): 2, ("jobs", "b", "cpus"): 4})
    )
    report.add_to_job("a", ("cpus",), "x")
    report.add_to_job("b", ("cpus",), "x")
    report.add_to_job("a", ("memory",), "x")
    assert [(p.line, p.key) for p in report.problems] == [
        (1, "defaults.cpus"),
        (2, "jobs.a.memory"),
        (4, "jobs.b.cpus"),
    ]


def test_a_whole_number_beyond_64_bits_is_a_problem_not_a_traceback() -> None:
    report = Report(file="f")
    huge = Node(value=1 << 50_000, path=("n",), report=report)
    assert huge.scalar() is None
    assert huge.whole(1) is None
    assert [problem.text for problem in report.problems] == [
        "is a whole number of more than 64 bits; write it as a string",
        "a number of many digits is not a whole number from 1 up",
    ]
    assert Node(value=2**64 - 1, path=("n",), report=report).scalar() == 2**64 - 1
