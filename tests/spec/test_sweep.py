"""Combinations: counting, indexing, and what they cost."""

from __future__ import annotations

import itertools
import tracemalloc
from array import array
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.model import Scalar
from batchwasm.spec.sweep import Axis, Combinations, Spaced


def axis(name: str, *values: Scalar) -> Axis:
    return Axis(names=(name,), columns=(values,))


def listed(sweep: Combinations) -> list[dict[str, Scalar]]:
    return [sweep.params(index) for index in range(len(sweep))]


def test_no_axes_are_one_combination_of_nothing() -> None:
    assert listed(Combinations()) == [{}]
    assert Combinations().names == ()


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1, max_size=4))
def test_the_product_is_that_of_itertools_the_last_name_fastest(columns: list[list[int]]) -> None:
    names = [f"n{i}" for i in range(len(columns))]
    sweep = Combinations(axes=tuple(axis(n, *c) for n, c in zip(names, columns, strict=True)))
    assert listed(sweep) == [dict(zip(names, row, strict=True)) for row in itertools.product(*columns)]


@given(st.integers(1, 6), st.integers(1, 6), st.data())
def test_omitted_positions_are_left_out_and_included_rows_come_last(one: int, two: int, data: st.DataObject) -> None:
    omitted = sorted(data.draw(st.sets(st.integers(0, one * two - 1))))
    included = data.draw(st.lists(st.tuples(st.integers(50, 60), st.integers(50, 60)), max_size=3))
    sweep = Combinations(
        axes=(Axis(names=("a",), columns=(range(one),)), Axis(names=("b",), columns=(range(two),))),
        omitted=array("I", omitted),
        included=tuple(included),
    )
    product = list(itertools.product(range(one), range(two)))
    wanted = [row for position, row in enumerate(product) if position not in omitted] + included
    assert [tuple(params.values()) for params in listed(sweep)] == wanted


def test_an_axis_of_several_names_advances_together() -> None:
    both = Axis(names=("a", "b"), columns=((1, 2), ("x", "y")))
    assert listed(Combinations(axes=(both, axis("c", True, False)))) == [
        {"a": 1, "b": "x", "c": True},
        {"a": 1, "b": "x", "c": False},
        {"a": 2, "b": "y", "c": True},
        {"a": 2, "b": "y", "c": False},
    ]


@pytest.mark.parametrize("index", [-1, 6, 10**9])
def test_an_index_outside_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError):
        Combinations(axes=(axis("a", 1, 2), axis("b", 1, 2, 3))).params(index)


def test_a_million_combinations_are_not_a_million_objects() -> None:
    tracemalloc.start()
    thousand = range(1000)
    sweep = Combinations(axes=(Axis(names=("a",), columns=(thousand,)), Axis(names=("b",), columns=(thousand,))))
    assert len(sweep) == 1_000_000
    assert sweep.params(999_999) == {"a": 999, "b": 999}
    assert sweep.params(1_000) == {"a": 1, "b": 0}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@given(st.lists(st.integers(1, 3), min_size=1, max_size=4), st.data())
def test_covering_indexes_show_every_combination_of_the_names_once(lengths: list[int], data: st.DataObject) -> None:
    sweep = Combinations(
        axes=tuple(Axis(names=(f"n{i}",), columns=(range(n),)) for i, n in enumerate(lengths)),
        included=(tuple(range(len(lengths))),),
    )
    names = frozenset(data.draw(st.sets(st.sampled_from(sweep.names))))
    covered = list(sweep.covering(names))
    shown = [tuple(sweep.params(index)[name] for name in sorted(names)) for index in covered]
    assert set(shown) == {tuple(params[name] for name in sorted(names)) for params in listed(sweep)}
    assert len(shown) - len(set(shown)) <= 1
    assert covered == sorted(covered)


def test_covering_the_index_is_every_task() -> None:
    sweep = Combinations(axes=(axis("a", 1, 2, 3),))
    assert list(sweep.covering(frozenset({"index"}))) == [0, 1, 2]
    assert list(sweep.covering(frozenset())) == [0]


def test_spaced_values_are_the_floats_that_a_person_would_write() -> None:
    tenths = Spaced(start=Fraction(0), step=Fraction(1, 10), length=11)
    assert list(tenths) == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    powers = Spaced(start=Fraction(-3), step=Fraction(1), length=5, log=True)
    assert list(powers) == [0.001, 0.01, 0.1, 1.0, 10.0]
    assert tenths[-1] == 1.0
    assert tenths[2:4] == [0.2, 0.3]
    with pytest.raises(IndexError):
        tenths[11]
