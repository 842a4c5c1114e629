"""A report in a browser: headless Chromium, started once, with every word of its console and every request kept."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@dataclass(frozen=True, slots=True)
class Opened:
    page: Page
    said: list[str] = field(default_factory=list)
    """Errors, and what the console was told."""
    requests: list[str] = field(default_factory=list)

    def zoomed(self, chart: str) -> list[float]:
        """Which part of the run the chart shows, in percent."""
        found: list[float] = self.page.evaluate(
            """(id) => {
                const chart = echarts.getInstanceByDom(document.getElementById(`chart-${id}`));
                const zoom = chart.getOption().dataZoom.find((each) => each.id === "x");
                return [zoom.start, zoom.end];
            }""",
            chart,
        )
        return found

    def colors(self, chart: str) -> int:
        """How many different colours are drawn in the chart: 1 is a blank one."""
        found: int = self.page.evaluate(
            """(id) => {
                const seen = new Set();
                for (const canvas of document.querySelectorAll(`#chart-${id} canvas`)) {
                    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
                    for (let n = 0; n < pixels.length; n += 4) {
                        seen.add(pixels[n] << 16 | pixels[n + 1] << 8 | pixels[n + 2]);
                    }
                }
                return seen.size;
            }""",
            chart,
        )
        return found


@contextmanager
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium here; scripts/setup test installs it")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()
