"""The chaos run in its short form, and that it cleans up after itself; `make chaos` is the long one."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos import nets
from tests.sshd import _environments

ROOT = Path(__file__).parent.parent
IN_CI = os.environ.get("CI", "").lower() in ("true", "1")


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    """What it needs: root, and a kernel that lets it."""
    if why := nets.missing():
        if IN_CI:
            pytest.fail(why)
        pytest.skip(why)


def chaos(*options: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "tests.chaos", *map(str, options)]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_every_task_has_one_right_result_whatever_fails_meanwhile() -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(2**32))
    short = ("--tasks", 1500, "--kills", 3, "--gap", 0.4, 1.6, "--longest", 2, "--long-every", 100, "--limit", 240)
    with chaos("--seed", seed, *short) as process:
        out, err = process.communicate()
    assert process.returncode == 0, out + err
    assert "| tasks, each with one result, all of them right | 1500 |" in out


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_it_runs_on_when_it_is_ended(how: signal.Signals) -> None:
    with chaos("--tasks", 1500, "--kills", 1) as process:
        assert process.stderr is not None
        assert "4 hosts" in process.stderr.readline()
        [unshare] = nets.children(process.pid)
        root = nets.words_of(unshare)[-2].decode()
        assert len(of(root)) > 4 * 2, "an init and an sshd on each of the four"
        process.send_signal(how)
        process.communicate()
        deadline = time.monotonic() + 10
        while (left := of(root)) and time.monotonic() < deadline:
            time.sleep(0.01)  # the kernel ends them, and tells nobody when it has
        assert not left
        assert Path(root).exists() == (how == signal.SIGKILL), "nobody was left to remove it"
        shutil.rmtree(root, ignore_errors=True)


def of(root: str) -> list[int]:
    """Pids of what was started with that folder as its own."""
    return [pid for pid, environ in _environments() if f"HOME={root}/home".encode() in environ.split(b"\0")]
