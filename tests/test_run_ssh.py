"""Whole runs over real OpenSSH servers: all take part, nothing is lost when one dies, nothing is sent twice."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from batchwasm.core.events import BatchPlaced, FileShipped, HostAway, HostJoined, TasksFinished
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Journal
from tests.command import Cli
from tests.guests import COPY_C, HELLO_WAT, LOOP_WAT, WORK_C
from tests.sshd import Sshd, inventory_of

SQUARES = """
[jobs.square]
source = "work.c"
args = ["{n}", "%d"]
sweep = { n = { range = [0, %d] } }
memory = "16MiB"
"""


@pytest.fixture
def folder(batchwasm: Cli, ssh_pool: list[Sshd]) -> Path:
    """Where the tests' runs start: an inventory of the three servers beside the sources."""
    folder = batchwasm.folder
    (folder / "inventory.toml").write_text(inventory_of(ssh_pool))
    (folder / "work.c").write_text(WORK_C)
    (folder / "copy.c").write_text(COPY_C)
    (folder / "hello.wat").write_text(HELLO_WAT)
    (folder / "loop.wat").write_text(LOOP_WAT)
    return folder


def events_of(folder: Path, kind: type) -> list[Any]:
    journal = Journal.open(folder / "journal.db", read_only=True)
    try:
        return [event for _, _, event in journal.replay() if isinstance(event, kind)]
    finally:
        journal.close()


def run_folder(run: Any) -> Path:
    return Path(run["folder"])


def test_every_host_takes_part_and_every_value_is_right(batchwasm: Cli, folder: Path) -> None:
    (folder / "jobs.toml").write_text(SQUARES % (200, 120))
    run = batchwasm("run", "jobs.toml", "--json").json
    assert run["tasks"] == {"total": 120, "succeeded": 120, "failed": 0, "cancelled": 0, "skipped": 0}
    rows = batchwasm("results", "--json").rows
    assert [row["stdout"] for row in rows] == [f"{n * n}\n" for n in range(120)]
    assert {row["host"] for row in rows} == {"sshd-a", "sshd-b", "sshd-c"}


def test_a_second_run_compiles_and_uploads_nothing(batchwasm: Cli, folder: Path) -> None:
    (folder / "jobs.toml").write_text(SQUARES % (200, 90))  # long enough for all hosts to join and take part
    first = batchwasm("run", "jobs.toml", "--json").json
    shipped = events_of(run_folder(first), FileShipped)
    assert sorted((event.host, event.kind) for event in shipped) == [
        (f"sshd-{letter}", kind) for letter in "abc" for kind in ("runner", "wasm")
    ]
    second = batchwasm("run", "jobs.toml")
    assert "nothing to compile" in second.err
    assert events_of(folder / "batchwasm-runs/jobs-2", FileShipped) == []


def test_killing_a_host_with_all_that_runs_there_loses_no_task(
    batchwasm: Cli, folder: Path, ssh_pool: list[Sshd]
) -> None:
    (folder / "jobs.toml").write_text(SQUARES % (100, 60))
    process = batchwasm.start("run", "jobs.toml", "--json")
    journal = folder / "batchwasm-runs/jobs-1/journal.db"
    victim = ssh_pool[1]
    _until(lambda: _ran_on(journal, victim.name))
    victim.kill()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    rows = batchwasm("results", "--json").rows
    assert [row["stdout"] for row in rows] == [f"{n * n}\n" for n in range(60)]
    assert {event.host for event in events_of(journal.parent, HostAway)} == {"sshd-b"}
    again = [row["index"] for row in rows if row["attempts"] == 2]
    assert again, "something ran on the victim when it died"


