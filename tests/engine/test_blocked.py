"""Why nothing of a run can go on, in words."""

from __future__ import annotations

from batchwasm.core.events import HostRefused
from batchwasm.engine.blocked import blocked
from tests.core.test_scheduler import built, joined, plan, started


def test_a_host_that_is_too_small_is_told_beside_those_that_are_down() -> None:
    scheduler = started(plan(1, cpus=16), hosts=("g", "h"))
    scheduler.observe(built(0), 0.0)
    scheduler.observe(joined("g", cpus=2), 0.0)
    scheduler.observe(HostRefused(host="h", code="unreachable", text="no route", waiting_may_help=True), 0.0)
    found = blocked(scheduler.state, None)
    assert found is not None
    assert found.text.splitlines() == [
        "no host is left that could run the task that waits:",
        "  h: no route",
        "  jobs.a: asks for 16 cpus, more than any host that answered has; nearest is g with 2 cpus",
    ]
