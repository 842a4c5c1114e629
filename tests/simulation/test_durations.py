"""How long tasks last: what users write, and the numbers that come of it."""

from __future__ import annotations

from statistics import fmean

import pytest

from batchwasm.errors import SpecError
from batchwasm.simulation import Distribution, FromRun, Walls, parse
from batchwasm.simulation.durations import drawn

JOBS = ("prep", "sim")


def one(text: str) -> Distribution:
    found = parse([text], JOBS).every
    assert isinstance(found, Distribution)
    return found


@pytest.mark.parametrize(
    ("text", "mean"),
    [
        ("5s", 5.0),
        ("fixed(2m)", 120.0),
        ("uniform(10s, 60s)", 35.0),
        ("exponential(mean=30s)", 30.0),
        ("lognormal(mean=30s)", 30.0),
        ("lognormal(30s, 0.5)", 30.0),
    ],
)
def test_a_distribution_has_the_mean_that_it_says(text: str, mean: float) -> None:
    draw = drawn("sim", one(text))
    assert fmean(draw(n) for n in range(40_000)) == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("text", ["5s", "uniform(10s, 60s)", "exponential(mean=30s)", "lognormal(mean=30s, sigma=2)"])
def test_what_is_shown_can_be_read_again(text: str) -> None:
    found = one(text)
    assert one(found.text).text == found.text


def test_each_task_has_its_own_duration_and_the_same_every_time() -> None:
    model = one("lognormal(mean=30s)")
    first, again, other = (drawn(name, model) for name in ("sim", "sim", "prep"))
    assert [first(n) for n in range(50)] == [again(n) for n in reversed(range(50))][::-1]
    assert len({first(n) for n in range(50)} | {other(n) for n in range(50)}) == 100


def test_jobs_have_their_own_and_a_run_is_named_with_all_that_is_in_its_name() -> None:
    found = parse(["prep=5s, 1m", "sim=from runs/a, b-3"], JOBS)
    assert [model.text for model in (found.of("prep"), found.every) if isinstance(model, Distribution)] == [
        "fixed(5s)",
        "fixed(60s)",
    ]
    assert found.of("sim") == FromRun("runs/a, b-3")


def test_times_of_a_run_are_taken_task_by_task_and_drawn_where_one_is_not_known() -> None:
    draw = drawn("sim", Walls(by_task=(1.0, 0.0, 3.0), others=(1.0, 3.0)))
    assert (draw(0), draw(2)) == (1.0, 3.0)
    assert {draw(1), *(draw(n) for n in range(3, 40))} == {1.0, 3.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing is written"),
        ("lots", "says no durations; write fixed(30s)"),
        ("lognorml(mean=3s)", "did you mean 'lognormal'?"),
        ("prp=3s", "there is no job 'prp'; did you mean 'prep'?"),
        ("uniform(60s, 10s)", "goes down; write uniform(10s, 60s)"),
        ("uniform(60s)", "does not say high"),
        ("exponential(mean=30s, sigma=1)", "exponential has no 'sigma', but mean"),
        ("lognormal(mean=30s, sigma=x)", "sigma is 'x'; write a number from 0 to 10"),
        ("fixed(1s, 2s)", "has too many values"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(SpecError, match="--durations") as raised:
        parse([text], JOBS)
    assert said in str(raised.value)


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(SpecError) as raised:
        parse(["prp=3s", "lots"], JOBS)
    assert len(raised.value.problems) == 2