def _until(condition: Callable[[], bool]) -> None:
    """Waits for what another process does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def _ready(journal: Path) -> bool:
    """Whether its tables are there."""
    try:
        Journal.open(journal, read_only=True).close()
    except (RunError, WorldError):
        return False
    return True


def _ran_on(journal: Path, host: str) -> bool:
    return _ready(journal) and any(event.host == host for event in events_of(journal.parent, TasksFinished))


def test_files_go_there_and_back_unchanged(batchwasm: Cli, folder: Path) -> None:
    """Empty, small, and larger than travels in a report; names with spaces and unicode."""
    names = {"empty file": 0, "ünïcode ☃": 1000, "large.bin": 3_000_001}
    for name, size in names.items():
        (folder / "in").mkdir(exist_ok=True)
        (folder / "in" / name).write_bytes(hashlib.shake_128(name.encode()).digest(size))
    (folder / "jobs.toml").write_text(
        """
        [jobs.copy]
        source = "copy.c"
        sweep = { f = ["empty file", "ünïcode ☃", "large.bin"] }
        args = ["in/{f}", "out/{f}"]
        inputs = ["in/{f}", { from = "keep", to = "out/.keep" }]
        outputs = ["out/*"]
        """
    )
    (folder / "keep").touch()
    batchwasm("run", "jobs.toml")
    rows = batchwasm("results", "--json").rows
    for row, (name, size) in zip(rows, names.items(), strict=True):
        source = (folder / "in" / name).read_bytes()
        (output,) = [output for output in row["outputs"] if output["path"] == f"out/{name}"]
        assert output == {"path": f"out/{name}", "bytes": size, "sha256": hashlib.sha256(source).hexdigest()}
        here = folder / "batchwasm-runs/jobs-1/tasks/copy" / str(row["index"]) / "out/out" / name
        assert here.read_bytes() == source


@pytest.mark.parametrize("megabytes", [64, pytest.param(1000, marks=pytest.mark.long)])
def test_large_files_go_both_ways_in_bounded_memory(
    batchwasm: Cli, folder: Path, ssh_pool: list[Sshd], megabytes: int
) -> None:
    batchwasm("compile", "copy.c", "-o", "copy.wasm")  # a compiler takes more memory than what is looked at here
    with (folder / "big").open("wb") as file:
        for n in range(megabytes):
            file.write(hashlib.shake_128(n.to_bytes(2)).digest(1_000_000))
    (folder / "jobs.toml").write_text(
        """
        [jobs.copy]
        source = "copy.wasm"
        args = ["big", "copy"]
        inputs = ["big"]
        outputs = ["copy"]
        """
    )
    process = batchwasm.start("run", "jobs.toml", "--quiet")
    peaks = [0]
    while process.poll() is None:
        there = [pid for server in ssh_pool for pid in server.processes()]
        peaks += [_peak_kib(pid) for pid in (process.pid, *there)]
        time.sleep(0.1)  # a peak stays visible as long as its process lives
    _, err = process.communicate()
    assert process.returncode == 0, err.decode()
    copied = folder / "batchwasm-runs/jobs-1/tasks/copy/0/out/copy"
    with copied.open("rb") as there_, (folder / "big").open("rb") as here:
        assert hashlib.file_digest(there_, "sha256").digest() == hashlib.file_digest(here, "sha256").digest()
    assert 20_000 < max(peaks) < 300_000, f"a process took {max(peaks)} KiB"


def _peak_kib(pid: int) -> int:
    """The most memory that a process had so far; 0 where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)


def test_interrupting_stops_the_guests_and_leaves_a_readable_run(batchwasm: Cli, folder: Path) -> None:
    (folder / "jobs.toml").write_text(
        '[jobs.hello]\nsource = "hello.wat"\n[jobs.loop]\nsource = "loop.wat"\nsweep = { n = [1, 2] }\n'
    )
    process = batchwasm.start("run", "jobs.toml")
    journal = folder / "batchwasm-runs/jobs-1/journal.db"
    _until(lambda: _ready(journal) and len(events_of(journal.parent, BatchPlaced)) == 3)
    _until(lambda: bool(events_of(journal.parent, TasksFinished)))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err.decode()
    status = batchwasm("status", "--json").json
    assert status["state"] == "stopped"
    assert (status["tasks"]["succeeded"], status["tasks"]["waiting"]) == (1, 2)
    assert [row["stdout"] for row in batchwasm("results", "--json").rows] == ["hello\n"]


def test_a_host_that_is_down_is_a_warning_and_the_others_do_the_work(
    batchwasm: Cli, folder: Path, ssh_pool: list[Sshd]
) -> None:
    ssh_pool[2].stop()
    (folder / "jobs.toml").write_text(SQUARES % (0, 10))
    ended = batchwasm("run", "jobs.toml")
    assert "sshd-c" in ended.err
    assert "refused" in ended.err
    assert {row["host"] for row in batchwasm("results", "--json").rows} <= {"sshd-a", "sshd-b"}


