"""When a machine is left to others: windows, bounds, what is said of them, and that it does not flap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwasm.runner.courtesy import CALM_S, RETELL_S, Mood, Rules, Seen, Window, causes, of_inventory
from batchwasm.runner.protocol import Attach, ProtocolError

GIB = 1 << 30
NIGHT = Window(20 * 60, 8 * 60)
NOON = Seen(12 * 60)
MINUTES = st.integers(0, 24 * 60 - 1)


def said(rules: Rules, seen: Seen) -> str:
    return "; ".join(cause.text for cause in causes(rules, seen))


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        (Window(9 * 60, 17 * 60), (9 * 60, 12 * 60, 17 * 60 - 1), (0, 9 * 60 - 1, 17 * 60)),
        (NIGHT, (20 * 60, 0, 8 * 60 - 1), (8 * 60, 12 * 60, 20 * 60 - 1)),
        (Window(0, 0), (0, 700, 1439), ()),
        (Window(20 * 60, 0), (20 * 60, 1439), (0, 19 * 60)),
    ],
)
def test_a_window_has_its_start_and_not_its_stop(
    window: Window, inside: tuple[int, ...], outside: tuple[int, ...]
) -> None:
    assert [minute for minute in inside if not window.has(minute)] == []
    assert [minute for minute in outside if window.has(minute)] == []


@given(MINUTES, MINUTES, MINUTES)
def test_a_window_and_the_rest_of_the_day_have_each_minute_once(start: int, stop: int, minute: int) -> None:
    if start != stop:
        assert Window(start, stop).has(minute) != Window(stop, start).has(minute)


def test_what_is_said_has_what_was_measured_and_the_bound() -> None:
    rules = Rules(max_load=0.8, min_free_memory_bytes=4 * GIB, hours=((NIGHT,),), min_idle_s=900)
    seen = Seen(8 * 60 + 5, 0.93, int(1.2 * GIB), 180)
    assert [cause.text for cause in causes(rules, seen)] == [
        "08:05 is outside 20:00-08:00",
        "used 3 min ago, min_idle is 15 min",
        "load 0.93 of others over max_load 0.8",
        "memory free 1.2 GiB under min_free_memory 4 GiB",
    ]
    assert said(Rules(max_load=0.8), Seen(0, 0.800001)) == "load 0.800001 of others over max_load 0.8"


def test_at_its_bounds_and_where_nothing_is_known_nothing_is_said() -> None:
    rules = Rules(max_load=0.8, min_free_memory_bytes=GIB, min_idle_s=900)
    assert said(rules, Seen(0, 0.8, GIB, 900)) == said(rules, NOON) == ""
    assert said(rules, Seen(0, used_s_ago=float("inf"))) == ""
    assert not Rules(when_busy="leave")


def test_the_strictest_of_each_rule_counts() -> None:
    one = Rules(max_load=0.8, min_free_memory_bytes=GIB, hours=((NIGHT,),), when_busy="suspend")
    other = Rules(max_load=0.5, min_idle_s=60, hours=((Window(0, 600), Window(1300, 0)),))
    both = one.and_also(other)
    assert both == Rules(
        max_load=0.5,
        min_free_memory_bytes=GIB,
        hours=((NIGHT,), (Window(0, 600), Window(1300, 0))),
        min_idle_s=60,
        when_busy="suspend",
    )
    assert [minute for minute in (0, 500, 599, 700, 1250, 1310) if not said(both, Seen(minute))] == [0, 1310]
    assert said(both, Seen(540)) == "09:00 is outside 20:00-08:00"
    assert Rules(when_busy="leave").and_also(one).when_busy == "leave"


def test_what_no_scheduler_of_ours_sends_is_refused() -> None:
    with pytest.raises(ProtocolError):
        of_inventory(Attach("r", 1, when_busy="dance"))
    with pytest.raises(ProtocolError):
        of_inventory(Attach("r", 1, hours=[[1]]))
    assert of_inventory(Attach("r", 1, hours=[[1200, 480]], when_busy="leave")) == Rules(
        hours=((NIGHT,),), when_busy="leave"
    )


# -------------------------------------------------------------------------------------------------- over time


def test_nothing_starts_before_the_load_is_known() -> None:
    mood = Mood(Rules(max_load=0.8))
    assert mood.busy is None
    assert not mood.see(Seen(0), now=0.0)
    assert mood.see(Seen(0, load=0.5), now=1.0)
    assert mood.busy == ""


def test_a_host_is_busy_at_the_first_cause_and_free_only_after_a_while_without_any() -> None:
    mood = Mood(Rules(max_load=0.8))
    mood.see(Seen(0, load=0.1), now=0.0)
    assert mood.see(Seen(0, load=0.9), now=1.0)
    assert (mood.busy, mood.since) == ("load 0.90 of others over max_load 0.8", 1.0)
    changes = [mood.see(Seen(0, load=0.9 if second % 5 == 0 else 0.1), now=float(second)) for second in range(2, 60)]
    assert not any(changes)
    assert not mood.see(Seen(0, load=0.1), now=55 + CALM_S - 0.1)
    assert mood.see(Seen(0, load=0.1), now=55 + CALM_S)
    assert mood.busy == ""


def test_another_number_is_no_news_for_a_while_but_another_rule_is() -> None:
    mood = Mood(Rules(max_load=0.8, hours=((NIGHT,),)))
    mood.see(Seen(0, load=0.9), now=0.0)
    assert not mood.see(Seen(0, load=0.95), now=1.0)
    assert mood.see(Seen(0, load=0.95), now=RETELL_S)
    assert mood.see(Seen(12 * 60, load=0.95), now=RETELL_S + 1)
    assert mood.busy == "12:00 is outside 20:00-08:00; load 0.95 of others over max_load 0.8"
    assert mood.since == 0.0
