"""What a run shows while it works."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from batchwasm.cli.progress import Counts, Pace, Plain, Progress, Terminal, make, tally
from batchwasm.model import Artifact
from tests.cli.terminal import on_a_terminal


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def artifact(*, cached: bool = False) -> Artifact:
    return Artifact(
        digest="0" * 64,
        path=Path("/x"),
        size_bytes=24 * 1024,
        language="rust",
        toolchain="rustc 1.63.0",
        cached=cached,
        wall_s=0.83,
    )


def done(number: int) -> Counts:
    return Counts(total=1_000_000, succeeded=number, running=1)


def test_rate_is_that_of_the_last_half_minute() -> None:
    pace = Pace()
    assert pace.rate(0) is None
    for second in range(101):
        pace.observe(float(second), done(second if second <= 50 else 50 + 10 * (second - 50)))
    assert pace.rate(100.0) == pytest.approx(10)


def test_rate_falls_while_nothing_ends_and_is_unknown_before_something_did() -> None:
    pace = Pace()
    pace.observe(0.0, done(0))
    assert pace.rate(5.0) is None
    pace.observe(10.0, done(20))
    assert pace.rate(10.0) == pytest.approx(2)
    assert pace.rate(20.0) == pytest.approx(1)


def test_rate_does_not_count_the_time_before_anything_ran() -> None:
    pace = Pace()
    for second in range(60):
        pace.observe(float(second), Counts(total=100))
    pace.observe(60.0, done(0))
    pace.observe(61.0, done(10))
    assert pace.rate(61.0) == pytest.approx(10)


def test_a_rate_told_ten_thousand_times_a_second_stays_small_and_right() -> None:
    pace = Pace()
    for n in range(100_000):
        pace.observe(n / 10_000, done(n))
    assert pace.rate(99_999 / 10_000) == pytest.approx(10_000)
    assert len(pace._seen) < 100


def test_plain_lines_tell_each_change_of_phase_once() -> None:
    stream = io.StringIO()
    plain = Plain(stream, clock=Clock())
    plain.compiling("pi", "rust")
    plain.compiled("pi", artifact())
    plain.compiled("mean", artifact(cached=True))
    for _ in range(2):
        plain.host("lab01", "connecting")
        plain.host("lab01", "shipping", "wasmtime, 12 MiB")
        plain.host("lab01", "shipping", "wasmtime, 12 MiB")
        plain.host("lab01", "ready")
    plain.host("lab02", "down", "no route to host; is it switched on?")
    plain.close()
    assert stream.getvalue().splitlines() == [
        "compiling pi (rust)",
        "compiled pi: 24 KiB, rustc 1.63.0, 0.83 s",
        "compiled mean: 24 KiB, rustc 1.63.0, unchanged, nothing to compile",
        *(["host lab01: shipping, wasmtime, 12 MiB", "host lab01: ready"] * 2),
        "host lab02: down, no route to host; is it switched on?",
    ]


def test_plain_lines_tell_of_many_files_that_are_shipped_only_now_and_then() -> None:
    clock, stream = Clock(), io.StringIO()
    plain = Plain(stream, clock=clock)
    for n in range(1000):
        clock.now = n / 125
        plain.host("lab01", "shipping", f"{n}.csv")
        plain.host("lab01", "ready")
    plain.close()
    assert stream.getvalue().splitlines() == [
        "host lab01: shipping, 0.csv",
        "host lab01: ready",
        "host lab01: shipping, 625.csv",
        "host lab01: ready",
    ]


def test_plain_lines_about_tasks_come_every_few_seconds_and_at_the_end() -> None:
    clock, stream = Clock(), io.StringIO()
    plain = Plain(stream, clock=clock)
    for n in range(1001):
        clock.now = n / 100
        plain.counts(Counts(total=1000, succeeded=n, running=min(16, 1000 - n)))
    plain.close()
    clock.now += 3
    plain.close()
    assert stream.getvalue().splitlines() == [
        "tasks: 0 of 1,000 done, 16 running",
        "tasks: 500 of 1,000 done, 16 running, 100/s, 5 s left",
        "tasks: 1,000 of 1,000 done, 100/s",
    ]


def test_plain_lines_are_not_repeated_while_nothing_happens() -> None:
    clock, stream = Clock(), io.StringIO()
    plain = Plain(stream, clock=clock)
    for n in range(121):
        clock.now = float(n)
        plain.counts(Counts(total=4, running=1))
    plain.close()
    assert stream.getvalue().splitlines() == ["tasks: 0 of 4 done, 1 running"] * 3


def test_a_host_that_is_left_to_others_is_told_when_it_is_and_when_it_is_free_again() -> None:
    stream = io.StringIO()
    plain = Plain(stream, clock=Clock())
    plain.host("lab01", "ready")
    plain.host("lab01", "busy", "load 0.93 of others over max_load 0.8")
    plain.host("lab01", "busy", "load 0.97 of others over max_load 0.8")
    plain.host("lab01", "ready")
    assert stream.getvalue().splitlines() == [
        "host lab01: ready",
        "host lab01: busy, load 0.93 of others over max_load 0.8",
        "host lab01: ready",
    ]


def test_no_time_is_told_that_is_left_while_nothing_runs() -> None:
    assert list(tally(Counts(total=4, succeeded=1), 0.5)) == ["1 of 4 done", "0 running", "0.5/s"]
    assert list(tally(Counts(total=4, succeeded=1, running=1), 0.5))[-1] == "6 s left"


def test_what_was_known_before_is_told_and_makes_no_rate() -> None:
    counts = Counts(total=9, succeeded=5, known=5, running=1)
    assert list(tally(counts, None)) == ["5 of 9 done", "5 known before", "1 running"]
    pace = Pace()
    pace.observe(0.0, Counts(total=9, running=1))
    pace.observe(5.0, counts)
    assert pace.rate(5.0) is None


def test_what_went_wrong_is_counted_by_kind() -> None:
    stream = io.StringIO()
    plain = Plain(stream, clock=Clock())
    plain.counts(Counts(total=10, failed=1, cancelled=2, skipped=3, succeeded=4))
    assert stream.getvalue() == "tasks: 10 of 10 done, 1 failed, 2 cancelled, 3 skipped\n"


@pytest.fixture
def terminal() -> Terminal:
    return Terminal(io.StringIO(), clock=Clock(), live=False)


def test_terminal_shows_phases_hosts_tasks_and_a_line_a_job(terminal: Terminal) -> None:
    terminal.compiling("pi", "rust")
    terminal.compiling("mean", "")
    terminal.compiled("mean", artifact())
    terminal.host("lab01", "ready")
    terminal.host("lab02", "shipping", "wasmtime, 12 MiB")
    jobs = {"pi": Counts(total=4, succeeded=2, running=1), "mean": Counts(total=4, failed=4)}
    terminal.counts(Counts(total=8, succeeded=2, failed=4, running=1, jobs=jobs))
    lines = terminal.picture().plain.splitlines()
    terminal.close()
    assert lines[0] == "compiling  pi (rust); 1 done"
    assert lines[1] == "hosts      1 ready, 1 shipping: lab02 wasmtime, 12 MiB"
    assert lines[2].startswith("tasks      [####")
    assert lines[2].endswith("] 6 of 8 done, 1 running, 4 failed")
    assert lines[3].startswith("  pi   [######-------] 2 of 4 done")
    assert lines[4].startswith("  mean [#############] 4 of 4 done, 4 failed")


def test_terminal_shows_how_long_a_slow_compile_goes_on() -> None:
    clock = Clock()
    terminal = Terminal(io.StringIO(), clock=clock, live=False)
    terminal.compiling("mean", "")
    clock.now += 4
    terminal.compiling("mean", "first C compile: building libc once, about 40 s")
    assert terminal.picture().plain.startswith("compiling  mean (first C compile")
    clock.now += 8
    assert terminal.picture().plain.startswith(
        "compiling  mean, 12 s (first C compile: building libc once, about 40 s)"
    )
    terminal.close()


def test_terminal_shows_no_line_a_job_where_there_are_many(terminal: Terminal) -> None:
    terminal.counts(Counts(total=100, jobs={f"job{n}": Counts(total=1) for n in range(100)}))
    assert len(terminal.picture().plain.splitlines()) == 1
    terminal.close()


def test_terminal_shows_names_and_texts_harmlessly() -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, clock=Clock(), live=False)
    terminal.compiling("\x1b[31mpi[/]", "[bold]")
    terminal.host("lab\x07", "shipping", "\x1b]0;x")
    terminal.note("note \x1b[2J\n[red]second\x0bline\n\na\tb")
    picture = terminal.picture().plain
    terminal.close()
    assert "\\x1b[31mpi[/] ([bold])" in picture
    assert "lab\\x07 \\x1b]0;x" in picture
    assert "note \\x1b[2J\n" in stream.getvalue()
    assert "[red]second\\x0bline\n\na       b\n" in stream.getvalue()


def test_a_display_that_is_told_nothing_shows_nothing(terminal: Terminal) -> None:
    assert terminal.picture().plain == ""
    terminal.close()


def test_a_pipe_gets_plain_lines() -> None:
    progress: Progress = make(io.StringIO())
    assert isinstance(progress, Plain)


LIVE = """
import sys
from batchwasm.cli.progress import Counts, make
progress = make()
progress.note("folder " + "x" * 150)
progress.host("lab01", "down", "no key")
progress.counts(Counts(total=10, succeeded=3, running=2))
progress.close()
progress.close()
print("after", file=sys.stderr)
"""


def test_a_terminal_gets_a_live_display_that_is_taken_away(tmp_path: Path) -> None:
    code, shown = on_a_terminal("-c", LIVE, cwd=tmp_path, streams="err")
    assert code == 0
    assert "folder " + "x" * 150 in shown
    assert "host lab01: down, no key" in shown
    assert shown.endswith("after\n")
    _, *later = shown.split("\x1b[?25l")
    assert len(later) == 1
    assert later[0].startswith("\x1b[?25h")  # the cursor is there even if we are killed


def test_a_terminal_that_can_do_nothing_gets_plain_lines(tmp_path: Path) -> None:
    code, shown = on_a_terminal("-c", LIVE, cwd=tmp_path, env={"TERM": "dumb"})
    assert code == 0
    assert "\x1b" not in shown
    assert "tasks: 3 of 10 done, 2 running" in shown
