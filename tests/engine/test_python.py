"""A host without Python: told so, or sent one, which it keeps. The Python is real; what starts it is a shell script."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm import carried
from batchwasm.engine.depot import Depot
from batchwasm.errors import HostError, HostLost
from batchwasm.transports import make
from scripts.onefile import build
from tests.bare import Bare
from tests.command import Cli
from tests.guests import HELLO_WAT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a host without Python")

LAUNCHER = """#!/bin/sh
tree=${0%/bin/python3}
exec "$tree/lib/batchwasm" --argv0 "$0" --library-path "$tree/lib" "$tree/lib/python3" "$@"
"""
START = """#!/bin/sh
[ "$1" = --unpack-to ] || exit 9
mkdir "$2.new" && tail -c +NNN "$0" | gzip -dc 2>/dev/null | tar -x -C "$2.new" && mv "$2.new" "$2"
exit $?
"""


@pytest.fixture(scope="session")
def one_file_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `make dist` makes it, but not compiled, hardly compressed, and started by scripts."""
    folder = tmp_path_factory.mktemp("onefile")
    (folder / "python3").write_text(LAUNCHER)
    (folder / "python3").chmod(0o755)
    start = START.replace("NNN", f"{len(START) + 1:3}".strip())
    (folder / "start").write_text(start.replace(f"+{len(START) + 1}", f"+{len(start) + 1}"))
    tree = build.python_tree(folder / "tree", folder / "python3", (*build.LEFT_OUT, *build.LEFT_OUT_ON_HOSTS))
    list(build.add_libraries(tree))
    build.strip(tree)
    path = folder / carried.name_for("Linux x86_64")
    build.write(path, tree, folder / "start", name="python", run="bin/python3", level=1)
    return path


@pytest.fixture
def known_here(one_file_python: Path, home: Path) -> carried.HostPython:
    """The Python lies where a user puts it."""
    folder = home / ".local/share/batchwasm"
    folder.mkdir(parents=True)
    (folder / one_file_python.name).symlink_to(one_file_python)
    found = carried.host_python("Linux x86_64")
    assert found is not None
    return found


async def python_on(bare: Bare, way: str = "ssh", **given: str) -> tuple[str, bool]:
    """The Python that a depot there runs on, and whether it was brought just now."""
    transport = make(dataclasses.replace(bare.server.host, transport=way))
    await transport.connect()
    try:
        depot = await Depot.start("bare", transport, **given)
        await depot.close()
        return depot.facts.executable, depot.brought is not None
    finally:
        await transport.close()


async def test_a_host_without_python_is_told_with_what_would_help(bare_host: Bare) -> None:
    with pytest.raises(HostError) as caught:
        await python_on(bare_host)
    assert caught.value.code == "python", str(caught.value)
    assert caught.value.cause == "bare: no Python of 3.9 or later (no python3 or python3.9 to python3.15 there)"
    assert "batchwasm-python-linux-x86_64 in ~/.local/share/batchwasm" in caught.value.cure
    assert not bare_host.workdir.exists()


@pytest.mark.parametrize("way", ["ssh", "openssh", "paramiko"])
async def test_a_python_is_brought_once_and_found_again(
    bare_host: Bare, known_here: carried.HostPython, way: str
) -> None:
    bare_host.add("tail", "gzip", "tar", "mv")
    executable = f"/home/.cache/batchwasm/python/{known_here.digest}/bin/python3"
    assert await python_on(bare_host, way) == (executable, True)
    assert await python_on(bare_host, way) == (executable, False)
    assert os.listdir(bare_host.workdir / "python") == [known_here.digest]


async def test_it_goes_where_the_workdir_is(bare_host: Bare, known_here: carried.HostPython) -> None:
    bare_host.add("tail", "gzip", "tar", "mv")
    executable, _ = await python_on(bare_host, workdir="~/it's a b")
    assert executable == f"/home/it's a b/python/{known_here.digest}/bin/python3"


async def test_a_python_that_the_inventory_names_is_not_replaced(
    bare_host: Bare, known_here: carried.HostPython
) -> None:
    with pytest.raises(HostError, match=r"no /opt/python3 there"):
        await python_on(bare_host, python="/opt/python3")


async def test_what_goes_wrong_with_unpacking_is_told(bare_host: Bare, known_here: carried.HostPython) -> None:
    with pytest.raises(HostError, match=r"the one that was sent can't be put there: .*not found") as caught:
        await python_on(bare_host)
    assert caught.value.code == "python"


@pytest.fixture
def little_disk(bare_host: Bare) -> Iterator[Path]:
    """/disk of the bare host: 4 MiB."""
    disk = bare_host.root / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], check=True)
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


async def test_a_disk_that_is_full_is_told_as_one(
    bare_host: Bare, known_here: carried.HostPython, little_disk: Path
) -> None:
    with pytest.raises(HostError, match=r"No space left on device") as caught:
        await python_on(bare_host, workdir="/disk/w")
    assert caught.value.code == "disk"
    assert os.listdir(little_disk / "w/python") == []


async def test_a_connection_that_ends_meanwhile_may_be_tried_again(
    bare_host: Bare, known_here: carried.HostPython
) -> None:
    (bare_host.root / "bin/head").unlink()
    (bare_host.root / "bin/head").write_text("#!/bin/sh\nkill -9 $PPID\n")
    (bare_host.root / "bin/head").chmod(0o755)
    with pytest.raises(HostLost, match="went away while a Python was sent"):
        await python_on(bare_host)


@pytest.mark.long
def test_a_run_uses_the_host_and_says_what_it_was_sent(
    batchwasm: Cli, bare_host: Bare, known_here: carried.HostPython
) -> None:
    bare_host.add("tail", "gzip", "tar", "mv")
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    run = batchwasm("run", "hello.wat", "--hosts", "bare")
    assert "host bare: has no Python of 3.9 or later: it was sent one" in run.err
    [row] = batchwasm("results", "--json").rows
    assert (row["outcome"], row["host"]) == ("succeeded", "bare")
    assert "was sent one" not in batchwasm("run", "hello.wat", "--hosts", "bare").err
    batchwasm("hosts", "clean", "--hosts", "bare")
    assert not bare_host.workdir.exists()
