"""The supervisor with real workers: batches, limits, deaths, runs side by side, and coming back to it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.model import Outcome
from batchwasm.runner.facts import cpus, memory_bytes
from batchwasm.runner.protocol import Attached, Kill, Recall, Refused, Start, TaskWork
from tests.runner.reactors import ECHO, FIRST_IS, SAY, reactor, says, small
from tests.runner.supervised import (
    HELLO,
    LOUD_SLEEP,
    SLEEP,
    SPIN,
    SupervisedHost,
    eventually,
    refused,
    supervised_host,
)
from tests.test_architecture import hosts_pythons


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SupervisedHost]:
    yield from supervised_host(tmp_path)


# ----------------------------------------------------------------------------------------------------- batches


def test_batches_run_and_every_task_is_reported_once(host: SupervisedHost) -> None:
    scheduler = host.attach()
    for batch in range(1, 4):
        scheduler.start(batch, HELLO, range(50))
    rows, returned = scheduler.collect(150)
    assert returned == {}
    assert set(rows) == {(batch, task) for batch in range(1, 4) for task in range(50)}
    assert {row.stdout for row in rows.values()} == {b"hello\n"}
    assert {row.outcome for row in rows.values()} == {Outcome.SUCCEEDED}


def test_workers_are_warm_and_no_more_than_needed(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=4)
    scheduler.start(1, HELLO, range(3))
    scheduler.collect(3)
    before = host.workers()
    scheduler.start(2, HELLO, range(3))
    scheduler.collect(3)
    assert host.workers() == before
    assert len(before) == 1


def test_no_thread_and_no_engine_is_ever_in_the_supervisor(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, HELLO)
    scheduler.collect(1)
    (supervisor,) = host.supervisors()
    assert len(os.listdir(f"/proc/{supervisor}/task")) == 1


def test_a_thread_that_others_put_into_every_process_here_does_no_harm(host: SupervisedHost) -> None:
    """As an emulator of another machine does, and what a system loads into all programs."""
    (host.library / "sitecustomize.py").write_text(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    scheduler = host.attach(cpus=1)
    scheduler.start(1, HELLO)
    rows, _ = scheduler.collect(1)
    assert [row.stdout for row in rows.values()] == [b"hello\n"]


def test_workers_are_nice_and_leave_no_core_files(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, HELLO)
    scheduler.collect(1)
    (worker,) = host.workers()
    assert os.getpriority(os.PRIO_PROCESS, worker) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)
    limits = Path(f"/proc/{worker}/limits").read_text()
    assert next(line.split()[4] for line in limits.splitlines() if line.startswith("Max core")) == "0"


def test_a_second_name_of_the_machine_takes_nothing_from_the_first(host: SupervisedHost) -> None:
    first = host.attach(host="one")
    second = host.connect()
    answer = second.try_to_attach(host="two")
    assert isinstance(answer, Refused)
    assert (answer.code, answer.text) == ("twin", "it is the same machine as one")
    assert second.read() is None
    first.start(1, HELLO)
    rows, _ = first.collect(1)
    assert rows[1, 0].stdout == b"hello\n"
    assert isinstance(host.connect().try_to_attach(host="one"), Attached), "a name may come back"


def test_a_batch_beyond_what_the_run_may_have_comes_back_with_the_numbers(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=2)
    scheduler.start(1, HELLO, cpus=3)
    _, returned = scheduler.collect(1)
    assert "3" in returned[1, 0]
    assert "2" in returned[1, 0]


def test_a_body_that_is_no_work_ends_the_run_with_a_reason(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.send(Start(1, 1, 1, None, 1, b"{"))
    answer = scheduler.read()
    assert refused(answer) == "protocol"
    assert isinstance(answer, Refused)
    assert "batch 1" in answer.text
    assert scheduler.read() is None


# ---------------------------------------------------------------------------------------------------- capacity


def test_what_the_host_has_is_told_and_can_be_overridden(host: SupervisedHost) -> None:
    plain = host.attach()
    assert (plain.attached.cpus, plain.attached.memory_bytes) == (cpus(), memory_bytes())
    assert plain.attached.warnings == []
    more = host.attach("run-2", cpus=cpus() + 1, memory_bytes=1 << 30)
    assert (more.attached.cpus, more.attached.memory_bytes) == (cpus() + 1, 1 << 30)
    assert str(cpus() + 1) in more.attached.warnings[0]
    less = host.attach("run-3", cpus=1)
    assert less.attached.warnings == []


def test_more_memory_than_there_is_is_refused_with_both_numbers(host: SupervisedHost) -> None:
    answer = host.connect().try_to_attach(memory_bytes=memory_bytes() + 1)
    assert isinstance(answer, Refused)
    assert answer.code == "memory"
    answer = host.connect().try_to_attach(memory_bytes=2**50)
    assert isinstance(answer, Refused)
    assert f"is 1,073,741,824 MiB in the inventory, and this host has {memory_bytes() / 2**20:,.0f} MiB" in answer.text


def test_memory_is_handed_out_once(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=4, memory_bytes=256 << 20)
    for batch in (1, 2, 3):
        scheduler.start(batch, SPIN, memory=128 << 20)
    host.wait_until_a_guest_speaks(2)
    beat = scheduler.beat()
    assert (beat.running, beat.queued, beat.cpus_busy) == (2, 1, 2)
    assert 0 < beat.memory_available_bytes <= beat.memory_bytes
    assert beat.cpu_share is None or 0 <= beat.cpu_share <= 1
    assert beat.disk_free_bytes > 0


def test_two_runs_share_a_host_and_neither_waits_for_the_other_to_end(host: SupervisedHost) -> None:
    greedy, modest = host.attach("greedy", cpus=2), host.attach("modest", cpus=2)
    for batch in range(1, 41):
        greedy.start(batch, HELLO, range(50))
    modest.start(1, HELLO, range(50))
    modest.collect(50)
    first_done = time.monotonic()
    greedy.collect(2000)
    assert time.monotonic() > first_done


def test_two_runs_never_hold_more_than_the_host_has(host: SupervisedHost) -> None:
    one, two = host.attach("run-1", cpus=2), host.attach("run-2", cpus=2)
    for scheduler in (one, two):
        for batch in (1, 2):
            scheduler.start(batch, SPIN)
    host.wait_until_a_guest_speaks(2)
    beats = eventually(lambda: [one.beat(), two.beat()], "beats")
    assert [beat.cpus_busy for beat in beats] == [2, 2]
    assert len(host.workers()) == 2
    one.send(Kill(1), Kill(2))
    one.collect(2)


# ------------------------------------------------------------------------------------------- recall, kill, end


def test_a_recalled_batch_that_waits_comes_back_whole(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=1)
    scheduler.start(1, SPIN)
    scheduler.start(2, HELLO, [7, 8])
    scheduler.send(Recall(2))
    _, returned = scheduler.collect(2)
    assert set(returned) == {(2, 7), (2, 8)}


def test_a_recalled_batch_that_runs_gives_back_what_it_has_not_started(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, SPIN, [3, 4, 5], time_s=2.0)
    host.wait_until_a_guest_speaks()
    scheduler.send(Recall(1))
    rows, returned = scheduler.collect(3)
    assert {key: row.outcome for key, row in rows.items()} == {(1, 3): Outcome.TIMED_OUT}
    assert set(returned) == {(1, 4), (1, 5)}


def test_a_recall_does_not_stick_to_the_next_batch_of_that_number(host: SupervisedHost) -> None:
    one, two = host.attach("run-1", cpus=1), host.attach("run-2", cpus=1)
    one.start(1, SPIN, [0, 1], time_s=1.0)
    host.wait_until_a_guest_speaks()
    one.send(Recall(1))
    one.collect(2)
    two.start(1, HELLO, [0, 1])
    rows, _ = two.collect(2)
    assert len(rows) == 2


def test_a_killed_batch_is_returned_and_its_worker_is_gone(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, SPIN, range(3))
    (worker,) = host.wait_until_a_guest_speaks()
    scheduler.send(Kill(1))
    rows, returned = scheduler.collect(3)
    assert rows == {}
    assert set(returned) == {(1, 0), (1, 1), (1, 2)}
    assert worker not in host.workers()
    scheduler.start(2, HELLO)
    assert scheduler.collect(1)[0]


def test_killing_what_is_over_or_unknown_does_nothing(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, HELLO)
    scheduler.collect(1)
    scheduler.send(Kill(1), Recall(1), Kill(99), Recall(99))
    scheduler.start(2, HELLO)
    assert set(scheduler.collect(1)[0]) == {(2, 0)}


def test_detach_kills_what_still_runs_and_the_other_run_goes_on(host: SupervisedHost) -> None:
    one, two = host.attach("run-1", cpus=2), host.attach("run-2", cpus=2)
    one.start(1, SPIN)
    (worker,) = host.wait_until_a_guest_speaks()
    one.detach()
    assert worker not in host.workers()
    two.start(1, HELLO)
    assert two.collect(1)[0]
    assert not Path(one.attached.spool).exists()


def test_the_supervisor_ends_when_its_workdir_vanishes(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    shutil.rmtree(host.workdir)
    assert scheduler.read() is None
    eventually(lambda: not host.supervisors() and not host.workers(), "all ends", patience_s=3)
    assert host.traces() == []


def test_a_supervisor_told_to_end_takes_all_with_it(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    os.kill(host.supervisors()[0], signal.SIGTERM)
    assert scheduler.read() is None
    eventually(lambda: not host.supervisors() and not host.workers(), "all ends", patience_s=3)
    assert host.traces() == []


# -------------------------------------------------------------------------------------------- deaths and limits


def test_a_worker_that_dies_loses_its_task_and_the_rest_comes_back(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, SPIN, [4, 5, 6])
    (worker,) = host.wait_until_a_guest_speaks()
    os.kill(worker, signal.SIGABRT)
    rows, returned = scheduler.collect(3)
    row = rows[1, 4]
    assert row.outcome == Outcome.LOST
    assert row.detail is not None
    assert row.detail.code == "worker_died"
    assert "SIGABRT" in row.detail.text
    assert row.wall_us > 0
    assert set(returned) == {(1, 5), (1, 6)}
    scheduler.start(2, HELLO)
    assert scheduler.collect(1)[0]


def test_a_worker_that_dies_under_a_call_loses_that_call_and_the_rest_comes_back(host: SupervisedHost) -> None:
    scheduler = host.attach()
    words, say = says("here")
    wasm = reactor(f"(if {FIRST_IS.format(1)} (then {say} (loop $l (br $l)))) {ECHO}", imports=SAY, more=words)
    calls = [TaskWork(k, 1, arguments=small(int(k == 500))) for k in range(1000)]
    scheduler.start(1, wasm, calls, call=True, reuse=True)
    before, _ = scheduler.collect(500)
    assert {key: row.value for key, row in before.items()} == {(1, k): small(0) for k in range(500)}
    (worker,) = host.wait_until_a_guest_speaks()
    os.kill(worker, signal.SIGABRT)
    rows, returned = scheduler.collect(500)
    (lost,) = rows.values()
    assert lost.task == 500
    assert lost.outcome == Outcome.LOST
    assert lost.detail is not None
    assert lost.detail.code == "worker_died"
    assert set(returned) == {(1, k) for k in range(501, 1000)}
    # What came back is sent again, and done by another worker.
    scheduler.start(2, wasm, [TaskWork(k, 2, arguments=small(0)) for k in range(500, 1000)], call=True)
    rows, _ = scheduler.collect(500)
    assert {row.outcome for row in rows.values()} == {Outcome.SUCCEEDED}


def test_an_idle_worker_that_dies_is_replaced_and_nothing_is_lost(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, HELLO)
    scheduler.collect(1)
    (worker,) = host.workers()
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: not host.workers(), "the worker ends")
    scheduler.start(2, HELLO)
    rows, returned = scheduler.collect(1)
    if returned:  # it reached the worker in the instant of its death: it goes back, and nobody is to blame
        assert set(returned) == {(2, 0)}
        scheduler.start(3, HELLO)
        rows, _ = scheduler.collect(1)
    assert [row.outcome for row in rows.values()] == [Outcome.SUCCEEDED]


def test_a_worker_that_can_not_start_loses_one_task_and_says_why(host: SupervisedHost) -> None:
    module = host.library / "batchwasm_runner" / "worker.py"
    module.write_text(module.read_text() + "\ndef serve(*_):\n    raise OSError('no engine here')\n")
    scheduler = host.attach()
    scheduler.start(1, HELLO, [0, 1])
    rows, returned = scheduler.collect(2)
    detail = rows[1, 0].detail
    assert detail is not None
    assert "no engine here" in detail.text
    assert set(returned) == {(1, 1)}


def test_a_host_that_can_not_fork_loses_one_task_and_says_why(host: SupervisedHost) -> None:
    module = host.library / "batchwasm_runner" / "slots.py"
    module.write_text(module.read_text() + "\ndef _fork(*_):\n    raise BlockingIOError(11, 'no processes left')\n")
    scheduler = host.attach()
    scheduler.start(1, HELLO, [0, 1])
    rows, returned = scheduler.collect(2)
    detail = rows[1, 0].detail
    assert detail is not None
    assert "can't start a worker (no processes left)" in detail.text
    assert "no processes left" in returned[1, 1]


def test_a_supervisor_that_breaks_tells_the_relay_why_and_leaves_no_worker(host: SupervisedHost) -> None:
    module = host.library / "batchwasm_runner" / "verdicts.py"
    module.write_text(module.read_text() + "\ndef given_back(*_):\n    raise RuntimeError('a bug of ours')\n")
    scheduler = host.attach(cpus=1)
    scheduler.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    scheduler.start(2, SPIN)
    scheduler.send(Recall(2))
    assert scheduler.read() is None
    scheduler.relay.wait(10)
    assert "the supervisor on this host stopped: RuntimeError: a bug of ours" in scheduler.stderr()
    eventually(lambda: not host.supervisors() and not host.workers(), "all ends", patience_s=3)
    assert host.clean().returncode == 0


def test_a_guest_in_a_loop_is_timed_out_by_its_worker_and_the_batch_goes_on(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, SPIN, [0, 1], time_s=0.2)
    rows, returned = scheduler.collect(2)
    assert {row.outcome for row in rows.values()} == {Outcome.TIMED_OUT}
    assert returned == {}


@pytest.mark.parametrize("wat", [SLEEP, LOUD_SLEEP], ids=["little", "much"])
def test_a_guest_that_sleeps_over_its_time_keeps_its_stdout(host: SupervisedHost, wat: str) -> None:
    scheduler = host.attach()
    scheduler.start(1, wat, [5, 6], time_s=0.2)
    rows, returned = scheduler.collect(2)
    row = rows[1, 5]
    assert row.outcome == Outcome.TIMED_OUT
    assert row.detail is not None
    assert (row.detail.code, row.detail.limit) == ("time_limit", 0.2)
    assert set(returned) == {(1, 6)}
    if wat == SLEEP:
        assert row.stdout == b"hello\n"
    else:
        spooled = Path(scheduler.attached.spool) / "1" / "5" / "stdout"
        assert row.detail.stdout_spooled is not None
        assert row.detail.stdout_spooled[0] == spooled.stat().st_size == 4 * 65536


def test_a_worker_that_does_not_end_its_guest_is_killed_and_its_stdout_rescued(host: SupervisedHost) -> None:
    """The supervisor's own kill, with a worker whose watch never looks."""
    watch = host.library / "batchwasm_runner" / "watch.py"
    watch.write_text(watch.read_text() + "\nWatch._watch = lambda self: time.sleep(3600)\nimport time\n")
    scheduler = host.attach()
    scheduler.start(1, LOUD_SLEEP, [5, 6], time_s=0.2)
    rows, returned = scheduler.collect(2)
    row = rows[1, 5]
    assert row.outcome == Outcome.TIMED_OUT
    assert row.detail is not None
    assert row.detail.code == "time_limit"
    assert row.detail.limit == 0.2
    assert row.detail.used is not None
    assert 0.7 <= row.detail.used < 5
    spooled = Path(scheduler.attached.spool) / "1" / "5" / "stdout"
    assert row.detail.stdout_spooled is not None
    assert row.detail.stdout_spooled[0] == spooled.stat().st_size == 4 * 65536
    assert set(returned) == {(1, 6)}


