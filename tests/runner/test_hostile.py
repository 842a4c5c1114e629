"""Guests that mean harm, in a real worker: what they get, and that the next task of the same worker notices nothing.

What docs/protections.md claims of a host's safety is shown here, or in the tests that it names.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import wasmtime

from batchwasm.model import Outcome
from batchwasm.runner.protocol import Detail, OutputFile, ProtocolError, Row, Rows, TaskWork
from batchwasm.runner.worker import _size
from tests.runner.forked import MIB, WASI, Forked
from tests.runner.reactors import ALLOC, ECHO, FIRST_IS, SPIN, call, calls, error, gives, reactor, small
from tests.runner.supervised import SupervisedHost, eventually, supervised_host

NOBODY = 65534
MEMORY = '(memory (export "memory") 1)'


def outcome(row: Row) -> tuple[str, str]:
    return Outcome(row.outcome).word, row.detail.code if row.detail else ""


def text(row: Row) -> str:
    assert row.detail is not None
    return row.detail.text


def module(body: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {body})"))


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had, since the last `forget_peak`."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


@pytest.fixture
def worker(host: Forked) -> Iterator[Forked]:
    """A worker by each way to call wasmtime; after the test it is the same process, and as good as new."""
    host.start()
    pid = host.pid
    yield host
    assert host.pid == pid
    row = host.tool("ls", ".", "say", "fine", "stdin", "cat", "in.txt", inputs=[("in.txt", host.file(b"as it was\n"))])
    assert (outcome(row), row.stdout, row.stderr) == (("succeeded", ""), b"in.txt\nfine\nas it was\n", b"")


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[SupervisedHost]:
    """A host with its supervisor."""
    yield from supervised_host(tmp_path)


# ------------------------------------------------------------------------------------------------- modules


@pytest.mark.parametrize("count", [1, 500])
def test_a_start_that_takes_or_gives_values_is_refused_and_overwrites_nothing(worker: Forked, count: int) -> None:
    values = "i64 " * count
    for kind, body in ((f"(param {values})", ""), (f"(result {values})", "(i64.const -1)" * count)):
        row = worker.one(worker.artifact(module(f'{MEMORY} (func (export "_start") {kind} {body})')))
        assert outcome(row) == ("invalid", "module_refused")
        assert "_start" in text(row)


def test_tables_are_no_way_around_the_memory_limit(worker: Forked) -> None:
    tables = "(table 1000000 funcref)" * 50
    fill = "".join(f"(table.fill {n} (i32.const 0) (ref.func $f) (i32.const 1000000))" for n in range(50))
    wasm = module(f'{MEMORY} {tables} (func $f) (elem declare func $f) (func (export "_start") {fill})')
    worker.tool("say", "warm")
    before = peak_bytes(worker.pid)
    row = worker.one(worker.artifact(wasm))
    assert outcome(row) == ("invalid", "module_refused")
    assert peak_bytes(worker.pid) < before + 100 * MIB


def test_a_reason_is_short_whatever_names_a_module_has(worker: Forked) -> None:
    name = "x" * 90_000
    traps = module(f'{MEMORY} (func ${name} (unreachable)) (func (export "_start") (call ${name}))')
    imports = module(f'(import "a" "{name}" (func)) {MEMORY} (func (export "_start"))')
    for wasm in (traps, imports):
        assert 40 < len(text(worker.one(worker.artifact(wasm)))) < 2500


# ---------------------------------------------------------------------------------------------- its folder


def test_folders_without_end_do_not_stop_the_supervisor(supervised: SupervisedHost, toolbox: bytes) -> None:
    scheduler = supervised.attach()
    # Asleep beyond its time, the guest takes its worker down, and what it made is the supervisor's to remove.
    scheduler.start(1, toolbox, time_s=1.0, args=["deep", "1500", "sleep", "60000"])
    rows, _ = scheduler.collect(1)
    assert Outcome(rows[1, 0].outcome) in (Outcome.TIMED_OUT, Outcome.LIMIT_EXCEEDED)
    eventually(lambda: not list(supervised.workdir.glob("scratch/*/w*")), "what it left is removed")
    scheduler.start(2, toolbox, args=["say", "still here"])
    rows, _ = scheduler.collect(1)
    assert rows[2, 0].stdout == b"still here\n"
    scheduler.detach()


def test_files_without_a_name_count_until_they_are_closed(worker: Forked) -> None:
    hide = ["hide", str(4 * MIB)] * 6
    row = worker.tool(*hide, "spin", disk_bytes=16 * MIB, time_s=30)
    assert outcome(row) == ("limit_exceeded", "disk")
    assert row.wall_us < 10_000_000


def test_a_guest_that_holds_all_descriptors_is_still_looked_after(worker: Forked) -> None:
    row = worker.tool("hold", "mkdir", "x", *["hide", str(4 * MIB)], "spin", time_s=2)
    assert outcome(row) == ("timed_out", "time_limit")
    full = ["write", "a", str(9 * MIB), "write", "b", str(9 * MIB), "hold", "spin"]
    row = worker.tool(*full, disk_bytes=16 * MIB, time_s=30)
    assert outcome(row) == ("limit_exceeded", "disk")
    assert row.wall_us < 10_000_000


def test_a_guest_asleep_with_all_descriptors_still_brings_its_outputs(fresh: Forked) -> None:
    (row,) = fresh.run(
        fresh.work(fresh.toolbox, [["write", "out", "3", "hold", "sleep", "60000"]], time_s=0.5, outputs=["out"])
    )
    assert outcome(row) == ("timed_out", "time_limit")
    assert row.files == (b"xxx",)


def test_a_flood_of_files_is_ended_and_gone_before_the_next_task(worker: Forked) -> None:
    row = worker.tool("many", "100000", files=100, time_s=30)
    assert outcome(row) == ("limit_exceeded", "files")


# ---------------------------------------------------------------------------------------------- its inputs

SHARED = b"the same for every task\n"
TAMPER = ["change", "in", "truncate", "in", "link", "in", "also", "change", "also", "truncate", "also"]
TAMPER += ["rename", "in", "moved", "change", "moved", "write", "in", "5", "rm", "also", "rm", "moved"]


def tamper(worker: Forked) -> None:
    digest = worker.file(SHARED)
    row = worker.tool(*TAMPER, inputs=[("in", digest)])
    assert (outcome(row), row.stderr) == (("succeeded", ""), b"")
    assert row.stdout.count(b"Permission denied") == 5
    again = worker.tool("cat", "in", inputs=[("in", digest)])
    assert again.stdout == SHARED
    assert (worker.root / "cache/files" / digest).read_bytes() == SHARED


def test_no_way_to_write_reaches_an_input(worker: Forked) -> None:
    tamper(worker)


def test_the_times_of_an_input_tell_nothing_of_earlier_tasks(worker: Forked) -> None:
    inputs = [("in", worker.file(b"of what age?\n"))]
    scripts = [["age", "in"], ["touch", "in"], ["age", "in"]]
    rows = worker.run(worker.work(worker.toolbox, scripts, inputs=inputs))
    assert [row.stdout for row in rows] == [b"315532800\n", b"", b"315532800\n"]


@pytest.fixture
def nobodys(toolbox: bytes) -> Iterator[Forked]:
    """A worker that is not root's."""
    with tempfile.TemporaryDirectory(prefix="bw-", dir="/tmp") as name:
        root = Path(name)
        worker = Forked(root, toolbox=toolbox, user=NOBODY if os.geteuid() == 0 else None)
        worker.file(SHARED)
        yield worker
        worker.end()


