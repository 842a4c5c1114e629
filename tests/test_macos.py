"""macOS as far as it can be tried without a Mac: a stand-in (macs.py) as a host, and as a user's own machine."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from batchwasm.carried import HostPython
from batchwasm.core.events import BatchPlaced
from batchwasm.engine.deploy import runner_command
from batchwasm.engine.install_key import _script
from batchwasm.engine.python import _unpacking, with_python
from batchwasm.model import Outcome
from batchwasm.transports.announced import announced, killing
from batchwasm.transports.login_shell import portable
from tests.cli.terminal import on_a_terminal
from tests.command import ROOT, Cli
from tests.guests import COPY_C, LOOP_WAT, WORK_C
from tests.macs import BOOT, MACHINE, MEMORY_BYTES, Mac, missing
from tests.runner.supervised import SLEEP, SPIN, SupervisedHost, eventually, supervised_host
from tests.sshd import Sshd
from tests.test_run_ssh import SQUARES, _ran_on, _ready, events_of
from tests.test_trees import all_ends_are_told

ADD_C = "int add(int a, int b) { return a + b; }\n"
VALUES_AND_FILES = """
[jobs.add]
source = "add.c"
function = "add"
args = ["{n}", 1]
sweep = { n = { range = [0, 40] } }

[jobs.copy]
source = "copy.c"
args = ["in/ünïcode ☃", "copy ☃"]
inputs = ["in/*"]
outputs = ["copy ☃"]
"""


def test_the_stand_in_lacks_what_a_mac_lacks_and_no_more(mac: Mac) -> None:
    lacking = missing()
    assert {"memfd_create", "sched_getaffinity", "pidfd_open", "O_TMPFILE"} <= set(lacking["os"])
    assert ("epoll" in lacking["select"], "prlimit" in lacking["resource"]) == (True, True)
    assert not {"O_NOFOLLOW", "getloadavg", "fork", "pread"} & set(lacking["os"])
    tell = (
        "import os, select, socket, sys, platform, resource\n"
        "print(sys.platform, platform.system(), os.uname().sysname, os.path.exists('/proc/self'))\n"
        "print([hasattr(*one) for one in ((os, 'memfd_create'), (select, 'epoll'), (socket, 'SO_PEERCRED'))])\n"
        "for act in (lambda: open('/proc/stat'), lambda: resource.setrlimit(resource.RLIMIT_DATA, (9, 9))):\n"
        "    try: act()\n"
        "    except (OSError, ValueError) as error: print(type(error).__name__)\n"
    )
    done = subprocess.run([mac.python, "-I", "-c", tell], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "darwin Darwin Darwin False",
        "[False, False, False]",
        "FileNotFoundError",
        "ValueError",
    ]


def test_check_says_what_its_kernel_does_not_limit(batchwasm: Cli, mac_host: Sshd) -> None:
    [row] = batchwasm("hosts", "check", "--hosts", "mac", "--json").rows
    _, shown = on_a_terminal("-m", "batchwasm", "hosts", "check", "--hosts", "mac", cwd=batchwasm.folder, columns=80)
    assert "mac: guards that its system does not have: sealed_output, " in shown
    facts = row["facts"]
    assert (row["good"], facts["os"], facts["machine"], facts["libc"]) == (True, "darwin", MACHINE, "")
    of_root = {"read_only_inputs"} if os.geteuid() == 0 else set()
    without = {name for name, held in row["guards"].items() if not held}
    assert without == {"sealed_output", "memory_backstop", "oom_order", "end_with_runner"} | of_root


def test_every_way_a_task_can_end_is_told_there(batchwasm: Cli, mac_host: Sshd) -> None:
    all_ends_are_told(batchwasm, "mac")


def test_values_and_files_come_back_the_same(batchwasm: Cli, mac_host: Sshd) -> None:
    folder = batchwasm.folder
    content = os.urandom(3_000_001)  # more than travels in a report
    (folder / "in").mkdir()
    (folder / "in/ünïcode ☃").write_bytes(content)
    (folder / "add.c").write_text(ADD_C)
    (folder / "copy.c").write_text(COPY_C)
    (folder / "jobs.toml").write_text(VALUES_AND_FILES)
    batchwasm("run", "jobs.toml", "--hosts", "mac", "--quiet")
    rows = batchwasm("results", "--json", "--files", "back").rows
    assert {row["host"] for row in rows} == {"mac"}
    assert [row["value"] for row in rows if row["job"] == "add"] == list(range(1, 41))
    [copy] = (folder / "back").rglob("copy ☃")
    assert copy.read_bytes() == content


def test_a_guest_that_would_never_end_is_cancelled(batchwasm: Cli, mac_host: Sshd) -> None:
    """That nothing is left there is seen to by the fixture."""
    (batchwasm.folder / "loop.wat").write_text(LOOP_WAT)
    process = batchwasm.start("run", "loop.wat", "--hosts", "mac")
    journal = batchwasm.folder / "batchwasm-runs/loop-1/journal.db"
    eventually(lambda: _ready(journal) and events_of(journal.parent, BatchPlaced), "its batch is there")
    batchwasm("cancel", "--all")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 4, err.decode()
    assert [row["outcome"] for row in batchwasm("results", "--json").rows] == ["cancelled"]


def test_killing_it_with_all_that_runs_there_loses_no_task(batchwasm: Cli, mac_host: Sshd) -> None:
    folder = batchwasm.folder
    (folder / "work.c").write_text(WORK_C)
    (folder / "inventory.toml").write_text("[hosts.mac]\n")
    (folder / "jobs.toml").write_text(SQUARES % (100, 40))
    process = batchwasm.start("run", "jobs.toml", "--json")
    journal = folder / "batchwasm-runs/jobs-1/journal.db"
    eventually(lambda: _ran_on(journal, "mac"), "a task ends there")
    mac_host.kill()
    (folder / "inventory.toml").write_text('[hosts.mac]\n[hosts.here]\ntransport = "local"\n')
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    assert [row["stdout"] for row in batchwasm("results", "--json").rows] == [f"{n * n}\n" for n in range(40)]


SHELLS = {
    *("if", "then", "else", "fi", "for", "do", "done", "case", "esac", "command", "continue", "echo", "printf", "exit"),
    *("exec", "umask", "cd", "true", "f", "q", "v", "r", "d"),
}
"""Keywords, builtins and our variables."""
ON_A_MAC = {
    "mkdir": "p",
    "head": "c",
    "tail": "c",
    "rm": "rf",
    "chmod": "",
    "touch": "",
    "uname": "sm",
    "grep": "qxF",
    "env": "",
    "kill": "KILL",
    "restorecon": "F",
    "xcode-select": "p",
}
"""Programs of macOS' /bin and /usr/bin, and options that their manuals have; restorecon is asked for first."""


