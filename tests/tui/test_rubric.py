"""RUBRIC.md, as far as it can be measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from rich.color import Color as RichColor
from rich.color import ColorSystem
from textual.color import Color
from textual.geometry import Region

from batchwasm.tui.columns import EVENTS, HOSTS, JOBS
from batchwasm.tui.said import PHASES, STANDINGS, STATES, TONES
from batchwasm.tui.shapes import SHAPES
from batchwasm.tui.words import width_of
from tests.tui.looking_at import SIZES, lines, screen, shown
from tests.tui.synthetic import Fixed, tour
from tests.tui.test_pictures import many

TEXT, SHAPE = 4.5, 3.0
_BLOCKS = re.compile("[▀-▟─╳ ]+")


def pairs(pilot: Any, within: Region | None = None) -> Iterator[tuple[str, Color, Color]]:
    """Each text of the screen, or of a part of it, with its colour and what is behind it."""
    for y, strip in enumerate(pilot.app.screen._compositor.render_strips()):
        if within is not None:
            if y not in within.line_range:
                continue
            strip = strip.crop(within.x, within.right)
        for segment in strip:
            style = segment.style
            if segment.text.strip() and style is not None and style.color is not None and style.bgcolor is not None:
                fore, back = map(Color.from_rich_color, (style.color, style.bgcolor))
                yield segment.text, *((back, fore) if style.reverse else (fore, back))


def too_low(pilot: Any, within: Region | None = None) -> set[tuple[str, str, str, float]]:
    """Text whose contrast is too small."""
    return {
        (text, fore.hex, back.hex, round(contrast(fore, back), 2))
        for text, fore, back in pairs(pilot, within)
        if contrast(fore, back) < (SHAPE if _BLOCKS.fullmatch(text) else TEXT)
    }


def contrast(one: Color, other: Color) -> float:
    """WCAG 2.2, 1.4.3: of relative luminances."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(color: Color) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color.normalized]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("theme", ["batchwasm-dark", "batchwasm-light"])
@pytest.mark.parametrize("keys", [[], ["tab"], ["tab", "tab"], ["slash", "a"]], ids="-".join)
async def test_every_pair_of_colours_has_contrast(theme: str, keys: list[str]) -> None:
    async with shown(Fixed(tour()), (120, 40)) as pilot:
        pilot.app.theme = theme
        await pilot.press(*keys)
        await pilot.pause()
        assert not too_low(pilot)


@pytest.mark.parametrize("theme", ["batchwasm-dark", "batchwasm-light"])
@pytest.mark.parametrize(
    ("key", "box"),
    [("question_mark", ".box"), ("q", ".box"), ("c", ".box"), ("ctrl+p", "#--container")],
    ids=["help", "leaving", "cancel", "palette"],
)
async def test_what_is_over_a_screen_can_be_read(theme: str, key: str, box: str) -> None:
    async with shown(Fixed(tour()), (120, 40)) as pilot:
        pilot.app.theme = theme
        await pilot.press(key)
        await pilot.pause(0.3)
        region = pilot.app.screen.query_one(box).region
        assert not too_low(pilot, region.shrink((1, 1, 1, 1)))


@pytest.mark.parametrize("theme", ["batchwasm-dark", "batchwasm-light"])
async def test_with_16_colours_text_differs_from_what_is_behind_it(theme: str) -> None:
    """A terminal has its own palette of them, so contrast can't be told; the same colour twice can."""
    async with shown(Fixed(tour()), (120, 40)) as pilot:
        pilot.app.theme = theme
        await pilot.press("tab")
        same = {
            (text, fore.hex, back.hex)
            for text, fore, back in pairs(pilot)
            if _of_16(fore) == _of_16(back) and not _BLOCKS.fullmatch(text)
        }
        assert not same


def _of_16(color: Color) -> int | None:
    return RichColor.from_rgb(*color.rgb).downgrade(ColorSystem.STANDARD).number


@pytest.mark.parametrize("shapes", [SHAPES, STATES, PHASES, TONES], ids=["tasks", "run", "job", "event"])
def test_states_differ_by_shape(shapes: Mapping[str, tuple[str, str]]) -> None:
    assert len({shape for shape, _ in shapes.values()}) == len(shapes)


def test_hosts_that_differ_in_what_one_would_do_differ_by_shape() -> None:
    """Their word stands beside it: only those that mean nearly the same may share a shape."""
    alike = [{"connecting", "unused"}, {"lost", "down"}]
    for one, (shape, _) in STANDINGS.items():
        for other, (its, _) in STANDINGS.items():
            assert one == other or shape != its or {one, other} in alike


@pytest.mark.parametrize("size", SIZES)
async def test_no_number_is_cut_and_no_text_without_a_mark(size: tuple[int, int]) -> None:
    for run in (tour(), many()):
        async with shown(Fixed(run), size) as pilot:
            said = lines(pilot)
            for table, columns, rows in (("#jobs", JOBS, run.jobs), ("#hosts", HOSTS, run.hosts)):
                for _, width, column in pilot.app.screen.query_one(table)._shown:
                    assert column in columns
                    for row in rows[:20]:
                        cell = column.cell(row, run.at, width)  # type: ignore[arg-type]
                        assert width_of(cell) <= width or not column.right
        assert all(width_of(((line, "plain"),)) == size[0] for line in said)
        assert not re.search(r"\d…", "\n".join(said).replace("s…", ""))


def test_columns_of_numbers_end_in_one_line() -> None:
    numbers = {"done", "run", "failed", "mean", "cpus", "cpu", "load", "memory", "gpus", "heard", ""}
    for column in (*JOBS, *HOSTS):
        assert column.right == (column.title in numbers)
    assert not any(column.right for column in EVENTS)


async def test_every_state_has_its_word_on_the_screen() -> None:
    async with shown(Fixed(tour()), (120, 40)) as pilot:
        said = screen(pilot)
    for shape, word in ((SHAPES[word][0], word) for word in SHAPES):
        assert re.search(f"{shape} ?[0-9,]+ {word}", said)