def test_a_module_that_is_compiled_for_ever_does_not_hold_its_worker_for_ever(host: SupervisedHost) -> None:
    slots = host.library / "batchwasm_runner" / "slots.py"
    slots.write_text(slots.read_text().replace("COMPILE_S = 600.0", "COMPILE_S = 1.0"))
    scheduler = host.attach()
    scheduler.start(1, HELLO)
    scheduler.collect(1)
    (locks,) = host.tmp.glob("*/*/locks")
    with open(locks / f"native-{host.put(SPIN)}", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # as one that compiles without end holds it
        scheduler.start(2, SPIN, [5, 6])
        rows, returned = scheduler.collect(2)
    assert rows[2, 5].outcome == Outcome.LOST
    assert rows[2, 5].detail is not None
    assert rows[2, 5].detail.text == "its module was not compiled to native code within 1 s on this host"
    assert set(returned) == {(2, 6)}
    scheduler.start(3, HELLO)
    rows, _ = scheduler.collect(1)
    assert rows[3, 0].stdout == b"hello\n"


def test_no_worker_outlives_a_supervisor_that_is_killed(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    first = scheduler.attached.supervisor
    os.kill(host.supervisors()[0], signal.SIGKILL)
    assert scheduler.read() is None
    eventually(lambda: not host.workers() and not host.supervisors(), "all ends", patience_s=3)
    again = host.attach(incarnation=2, after=7)
    assert again.attached.supervisor != first
    assert again.attached.batches == []
    again.start(2, HELLO)
    again.collect(1)
    assert again.last_seq == 8
    again.detach()


# --------------------------------------------------------------------------------- reports until acknowledged


def test_reports_are_numbered_and_sent_again_after_a_new_attach(host: SupervisedHost) -> None:
    scheduler = host.attach()
    for batch in (1, 2, 3):
        scheduler.start(batch, HELLO)
        scheduler.collect(1)
    assert scheduler.last_seq == 3
    scheduler.close()
    again = host.attach(incarnation=2, after=1)
    assert (again.attached.batches, again.attached.left) == ([1, 2, 3], [0, 1, 1])
    rows, _ = again.collect(2)
    assert set(rows) == {(2, 0), (3, 0)}
    again.acknowledge()
    again.close()
    third = host.attach(incarnation=3, after=3)
    assert third.attached.batches == []


def test_a_run_without_a_connection_is_worked_on_and_reports_later(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=1)
    scheduler.start(1, SPIN, time_s=1.0)
    scheduler.start(2, HELLO, range(10))
    host.wait_until_a_guest_speaks()
    scheduler.close()
    again = host.attach(incarnation=2)
    assert set(again.attached.batches) == {1, 2}
    assert sum(again.attached.left) == 11
    rows, _ = again.collect(11)
    assert rows[1, 0].outcome == Outcome.TIMED_OUT


def test_a_batch_that_is_sent_twice_runs_once(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, HELLO)
    scheduler.start(1, HELLO)
    scheduler.collect(1)
    scheduler.start(1, HELLO)
    scheduler.start(2, HELLO)
    assert set(scheduler.collect(1)[0]) == {(2, 0)}


def test_acknowledged_spool_is_removed_and_the_rest_stays(host: SupervisedHost) -> None:
    scheduler = host.attach()
    spool = Path(scheduler.attached.spool)
    for batch in (1, 2):
        scheduler.start(batch, LOUD_SLEEP, time_s=0.1)
    scheduler.collect(1)
    first = scheduler.last_seq
    scheduler.collect(1)
    assert sorted(path.name for path in spool.iterdir()) == ["1", "2"]
    scheduler.last_seq = first
    scheduler.acknowledge()
    eventually(lambda: len(list(spool.iterdir())) == 1, "the spool of the first is removed")


def test_large_reports_pass_and_nothing_is_lost_when_nobody_reads_for_a_while(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=2)
    loud = HELLO.replace("(call $hello)))", "(i32.store (i32.const 4) (i32.const 60000)) (call $hello)))")
    for batch in range(1, 41):
        scheduler.start(batch, loud, range(20))
    eventually(lambda: _is_idle(host), "all batches are run, or none may start")
    rows, _ = scheduler.collect(800)
    assert {len(row.stdout) for row in rows.values()} == {60000}


# -------------------------------------------------------------------------------------------------------- clean


def test_clean_removes_what_a_killed_supervisor_left(host: SupervisedHost) -> None:
    host.attach()
    os.kill(host.supervisors()[0], signal.SIGKILL)
    eventually(lambda: not host.supervisors(), "it ends")
    assert host.traces()
    said = json.loads(host.clean().stdout)
    assert said["busy"] == []
    assert host.traces() == []
    assert (host.workdir / "runner").exists()


def test_clean_leaves_a_supervisor_that_serves_a_run_alone_and_names_it(host: SupervisedHost) -> None:
    scheduler = host.attach()
    said = json.loads(host.clean().stdout)
    assert said["busy"] == host.supervisors()
    scheduler.start(1, HELLO)
    assert scheduler.collect(1)[0]


def test_clean_all_stops_it_and_removes_the_caches_too(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    done = host.clean("--all")
    assert done.stderr == ""
    said = json.loads(done.stdout)
    assert said["stopped"] == 1
    assert said["removed_bytes"] > 1000
    assert not host.workdir.exists()
    eventually(lambda: not host.supervisors() and not host.workers(), "both end", patience_s=1)


def test_what_a_dead_supervisor_left_is_removed_by_the_next(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, LOUD_SLEEP, time_s=0.1)
    scheduler.collect(1)
    os.kill(host.supervisors()[0], signal.SIGKILL)
    eventually(lambda: not host.supervisors(), "it ends")
    assert (Path(scheduler.attached.spool) / "1").exists()
    again = host.attach("run-2")
    assert not Path(scheduler.attached.spool).exists()
    again.detach()


def test_scratch_of_an_earlier_boot_is_removed_and_that_of_another_host_stays(host: SupervisedHost) -> None:
    owner = {"uid": os.getuid(), "host": socket.gethostname(), "boot": "earlier", "root": str(host.tmp)}
    for tag, facts in {"old": owner, "other": {**owner, "host": "another"}, "nobody": {**owner, "uid": -1}}.items():
        for name in ("scratch", "spool"):
            (host.workdir / name / tag).mkdir(parents=True)
        (host.workdir / "scratch" / tag / "owner").write_text(json.dumps(facts))
    host.attach().detach()
    kept = {path.name for name in ("scratch", "spool") for path in (host.workdir / name).iterdir()}
    assert {"other", "nobody"} <= kept
    assert "old" not in kept
    for name in ("scratch", "spool"):
        shutil.rmtree(host.workdir / name)


def test_what_a_dead_supervisor_of_another_runner_left_is_removed(host: SupervisedHost) -> None:
    scheduler = host.attach()
    os.kill(host.supervisors()[0], signal.SIGKILL)
    eventually(lambda: not host.supervisors(), "it ends")
    host.library = Path(shutil.move(host.library, host.library.with_name("another")))
    host.attach("run-2").detach()
    assert not Path(scheduler.attached.spool).parent.exists()


def test_a_workdir_that_is_shared_keeps_scratch_and_spool_on_local_disk(host: SupervisedHost) -> None:
    module = host.library / "batchwasm_runner" / "facts.py"
    module.write_text(module.read_text() + "\ndef is_remote(filesystem):\n    return True\n")
    scheduler = host.attach()
    assert scheduler.attached.spool.startswith(str(host.tmp))
    scheduler.start(1, LOUD_SLEEP, time_s=0.1)
    rows, _ = scheduler.collect(1)
    detail = rows[1, 0].detail
    assert detail is not None
    assert detail.stdout_spooled is not None
    assert not (host.workdir / "scratch").exists()


@pytest.mark.parametrize("python", hosts_pythons())
def test_a_host_may_have_any_python_from_3_9_up(host: SupervisedHost, python: str) -> None:
    host.python = python
    scheduler = host.attach()
    scheduler.start(1, HELLO)
    assert scheduler.collect(1)[0][1, 0].stdout == b"hello\n"
    (supervisor,) = host.supervisors()
    assert os.path.samefile(os.readlink(f"/proc/{supervisor}/exe"), os.path.realpath(python))


def test_the_supervisor_runs_under_any_name_of_folder(host: SupervisedHost, weird_tmp_path: Path) -> None:
    host.workdir = Path(shutil.move(host.workdir, weird_tmp_path))
    host.library = host.workdir / "runner/digest"
    scheduler = host.attach()
    scheduler.start(1, HELLO)
    assert scheduler.collect(1)[0][1, 0].stdout == b"hello\n"


def _is_idle(host: SupervisedHost) -> bool:
    """No worker has used any cpu for a moment."""
    before = [_cpu_ticks(pid) for pid in host.workers()]
    time.sleep(0.2)
    return len(before) > 0 and before == [_cpu_ticks(pid) for pid in host.workers()]


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
