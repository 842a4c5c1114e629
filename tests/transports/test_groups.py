"""Process groups of this machine."""

from __future__ import annotations

import subprocess

from batchwasm.transports import groups


def test_a_group_whose_leader_was_just_reaped_is_no_error() -> None:
    leader = subprocess.Popen(["true"], start_new_session=True)
    leader.wait()
    groups.kill(leader.pid)


def test_what_the_leader_started_ends_with_it() -> None:
    line = ["sh", "-c", "sleep 600 & echo; wait"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, start_new_session=True) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        groups.kill(leader.pid)
        assert leader.stdout.read() == b""  # nobody is left who could write
