"""The inventory's file while a run goes on: what is written into it counts when it is whole and right."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchwasm import spec
from batchwasm.engine import inventory
from batchwasm.engine.inventory import LiveInventory
from batchwasm.model import Host, HostName, Inventory
from batchwasm.results import RunFolder
from tests.engine.fake_host import until

TWO = "[hosts.a]\n[hosts.b]\ncpus = 2\n"


class Heard:
    """Who comes, who goes, and what is told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        self.staying: set[HostName] = set()
        """Hosts that have not been left yet when they come back."""

    def come(self, host: Host) -> bool:
        self.told.append(f"+{host.name}")
        return host.name not in self.staying

    def go(self, name: HostName) -> None:
        self.told.append(f"-{name}")

    def note(self, text: str) -> None:
        self.told.append(text.replace(str(self.path), "FILE"))

    async def hear(self, count: int) -> list[str]:
        """The next `count` things, which are all by then."""
        await until(lambda: len(self.told) >= count)
        told, self.told = self.told, []
        return told


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "LOOK_S", 0.002)
    monkeypatch.setattr(inventory, "SETTLE_S", 0.002)


@asynccontextmanager
async def watched(tmp_path: Path, text: str = TWO) -> AsyncIterator[Heard]:
    folder = RunFolder(path=tmp_path / "run-1")
    folder.path.mkdir()
    path = tmp_path / "inventory.toml"
    path.write_text(text)
    folder.write_text(folder.inventory, text)
    heard = Heard(path)
    found = spec.load_inventory(None, inventory=path, hosts=None)
    watching = asyncio.ensure_future(LiveInventory(found, folder, heard, heard.note).watch())
    try:
        yield heard
        assert heard.told == []
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def save(path: Path, text: str) -> None:
    """As most editors do: another file takes its place."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


async def test_hosts_that_are_written_come_and_those_taken_out_go(tmp_path: Path) -> None:
    async with watched(tmp_path) as heard:
        save(heard.path, '[hosts.a]\n[hosts."c[1-2]"]\n')
        assert await heard.hear(3) == ["-b", "+c1", "+c2"]
        heard.path.write_text(TWO)  # in place
        assert await heard.hear(3) == ["-c1", "-c2", "+b"]


async def test_the_run_folder_has_what_it_went_by_first_and_last(tmp_path: Path) -> None:
    async with watched(tmp_path) as heard:
        for name in "cd":
            save(heard.path, f"{TWO}[hosts.{name}]\n")
            await until(lambda name=name: f"+{name}" in heard.told)  # type: ignore[misc]
        heard.told.clear()
        folder = RunFolder(path=tmp_path / "run-1")
        assert folder.inventory.read_text() == f"{TWO}[hosts.d]\n"
        assert folder.first_inventory.read_text() == TWO


async def test_what_is_wrong_is_told_once_and_changes_nothing(tmp_path: Path) -> None:
    async with watched(tmp_path) as heard:
        save(heard.path, "[hosts.a]\ncpus = 'many'\n[hosts.c]\n")
        (told,) = await heard.hear(1)
        assert told.splitlines()[0].startswith("FILE:2: hosts.a.cpus: ")
        assert told.splitlines()[1] == "until the inventory is right again, the run keeps the hosts that it has"
        save(heard.path, "[hosts.a")
        assert "is not TOML" in (await heard.hear(1))[0]
        heard.path.unlink()
        assert "there is no such file" in (await heard.hear(1))[0]
        save(heard.path, TWO + "[hosts.c]\n")
        assert await heard.hear(1) == ["+c"]


async def test_other_keys_of_a_host_that_stays_are_told_once_to_come_later(tmp_path: Path) -> None:
    async with watched(tmp_path) as heard:
        save(heard.path, TWO.replace("cpus = 2", 'cpus = 3\nmemory = "2GiB"'))
        assert await heard.hear(1) == ["FILE: b (cpus, memory): takes effect when the run is started again"]
        save(heard.path, TWO.replace("cpus = 2", 'cpus = 3\nmemory = "2GiB"') + "[hosts.c]\n")
        assert await heard.hear(1) == ["+c"]
        save(heard.path, TWO.replace("cpus = 2", 'cpus = 2\nmax_load = 0.8\nmin_idle = "5m"') + "[hosts.c]\n")
        assert await heard.hear(1) == ["FILE: b (max_load, min_idle): takes effect when the run is started again"]
        save(heard.path, TWO)  # as it was
        assert await heard.hear(1) == ["-c"]


async def test_a_host_that_comes_back_before_it_was_left_is_as_it_was(tmp_path: Path) -> None:
    async with watched(tmp_path) as heard:
        heard.staying.add("b")
        save(heard.path, "[hosts.a]\n")
        assert await heard.hear(1) == ["-b"]
        save(heard.path, TWO.replace("2", "3"))
        assert await heard.hear(2) == ["+b", "FILE: b (cpus): takes effect when the run is started again"]
        heard.staying.clear()
        save(heard.path, "[hosts.a]\n")
        assert await heard.hear(1) == ["-b"]
        save(heard.path, TWO.replace("2", "3"))
        assert await heard.hear(1) == ["+b"]


async def test_a_file_that_is_only_touched_or_laid_out_anew_changes_nothing(tmp_path: Path) -> None:
    async with watched(tmp_path) as heard:
        os.utime(heard.path, (1, 1))
        save(heard.path, f"# two\n\n{TWO}")
        save(heard.path, f"# three\n\n{TWO}[hosts.c]\n")
        assert await heard.hear(1) == ["+c"]


async def test_what_is_still_being_written_is_not_taken_for_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is longer at every look, for a while."""
    stamp, pieces = inventory._stamp, iter(["[hosts.a]\n", "[hosts.b]\n", "cpus =", " 2\n", "[hosts.c]\n"])

    def growing(path: Path) -> inventory.Stamp:
        with path.open("a") as file:
            file.write(next(pieces, ""))
        return stamp(path)

    async with watched(tmp_path) as heard:
        heard.path.write_text("")
        monkeypatch.setattr(inventory, "_stamp", growing)
        assert await heard.hear(1) == ["+c"]


async def test_without_a_file_nothing_is_watched(tmp_path: Path) -> None:
    heard = Heard(tmp_path)
    alone = LiveInventory(Inventory(hosts=[Host(name="a")]), RunFolder(path=tmp_path), heard, heard.note)
    async with asyncio.timeout(5):
        await alone.watch()


def test_hosts_picked_from_an_inventory_are_these_whatever_becomes_of_it(tmp_path: Path) -> None:
    path = tmp_path / "inventory.toml"
    path.write_text(TWO)
    assert spec.load_inventory(None, inventory=path, hosts=None).path == path
    assert spec.load_inventory(None, inventory=path, hosts="a").path is None
