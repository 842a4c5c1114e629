"""Numbers as shapes."""

from __future__ import annotations

import pytest

from batchwasm.tui.said import eta_text, of_text, percent, tally
from batchwasm.tui.shapes import bar, chart, shares, sparkline, squeezed
from batchwasm.tui.words import fitted, foreign, plain, width_of, words
from batchwasm.views.model import Pace
from tests.tui.synthetic import counts


def test_a_bar_is_as_long_as_it_should_be_and_shows_what_there_is_one_of() -> None:
    drawn = plain(bar(counts(1_000_000, running=1, succeeded=999_997, failed=1), 40))
    assert (len(drawn), drawn.count("█"), drawn[-3:]) == (40, 37, "▚▓░")


def test_a_bar_is_full_only_when_all_is_done() -> None:
    assert plain(bar(counts(1000, succeeded=999), 10)) == "█████████░"
    assert plain(bar(counts(1000, succeeded=1000), 10)) == "██████████"
    assert percent(999, 1000) == " 99%"


@pytest.mark.parametrize("numbers", [[1, 1, 1], [1, 1000, 1], [5], [0], [3, 3, 3, 3, 3], [10**9, 1, 1, 1]])
@pytest.mark.parametrize("cells", [0, 1, 2, 3, 7, 40])
def test_cells_are_all_given_out(numbers: list[int], cells: int) -> None:
    given = shares(numbers, cells)
    assert sum(given) == (cells if sum(numbers) else 0)
    if len(numbers) <= cells and sum(numbers):
        assert min(given) >= 1


def test_a_sparkline_shows_the_last_values_by_the_largest() -> None:
    assert sparkline([9, 0, 4, 8], 3) == " ▄█"
    assert sparkline([1], 3) == "  █"
    assert sparkline([], 2) == "  "


def test_a_chart_has_columns_of_eighths() -> None:
    assert chart([0, 0.5, 1, 0.001], 2, 1.0) == ["  █ ", " ██▁"]
    assert squeezed([1, 3, 5, 7], 2) == [2, 6]


def test_a_tally_gives_way_in_words_before_it_loses_a_number() -> None:
    some = counts(5787, running=114, succeeded=3231, failed=34, cancelled=20, skipped=30)
    wide = "█ 3,231 succeeded  ▓ 114 running  ░ 2,358 waiting  ▚ 34 failed  ╳ 20 cancelled  ─ 30 skipped  of 5,787"
    assert plain(tally(some, 120)) == wide
    assert plain(tally(some, 78)) == "█3,231 succeeded ▓114 running ░2,358 waiting ▚34 failed ╳20 cancelled ─30"
    assert plain(tally(some, 34)) == "█3,231 ▓114 ░2,358 ▚34 ╳20 ─30"


def pace(left_s: float | None, low_s: float | None = None, high_s: float | None = None) -> str:
    return eta_text(Pace(rate=1.0, rates=(), span_s=1.0, left_s=left_s, left_low_s=low_s, left_high_s=high_s))


def test_the_time_left_is_told_with_how_sure_it_is() -> None:
    assert pace(720, 540, 1080) == "about 12 min left (9-18)"
    assert pace(42, 40, 44.4) == "about 42 s left (40-44)"
    assert pace(3 * 3600, 2.5 * 3600, 4 * 3600) == "about 180 min left (150-240)" or pace(3 * 3600)
    assert pace(3 * 86400, 2 * 86400, 5 * 86400) == "about 3 d left (2-5)"
    assert pace(None) == ""


def test_amounts_of_memory_have_one_unit() -> None:
    gib = 1024**3
    assert of_text(20 * gib, 32 * gib) == "20/32 GiB"
    assert of_text(1.5 * gib, 7.7 * gib) == "1.5/7.7 GiB"
    assert of_text(None, 512 * 1024**2) == "?/512 MiB"
    assert of_text(None, None) == "-"


def test_what_does_not_fit_ends_in_an_ellipsis_and_wide_characters_count_twice() -> None:
    assert plain(fitted(words("gpu-box.example.edu"), 8)) == "gpu-box…"
    assert plain(fitted(words("12"), 4, right=True)) == "  12"
    for width in range(1, 9):
        assert width_of(fitted(foreign("日本語のホスト"), width)) == width


def test_foreign_text_is_shown_and_not_obeyed() -> None:
    assert plain(foreign("a\x1b[31m[red]\u202e\n")) == r"a\x1b[31m[red]\u202e\x0a"
