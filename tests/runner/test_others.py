"""What others use, read from files as the kernel writes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchwasm.runner import others
from batchwasm.runner.others import WINDOW_S, Load, Share, free_memory_bytes

TICKS = os.sysconf("SC_CLK_TCK")


class Machine:
    """Two cpus, as /proc shows them."""

    def __init__(self, proc: Path) -> None:
        self.proc = proc
        self.own_s = 0.0
        self.busy_s = self.now = 0.0
        self.workers: dict[int, float] = {}
        self.load = Load(str(proc), own=lambda: self.own_s)

    def pass_time(self, seconds: float, *, others_s: float = 0.0, own_s: float = 0.0, **workers_s: float) -> None:
        """So many cpu seconds were used meanwhile: by others, by the supervisor, by workers `w7=...`."""
        self.now += seconds
        self.own_s += own_s
        for name, used in workers_s.items():
            pid = int(name[1:])
            self.workers[pid] = self.workers.get(pid, 0.0) + used
        self.busy_s += others_s + own_s + sum(workers_s.values())
        self.write()

    def write(self) -> None:
        user, idle = round(self.busy_s / 2 * TICKS), round((2 * self.now - self.busy_s) * TICKS)
        (self.proc / "stat").write_text(f"cpu  {user} {user} 0 {idle - 7} 7 0 0 0 999 999\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
        for pid, used in self.workers.items():
            (self.proc / str(pid)).mkdir(exist_ok=True)
            fields = " ".join(["0"] * 10)
            (self.proc / f"{pid}/stat").write_text(f"{pid} (a ) b) S {fields} {round(used * TICKS)} 0 0 0 20\n")

    def sample(self) -> float | None:
        self.load.sample(self.workers, self.now)
        return self.load.of_others(len(self.workers))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    made.write()
    return made


def test_the_load_is_the_share_of_all_cpus_that_others_use(machine: Machine) -> None:
    assert machine.sample() is None
    machine.pass_time(1.0, others_s=1.0)
    assert machine.sample() == pytest.approx(0.5)


def test_what_our_own_processes_use_is_nobody_elses(machine: Machine) -> None:
    machine.pass_time(1.0, w7=0.0, w8=0.0)
    machine.sample()
    machine.pass_time(1.0, others_s=0.2, own_s=0.1, w7=1.0, w8=0.5)
    assert machine.sample() == pytest.approx(0.1)
    # One that ended is among the children that the supervisor waited for.
    machine.own_s += machine.workers.pop(8)
    machine.pass_time(1.0, w7=1.0)
    assert machine.sample() == pytest.approx(0.05)


def test_it_is_a_mean_over_a_few_seconds_and_of_nothing_that_was_before_a_pause(machine: Machine) -> None:
    found = []
    for second in range(8):
        machine.pass_time(1.0, others_s=2.0 if second >= 4 else 0.0)
        found.append(machine.sample())
    assert found == [None, 0.0, 0.0, 0.0, *(pytest.approx(n / WINDOW_S) for n in (1, 2, 3)), 1.0]
    machine.pass_time(100.0)
    assert machine.sample() is None


def test_a_rounding_of_the_kernels_is_no_load_below_nothing(machine: Machine) -> None:
    machine.sample()
    machine.pass_time(1.0, others_s=-0.01, own_s=1.0)
    assert machine.sample() == 0.0


def test_where_the_kernel_tells_nothing_the_load_average_has_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 2.0, 1.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    load = Load(str(tmp_path))
    load.sample([], 0.0)
    assert load.of_others(1) == 0.5
    assert load.of_others(5) == 0.0
    assert free_memory_bytes([], str(tmp_path)) is None


def test_memory_that_our_workers_hold_counts_as_free(tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal:  4000 kB\nMemFree:  10 kB\nMemAvailable:   1000 kB\n")
    (tmp_path / "7").mkdir()
    (tmp_path / "7/statm").write_text("900 50 10 1 0 200 0\n")
    page = os.sysconf("SC_PAGE_SIZE")
    assert free_memory_bytes([7, 8], str(tmp_path)) == 1000 * 1024 + 40 * page


def test_this_machine_can_be_measured() -> None:
    load = Load()
    load.sample([os.getpid()], 0.0)
    assert load.of_others(0) is None
    assert (free_memory_bytes([os.getpid()]) or 0) > 1 << 20
    assert 0 <= others.minute_of_day() < 24 * 60


def test_the_share_in_use_is_that_between_two_looks_whoever_it_is(machine: Machine) -> None:
    share = Share(str(machine.proc))
    assert share.now is None
    machine.pass_time(5.0, others_s=2.0, own_s=0.5, w7=5.0)
    share.look()
    assert share.now == pytest.approx(0.75)
    share.look()
    assert share.now == pytest.approx(0.75), "the kernel has not counted on"
    machine.pass_time(5.0)
    share.look()
    assert share.now == pytest.approx(0.0)


def test_the_share_in_use_is_unknown_where_the_kernel_does_not_tell(tmp_path: Path) -> None:
    share = Share(str(tmp_path))
    share.look()
    assert share.now is None
