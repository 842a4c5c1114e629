"""A program that takes itself for a one-file one, without the file: a Python of its own, marked as the tree is.

tests/test_dist.py has the real one, which takes minutes to build.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from batchwasm import carried
from tests.command import Cli
from tests.guests import HELLO_WAT


@pytest.fixture
def one_file(weird_tmp_path: Path, tmp_path: Path) -> Cli:
    """A venv that sees what this Python sees, with the loader's name in it."""
    tree = tmp_path / "tree"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tree], check=True)
    (tree / "lib/batchwasm").touch()
    [packages] = tree.glob("lib/python3*/site-packages")
    (packages / "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (weird_tmp_path / "hello.wat").write_text(HELLO_WAT)
    return Cli(program=(str(tree / "bin/python"), "-m", "batchwasm"), folder=weird_tmp_path)


def test_this_machine_is_served_by_the_python_that_is_carried(one_file: Cli) -> None:
    [host] = one_file("hosts", "check", "--json", env={"PATH": "/nowhere"}).rows
    assert (host["facts"]["executable"], host["error"]) == (one_file.program[0], None)
    one_file("run", "hello.wat", env={"PATH": "/nowhere"})
    [row] = one_file("results", "--json").rows
    assert (row["outcome"], row["host"]) == ("succeeded", "localhost")
    one_file("run", "--detach", "hello.wat", env={"PATH": "/nowhere"})
    one_file("wait")


def test_a_python_that_the_inventory_names_is_taken_all_the_same(one_file: Cli) -> None:
    (one_file.folder / "inventory.toml").write_text(f'[hosts.here]\ntransport = "local"\npython = "{sys.executable}"\n')
    [host] = one_file("hosts", "check", "--json").rows
    assert host["facts"]["executable"] == sys.executable


def test_nothing_is_to_be_installed_by_pip_where_pip_can_not_install(one_file: Cli, batchwasm: Cli) -> None:
    here = {"PATH": "/nowhere"}
    told = {row["language"]: row["get"] for row in one_file("toolchains", "--json", env=here).rows}
    assert not any("pip" in get for get in told.values() if get)
    pip = {row["language"]: row["get"] for row in batchwasm("toolchains", "--json", env=here).rows}
    assert all("pip" not in get or get.startswith("pip install") for get in pip.values() if get)


def test_a_python_for_hosts_is_known_by_its_end_and_its_name(home: Path) -> None:
    folder = home / ".local/share/batchwasm"
    folder.mkdir(parents=True)
    about = json.dumps({"Name": "python", "Digest": "0123456789abcdef" * 4, "Size": 4, "Run": "bin/python3"}).encode()
    whole = b"start" + b"tree" + about + struct.pack("<Q", len(about)) + carried.MAGIC
    path = folder / carried.name_for("Linux x86_64\n")
    assert path.name == "batchwasm-python-linux-x86_64"
    assert carried.host_python("Linux x86_64") is None
    path.write_bytes(whole)
    found = carried.host_python("Linux x86_64")
    assert found == carried.HostPython(path=path, digest="0123456789abcdef", size=len(whole))
    assert carried.host_python("Darwin arm64") is None
    for damaged in (whole[:-1], b"", whole[:-8] + b"whatever", struct.pack("<Q", 1 << 60) + carried.MAGIC):
        path.write_bytes(damaged)
        assert carried.host_python("Linux x86_64") is None
