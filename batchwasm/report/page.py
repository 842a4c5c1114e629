"""A report as one HTML file that needs nothing else: no network, no fonts, and no JavaScript but for its charts.

Its Content-Security-Policy lets nothing be loaded and only our own two scripts run, so that even foreign text that got
past markup.py would do nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from batchwasm.report import markup, sections
from batchwasm.report.charts import charts
from batchwasm.report.facts import Report
from batchwasm.report.markup import Markup, tag

SECTIONS = (
    ("hosts-over-time", "Timeline", sections.picture),
    ("utilisation", "Utilisation", sections.utilisation),
    ("queue", "Queue", sections.queue),
    ("durations", "Durations", sections.durations),
    ("failures", "Failures", sections.failures),
    ("sizing", "Right-sizing", sections.sizing),
    ("hosts", "Hosts", sections.hosts),
    ("events", "Events", sections.events),
    ("versions", "Versions", sections.versions),
    ("inventory", "Inventory", sections.inventory),
)


def html(report: Report) -> str:
    """All of it, a few hundred KB of which most is the library that draws."""
    return "".join(_parts(report))


def _parts(report: Report) -> Iterator[str]:
    library, script = _asset("echarts.js"), _asset("page.js")
    allowed = " ".join(map(markup.digest, (library, script)))
    policy = f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
    name = report.status.run
    yield '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<link rel="icon" href="data:,">'
    yield tag("title", f"{name} - batchwasm report")
    yield f"<style>{_asset('page.css')}</style></head><body>\n"
    yield _bar()
    yield "<main>\n"
    yield sections.head(report)
    for anchor, title, made in SECTIONS:
        yield f"\n{tag('section', tag('h2', title), made(report), id=anchor)}"
    made_at = time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(report.made_at))
    yield tag(
        "footer", f"Made by batchwasm {report.versions.get('batchwasm', '')} at {made_at} from the journal of {name}."
    )
    yield "\n</main>\n"
    yield markup.data(charts(report), "data")
    yield "\n"
    yield markup.script(library)
    yield markup.script(script)
    yield "\n</body></html>\n"


def _bar() -> Markup:
    links = (tag("a", title, href=f"#{anchor}") for anchor, title, _ in SECTIONS)
    button = tag("button", "Dark", id="theme", type="button", hidden=True, title="Light or dark")
    return tag("div", tag("div", tag("nav", *links, aria_label="Sections"), button), class_="bar")


@cache
def _asset(name: str) -> str:
    return files("batchwasm.report").joinpath("assets", name).read_text(encoding="utf-8")
