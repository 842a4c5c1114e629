"""Modules of functions (docs/abi.md) in WebAssembly text, for tests of what calls them; and calls of them."""

from __future__ import annotations

import struct
from typing import Any

import cbor2
import wasmtime

from batchwasm.model import Outcome
from batchwasm.runner.protocol import Row, TaskWork
from tests.runner.forked import WASI, Forked

ARGUMENTS = b"\x82\x01\x63abc"
ECHO = "(call $answer (local.get $at) (local.get $size))"
ALLOC = "(i32.const 1024)"
TRAP = "(unreachable)"
SPIN = "(loop $l (br $l)) (unreachable)"
FIRST_IS = "(i32.eq (i32.load8_u offset=1 (local.get $at)) (i32.const {}))"
"""Is the first of the arguments, a small number, this one?"""
SAY = f'(import "{WASI}" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))'
EXIT = f'(import "{WASI}" "proc_exit" (func $exit (param i32)))'
MKDIR = f'(import "{WASI}" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))'
SLEEP = f'(import "{WASI}" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))'
COUNT = "(global $n (mut i32) (i32.const 0))"
COUNTS = """(global.set $n (i32.add (global.get $n) (i32.const 1))) (i32.store8 (i32.const 8) (global.get $n))
    (call $answer (i32.const 8) (i32.const 1))"""
"""Gives how often this instance was called (below 24, which CBOR has in one byte)."""


def reactor(call: str = ECHO, *, alloc: str = ALLOC, more: str = "", imports: str = "", memory: str = "2") -> bytes:
    """A module whose bw_call is `call`, with `$at`, `$size` and a local `$i`, and bw_alloc `alloc`, with `$size`."""
    return module(f"""{imports} (memory (export "memory") {memory}) {more}
        (func $answer (param i32 i32) (result i64)
          (i64.or (i64.shl (i64.extend_i32_u (local.get 0)) (i64.const 32)) (i64.extend_i32_u (local.get 1))))
        (func (export "bw_alloc") (param $size i32) (result i32) {alloc})
        (func (export "bw_call") (param $at i32) (param $size i32) (result i64) (local $i i32) {call})""")


def module(body: str) -> bytes:
    return bytes(wasmtime.wat2wasm(f"(module {body})"))


def data(at: int, content: bytes) -> str:
    """What puts `content` into memory."""
    return f'(data (i32.const {at}) "' + "".join(f"\\{byte:02x}" for byte in content) + '")'


def gives(content: bytes) -> bytes:
    """A function that always answers so."""
    answer = f"(call $answer (i32.const 65536) (i32.const {len(content)}))"
    return reactor(answer, more=data(65536, content))


def error(kind: str, said: str) -> bytes:
    """The answer of a function that went wrong."""
    return cbor2.dumps(cbor2.CBORTag(25207, [kind, said]))


def says(text: str, fd: int = 1) -> tuple[str, str]:
    """What goes into a module and into a function of it that writes `text` to stdout."""
    more = data(64, struct.pack("<II", 72, len(text)) + text.encode())
    return more, f"(drop (call $write (i32.const {fd}) (i32.const 64) (i32.const 1) (i32.const 60)))"


def sleeps(seconds: int) -> tuple[str, str]:
    """The same of one that sleeps."""
    subscription = struct.pack("<QQIxxxxQQQ", 0, 0, 1, seconds * 10**9, 0, 0)
    return data(256, subscription), "(drop (call $poll (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 600)))"


def call(host: Forked, wasm: bytes, arguments: bytes = ARGUMENTS, **settings: Any) -> Row:
    """The row of one call."""
    (row,) = calls(host, wasm, [TaskWork(0, 1, arguments=arguments)], **settings)
    return row


def calls(host: Forked, wasm: bytes, tasks: list[TaskWork] | int, **settings: Any) -> list[Row]:
    """The rows of a batch of calls; a number is of calls that are all alike."""
    if isinstance(tasks, int):
        tasks = [TaskWork(task, 1, arguments=ARGUMENTS) for task in range(tasks)]
    return host.run(host.work(host.artifact(wasm), tasks, call=True, **settings))


def outcome(row: Row) -> tuple[str, str]:
    return Outcome(row.outcome).word, row.detail.code if row.detail else ""


def text(row: Row) -> str:
    assert row.detail is not None
    return row.detail.text


def small(number: int) -> bytes:
    """Arguments: one small number."""
    return bytes([0x81, number])
