"""`hosts check`: is this host fit to run tasks, and if not, what is wrong and what would mend it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from batchwasm import transports
from batchwasm.engine import link, ways
from batchwasm.engine.deploy import look_for_mounts, platform_of
from batchwasm.engine.depot import Depot, Facts
from batchwasm.engine.link import Speed
from batchwasm.engine.look import Look, look
from batchwasm.engine.pack import pack_for
from batchwasm.engine.ways import Way
from batchwasm.errors import HostError
from batchwasm.model import GIB, Host, HostName

PINGS = 3
SKEW_S = 5.0  # more than this makes times in reports confusing
LOW_DISK_BYTES = GIB  # one task may write that much by default

ANSWERED = ("protocol", "key", "key_changed", "auth")
"""What is told of a host only after it said something."""

Key = Literal["known", "unknown", "changed", "unchecked"]
OnStep = Callable[[str], object]
"""Told what is being done: a word or two."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """How far we came with a host. What was not reached is None."""

    host: HostName
    transport: str
    place: str
    """`user@address:port`, as ~/.ssh/config has it; '' for this machine."""
    reached: bool
    """Something that speaks the protocol answered there."""
    key: Key | None
    auth: bool | None
    facts: Facts | None
    latency_s: float | None
    """The shortest of a few round trips."""
    clock_skew_s: float | None
    """How far its clock is ahead of ours."""
    runner: bool | None
    """Our runner is installed there already."""
    look: Look | None
    """What it would say to a run that came now."""
    warnings: tuple[str, ...]
    error: HostError | None
    others: tuple[Way, ...] = ()
    """Other transports that were tried where its own failed; what else is known is through the first that works."""
    speed: Speed | None = None

    @property
    def good(self) -> bool:
        return self.error is None

    @property
    def works(self) -> str | None:
        """The transport that would do: its own, else the first of the others."""
        if not self.others:
            return self.transport if self.auth else None
        return next((way.transport for way in self.others if way.works), None)

    @property
    def advice(self) -> str:
        """What to change in the inventory, where another transport would do or knows of a way in; else ''."""
        way = next((way for way in self.others if way.works), None)
        if way is None:
            return self._refused_by_ssh()
        then = "" if way.error is None else f", once its key is accepted: batchwasm hosts trust {self.host}"
        return f'transport = "{way.transport}" in the inventory works{then}'

    def _refused_by_ssh(self) -> str:
        """It alone hears what else than a key a host would take: a ticket, a password, a code."""
        refused = next((way.error for way in self.others if way.transport == "openssh"), None)
        if refused is None or self.error is None or not refused.code == self.error.code == "auth":
            return ""
        return "" if refused.cure == self.error.cure else f'with transport = "openssh": {refused.cure}'


async def check(host: Host, *, on_step: OnStep = lambda _: None, lane: asyncio.Semaphore | None = None) -> Check:
    """Never raises HostError: that is what the Check tells. Installs nothing but a Python where there is none.

    Speeds are measured in the `lane`, where there is one: many at once would measure our own end.
    """
    seen = _Seen(host, on_step, lane or asyncio.Semaphore())
    try:
        on_step("connecting")
        await _through(seen, transports.make(host))
    except HostError as error:
        seen.error = error
    if seen.error is not None and not seen.connected:
        await _through_others(seen, seen.error)
    await seen.judge_key()
    return seen.told()


async def _through(seen: _Seen, transport: transports.Transport) -> None:
    try:
        await transport.connect()
        seen.connected = True
        await _look(seen, transport)
    finally:
        await seen.close()
        await transport.close()


async def _through_others(seen: _Seen, error: HostError) -> None:
    """Which of them work; the host is looked at by the first, and what is wrong there besides is a warning."""
    for name in await ways.worth_a_try(seen.host, error):
        seen.on_step(f"trying {name}")
        way, transport = await ways.connected(seen.host, name)
        first = not any(other.error is None for other in seen.others)
        seen.others.append(way)
        try:
            if way.error is None and first:
                await _look(seen, transport)
        except HostError as problem:
            seen.besides.append(f"{problem.code}: {problem.beside(seen.host.name)}")
        finally:
            await seen.close()
            await transport.close()


class _Seen:
    """What a check has found so far."""

    def __init__(self, host: Host, on_step: OnStep, lane: asyncio.Semaphore) -> None:
        self.host, self.on_step, self.lane = host, on_step, lane
        self.connected = False
        self.key: Key | None = None
        self.depot: Depot | None = None
        self.clock: tuple[float, float] | None = None
        self.runner: bool | None = None
        self.look: Look | None = None
        self.speed: Speed | None = None
        self.error: HostError | None = None
        self.others: list[Way] = []
        self.besides: list[str] = []

    async def close(self) -> None:
        if self.depot is not None:
            await self.depot.close()

    def told(self) -> Check:
        facts = self.depot.facts if self.depot is not None else None
        key = self.key
        return Check(
            host=self.host.name,
            transport=self.host.transport,
            place=transports.place(self.host),
            reached=self.connected or key is not None or self._answered(),
            key=key,
            auth=True if self.connected else False if self.error is not None and self.error.code == "auth" else None,
            facts=facts,
            latency_s=self.clock[0] if self.clock else None,
            clock_skew_s=self.clock[1] if self.clock else None,
            runner=self.runner,
            look=self.look,
            warnings=(*self.besides, *_warnings(self.host, key, facts, self.clock, self.look)),
            error=self.error,
            others=tuple(self.others),
            speed=self.speed,
        )

    def _answered(self) -> bool:
        errors = (self.error, *(way.error for way in self.others))
        return any(error is None or error.code in ANSWERED for error in errors)

    async def judge_key(self) -> None:
        code = self.error.code if self.error is not None else ""
        if code == "key":
            self.key = "unknown"
        elif code == "key_changed":
            self.key = "changed"
        elif self.connected or code == "auth":
            checked = await transports.checks_keys(self.host)
            self.key = None if checked is None else "known" if checked else "unchecked"


async def _look(seen: _Seen, transport: transports.Transport) -> None:
    host = seen.host
    seen.on_step("looking")
    seen.depot = await Depot.start(host.name, transport, python=host.python, workdir=host.workdir)
    facts = seen.depot.facts
    seen.clock = min([await seen.depot.clock() for _ in range(PINGS)])
    if not facts.writable:
        cause = f"{host.name}: {facts.workdir} can't be made or written by user {facts.uid}"
        raise HostError("permission", cause, "set a `workdir` that you may write in the inventory")
    await look_for_mounts(host, seen.depot)
    if host.memory_bytes is not None and 0 < facts.memory_bytes < host.memory_bytes:
        cause = (
            f"{host.name}: memory is {_mib(host.memory_bytes)} in the inventory, and it has {_mib(facts.memory_bytes)}"
        )
        raise HostError("memory", cause, "write less there, or leave it out")
    platform = platform_of(host.name, facts)
    try:
        pack = await asyncio.to_thread(pack_for, platform)
    except HostError as error:
        raise HostError(error.code, f"{host.name}: {error.cause}", error.cure) from error
    seen.runner = pack.digest in await seen.depot.runners()
    if not seen.runner and facts.disk_free_bytes < pack.installed_bytes:
        cause = f"{host.name}: {facts.workdir}: {_mib(facts.disk_free_bytes)} free, {_mib(pack.installed_bytes)} needed"
        raise HostError("disk", cause, "make room there, or set another `workdir` for this host in the inventory")
    seen.look = await look(host, transport)
    if host.transport != "local":
        async with seen.lane:
            seen.on_step("measuring")
            seen.speed = await link.measure(seen.depot, seen.clock[0])
    if seen.look.refused:
        raise HostError("owner", f"{host.name}: {seen.look.refused}", "ask who owns it; host.toml there says so")


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:,.0f} MiB"


def _warnings(
    host: Host, key: Key | None, facts: Facts | None, clock: tuple[float, float] | None, seen: Look | None
) -> list[str]:
    found = []
    if key == "unchecked":
        found.append("its host key is not checked: ~/.ssh/config says StrictHostKeyChecking no")
    if clock is not None and abs(clock[1]) > SKEW_S:
        found.append(f"its clock is {abs(clock[1]):.0f} s {'ahead of' if clock[1] > 0 else 'behind'} ours")
    if facts is not None and host.cpus is not None and host.cpus > facts.cpus:
        found.append(f"cpus is {host.cpus} in the inventory, and it has {facts.cpus}: its tasks share them")
    if seen is not None and (host.gpus or 0) > seen.gpus:
        found.append(f"gpus is {host.gpus} in the inventory, and {seen.gpus or 'none'} were found")
    if facts is not None and facts.disk_free_bytes < LOW_DISK_BYTES:
        found.append(f"only {facts.disk_free_bytes / GIB:.1f} GiB are free at {facts.workdir}")
    if seen is not None and seen.logind:
        found.append(seen.logind)
    return found
