"""What a second terminal does to a run over real OpenSSH servers: cancel, pause, retry; and two hosts compared."""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from batchwasm.core.events import BatchPlaced
from batchwasm.core.state import CODES
from batchwasm.journal import Journal
from batchwasm.model import Outcome
from batchwasm.rows import TaskCounts
from tests.command import Cli
from tests.guests import FLAKY_C, HELLO_WAT, LOOP_WAT, NAP_WAT, RANDOM_WAT
from tests.sshd import Sshd, inventory_of
from tests.test_live_hosts import Live

JOBS = """
[jobs.loop]
source = "loop.wat"
memory = "4MiB"
sweep = { n = [0, 1] }
[jobs.late]
source = "hello.wat"
memory = "4MiB"
after = ["loop"]
[jobs.nap]
source = "nap.wat"
memory = "4MiB"
priority = -1
sweep = { n = { range = [0, 20_000] } }
"""
FLAKY = """
max_failures = 2
[jobs.flaky]
source = "flaky.c"
memory = "4MiB"
args = ["{n}"]
outputs = ["log?"]
sweep = { n = [1, 2, 3] }
[jobs.each]
source = "hello.wat"
memory = "4MiB"
after = [{ job = "flaky", each = true }]
sweep = { n = [1, 2, 3] }
[jobs.all]
source = "hello.wat"
memory = "4MiB"
after = ["each"]
"""
ME = getpass.getuser()


@pytest.fixture
def two(batchwasm: Cli, ssh_pool: list[Sshd]) -> list[Sshd]:
    """Hosts with one slot each: what runs there has them for itself."""
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(ssh_pool[:2], "cpus = 1\n"))
    for name, text in (("loop", LOOP_WAT), ("hello", HELLO_WAT), ("nap", NAP_WAT), ("random", RANDOM_WAT)):
        (batchwasm.folder / f"{name}.wat").write_text(text)
    (batchwasm.folder / "flaky.c").write_text(FLAKY_C)
    return ssh_pool[:2]


@pytest.fixture
def begin(batchwasm: Cli) -> Iterator[Callable[[], Live]]:
    """Starts the run of jobs.toml; what a test leaves of it is stopped."""
    begun: list[Live] = []

    def start() -> Live:
        begun.append(Live(batchwasm.folder, batchwasm.start("run", "jobs.toml")))
        return begun[-1]

    yield start
    for live in begun:
        live.process.terminate()
        live.process.communicate()


def ended(live: Live) -> int:
    """Its exit code."""
    live.process.communicate(timeout=30)
    return live.process.returncode


def job_of(journal: Journal, n: int) -> TaskCounts:
    """How far job `n` is; nothing before it is planned."""
    jobs = journal.state().jobs
    return TaskCounts.of(jobs[n].counts if jobs else [0] * CODES)


