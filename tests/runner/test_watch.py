"""The thread beside the guest: exact deadlines, each for its own guest, again and again until it is felt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from batchwasm.runner.watch import GRACE_S, Stop, Watch

WAIT_S = 20.0


class Guest:
    """Stands in for the engine: what the watch tells it, and waits for that."""

    def __init__(self) -> None:
        self.interrupted = threading.Event()
        self.interrupts: list[float] = []
        self.given_up = threading.Event()
        self.limit: Stop | None = None
        self.scanned: Stop | None = None

    def interrupt(self) -> None:
        self.interrupts.append(time.monotonic())
        self.interrupted.set()

    def watch(self, tick: Callable[[], None] = lambda: None) -> Watch:
        return Watch(
            interrupt=self.interrupt,
            look=lambda: self.limit,
            scan=lambda: self.scanned,
            tick=tick,
            give_up=lambda stop: self.give_up(),
        )

    def give_up(self) -> None:
        self.given_up.set()
        threading.Event().wait()


def test_a_guest_is_ended_at_its_deadline_and_not_before() -> None:
    guest = Guest()
    watch = guest.watch()
    started = time.monotonic()
    watch.begin(0.1)
    assert guest.interrupted.wait(WAIT_S)
    stop = watch.end()
    assert stop is not None
    assert (stop.code, stop.limit) == ("time_limit", 0.1)
    assert stop.used >= 0.1
    assert guest.interrupts[0] >= started + 0.1


def test_a_guest_in_time_hears_nothing_nor_does_the_next() -> None:
    guest = Guest()
    watch = guest.watch()
    for _ in range(5):
        watch.begin(0.2)
        time.sleep(0.06)  # the guest's work
        assert watch.end() is None
    watch.begin(None)
    time.sleep(0.25)
    assert watch.end() is None
    assert guest.interrupts == []


def test_a_limit_that_is_passed_ends_the_guest_whether_seen_at_a_look_or_a_scan() -> None:
    for name in ("limit", "scanned"):
        guest = Guest()
        watch = guest.watch()
        watch.begin(None)
        setattr(guest, name, Stop("disk", 10, 11))
        assert guest.interrupted.wait(WAIT_S)
        assert watch.end() == Stop("disk", 10, 11)


def test_a_guest_that_did_not_feel_it_is_told_again_and_then_given_up() -> None:
    guest = Guest()
    watch = guest.watch()
    watch.begin(0.01)
    assert guest.given_up.wait(WAIT_S)
    assert len(guest.interrupts) > 2
    assert guest.interrupts[-1] - guest.interrupts[0] > GRACE_S * 0.9


def test_a_tick_comes_while_a_guest_takes_its_time() -> None:
    ticked = threading.Event()
    watch = Guest().watch(ticked.set)
    watch.begin(None)
    assert ticked.wait(WAIT_S)
    watch.end()
