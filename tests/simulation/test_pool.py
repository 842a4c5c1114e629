"""Hosts in virtual time do as the runner does: a queue in order, results that travel together, batches taken back."""

from __future__ import annotations

from batchwasm.core.room import Amount, Offer
from batchwasm.model import GIB
from batchwasm.simulation.pool import Pool, Report, Work

SECOND = [1.0] * 10


def pool(cpus: int = 1) -> Pool:
    return Pool({"h": Offer(1000 * cpus, 8 * GIB)}, lambda now, amount, sign: None)


def work(batch: int, tasks: int, times: list[float], cpus: int = 1) -> Work:
    return Work(batch, Amount(1000 * cpus, GIB), [(task, 1) for task in range(tasks)], times)


def told(made: Pool, until: float) -> list[tuple[float, int, list[int], list[int]]]:
    """(when, batch, tasks that ended, tasks that came back) of all reports until then."""
    found: list[tuple[float, int, list[int], list[int]]] = []
    while made.next_at <= until:
        now = made.next_at
        reports: list[Report] = list(made.reports(now))
        found += [(round(now, 6), r.batch, [each.task for each in r.records], list(r.returned)) for r in reports]
    return found


def test_a_batch_runs_its_tasks_one_after_the_other() -> None:
    made = pool()
    made.start("h", work(1, 3, SECOND), 0.0)
    assert told(made, 10.0) == [(1.0, 1, [0], []), (2.0, 1, [1], []), (3.0, 1, [2], [])]


def test_results_of_short_tasks_travel_together() -> None:
    made = pool()
    made.start("h", work(1, 8, [0.01] * 8), 0.0)
    assert told(made, 1.0) == [(0.05, 1, [0, 1, 2, 3, 4], []), (0.08, 1, [5, 6, 7], [])]


def test_a_batch_waits_for_room_and_lets_nobody_pass() -> None:
    made = pool(cpus=2)
    made.start("h", work(1, 1, [3.0]), 0.0)
    made.start("h", work(2, 1, [1.0], cpus=2), 0.0)
    made.start("h", work(3, 1, [1.0]), 0.0)
    assert [(when, batch) for when, batch, _, _ in told(made, 10.0)] == [(3.0, 1), (4.0, 2), (5.0, 3)]


def test_what_is_not_begun_comes_back_at_once_and_what_is_in_hand_after_its_task() -> None:
    made = pool()
    made.start("h", work(1, 3, SECOND), 0.0)
    made.start("h", work(2, 2, SECOND), 0.0)
    made.recall("h", 2, 0.5)
    made.recall("h", 1, 0.5)
    assert told(made, 10.0) == [(0.0, 2, [], [0, 1]), (1.0, 1, [0], [1, 2])]


def test_a_short_batch_that_is_recalled_ends_with_the_task_that_runs() -> None:
    made = pool()
    made.start("h", work(1, 4, [0.01] * 4), 0.0)
    made.recall("h", 1, 0.015)
    assert told(made, 1.0) == [(0.02, 1, [0, 1], [2, 3])]


def test_a_batch_that_is_stopped_leaves_its_room_to_the_next() -> None:
    made = pool()
    made.start("h", work(1, 1, [100.0]), 0.0)
    made.start("h", work(2, 1, [1.0]), 0.0)
    made.kill("h", 1, 5.0)
    assert told(made, 200.0) == [(6.0, 2, [0], [])]
    assert made.machines["h"].cpu_s == 6000  # thousandths of cpus
