"""The key of a task: all that its result follows from is in it, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.engine.keys import Key, Keys
from batchwasm.runner.protocol import TaskWork, Work

A, B = "a" * 64, "b" * 64
SEAL = b"s" * 32
WORK = Work(
    batch=1,
    run="r-1",
    job="j",
    artifact=A,
    spool="/s",
    memory_bytes=2**24,
    stdout_bytes=2**20,
    disk_bytes=2**30,
    files=10,
    args=["x"],
    env={"E": "1"},
    stdin=A,
    inputs=[("in", A)],
    outputs=["out"],
)
TASK = TaskWork(0, 1)


def key(work: Work = WORK, task: TaskWork = TASK, how: str = "program", seal: bytes = SEAL) -> Key:
    return Keys(work, how, seal).of(task)


@pytest.mark.parametrize(
    "fields",
    [
        {"artifact": B},
        {"job": "k"},
        {"args": ["y"]},
        {"args": ["x", ""]},
        {"env": {"E": "2"}},
        {"env": {"F": "1"}},
        {"env": {}},
        {"stdin": None},
        {"stdin": B},
        {"inputs": [("in", B)]},
        {"inputs": [("ni", A)]},
        {"inputs": [("in", A), ("more", A)]},
        {"outputs": []},
    ],
    ids=str,
)
def test_each_part_changes_the_key(fields: dict[str, Any]) -> None:
    assert key(replace(WORK, **fields)).key != key().key


@pytest.mark.parametrize(
    "fields",
    [{"batch": 2}, {"run": "r-2"}, {"spool": "/t"}, {"memory_bytes": 1}, {"time_s": 5.0}, {"stdout_bytes": 1}],
    ids=str,
)
def test_where_when_and_within_which_limits_it_runs_does_not(fields: dict[str, Any]) -> None:
    assert key(replace(WORK, **fields)).key == key().key
    assert key(task=TaskWork(7, 3)).key == key().key


def test_how_its_module_is_used_changes_the_key() -> None:
    assert key(how="program deterministic").key != key().key


def test_random_numbers_that_are_those_of_the_task_bind_its_result_to_it() -> None:
    how = "program deterministic seeded"
    assert key(task=TaskWork(1, 1), how=how).key != key(how=how).key
    assert key(task=TaskWork(0, 2), how=how).key == key(how=how).key


@pytest.mark.parametrize(
    ("task", "fields"),
    [
        (TaskWork(0, 1, args=["y"]), {"args": ["y"]}),
        (TaskWork(0, 1, env={"F": "1"}), {"env": {"F": "1"}}),
        (TaskWork(0, 1, stdin=B), {"stdin": B}),
        (TaskWork(0, 1, outputs=["o"]), {"outputs": ["o"]}),
        (TaskWork(0, 1, inputs=[("more", B)]), {"inputs": [("in", A), ("more", B)]}),
    ],
    ids=str,
)
def test_what_a_task_has_of_its_own_counts_as_if_all_shared_it(task: TaskWork, fields: dict[str, Any]) -> None:
    assert key(task=task) == key(replace(WORK, **fields))


def test_arguments_of_a_call_count_the_same_in_a_message_and_in_a_file() -> None:
    import hashlib

    call = replace(WORK, call=True, args=[])
    inline = key(call, TaskWork(0, 1, arguments=b"\x81\x01"))
    assert inline.key == key(call, TaskWork(0, 1, arguments_file=hashlib.sha256(b"\x81\x01").hexdigest())).key
    assert inline.key != key(call, TaskWork(0, 1, arguments=b"\x81\x02")).key


texts = st.text(max_size=5)


@given(
    env=st.dictionaries(texts, texts, max_size=6),
    inputs=st.dictionaries(texts, st.sampled_from([A, B])),
    data=st.data(),
)
def test_the_order_in_which_it_is_rendered_does_not(env: dict[str, str], inputs: dict[str, str], data: Any) -> None:
    one = key(replace(WORK, env=env, inputs=list(inputs.items()), outputs=["a", "b"]))
    other_env = dict(data.draw(st.permutations(list(env.items()))))
    other_inputs = data.draw(st.permutations(list(inputs.items())))
    assert key(replace(WORK, env=other_env, inputs=other_inputs, outputs=["b", "a"])) == one


def test_nobody_finds_a_variable_by_trying_what_it_may_be() -> None:
    mine, other = key(), key(seal=b"t" * 32)
    assert mine.parts.env != other.parts.env
    assert mine.parts.args == other.parts.args
    assert "1" not in [value for items in mine.lists.values() for value in items.values()]


def test_names_behind_parts_are_told_unless_they_are_too_many() -> None:
    assert {frozenset(items) for items in key().lists.values()} == {frozenset({"E"}), frozenset({"in"})}
    many = replace(WORK, env={}, inputs=[(f"f{n}", A) for n in range(2000)])
    assert key(many).lists == {}