def scripts() -> list[str]:
    """What is sent to a host for its /bin/sh."""
    there = cast(Any, SimpleNamespace(workdir="/w", executable="/usr/bin/python3"))
    return [
        with_python(None, "print(6 * 7)"),
        _unpacking('"$HOME"/x', HostPython(path=Path("x"), digest="d", size=3)),
        _script("ssh-ed25519 AAAA"),
        runner_command(there, "digest", "relay"),
        announced("true"),
        killing(300),
    ]


@pytest.mark.parametrize("script", scripts())
def test_scripts_for_hosts_ask_for_nothing_that_a_mac_has_not(script: str) -> None:
    script = re.sub('-c "[^"]*"', "", script)
    beginning = r"(?:^|[;&|{(]|\b(?:then|do|if|else|exec)\s)\s*"
    found = re.findall(beginning + r"([a-z][\w-]*)((?:\s+-\w+)*)", script)
    assert found
    for program, options in found:
        assert program in ON_A_MAC.keys() | SHELLS
        if program in ON_A_MAC:
            assert set(re.sub(r"-\d+|[\s-]", "", options)) <= set(ON_A_MAC[program])


def test_bash_as_sh_finds_a_python() -> None:
    """Macs have bash 3.2 under that name."""
    command = shlex.split(portable(with_python(sys.executable, "print(6 * 7)")).removeprefix("exec /bin/sh"))
    done = subprocess.run(["bash", "--posix", *command], capture_output=True, text=True, check=True)
    assert done.stdout == "42\n"


@pytest.fixture
def supervised(tmp_path: Path, mac: Mac) -> Iterator[SupervisedHost]:
    """The runner alone, under the Python of a Mac."""
    for host in supervised_host(tmp_path):
        host.python, host.path = str(mac.python), str(mac.bin)
        (host.library / "wasmtime").unlink()
        (host.library / "wasmtime").symlink_to(mac.wasmtime)
        yield host


def test_no_worker_outlives_a_supervisor_that_is_killed(supervised: SupervisedHost) -> None:
    """Its kernel would let them go on for ever: they look themselves."""
    scheduler = supervised.attach()
    scheduler.start(1, SPIN)
    eventually(lambda: scheduler.beat().running, "a guest that runs")
    os.kill(supervised.supervisors()[0], signal.SIGKILL)
    assert scheduler.read() is None
    eventually(lambda: not supervised.workers() and not supervised.supervisors(), "all ends")
    supervised.attach(incarnation=2)  # removes what is left


def test_what_sysctl_alone_tells_is_known(supervised: SupervisedHost) -> None:
    attached = supervised.attach().attached
    assert (attached.boot, attached.memory_bytes) == (BOOT, MEMORY_BYTES)


def test_a_guest_that_sleeps_over_its_time_keeps_its_stdout(supervised: SupervisedHost) -> None:
    scheduler = supervised.attach()
    scheduler.start(1, SLEEP, [7, 8], time_s=0.1)
    rows, returned = scheduler.collect(2)
    assert (rows[1, 7].outcome, rows[1, 7].stdout) == (Outcome.TIMED_OUT, b"hello\n")
    assert set(returned) == {(1, 8)}


def test_paths_are_as_short_as_they_must_be_there(mac: Mac) -> None:
    """A guest's that is longer is a limit passed, a host's is that host's fault: neither is trouble with the disk."""
    modules = "from batchwasm import results; from batchwasm.runner import box"
    tell = f"{modules}; print(results.PATH_LIMIT_BYTES, box.MAX_PATH_BYTES)"
    command = [mac.python, "-c", tell]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert done.stdout == "1023 768\n"


def test_a_users_own_mac_runs_tasks_itself(mac: Mac, tmp_path: Path) -> None:
    """Compiled, run and read there, with the runner on the same machine."""
    batchwasm = mac.batchwasm(tmp_path)
    (tmp_path / "add.c").write_text(ADD_C)
    assert batchwasm("call", "add.c:add", "20", "22").out == "42\n"
