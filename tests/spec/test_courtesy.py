"""When a host is left to those it belongs to."""

from __future__ import annotations

import pytest

from batchwasm.model import GIB, Courtesy, Hours
from tests.spec.folder import Folder

ALL = 'max_load = 0.8\nmin_free_memory = "4GiB"\nhours = "20:00-08:00"\nmin_idle = "15m"\nwhen_busy = "suspend"\n'


def test_a_host_is_at_our_disposal_unless_it_says_otherwise(folder: Folder) -> None:
    assert folder.hosts("[hosts.a]")["a"].courtesy == Courtesy()


def test_a_host_says_what_its_people_need(folder: Folder) -> None:
    assert folder.hosts(f"[hosts.a]\n{ALL}")["a"].courtesy == Courtesy(
        max_load=0.8,
        min_free_memory_bytes=4 * GIB,
        hours=(Hours(start=20 * 60, stop=8 * 60),),
        min_idle_s=900.0,
        when_busy="suspend",
    )


def test_a_table_of_its_own_beats_the_range_key_by_key_and_takes_back(folder: Folder) -> None:
    own = "hours = []\nmin_idle = 0\nmin_free_memory = 0\nmax_load = 2\n"
    hosts = folder.hosts(f'[defaults]\n{ALL}[hosts."a[1-2]"]\nwhen_busy = "leave"\n[hosts.a2]\n{own}')
    assert (hosts["a1"].courtesy.when_busy, hosts["a1"].courtesy.max_load) == ("leave", 0.8)
    assert hosts["a2"].courtesy == Courtesy(max_load=2.0, when_busy="leave")


@pytest.mark.parametrize(
    ("written", "windows"),
    [
        ('"8:00-18:30"', [(480, 1110)]),
        ('["00:00-06:00", "22:15 - 24:00"]', [(0, 360), (1335, 1440)]),
        ('"23:59-00:00"', [(1439, 0)]),
    ],
)
def test_hours_are_windows_of_a_day(folder: Folder, written: str, windows: list[tuple[int, int]]) -> None:
    found = folder.hosts(f"[hosts.a]\nhours = {written}")["a"].courtesy.hours
    assert [(hours.start, hours.stop) for hours in found] == windows


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("max_load = 0", "max_load: 0 is not a share of all cpus above 0; write such as 0.8"),
        ('max_load = "80%"', "max_load: '80%' is not a share of all cpus above 0"),
        ('min_free_memory = "lots"', "min_free_memory: 'lots' is not a size"),
        ('hours = "20-8"', "hours: '20-8' is not a time of day from and to; write such as '20:00-08:00'"),
        ('hours = ["8:00-25:00"]', "hours[0]: '8:00-25:00' is not a time of day from and to"),
        ('hours = "24:00-08:00"', "hours: '24:00-08:00' is not a time of day"),
        ('hours = "08:00-8:00"', "hours: '08:00-8:00' is no time at all; write '00:00-24:00' for always"),
        ("hours = 8", "hours: 8 is not a time of day"),
        ('min_idle = "soon"', "min_idle: 'soon' is not a duration"),
        ('when_busy = "suspnd"', "when_busy: 'suspnd' is nothing that tasks on a busy host can do; did you mean 'sus"),
        (
            'when_busy = "kill"',
            "when_busy: 'kill' is nothing that tasks on a busy host can do; those are wait, suspend",
        ),
    ],
)
def test_what_is_wrong_says_where_and_why(folder: Folder, text: str, says: str) -> None:
    [problem] = folder.wrong_hosts(f"[hosts.a]\n{text}")
    assert problem.startswith(f"2: hosts.a.{says}")
