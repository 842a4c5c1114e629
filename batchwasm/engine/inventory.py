"""The inventory's file while a run goes on: hosts that are written into it come, those that are taken out go.

What is wrong in it at some moment is told, and changes nothing. A host that stays is not changed: how it is reached and
what it offers was agreed on when it was met.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from batchwasm import spec
from batchwasm.errors import SpecError, WorldError
from batchwasm.model import Courtesy, Host, HostName, Inventory
from batchwasm.results import RunFolder

LOOK_S = 2.0  # who saves the file sees what comes of it before wondering; a look costs 0.1 ms, on NFS a round trip
SETTLE_S = 0.2  # editors and scp write in pieces: what changed within that time is not whole yet
NAMED = 6  # hosts named in one note

Stamp = tuple[int, int, int] | None
"""What tells one version of a file from another; None where it is not there."""


class Members(Protocol):
    """Who takes hosts in and lets them go; the loop, seen from here."""

    def come(self, host: Host) -> bool:
        """`host` takes part from now on. False for one that was about to go: it stays, as the host that it was."""
        ...

    def go(self, name: HostName) -> None:
        """`name` gets nothing new, and is left when what runs there has ended."""
        ...


class LiveInventory:
    """The file of a run's inventory, where it has one."""

    def __init__(self, inventory: Inventory, folder: RunFolder, members: Members, note: Callable[[str], None]) -> None:
        self._path, self._text = inventory.path, inventory.text
        self._hosts = _by_name(inventory)
        """As the file has them, when it was last right."""
        self._used = dict(self._hosts)
        """As the run knows them; those that went, too."""
        self._folder, self._members, self._note = folder, members, note

    async def watch(self) -> None:
        """Until cancelled; at once where there is no file."""
        if self._path is None:
            return
        stamp: Stamp | str = "unread"  # it may have changed while the sources were compiled
        while True:
            await asyncio.sleep(LOOK_S)
            while (now := await asyncio.to_thread(_stamp, self._path)) != stamp:
                await asyncio.sleep(SETTLE_S)
                if await asyncio.to_thread(_stamp, self._path) != now:
                    continue
                found = await asyncio.to_thread(_read, self._path)
                if await asyncio.to_thread(_stamp, self._path) == now:
                    stamp = now
                    self._take(found)

    def _take(self, found: Inventory | SpecError) -> None:
        if isinstance(found, SpecError):
            self._note(f"{found}\nuntil the inventory is right again, the run keeps the hosts that it has")
        elif found.text != self._text:
            self._text = found.text
            with suppress(WorldError):  # the journal has the hosts, and tells soon enough of a full disk
                self._folder.replace_inventory(found.text)
            self._change_to(_by_name(found))

    def _change_to(self, hosts: Mapping[HostName, Host]) -> None:
        before, self._hosts = self._hosts, dict(hosts)
        for name in before:
            if name not in hosts:
                self._members.go(name)
        for name, host in hosts.items():
            if name not in before and self._members.come(host):
                self._used[name] = host
        changed = [
            f"{name} ({', '.join(_differences(self._used[name], host))})"
            for name, host in hosts.items()
            if host not in (before.get(name), self._used[name])
        ]
        if changed:
            self._note(f"{self._path}: {_listed(changed)}: takes effect when the run is started again")


def _by_name(inventory: Inventory) -> dict[HostName, Host]:
    return {host.name: host for host in inventory.hosts}


def _stamp(path: Path) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> Inventory | SpecError:
    try:
        return spec.load_inventory(None, inventory=path, hosts=None)
    except SpecError as error:
        return error


def _differences(one: Host | Courtesy, other: Host | Courtesy) -> Iterator[str]:
    """Names of the keys that differ."""
    for name in one.__dataclass_fields__:
        mine, its = getattr(one, name), getattr(other, name)
        if isinstance(mine, Courtesy):
            yield from _differences(mine, its)
        elif mine != its:
            yield name.removesuffix("_bytes").removesuffix("_s")


def _listed(items: Sequence[str]) -> str:
    more = len(items) - NAMED
    return ", ".join(items[:NAMED]) + (f" and {more} more" if more > 0 else "")
