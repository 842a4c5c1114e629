"""Why nothing goes on: what is told, and whether it is worth waiting for."""

from __future__ import annotations

from batchwasm.core.events import AfterJob, HostDrained, HostRefused, JobPlan
from batchwasm.engine.blocked import blocked
from tests.core.test_scheduler import built, joined, plan, started

REFUSED = HostRefused(host="a", code="auth", text="it wants a key", waiting_may_help=False)


def test_what_waits_for_a_job_that_can_go_nowhere_does_not_hide_it() -> None:
    """The second job has a host; the first, for which it waits, has none."""
    jobs = (plan(1, name="prep", hosts=("a",)), JobPlan(name="sim", tasks=1, hosts=("b",), after=(AfterJob(job=0),)))
    scheduler = started(*jobs, hosts=("a", "b"))
    scheduler.observe(joined("b"), 0.0)
    scheduler.observe(REFUSED, 0.0)
    assert scheduler.decide(0.0) == []
    why = blocked(scheduler.state, None)
    assert why is not None
    assert why.hopeless
    assert "a: it wants a key" in why.text


def test_a_drained_host_is_worth_waiting_for() -> None:
    scheduler = started(plan(1), hosts=("a",))
    scheduler.observe(joined("a"), 0.0)
    assert blocked(scheduler.state, None) is None
    scheduler.observe(HostDrained(host="a", text="mended"), 0.0)
    why = blocked(scheduler.state, None)
    assert why is not None
    assert why.held
    assert "batchwasm hosts undrain a" in why.text


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
