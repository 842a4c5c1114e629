"""A worker process: batches and their reports, recall, guests that can't be ended, the page, what it leaves."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wasmtime

import batchwasm.runner
from batchwasm.model import Outcome
from batchwasm.runner.page import COMPILING, GAVE_UP, GUEST, IDLE
from batchwasm.runner.protocol import FLUSH_BYTES, Finished, Returned, Row, Rows, TaskWork
from batchwasm.runner.watch import GRACE_S
from batchwasm.runner.worker import ORPHANED
from tests.runner.forked import MIB, Forked, wat
from tests.runner.reactors import ECHO, FIRST_IS, SAY, SLEEP, reactor, says, sleeps, small

WAIT_S = 30.0


def rows_of(messages: list[Finished | Returned]) -> list[Row]:
    return [row for message in messages if isinstance(message, Finished) for row in Rows.decode(message.body)]


def wait_for_phase(host: Forked, phase: int, position: int = 0) -> None:
    end = time.monotonic() + WAIT_S
    while (host.page.read().phase, host.page.read().position) != (phase, position):
        assert time.monotonic() < end, host.page.read()
        os.sched_yield()


def wait_for_report(host: Forked, count: int) -> None:
    """The page follows the channel by a moment."""
    end = time.monotonic() + WAIT_S
    while host.page.read().reported != count:
        assert time.monotonic() < end, host.page.read()
        os.sched_yield()


def test_a_batch_of_hellos_comes_back_in_order(host: Forked) -> None:
    work = host.work(host.toolbox, [["say", f"hello {k}"] for k in range(200)])
    rows = host.run(work)
    assert [(row.task, row.number, row.outcome) for row in rows] == [(k, 1, Outcome.SUCCEEDED) for k in range(200)]
    assert [row.stdout.decode() for row in rows] == [f"hello {k}\n" for k in range(200)]
    wait_for_report(host, 200)
    assert (host.page.read().batch, host.page.read().phase) == (work.batch, IDLE)


def test_an_empty_batch_and_several_at_once_are_served(host: Forked) -> None:
    first = host.work(host.toolbox, [["say", "1"]])
    second = host.work(host.toolbox, [["say", "2"]])
    for work in (host.work(host.toolbox, []), first, second):
        host.send(work)
    messages: list[Finished | Returned] = []
    while len(messages) < 2:
        messages += host.replies()
    assert [message.batch for message in messages] == [first.batch, second.batch]


def test_a_finished_row_does_not_wait_for_a_long_guest_behind_it(host: Forked) -> None:
    host.send(host.work(host.toolbox, [["say", "quick"], ["spin"]], time_s=1))
    started = time.monotonic()
    first = rows_of(host.replies())
    assert [row.stdout for row in first] == [b"quick\n"]
    assert time.monotonic() - started < 0.9
    wait_for_report(host, 1)
    assert [row.outcome for row in rows_of(host.replies())] == [Outcome.TIMED_OUT]


def test_large_rows_leave_before_the_frame_is_full(host: Forked) -> None:
    stdin = host.file(b"x" * 60_000)
    count = FLUSH_BYTES // 60_000 + 10
    host.send(host.work(host.toolbox, [["stdin"]] * count, stdin=stdin))
    messages: list[Finished | Returned] = []
    while sum(len(rows_of([message])) for message in messages) < count:
        messages += host.replies()
    assert len(messages) > 1
    assert max(len(message.body) for message in messages if isinstance(message, Finished)) < FLUSH_BYTES + 100_000


def test_a_recalled_batch_gives_back_what_it_did_not_start(host: Forked) -> None:
    work = host.work(host.toolbox, [["sleep", "300"], ["say", "b"], ["say", "c"]])
    host.send(work)
    wait_for_phase(host, GUEST)
    host.page.recall(work.batch)
    messages: list[Finished | Returned] = []
    while not messages or not isinstance(messages[-1], Returned):
        messages += host.replies()
    assert [row.task for row in rows_of(messages)] == [0]
    assert messages[-1] == Returned(work.batch, [1, 2], "recalled")
    assert host.tool("say", "next").stdout == b"next\n"


def test_the_page_shows_the_guest_that_runs_and_since_when(host: Forked) -> None:
    work = host.work(host.toolbox, [["say", "x"], ["sleep", "200"]])
    host.send(work)
    wait_for_phase(host, GUEST, 1)
    view = host.page.read()
    assert view.batch == work.batch
    assert 0 <= time.monotonic_ns() - view.started_ns < 10e9
    got = 0
    while got < 2:
        got += len(rows_of(host.replies()))
    assert host.page.read().started_ns == 0


def test_a_guest_asleep_in_the_host_is_reported_with_all_it_left_and_the_worker_goes(fresh: Forked) -> None:
    script = ["write", "half", "3", "say", "before", "sleep", "60000"]
    fresh.send(fresh.work(fresh.toolbox, [["say", "first"], script, ["say", "never"]], time_s=0.2, outputs=["half?"]))
    messages: list[Finished | Returned] = []
    while new := fresh.replies():
        messages += new
    first, second = rows_of(messages)
    assert first.outcome == Outcome.SUCCEEDED
    assert second.outcome == Outcome.TIMED_OUT
    assert second.detail is not None
    assert (second.detail.code, second.detail.limit) == ("time_limit", 0.2)
    assert 200_000 + GRACE_S * 1e6 <= second.wall_us < 5_000_000
    assert (second.stdout, second.files) == (b"before\n", (b"xxx",))
    assert fresh.end() == GAVE_UP
    assert fresh.page.read().phase == IDLE


def test_a_call_asleep_in_the_host_is_reported_and_the_worker_goes(fresh: Forked) -> None:
    room, sleep = sleeps(60)
    words, say = says("before")
    wasm = reactor(f"(if {FIRST_IS.format(1)} (then {say} {sleep})) {ECHO}", imports=SAY + SLEEP, more=words + room)
    tasks = [TaskWork(k, 1, arguments=small(int(k == 2))) for k in range(5)]
    fresh.send(fresh.work(fresh.artifact(wasm), tasks, call=True, reuse=True, time_s=0.3))
    messages: list[Finished | Returned] = []
    while new := fresh.replies():
        messages += new
    rows = rows_of(messages)
    assert [row.outcome for row in rows] == [Outcome.SUCCEEDED, Outcome.SUCCEEDED, Outcome.TIMED_OUT]
    assert (rows[2].stdout, rows[2].value) == (b"before", None)
    assert fresh.end() == GAVE_UP
    assert fresh.page.read().phase == IDLE


def test_large_values_leave_before_the_frame_is_full(host: Forked) -> None:
    wasm = reactor("(call $answer (i32.const 0) (i32.const 1000000))", memory="20")
    count = 2 * FLUSH_BYTES // 1_000_000
    host.send(host.work(host.artifact(wasm), [TaskWork(k, 1) for k in range(count)], call=True, reuse=True))
    messages: list[Finished | Returned] = []
    while sum(len(rows_of([message])) for message in messages) < count:
        messages += host.replies()
    assert len(messages) > 1
    assert max(len(message.body) for message in messages if isinstance(message, Finished)) < FLUSH_BYTES + 1_100_000


def test_a_recalled_batch_of_calls_gives_back_what_it_did_not_start(host: Forked) -> None:
    wasm = reactor(f"(if {FIRST_IS.format(1)} (then (loop $l (br $l)))) {ECHO}")
    tasks = [TaskWork(k, 1, arguments=small(int(k == 1))) for k in range(4)]
    work = host.work(host.artifact(wasm), tasks, call=True, reuse=True, time_s=0.5)
    host.send(work)
    wait_for_phase(host, GUEST, 1)
    host.page.recall(work.batch)
    messages: list[Finished | Returned] = []
    while not messages or not isinstance(messages[-1], Returned):
        messages += host.replies()
    assert [row.task for row in rows_of(messages)] == [0, 1]
    assert messages[-1] == Returned(work.batch, [2, 3], "recalled")
    host.page.recall(0)
    assert host.tool("say", "next").stdout == b"next\n"


def test_the_end_of_the_channel_is_the_end_of_the_worker(fresh: Forked) -> None:
    assert fresh.tool("say", "x").stdout == b"x\n"
    assert fresh.end() == 0


def test_a_worker_that_is_killed_leaves_on_the_page_what_it_was_at(fresh: Forked) -> None:
    fresh.send(fresh.work(fresh.toolbox, [["say", "x"], ["spin"]]))
    wait_for_phase(fresh, GUEST, 1)
    os.kill(fresh.pid, signal.SIGKILL)
    assert fresh.end() == -signal.SIGKILL
    view = fresh.page.read()
    assert (view.position, view.phase) == (1, GUEST)


def test_a_worker_has_no_core_files_few_descriptors_and_none_of_roots_rights(fresh: Forked) -> None:
    fresh.tool("say", "x")
    limits = Path(f"/proc/{fresh.pid}/limits").read_text()
    assert "Max core file size        0                    0" in limits
    assert resource.prlimit(fresh.pid, resource.RLIMIT_NOFILE) == (1024, 1152)
    capabilities = next(line for line in Path(f"/proc/{fresh.pid}/status").read_text().splitlines() if "CapEff" in line)
    assert int(capabilities.split()[1], 16) & 0b1110 == 0


def test_a_guest_may_not_write_larger_files_than_its_limit_but_the_worker_may(fresh: Forked) -> None:
    fresh.send(fresh.work(fresh.toolbox, [["spin"]], time_s=0.3, disk_bytes=20 * MIB, stdout_bytes=MIB))
    wait_for_phase(fresh, GUEST)
    assert resource.prlimit(fresh.pid, resource.RLIMIT_FSIZE)[0] == 20 * MIB + 1
    assert len(rows_of(fresh.replies())) == 1
    fresh.tool("say", "x", disk_bytes=30 * MIB)
    assert resource.prlimit(fresh.pid, resource.RLIMIT_FSIZE)[0] in (30 * MIB + 1, resource.RLIM_INFINITY)


def test_trouble_of_the_host_is_not_the_tasks_fault(fresh: Forked) -> None:
    fresh.tool("say", "x")
    box = fresh.root / "scratch/box"
    fresh.tool("write", "y", "1")  # the folder is gone now, and can't be made
    (fresh.root / "scratch").rename(fresh.root / "moved")
    row = fresh.tool("say", "x")
    assert not box.exists()
    assert row.outcome == Outcome.LOST
    assert row.detail is not None
    assert row.detail.code == "host"
    assert "No such file" in row.detail.text


# ----------------------------------------------------------------------------------------- the native cache


def native(host: Forked) -> list[Path]:
    return sorted((host.root / "cache/native").iterdir())


def test_native_code_is_made_once_and_used_by_the_next_worker(fresh: Forked) -> None:
    fresh.tool("say", "x")
    (path,) = native(fresh)
    made = path.stat().st_ino
    fresh.end()
    assert fresh.tool("say", "y").stdout == b"y\n"
    assert [p.stat().st_ino for p in native(fresh)] == [made]


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_broken_native_code_is_made_anew(fresh: Forked, damage: str) -> None:
    fresh.tool("say", "x")
    fresh.end()
    (path,) = native(fresh)
    whole = path.read_bytes()
    broken = {"cut": whole[:-100], "changed": whole[:5000] + b"\xff" + whole[5001:], "empty": b""}[damage]
    assert broken != whole
    path.write_bytes(broken)
    assert fresh.tool("say", "y").stdout == b"y\n"
    assert path.stat().st_size == len(whole)


def test_a_module_that_vanished_or_changed_is_invalid(fresh: Forked) -> None:
    gone = fresh.one("0" * 64)
    assert (gone.outcome, gone.detail and gone.detail.code) == (Outcome.INVALID, "module_missing")
    digest = fresh.artifact(wat(""))
    path = fresh.root / "cache/wasm" / digest
    path.chmod(0o644)
    path.write_bytes(wat("nop"))
    changed = fresh.one(digest)
    assert (changed.outcome, changed.detail and changed.detail.code) == (Outcome.INVALID, "module_changed")


def test_what_is_not_a_module_is_told_in_the_engines_own_words_each_time(fresh: Forked) -> None:
    broken = fresh.artifact(b"\0asm\1\0\0\0\x7f")
    texts = {row.detail.text for row in (fresh.one(broken) for _ in range(5)) if row.detail is not None}
    assert len(texts) == 1
    assert "attempts" not in texts.pop()


def test_what_is_not_a_module_is_invalid_in_every_row(fresh: Forked) -> None:
    rows = fresh.run(fresh.work(fresh.artifact(b"\0asm nonsense"), [[], []]))
    assert [(row.outcome, row.detail and row.detail.code) for row in rows] == [(Outcome.INVALID, "module_refused")] * 2


def test_a_cache_that_can_not_be_written_costs_time_and_nothing_else(fresh: Forked) -> None:
    (fresh.root / "cache/native").write_text("a file in the way")
    assert fresh.tool("say", "x").stdout == b"x\n"


def test_only_one_worker_of_a_host_compiles(tmp_path: Path, toolbox: bytes) -> None:
    first, second = Forked(tmp_path, toolbox=toolbox), Forked(tmp_path, toolbox=toolbox)
    second.settings = type(second.settings)(
        second.settings.cache, str(tmp_path / "scratch2"), second.settings.locks, second.settings.nice
    )
    lock = tmp_path / "locks" / f"native-{first.toolbox}"
    first.start()
    second.start()
    for worker in (first, second):
        worker.send(worker.work(worker.toolbox, [["say", "x"]]))
    for worker in (first, second):
        assert [row.stdout for row in rows_of(worker.replies())] == [b"x\n"]
        assert worker.end() == 0
    assert lock.exists()
    assert len(native(first)) == 1


def test_a_worker_waits_for_the_one_that_compiles(fresh: Forked) -> None:
    locks = fresh.root / "locks"
    locks.mkdir()
    with open(locks / f"native-{fresh.toolbox}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        fresh.send(fresh.work(fresh.toolbox, [["say", "x"]]))
        wait_for_phase(fresh, COMPILING)
        assert not (fresh.root / "cache/native").exists()
    assert [row.stdout for row in rows_of(fresh.replies())] == [b"x\n"]


def test_a_module_whose_compilation_ended_its_workers_is_refused_in_the_end(fresh: Forked) -> None:
    body = "(local.set 0 (i32.add (local.get 0) (i32.const 1)))" * 200
    slow = fresh.artifact(wat('(func (export "_start"))' + f"(func (local i32) {body})" * 2000))
    lock = fresh.root / "locks" / f"native-{slow}"
    for count in (1, 2, 3):
        fresh.send(fresh.work(slow, [["x"]]))
        end = time.monotonic() + WAIT_S
        while not lock.exists() or lock.stat().st_size < count:
            assert time.monotonic() < end
            os.sched_yield()
        os.kill(fresh.pid, signal.SIGKILL)
        fresh.end()
    row = fresh.one(slow)
    assert row.outcome == Outcome.INVALID
    assert row.detail is not None
    assert "3 attempts to compile it" in row.detail.text
    fresh.tool("say", "x")
    assert (fresh.root / "locks" / f"native-{fresh.toolbox}").stat().st_size == 0


def test_a_worker_whose_supervisor_died_before_it_began_ends_with_the_guest_under_way(fresh: Forked) -> None:
    fresh.supervisor = os.getppid()  # whoever that is, it is not this worker's parent
    fresh.send(fresh.work(fresh.toolbox, [["spin"]], time_s=5))
    assert fresh.replies() == []
    assert fresh.end() == ORPHANED


# ------------------------------------------------------------------------------------------ other Pythons

SCRIPT = """
import os, socket, sys
from batchwasm_runner import page, protocol, worker
cache, scratch, locks, digest, function = sys.argv[1:]
ours, theirs = socket.socketpair()
shared = page.Page()
pid = os.fork()
if pid == 0:
    ours.close()
    worker.serve(theirs, shared, page.WorkerSettings(cache, scratch, locks), os.getppid())
    os._exit(0)
