"""A sleep of this machine is seen once, by two clocks of which one stands still in it."""

from __future__ import annotations

import pytest

from batchwasm.engine import asleep
from batchwasm.engine.asleep import SLEEP_S, Sleep


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
