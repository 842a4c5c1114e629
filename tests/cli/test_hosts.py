"""hosts list, check, trust, drain and clean, over real sshd servers; drain of runs that go on is in test_live_hosts."""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

import pytest

from tests.cli.terminal import on_a_terminal
from tests.command import Cli
from tests.sshd import Servers, Sshd, inventory_of

NO_SUCH = '[hosts.gone]\naddress = "no-such-host.invalid"\n'


@pytest.fixture
def pool(ssh_pool: list[Sshd], batchwasm: Cli) -> list[Sshd]:
    """Three servers, in the inventory of the folder where `batchwasm` starts."""
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(ssh_pool))
    return ssh_pool


# -------------------------------------------------------------------------------------------------------- list


def test_list_shows_what_the_inventory_says_without_asking_anybody(batchwasm: Cli) -> None:
    text = '[defaults]\nuser = "alice"\n[hosts."lab[01-02]"]\naddress = "{name}.example"\ncpus = 4\nmemory = "2GiB"\n'
    text += 'labels = ["old", "big"]\ngpus = 1\nresources = { licence = 0.5 }\nmin_idle = "15m"\n'
    (batchwasm.folder / "inventory.toml").write_text(text + '[hosts.lab02.mounts]\ndata = "/nfs/data"\n')
    assert batchwasm("hosts", "list").out.splitlines()[1:] == [
        "lab01\tssh\tlab01.example\talice\t\t4\t2 GiB\t1\tbig old\tlicence=0.5\t\t",
        "lab02\tssh\tlab02.example\talice\t\t4\t2 GiB\t1\tbig old\tlicence=0.5\t\tdata=/nfs/data",
    ]
    (row,) = batchwasm("hosts", "list", "lab02", "--json").rows
    assert row["schema"] == "host/1"
    assert (row["name"], row["memory_bytes"], row["mounts"]) == ("lab02", 2 * 1024**3, {"data": "/nfs/data"})
    assert (row["gpus"], row["labels"], row["resources"]) == (1, ["big", "old"], {"licence": 0.5})
    assert (row["courtesy"]["min_idle_s"], row["courtesy"]["hours"], row["port"]) == (900, [], None)


def test_list_without_an_inventory_is_this_machine(batchwasm: Cli) -> None:
    (row,) = batchwasm("hosts", "list", "--json").rows
    assert row["transport"] == "local"


@pytest.mark.parametrize("args", [["--hosts", ""], [""]])
def test_an_empty_hostlist_does_not_mean_all_hosts(batchwasm: Cli, args: list[str]) -> None:
    assert "has an empty name" in batchwasm("hosts", "clean", *args, code=2).err


def test_a_wrong_inventory_is_2_with_all_its_problems(batchwasm: Cli) -> None:
    (batchwasm.folder / "bad.toml").write_text('[hosts.a]\nport = "x"\n[hosts.b]\nnonsense = 1\n')
    said = batchwasm("hosts", "check", "-i", "bad.toml", code=2).err
    assert "hosts.a.port" in said
    assert "nonsense" in said


# ------------------------------------------------------------------------------------------------------- check


def test_check_of_good_hosts_is_0_and_says_what_they_are(batchwasm: Cli, pool: list[Sshd]) -> None:
    rows = batchwasm("hosts", "check", "--json").rows
    assert [row["host"] for row in rows] == [server.name for server in pool]
    for row in rows:
        assert (row["good"], row["key"], row["auth"], row["error"]) == (True, "known", True, None)
        assert row["facts"]["cpus"] > 0
        assert row["latency_s"] > 0
    shown = batchwasm("hosts", "check").out.splitlines()
    assert [line.split("\t")[:3] for line in shown[1:]] == [[server.name, "good", "known"] for server in pool]


def test_check_shows_what_an_owner_allows_and_whether_he_is_there(batchwasm: Cli, pool: list[Sshd]) -> None:
    rules = pool[0].home / ".config/batchwasm/host.toml"
    rules.parent.mkdir(parents=True)
    hour = time.localtime().tm_hour
    closed = f"{(hour + 2) % 24:02}:00-{(hour + 3) % 24:02}:00"
    rules.write_text(f'cpus = 1\nhours = "{closed}"\n')
    try:
        said = batchwasm("hosts", "check", pool[0].name).out.splitlines()[1].split("\t")
        (row,) = batchwasm("hosts", "check", pool[0].name, "--json").rows
    finally:
        shutil.rmtree(pool[0].home / ".config")
    assert said[1] == "busy"
    assert "left alone now: " in said[-1]
    assert f" is outside {closed}; its owner allows: cpus = 1 ({rules}), hours = " in said[-1]
    assert (row["good"], row["gpus"], row["owner"]["refused"]) == (True, 0, "")
    assert row["owner"]["rules"][0] == f"cpus = 1 ({rules})"
    assert row["busy"].endswith(f" is outside {closed}")


