"""Tasks that run on several hosts, whose results are compared."""

from __future__ import annotations

from batchwasm.core.bottleneck import limits
from batchwasm.core.comparing import differing, digest_of, mismatch_text
from batchwasm.core.events import BatchGivenUp, BatchPlaced, HostLeft, Record
from batchwasm.core.explain import Waiting, explain
from batchwasm.core.impossible import impossible
from batchwasm.core.scheduler import Scheduler
from batchwasm.core.state import WAITING
from batchwasm.engine.blocked import blocked
from batchwasm.model import Outcome
from batchwasm.rows import status
from tests.core.test_scheduler import joined, placed, plan, record, started

SAME, OTHER = digest_of("a" * 64, "", "c" * 64), digest_of("b" * 64, "", "c" * 64)


def compared(*hosts: str, tasks: int = 1, **more: int) -> Scheduler:
    scheduler = started(plan(tasks, verify=2, **more), hosts=hosts)
    for name in hosts:
        scheduler.observe(joined(name, cpus=1), 0.0)
    return scheduler


def end(scheduler: Scheduler, batch: BatchPlaced, digest: str = SAME, now: float = 1.0, **fields: float) -> Record:
    task, number = next(iter(scheduler.state.batches[batch.batch].remaining.items()))
    said = record(task, number, **fields)._replace(digest=digest)  # type: ignore[arg-type]
    event = scheduler.admit(batch.host, batch.batch, [said])
    assert event is not None
    scheduler.observe(event, now)
    return event.records[0]


def test_a_task_has_succeeded_when_two_hosts_gave_the_same() -> None:
    scheduler = compared("g", "h")
    (first,) = placed(scheduler.decide(0.0))
    assert not end(scheduler, first).final
    found = explain(scheduler.state, 0, 0, 1.0)
    assert isinstance(found, Waiting)
    assert f"ran on {first.host}, waits for another host to compare" in [reason.text for reason in found.reasons]
    (second,) = placed(scheduler.decide(1.0))
    assert second.host != first.host
    assert scheduler.state.batches[second.batch].remaining == {0: 2}
    assert end(scheduler, second).final
    assert scheduler.state.jobs[0].succeeded
    assert not scheduler.state.jobs[0].gave


def test_a_difference_is_a_mismatch_that_names_both_hosts_and_what_differs() -> None:
    scheduler = compared("g", "h")
    (first,) = placed(scheduler.decide(0.0))
    end(scheduler, first)
    (second,) = placed(scheduler.decide(1.0))
    said = end(scheduler, second, OTHER)
    assert (said.outcome, said.reason_code, said.final) == (Outcome.MISMATCH, "mismatch", True)
    assert said.reason_text == f"its stdout on {second.host} is not that on {first.host}"
    assert not scheduler.state.hosts[second.host].streak, "nobody knows which of the two is wrong"


def test_no_task_runs_twice_on_a_host_however_long_it_waits() -> None:
    scheduler = compared("g", "h", tasks=3)
    scheduler.observe(HostLeft(host="h", code="lost", text="gone"), 0.0)
    for now in range(3):
        (batch,) = placed(scheduler.decide(float(now)))
        end(scheduler, batch, now=float(now), wall_s=1.0)
    assert placed(scheduler.decide(10_000.0)) == []
    assert list(scheduler.state.jobs[0].codes) == [WAITING] * 3
    why = blocked(scheduler.state, None)
    assert why is not None
    assert "h: gone" in why.text
    scheduler.observe(joined("h", cpus=1), 10_001.0)
    assert [batch.host for batch in placed(scheduler.decide(10_001.0))] == ["h"]


def test_a_failure_is_tried_again_as_usual_and_costs_no_success() -> None:
    scheduler = compared("g", "h", retries=1, retry_on=("failed",))  # type: ignore[arg-type]
    (first,) = placed(scheduler.decide(0.0))
    end(scheduler, first)
    (second,) = placed(scheduler.decide(1.0))
    assert not end(scheduler, second, outcome=Outcome.FAILED).final
    (third,) = placed(scheduler.decide(100.0))
    assert third.host == second.host, "there is no other"
    assert end(scheduler, third, now=100.0).final
    assert scheduler.state.jobs[0].succeeded


def test_a_second_attempt_of_a_late_one_is_what_it_is_compared_with() -> None:
    scheduler = compared("g", "h", "k", tasks=3)
    *others, late = placed(scheduler.decide(0.0))
    for batch in others:
        end(scheduler, batch, wall_s=1.0)
    for batch in placed(scheduler.decide(1.0)):
        assert end(scheduler, batch, now=2.0, wall_s=1.0).final
    (double,) = placed(scheduler.decide(10.0))
    assert (double.double, double.ranges) == (True, late.ranges)
    assert not end(scheduler, double, now=11.0, wall_s=1.0).final
    (third,) = placed(scheduler.decide(11.0))  # the first one goes on, and is late
    assert len({late.host, double.host, third.host}) == 3
    assert end(scheduler, late, now=12.0, wall_s=12.0).final
    assert BatchGivenUp(batch=third.batch, job=0, host=third.host) in scheduler.decide(12.0)
    assert scheduler.state.finished


def test_fewer_hosts_than_are_to_be_compared_are_told_at_once() -> None:
    scheduler = started(plan(1, verify=3), plan(1, name="b"), hosts=("g", "h"))
    told = "jobs.a: verify = 3 runs each task on 3 different hosts, and only g and h can take one"
    assert impossible(scheduler.state) == {0: told}
    scheduler = started(plan(1, verify=2, cpus=8), hosts=("g", "h"))
    scheduler.observe(joined("g", cpus=8), 0.0)
    assert impossible(scheduler.state) == {}  # h has not answered yet
    scheduler.observe(joined("h", cpus=4), 0.0)
    assert "only g can take one" in impossible(scheduler.state)[0]


def test_what_differs_is_told_part_by_part() -> None:
    assert differing(SAME, SAME) == differing(None, None) == []
    assert differing(SAME, OTHER) == ["stdout"]
    assert differing(digest_of("a", "b", "c"), digest_of("x", "y", "c")) == ["stdout", "value"]
    assert mismatch_text("g", "h", ["value", "outputs"]) == "its value and outputs on h are not those on g"
    assert differing(SAME, None)


def test_the_run_says_what_waits_to_be_compared() -> None:
    scheduler = compared("g", "h", tasks=2)
    scheduler.observe(HostLeft(host="h", code="lost", text="gone"), 0.0)
    (batch,) = placed(scheduler.decide(0.0))
    end(scheduler, batch, wall_s=1.0)
    told = "1 task of a ran on g, waits for another host to compare"
    assert told in [reason.text for reason in limits(scheduler.state, 1.0)]
    assert status(scheduler.state, "", alive=True).comparing == (told,)
