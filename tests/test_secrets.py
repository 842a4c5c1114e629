"""Secrets of whole runs: the guest has them, and nobody else, here or on the hosts, while it runs or after."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.command import Cli
from tests.sshd import Sshd, inventory_of

TELLS_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    const char *token = getenv("TOKEN");
    FILE *out = fopen("out.txt", "w");
    fprintf(out, "%s", token);
    fclose(out);
    printf("%zu\n", strlen(token));
    for (int i = 0; i < 9000; i++) printf("%d: %s\n", i, token);
    fflush(stdout);
    fprintf(stderr, "can't log in with %s\n", token);
    fclose(fopen("started", "w"));
    while (access("go", F_OK)) usleep(10000);
    return 3;
}
"""
JOBS = """
[jobs.tells]
source = "tells.c"
secret = ["TOKEN"]
outputs = ["out.txt"]
"""


@pytest.fixture
def token() -> str:
    return "grüße-" + secrets.token_hex(8)


@pytest.fixture
def folder(batchwasm: Cli) -> Path:
    (batchwasm.folder / "tells.c").write_text(TELLS_C)
    (batchwasm.folder / "jobs.toml").write_text(JOBS)
    return batchwasm.folder


def test_a_secret_is_nowhere_but_in_the_guest_and_in_what_it_leaves(
    batchwasm: Cli, folder: Path, home: Path, token: str
) -> None:
    said = told_by(batchwasm, home / ".cache/batchwasm", token)
    assert "*** " not in said
    (row,) = batchwasm("results", "--json").rows
    lines = Path(row["stdout_path"]).read_text().splitlines()
    assert lines == [str(len(token.encode())), *(f"{n}: ***" for n in range(9000))]
    assert row["stderr"] == "can't log in with ***\n"
    assert row["reason"]["text"] == "exited with code 3: can't log in with ***"
    output = folder / "batchwasm-runs/jobs-1/tasks/tells/0/out/out.txt"
    assert output.read_text() == token
    assert holding(folder, token) + holding(home, token) == [output]
    for command in (["status"], ["results"], ["logs", "tells"], ["explain", "tells"], ["results", "--usage"]):
        assert token not in str(batchwasm(*command))
    (job,) = json.loads((folder / "batchwasm-runs/jobs-1/manifest.json").read_text())["jobs"]
    assert (job["secret"], job["deterministic"]) == (["TOKEN"], False)


def test_nor_is_it_on_a_host_over_ssh(batchwasm: Cli, folder: Path, ssh_pool: list[Sshd], token: str) -> None:
    (folder / "inventory.toml").write_text(inventory_of(ssh_pool[:1]))
    told_by(batchwasm, ssh_pool[0].cache / "batchwasm", token)
    (row,) = batchwasm("results", "--json").rows
    assert (row["host"], row["stderr"]) == ("sshd-a", "can't log in with ***\n")
    assert holding(ssh_pool[0].cache, token) == []
    assert token.encode() not in ssh_pool[0].log.encode()


def test_one_that_is_not_set_is_told_before_anything_starts(batchwasm: Cli, folder: Path, token: str) -> None:
    (folder / "jobs.toml").write_text(JOBS.replace('"TOKEN"', '"TOKEN", "NO_KEY", "NO_PIN"'))
    for command in (["run", "jobs.toml"], ["run", "jobs.toml", "--dry-run"]):
        ended = batchwasm(*command, env={"TOKEN": token}, code=2)
        assert "jobs.tells.secret[1]: NO_KEY is not set in this environment" in ended.err
        assert "jobs.tells.secret[2]: NO_PIN is not set in this environment" in ended.err
        assert token not in str(ended)
    assert not (folder / "batchwasm-runs").exists()


