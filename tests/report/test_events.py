"""Which events of a long run are told."""

from __future__ import annotations

from batchwasm.core.events import Event, HostBusy, HostFree, HostLeft, HostSetAside
from batchwasm.report.events import CHARS, SHOWN, weightiest
from batchwasm.views.words import Jobs


def test_of_many_events_the_weightiest_are_told_in_their_order() -> None:
    events: list[tuple[float, Event]] = [(float(n), HostFree(host=f"h{n}")) for n in range(1000)]
    events[700] = (700.0, HostLeft(host="gone", code="lost", text="no answer"))
    events[900] = (900.0, HostSetAside(host="bad", until=1800.0, text="too much failed"))
    shown, more = weightiest(events, Jobs([]))
    assert (len(shown), more) == (SHOWN, 1000 - SHOWN)
    assert [each.at for each in shown] == sorted(each.at for each in shown)
    assert [(each.at, each.weight) for each in shown if each.weight] == [(700.0, 2), (900.0, 1)]
    assert shown[0].at == 0.0  # of a weight the first ones


def test_what_a_host_says_at_length_is_cut() -> None:
    [only], more = weightiest([(1.0, HostBusy(host="h", text="x" * 10_000))], Jobs([]))
    assert more == 0
    assert len(only.text) == CHARS + len(" ...")
