"""A report as people see it: opened in Chromium, clicked, light and dark, wide and narrow, on screen and on paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from batchwasm import report
from benchmarks.report import make
from tests.report.opened import Opened, browser
from tests.report.runs import troubled


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports of a small run with trouble, and of one on many hosts."""
    folder = tmp_path_factory.mktemp("reports")
    runs = {"small": troubled(folder / "small-1"), "large": make(folder / "large-1", hosts=300, tasks=5000)}
    return {name: Path(report.write(run).path) for name, run in runs.items()}


@pytest.fixture
def opened(chromium: Browser, request: pytest.FixtureRequest, pages: dict[str, Path]) -> Iterator[Opened]:
    """The report that the test's parameter names, drawn; nothing may have gone wrong in it by the end."""
    name, width, scheme = getattr(request, "param", ("small", 1280, "light"))
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    found = Opened(page)
    page.on("console", lambda message: found.said.append(message.text))
    page.on("pageerror", lambda error: found.said.append(str(error)))
    page.on("request", lambda asked: found.requests.append(asked.url))
    page.goto(pages[name].as_uri())
    page.wait_for_selector("html[data-drawn=true]")
    yield found
    page.close()
    assert found.said == []
    assert found.requests == [pages[name].as_uri()]


EVERY = [("small", 1280, "light"), ("small", 400, "dark"), ("large", 1280, "dark"), ("large", 400, "light")]
"""Each two of them that can come together do."""


@pytest.mark.parametrize("opened", EVERY, indirect=True, ids=lambda each: "-".join(map(str, each)))
def test_every_chart_is_drawn_and_nothing_is_wider_than_the_screen(opened: Opened) -> None:
    charts = opened.page.eval_on_selector_all(".chart", "(all) => all.map((each) => each.id.slice(6))")
    assert charts[0] in ("timeline", "heatmap")
    assert charts[1:] == ["utilisation", "queue", "durations"]
    for chart in charts:
        assert opened.colors(chart) > 5, chart
    assert opened.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("opened", [("small", 1280, "light"), ("large", 1280, "light")], indirect=True)
def test_zooming_one_chart_zooms_all_over_time(opened: Opened) -> None:
    first = "timeline" if opened.page.query_selector("#chart-timeline") else "heatmap"
    assert opened.zoomed(first) == [0, 100]
    opened.page.click(f"button[data-chart={first}][data-zoom='0.5']")
    assert opened.zoomed(first) == opened.zoomed("queue") == opened.zoomed("utilisation") == [25, 75]
    assert " to " in opened.page.inner_text("#queue .shown")
    opened.page.click("button[data-chart=queue][data-zoom='0']")
    assert opened.zoomed(first) == [0, 100]
    assert opened.page.inner_text("#queue .shown") == ""


def test_the_button_turns_it_dark_and_light_again_and_charts_follow(opened: Opened) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    assert opened.page.evaluate(ground) == "rgb(255, 255, 255)"
    opened.page.click("#theme")
    assert opened.page.evaluate(ground) == "rgb(18, 21, 26)"
    assert opened.page.inner_text("#theme") == "Light"
    assert opened.colors("timeline") > 5
    opened.page.click("#theme")
    assert opened.page.evaluate(ground) == "rgb(255, 255, 255)"


def test_a_group_of_failures_unfolds(opened: Opened) -> None:
    message = opened.page.locator("#failures details.group").first.locator("pre, p").first
    assert not message.is_visible()
    opened.page.locator("#failures summary").first.click()
    assert message.is_visible()
    assert "</script>" in message.inner_text()


def test_another_job_s_durations_are_shown(opened: Opened) -> None:
    name = "echarts.getInstanceByDom(document.getElementById('chart-durations')).getOption().series[0].name"
    assert opened.page.evaluate(name) == "pi"
    opened.page.select_option("#job", label="mean")
    assert opened.page.evaluate(name) == "mean"


def test_what_is_under_the_pointer_is_told_as_text(opened: Opened) -> None:
    place = opened.page.evaluate(
        """() => {
            const element = document.getElementById("chart-timeline"), box = element.getBoundingClientRect();
            const at = echarts.getInstanceByDom(element).convertToPixel({ xAxisIndex: 0, yAxisIndex: 0 }, [5000, 0]);
            return [box.x + at[0], box.y + at[1]];
        }"""
    )
    opened.page.mouse.move(*place)
    opened.page.wait_for_selector(".tip", state="visible")
    assert opened.page.inner_text(".tip b") == "pi/0"
    assert "succeeded" in opened.page.inner_text(".tip")


def test_without_scripts_all_is_there_in_words_and_tables(chromium: Browser, pages: dict[str, Path]) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages["small"].as_uri())
    assert not page.is_visible("figure")
    assert not page.is_visible("#theme")
    page.click("#utilisation summary")
    assert page.locator("#utilisation tbody tr").count() == 12
    assert page.locator("#utilisation table").is_visible()
    context.close()


def test_on_paper_it_is_light_with_charts_as_wide_as_the_paper(opened: Opened, tmp_path: Path) -> None:
    opened.page.click("#theme")
    opened.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    opened.page.emulate_media(media="print")
    opened.page.set_viewport_size({"width": 700, "height": 900})
    assert not opened.page.is_visible("#theme")
    widths = opened.page.eval_on_selector_all(".paper", "(all) => all.map((each) => [each.width, each.naturalWidth])")
    assert len(widths) == 4
    assert all(shown == 700 and drawn > 1000 for shown, drawn in widths)
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    opened.page.screenshot(path=tmp_path / "paper.png", full_page=True)
    opened.page.emulate_media(media="screen")
    opened.page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert opened.page.locator(".paper").count() == 0
    assert opened.page.evaluate("document.documentElement.dataset.theme") == "dark"


CONTRASTS = """() => {
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
        .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
    const ground = (element) => {
        for (; element; element = element.parentElement) {
            const found = parse(getComputedStyle(element).backgroundColor);
            if (found.length < 4 || found[3] > 0) return found;
        }
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = Array.from(element.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || !element.getClientRects().length) continue;
        const [one, other] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
        if (contrast < 4.5) found.push(`${element.tagName} ${element.className}: ${contrast.toFixed(2)}`);
    }
    return found;
}"""


@pytest.mark.parametrize("opened", [("small", 1280, "light"), ("small", 1280, "dark")], indirect=True)
def test_all_text_can_be_read_against_its_ground(opened: Opened) -> None:
    opened.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert opened.page.evaluate(CONTRASTS) == []


@pytest.mark.parametrize("opened", [("small", 1280, "light"), ("large", 1280, "light")], indirect=True)
def test_no_two_bars_of_durations_say_the_same(opened: Opened) -> None:
    ends = "echarts.getInstanceByDom(document.getElementById('chart-durations')).getOption().xAxis[0].data"
    jobs = opened.page.locator("#job option").all_inner_texts()
    for job in jobs:
        if len(jobs) > 1:
            opened.page.select_option("#job", label=job)
        said = opened.page.evaluate(ends)
        assert len(set(said)) == len(said), job