def test_a_run_that_is_resumed_wants_it_again_and_redacts_what_was_printed_before(
    batchwasm: Cli, folder: Path, home: Path, token: str
) -> None:
    workdir = home / ".cache/batchwasm"
    process = batchwasm.start("run", "jobs.toml", env={"TOKEN": token})
    (started,) = until(lambda: list(workdir.glob("scratch/*/*/box/started")), process.poll)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    ended = batchwasm("resume", code=2)
    assert "jobs.tells.secret[0]: TOKEN is not set in this environment" in ended.err
    (started.parent / "go").touch()
    batchwasm("resume", env={"TOKEN": "another one"}, code=1)
    (row,) = batchwasm("results", "--json").rows
    assert (row["attempts"], row["stderr"]) == (1, "can't log in with ***\n")
    assert holding(folder / "batchwasm-runs", token) == [folder / "batchwasm-runs/jobs-1/tasks/tells/0/out/out.txt"]
    assert holding(home, token) == []


def test_a_run_in_the_background_has_it_and_who_follows_a_task_does_not_see_it(
    batchwasm: Cli, folder: Path, home: Path, token: str
) -> None:
    batchwasm("run", "jobs.toml", "--detach", env={"TOKEN": token})
    (started,) = until(lambda: list((home / ".cache/batchwasm").glob("scratch/*/*/box/started")), lambda: None)
    follower = batchwasm.start("logs", "tells", "-f")
    assert follower.stdout is not None
    first = [follower.stdout.readline() for _ in range(1000)]
    assert holding(folder / "batchwasm-runs", token) == []
    (started.parent / "go").touch()
    lines = b"".join([*first, follower.stdout.read()]).decode().splitlines()
    follower.communicate()
    batchwasm("wait", code=1)
    assert lines == [str(len(token.encode())), *(f"{n}: ***" for n in range(9000))]


def test_a_plan_names_them_and_a_value_too_short_to_redact_is_a_warning(batchwasm: Cli, folder: Path) -> None:
    assert "TOKEN of this machine's environment" in batchwasm("run", "jobs.toml", "--dry-run", env={"TOKEN": "abc"}).out
    (folder / "tells.c").write_text('#include <stdio.h>\nint main(void) { puts("abc"); return 0; }\n')
    (folder / "jobs.toml").write_text(JOBS.replace('"out.txt"', '"out.txt?"'))
    ended = batchwasm("run", "jobs.toml", env={"TOKEN": "abc"})
    assert "warning: the value of TOKEN is shorter than 4 bytes" in ended.err
    assert batchwasm("results", "--json").rows[0]["stdout"] == "abc\n"


def told_by(batchwasm: Cli, workdir: Path, token: str) -> str:
    """What the run said. While its guest runs, its scheduler is the only process that knows the value."""
    telling = ("--events", "events.jsonl", "--notify", "env > env.$BATCHWASM_EVENT")
    process = batchwasm.start("run", *telling, "jobs.toml", env={"TOKEN": token})
    (started,) = until(lambda: list(workdir.glob("scratch/*/*/box/started")), process.poll)
    known = {pid: text for pid, text in processes() if token.encode() in text}
    runners = [pid for pid, text in processes() if b"batchwasm_runner" in text and str(workdir).encode() in text]
    (started.parent / "go").touch()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1, err.decode()
    assert known.keys() == {process.pid}
    assert runners
    said = (out + err).decode()
    assert token not in said
    assert b'"stderr":"can\'t log in with ***' in (batchwasm.folder / "events.jsonl").read_bytes()
    for name in ("events.jsonl", "env.failure", "env.finished"):
        assert token.encode() not in (batchwasm.folder / name).read_bytes()
    return said


def until(look: Callable[[], list[Path]], ended: Callable[[], object]) -> list[Path]:
    """What another process makes."""
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert ended() is None
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
    return found


def processes() -> Iterator[tuple[int, bytes]]:
    """The command line and environment of each process that we may look at."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            yield int(name), b"".join(Path("/proc", name, what).read_bytes() for what in ("cmdline", "environ"))


def holding(folder: Path, value: str) -> list[Path]:
    """The files that have it in them."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if value.encode() in path.read_bytes()]