def test_nor_does_one_of_a_plain_user_who_owns_the_file(nobodys: Forked) -> None:
    nobodys.start()
    assert os.stat(f"/proc/{nobodys.pid}").st_uid != 0
    tamper(nobodys)


# --------------------------------------------------------------------------------------- descriptors, stdio


def test_nothing_of_an_earlier_task_or_of_the_worker_can_be_read(worker: Forked) -> None:
    worker.tool("say", "SECRET " * 100, "err", "SECRET " * 100, env={"SECRET": "1"})
    row = worker.tool("peek", "env", "ls", ".")
    assert (outcome(row), row.stderr) == (("succeeded", ""), b"")
    assert b"SECRET" not in row.stdout


@pytest.mark.parametrize("fd", range(8))
def test_a_guest_that_closes_a_descriptor_closes_its_own(worker: Forked, fd: int) -> None:
    row = worker.tool("close", str(fd), "say", "x", "write", "y", "1")
    assert outcome(row)[0] in ("succeeded", "trapped", "failed")


def test_a_flood_in_small_pieces_leaves_nothing_to_the_next(worker: Forked) -> None:
    write = f'(import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
    data = '(data (i32.const 0) "\\10\\00\\00\\00\\07\\00\\00\\00SECRET!")'.replace("SECRET!", "\\00" * 8 + "SECRET!")
    once = "(i32.eqz (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"
    flood = module(f'{write} {MEMORY} {data} (func (export "_start") (loop $l (br_if $l {once})))')
    row = worker.one(worker.artifact(flood), stdout_bytes=10_000)
    assert outcome(row) == ("limit_exceeded", "stdout")
    assert row.stdout == (b"SECRET!" * 2000)[:10_000]


