"""Runs on other systems than this one: Debian 11 with Python 3.9, Debian 13 with Python 3.13, each by its own sshd."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import on_a_terminal
from tests.command import Cli
from tests.guests import COPY_C, HELLO_WAT, WORK_C
from tests.sshd import Sshd, inventory_of, new_key
from tests.test_outcomes import MEMORY, MODES_C
from tests.test_run_ssh import SQUARES
from tests.trees import AARCH64, PASSWORD, SYSTEMS, USER, Debian

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may start another system"),
]

COPIES = """
[jobs.on-%s]
source = "copy.c"
labels = ["%s"]
args = ["in/{name}", "copy of {name}"]
inputs = ["in/{name}"]
outputs = ["copy of {name}"]
sweep = { name = %s }
"""
SIZES = {"empty file": 0, "ünïcode ☃": 1000, "large.bin": 3_000_001}
ENDS = """
[jobs.modes]
source = "modes.c"
args = ["{mode}"]
memory = "8MiB"
time_limit = "60s"
stdout_limit = "1MiB"
disk = "2MiB"
files = 100
[jobs.modes.sweep]
mode = ["exit", "unreachable", "out_of_bounds", "division_by_zero", "stack", "stdout", "file", "files", "fine"]

[jobs.endless]
source = "modes.c"
args = ["loop"]
time_limit = "1s"

