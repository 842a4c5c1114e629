"""A host that is left alone while its rules say so, with real workers and a real host.toml in the home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.model import Outcome
from batchwasm.runner.protocol import Beat, Detach, Kill, Refused
from tests.runner.supervised import HELLO, SLEEP, SPIN, Scheduler, SupervisedHost, eventually, supervised_host


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SupervisedHost]:
    yield from supervised_host(tmp_path)


@pytest.fixture
def host_toml(home: Path) -> Path:
    """Of the owner; not there yet."""
    path = home / ".config/batchwasm/host.toml"
    path.parent.mkdir(parents=True)
    return path


def closed_now() -> tuple[int, int]:
    """A window that ended two hours ago and lasted one."""
    now = time.localtime()
    minute = now.tm_hour * 60 + now.tm_min
    return (minute - 180) % 1440, (minute - 120) % 1440


def closed_now_text() -> str:
    return "-".join(f"{minute // 60:02}:{minute % 60:02}" for minute in closed_now())


def state(pid: int) -> str:
    """R, S, T (stopped), ...; '' where it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def busy_beat(scheduler: Scheduler) -> Beat:
    while not (beat := scheduler.beat()).busy:
        pass
    return beat


def test_outside_of_its_hours_a_host_says_so_and_gives_all_back(host: SupervisedHost) -> None:
    scheduler = host.attach(hours=[list(closed_now())])
    assert f" is outside {closed_now_text()}" in scheduler.attached.busy
    scheduler.start(1, HELLO, [4, 5])
    _, returned = scheduler.collect(2)
    assert returned == {(1, 4): scheduler.attached.busy, (1, 5): scheduler.attached.busy}
    other = host.attach("run-2")
    assert other.attached.busy == ""
    other.start(1, HELLO)
    assert other.collect(1)[0]


