"""`hosts clean`: nothing of ours stays on a host: supervisors ended, runner and cache removed."""

from __future__ import annotations

import json
from dataclasses import dataclass

from batchwasm import transports
from batchwasm.engine.deploy import start_runner
from batchwasm.engine.depot import Depot
from batchwasm.errors import HostError
from batchwasm.model import Host, HostName

ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Cleaned:
    """What was done on one host."""

    host: HostName
    freed_bytes: int
    stopped: int
    """Supervisors that were ended."""
    busy: tuple[int, ...]
    """Process ids of supervisors that serve a run; then nothing else was touched."""
    problems: tuple[str, ...]
    """What could not be removed."""


async def clean(host: Host, *, force: bool = False) -> Cleaned:
    """Raises HostError. A supervisor that serves a run stays, and so does all it needs, unless `force`."""
    transport = transports.make(host)
    depot: Depot | None = None
    try:
        await transport.connect()
        depot = await Depot.start(host.name, transport, python=host.python, workdir=host.workdir)
        freed, stopped, busy = await _runner_cleans(host.name, transport, depot, force)
        rest, problems = (0, []) if busy else await depot.clean()
    finally:
        if depot is not None:
            await depot.close()
        await transport.close()
    return Cleaned(
        host=host.name, freed_bytes=freed + rest, stopped=stopped, busy=tuple(busy), problems=tuple(problems)
    )


async def _runner_cleans(
    name: str, transport: transports.Transport, depot: Depot, force: bool
) -> tuple[int, int, list[int]]:
    """(bytes freed, supervisors stopped, process ids of busy ones), by a runner that is installed there."""
    installed = await depot.runners()
    if not installed:
        return 0, 0, []
    if force:
        return await _runner_clean(name, transport, depot, installed[0], "--all")
    freed, stopped, busy = await _runner_clean(name, transport, depot, installed[0])
    if busy:
        return freed, stopped, busy
    more, others, busy = await _runner_clean(name, transport, depot, installed[0], "--all")
    return freed + more, stopped + others, busy


async def _runner_clean(
    name: str, transport: transports.Transport, depot: Depot, digest: str, *options: str
) -> tuple[int, int, list[int]]:
    process = await start_runner(
        name, transport, depot.facts, digest, "clean", "--workdir", depot.facts.workdir, *options
    )
    said = b""
    while len(said) < ANSWER_BYTES and (data := await process.read(ANSWER_BYTES)):
        said += data
    code = await process.close()
    try:
        match json.loads(said):
            case {"removed_bytes": int() as removed, "stopped": int() as stopped, "busy": [*busy]}:
                return removed, stopped, [pid for pid in busy if isinstance(pid, int)]
    except (ValueError, RecursionError):
        pass
    words = process.stderr_tail[-500:] or f"exit code {code}, {said!r:.80}"
    raise HostError("runner", f"{name}: its runner does not clean up: {words}", f"remove {depot.facts.workdir} there")