# ----------------------------------------------------------------------------------------- memory and time


def test_exceptions_and_structures_that_are_kept_run_out_of_room(worker: Forked) -> None:
    kept = """(type $a (array (mut i64))) (type $n (struct (field (ref null $a)) (field (ref null $n))))
        (global $g (mut (ref null $n)) (ref.null $n)) (func (export "_start") (loop $l
        (global.set $g (struct.new $n (array.new $a (i64.const 1) (i32.const 10000)) (global.get $g))) (br $l)))"""
    values = "i64 " * 500
    thrown = f"""(tag $t (param {values})) (table $x 1000000 exnref) (global $i (mut i32) (i32.const 0))
        (func (export "_start") (loop $l (table.set $x (global.get $i) (block $h (result exnref)
          (try_table (catch_all_ref $h) {"(i64.const 1)" * 500} (throw $t)) (unreachable)))
        (global.set $i (i32.add (global.get $i) (i32.const 1))) (br $l)))"""
    for body in (kept, thrown):
        forget_peak(worker.pid)
        before = peak_bytes(worker.pid)
        row = worker.one(worker.artifact(module(f"{MEMORY} {body}")), memory_bytes=64 * MIB, time_s=60)
        assert outcome(row) == ("trapped", "trap")
        assert peak_bytes(worker.pid) < before + 200 * MIB


@pytest.mark.parametrize("where", ["start function", "_start"])
def test_a_loop_ends_on_time_wherever_it_is(worker: Forked, where: str) -> None:
    start, main = ("(loop $l (br $l))", "") if where == "start function" else ("", "(loop $l (br $l))")
    wasm = module(f'{MEMORY} (func $s {start}) (start $s) (func (export "_start") {main})')
    row = worker.one(worker.artifact(wasm), time_s=0.3)
    assert outcome(row) == ("timed_out", "time_limit")
    assert row.wall_us < 2_000_000


# ------------------------------------------------------------------------------------------------- functions

PAGES_2 = 2 * 65536
OUTSIDE = [(PAGES_2, 1), (PAGES_2 - 1, 2), (0, PAGES_2 + 1), (-1, 1), (-1, -1), (8, -1), (0, 0), (PAGES_2, 0), (-8, 8)]


