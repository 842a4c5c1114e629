"""What a guest writes is told while it runs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchwasm.runner.protocol import Finished, Kill, Output, Row, Rows, Tail
from batchwasm.runner.tail import LIMIT_BYTES
from tests.runner.supervised import (
    ENVIRONMENT,
    HEAD,
    HELLO,
    LOUD_SLEEP,
    SLEEP,
    SPIN,
    Scheduler,
    SupervisedHost,
    eventually,
    supervised_host,
)

BOTH = SPIN.replace(
    "(call $hello) (loop",
    "(call $hello) (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))) (loop",
)
"""Writes the same to stdout and stderr, then spins."""
CHATTER = f"""(module {HEAD} (func (export "_start") (local $n i32)
  (loop $l (call $hello) (local.set $n (i32.const 200000))
    (loop $w (br_if $w (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (br $l))))"""
"""Never ends to say hello."""
A_WHILE = """(i32.store (i32.const 16384) (i32.const 5000000))
  (loop $w (i32.store (i32.const 16384) (i32.sub (i32.load (i32.const 16384)) (i32.const 1)))
    (br_if $w (i32.load (i32.const 16384))))"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a worker's descriptors are read through /proc")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[SupervisedHost]:
    yield from supervised_host(tmp_path)


def ask(scheduler: Scheduler, batch: int, task: int, stdout_from: int = 0, stderr_from: int = 0) -> None:
    scheduler.send(Tail(batch, task, stdout_from, stderr_from))


def answer(scheduler: Scheduler) -> Output:
    output = scheduler.read()
    assert isinstance(output, Output)
    return output


def text(output: Output) -> tuple[bytes, bytes]:
    return output.body[: output.stdout_bytes], output.body[output.stdout_bytes :]


@pytest.mark.parametrize("wat", [SPIN, SLEEP], ids=["spins", "sleeps"])
def test_a_guest_that_runs_is_heard_from_where_one_knows_it(host: SupervisedHost, wat: str) -> None:
    scheduler = host.attach()
    scheduler.start(3, wat, [7, 8])
    host.wait_until_a_guest_speaks()
    ask(scheduler, 3, 7)
    assert answer(scheduler) == Output(3, 7, 0, 0, 6, b"hello\n")
    ask(scheduler, 3, 7, stdout_from=2)
    assert text(answer(scheduler)) == (b"llo\n", b"")
    for start in (6, 7, 2**62):
        ask(scheduler, 3, 7, start, start)
        assert answer(scheduler) == Output(3, 7, start, start, 0, b"")
    scheduler.send(Kill(3))
    scheduler.collect(2)


def test_stderr_is_told_apart(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, BOTH)
    (worker,) = host.wait_until_a_guest_speaks()
    eventually(lambda: "pos:\t6\n" in Path(f"/proc/{worker}/fdinfo/2").read_text(), "it spoke on stderr")
    ask(scheduler, 1, 0, stdout_from=4, stderr_from=1)
    assert text(answer(scheduler)) == (b"o\n", b"ello\n")
    scheduler.send(Kill(1))
    scheduler.collect(1)


def test_who_is_not_at_that_task_gives_no_answer(host: SupervisedHost) -> None:
    scheduler = host.attach(cpus=1)
    scheduler.start(1, HELLO, [5])
    scheduler.collect(1)
    scheduler.start(2, SPIN, [7, 8])
    scheduler.start(3, SPIN, [9])
    host.wait_until_a_guest_speaks()
    for batch, task in ((1, 5), (2, 8), (2, -1), (3, 9), (3, 7), (99, 7)):
        ask(scheduler, batch, task)
    ask(scheduler, 2, 7, stdout_from=-1)
    ask(scheduler, 2, 7)
    assert answer(scheduler) == Output(2, 7, 0, 0, 6, b"hello\n")
    scheduler.send(Kill(3), Kill(2))
    scheduler.collect(3)


def test_another_runs_guest_is_none_of_its_business(host: SupervisedHost) -> None:
    one, two = host.attach("run-1"), host.attach("run-2")
    one.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    ask(two, 1, 0)
    two.start(1, HELLO)
    assert set(two.collect(1)[0]) == {(1, 0)}
    one.send(Kill(1))
    one.collect(1)


def test_much_output_comes_in_parts(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, LOUD_SLEEP.replace("(local.set $n (i32.const 4))", "(local.set $n (i32.const 6))"))
    (worker,) = host.wait_until_a_guest_speaks()
    written = 6 * 65536
    eventually(lambda: f"pos:\t{written}\n" in Path(f"/proc/{worker}/fdinfo/1").read_text(), "it has said all")
    parts = []
    for start in (0, LIMIT_BYTES, written - 1, written):
        ask(scheduler, 1, 0, start)
        parts.append(answer(scheduler).stdout_bytes)
    assert parts == [LIMIT_BYTES, written - LIMIT_BYTES, 1, 0]
    scheduler.send(Kill(1))
    scheduler.collect(1)


def test_a_guest_that_never_stops_talking_is_heard_in_full_and_goes_on(host: SupervisedHost) -> None:
    scheduler = host.attach()
    scheduler.start(1, CHATTER)
    (worker,) = host.wait_until_a_guest_speaks()
    heard = b""
    while len(heard) < 600:
        ask(scheduler, 1, 0, len(heard))
        output = answer(scheduler)
        assert output.stdout_from == len(heard)
        heard += output.body
    assert heard == (b"hello\n" * len(heard))[: len(heard)]
    assert Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[0] in "RS"
    scheduler.send(Kill(1))
    scheduler.collect(1)


def test_tasks_that_change_meanwhile_are_never_taken_for_each_other(host: SupervisedHost) -> None:
    """Each writes its own index, among other variables."""
    scheduler = host.attach()
    brief = ENVIRONMENT.replace("(i32.const 1) (i32.const 24)))))", f"(i32.const 1) (i32.const 24))) {A_WHILE}))")
    outputs: list[Output] = []
    rows: dict[tuple[int, int], Row] = {}
    batch, count = 0, 40
    while batch < 2 or not any(output.body for output in outputs):
        batch += 1
        scheduler.start(batch, brief, range(count))
        done = 0
        while done < count:
            time.sleep(0.005)  # the worker is between two tasks when it reports, and not given a cpu before we are
            for task in range(done, count):
                ask(scheduler, batch, task)
            message = scheduler.read()
            if isinstance(message, Output):
                outputs.append(message)
            else:
                assert isinstance(message, Finished)
                done += message.count
                rows.update({(batch, row.task): row for row in Rows.decode(message.body)})
    assert len({row.stdout for row in rows.values()}) == count
    assert [one for one in outputs if not rows[one.batch, one.task].stdout.startswith(one.body)] == []


def test_where_there_is_no_proc_there_is_no_answer(host: SupervisedHost) -> None:
    rescue = host.library / "batchwasm_runner" / "rescue.py"
    rescue.write_text(rescue.read_text().replace("/proc/", "/no-proc/"))
    scheduler = host.attach()
    scheduler.start(1, SPIN)
    host.wait_until_a_guest_speaks()
    ask(scheduler, 1, 0)
    scheduler.send(Kill(1))
    assert set(scheduler.collect(1)[1]) == {(1, 0)}