def test_a_run_is_cancelled_paused_and_ended_from_another_terminal(
    batchwasm: Cli, two: list[Sshd], begin: Callable[[], Live]
) -> None:
    (batchwasm.folder / "jobs.toml").write_text(JOBS)
    live = begin()
    live.until(lambda journal: job_of(journal, 0).running == 2)
    wrong = batchwasm("cancel", "lop", "nap/20000", code=2).err
    assert "did you mean loop?" in wrong
    assert "nap/0 to nap/19999" in wrong
    live.until(lambda journal: job_of(journal, 0).running == 2)  # one is wrong, and nothing is done
    assert batchwasm("cancel", "loop/0").out == "jobs-1: 1 task that runs is stopped\n"
    live.until(lambda journal: job_of(journal, 2).succeeded > 0)  # its slot is free
    said = batchwasm("cancel", "loop", "--json").json
    assert (said["schema"], said["waiting"], said["running"], said["over"]) == ("cancel/1", 0, 1, 1)
    for server in two:
        live.until_ran(server.name, 1)

    assert batchwasm("pause").out.startswith("jobs-1: paused: nothing new is started; ")
    assert "was paused already" in batchwasm("pause").out
    live.until(lambda journal: not journal.state().batches)
    placed = [len(live.placed(server.name)) for server in two]
    assert f"paused  by {ME}" in batchwasm("status").out
    assert batchwasm("status", "--json").json["paused"] == f"by {ME}"
    for words in (("explain",), ("explain", "nap/19999")):
        assert "batchwasm unpause" in batchwasm(*words).out
    assert [len(live.placed(server.name)) for server in two] == placed
    assert batchwasm("unpause", "--json").json["was"] == f"by {ME}"
    for server in two:
        live.until_ran(server.name, 1)

    assert "won't run" in batchwasm("cancel", "--all").out
    assert ended(live) == 4
    rows = {(row["job"], row["index"]): row for row in batchwasm("results", "--json").rows}
    for key in (("loop", 0), ("loop", 1), ("nap", 19_999)):
        assert (rows[key]["outcome"], rows[key]["reason"]["code"]) == ("cancelled", "cancelled")
        assert rows[key]["reason"]["text"] == f"cancelled by {ME}"
    assert "loop/0, which did not succeed (cancelled)" in rows["late", 0]["reason"]["text"]
    for words in (("cancel", "nap"), ("pause",), ("unpause",)):
        assert "has finished: nothing of it waits or runs" in batchwasm(*words, code=3).err
    assert "1 task stays skipped" in batchwasm("retry", "late").err


def test_a_run_that_was_stopped_says_how_it_goes_on(batchwasm: Cli, two: list[Sshd], begin: Callable[[], Live]) -> None:
    (batchwasm.folder / "jobs.toml").write_text(JOBS)
    live = begin()
    live.until(lambda journal: job_of(journal, 0).running == 2)
    live.process.terminate()
    assert ended(live) == 130
    for words in (("cancel", "--all"), ("pause",), ("unpause",)):
        assert "what waits starts only with 'batchwasm resume jobs-1'" in batchwasm(*words, code=3).err


def test_what_failed_is_had_again_in_a_run_that_is_over(batchwasm: Cli, two: list[Sshd]) -> None:
    (batchwasm.folder / "jobs.toml").write_text(FLAKY)
    run = Path(batchwasm("run", "jobs.toml", "--json", code=1).json["folder"])
    assert sorted(path.parent.parent.name for path in run.glob("tasks/flaky/*/out/log")) == ["1", "2"]
    said = batchwasm("retry", "flaky/0", "all").err
    assert "nothing is to be run again; 1 task had succeeded and stays as it is; 1 task stays skipped" in said
    assert "jobs-1: 5 tasks wait again (2 of flaky, 2 of each, 1 of all)" in batchwasm("retry", code=1).err
    last = batchwasm("retry", "flaky", "--json")
    assert "3 tasks wait again (1 of flaky, 1 of each, 1 of all); 2 tasks had succeeded" in last.err
    assert last.json["by_outcome"] == {"succeeded": 7}
    rows = batchwasm("results", "--json").rows
    assert [(row["stdout"], row["attempts"]) for row in rows if row["job"] == "flaky"] == [
        ("attempt 1\n", 1),
        ("attempt 2\n", 2),
        ("attempt 3\n", 3),
    ]
    assert len(rows) == 7
    assert not list(run.glob("tasks/*")), "an attempt that left nothing was the last"
    assert batchwasm("logs", "flaky/2").out == "attempt 3\n"
    assert "nothing is to be run again" in batchwasm("retry").err
    assert batchwasm("retry", "--json").json["again"] == 0