def test_check_names_the_bad_ones_and_is_3(batchwasm: Cli, pool: list[Sshd], home: Path) -> None:
    known = home / ".ssh" / "known_hosts"
    known.write_text("".join(server.known_hosts_line for server in pool[1:]))
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(pool) + NO_SUCH)
    rows = batchwasm("hosts", "check", "--json", code=3).rows
    assert [(row["host"], row["good"]) for row in rows] == [
        (pool[0].name, False),
        (pool[1].name, True),
        (pool[2].name, True),
        ("gone", False),
    ]
    assert (rows[0]["key"], rows[0]["error"]["code"]) == ("unknown", "key")
    assert (rows[3]["key"], rows[3]["error"]["code"]) == (None, "unreachable")
    assert pool[0].fingerprint in rows[0]["error"]["cause"]
    assert "hosts trust" in rows[0]["error"]["cure"]


def test_check_on_a_terminal_ends_with_a_table_and_each_cure_in_full(batchwasm: Cli, pool: list[Sshd]) -> None:
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(pool) + NO_SUCH)
    code, shown = on_a_terminal("-m", "batchwasm", "hosts", "check", cwd=batchwasm.folder, columns=80)
    assert code == 3
    table = shown[shown.rindex("\x1b[1mhost") :]
    assert f"{pool[0].name}  \x1b[32mgood" in table
    assert "gone    \x1b[31mbad" in table
    assert "\n  set its address in the inventory or in ~/.ssh/config" in table


def table_of(shown: str) -> str:
    """The last picture of it, without colours."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown[shown.rindex("\x1b[1mhost") :])


def test_check_on_a_narrow_terminal_leaves_out_columns_and_keeps_what_is_wrong(
    batchwasm: Cli, pool: list[Sshd]
) -> None:
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(pool) + NO_SUCH)
    _, shown = on_a_terminal("-m", "batchwasm", "hosts", "check", cwd=batchwasm.folder, columns=80)
    title, *rows = table_of(shown).splitlines()[:5]
    assert title.split() == [*("host", "state", "key", "ping", "cpus", "memory", "disk", "free", "remarks")]
    assert max(map(len, (title, *rows))) <= 80
    assert rows[0].split()[:3] == [pool[0].name, "good", "known"]


def test_check_on_a_wide_terminal_or_with_wide_has_all_columns(batchwasm: Cli, pool: list[Sshd]) -> None:
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(pool) + NO_SUCH)
    wide = on_a_terminal("-m", "batchwasm", "hosts", "check", cwd=batchwasm.folder, columns=300)
    asked = on_a_terminal("-m", "batchwasm", "hosts", "check", "--wide", cwd=batchwasm.folder, columns=80)
    for _, shown in (wide, asked):
        table = table_of(shown)
        assert {"address", "up", "down", "clock", "home", "logout", "guards"} <= set(table.splitlines()[0].split())
        assert f"{pool[0].address}:{pool[0].port}" in table
    assert "set its address in the inventory or in ~/.ssh/config" in table_of(asked[1]).splitlines()[4]


def test_check_names_a_transport_that_works_where_that_of_the_inventory_does_not(
    batchwasm: Cli, ssh_servers: Servers, home: Path
) -> None:
    server = ssh_servers.make("odd", options=["KexAlgorithms sntrup761x25519-sha512@openssh.com"])
    ssh_servers.client.install(home, [server])
    (batchwasm.folder / "inventory.toml").write_text("[hosts.odd]\n")
    (row,) = batchwasm("hosts", "check", "--json", code=3).rows
    assert (row["transport"], row["works_by"], row["error"]["code"]) == ("ssh", "openssh", "protocol")
    assert [(other["transport"], other["error"] is None) for other in row["others"]] == [
        ("openssh", True),
        ("paramiko", False),
    ]
    assert row["speed"]["down_bytes_s"] > 0
    assert row["facts"]["cpus"] > 0
    code, shown = on_a_terminal("-m", "batchwasm", "hosts", "check", cwd=batchwasm.folder, columns=100)
    assert code == 3
    assert '\n  transport = "openssh" in the inventory works' in shown
    (batchwasm.folder / "inventory.toml").write_text('[hosts.odd]\ntransport = "openssh"\n')
    (row,) = batchwasm("hosts", "check", "--json").rows
    assert (row["works_by"], row["others"], row["key"]) == ("openssh", [], "known")


def test_check_of_named_hosts_asks_only_those(batchwasm: Cli, pool: list[Sshd]) -> None:
    (row,) = batchwasm("hosts", "check", pool[1].name, "--json").rows
    assert row["host"] == pool[1].name


# ------------------------------------------------------------------------------------------------------- trust


@pytest.fixture
def strangers(pool: list[Sshd], home: Path) -> Path:
    """The servers' keys are not known; returned is the file where they would be."""
    known = home / ".ssh" / "known_hosts"
    known.unlink()
    return known


