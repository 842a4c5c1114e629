"""`hosts clean`: what was removed from every host."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from batchwasm.cli.hosts_pool import each, untold
from batchwasm.cli.render import Column, print_json, print_table
from batchwasm.errors import EXIT_SUCCEEDED, EXIT_WORLD, HostError
from batchwasm.model import Host
from batchwasm.units import count_text, size_text

if TYPE_CHECKING:
    from batchwasm.engine.clean import Cleaned

COLUMNS = [
    *(Column(title="host"), Column(title="state", words=True), Column(title="freed", right=True)),
    *(Column(title="stopped", right=True), Column(title="remarks")),
]


def run(hosts: Sequence[Host], *, force: bool, as_json: bool) -> int:
    """The exit code: 3 where something of ours is still on a host, or may be."""
    answers = asyncio.run(_clean(hosts, force))
    if as_json:
        print_json(map(_as_dict, hosts, answers))
    else:
        print_table(COLUMNS, map(_cells, hosts, answers))
    return EXIT_SUCCEEDED if all(_state(answer) == "cleaned" for answer in answers) else EXIT_WORLD


async def _clean(hosts: Sequence[Host], force: bool) -> list[Cleaned | HostError]:
    from batchwasm.engine.clean import clean

    async def ask(host: Host) -> Cleaned | HostError:
        try:
            return await clean(host, force=force)
        except HostError as error:
            return error

    return await each(hosts, ask, untold)


def _state(answer: Cleaned | HostError) -> str:
    if isinstance(answer, HostError):
        return "bad"
    return "busy" if answer.busy else "warning" if answer.problems else "cleaned"


def _cells(host: Host, answer: Cleaned | HostError) -> list[str]:
    if isinstance(answer, HostError):
        return [host.name, "bad", "", "", str(answer)]
    busy = f"a run is using it (process {', '.join(map(str, answer.busy))}); --force ends that" if answer.busy else ""
    remarks = "; ".join(filter(None, (busy, *answer.problems)))
    return [host.name, _state(answer), size_text(answer.freed_bytes), count_text(answer.stopped), remarks]


def _as_dict(host: Host, answer: Cleaned | HostError) -> dict[str, Any]:
    error = answer if isinstance(answer, HostError) else None
    done = None if isinstance(answer, HostError) else answer
    return {
        "schema": "host-clean/1",
        "host": host.name,
        "state": _state(answer),
        "freed_bytes": done.freed_bytes if done else None,
        "stopped": done.stopped if done else None,
        "busy": list(done.busy) if done else [],
        "problems": list(done.problems) if done else [],
        "error": {"code": error.code, "cause": error.cause, "cure": error.cure or None} if error else None,
    }