def test_what_was_cancelled_or_failed_is_had_again_while_the_run_goes_on(
    batchwasm: Cli, two: list[Sshd], begin: Callable[[], Live]
) -> None:
    naps = JOBS[JOBS.index("[jobs.nap]") :]
    (batchwasm.folder / "jobs.toml").write_text(FLAKY.replace("max_failures = 2", "") + naps)
    live = begin()
    live.until(lambda journal: job_of(journal, 0).total > 0 and job_of(journal, 0).done == 3)
    said = batchwasm("retry", "--json").json
    assert (said["schema"], said["again"]) == ("retry/1", 5)
    live.until(lambda journal: job_of(journal, 0).done == 3 and job_of(journal, 0).succeeded == 2)
    assert batchwasm("retry", "flaky/2").out == "jobs-1: 3 tasks wait again (1 of flaky, 1 of each, 1 of all)\n"
    live.until(lambda journal: job_of(journal, 2).succeeded == 1)
    batchwasm("cancel", "nap")
    assert ended(live) == 4
    assert "1 task waits again (of nap)" in batchwasm("retry", "nap/19999", code=4).err
    assert batchwasm("results", "--json").rows[-1]["outcome"] == "succeeded"


def test_two_hosts_that_differ_are_named_and_those_that_agree_succeed(batchwasm: Cli, two: list[Sshd]) -> None:
    jobs = "".join(
        f'[jobs.{name}]\nsource = "{name}.wat"\nmemory = "4MiB"\nverify = 2\nsweep = {{ n = {{ range = [0, 6] }} }}\n'
        for name in ("hello", "random")
    )
    (batchwasm.folder / "jobs.toml").write_text(jobs)
    run = batchwasm("run", "jobs.toml", "--json", code=1).json
    assert run["by_outcome"] == {"succeeded": 6, "mismatch": 6}
    rows = batchwasm("results", "--json").rows
    a, b = sorted(server.name for server in two)
    for row in rows[6:]:
        assert (row["outcome"], row["reason"]["code"], row["attempts"]) == ("mismatch", "mismatch", 2)
        first, second = (a, b) if row["host"] == b else (b, a)
        assert row["reason"]["text"] == f"its stdout on {second} is not that on {first}"
    assert all(row["attempts"] == 2 and row["stdout"] == "hello\n" for row in rows[:6])
    with closing(Journal.open(Path(run["folder"]) / "journal.db", read_only=True)) as journal:
        for job in (0, 1):
            ran = [(attempt.record.task, attempt.host) for attempt in journal.attempts(job=job)]
            assert sorted(ran) == [(task, host) for task in range(6) for host in (a, b)]
        assert len([e for _, _, e in journal.replay() if isinstance(e, BatchPlaced)]) <= 24
    said = batchwasm("explain", "random/0").out
    assert "succeeded on" in said
    assert "mismatch on" in said


def test_what_is_compared_survives_a_scheduler_that_is_killed(
    batchwasm: Cli, two: list[Sshd], begin: Callable[[], Live]
) -> None:
    text = '[jobs.nap]\nsource = "nap.wat"\nmemory = "4MiB"\nverify = 2\nsweep = { n = { range = [0, 40] } }\n'
    (batchwasm.folder / "jobs.toml").write_text(text)
    live = begin()
    live.until(lambda journal: job_of(journal, 0).succeeded > 5)
    live.process.kill()
    live.process.communicate()
    batchwasm("resume")
    with closing(Journal.open(live.path / "journal.db", read_only=True)) as journal:
        gave = [(a.record.task, a.host) for a in journal.attempts() if a.record.outcome == Outcome.SUCCEEDED]
    assert sorted(gave) == [(task, server.name) for task in range(40) for server in two]


def test_one_host_has_nobody_to_be_compared_with(batchwasm: Cli, two: list[Sshd]) -> None:
    (batchwasm.folder / "inventory.toml").write_text(inventory_of(two[:1]))
    (batchwasm.folder / "jobs.toml").write_text('[jobs.hello]\nsource = "hello.wat"\nverify = 2\n')
    said = batchwasm("run", "jobs.toml", code=2).err
    assert "jobs.toml:3: jobs.hello.verify: 2 runs each task on 2 different hosts, and only sshd-a of " in said
    (batchwasm.folder / "inventory.toml").unlink()
    assert "only localhost of this run" in batchwasm("run", "jobs.toml", code=2).err
