"""Sizes, durations and shares."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.spec import quantities


@pytest.mark.parametrize(
    ("value", "bytes_"),
    [
        (0, 0),
        (1024, 1024),
        ("1024", 1024),
        ("7B", 7),
        ("2KB", 2000),
        ("3MB", 3_000_000),
        ("1GB", 10**9),
        ("1KiB", 1024),
        ("256MiB", 256 * 2**20),
        ("1.5 GiB", 3 * 2**29),
    ],
)
def test_a_size_is_bytes(value: object, bytes_: int) -> None:
    assert quantities.size_bytes(value) == bytes_


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("lots", "'lots' is not a size; write bytes or a size such as '256MiB'"),
        (" 1GiB ", "not a size"),
        ("256M", "did you mean '256MiB'?"),
        ("2gb", "did you mean '2GiB'?"),
        ("1TB", "units are B, KB"),
        (-1, "-1 is not a size"),
        (1.5, "1.5 is not a size"),
        (True, "true is not a size"),
        ("", "'' is not a size"),
        ("-1MiB", "not a size"),
        ("٣MiB", "not a size"),
        ([1], "a list is not a size"),
        ({}, "a table is not a size"),
        (2**63, "not a size"),
        ("999999999999999999GiB", "not a size"),
        ("9" * 5000, "not a size"),
        (None, "not a size"),
    ],
)
def test_what_is_no_size_is_told_what_would_be(value: object, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        quantities.size_bytes(value)


@given(st.integers(0, 10**6), st.sampled_from(sorted(quantities.UNITS)), st.sampled_from(["", " ", "  "]))
def test_a_number_with_a_unit_is_that_many(number: int, unit: str, space: str) -> None:
    assert quantities.size_bytes(f"{number}{space}{unit}") == number * quantities.UNITS[unit]


@given(st.integers(0, quantities.LARGEST))
def test_a_size_in_units_is_the_same_size(count: int) -> None:
    assert quantities.size_bytes(quantities.in_units(count)) == count


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("90", 90.0),
        ("90s", 90.0),
        ("15m", 900.0),
        ("1h30m", 5400.0),
        ("2d", 172800.0),
        ("1d2h3m4s", 93784.0),
        ("1.5h", 5400.0),
        ("0.1s", 0.1),
    ],
)
def test_a_duration_is_seconds(value: object, seconds: float) -> None:
    assert quantities.duration_s(value) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "5 m",
        "30m1h",
        "1h1h",
        "1w",
        "-5s",
        "1H",
        -1,
        True,
        float("nan"),
        float("inf"),
        [],
        2**70,
        "99999999d",
    ],
)
def test_what_is_no_duration_is_told_what_would_be(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write seconds or a duration such as '90s'"):
        quantities.duration_s(value)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_a_duration_is_the_sum_of_its_parts(days: int, hours: int, minutes: int, seconds: int) -> None:
    written = f"{days}d{hours}h{minutes}m{seconds}s"
    assert quantities.duration_s(written) == ((days * 24 + hours) * 60 + minutes) * 60 + seconds


@given(st.text("0123456789.dhmsBKMGi% ", max_size=6))
def test_the_patterns_of_the_schema_take_what_the_parsers_take(text: str) -> None:
    for pattern, parse in (
        (quantities.SIZE_PATTERN, quantities.size_bytes),
        (quantities.DURATION_PATTERN, quantities.duration_s),
    ):
        try:
            parse(text)
        except ValueError:
            assert not re.search(pattern, text)
        else:
            assert re.search(pattern, text)


@pytest.mark.parametrize(
    ("value", "tasks", "failures"),
    [
        (10, 3, 10),
        (1, 100, 1),
        ("5%", 100, 5),
        ("5%", 101, 6),
        ("5%", 10, 1),
        ("0.1%", 10000, 10),
        ("100%", 7, 7),
        ("5%", 0, 1),
        ("12.5 %", 8, 1),
    ],
)
def test_a_share_of_the_tasks_is_rounded_up(value: object, tasks: int, failures: int) -> None:
    assert quantities.failures(value, tasks) == failures


@pytest.mark.parametrize("value", [0, -1, "0%", "101%", "5", "five", 0.5, True, []])
def test_what_is_no_share_is_told_what_would_be(value: object) -> None:
    with pytest.raises(ValueError, match="neither a number of tasks from 1 up nor a share such as '5%'"):
        quantities.failures(value, 100)


@given(st.integers(1, 10**6), st.decimals(Decimal("0.01"), 100, places=2))
def test_a_share_is_never_more_than_one_above_the_exact_one(tasks: int, percent: Decimal) -> None:
    found = quantities.failures(f"{percent}%", tasks)
    assert found >= 1
    assert 0 <= found - tasks * percent / 100 < 1 or found == 1


def test_a_long_value_is_shown_cut() -> None:
    assert quantities.shown("x" * 500).endswith("...")
    assert len(quantities.shown("x" * 500)) == 80


@pytest.mark.parametrize(
    ("value", "text"),
    [(1, "1"), (4.0, "4"), (0.25, "0.25"), (0.1, "0.1"), (2.125, "2.125"), (0.001, "0.001"), (10**12, "1000000000000")],
)
def test_an_amount_is_whole_thousandths_and_is_written_as_people_do(value: float, text: str) -> None:
    assert quantities.amount(value) == value
    assert quantities.amount_text(quantities.amount(value)) == text


@given(st.integers(1, 10**15))
def test_every_thousandth_is_an_amount_and_keeps_its_place(thousandths: int) -> None:
    assert round(quantities.amount(thousandths / 1000) * 1000) == thousandths


@pytest.mark.parametrize(
    "value", [0, -1, -0.5, 0.0001, 1.0005, 1e13, 10**13, True, "1", None, float("nan"), float("inf")]
)
def test_what_is_no_amount_is_told_what_would_be(value: object) -> None:
    with pytest.raises(ValueError, match=r"; write such as (4 or )?0\.25$"):
        quantities.amount(value)
