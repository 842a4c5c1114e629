"""A connected host is made ready here: Python found, runner installed by digest, relay started."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from batchwasm.engine.announced import Announced
from batchwasm.engine.depot import Depot, Facts
from batchwasm.engine.pack import Pack, Platform, pack_for
from batchwasm.engine.python import direct
from batchwasm.errors import HostError, HostLost
from batchwasm.model import Host
from batchwasm.transports import Process, Transport

RELAY = b"\nbatchwasm-relay/1\n"
RELAY_S = 60.0  # a login shell's profile, and Python from a slow file server
Shipped = Callable[[str, str, int], None]
"""(kind, digest, bytes on the wire) of something that the host did not have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A host that is ready for orders."""

    depot: Depot
    runner: Announced
    """The relay's stdio: protocol frames both ways."""
    facts: Facts


async def prepare(host: Host, transport: Transport, on_shipped: Shipped) -> Prepared:
    """Connect where that was not done yet, install what is missing, start a relay. Raises HostError."""
    await transport.connect()
    depot = await Depot.start(host.name, transport, python=host.python, workdir=host.workdir)
    try:
        if depot.brought is not None:
            on_shipped("python", depot.brought.digest, depot.brought.size)
        await look_for_mounts(host, depot)
        pack = await install(host.name, depot, on_shipped)
        runner = await _relay(host.name, transport, depot.facts, pack.digest)
    except BaseException:
        await depot.close()
        raise
    return Prepared(depot=depot, runner=runner, facts=depot.facts)


async def look_for_mounts(host: Host, depot: Depot) -> None:
    """Raises HostError `mount` where a folder is missing that the inventory says is there."""
    absent = await depot.absent(host.mounts.values()) if host.mounts else ()
    if absent:
        missing = ", ".join(f"{path} (mount {name})" for name, path in host.mounts.items() if path in absent)
        what = "is no folder" if len(absent) == 1 else "are no folders"
        cause = f"{host.name}: {missing} {what} that user {depot.facts.uid} may look into there"
        raise HostError("mount", cause, f"mount it, or correct [hosts.{host.name}.mounts] in the inventory")


async def install(name: str, depot: Depot, on_shipped: Shipped) -> Pack:
    """The runner for that host's platform, there afterwards; uploaded once."""
    platform = platform_of(name, depot.facts)
    try:
        pack = await asyncio.to_thread(pack_for, platform)
    except HostError as error:
        raise HostError(error.code, f"{name}: {error.cause}", error.cure) from error
    if pack.digest not in await depot.runners():
        compressed = await asyncio.to_thread(lambda: pack.compressed)
        if await depot.unpack(pack.digest, pack.chunks()):
            on_shipped("runner", pack.digest, len(compressed))
    return pack


def platform_of(name: str, facts: Facts) -> Platform:
    """Raises HostError: `platform` for a 32-bit Python, `permission` where no program may run from the workdir."""
    if facts.bits != 64:
        cause = f"{name}: {facts.executable} is a {facts.bits}-bit Python, wasmtime needs 64"
        raise HostError("platform", cause, "set `python` of this host to a 64-bit one")
    if facts.noexec:
        cause = f"{name}: no program may run from {facts.workdir}, whose disk is mounted noexec there"
        raise HostError(
            "permission", cause, "set `workdir` in the inventory, or XDG_CACHE_HOME there, to where they may"
        )
    return Platform(os=facts.os, machine=facts.machine, libc=facts.libc.partition(" ")[0])


def runner_command(facts: Facts, digest: str, *arguments: str) -> str:
    """A script for sh that starts a command of the installed runner, after the line RELAY.

    It starts in the runner's folder, so that no module in the user's home is taken for one of Python's,
    and takes names of files for UTF-8 whatever the locale.
    """
    folder = f"{facts.workdir}/runner/{digest}"
    command = [
        "env",
        f"PYTHONPATH={folder}",
        "PYTHONUTF8=1",
        facts.executable,
        "-s",
        "-m",
        "batchwasm_runner",
        *arguments,
    ]
    return f'cd {shlex.quote(folder)} && echo && echo "{RELAY.decode().strip()}" && exec {shlex.join(command)}'


async def _start(transport: Transport, facts: Facts, digest: str, arguments: Sequence[str]) -> Process:
    own = direct(transport)
    if own is None or facts.executable != own.executable:
        return await transport.spawn(runner_command(facts, digest, *arguments))
    folder = f"{facts.workdir}/runner/{digest}"
    module = 'runpy.run_module("batchwasm_runner", run_name="__main__", alter_sys=True)'
    code = f"import runpy; print({RELAY.decode()!r}, end='', flush=True); {module}"
    return await own.start(["-s", "-c", code, *arguments], folder=folder, path=folder)


async def start_runner(name: str, transport: Transport, facts: Facts, digest: str, *arguments: str) -> Announced:
    """Start a command of the installed runner; its stdout from the first byte that is its own."""
    process = await _start(transport, facts, digest, arguments)
    try:
        async with asyncio.timeout(RELAY_S):
            announced = await Announced.wait(process, (RELAY,))
    except TimeoutError as error:
        await process.close()
        cause = f"{name}: no shell started within {RELAY_S:.0f} s"
        raise HostError("timeout", cause, "look at its load and at its login shell's profile") from error
    except BaseException:
        with contextlib.suppress(HostError):
            await process.close()
        raise
    if announced is None:
        await process.close()
        said = process.stderr_tail[-500:]
        if not said.strip():
            raise HostLost(f"{name}: the runner ended as it started, and said nothing")
        cause = f"{name}: the runner does not start: {said}"
        raise HostError("runner", cause, f"look at {facts.workdir}/runner, or: batchwasm hosts clean {name}")
    return announced


async def _relay(name: str, transport: Transport, facts: Facts, digest: str) -> Announced:
    return await start_runner(name, transport, facts, digest, "relay", "--workdir", facts.workdir)
