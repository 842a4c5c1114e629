"""The dashboard in a terminal as people have it (tmux), over real hosts: keys are pressed, the screen is read."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm import api
from batchwasm.tui import wishes
from tests.command import ROOT, Cli
from tests.gated import until
from tests.guests import NAP_WAT
from tests.sshd import Sshd, inventory_of

PATIENCE_S = 90.0


class Tmux:
    """One terminal of 110 x 34 with a shell in it, on a server of its own."""

    def __init__(self, folder: Path, socket: Path) -> None:
        self._command = ("tmux", "-f", "/dev/null", "-S", str(socket))
        # The size in the environment, which Textual believes, is that of who runs the tests.
        self._env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "TMUX")}
        self._do("new-session", "-d", "-x", "110", "-y", "34", "-c", str(folder), "sh")

    def _do(self, *args: str) -> str:
        done = subprocess.run(
            [*self._command, *args], capture_output=True, text=True, check=True, timeout=60, env=self._env
        )
        return done.stdout

    def type(self, line: str) -> None:
        self._do("send-keys", "-l", line)
        self.press("Enter")

    def press(self, *keys: str) -> None:
        self._do("send-keys", *keys)

    @property
    def screen(self) -> str:
        return self._do("capture-pane", "-p")

    def until(self, *texts: str) -> str:
        """The screen, once all of these stand on it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            said = self.screen
            if all(text in said for text in texts):
                return said
            assert time.monotonic() < deadline, f"{texts} do not come:\n{said}"
            time.sleep(0.1)  # polling for a program of others, which tells nobody when it has drawn

    def end(self) -> None:
        self._do("kill-server")


@pytest.fixture
def tmux(batchwasm: Cli, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        if os.environ.get("CI", "").lower() in ("true", "1"):
            pytest.fail("no tmux: apt-get install tmux")
        pytest.skip("no tmux here: install tmux")
    terminal = Tmux(batchwasm.folder, tmp_path_factory.mktemp("tmux") / "socket")
    yield terminal
    terminal.end()
    for folder, _ in api.going_on(batchwasm.folder):
        wishes.stop(folder)
        until(folder.path, lambda journal: journal.last() in ("RunFinished", "RunStopped"))


def test_a_person_follows_a_run_on_the_lab_and_acts_on_it(batchwasm: Cli, ssh_pool: list[Sshd], tmux: Tmux) -> None:
    (batchwasm.folder / "nap.wat").write_text(NAP_WAT)
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(ssh_pool, "cpus = 1"))
    (batchwasm.folder / "jobs.toml").write_text(
        'name = "lab"\n[jobs.nap]\nsource = "nap.wat"\nargs = ["{n}"]\nmemory = "4MiB"\n'
        "sweep = { n = { range = [0, 100000] } }\n"
    )
    program = shlex.join([sys.executable, "-m", "batchwasm"])
    tmux.type(f"PYTHONPATH={shlex.quote(str(ROOT))} {program} run --tui jobs.toml; echo code=$?")
    said = tmux.until("lab-1", "▶ running", "1 job", "3 hosts", "sshd-a", "sshd-b", "sshd-c", "● ready", "/s")
    assert "nap" in said
    tmux.press("p")
    tmux.until("‖ paused", "paused: nothing new is started")
    tmux.press("p")
    tmux.until("goes on; it was paused")
    tmux.press("Tab", "Down", "d")
    tmux.until("sshd-b takes no new tasks", "▽ drained")
    [folder] = [folder for folder, _ in api.going_on(batchwasm.folder)]
    assert {host.name: host.state for host in api.status(folder).hosts}["sshd-b"] == "drained"
    tmux.press("/", "s", "h", "d", "-", "c", "Enter")
    tmux.until("1 of 3 hosts", "▌ sshd-c")
    tmux.press("Enter")
    tmux.until("host sshd-c", "by ssh, heard")
    tmux.press("Escape")
    tmux.until("1 job", "1 of 3 hosts")
    tmux.press("?")
    tmux.until("Cancel all", "Esc closes")
    tmux.press("q")
    tmux.until("1 job")
    tmux.press("C-c")
    tmux.until("lab-1 goes on. Left,")
    tmux.press("l")
    tmux.until("run lab-1 goes on in the background", "batchwasm tui -r lab-1", "code=0")
    tmux.type(f"PYTHONPATH={shlex.quote(str(ROOT))} {program} tui")
    tmux.until("▶ running", "▽ drained")
    tmux.press("C-z")
    tmux.until("Stopped")
    tmux.type("fg; echo ended=$?")
    tmux.until("▶ running", "▽ drained")
    tmux.press("C")
    tmux.until("Cancel all of the run?")
    tmux.press("y")
    tmux.until("■ finished", "cancelled")
    tmux.press("q")
    tmux.until("ended=0")
    assert api.ran(folder).exit_code == 4