def test_others_at_work_make_a_host_busy_within_seconds_but_not_for_who_minds_less(host: SupervisedHost) -> None:
    """Whatever else runs here: one bound is next to nothing, the other beyond all."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinner:
        try:
            one, two = host.attach("run-1", max_load=0.001), host.attach("run-2", max_load=100.0)
            started = time.monotonic()
            for scheduler in (one, two):
                scheduler.start(1, HELLO)
            assert one.collect(1)[1][1, 0].endswith(" of others over max_load 0.001")
            assert two.collect(1)[0][1, 0].outcome == Outcome.SUCCEEDED
            assert time.monotonic() - started < 5
        finally:
            spinner.kill()


def test_by_default_what_runs_ends_and_what_waits_goes_elsewhere(host: SupervisedHost, host_toml: Path) -> None:
    scheduler = host.attach(cpus=1)
    scheduler.start(1, SPIN, [0, 1], time_s=1.5)
    scheduler.start(2, HELLO)
    host.wait_until_a_guest_speaks()
    host_toml.write_text(f'hours = "{closed_now_text()}"')
    _, returned = scheduler.collect(1)
    assert " is outside " in returned[2, 0]
    assert busy_beat(scheduler).suspended == 0
    rows, returned = scheduler.collect(2)
    assert rows[1, 0].outcome == Outcome.TIMED_OUT
    assert set(returned) == {(1, 1)}
    host_toml.unlink()
    eventually(lambda: not scheduler.beat().busy, "it is free again")
    scheduler.start(3, HELLO)
    assert scheduler.collect(1)[0]


def test_time_does_not_pass_for_what_is_suspended(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=2)
    scheduler.start(1, SPIN, time_s=1.5)
    scheduler.start(2, SLEEP.replace("3600000000000", "1700000000"), time_s=1.5)
    workers = host.wait_until_a_guest_speaks(2)
    started = time.monotonic()
    scheduler.close()
    scheduler = host.attach(incarnation=2, cpus=2, hours=[list(closed_now())], when_busy="suspend")
    eventually(lambda: [state(pid) for pid in workers] == ["T", "T"], "both are stopped", patience_s=5)
    eventually(lambda: scheduler.beat().suspended == 2, "a beat that tells it")
    # Beyond their limit, and beyond the supervisor's own grace after that.
    eventually(lambda: time.monotonic() > started + 3.1, "time passes")
    assert [state(pid) for pid in workers] == ["T", "T"]
    scheduler.close()
    scheduler = host.attach(incarnation=3, cpus=2)
    rows, returned = scheduler.collect(2)
    assert returned == {}
    spun, slept = rows[1, 0], rows[2, 0]
    assert slept.outcome == Outcome.SUCCEEDED
    assert slept.wall_us < 1_500_000
    assert spun.outcome == Outcome.TIMED_OUT
    assert spun.detail is not None
    assert spun.detail.used is not None
    assert 1.5 <= spun.detail.used < 3.1
    assert 1_500_000 <= spun.wall_us < 3_100_000


def test_what_is_suspended_can_be_killed_and_goes_with_its_run(host: SupervisedHost) -> None:
    first = host.attach("run-1", cpus=4)
    second = host.attach("run-2", cpus=4)
    for scheduler, batch in ((first, 1), (first, 2), (second, 1)):
        scheduler.start(batch, SPIN, time_s=600.0)
    mine = host.wait_until_a_guest_speaks(3)
    first.close()
    first = host.attach("run-1", incarnation=2, cpus=4, hours=[list(closed_now())], when_busy="suspend")
    stopped = eventually(
        lambda: found if len(found := [p for p in mine if state(p) == "T"]) == 2 else [], "two of one run", patience_s=5
    )
    (other,) = set(mine) - set(stopped)
    assert state(other) in "RS"  # another run has rules of its own
    first.send(Kill(1))
    assert set(first.collect(1)[1]) == {(1, 0)}
    eventually(lambda: sum(state(pid) == "T" for pid in stopped) == 1, "one is gone")
    first.send(Detach())
    eventually(lambda: not any(map(state, stopped)), "both are gone")
    second.send(Detach())


def test_a_supervisor_that_ends_takes_what_is_suspended_with_it(host: SupervisedHost, host_toml: Path) -> None:
    scheduler = host.attach(cpus=1)
    scheduler.start(1, SPIN)
    (worker,) = host.wait_until_a_guest_speaks()
    host_toml.write_text(f'hours = "{closed_now_text()}"\nwhen_busy = "suspend"')
    eventually(lambda: state(worker) == "T", "it is stopped", patience_s=5)
    os.kill(host.supervisors()[0], signal.SIGTERM)
    eventually(lambda: not state(worker) and not host.supervisors(), "both end", patience_s=3)


def test_who_leaves_gives_back_what_ran_and_loses_nothing(host: SupervisedHost, host_toml: Path) -> None:
    scheduler = host.attach(cpus=1, when_busy="leave")
    scheduler.start(1, SPIN, [3, 4])
    (worker,) = host.wait_until_a_guest_speaks()
    started = time.monotonic()
    host_toml.write_text(f'hours = "{closed_now_text()}"')
    rows, returned = scheduler.collect(2)
    assert rows == {}
    assert set(returned) == {(1, 3), (1, 4)}
    assert all(" is outside " in why for why in returned.values())
    assert time.monotonic() - started < 5
    eventually(lambda: not state(worker), "its worker is gone")


# ------------------------------------------------------------------------------------------- the owner's file


def test_the_owner_caps_what_any_inventory_says(host: SupervisedHost, host_toml: Path) -> None:
    host_toml.write_text('cpus = 1\nmemory = "256MiB"\ngpus = 1\n')
    scheduler = host.attach(cpus=4, memory_bytes=1 << 30, gpus=2)
    there = scheduler.attached
    assert (there.cpus, there.memory_bytes, there.gpus) == (1, 256 << 20, 1)
    assert there.rules == [f"{line} ({host_toml})" for line in ("cpus = 1", 'memory = "256MiB"', "gpus = 1")]
    scheduler.start(1, HELLO, memory=512 << 20)
    assert "but this run may have 1 cpus, 256 MiB of memory and 1 gpus" in scheduler.collect(1)[1][1, 0]


def test_a_cap_that_changes_has_the_scheduler_come_back_for_it(host: SupervisedHost, host_toml: Path) -> None:
    scheduler = host.attach(cpus=2)
    host_toml.write_text("cpus = 1")
    assert scheduler.read() == Refused("busy", "its owner allows another share of it now; it is asked again")
    assert scheduler.read() is None
    assert host.attach(cpus=2, incarnation=2).attached.cpus == 1


def test_a_host_whose_owner_does_not_want_us_is_left_at_once(host: SupervisedHost, host_toml: Path) -> None:
    running = host.attach("run-1")
    running.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    host_toml.write_text('users = ["somebody-else"]')
    for answer in (running.read(), host.connect().try_to_attach("run-2")):
        assert isinstance(answer, Refused)
        assert answer.code == "owner"
        assert "the owner of this machine lets somebody-else use it, not " in answer.text
    assert running.read() is None
    eventually(lambda: not host.workers(), "what ran there is ended")


def test_an_owner_who_wants_us_no_longer_says_so_whatever_else_he_changed(
    host: SupervisedHost, host_toml: Path
) -> None:
    host_toml.write_text("cpus = 1")
    scheduler = host.attach(cpus=2)
    scheduler.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    host_toml.write_text("users = []")
    answer = scheduler.read()
    assert isinstance(answer, Refused)
    assert answer.code == "owner"


def test_a_host_whose_owner_is_not_understood_is_refused(host: SupervisedHost, host_toml: Path) -> None:
    host_toml.write_text("# careful\nmax_lood = 1")
    answer = host.connect().try_to_attach()
    assert isinstance(answer, Refused)
    assert answer.code == "owner"
    assert answer.text.startswith(f"{host_toml}:2: max_lood: unknown key; did you mean 'max_load'?")
