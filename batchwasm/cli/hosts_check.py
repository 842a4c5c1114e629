"""`hosts check`: what every host said, in a table that fills on a terminal, in lines elsewhere."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from batchwasm.cli.hosts_pool import each
from batchwasm.cli.render import Column, print_json, print_table, table_lines, terminal_width, use_colour
from batchwasm.errors import EXIT_SUCCEEDED, EXIT_WORLD
from batchwasm.escape import say
from batchwasm.model import Host
from batchwasm.units import duration_text, size_text

if TYPE_CHECKING:
    from batchwasm.engine.check import Check

TITLES = ("host", "state", "key", "ping", "cpus", "gpus", "memory", "disk free", "python", "remarks")
NUMBERS = ("ping", "cpus", "gpus", "memory", "disk free")
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
    seen = check.look
    state = "bad" if not check.good else "busy" if seen and seen.busy else "warning" if check.warnings else "good"
    gpus = "" if seen is None else str(seen.gpus)
    known = (
        []
        if facts is None
        else [str(facts.cpus), gpus, size_text(facts.memory_bytes), size_text(facts.disk_free_bytes)]
    )
    return [
        host.name,
        state,
        check.key or "" if host.transport != "local" else "",
        "" if check.latency_s is None else duration_text(check.latency_s),
        *(known or [""] * 4),
        "" if facts is None else facts.python,
        _remarks(check),
    ]


def _remarks(check: Check) -> str:
    if check.error is not None:
        return f"{check.error.code}: {check.error.beside(check.host)}"
    seen = check.look
    busy = [f"left alone now: {seen.busy}"] if seen and seen.busy else []
    rules = [f"its owner allows: {', '.join(seen.rules)}"] if seen and seen.rules else []
    if busy or check.warnings:
        return "; ".join([*busy, *check.warnings, *rules])
    return "; ".join(["ready" if check.runner else "ready; the runner will be installed at the first run", *rules])


def _explain(checks: Sequence[Check]) -> None:
    """Cause and cure in full on stderr: a table on a terminal may have had no room for them."""
    if not sys.stdout.isatty():
        return
    for check in checks:
        if check.error is not None:
            say(f"\n{check.error.cause}" + (f"\n  {check.error.cure}" if check.error.cure else ""))
        for warning in check.warnings:
            say(f"\n{check.host}: {warning}")
        if check.look is not None and check.look.busy:
            say(f"\n{check.host} is left alone now: {check.look.busy}")
        if check.look is not None and check.look.rules:
            say("\n".join([f"\n{check.host}: its owner allows", *(f"  {rule}" for rule in check.look.rules)]))


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
        "gpus": None if check.look is None else check.look.gpus,
        "busy": None if check.look is None else check.look.busy,
        "owner": None if check.look is None else {"rules": list(check.look.rules), "refused": check.look.refused},
        "warnings": list(check.warnings),
        "error": None if error is None else {"code": error.code, "cause": error.cause, "cure": error.cure or None},
        "facts": None if check.facts is None else dataclasses.asdict(check.facts),
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
