"""Whole runs on this machine that end otherwise than they should."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from batchwasm.core.events import BatchPlaced
from batchwasm.errors import RunError, WorldError
from batchwasm.journal import Journal
from tests.command import Cli
from tests.guests import LOOP_WAT


def placed(journal: Path) -> int:
    """How many batches a run has sent so far; 0 while it has no journal."""
    try:
        opened = Journal.open(journal, read_only=True)
    except (RunError, WorldError):
        return 0
    try:
        return sum(isinstance(event, BatchPlaced) for _, _, event in opened.replay())
    finally:
        opened.close()


def test_a_scheduler_that_is_killed_leaves_a_readable_run_and_hosts_that_can_be_cleaned(batchwasm: Cli) -> None:
    (batchwasm.folder / "loop.wat").write_text(LOOP_WAT)
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.loop]\nsource = "loop.wat"\nsweep = { n = [1, 2, 3, 4, 5, 6] }\n'
    )
    process = batchwasm.start("run", "jobs.toml")
    deadline = time.monotonic() + 60
    while not placed(batchwasm.folder / "batchwasm-runs/jobs-1/journal.db"):
        assert time.monotonic() < deadline
        time.sleep(0.05)  # for another process
    process.send_signal(signal.SIGKILL)
    process.communicate()
    status = batchwasm("status", "--json").json
    assert (status["state"], status["tasks"]["waiting"], status["tasks"]["running"]) == ("stopped", 6, 0)
    assert "hosts clean --force" in batchwasm("status").out
    assert batchwasm("hosts", "clean", code=3).out
    batchwasm("hosts", "clean", "--force")
