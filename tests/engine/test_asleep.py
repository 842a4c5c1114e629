"""A sleep of this machine is seen once, by two clocks of which one stands still in it."""

from __future__ import annotations

import pytest

from batchwasm.engine import asleep
from batchwasm.engine.asleep import SLEEP_S, Clock, Sleep


def test_the_clock_follows_the_machines_forward_and_never_back(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, steady = 1000.0, 5.0
    monkeypatch.setattr(asleep.time, "time", lambda: wall)
    monkeypatch.setattr(asleep.time, "monotonic", lambda: steady)
    clock = Clock()
    assert clock.now() == 1000.0
    wall -= 3600.0
    steady += 2.0
    assert clock.now() == 1002.0
    wall += 7200.0
    assert clock.now() == 4600.0
    wall -= 60.0
    steady += 1.0
    assert clock.now() == 4601.0
    assert Clock(at_least=9000.0).now() == 9000.0, "nor behind what an earlier life of the scheduler wrote"


def test_a_sleep_is_told_once_and_a_short_one_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    behind_s = 100.0
    monkeypatch.setattr(asleep, "_behind_s", lambda: behind_s)
    sleep = Sleep()
    assert sleep.slept_s() == 0.0
    behind_s += 3600.0
    assert sleep.slept_s() == 3600.0
    assert sleep.slept_s() == 0.0
    behind_s += SLEEP_S / 2
    assert sleep.slept_s() == 0.0


def test_this_machine_is_awake() -> None:
    assert Sleep().slept_s() == 0.0
