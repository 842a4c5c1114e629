"""Whole runs where each host is reached in another way: ssh, openssh, paramiko and this machine in one inventory."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwasm.core.events import HostAway
from tests.command import Cli
from tests.guests import WORK_C
from tests.sshd import Sshd
from tests.test_run_ssh import SQUARES, _ran_on, _until, events_of

WAYS = ("ssh", "openssh", "paramiko")


@pytest.fixture
def folder(batchwasm: Cli, ssh_pool: list[Sshd]) -> Path:
    """Where the tests' runs start: sshd-a by ssh, sshd-b by openssh, sshd-c by paramiko, and this machine."""
    (batchwasm.folder / "inventory.toml").write_text(
        "".join(f'[hosts.{server.name}]\ntransport = "{way}"\n' for server, way in zip(ssh_pool, WAYS, strict=True))
        + '[hosts.here]\ntransport = "local"\n'
    )
    (batchwasm.folder / "work.c").write_text(WORK_C)
    return batchwasm.folder


def test_hosts_of_every_transport_take_part_in_one_run(batchwasm: Cli, folder: Path) -> None:
    (folder / "jobs.toml").write_text(SQUARES % (100, 160))
    run = batchwasm("run", "jobs.toml", "--json").json
    assert run["tasks"] == {"total": 160, "succeeded": 160, "failed": 0, "cancelled": 0, "skipped": 0}
    rows = batchwasm("results", "--json").rows
    assert [row["stdout"] for row in rows] == [f"{n * n}\n" for n in range(160)]
    assert {row["host"] for row in rows} == {"sshd-a", "sshd-b", "sshd-c", "here"}


def test_a_connection_that_is_cut_comes_back_and_nothing_runs_twice(
    batchwasm: Cli, folder: Path, ssh_pool: list[Sshd]
) -> None:
    (folder / "jobs.toml").write_text(SQUARES % (100, 240))
    process = batchwasm.start("run", "jobs.toml", "--json")
    journal = folder / "batchwasm-runs/jobs-1/journal.db"
    for server in ssh_pool:
        _until(lambda server=server: _ran_on(journal, server.name))  # type: ignore[misc]
        server.cut()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    rows = batchwasm("results", "--json").rows
    assert [row["stdout"] for row in rows] == [f"{n * n}\n" for n in range(240)]
    assert {row["attempts"] for row in rows} == {1}
    assert {event.host for event in events_of(journal.parent, HostAway)} == {"sshd-a", "sshd-b", "sshd-c"}
