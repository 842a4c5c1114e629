"""`hosts check`: what every host said, in a table that fills on a terminal, in lines elsewhere."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from batchwasm.cli.hosts_pool import each
from batchwasm.cli.render import Column, print_json, print_table, table_lines, terminal_width, use_colour
from batchwasm.errors import EXIT_SUCCEEDED, EXIT_WORLD, HostError
from batchwasm.escape import say
from batchwasm.model import Host, HostName
from batchwasm.units import duration_text, size_text

if TYPE_CHECKING:
    from batchwasm.engine.check import Check

TITLES = (
    *("host", "state", "key", "reached", "auth", "works by", "address", "ping", "up", "down", "cpus", "gpus", "memory"),
    *("disk free", "python", "clock", "home", "logout", "guards", "remarks"),
)
NUMBERS = ("ping", "up", "down", "cpus", "gpus", "memory", "disk free", "clock")
COLUMNS = [Column(title=title, right=title in NUMBERS, words=title in ("state", "key")) for title in TITLES]
SPARED = ("guards", "logout", "reached", "auth", "home", "clock", "works by", "address", "python", "gpus", "up", "down")
"""What a narrow terminal does without, the first ones first; remarks tell what is wrong there."""
WIDE = 10_000  # a terminal breaks longer lines by itself
MEASURED_AT_ONCE = 4  # links: more of them would share this machine's own
REMARKS_ROOM = 40  # cells that remarks want; all of them is below the table where they are cut
NONE: Mapping[HostName, HostError] = MappingProxyType({})
LIMITS = ("sealed_output", "memory_backstop")
"""Guards whose lack is worth a remark: what bounds a task on a Linux of today, not on an old one or another system."""
Answers = list["Check | str"]
"""What a host said, or what is being done about it."""


def run(hosts: Sequence[Host], *, as_json: bool, wide: bool = False) -> int:
    """The exit code: 3 where a host is bad."""
    checks = asked(hosts, shown=not as_json, wide=wide)
    if as_json:
        print_json(map(as_dict, checks))
    else:
        show(hosts, checks, wide=wide)
    return EXIT_SUCCEEDED if all(check.good for check in checks) else EXIT_WORLD


def asked(
    hosts: Sequence[Host], *, shown: bool, wide: bool = False, refused: Mapping[HostName, HostError] = NONE
) -> list[Check]:
    """What each says; meanwhile, where it is shown, a terminal has the table so far. Those that are known to have
    `refused` a login are not asked again."""
    from batchwasm.engine.check import check

    answers: Answers = ["waiting"] * len(hosts)
    numbers = {host.name: number for number, host in enumerate(hosts)}

    async def all_of_them() -> list[Check]:
        lane = asyncio.Semaphore(MEASURED_AT_ONCE)

        def one(host: Host) -> Awaitable[Check]:
            told, known = partial(answers.__setitem__, numbers[host.name]), refused.get(host.name)
            return check(host, on_step=told, lane=lane, refused=known)

        return await each(hosts, one, answers.__setitem__)

    with _live(hosts, answers, shown=shown, wide=wide):
        return asyncio.run(all_of_them())


def show(hosts: Sequence[Host], checks: Sequence[Check], *, wide: bool = False) -> None:
    """The table on stdout, then what it may have had no room for on stderr."""
    if sys.stdout.isatty():
        for line in _picture(hosts, checks, coloured=use_colour(), wide=wide):
            print(line)
    else:
        print_table(COLUMNS, map(_cells, hosts, checks))
    sys.stdout.flush()
    _explain(checks)


@contextmanager
def _live(hosts: Sequence[Host], answers: Answers, *, shown: bool, wide: bool) -> Iterator[None]:
    """While inside, a terminal shows the answers so far."""
    if not (shown and sys.stdout.isatty() and use_colour()):
        yield
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    def picture() -> Text:
        return Text("\n").join(map(Text.from_ansi, _picture(hosts, list(answers), coloured=True, wide=wide)))

    with Live(console=Console(), get_renderable=picture, refresh_per_second=5, transient=True):
        yield


def _picture(hosts: Sequence[Host], answers: Sequence[Check | str], *, coloured: bool, wide: bool) -> Iterator[str]:
    """The table for a terminal of this width, without the columns that it has no room for."""
    rows = list(map(_cells, hosts, answers))
    width = WIDE if wide else terminal_width()
    kept = list(range(len(TITLES))) if wide else _kept(rows, width)
    picked = [[row[number] for number in kept] for row in rows]
    return table_lines([COLUMNS[number] for number in kept], picked, width=width, coloured=coloured)


def _kept(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The numbers of the columns that fit, without those that nobody has anything in."""
    room = {title: max(len(title), *(len(row[at]) for row in rows)) for at, title in enumerate(TITLES)}
    room["remarks"] = min(room["remarks"], REMARKS_ROOM)
    spared = {title for at, title in enumerate(TITLES) if not any(row[at] for row in rows)} - {"remarks"}
    for title in SPARED:
        kept = [room[title] + 2 for title in TITLES if title not in spared]
        if sum(kept) - 2 <= width:
            break
        spared.add(title)
    return [at for at, title in enumerate(TITLES) if title not in spared]


