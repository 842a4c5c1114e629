"""Whole runs on this machine that end otherwise than they should."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from tests.command import Cli
from tests.guests import STARTED_WAT


def test_a_scheduler_that_is_killed_leaves_a_readable_run_and_hosts_that_can_be_cleaned(
    batchwasm: Cli, home: Path
) -> None:
    (batchwasm.folder / "loop.wat").write_text(STARTED_WAT)
    (batchwasm.folder / "jobs.toml").write_text(
        '[jobs.loop]\nsource = "loop.wat"\nsweep = { n = [1, 2, 3, 4, 5, 6] }\n'
    )
    process = batchwasm.start("run", "jobs.toml")
    deadline = time.monotonic() + 60
    while not any((home / ".cache/batchwasm/scratch").glob("*/*/box/started")):  # placed, sent, and begun
        assert time.monotonic() < deadline
        time.sleep(0.05)  # for another process
    process.send_signal(signal.SIGKILL)
    process.communicate()
    status = batchwasm("status", "--json").json
    assert (status["state"], status["tasks"]["waiting"], status["tasks"]["running"]) == ("stopped", 4, 2)
    told = batchwasm("status").out
    assert "batchwasm resume" in told
    assert "hosts clean --force" in told
    assert batchwasm("hosts", "clean", code=3).out
    batchwasm("hosts", "clean", "--force")
