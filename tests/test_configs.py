"""The inventories that users copy are right, and mean what their comments say."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from batchwasm import spec
from batchwasm.model import GIB, Host, Hours

CONFIGS = Path(__file__).parent.parent / "configs"


def hosts(name: str) -> dict[str, Host]:
    inventory = spec.load_inventory(None, inventory=CONFIGS / f"{name}.toml", hosts=None)
    return {host.name: host for host in inventory.hosts}


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_inventory_is_right(path: Path) -> None:
    assert hosts(path.stem)


def test_local_is_a_share_of_this_machine() -> None:
    [here] = hosts("local").values()
    assert (here.transport, here.cpus, here.memory_bytes) == ("local", 2, 4 * GIB)


def test_lab_names_three_machines_each_with_what_is_special_about_it() -> None:
    lab = hosts("lab")
    assert list(lab) == ["lab01", "lab02", "old"]
    assert {host.user for host in lab.values()} == {"alice"}
    assert (lab["lab02"].address, lab["lab02"].port, lab["lab02"].cpus) == ("lab02.cs.example.edu", 2222, 16)
    assert lab["old"].python == "/opt/python3.11/bin/python3"
    assert lab["lab01"].mounts == {"imagenet": "/nfs/imagenet"}


def test_ways_has_a_host_of_every_transport() -> None:
    assert {host.transport for host in hosts("ways").values()} == {"ssh", "openssh", "paramiko", "local"}


def test_a_table_of_its_own_beats_the_range() -> None:
    pool = hosts("ranges")
    assert len(pool) == 45
    assert pool["lab40"].address == "lab40.cs.example.edu"
    assert (pool["lab06"].cpus, pool["lab07"].cpus) == (8, 2)
    assert pool["lab07"].address == "lab07.cs.example.edu"
    assert pool["big"].memory_bytes == pool["gpu4"].memory_bytes == 128 * GIB


def test_shared_machines_are_left_to_their_people_and_say_what_they_have() -> None:
    pool = hosts("shared")
    assert len(pool) == 22
    desk, always, gpu = (pool[name].courtesy for name in ("desk01", "desk07", "gpu2"))
    assert (desk.max_load, desk.min_free_memory_bytes, desk.min_idle_s, desk.when_busy) == (
        0.8,
        4 * GIB,
        900,
        "suspend",
    )
    assert desk.hours == (Hours(start=18 * 60 + 30, stop=8 * 60), Hours(start=12 * 60, stop=13 * 60))
    assert (always.hours, always.min_idle_s) == ((), 900)
    assert (gpu.when_busy, gpu.min_idle_s, gpu.max_load) == ("wait", None, 0.8)
    assert (pool["desk01"].labels, pool["gpu1"].labels) == ({"desktop"}, {"fast-disk", "cuda12"})
    assert (pool["gpu1"].gpus, pool["gpu1"].resources) == (2, {"licence": 4})


def test_ssh_finds_the_way_through_the_gateway_that_the_jump_example_writes_down() -> None:
    assert len(hosts("jump")) == 16
    config = ["ssh", "-G", "-F", str(CONFIGS / "ssh_config.example"), "node07"]
    found = subprocess.run(config, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "proxyjump gateway" in found
    assert "hostname node07.cluster.internal" in found
