"""macOS as far as it can be tried without a Mac: a stand-in (macs.py) as a host, and as a user's own machine."""

from __future__ import annotations

import os

from tests.command import Cli
from tests.macs import MACHINE
from tests.sshd import Sshd
from tests.test_trees import all_ends_are_told


def test_check_says_what_its_kernel_does_not_limit(batchwasm: Cli, mac_host: Sshd) -> None:
    [row] = batchwasm("hosts", "check", "--hosts", "mac", "--json").rows
    facts = row["facts"]
    assert (row["good"], facts["os"], facts["machine"], facts["libc"]) == (True, "darwin", MACHINE, "")
    of_root = {"read_only_inputs"} if os.geteuid() == 0 else set()
    missing = {name for name, held in row["guards"].items() if not held}
    assert missing == {"sealed_output", "memory_backstop", "oom_order", "end_with_runner"} | of_root


def test_every_way_a_task_can_end_is_told_there(batchwasm: Cli, mac_host: Sshd) -> None:
    all_ends_are_told(batchwasm, "mac")