[jobs.memory]
source = "memory.c"
args = ["{mode}"]
memory = "24MiB"
time_limit = "60s"
sweep = { mode = ["steps", "huge", "cope"] }
"""
FLOATS_C = r"""
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    double x = atof(argv[1]) + 0.1;
    for (int i = 0; i < 100000; i++) x = fabs(sin(x) * 1e3) + sqrt(x) / 3 + pow(x, 0.3);
    printf("%a\n", x);
    return 0;
}
"""
BOTH = """
[jobs.floats]
source = "floats.c"
args = ["{n}"]
verify = 2
sweep = { n = { range = [0, 20] } }
"""


@pytest.fixture
def folder(batchwasm: Cli, tree_pool: list[Sshd]) -> Path:
    """Where runs start: an inventory of both systems and this machine, beside the sources."""
    here = '[hosts.here]\ntransport = "local"\n'
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(tree_pool) + here)
    for name, text in (("work.c", WORK_C), ("copy.c", COPY_C)):
        (batchwasm.folder / name).write_text(text)
    return batchwasm.folder


def test_check_finds_nothing_wrong_and_tells_their_systems_apart(batchwasm: Cli, folder: Path) -> None:
    rows = {row["host"]: row for row in batchwasm("hosts", "check", "--json").rows}
    for debian in SYSTEMS:
        row = rows[debian.name]
        assert (row["good"], row["warnings"]) == (True, []), row
        assert row["facts"]["hostname"] == debian.name
        assert row["facts"]["python"].startswith(f"{debian.python}.")
        assert row["facts"]["libc"] == f"glibc {debian.glibc}"


def test_both_take_part_beside_this_machine_and_every_byte_is_right(batchwasm: Cli, folder: Path) -> None:
    (folder / "jobs.toml").write_text(SQUARES % (200, 120))
    run = batchwasm("run", "jobs.toml", "--json").json
    assert run["tasks"] == {"total": 120, "succeeded": 120, "failed": 0, "cancelled": 0, "skipped": 0}
    rows = batchwasm("results", "--json").rows
    assert [row["stdout"] for row in rows] == [f"{n * n}\n" for n in range(120)]
    assert {row["host"] for row in rows} == {"bullseye", "trixie", "here"}


def test_files_go_to_both_and_back_unchanged(batchwasm: Cli, folder: Path) -> None:
    """Empty, small, and larger than travels in a report; names with spaces and unicode."""
    names = {f"{kind} {n}": size + n for n in range(4) for kind, size in SIZES.items()}
    content = {name: hashlib.shake_128(name.encode()).digest(size) for name, size in names.items()}
    (folder / "in").mkdir()
    for name, data in content.items():
        (folder / "in" / name).write_bytes(data)
    on = [debian.name for debian in SYSTEMS]
    (folder / "inventory.toml").write_text("".join(f'[hosts.{host}]\nlabels = ["{host}"]\n' for host in on))
    wanted = json.dumps(list(names), ensure_ascii=False)
    (folder / "jobs.toml").write_text("".join(COPIES % (host, host, wanted) for host in on))
    batchwasm("run", "jobs.toml", "--quiet")
    rows = batchwasm("results", "--json").rows
    batchwasm("results", "--files", "back")
    assert {(row["job"], row["host"]) for row in rows} == {(f"on-{host}", host) for host in on}
    for host in on:
        copies = folder.glob(f"back/**/on-{host}/**/copy of *")
        assert {path.name.removeprefix("copy of "): path.read_bytes() for path in copies} == content


@pytest.mark.parametrize("debian", SYSTEMS, ids=lambda debian: debian.name)
def test_every_way_a_task_can_end_is_told_there(batchwasm: Cli, folder: Path, debian: Debian) -> None:
    all_ends_are_told(batchwasm, debian.name)


def all_ends_are_told(batchwasm: Cli, host: str) -> None:
    folder = batchwasm.folder
    (folder / "inventory.toml").write_text(f"[hosts.{host}]\n")
    (folder / "modes.c").write_text(MODES_C)
    (folder / "memory.c").write_text(MEMORY["c"])
    (folder / "jobs.toml").write_text(ENDS)
    batchwasm("run", "jobs.toml", "--quiet", code=1)
    rows = batchwasm("results", "--json").rows
    assert {row["host"] for row in rows} == {host}
    assert {f"{row['job']}/{row['params'].get('mode', '')}": (row["outcome"], _code(row)) for row in rows} == {
        "modes/exit": ("failed", "exit_code"),
        "modes/unreachable": ("trapped", "unreachable"),
        "modes/out_of_bounds": ("trapped", "out_of_bounds"),
        "modes/division_by_zero": ("trapped", "division_by_zero"),
        "modes/stack": ("trapped", "stack"),
        "modes/stdout": ("limit_exceeded", "stdout"),
        "modes/file": ("limit_exceeded", "disk"),
        "modes/files": ("limit_exceeded", "files"),
        "modes/fine": ("succeeded", ""),
        "endless/": ("timed_out", "time_limit"),
        "memory/steps": ("out_of_memory", "memory"),
        "memory/huge": ("out_of_memory", "memory"),
        "memory/cope": ("succeeded", ""),
    }


def _code(row: dict[str, Any]) -> str:
    return str((row["reason"] or {}).get("code", ""))


# ----------------------------------------------------------- an sshd as it comes, which counts the logins it refuses


def add(batchwasm: Cli, *passwords: str) -> tuple[int, str]:
    return on_a_terminal(
        *("-m", "batchwasm", "hosts", "add", f"{USER}@trixie", "-i", "inventory.toml"),
        cwd=batchwasm.folder,
        answers=[("Accept this key", "y\n"), *(("not kept): ", f"{password}\n") for password in passwords)],
    )


@pytest.mark.parametrize("wrong", [0, 1, 2])
def test_a_host_is_added_by_a_password_that_was_mistyped_before_sshd_lets_nobody_in(
    batchwasm: Cli, host_as_it_comes: Sshd, home: Path, wrong: int
) -> None:
    new_key(home / ".ssh/id_ed25519")
    code, shown = add(batchwasm, *["guess"] * wrong, PASSWORD)
    assert code == 0, shown
    assert host_as_it_comes.refused == 1
    assert host_as_it_comes.log.count("Failed password") == wrong
    assert "drop connection" not in host_as_it_comes.log
    assert batchwasm("hosts", "check", "--json").rows[0]["good"]


# The first refused login, that of `add`, is let pass; from the next on the door is shut until it is told to forget.
SHUT_LONG = ("PerSourcePenalties authfail:300s min:500s",)


@pytest.mark.parametrize("host_as_it_comes", [SHUT_LONG], indirect=True, ids=[""])
def test_an_sshd_that_lets_nobody_in_for_a_while_is_waited_for_by_a_run(
    batchwasm: Cli, host_as_it_comes: Sshd, home: Path
) -> None:
    new_key(home / ".ssh/id_ed25519")
    assert add(batchwasm, PASSWORD)[0] == 0
    same = f'[hosts."lab[1-6]"]\naddress = "trixie"\nuser = "{USER}"\n'
    (batchwasm.folder / "refused.toml").write_text(same)
    for name in ("id_ed25519", "id_ed25519.pub"):
        (home / ".ssh" / name).rename(home / name)
    new_key(home / ".ssh/id_ed25519")
    rows = batchwasm("hosts", "check", "-i", "refused.toml", "--json", code=3).rows
    for name in ("id_ed25519", "id_ed25519.pub"):
        (home / name).replace(home / ".ssh" / name)
    assert {row["error"]["code"] for row in rows} <= {"auth", "penalty"}
    refused = host_as_it_comes.refused
    for transport in ("ssh", "openssh", "paramiko"):
        (batchwasm.folder / "other.toml").write_text(f'[hosts.trixie]\nuser = "{USER}"\ntransport = "{transport}"\n')
        row = batchwasm("hosts", "check", "-i", "other.toml", "--json", code=3).rows[0]
        assert (row["error"]["code"], row["reached"], row["others"]) == ("penalty", True, [])
    (batchwasm.folder / "hello.wat").write_text(HELLO_WAT)
    dropped = host_as_it_comes.log.count("drop connection")
    told = "lets nobody in from this machine's address for now"
    with batchwasm.start("run", "hello.wat", "-i", "inventory.toml") as run:
        assert run.stderr is not None
        said = ""
        while told not in said and (line := run.stderr.readline()):
            said += line.decode()
        host_as_it_comes.forget()
        said += run.stderr.read().decode()
    assert run.returncode == 0, said
    assert host_as_it_comes.log.count("drop connection") - dropped <= 6  # two a try, and it is not tried all the time
    assert told in said
    assert "1 succeeded of 1" in said
    assert host_as_it_comes.refused == refused


def test_a_machine_of_another_kind_computes_the_same_bytes(batchwasm: Cli, aarch64_host: Sshd) -> None:
    """The wheel is that of the package index, the machine code that which wasmtime makes for it."""
    folder = batchwasm.folder
    (folder / "floats.c").write_text(FLOATS_C)
    (folder / "inventory.toml").write_text('[hosts.aarch64]\n[hosts.here]\ntransport = "local"\n')
    (folder / "jobs.toml").write_text(BOTH)
    batchwasm("run", "jobs.toml", "--quiet")
    rows = batchwasm("results", "--json").rows
    assert [row["outcome"] for row in rows] == ["succeeded"] * 20
    assert len({row["stdout"] for row in rows}) == 20  # each of them from both hosts, or it would be a mismatch


def test_every_way_a_task_can_end_is_told_on_another_machine(batchwasm: Cli, aarch64_host: Sshd) -> None:
    all_ends_are_told(batchwasm, AARCH64.name)
