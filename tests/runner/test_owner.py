"""host.toml: what an owner may wish, that no wish is passed over, and that two files mean both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from batchwasm.runner import owner
from batchwasm.runner.courtesy import Rules, Window
from batchwasm.runner.owner import Files, Wishes, read
from batchwasm.spec import quantities

ALL = """# mine
cpus = 2
memory = "4GiB"
gpus = 0
users = ["alice", "bob"]
hours = ["20:00-08:00", "12:00 - 13:30"]
max_load = 0.8
min_free_memory = "1.5 GiB"
min_idle = "1h30m"
when_busy = "suspend"
"""


def said(tmp_path: Path, text: str | bytes) -> Wishes:
    path = tmp_path / "host.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read([str(path)])


def problems(tmp_path: Path, text: str | bytes) -> list[str]:
    found = said(tmp_path, text)
    assert found.refusal() == "\n".join(found.problems)
    return [line.removeprefix(f"{tmp_path}/") for line in found.problems]


def test_all_that_an_owner_may_wish_is_understood_and_told(tmp_path: Path) -> None:
    found = said(tmp_path, ALL)
    assert (found.cpus, found.memory_bytes, found.gpus) == (2, 4 << 30, 0)
    assert found.users == {"alice", "bob"}
    assert found.courtesy == Rules(
        max_load=0.8,
        min_free_memory_bytes=3 << 29,
        hours=((Window(1200, 480), Window(720, 810)),),
        min_idle_s=5400.0,
        when_busy="suspend",
    )
    assert found.lines[0] == f"cpus = 2 ({tmp_path}/host.toml)"
    assert f'hours = ["20:00-08:00", "12:00 - 13:30"] ({tmp_path}/host.toml)' in found.lines


def test_no_file_is_no_wish(tmp_path: Path) -> None:
    assert read([str(tmp_path / "a"), str(tmp_path / "b/c")]) == Wishes()
    assert read([]).refusal() == ""


def test_all_that_is_wrong_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = (
        'cpu = 2\ngpus = -1\n\nmemory = "lots"\nhours = "8-20"\nmin_idle = "soon"\nwhen_busy = "dance"\nusers = "me"\n'
    )
    assert problems(tmp_path, text) == [
        "host.toml:1: cpu: unknown key; did you mean 'cpus'?",
        "host.toml:2: gpus: -1 is no whole number from 0 up",
        'host.toml:4: memory: "lots" is not a size; write bytes or a size such as "4GiB"',
        'host.toml:5: hours: "8-20" is no time of day; write it as "20:00-08:00"',
        'host.toml:6: min_idle: "soon" is not a duration; write seconds or a duration such as "15m"',
        'host.toml:7: when_busy: "dance" is none of wait, suspend, leave',
        'host.toml:8: users: "me" is no list of user names; write it as ["alice", "bob"]',
    ]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("cpus = 2\nmax_load 0.8\n", "host.toml:2: is no TOML: "),
        (b"cpus = 2 # \xff", "host.toml: is no TOML: "),
        ("[limits]\ncpus = 2\n", "host.toml:1: limits: unknown key; keys are cpus, memory, gpus, "),
        ("max_load = nan\n", "host.toml:1: max_load: nan is no share"),
        ("cpus = true\n", "host.toml:1: cpus: true is no whole number"),
        ('\nhours = ["25:00-08:00"]', "host.toml:2: hours: "),
        ("hours = []", "host.toml:1: hours: "),
        ("min_free_memory = 0", "host.toml:1: min_free_memory: "),
        ("#" * 70_000, "host.toml: is no TOML: is over 65536 bytes"),
    ],
)
def test_what_is_not_understood_stops_all_work(tmp_path: Path, text: str | bytes, where: str) -> None:
    (problem,) = problems(tmp_path, text)
    assert problem.startswith(where)


def test_a_file_that_can_not_be_read_stops_all_work(tmp_path: Path) -> None:
    (tmp_path / "host.toml").mkdir()
    assert "can't be read (Is a directory)" in read([str(tmp_path / "host.toml")]).refusal()


def test_of_two_files_the_strictest_of_each_key_counts(tmp_path: Path) -> None:
    system, own = tmp_path / "system.toml", tmp_path / "own.toml"
    system.write_text('cpus = 4\nmemory = "1GiB"\nusers = ["alice", "bob"]\nhours = "20:00-08:00"\n')
    own.write_text(
        'cpus = 2\nmemory = "2GiB"\ngpus = 1\nusers = ["bob", "carol"]\nhours = "00:00-12:00"\nmax_load = 1\n'
    )
    found = read([str(system), str(own)])
    assert (found.cpus, found.memory_bytes, found.gpus, found.users) == (2, 1 << 30, 1, {"bob"})
    assert found.courtesy == Rules(max_load=1.0, hours=((Window(1200, 480),), (Window(0, 720),)))
    assert len(found.lines) == 10
    own.write_text("nonsense")
    assert read([str(system), str(own)]).refusal().startswith(f"{own}:1: is no TOML")


def test_only_the_users_named_may_work_here(tmp_path: Path) -> None:
    me = owner.user_name()
    assert said(tmp_path, f'users = ["{me}"]').refusal() == ""
    assert said(tmp_path, 'users = ["nobody-here", "alice"]').refusal() == (
        f"the owner of this machine lets alice, nobody-here use it, not {me}"
    )
    assert f"lets nobody use it, not {me}" in said(tmp_path, "users = []").refusal()


def test_a_file_that_changes_comes_or_goes_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "host.toml"
    files = Files([str(path)])
    assert not files.changed()
    for text, cpus in (("cpus = 1", 1), ("cpus = 22", 22), (None, None)):
        path.unlink() if text is None else path.write_text(text)
        assert files.changed()
        assert files.wishes.cpus == cpus
        assert not files.changed()
    path.write_text("# nothing new\n")
    assert not files.changed()


def test_the_files_are_those_of_the_system_and_of_the_home(home: Path) -> None:
    assert owner.paths() == ("/etc/batchwasm/host.toml", f"{home}/.config/batchwasm/host.toml")
    assert os.environ["HOME"] == str(home)


@pytest.mark.parametrize("text", ["1", "512MiB", "1.5 GB", "7 KB", "1e3", "", "GiB", "2TB", "-1"])
def test_sizes_are_read_as_an_inventory_has_them(text: str) -> None:
    assert _or_none(owner._size, text) == _or_none(quantities.size_bytes, text)


@pytest.mark.parametrize("text", ["1", "90s", "1h30m", "2d", "1.5h", "30m1h", "", "m", "5 m", "-1s"])
def test_durations_are_read_as_an_inventory_has_them(text: str) -> None:
    assert _or_none(owner._duration, text) == _or_none(quantities.duration_s, text)


def _or_none(read_it: object, text: str) -> object:
    assert callable(read_it)
    try:
        return read_it(text)
    except ValueError:
        return None