@pytest.mark.parametrize(("at", "size"), OUTSIDE)
def test_an_answer_outside_of_the_memory_is_not_read(worker: Forked, at: int, size: int) -> None:
    wasm = reactor(f"(call $answer (i32.const {at}) (i32.const {size}))")
    for reuse in (False, True):
        rows = calls(worker, wasm, 3, reuse=reuse)
        assert [(outcome(row), row.value) for row in rows] == [(("failed", "bad_value"), None)] * 3
        assert "answer of" in text(rows[0]) or "empty answer" in text(rows[0])


@pytest.mark.parametrize("at", [-1, PAGES_2, PAGES_2 - 1, -4, -(2**31), 2**31 - 1, 0])
def test_arguments_are_not_written_outside_of_the_memory(worker: Forked, at: int) -> None:
    # Not the first time, so that the second call meets an instance that is kept.
    alloc = f"(if (result i32) (global.get $n) (then (i32.const {at})) (else (global.set $n (i32.const 1)) {ALLOC}))"
    first, second, third = calls(
        worker, reactor(alloc=alloc, more="(global $n (mut i32) (i32.const 0))"), 3, reuse=True
    )
    assert (outcome(first), outcome(third)) == (("succeeded", ""), ("succeeded", ""))
    assert outcome(second) == ("failed", "bad_value")
    assert ("no memory for" if at == 0 else "as the place of 6 bytes") in text(second)
    big = TaskWork(0, 1, arguments_file=worker.file(bytes(PAGES_2 + 1)))
    (row,) = calls(worker, reactor(), [big])
    assert outcome(row) == ("failed", "bad_value")


def test_arguments_larger_than_any_memory_are_no_room_for_an_overflow(worker: Forked) -> None:
    digest = "f" * 64
    path = worker.root / "cache/files" / digest
    with path.open("wb") as file:
        file.truncate(2**32 + 8)  # a hole
    (row,) = calls(worker, reactor(), [TaskWork(0, 1, arguments_file=digest)])
    path.unlink()
    assert outcome(row) == ("failed", "bad_value")
    assert "4294967304 bytes of arguments" in text(row)


def test_a_length_that_covers_all_memory_is_copied_nowhere_but_to_the_disk(worker: Forked) -> None:
    wasm = reactor("(call $answer (i32.const 0) (i32.const 134217728))", memory="2048")
    call(worker, wasm, memory_bytes=256 * MIB)
    forget_peak(worker.pid)
    before = peak_bytes(worker.pid)
    row = call(worker, wasm, memory_bytes=256 * MIB)
    assert row.detail is not None
    assert row.detail.value_spooled is not None
    assert row.detail.value_spooled[0] == 128 * MIB
    assert peak_bytes(worker.pid) < before + 160 * MIB  # the guest's own pages count, once


@pytest.mark.parametrize(
    "rest", [b"\x82\x66raised", b"\x82\x66raised\x7b" + b"\xff" * 8, b"\x60", b"", b"\x82\x61x\x60"]
)
def test_an_error_that_can_not_be_read_fails_the_call_and_nothing_else(worker: Forked, rest: bytes) -> None:
    row = call(worker, gives(b"\xd9\x62\x77" + rest))
    assert outcome(row) == ("failed", "bad_value")
    assert "error that can't be read" in text(row)


def test_an_error_of_control_characters_and_halves_is_just_text(worker: Forked) -> None:
    row = call(worker, gives(error("raised", "\x00\x1b[2J\n\u202e")))
    assert (outcome(row), text(row)) == (("failed", "raised"), "\x00\x1b[2J\n\u202e")


@pytest.mark.parametrize("count", [1, 500])
@pytest.mark.parametrize("name", ["_initialize", "bw_init"])
def test_a_setup_that_takes_or_gives_values_is_refused_and_overwrites_nothing(
    worker: Forked, name: str, count: int
) -> None:
    values = "i64 " * count
    for kind, body in ((f"(param {values})", ""), (f"(result {values})", "(i64.const -1)" * count)):
        row = call(worker, reactor(more=f'(func (export "{name}") {kind} {body})'))
        assert outcome(row) == ("invalid", "module_refused")
        assert name in text(row)