def test_no_host_that_waiting_could_mend_is_exit_3_at_once(batchwasm: Cli, folder: Path, home: Path) -> None:
    (home / ".ssh/known_hosts").write_text("")
    (folder / "jobs.toml").write_text(SQUARES % (0, 4))
    ended = batchwasm("run", "jobs.toml", code=3)
    assert "SHA256:" in ended.err
    assert "batchwasm hosts trust" in ended.err
    status = batchwasm("status", "--json").json
    assert (status["state"], status["tasks"]["waiting"]) == ("stopped", 4)


def test_a_request_larger_than_every_host_is_exit_2_with_the_nearest(batchwasm: Cli, folder: Path) -> None:
    (folder / "jobs.toml").write_text('[jobs.big]\nsource = "hello.wat"\ncpus = 4000\n')
    ended = batchwasm("run", "jobs.toml", code=2)
    assert "4000 cpus" in ended.err
    assert "nearest is sshd-" in ended.err
    assert not (folder / "batchwasm-runs").exists()


def test_killing_a_supervisor_and_its_relay_loses_no_task(batchwasm: Cli, folder: Path, ssh_pool: list[Sshd]) -> None:
    """The sshd lives on: the host is found again and goes on working."""
    (folder / "jobs.toml").write_text(SQUARES % (100, 240))
    process = batchwasm.start("run", "jobs.toml", "--json")
    journal = folder / "batchwasm-runs/jobs-1/journal.db"
    _until(lambda: _ran_on(journal, "sshd-b"))
    for pid in ssh_pool[1].processes():
        command = Path(f"/proc/{pid}/cmdline")
        if command.exists() and b"batchwasm_runner" in command.read_bytes():
            os.kill(pid, signal.SIGKILL)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert [row["stdout"] for row in batchwasm("results", "--json").rows] == [f"{n * n}\n" for n in range(240)]
    joined = [event.supervisor for event in events_of(journal.parent, HostJoined) if event.host == "sshd-b"]
    assert len(joined) == len(set(joined)) == 2


def test_all_languages_over_all_hosts_give_the_same_bytes(batchwasm: Cli, folder: Path) -> None:
    """The tour, unchanged, on a pool."""
    tour = Path(__file__).parent.parent / "examples/tour"
    batchwasm("run", tour / "jobs.toml", "-i", "inventory.toml", "--runs-dir", "runs")
    rows = batchwasm("results", "--json", "-r", "runs/tour-1").rows
    assert len(rows) == 12
    assert {row["host"] for row in rows} == {"sshd-a", "sshd-b", "sshd-c"}
    expected = (tour / "expected.txt").read_text()
    for job in ("rust", "c", "go", "cpp"):
        printed = "".join(row["stdout"] for row in rows if row["job"] == job)
        assert printed == expected


def test_two_hosts_with_one_home_both_work(batchwasm: Cli, shared_pool: list[Sshd]) -> None:
    folder = batchwasm.folder
    (folder / "inventory.toml").write_text(inventory_of(shared_pool))
    (folder / "work.c").write_text(WORK_C)
    (folder / "jobs.toml").write_text(SQUARES % (50, 40))
    batchwasm("run", "jobs.toml")
    rows = batchwasm("results", "--json").rows
    assert [row["stdout"] for row in rows] == [f"{n * n}\n" for n in range(40)]
    assert {row["host"] for row in rows} == {"shared-a", "shared-b"}
    joined = events_of(folder / "batchwasm-runs/jobs-1", HostJoined)
    assert len({event.supervisor for event in joined}) == 2


def test_two_runs_at_once_share_a_host(batchwasm: Cli, folder: Path) -> None:
    (folder / "jobs.toml").write_text(SQUARES % (30, 40))
    first = batchwasm.start("run", "jobs.toml", "--json")
    second = batchwasm.start("run", "jobs.toml", "--json")
    for process in (first, second):
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err.decode()
    for run in ("jobs-1", "jobs-2"):
        rows = batchwasm("results", "--json", "-r", run).rows
        assert [row["stdout"] for row in rows] == [f"{n * n}\n" for n in range(40)]
