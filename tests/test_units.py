"""Numbers as people read them."""

from __future__ import annotations

import pytest

from batchwasm.units import count_text, duration_text, size_text, taken_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 KiB"),
        (1536, "1.5 KiB"),
        (1023 * 1024, "1 MiB"),
        (512 * 1024**2, "512 MiB"),
        (5 * 1024**6, "5120 PiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0001, "<1 ms"),
        (0.003, "3 ms"),
        (0.8249, "0.82 s"),
        (9.96, "10 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (12_000, "3 h 20 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


def test_counts_have_their_thousands_apart() -> None:
    assert count_text(1234567) == "1,234,567"


def test_what_was_taken_names_the_runs_the_largest_share_first() -> None:
    assert taken_text({"tour-1": 2, "tour-3": 1200}) == "1,202 were known: 1,200 from tour-3, 2 from tour-1"
    assert taken_text({"tour-1": 1}) == "1 was known: 1 from tour-1"
