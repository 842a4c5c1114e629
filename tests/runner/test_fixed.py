"""The world of a deterministic guest: by itself, and as both ways to call wasmtime give it to a guest."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import pytest
import wasmtime

from batchwasm.runner import cache, fixed
from batchwasm.runner.protocol import Row, TaskWork
from batchwasm.runner.seed import seed_of
from tests.runner.forked import WASI, Forked
from tests.runner.reactors import ECHO, calls, module, outcome, reactor, text

START = 946_684_800 * 10**9
STEP = 1000
IMPORTS = f"""
    (import "{WASI}" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (import "{WASI}" "clock_res_get" (func $res (param i32 i32) (result i32)))
    (import "{WASI}" "random_get" (func $random (param i32 i32) (result i32)))
    (import "{WASI}" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
    (import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
"""


def program(body: str, more: str = "") -> bytes:
    """Runs `body`, then prints the bytes from 1024 to 1280."""
    return module(f"""{IMPORTS} (memory (export "memory") 1) {more}
        (func (export "_start") (local $i i32) {body}
          (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 256))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))""")


def note(at: int, call: str) -> str:
    """Keeps what a function returned."""
    return f"(i32.store8 (i32.const {at}) {call})"


def run(host: Forked, wasm: bytes, *, task: int = 0, number: int = 1, deterministic: bool = True, **more: Any) -> Row:
    work = host.work(host.artifact(wasm), [TaskWork(task, number)], deterministic=deterministic, **more)
    (row,) = host.run(work)
    return row


SEES = program(
    "(drop (call $time (i32.const 0) (i64.const 1) (i32.const 1024)))"
    "(drop (call $time (i32.const 1) (i64.const 1) (i32.const 1032)))"
    "(drop (call $res (i32.const 1) (i32.const 1040)))"
    "(drop (call $random (i32.const 1048) (i32.const 100)))"
    "(drop (call $random (i32.const 1148) (i32.const 100)))"
)
"""Both clocks, the resolution of one, and random numbers."""


# ------------------------------------------------------------------------------------------ seen by a guest


def test_clocks_start_at_a_fixed_instant_and_each_reading_moves_both_by_a_microsecond(host: Forked) -> None:
    row = run(host, SEES)
    assert struct.unpack_from("<QQQ", row.stdout) == (START + STEP, 2 * STEP, STEP)


def test_a_task_sees_the_same_at_every_attempt_and_another_task_other_random_numbers(host: Forked) -> None:
    first, again, other = run(host, SEES, task=3), run(host, SEES, task=3, number=2), run(host, SEES, task=4)
    assert first.stdout == again.stdout
    assert first.stdout[:24] == other.stdout[:24]
    draws = {row.stdout[at : at + 100] for row in (first, other) for at in (24, 124)}
    assert len(draws) == 4


def test_the_random_numbers_of_a_task_stay_as_they_are_in_every_version(host: Forked) -> None:
    assert seed_of("box", 0) == 2427232595006204100
    assert run(host, SEES).stdout[24:34].hex() == "bcba1ebb86006f10880d"


def test_without_it_a_guest_sees_the_hosts_clocks_and_its_random_numbers(host: Forked) -> None:
    first, again = (run(host, SEES, deterministic=False) for _ in range(2))
    assert first.stdout[:16] != again.stdout[:16]
    assert first.stdout[24:] != again.stdout[24:]
    assert run(host, SEES).stdout == run(host, SEES).stdout  # one does not spoil the other in the same worker


def test_a_guest_that_waits_for_a_time_in_a_loop_comes_to_an_end(host: Forked) -> None:
    wait = """(loop $more
        (drop (call $time (i32.const 1) (i64.const 0) (i32.const 1024)))
        (br_if $more (i64.lt_u (i64.load (i32.const 1024)) (i64.const 20000000))))"""
    assert struct.unpack_from("<Q", run(host, program(wait)).stdout) == (20_000_000,)


SUBSCRIPTIONS = (
    '(data (i32.const 128) "'
    + "".join(
        f"\\{byte:02x}"
        for byte in b"".join(
            [
                struct.pack("<QB7xIxxxxQQH6x", 7, 0, 1, 30_000_000, 0, 0),  # in 30 ms
                struct.pack("<QB7xIxxxxQQH6x", 8, 0, 0, START + 20_000_000, 0, 1),  # at 20 ms after the start
                struct.pack("<QB7xI28x", 9, 2, 1),  # stdout can be written
            ]
        )
    )
    + '")'
)


def test_sleeping_takes_its_time_and_moves_the_clocks_by_just_that(host: Forked) -> None:
    body = note(1024, "(call $poll (i32.const 128) (i32.const 1032) (i32.const 2) (i32.const 1028))")
    body += "(drop (call $time (i32.const 1) (i64.const 0) (i32.const 1100)))"
    row = run(host, program(body, SUBSCRIPTIONS))
    errno, count, userdata, error, kind = struct.unpack_from("<B3xIQHB", row.stdout)
    assert (errno, count, userdata, error, kind) == (0, 1, 8, 0, 0)
    assert struct.unpack_from("<Q", row.stdout, 76) == (20_000_000 + STEP,)
    assert row.wall_us >= 20_000


def test_a_file_is_ready_at_once(host: Forked) -> None:
    body = note(1024, "(call $poll (i32.const 128) (i32.const 1032) (i32.const 3) (i32.const 1028))")
    row = run(host, program(body, SUBSCRIPTIONS))
    assert struct.unpack_from("<B3xIQHB5xQ", row.stdout) == (0, 1, 9, 0, 2, 1)


def test_a_sleep_ends_at_the_time_limit_all_the_same(fresh: Forked) -> None:
    long = '(data (i32.const 128) "' + "".join(f"\\{b:02x}" for b in struct.pack("<QB7xIxxxxQ", 7, 0, 1, 10**18)) + '")'
    body = "(drop (call $poll (i32.const 128) (i32.const 1032) (i32.const 1) (i32.const 1028)))"
    fresh.start()
    row = run(fresh, program(body, long), time_s=0.2)
    assert outcome(row) == ("timed_out", "time_limit")


@pytest.mark.parametrize("deterministic", [True, False])
@pytest.mark.parametrize(
    ("ask", "gives"),
    [
        ("$time (i32.const 2) (i64.const 0) (i32.const 1100)", 8),
        ("$time (i32.const 9) (i64.const 0) (i32.const 1100)", None),
        ("$time (i32.const 0) (i64.const 0) (i32.const 65530)", None),
        ("$res (i32.const 3) (i32.const 1100)", 8),
        ("$random (i32.const 65000) (i32.const 1000)", None),
        ("$random (i32.const -8) (i32.const 16)", None),
        ("$random (i32.const 65536) (i32.const 0)", 0),
        ("$poll (i32.const 128) (i32.const 1032) (i32.const 0) (i32.const 1028)", 28),
        ("$poll (i32.const 65528) (i32.const 1032) (i32.const 1) (i32.const 1028)", None),
        ("$poll (i32.const 128) (i32.const 1032) (i32.const 1) (i32.const 65534)", None),
    ],
)
def test_what_is_asked_wrongly_ends_as_it_does_in_wasmtime(
    host: Forked, deterministic: bool, ask: str, gives: int | None
) -> None:
    row = run(host, program(note(1024, f"(call {ask})")), deterministic=deterministic)
    if gives is None:
        assert outcome(row) == ("trapped", "trap")
    else:
        assert row.stdout[0] == gives


def test_a_module_without_a_memory_traps_as_it_would_else(host: Forked) -> None:
    source = f"""(module (import "{WASI}" "random_get" (func $random (param i32 i32) (result i32)))
        (func (export "_start") (drop (call $random (i32.const 0) (i32.const 0)))))"""
    for deterministic in (True, False):
        row = run(host, bytes(wasmtime.wat2wasm(source)), deterministic=deterministic)
        assert outcome(row)[0] == "trapped", text(row)


def test_a_module_may_ask_in_its_start_function(host: Forked) -> None:
    more = "(start $first) (func $first (drop (call $time (i32.const 1) (i64.const 0) (i32.const 1024))))"
    assert struct.unpack_from("<Q", run(host, program("", more)).stdout) == (STEP,)


NAN = program(
    # The bits of 0/0, and of NaN + 1 where that NaN has a sign and a payload.
    """(i32.store (i32.const 1024)
      (i32.reinterpret_f32 (f32.div (f32.load (i32.const 2000)) (f32.load (i32.const 2000)))))
    (i64.store (i32.const 1028) (i64.reinterpret_f64 (f64.div (f64.load (i32.const 2000)) (f64.load (i32.const 2000)))))
    (i64.store (i32.const 2008) (i64.const 0xfff800000000beef))
    (i64.store (i32.const 1036) (i64.reinterpret_f64 (f64.add (f64.load (i32.const 2008)) (f64.const 1))))
    (v128.store (i32.const 1044) (f64x2.add (v128.load (i32.const 2008)) (f64x2.splat (f64.const 1))))"""
)


def test_a_nan_has_the_same_bits_whatever_it_came_from(host: Forked) -> None:
    f32, f64, payload, first = struct.unpack_from("<IQQQ", run(host, NAN).stdout)
    assert (f32, f64, payload, first) == (0x7FC00000, *[0x7FF8000000000000] * 3)


def test_other_guests_see_the_bits_that_the_cpu_makes(host: Forked) -> None:
    _, _, payload, first = struct.unpack_from("<IQQQ", run(host, NAN, deterministic=False).stdout)
    assert payload & 0xFFFF == first & 0xFFFF == 0xBEEF


def test_native_code_of_deterministic_guests_is_kept_apart(fresh: Forked) -> None:
    digest = fresh.artifact(NAN)
    fresh.start()
    for deterministic in (True, False, True):
        assert outcome(run(fresh, NAN, deterministic=deterministic)) == ("succeeded", "")
    kept = sorted(os.listdir(Path(fresh.settings.cache) / "native"))
    assert kept == sorted(cache.native_key(digest, deterministic=either) for either in (True, False))


def test_each_call_of_a_function_starts_anew_also_in_an_instance_that_is_reused(host: Forked) -> None:
    body = f"""(drop (call $time (i32.const 1) (i64.const 0) (i32.const 2048)))
        (drop (call $random (i32.const 2056) (i32.const 16)))
        {ECHO.replace("(local.get $at)", "(i32.const 2048)").replace("(local.get $size)", "(i32.const 24)")}"""
    wasm = reactor(body, imports=IMPORTS)
    fresh, reused = (calls(host, wasm, 3, reuse=reuse, deterministic=True) for reuse in (False, True))
    assert [row.value for row in fresh] == [row.value for row in reused]
    assert len({row.value for row in fresh}) == 3
    assert [struct.unpack_from("<Q", row.value or b"") for row in fresh] == [(STEP,)] * 3


# -------------------------------------------------------------------------------------------------- by itself


def test_random_numbers_are_drawn_in_full_however_many_are_asked_for() -> None:
    world = fixed.FixedWorld()
    world.restart(1)
    memory = memoryview(bytearray(5 * 1024 * 1024))
    assert world.random_get(memory, 7, len(memory) - 7) == 0
    blocks = {bytes(memory[at : at + 64]) for at in range(7, len(memory) - 64, 65536)}
    assert len(blocks) == len(range(7, len(memory) - 64, 65536))


def test_a_subscription_that_is_none_is_refused() -> None:
    world = fixed.FixedWorld()
    memory = memoryview(bytearray(256))
    memory[8] = 3
    assert world.poll_oneoff(memory, 0, 64, 1, 128) == 28
