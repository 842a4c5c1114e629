"""Fleets over real OpenSSH servers: all hosts take part, values come in order, also when a host dies in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from batchwasm import Fleet, api
from batchwasm.fleet import Function
from batchwasm.functions import Param, Signature, into_module
from batchwasm.functions.types import Int
from tests.runner import reactors
from tests.sshd import Sshd, inventory_of

U32 = Int(32, False)
SLOW = """
    (loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $l (i32.lt_u (local.get $i) (i32.const 400000))))
    (call $answer (i32.add (local.get $at) (i32.const 1)) (i32.sub (local.get $size) (i32.const 1)))
"""
"""Gives its argument back, after long enough for other hosts to take part: a fraction of a millisecond."""


@pytest.fixture
def fleet(ssh_pool: list[Sshd], tmp_path: Path) -> Iterator[Fleet]:
    inventory = tmp_path / "inventory.toml"
    inventory.write_text(inventory_of(ssh_pool))
    with Fleet(inventory) as fleet:
        yield fleet


@pytest.fixture
def slow(fleet: Fleet, tmp_path: Path) -> Function:
    signature = Signature(language="wat", name="slow", params=(Param(name="n", type=U32),), result=U32)
    path = tmp_path / "slow.wasm"
    path.write_bytes(into_module(reactors.reactor(SLOW), signature))
    return fleet.function(path, "slow")


def hosts_of(fleet: Fleet) -> set[str]:
    """Those whose results are in the journal."""
    return {row.host for row in api.results(fleet.folder) if row.outcome == "succeeded" and row.host}


def test_all_hosts_take_part_and_values_come_in_order(fleet: Fleet, slow: Function) -> None:
    values, hosts, taken = fleet.map(slow, count()), set[str](), 0
    while hosts != {"sshd-a", "sshd-b", "sshd-c"} or taken < 5000:
        assert [next(values) for _ in range(1000)] == list(range(taken, taken + 1000))
        taken += 1000
        assert taken < 100_000, f"only {hosts} took part"
        hosts = hosts_of(fleet)


def test_a_host_that_dies_in_the_middle_loses_and_repeats_no_value(
    fleet: Fleet, slow: Function, ssh_pool: list[Sshd]
) -> None:
    """Its sshd, its supervisor and its guests go at once."""
    victim = ssh_pool[1]
    many = 20_000
    values = fleet.map(slow, range(many), in_flight=5000)
    taken = 0
    while victim.name not in hosts_of(fleet):
        assert [next(values) for _ in range(200)] == list(range(taken, taken + 200))
        taken += 200
    victim.kill()
    assert list(values) == list(range(taken, many))
    fleet.shutdown()
    status = api.status(fleet.folder)
    assert (status.tasks.succeeded, status.tasks.total) == (many, many)
    again = [row for row in api.results(fleet.folder) if row.attempts > 1]
    assert again, "something ran on the victim when it died"
    assert all(row.value == row.index for row in again)
