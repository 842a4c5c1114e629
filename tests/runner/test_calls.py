"""Calls of functions: what goes in and comes out, what an instance keeps, how a call can end; by both ways to call."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from batchwasm.runner.protocol import VALUE_INLINE_BYTES, Row, TaskWork
from tests.runner.forked import MIB, WASI, Forked
from tests.runner.reactors import (
    ARGUMENTS,
    COUNT,
    COUNTS,
    ECHO,
    EXIT,
    FIRST_IS,
    MKDIR,
    SAY,
    TRAP,
    call,
    calls,
    data,
    error,
    gives,
    module,
    outcome,
    reactor,
    says,
    small,
    text,
)

PAGE = 65536


def values(rows: list[Row]) -> list[bytes | None]:
    return [row.value for row in rows]


# ------------------------------------------------------------------------------------------------- in and out


def test_a_call_gives_its_value_and_has_no_exit_code(host: Forked) -> None:
    row = call(host, reactor())
    assert (outcome(row), row.value, row.exit_code, row.detail) == (("succeeded", ""), ARGUMENTS, None, None)
    assert (row.stdout, row.stderr, row.files, row.peak_memory_bytes) == (b"", b"", (), 2 * PAGE)
    assert row.wall_us < 1_000_000


def test_each_call_of_a_batch_gets_its_own_arguments(host: Forked) -> None:
    tasks = [TaskWork(k + 5, 2, arguments=b"\x81\x19" + k.to_bytes(2, "big")) for k in range(2000)]
    for reuse in (False, True):
        rows = calls(host, reactor(), tasks, reuse=reuse)
        assert [(row.task, row.number, row.value) for row in rows] == [(t.task, 2, t.arguments) for t in tasks]


def test_a_call_without_arguments_gets_the_empty_array(host: Forked) -> None:
    assert values(calls(host, reactor(), [TaskWork(0, 1)])) == [b"\x80"]


def test_arguments_may_lie_in_a_file_of_the_cache(host: Forked) -> None:
    content = os.urandom(3 * MIB)
    wasm = reactor("(call $answer (i32.add (local.get $at) (i32.const 2097152)) (i32.const 1000))", memory="100")
    tasks = [TaskWork(0, 1, arguments_file=host.file(content)), TaskWork(1, 1, arguments_file="0" * 64), TaskWork(2, 1)]
    there, missing, other = calls(host, wasm, tasks, reuse=True)
    assert there.value == content[2097152:][:1000]
    assert outcome(missing) == ("invalid", "input_missing")
    assert outcome(other) == ("succeeded", "")


@pytest.mark.parametrize(
    ("alloc", "body"),
    [
        # New pages, which may move the memory: the arguments go to where it is afterwards, and so does the answer.
        ("(i32.mul (memory.grow (i32.const 300)) (i32.const 65536))", ECHO),
        (
            "(i32.const 1024)",
            """(local.set $i (i32.mul (memory.grow (i32.const 300)) (i32.const 65536)))
            (memory.copy (local.get $i) (local.get $at) (local.get $size))
            (call $answer (local.get $i) (local.get $size))""",
        ),
    ],
)
def test_memory_may_grow_and_move_in_any_call(host: Forked, alloc: str, body: str) -> None:
    rows = calls(host, reactor(body, alloc=alloc), 3, reuse=True)
    assert values(rows) == [ARGUMENTS] * 3
    assert [row.peak_memory_bytes for row in rows] == [(2 + 300 * n) * PAGE for n in (1, 2, 3)]


def test_the_last_byte_of_memory_can_be_used(host: Forked) -> None:
    alloc = "(i32.sub (i32.const 131072) (local.get $size))"
    assert call(host, reactor(alloc=alloc)).value == ARGUMENTS


@pytest.mark.parametrize("size", [VALUE_INLINE_BYTES, VALUE_INLINE_BYTES + 1, 20 * MIB])
def test_a_long_value_goes_to_the_spool_with_its_digest(host: Forked, size: int) -> None:
    fill = f"(memory.fill (i32.const 4096) (i32.const 7) (i32.const {size}))"
    wasm = reactor(f"{fill} (call $answer (i32.const 4096) (i32.const {size}))", memory="400")
    # More than a file of a guest may have.
    first, second = calls(host, wasm, 2, reuse=True, disk_bytes=MIB)
    for row in (first, second):
        assert outcome(row) == ("succeeded", "")
        if size <= VALUE_INLINE_BYTES:
            assert (row.value, row.detail) == (b"\7" * size, None)
        else:
            assert row.value is None
            assert row.detail is not None
            assert row.detail.value_spooled == (size, hashlib.sha256(b"\7" * size).hexdigest())
            assert host.spooled("value") == b"\7" * size


def test_what_a_function_prints_is_its_stdout_also_without_a_newline(host: Forked) -> None:
    words, say = says("hello")
    wasm = reactor(f"{say} {ECHO}", imports=SAY, more=words)
    for reuse in (False, True):
        rows = calls(host, wasm, 3, reuse=reuse)
        assert [(row.stdout, row.value) for row in rows] == [(b"hello", ARGUMENTS)] * 3


def test_a_function_sees_the_folder_inputs_and_environment_of_a_task_and_no_arguments_of_a_program(
    host: Forked,
) -> None:
    sizes = f"""(import "{WASI}" "args_sizes_get" (func $args (param i32 i32) (result i32)))
        (import "{WASI}" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
        (import "{WASI}" "path_open"
          (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"""
    look = """(drop (call $args (i32.const 0) (i32.const 16)))
        (drop (call $environ (i32.const 4) (i32.const 16)))
        (i32.store8 (i32.const 2) (call $open (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 2) (i32.const 0)
          (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 16)))
        (i32.store8 (i32.const 1) (i32.load8_u (i32.const 4))) (call $answer (i32.const 0) (i32.const 3))"""
    wasm = reactor(look, imports=sizes, more=data(32, b"in"))
    none = call(host, wasm, args=["not", "for", "functions"])
    inputs = [("in", host.file(b"x"))]
    there = call(host, wasm, env={"A": "1"}, inputs=inputs)
    # How many arguments, how many variables (PWD and five BATCHWASM_* are always there), and what opening `in` gave.
    assert (none.value, there.value) == (bytes([1, 6, 44]), bytes([1, 7, 0]))


@pytest.mark.parametrize(
    ("more", "first"),
    [
        ('(func (export "_initialize") (global.set $n (i32.const 7))) (func (export "bw_init") (unreachable))', 8),
        ('(func (export "bw_init") (global.set $n (i32.const 4)))', 5),
        ("", 1),
    ],
)
def test_a_module_is_set_up_once_before_its_first_call(host: Forked, more: str, first: int) -> None:
    rows = calls(host, reactor(COUNTS, more=COUNT + more), 3, reuse=True)
    assert values(rows) == [bytes([first + n]) for n in range(3)]


# ------------------------------------------------------------------------------------------ what is kept of it


def test_each_call_has_an_instance_of_its_own_unless_the_batch_says_otherwise(host: Forked) -> None:
    wasm = reactor(COUNTS, more=COUNT)
    assert values(calls(host, wasm, 3)) == [b"\1", b"\1", b"\1"]
    for _ in range(2):  # and never beyond a batch
        assert values(calls(host, wasm, 3, reuse=True)) == [b"\1", b"\2", b"\3"]


def test_an_instance_is_kept_after_an_error_and_dropped_after_anything_that_went_wrong(host: Forked) -> None:
    raised = error("raised", "")
    raises = f"(return (call $answer (i32.const 32) (i32.const {len(raised)})))"
    outside = "(return (call $answer (i32.const 131072) (i32.const 1)))"
    refused = "(drop (memory.grow (i32.const 60000)))"
    ways = [raises, TRAP, "(call $exit (i32.const 3))", outside, refused]
    choices = "".join(f"(if {FIRST_IS.format(n)} (then {way}))" for n, way in enumerate(ways, 1))
    wasm = reactor(f"{choices} {COUNTS}", imports=EXIT, more=COUNT + data(32, raised))
    for first, after in ((1, b"\2"), (2, b"\1"), (3, b"\1"), (4, b"\1"), (5, b"\1")):
        tasks = [TaskWork(k, 1, arguments=small(n)) for k, n in enumerate((0, first, 0))]
        rows = calls(host, wasm, tasks, reuse=True)
        assert (rows[0].value, rows[2].value) == (b"\1", after), first


TIMES = f'''(import "{WASI}" "fd_filestat_set_times" (func $times (param i32 i64 i64 i32) (result i32)))'''


@pytest.mark.parametrize(
    ("imports", "change"),
    [
        (MKDIR, "(call $mkdir (i32.const 3) (i32.const 32) (i32.const 1))"),
        (TIMES, "(call $times (i32.const 3) (i64.const 0) (i64.const 0) (i32.const 5))"),
    ],
)
def test_an_instance_that_changed_its_folder_is_dropped(host: Forked, imports: str, change: str) -> None:
    wasm = reactor(f"(if {change} (then (unreachable))) {COUNTS}", imports=imports, more=COUNT + data(32, b"d"))
    rows = calls(host, wasm, 3, reuse=True)
    assert values(rows) == [b"\1"] * 3  # and each found an empty folder


def test_a_call_with_a_world_of_its_own_shares_no_instance(host: Forked) -> None:
    wasm = reactor(COUNTS, more=COUNT)
    own = [
        {},
        {},
        {"env": {"A": "1"}},
        {},
        {},
        {"inputs": [("in", host.file(b"x"))]},
        {},
        {"stdin": host.file(b"x")},
        {},
    ]
    tasks = [TaskWork(k, 1, arguments=ARGUMENTS, **more) for k, more in enumerate(own)]  # type: ignore[arg-type]
    rows = calls(host, wasm, tasks, reuse=True)
    assert values(rows) == [b"\1", b"\2", b"\1", b"\1", b"\2", b"\1", b"\1", b"\1", b"\1"]


def test_programs_and_functions_take_turns_in_a_worker(host: Forked) -> None:
    for _ in range(3):
        assert host.tool("say", "x").stdout == b"x\n"
        assert values(calls(host, reactor(COUNTS, more=COUNT), 2, reuse=True)) == [b"\1", b"\2"]


# -------------------------------------------------------------------------------------------------- how it ends


def test_an_error_that_the_function_raises_is_its_reason(host: Forked) -> None:
    row = call(host, gives(error("raised", "empty list ü")))
    assert (outcome(row), text(row), row.value, row.exit_code) == (("failed", "raised"), "empty list ü", None, None)
    silent = call(host, gives(error("raised", "")))
    assert (outcome(silent), text(silent)) == (("failed", "raised"), "raised an error without a message")


def test_arguments_that_do_not_fit_are_a_reason_of_their_own(host: Forked) -> None:
    row = call(host, gives(error("argument", "xs: expected list<f64>, found null")))
    assert (outcome(row), text(row)) == (("failed", "argument"), "xs: expected list<f64>, found null")


def test_an_error_longer_than_any_value_is_told_in_brief(host: Forked) -> None:
    head = error("raised", "x" * 3 * MIB)[: -3 * MIB]
    fill = f"(memory.fill (i32.const {4096 + len(head)}) (i32.const 120) (i32.const {3 * MIB}))"
    answer = f"(call $answer (i32.const 4096) (i32.const {len(head) + 3 * MIB}))"
    wasm = reactor(f"{fill} {answer}", more=data(4096, head), memory="100")
    row = call(host, wasm)
    assert outcome(row) == ("failed", "raised")
    assert text(row).startswith("xxx")
    assert len(text(row)) < 2100
    assert not (Path(host.root) / "spool" / str(host.page.read().batch) / "0" / "value").exists()


def test_any_other_tag_is_a_value(host: Forked) -> None:
    for value in (b"\xd8\x56\x48" + bytes(8), b"\xc1\x01", b"\xd9\x62\x78\x01"):
        assert call(host, gives(value)).value == value


def test_an_exit_instead_of_a_value_is_a_failure_with_its_code(host: Forked) -> None:
    words, say = says("last words", fd=2)
    code = reactor(f"{say} (call $exit (i32.const 3)) (unreachable)", imports=SAY + EXIT, more=words)
    row = call(host, code)
    assert (outcome(row), row.exit_code, text(row)) == (("failed", "exit_code"), 3, "exited with code 3: last words")
    nothing = call(host, reactor("(call $exit (i32.const 0)) (unreachable)", imports=EXIT))
    assert (outcome(nothing), nothing.exit_code, nothing.value) == (("failed", "no_value"), 0, None)


@pytest.mark.parametrize("where", ["call", "alloc", "_initialize", "bw_init", "start"])
def test_a_trap_is_a_trap_wherever_it_is(host: Forked, where: str) -> None:
    zero = "(drop (i32.div_u (i32.const 1) (i32.const 0)))"
    more = {"start": f"(func $s {zero}) (start $s)"}.get(where, f'(func (export "{where}") {zero})')
    wasm = {
        "call": lambda: reactor(f"{zero} (i64.const 0)"),
        "alloc": lambda: reactor(alloc=f"{zero} (i32.const 8)"),
    }.get(where, lambda: reactor(more=more))()
    row = call(host, wasm)
    assert (outcome(row), row.value, row.exit_code) == (("trapped", "division_by_zero"), None, None)


@pytest.mark.parametrize("where", ["call", "alloc", "zero", "_initialize", "raised"])
def test_running_out_of_memory_is_known_wherever_it_is(host: Forked, where: str) -> None:
    grow = "(if (i32.eq (memory.grow (i32.const 60000)) (i32.const -1)) (then {}))"
    dies = grow.format("(unreachable)")
    raised = error("raised", "bad")
    raises = f"(call $answer (i32.const 65536) (i32.const {len(raised)}))"
    wasm = {
        "call": lambda: reactor(f"{dies} (i64.const 0)"),
        "alloc": lambda: reactor(alloc=f"{dies} (i32.const 8)"),
        "zero": lambda: reactor(alloc=f"{grow.format('(return (i32.const 0))')} (i32.const 8)"),
        "_initialize": lambda: reactor(more=f'(func (export "_initialize") {dies})'),
        "raised": lambda: reactor(f"{grow.format('')} {raises}", more=data(65536, raised)),
    }[where]()
    row = call(host, wasm)
    assert outcome(row) == ("out_of_memory", "memory")
    assert text(row).startswith("asked for 3750 MiB more at 128 KiB of 64 MiB")
    assert text(row).endswith("raised: bad") == (where == "raised")


def test_a_refusal_that_the_function_coped_with_is_not_held_against_it_or_the_next_call(host: Forked) -> None:
    grow = "(drop (memory.grow (i32.const 60000)))"
    wasm = reactor(f"(if {FIRST_IS.format(1)} (then {grow})) (if {FIRST_IS.format(2)} (then (unreachable))) {ECHO}")
    coped, trapped = calls(
        host, wasm, [TaskWork(0, 1, arguments=small(1)), TaskWork(1, 1, arguments=small(2))], reuse=True
    )
    assert outcome(coped) == ("succeeded", "")
    assert outcome(trapped) == ("trapped", "unreachable")


def test_a_module_that_needs_more_memory_than_its_limit_never_starts(host: Forked) -> None:
    row = call(host, reactor(memory="1025"))
    assert outcome(row) == ("out_of_memory", "memory")
    assert "to start" in text(row)


def test_a_declared_output_that_is_not_there_fails_the_call(host: Forked) -> None:
    row = call(host, reactor(), outputs=["result.csv"])
    assert (outcome(row), row.value) == (("failed", "missing_output"), None)
    assert call(host, reactor(), outputs=["result.csv?"]).value == ARGUMENTS


def test_too_much_output_is_its_own_outcome_and_leaves_no_value(host: Forked) -> None:
    words, say = says("x" * 100)
    row = call(host, reactor(f"{say} {say} {ECHO}", imports=SAY, more=words), stdout_bytes=150)
    assert (outcome(row), row.value, row.stdout) == (("limit_exceeded", "stdout"), None, b"x" * 150)


# ---------------------------------------------------------------------------------------- what is no such module

MEMORY = '(memory (export "memory") 1)'
BW_ALLOC = '(func (export "bw_alloc") (param i32) (result i32) (i32.const 8))'
BW_CALL = '(func (export "bw_call") (param i32 i32) (result i64) (i64.const 0))'


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (BW_ALLOC + BW_CALL, "memory"),
        (MEMORY.replace('memory"', 'mem"') + BW_ALLOC + BW_CALL, "memory"),
        ('(memory (export "memory") i64 1)' + BW_ALLOC + BW_CALL, "32-bit memory"),
        (MEMORY + BW_CALL, "bw_alloc"),
        (MEMORY + BW_ALLOC, "bw_call"),
        (MEMORY + BW_ALLOC + '(global (export "bw_call") i32 (i32.const 1))', "bw_call"),
        (MEMORY + BW_CALL + '(func (export "bw_alloc") (param i64) (result i32) (i32.const 8))', "(i32) -> (i32)"),
        (MEMORY + BW_CALL + '(func (export "bw_alloc") (param i32))', "(i32) -> (i32)"),
        (MEMORY + BW_ALLOC + '(func (export "bw_call") (param i32 i32) (result i32) (i32.const 0))', "-> (i64)"),
        (MEMORY + BW_ALLOC + BW_CALL + '(func (export "_initialize") (param i32))', "_initialize"),
        (MEMORY + BW_ALLOC + BW_CALL + '(func (export "bw_init") (result i32) (i32.const 0))', "bw_init"),
        (MEMORY + '(import "env" "f" (func))' + BW_ALLOC + BW_CALL, "env"),
    ],
)
def test_a_module_that_is_no_functions_is_refused_with_what_it_lacks(host: Forked, body: str, words: str) -> None:
    if "import" in body:
        body = '(import "env" "f" (func))' + body.replace('(import "env" "f" (func))', "")
    rows = calls(host, module(body), 2)
    assert [outcome(row) for row in rows] == [("invalid", "module_refused")] * 2
    assert words in text(rows[0])


def test_a_module_may_be_both_a_program_and_a_function(host: Forked) -> None:
    words, say = says("hello")
    wasm = reactor(imports=SAY, more=words + f'(func (export "_start") {say})')
    for _ in range(2):
        assert host.one(host.artifact(wasm)).stdout == b"hello"
        assert call(host, wasm).value == ARGUMENTS
