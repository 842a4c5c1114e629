"""The dashboard on a terminal of its own: what it writes there when nothing happens, and what becomes of the run."""

from __future__ import annotations

import signal

import pytest

from batchwasm import api
from batchwasm.results import RunFolder
from tests.command import Cli
from tests.gated import until
from tests.tui.conftest import Live
from tests.tui.on_a_pty import Screen

IDLE_S = 4.0  # several looks, and several ticks of a clock
PACE_BYTES = 300  # now and then, until its sparkline is empty
CLOCK_BYTES = 90  # a second: where to write, colours, a digit or two


def test_a_finished_run_costs_a_slow_line_nothing(finished: RunFolder) -> None:
    with Screen("tui", "-r", str(finished.path), cwd=finished.path) as terminal:
        terminal.until("finished")
        terminal.until_quiet()
        assert terminal.within(IDLE_S) == b""
        terminal.type("q")
        assert terminal.end() == 0


def test_a_run_that_idles_costs_a_slow_line_no_more_than_a_clock(live: Live) -> None:
    with Screen("tui", "-r", str(live.folder.path), cwd=live.cli.folder) as terminal:
        terminal.until("running")
        api.pause(live.folder)
        terminal.until("paused by")
        terminal.type("z")  # the jobs alone: what others do to this machine shows on its host
        terminal.within(2.0)
        written = terminal.within(IDLE_S)
        assert 0 < len(written) < IDLE_S * CLOCK_BYTES + PACE_BYTES, written
        terminal.type("q")
        terminal.until("goes on. Left,")
        terminal.type("l")
        assert terminal.end() == 0
    assert f"run {live.folder.name} goes on in the background; from any terminal:" in terminal.said
    assert "batchwasm tui -r live-1" in terminal.said
    assert "\x1b[?1049l" in terminal.written.decode()  # the shell's screen is back


@pytest.mark.parametrize("env", [{"TERM": "xterm"}, {"TERM": "xterm-256color", "NO_COLOR": "1"}])
def test_it_works_where_there_are_few_colours_or_none(finished: RunFolder, env: dict[str, str]) -> None:
    env = {"COLORTERM": "", **env}
    with Screen("tui", "-r", str(finished.path), cwd=finished.path, env=env) as terminal:
        terminal.until("R retries what failed")
        terminal.type("q")
        assert terminal.end() == 0
    assert b"38;2;" not in terminal.written


def start(cli: Cli, *args: str) -> Screen:
    return Screen("run", "--tui", *args, cwd=cli.folder)


def newest(cli: Cli) -> RunFolder:
    return api.find(None, cli.folder)


@pytest.fixture
def gated(batchwasm: Cli) -> Cli:
    from tests.gated import Gate, gated_jobs

    Gate.beside(batchwasm)
    gated_jobs(batchwasm, 1)
    return batchwasm


def is_running(folder: RunFolder) -> None:
    until(folder.path, lambda journal: journal.state().jobs[0].running > 0)


def test_run_with_a_dashboard_ends_with_the_exit_code_of_the_run(gated: Cli) -> None:
    with start(gated, "jobs.toml") as terminal:
        terminal.until("running")
        is_running(newest(gated))
        (gated.folder / "gate/fail.1").touch()
        (gated.folder / "gate/1.1").touch()
        terminal.until("finished")
        terminal.type("q")
        assert terminal.end() == 1
    assert "jobs-1: 1 failed of 1" in terminal.said


def test_a_run_that_is_stopped_on_its_dashboard_can_be_resumed(gated: Cli) -> None:
    with start(gated, "jobs.toml") as terminal:
        terminal.until("running")
        is_running(newest(gated))
        terminal.type("\x03")
        terminal.until("goes on. Left,")
        terminal.type("s")
        assert terminal.end() == 130
    assert "'batchwasm resume jobs-1'" in terminal.said or "resume" in terminal.said
    (gated.folder / "gate/1.1").touch()
    (gated.folder / "gate/2.1").touch()
    gated("resume", "-q")


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGKILL, None], ids=["hup", "kill", "closed"])
def test_the_run_outlives_its_dashboard(gated: Cli, how: signal.Signals | None) -> None:
    with start(gated, "jobs.toml") as terminal:
        terminal.until("running")
        folder = newest(gated)
        is_running(folder)
        if how is None:
            terminal.close()
        else:
            terminal.process.send_signal(how)
        terminal.process.wait(60)
    assert api.status(folder).state == "running"
    (gated.folder / "gate/1.1").touch()
    gated("wait")


def test_a_retry_in_a_run_that_goes_on_shows_that_run(live: Live) -> None:
    with Screen("retry", "--tui", "-r", str(live.folder.path), cwd=live.cli.folder) as terminal:
        terminal.until("running")
        terminal.type("q")
        terminal.until("goes on. Left,")
        terminal.type("l")
        assert terminal.end() == 0
    assert "batchwasm tui -r live-1" in terminal.said


def test_what_is_wrong_before_the_run_begins_is_told_in_the_terminal(batchwasm: Cli) -> None:
    with start(batchwasm, "nope.toml") as terminal:
        assert terminal.end() == 2
    assert "nope.toml: there is no such file" in terminal.said
    assert "\x1b[?1049h" not in terminal.written.decode()


def test_a_source_that_does_not_compile_is_told_on_the_dashboard_and_after_it(batchwasm: Cli) -> None:
    (batchwasm.folder / "bad.c").write_text("int main( {")
    with start(batchwasm, "bad.c") as terminal:
        terminal.until("bad.c:1:11: error")
        terminal.until("stopped")
        before = len(terminal.said)
        terminal.type("q")
        assert terminal.end() == 2
    assert "bad.c:1:11: error" in terminal.said[before:]


def test_without_a_terminal_it_says_what_to_use(batchwasm: Cli, finished: RunFolder) -> None:
    assert "'batchwasm status'" in batchwasm("tui", "-r", finished.path, code=2).err
    assert "'batchwasm status'" in batchwasm("run", "--tui", "jobs.toml", code=2).err


@pytest.mark.parametrize("option", ["--json", "--detach", "--dry-run", "--simulate", "--print-toml"])
def test_what_does_not_go_with_a_dashboard_is_refused(batchwasm: Cli, option: str) -> None:
    assert f"--tui with {option}" in batchwasm("run", "--tui", option, "jobs.toml", code=2).err


def test_a_run_that_cannot_be_read_is_told_in_the_terminal(batchwasm: Cli) -> None:
    with Screen("tui", "-r", "nope", cwd=batchwasm.folder) as terminal:
        assert terminal.end() == 2
    assert "there is no run named 'nope'" in terminal.said