def test_nothing_of_an_earlier_call_is_in_the_memory_of_a_fresh_one(worker: Forked) -> None:
    # The first keeps a secret, the second looks for it where the first had it.
    wasm = reactor(
        f"""(if {FIRST_IS.format(1)} (then (memory.fill (i32.const 70000) (i32.const 83) (i32.const 9))))
        (call $answer (i32.const 70000) (i32.const 9))"""
    )
    tasks = [TaskWork(k, 1, arguments=small(n)) for k, n in enumerate((1, 0, 1, 0))]
    rows = calls(worker, wasm, tasks)
    assert [row.value for row in rows] == [b"SSSSSSSSS", bytes(9)] * 2


@pytest.mark.parametrize("where", ["call", "alloc", "_initialize", "bw_init", "start"])
def test_a_call_in_a_loop_ends_on_time_wherever_it_is(worker: Forked, where: str) -> None:
    more = {"start": "(func $s (loop $l (br $l))) (start $s)"}
    wasm = {"call": reactor(SPIN), "alloc": reactor(alloc=SPIN)}.get(where)
    wasm = wasm or reactor(more=more.get(where, f'(func (export "{where}") (loop $l (br $l)))'))
    row = call(worker, wasm, time_s=0.3)
    assert outcome(row) == ("timed_out", "time_limit")
    assert row.wall_us < 2_000_000


def test_one_endless_call_among_a_thousand_is_the_only_one_that_is_timed_out(worker: Forked) -> None:
    wasm = reactor(f"(if {FIRST_IS.format(1)} (then (loop $l (br $l)))) {ECHO}")
    tasks = [TaskWork(k, 1, arguments=small(int(k == 600))) for k in range(1000)]
    for reuse in (False, True):
        rows = calls(worker, wasm, tasks, reuse=reuse, time_s=0.3)
        assert [row.task for row in rows] == list(range(1000))
        assert [row.task for row in rows if outcome(row) != ("succeeded", "")] == [600]
        assert outcome(rows[600]) == ("timed_out", "time_limit")


def test_each_call_of_an_instance_has_the_whole_time_limit_and_no_more(worker: Forked) -> None:
    spin = """(loop $l (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 100000000))))"""
    rows = calls(worker, reactor(spin + ECHO), 1)
    once_s = rows[0].wall_us / 1e6
    rows = calls(worker, reactor(spin + ECHO), 30, reuse=True, time_s=5 * once_s)  # even if the first was a slow one
    assert [outcome(row) for row in rows] == [("succeeded", "")] * 30
    assert sum(row.wall_us for row in rows) / 1e6 > 5 * once_s


# -------------------------------------------------------------------------------------------- hostile hosts


def test_a_report_of_little_but_brackets_is_not_read() -> None:
    head = b"[" + b"[]," * 8_000_000 + b"[]]"
    with pytest.raises(ProtocolError, match="bytes of JSON"):
        Rows.decode(struct.pack("!I", len(head)) + head)


def test_what_waits_to_be_reported_is_never_larger_than_it_is_taken_for() -> None:
    names = [OutputFile(f"{'ü' * 200}\n{k}", 0, "0" * 64, True) for k in range(1000)]
    detail = Detail("trap", "\x00" * 2000, None, None, names)
    row = Row(1, 1, 4, None, 1e9, 1, 1, 1, b"out", b"err", detail, (b"",) * 1000)
    for one in (row, row._replace(value=b"x" * 1000), Row(1, 1, 2, None, 1e9, 1, 1, 1, value=b"x" * 1000)):
        assert len(Rows.encode([one])) <= _size(one) < 2 * len(Rows.encode([one]))
