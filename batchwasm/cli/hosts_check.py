"""`hosts check`: what every host said, in a table that fills on a terminal, in lines elsewhere."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from batchwasm.cli.escape import say
from batchwasm.cli.hosts_pool import each
from batchwasm.cli.render import Column, print_json, print_table, table_lines, terminal_width, use_colour
from batchwasm.cli.units import duration_text, size_text
from batchwasm.errors import EXIT_SUCCEEDED, EXIT_WORLD
from batchwasm.model import Host

if TYPE_CHECKING:
    from batchwasm.engine.check import Check

TITLES = ("host", "state", "key", "ping", "cpus", "memory", "disk free", "python", "remarks")
NUMBERS = ("ping", "cpus", "memory", "disk free")
COLUMNS = [Column(title=title, right=title in NUMBERS, words=title in ("state", "key")) for title in TITLES]
Answers = list["Check | None"]


def run(hosts: Sequence[Host], *, as_json: bool) -> int:
    """The exit code: 3 where a host is bad."""
    from batchwasm.engine.check import check

    answers: Answers = [None] * len(hosts)
    with _live(hosts, answers, shown=not as_json):
        checks = asyncio.run(each(hosts, check, answers.__setitem__))
    if as_json:
        print_json(map(_as_dict, checks))
    else:
        print_table(COLUMNS, map(_cells, hosts, checks))
        sys.stdout.flush()
        _explain(checks)
    return EXIT_SUCCEEDED if all(check.good for check in checks) else EXIT_WORLD


@contextmanager
def _live(hosts: Sequence[Host], answers: Answers, *, shown: bool) -> Iterator[None]:
    """While inside, a terminal shows the answers so far."""
    if not (shown and sys.stdout.isatty() and use_colour()):
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def picture() -> Text:
        lines = table_lines(COLUMNS, map(_cells, hosts, list(answers)), width=terminal_width(), coloured=True)
        return Text("\n").join(Text.from_ansi(line) for line in lines)

    with Live(console=Console(), get_renderable=picture, refresh_per_second=5, transient=True):
        yield


def _cells(host: Host, check: Check | None) -> list[str]:
    if check is None:
        return [host.name, "connecting", *[""] * (len(TITLES) - 2)]
    facts = check.facts
    state = "bad" if not check.good else "warning" if check.warnings else "good"
    known = [] if facts is None else [str(facts.cpus), size_text(facts.memory_bytes), size_text(facts.disk_free_bytes)]
    return [
        host.name,
        state,
        check.key or "" if host.transport == "ssh" else "",
        "" if check.latency_s is None else duration_text(check.latency_s),
        *(known or ["", "", ""]),
        "" if facts is None else facts.python,
        _remarks(check),
    ]


def _remarks(check: Check) -> str:
    if check.error is not None:
        return f"{check.error.code}: {check.error.beside(check.host)}"
    if check.warnings:
        return "; ".join(check.warnings)
    return "ready" if check.runner else "ready; the runner will be installed at the first run"


def _explain(checks: Sequence[Check]) -> None:
    """Cause and cure in full on stderr: a table on a terminal may have had no room for them."""
    if not sys.stdout.isatty():
        return
    for check in checks:
        if check.error is not None:
            say(f"\n{check.error.cause}" + (f"\n  {check.error.cure}" if check.error.cure else ""))
        for warning in check.warnings:
            say(f"\n{check.host}: {warning}")


def _as_dict(check: Check) -> dict[str, Any]:
    error = check.error
    return {
        "schema": "host-check/1",
        "host": check.host,
        "good": check.good,
        "reached": check.reached,
        "key": check.key,
        "auth": check.auth,
        "latency_s": _rounded(check.latency_s),
        "clock_skew_s": _rounded(check.clock_skew_s),
        "runner": check.runner,
        "warnings": list(check.warnings),
        "error": None if error is None else {"code": error.code, "cause": error.cause, "cure": error.cure or None},
        "facts": None if check.facts is None else dataclasses.asdict(check.facts),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