def _cells(host: Host, check: Check | str) -> list[str]:
    if isinstance(check, str):
        return [host.name, check, *[""] * (len(TITLES) - 2)]
    remote = host.transport != "local"
    return [
        host.name,
        _state(check),
        (check.key or "") if remote else "",
        "yes" if check.reached else "no",
        {True: "yes", False: "no", None: ""}[check.auth] if remote else "",
        (check.works or ""),
        check.place,
        *_figures(check),
        _remarks(check),
    ]


def _state(check: Check) -> str:
    if not check.good:
        return "bad"
    if check.look and check.look.busy:
        return "busy"
    return "warning" if check.warnings else "good"


def _figures(check: Check) -> list[str]:
    """From `ping` to `guards`."""
    facts, seen, speed = check.facts, check.look, check.speed
    skew = check.clock_skew_s
    return [
        "" if check.latency_s is None else duration_text(check.latency_s),
        *(("", "") if speed is None else (f"{size_text(speed.up)}/s", f"{size_text(speed.down)}/s")),
        "" if facts is None else str(facts.cpus),
        "" if seen is None else str(seen.gpus),
        "" if facts is None or not facts.memory_bytes else size_text(facts.memory_bytes),
        "" if facts is None else size_text(facts.disk_free_bytes),
        "" if facts is None else facts.python,
        "" if skew is None else _clock(skew),
        "" if seen is None else seen.home.kind,
        "" if seen is None else "loses tasks" if seen.logind else "outlived" if seen.kills else "harmless",
        "" if seen is None else _guards(seen.guards),
    ]


def _clock(skew_s: float) -> str:
    """What is less than a loaded machine takes to answer is nothing."""
    return "0 s" if abs(skew_s) < 0.1 else f"{'-' if skew_s < 0 else '+'}{duration_text(abs(skew_s))}"


def _guards(guards: Mapping[str, bool]) -> str:
    missing = _missing(guards)
    return f"no {', '.join(missing)}" if missing else "all"


def _missing(guards: Mapping[str, bool]) -> list[str]:
    return [name for name, held in guards.items() if not held]


def _remarks(check: Check) -> str:
    if check.error is not None:
        said = [check.advice, f"{check.error.code}: {check.error.beside(check.host)}", *check.warnings]
        return "; ".join(filter(None, said))
    seen = check.look
    busy = [f"left alone now: {seen.busy}"] if seen and seen.busy else []
    rules = [f"its owner allows: {', '.join(seen.rules)}"] if seen and seen.rules else []
    if busy or check.warnings:
        return "; ".join([*busy, *check.warnings, *rules])
    shared = [f"its cache is on {check.facts.file_system}"] if check.facts and check.facts.network else []
    ready = "ready" if check.runner else "ready; the runner will be installed at the first run"
    return "; ".join([ready, *_less(check), *shared, *rules])


def _less(check: Check) -> list[str]:
    """For where the column of guards has no room."""
    seen = check.look
    if seen is None or all(map(seen.guards.get, LIMITS)):
        return []
    return [f"guards that its system does not have: {', '.join(_missing(seen.guards))}"]


def _explain(checks: Sequence[Check]) -> None:
    """Cause and cure in full on stderr: a table on a terminal may have had no room for them."""
    if not sys.stdout.isatty():
        return
    for check in checks:
        if check.error is not None:
            say("\n  ".join(filter(None, (f"\n{check.error.cause}", check.error.cure, check.advice))))
        for warning in (*check.warnings, *_less(check)):
            say(f"\n{check.host}: {warning}")
        if check.look is not None and check.look.busy:
            say(f"\n{check.host} is left alone now: {check.look.busy}")
        if check.look is not None and check.look.rules:
            say("\n".join([f"\n{check.host}: its owner allows", *(f"  {rule}" for rule in check.look.rules)]))


def as_dict(check: Check) -> dict[str, Any]:
    facts, seen, speed = check.facts, check.look, check.speed
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
        "gpus": None if seen is None else seen.gpus,
        "busy": None if seen is None else seen.busy,
        "owner": None if seen is None else {"rules": list(seen.rules), "refused": seen.refused},
        "warnings": list(check.warnings),
        "error": error_dict(check.error),
        "facts": None if facts is None else dataclasses.asdict(facts),
        "address": check.place or None,
        "transport": check.transport,
        "works_by": check.works,
        "others": [{"transport": way.transport, "error": error_dict(way.error)} for way in check.others],
        "speed": None if speed is None else {"up_bytes_s": round(speed.up), "down_bytes_s": round(speed.down)},
        "workdir_on_network": None if facts is None else facts.network,
        "home": None if seen is None else {"file_system": seen.home.kind, "network": seen.home.network},
        "kill_user_processes": None if seen is None else seen.kills,
        "guards": None if seen is None else seen.guards,
    }


def error_dict(error: HostError | None) -> dict[str, Any] | None:
    return None if error is None else {"code": error.code, "cause": error.cause, "cure": error.cure or None}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