def test_trust_shows_all_fingerprints_and_accepts_nothing_by_itself(
    batchwasm: Cli, pool: list[Sshd], strangers: Path
) -> None:
    ended = batchwasm("hosts", "trust", code=2)
    for server in pool:
        assert server.fingerprint in ended.out
    assert "--yes" in ended.err
    assert not strangers.exists()


def test_trust_accepts_all_keys_at_once_and_hosts_are_good_then(
    batchwasm: Cli, pool: list[Sshd], strangers: Path
) -> None:
    assert "3 keys accepted" in batchwasm("hosts", "trust", "--yes").err
    assert len(strangers.read_text().splitlines()) == 3
    batchwasm("hosts", "check")
    assert "no unknown keys" in batchwasm("hosts", "trust").err


def test_trust_asks_once_on_a_terminal(batchwasm: Cli, pool: list[Sshd], strangers: Path) -> None:
    code, shown = on_a_terminal("-m", "batchwasm", "hosts", "trust", cwd=batchwasm.folder, answers=[("[y/N]", "n\n")])
    assert code == 2
    assert shown.count("[y/N]") == 1
    assert not strangers.exists()
    code, shown = on_a_terminal("-m", "batchwasm", "hosts", "trust", cwd=batchwasm.folder, answers=[("[y/N]", "y\n")])
    assert code == 0
    assert "3 keys accepted" in shown


def test_trust_never_accepts_a_key_that_changed(batchwasm: Cli, pool: list[Sshd], home: Path) -> None:
    known = home / ".ssh" / "known_hosts"
    text = known.read_text().replace(pool[0].host_key, pool[1].host_key)
    known.write_text(text)
    ended = batchwasm("hosts", "trust", "--yes", code=3)
    assert ended.err.startswith(f"{pool[0].name}: THE KEY OF ")
    assert known.read_text() == text


def test_trust_tells_of_hosts_that_do_not_answer(batchwasm: Cli, pool: list[Sshd], strangers: Path) -> None:
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(pool) + NO_SUCH)
    ended = batchwasm("hosts", "trust", "--yes", code=3)
    assert "3 keys accepted" in ended.err
    assert "gone: " in ended.err


# ------------------------------------------------------------------------------------------------------- drain


def test_drain_where_no_run_goes_on_is_3_and_says_what_keeps_a_host_out_of_the_next(batchwasm: Cli) -> None:
    assert "'exclude' of a job" in batchwasm("hosts", "drain", "lab01", code=3).err
    assert "has an empty name" in batchwasm("hosts", "undrain", "", code=2).err


# ------------------------------------------------------------------------------------------------------- clean


def test_clean_removes_what_a_run_left_on_the_hosts(batchwasm: Cli, pool: list[Sshd]) -> None:
    batchwasm("init", "--language", "wat")
    batchwasm("run", "jobs.toml")
    used = [server for server in pool if server.workdir.exists()]
    assert used
    rows = batchwasm("hosts", "clean", "--json").rows
    assert [row["state"] for row in rows] == ["cleaned"] * 3
    assert sum(row["freed_bytes"] for row in rows) > 1_000_000
    assert [server.name for server in pool if server.workdir.exists()] == []


def test_clean_of_a_host_that_does_not_answer_is_3(batchwasm: Cli) -> None:
    (batchwasm.folder / "inventory.toml").write_text(NO_SUCH)
    shown = batchwasm("hosts", "clean", code=3).out
    assert shown.splitlines()[1].startswith("gone\tbad\t\t\tgone: no-such-host")