theirs.close()
tasks = [protocol.TaskWork(0, 1), protocol.TaskWork(1, 1, args=["abort"]), protocol.TaskWork(2, 1, args=["spin"])]
work = protocol.Work(1, "r", "j", digest, scratch + "/spool", 1 << 26, 1 << 20, 1 << 20, 10, args=["say", "hello"],
                     tasks=tasks, time_s=0.2)
ours.sendall(protocol.encode(protocol.Start(1, 1, 1 << 26, 0.2, 3, work.encode())))
calls = [protocol.TaskWork(task, 1, arguments=bytes([0x81, task])) for task in range(3)]
work = protocol.Work(2, "r", "j", function, scratch + "/spool", 1 << 26, 1 << 20, 1 << 20, 10, tasks=calls, time_s=5.0,
                     call=True, reuse=True)
ours.sendall(protocol.encode(protocol.Start(2, 1, 1 << 26, 5.0, 3, work.encode())))
decoder, rows = protocol.Decoder(), []
while len(rows) < 6:
    for message in decoder.feed(ours.recv(1 << 20)):
        rows += protocol.Rows.decode(message.body)
ours.close()
assert os.waitpid(pid, 0)[1] == 0
print([(row.outcome, row.stdout.decode()) for row in rows[:3]], [row.value for row in rows[3:]])
"""


def pythons() -> list[str]:
    found = [f"{os.path.expanduser('~root')}/.pyenv/versions/{v}/bin/python" for v in ("3.9.18", "3.13.0")]
    return [sys.executable, *(path for path in found if os.path.exists(path))]


@pytest.mark.parametrize("python", pythons())
@pytest.mark.parametrize("public", ["0", "1"])
def test_a_worker_runs_as_installed_on_a_host_under_that_hosts_python(
    python: str, public: str, fresh: Forked, tmp_path: Path
) -> None:
    """The folder of the runner under its name there, beside wasmtime; nothing else of ours."""
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "batchwasm_runner").symlink_to(Path(batchwasm.runner.__path__[0]))
    (installed / "wasmtime").symlink_to(Path(wasmtime.__file__).parent)
    settings, function = fresh.settings, fresh.artifact(reactor())
    done = subprocess.run(
        [
            python,
            "-W",
            "error",
            "-c",
            SCRIPT,
            settings.cache,
            settings.scratch,
            settings.locks,
            fresh.toolbox,
            function,
        ],
        env={"PYTHONPATH": str(installed), "BATCHWASM_PUBLIC_API": public, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "[(2, 'hello\\n'), (4, ''), (5, '')] [b'\\x81\\x00', b'\\x81\\x01', b'\\x81\\x02']"


def test_serve_makes_no_engine_and_no_thread_before_it_is_forked() -> None:
    code = "import batchwasm.runner.worker, os; print(len(os.listdir('/proc/self/task')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1"]
