"""Runs over real OpenSSH servers whose hosts are drained, given free, added and removed while they go on."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from batchwasm.core.events import BatchPlaced, HostAdded, HostRemoved
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Attempt, Journal
from tests.command import Cli
from tests.guests import NAP_WAT
from tests.sshd import Sshd, inventory_of

NAPS = '[jobs.nap]\nsource = "nap.wat"\nmemory = "4MiB"\nsweep = { n = { range = [0, 20_000] } }\n'
"""More than any test waits for: it is interrupted."""


class Live:
    """A run that goes on, seen through its journal."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.path, self.process = folder / "batchwasm-runs/jobs-1", process

    def until(self, condition: Callable[[Journal], bool]) -> None:
        """Waits for what other processes do."""
        deadline = time.monotonic() + 60
        while not self._is(condition):
            assert self.process.poll() is None, "the run ended"
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.05)

    def _is(self, condition: Callable[[Journal], bool]) -> bool:
        try:
            with closing(Journal.open(self.path / "journal.db", read_only=True)) as journal:
                return condition(journal)
        except (RunError, WorldError):
            return False  # its tables are not there yet

    def until_ran(self, host: str, more: int) -> None:
        """Until `host` has ended `more` tasks from now on."""
        before = len(self.attempts(host)) if self.path.exists() and self._is(lambda journal: True) else 0
        self.until(lambda journal: len([a for a in journal.attempts() if a.host == host]) >= before + more)

    def attempts(self, host: str) -> list[Attempt]:
        with closing(Journal.open(self.path / "journal.db", read_only=True)) as journal:
            return [attempt for attempt in journal.attempts() if attempt.host == host]

    def placed(self, host: str) -> list[tuple[int, float]]:
        """seq and time of what was decided to run on it."""
        with closing(Journal.open(self.path / "journal.db", read_only=True)) as journal:
            return [(n, at) for n, at, e in journal.replay() if isinstance(e, BatchPlaced) and e.host == host]

    def requests(self) -> list[tuple[float, float]]:
        """When each was asked and answered."""
        with closing(sqlite3.connect(self.path / "journal.db")) as db:
            return list(db.execute("SELECT at, answered_at FROM requests ORDER BY id"))


@contextmanager
def going_on(batchwasm: Cli, servers: list[Sshd]) -> Iterator[Live]:
    """A run over these, which has begun on each of them; interrupted in the end."""
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(servers))
    (batchwasm.folder / "nap.wat").write_text(NAP_WAT)
    (batchwasm.folder / "jobs.toml").write_text(NAPS)
    process = batchwasm.start("run", "jobs.toml")
    try:
        live = Live(batchwasm.folder, process)
        for server in servers:
            live.until_ran(server.name, 1)
        yield live
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err.decode()


def test_a_drained_host_starts_nothing_until_it_is_given_free(
    batchwasm: Cli, ssh_pool: list[Sshd], tmp_path: Path
) -> None:
    a, b, _ = ssh_pool
    with going_on(batchwasm, [a, b]) as live:
        assert "did you mean 'sshd-b' or 'sshd-a'?" in batchwasm("hosts", "drain", a.name, "sshd-x", code=2).err
        said = batchwasm("hosts", "drain", b.name, "--why", "exam", cwd=tmp_path).out  # the index knows the run
        assert f"jobs-1: {b.name} takes no new tasks; " in said
        live.until(lambda journal: not list(journal.state().batches_on(b.name)))
        idle_at = time.time()
        live.until_ran(a.name, 10)
        shown = {host["name"]: host for host in batchwasm("status", "--json").json["hosts"]}
        assert (shown[b.name]["state"], shown[b.name]["reason"]) == ("drained", "exam")
        assert shown[a.name]["state"] == "ready"
        line = {"COMP_WORDS": "batchwasm hosts undrain ss", "COMP_CWORD": "3", "_BATCHWASM_COMPLETE": "bash_complete"}
        assert batchwasm(code=None, env=line).out.split() == [f"plain,{b.name}"]
        (hit,) = batchwasm("hosts", "undrain", b.name, "-r", "jobs-1", "--json").rows
        assert (hit["host"], hit["drained"], hit["was"], hit["running"]) == (b.name, False, "exam", 0)
        live.until_ran(b.name, 2)
    (_, drained_at), (undrained_at, _) = live.requests()
    assert not [at for _, at in live.placed(b.name) if drained_at < at < undrained_at]
    starts = [attempt.record.started_at for attempt in live.attempts(b.name)]
    assert not [at for at in starts if idle_at < at < undrained_at]
    assert min(starts) < drained_at < undrained_at < max(starts)
    assert len([a for a in live.attempts(a.name) if idle_at < a.record.started_at < undrained_at]) >= 5
    assert "jobs-1 has stopped" in batchwasm("hosts", "drain", b.name, "-r", "jobs-1", code=3).err


def test_the_inventory_is_followed_while_a_run_goes_on(batchwasm: Cli, ssh_pool: list[Sshd]) -> None:
    a, b, c = ssh_pool
    with going_on(batchwasm, [a, b]) as live:
        (batchwasm.folder / "inventory.toml").write_text(inventory_of([a, c]))
        live.until_ran(c.name, 2)
        live.until(lambda journal: not b.processes())
        live.until_ran(a.name, 1)
        shown = {host["name"]: host["state"] for host in batchwasm("status", "--json").json["hosts"]}
        assert shown == {a.name: "ready", b.name: "removed", c.name: "ready"}
    with closing(Journal.open(live.path / "journal.db", read_only=True)) as journal:
        (removed,) = [n for n, _, event in journal.replay() if isinstance(event, HostRemoved)]
        (added,) = [event for _, _, event in journal.replay() if isinstance(event, HostAdded)]
        assert journal.state().jobs[0].losses == {}
    assert added.plan.name == c.name
    assert not [n for n, _ in live.placed(b.name) if n > removed]
    assert len(live.attempts(b.name)) == len(live.placed(b.name)), "what ran there ended"
    assert (live.path / "inventory.toml").read_text() == inventory_of([a, c])
    assert (live.path / "inventory.first.toml").read_text() == inventory_of([a, b])
    assert list(json.loads((live.path / "manifest.json").read_text())["hosts"]) == [a.name, b.name, c.name]
