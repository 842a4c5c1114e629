"""Groups of failures, however many ways there are to fail."""

from __future__ import annotations

from batchwasm.report.failing import EXAMPLES, GROUPS, Failing, Way


def test_groups_are_few_however_many_exit_codes_a_guest_has() -> None:
    failing = Failing()
    for n in range(GROUPS + 500):
        failing.add(Way(0, 3, "exit_code", n), row=n, task=n, host="h", final=1)
    assert len(failing) == GROUPS
    assert failing.untold == 500


def test_those_that_cost_most_results_come_first_with_a_few_examples() -> None:
    failing = Failing()
    often, seldom = Way(0, 3, "exit_code", 1), Way(0, 5, "time_limit", None)
    for n in range(10):
        failing.add(often, row=n, task=n, host=f"h{n % 3}", final=0)
    failing.add(seldom, row=10, task=10, host="h1", final=1)
    [(first, _), (second, group)] = failing.largest(5)
    assert (first, second) == (seldom, often)
    assert (group.attempts, group.final, group.hosts, group.first) == (10, 0, {"h0", "h1", "h2"}, 0)
    assert list(group.examples) == list(range(EXAMPLES))
