"""Modules that break docs/abi.md on purpose: each call of theirs fails with a reason, others' calls go on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest

from batchwasm import Fleet, TaskFailed
from batchwasm.fleet import Function
from batchwasm.functions import Param, Signature, into_module
from batchwasm.functions.types import Bool, Bytes, Float, Int, List, Map, Record, String, Type
from tests.runner import reactors

F64 = Float(64)
POINT = Record("Point", (("x", F64), ("y", F64)))
HUGE = (2**60).to_bytes(8, "big")
ZERO = b"\xfb" + bytes(8)

ANSWERS: Mapping[str, tuple[bytes, Type, str]] = {
    # what it gives, what its signature says, what is told
    "an array of 2**60 texts": (b"\x9b" + HUGE, List(String()), "cut short"),
    "a map of 2**60 texts": (b"\xbb" + HUGE + b"\x60\x60", Map(String()), "cut short"),
    "a text of 2**60 bytes": (b"\x7b" + HUGE + b"x", String(), "cut short"),
    "2**60 bytes": (b"\x5b" + HUGE + b"x", Bytes(), "cut short"),
    "a typed array of 2**60 bytes": (b"\xd8\x56\x5b" + HUGE + bytes(16), List(F64), "cut short"),
    "a typed array of another type": (b"\xd8\x55\x48" + bytes(8), List(F64), "expected list<f64>"),
    "half a float": (b"\xd8\x56\x4c" + bytes(12), List(F64), "no whole numbers"),
    "60,000 arrays in each other": (b"\x81" * 60_000, List(List(String())), "found an array"),
    "60,000 tags": (b"\xc1" * 60_000, String(), "found a tag"),
    "60,000 arrays in an error": (b"\xd9\x62\x77" + b"\x82" * 60_000, String(), "can't be read"),
    "an error of 2**60 bytes": (b"\xd9\x62\x77\x82\x66raised\x7b" + HUGE, String(), "goes beyond its end"),
    "an error of no kind": (reactors.error("hidden", "x"), String(), "no kind of error"),
    "an error inside of a value": (b"\x81" + reactors.error("raised", "x"), List(String()), "found an error"),
    "an array without a length": (b"\x9f\x60\xff", List(String()), "definite length"),
    "something behind the value": (b"\x60\x60", String(), "the value ends here"),
    "a text that is not UTF-8": (b"\x62\xff\xfe", String(), "not UTF-8"),
    "half a surrogate pair": (b"\x63\xed\xa0\x80", String(), "not UTF-8"),
    "a field twice": (b"\xa2\x61x" + ZERO + b"\x61x" + ZERO, POINT, "expected the field y"),
    "a key twice": (b"\xa2\x61k\x60\x61k\x60", Map(String()), "there twice"),
    "a number in too many bytes": (b"\x18\x01", Int(8, False), "more bytes than it needs"),
    "a number out of range": (b"\x1b" + b"\xff" * 8, Int(64, True), "does not fit s64"),
    "a bignum": (b"\xc2\x5b" + HUGE, Int(64, False), "found a tag"),
    "a stop code": (b"\xff", Bool(), "expected bool"),
    "nothing": (b"", Bool(), "empty answer"),
}

MODULES = {
    "an answer outside of memory": (
        reactors.reactor("(call $answer (i32.const 0x7fffffff) (i32.const 16))"),
        "at 2147",
    ),
    "an answer over the end": (reactors.reactor("(call $answer (i32.const 131064) (i32.const 16))"), "at 131064"),
    "an answer that wraps around": (reactors.reactor("(call $answer (i32.const -8) (i32.const 16))"), "at 4294967288"),
    "an answer of 4 GiB": (reactors.reactor("(call $answer (i32.const 0) (i32.const -1))"), "4294967295 bytes at 0"),
    "no room": (reactors.reactor(alloc="(i32.const 0)"), "has no memory"),
    "room outside of memory": (reactors.reactor(alloc="(i32.const -1)"), "gave 4294967295 as the place"),
    "room over the end": (reactors.reactor(alloc="(i32.const 131071)"), "gave 131071 as the place"),
    "a trap instead of room": (reactors.reactor(alloc="(unreachable)"), "must not reach"),
    "a loop instead of room": (reactors.reactor(alloc=reactors.SPIN), "ran longer"),
    "endless recursion": (reactors.reactor("(call $f)", more="(func $f (result i64) (call $f))"), "call stack"),
}


@pytest.fixture
def good(fleet: Fleet, picky: Path) -> Iterator[Iterator[int]]:
    """Values of a function that keeps to the rules, mapped over 0, 1, ... 9, 0, 1 and so on without end."""
    values = fleet.map(fleet.function(picky, "picky"), (n % 10 for n in count()), in_flight=64)
    yield values
    values.close()  # type: ignore[attr-defined]


def answering(answer: bytes) -> bytes:
    place = f"(call $answer (i32.const 65536) (i32.const {len(answer)}))"
    return reactors.reactor(place, more=reactors.data(65536, answer))


def function_of(fleet: Fleet, path: Path, wasm: bytes, result: Type) -> Function:
    params = (Param(name="xs", type=List(F64)),)
    path.write_bytes(into_module(wasm, Signature(language="wat", name="f", params=params, result=result)))
    return fleet.function(path, "f", time_limit=0.5, memory="16MiB")


def check_fails(fleet: Fleet, good: Iterator[int], cases: Mapping[str, tuple[bytes, Type, str]], folder: Path) -> None:
    taken = 0
    for name, (wasm, result, told) in cases.items():
        function = function_of(fleet, folder / "hostile.wasm", wasm, result)
        with pytest.raises(TaskFailed) as caught:
            function([1.0])
        assert told in caught.value.message, name
        assert caught.value.code, name
        assert [next(good) for _ in range(100)] == [n % 10 for n in range(taken, taken + 100)], name
        taken += 100


def test_an_answer_that_is_no_value_fails_its_own_call_alone(fleet: Fleet, good: Iterator[int], tmp_path: Path) -> None:
    cases = {name: (answering(answer), result, told) for name, (answer, result, told) in ANSWERS.items()}
    check_fails(fleet, good, cases, tmp_path)


def test_pointers_outside_of_memory_fail_their_own_call_alone(
    fleet: Fleet, good: Iterator[int], tmp_path: Path
) -> None:
    cases = {name: (wasm, String(), told) for name, (wasm, told) in MODULES.items()}
    check_fails(fleet, good, cases, tmp_path)


def test_hostile_and_good_calls_in_one_batch_keep_to_themselves(fleet: Fleet, picky: Path) -> None:
    """They travel together and share a worker."""
    function = fleet.function(picky, "picky", time_limit=0.5)
    rows = [13 if n % 7 == 3 else 16 if n % 11 == 5 else n % 10 for n in range(2000)]
    found = list(fleet.outcomes(function, (((n,), n) for n in rows)))
    for given, value in zip(rows, found, strict=True):
        match given:
            case 13:
                assert (value.outcome, value.code) == ("trapped", "unreachable")
            case 16:
                assert (value.outcome, value.code) == ("failed", "bad_value")
            case _:
                assert value == given


def test_a_value_of_a_million_items_is_not_decoded_in_the_schedulers_thread(fleet: Fleet, tmp_path: Path) -> None:
    """In a megabyte: looking at each takes a while, which must not be the scheduler's."""
    many = 2**20
    head = b"\x9a" + many.to_bytes(4, "big")
    body = f"""(memory.fill (i32.const 131072) (i32.const 0x60) (i32.const {many}))
        (call $answer (i32.const {131072 - len(head)}) (i32.const {many + len(head)}))"""
    wasm = reactors.reactor(body, more=reactors.data(131072 - len(head), head), memory="20")
    function = function_of(fleet, tmp_path / "many.wasm", wasm, List(String()))
    decode, threads = function.decode, list[threading.Thread]()
    function.decode = lambda data: (threads.append(threading.current_thread()), decode(data))[1]
    future = fleet.submit(function, [])
    assert future.result() == [""] * many
    assert len(threads) == 1
    assert fleet._scheduler.thread not in threads
