"""Whole runs over three real hosts of different kinds: what each may do, never more; what is done about slow ones."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from time import localtime, monotonic, sleep
from typing import Any

import pytest

from batchwasm.core.events import BatchGivenUp, BatchPlaced, Event, HostBusy, HostSetAside
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Attempt, Journal
from tests.command import Cli
from tests.guests import WORK_C
from tests.sshd import Sshd

INVENTORY = """
[hosts.sshd-a]
cpus = 2
memory = "256MiB"
labels = ["fast"]
resources = { licence = 1 }
[hosts.sshd-b]
cpus = 1
memory = "64MiB"
[hosts.sshd-c]
cpus = 3
memory = "1GiB"
labels = ["old"]
resources = { licence = 2 }
"""
CAPACITY = {"sshd-a": (2.0, 256, 1), "sshd-b": (1.0, 64, 0), "sshd-c": (3.0, 1024, 2)}
MIXED = """
[defaults]
source = "work.c"
args = ["{n}", "60"]
memory = "16MiB"
[jobs.one]
sweep = { n = { range = [0, 30] } }
[jobs.half]
sweep = { n = { range = [0, 30] } }
cpus = 0.5
max_parallel = 4
[jobs.large]
sweep = { n = { range = [0, 6] } }
cpus = 2
memory = "100MiB"
[jobs.licensed]
sweep = { n = { range = [0, 10] } }
resources = { licence = 1 }
priority = 1
[jobs.modern]
sweep = { n = { range = [0, 8] } }
labels = ["!old"]
memory = "40MiB"
"""
NEEDS = {
    "one": (1.0, 16, 0),
    "half": (0.5, 16, 0),
    "large": (2.0, 100, 0),
    "licensed": (1.0, 16, 1),
    "modern": (1.0, 40, 0),
}


@pytest.fixture
def folder(batchwasm: Cli, ssh_pool: list[Sshd]) -> Path:
    """An inventory of three kinds of hosts, and a program that sleeps."""
    folder = batchwasm.folder
    (folder / "inventory.toml").write_text(INVENTORY)
    (folder / "work.c").write_text(WORK_C)
    return folder


def opened(folder: Path) -> Journal:
    return Journal.open(folder / "batchwasm-runs/jobs-1/journal.db", read_only=True)


def events_of(folder: Path) -> list[Event]:
    journal = opened(folder)
    try:
        return [event for _, _, event in journal.replay()]
    finally:
        journal.close()


def attempts_of(folder: Path) -> list[Attempt]:
    journal = opened(folder)
    try:
        return list(journal.attempts())
    finally:
        journal.close()


def until(condition: Callable[[], bool]) -> None:
    """Waits for what another process does."""
    deadline = monotonic() + 60
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.05)


def at_once(attempts: list[tuple[str, Attempt]]) -> Iterator[tuple[str, list[str]]]:
    """For each start of an attempt: its host, and the jobs of all that ran there then."""
    for _, started in attempts:
        at, host = started.record.started_at, started.host
        there = [
            job
            for job, other in attempts
            if other.host == host and other.record.started_at <= at < other.record.started_at + other.record.wall_s
        ]
        yield host, there


def test_no_host_ever_runs_more_than_it_has_and_each_only_what_it_may(batchwasm: Cli, folder: Path) -> None:
    (folder / "jobs.toml").write_text(MIXED)
    run = batchwasm("run", "jobs.toml", "--json").json
    assert run["tasks"]["succeeded"] == run["tasks"]["total"] == 84
    names = list(NEEDS)
    attempts = [(names[attempt.job], attempt) for attempt in attempts_of(folder)]
    for host, jobs in at_once(attempts):
        used = [sum(NEEDS[job][kind] for job in jobs) for kind in range(3)]
        assert all(has <= there for has, there in zip(used, CAPACITY[host], strict=True)), f"{host} ran {jobs} at once"
    where = {name: {attempt.host for job, attempt in attempts if job == name} for name in names}
    assert where["modern"] <= {"sshd-a", "sshd-b"}
    assert where["licensed"] <= {"sshd-a", "sshd-c"}
    assert where["large"] <= {"sshd-a", "sshd-c"}
    assert where["one"] | where["half"] == set(CAPACITY)
    halves = sorted(attempt.record.started_at for job, attempt in attempts if job == "half")
    ends = [(a.record.started_at, a.record.started_at + a.record.wall_s) for job, a in attempts if job == "half"]
    assert max(sum(start <= at < end for start, end in ends) for at in halves) <= 4, "max_parallel"


def test_a_straggler_is_overtaken_by_a_second_attempt_elsewhere(
    batchwasm: Cli, folder: Path, ssh_pool: list[Sshd]
) -> None:
    """The host is slow as hosts are: its worker gets no processor any more."""
    (folder / "jobs.toml").write_text(
        '[jobs.a]\nsource = "work.c"\nargs = ["{n}", "400"]\nsweep = { n = { range = [0, 24] } }\n'
        'labels = ["!old"]\nmemory = "16MiB"\n'
    )
    process = batchwasm.start("run", "jobs.toml", "--json")
    slow = ssh_pool[1]
    try:
        until(lambda: _has_begun(folder) and any(a.host == slow.name for a in attempts_of(folder)))
        stopped = _workers(slow)
        assert stopped
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err.decode()
    rows = batchwasm("results", "--json").rows
    assert [row["stdout"] for row in rows] == [f"{n * n}\n" for n in range(24)]
    events = events_of(folder)
    doubles = [event for event in events if isinstance(event, BatchPlaced) and event.double]
    assert {event.host for event in doubles} == {"sshd-a"}
    assert any(isinstance(event, BatchGivenUp) and event.host == slow.name for event in events), "the loser is stopped"
    finals = Counter(attempt.record.task for attempt in attempts_of(folder) if attempt.record.final)
    assert set(finals.values()) == {1}


def _has_begun(folder: Path) -> bool:
    try:
        opened(folder).close()
    except (RunError, WorldError):
        return False
    return True


def _workers(server: Sshd) -> list[int]:
    """Pids of the supervisor's children on this host: those whose parent is a python that is not sshd's own child."""
    pids = server.processes()
    parents = {pid: _parent(pid) for pid in pids}
    supervisors = {pid for pid in pids if parents[pid] not in parents and _parent(pid) == 1}
    return [pid for pid, parent in parents.items() if parent in supervisors]


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_a_host_outside_its_hours_is_left_alone_and_said_to_be(batchwasm: Cli, folder: Path) -> None:
    hour = localtime().tm_hour
    hours = f"{(hour + 3) % 24:02}:00-{(hour + 5) % 24:02}:00"
    (folder / "inventory.toml").write_text(INVENTORY.replace("cpus = 1\n", f'cpus = 1\nhours = "{hours}"\n'))
    (folder / "jobs.toml").write_text(
        '[jobs.a]\nsource = "work.c"\nargs = ["{n}", "40"]\nsweep = { n = { range = [0, 40] } }\n memory = "16MiB"\n'
    )
    batchwasm("run", "jobs.toml")
    assert {attempt.host for attempt in attempts_of(folder)} <= {"sshd-a", "sshd-c"}
    (busy,) = [event for event in events_of(folder) if isinstance(event, HostBusy)]
    assert busy.host == "sshd-b"
    assert hours in busy.text


def test_a_host_where_fails_what_succeeds_elsewhere_is_set_aside(
    batchwasm: Cli, folder: Path, ssh_pool: list[Sshd], tmp_path: Path
) -> None:
    """Its folder of data is empty, as when a file server was not mounted there."""
    full, empty = tmp_path / "full", tmp_path / "empty"
    for path in (full, empty):
        path.mkdir()
    (full / "data.txt").write_text("42\n")
    inventory = "".join(
        f'[hosts.{server.name}]\ncpus = 1\n[hosts.{server.name}.mounts]\ndata = "{where}"\n'
        for server, where in zip(ssh_pool, (full, empty, full), strict=True)
    )
    (folder / "inventory.toml").write_text(inventory)
    (folder / "read.c").write_text(
        "#include <stdio.h>\n#include <unistd.h>\n"
        'int main(void) { usleep(150000); FILE *in = fopen("/mnt/data/data.txt", "r"); return in ? 0 : 1; }\n'
    )
    (folder / "jobs.toml").write_text(
        '[jobs.a]\nsource = "read.c"\nmounts = ["data"]\nsweep = { n = { range = [0, 60] } }\nretries = 3\n'
        'memory = "16MiB"\n'
    )
    run: Any = batchwasm("run", "jobs.toml", "--json").json
    assert run["tasks"]["succeeded"] == 60, "what failed there was done elsewhere"
    asides = [event for event in events_of(folder) if isinstance(event, HostSetAside)]
    assert {event.host for event in asides} == {"sshd-b"}
    assert sum(attempt.host == "sshd-b" for attempt in attempts_of(folder)) < 15
